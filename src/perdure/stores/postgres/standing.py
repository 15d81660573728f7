"""How far partitions have come, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from perdure.ports import Space, Stand
from perdure.stores.postgres.connection import Row, Statement, array
from perdure.stores.spaces import Held, fits, mismatch
from perdure.types import Partition

_PLACES: Final = (
    "SELECT (SELECT value FROM meta WHERE key = 'generation'), (SELECT value FROM meta WHERE key = 'erased'), "
    "(SELECT value FROM meta WHERE key = 'floor'), s.id, s.analyzer, s.model, s.dimensions, "
    "p.id, p.start, p.seq, c.write_id, c.at, (SELECT max(t.ord) FROM turns t WHERE t.partition = p.id), "
    "b.write_id, b.at "
    "FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY w (tenant, owner, n) "
    "LEFT JOIN spaces s ON s.active "
    "LEFT JOIN partitions p ON p.tenant = w.tenant AND p.owner = w.owner "
    "LEFT JOIN changes c ON c.partition = p.id AND c.seq = p.seq "
    "LEFT JOIN changes b ON b.partition = p.id AND b.seq = %s ORDER BY w.n"
)
SPACE: Final = Statement("SELECT id, analyzer, model, dimensions FROM spaces WHERE active")
SERVER: Final = Statement(
    "SELECT extract(epoch FROM pg_postmaster_start_time())::text, oid::text FROM pg_database "
    "WHERE datname = current_database()"
)
"""When the server was started, to the microsecond, and the number of the database."""
IDENTITY: Final = Statement("SELECT value FROM meta WHERE key = 'identity'")


class Place(NamedTuple):
    """A partition, and how far it has come."""

    number: int
    """0: it holds nothing."""
    start: int
    stand: Stand
    space: Held | None
    """The one in use."""
    before: str = ""
    """`Stand.change` of the change that was asked for."""

    def fitting(self, asked: Space | None) -> int:
        """The number of the space in use; raises as `fitting` does."""
        return fitting(self.space, asked)


def places(partitions: Sequence[Partition], *, since: int = 0) -> Statement:
    """Where these partitions are, in their order, and which change stands at `since`."""
    names = (array(p.tenant for p in partitions), array(p.owner for p in partitions))
    return Statement(_PLACES, (*names, since))


def place(row: Row) -> Place:
    """Where a partition is; one that holds nothing stands where sequences begin.

    The token is of the last change and the last turn: a backup that was put back, or a copy of the database, goes on
    with the same sequence and other changes; and a turn that is imported is no step of the sequence.
    """
    generation, erasures, floor, *space, number, start, head, write, at, turn, write_before, at_before = row
    stand = Stand(head=floor, generation=generation, erasures=erasures)
    if number is None:
        return Place(0, floor, stand, held(space))
    change = f"{write}/{at}"
    token = f"{change}/{turn}"
    stand = Stand(head=head, generation=generation, token=token, change=change, erasures=erasures)
    before = "" if at_before is None else f"{write_before}/{at_before}"
    return Place(number, start, stand, held(space), before)


def held(row: Sequence[object]) -> Held | None:
    """The space in a row of `SPACE`."""
    match row:
        case [int(number), int(analyzer), str() | None as model, int(dimensions)]:
            return Held(number, Space(analyzer=analyzer, model=model, dimensions=dimensions))
        case _:
            return None


def fitting(held: Held | None, asked: Space | None) -> int:
    """The number of the space in use; 0 when there is none.

    Raises:
        ModelMismatch: it is another one than we were opened with: another process has switched.
    """
    if held is None:
        return 0
    if asked is not None and not fits(held.space, asked):
        raise mismatch(held.space, asked)
    return held.id
