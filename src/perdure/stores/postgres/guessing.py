"""What the last commits left, so that the next is decided without asking; the database proves it before it is stored."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from psycopg.errors import UndefinedObject

from perdure.moments import micros
from perdure.ports import Batch, Space
from perdure.stores.postgres.commit import Known, Shelf, last_turn
from perdure.stores.postgres.connection import Statement, array
from perdure.stores.postgres.read import scope_ids
from perdure.stores.spaces import Held, fits
from perdure.types import Partition, Scope, Turn

BOUND: Final = 4_096
"""So many partitions are remembered, and as many scopes; those that were used longest ago go first."""
READ_COMMITTED: Final = "read committed"
"""The isolation without which nothing is guessed: what the server begins by itself has the database's default."""
PROVABLE: Final = frozenset({"isolation", "space", "scopes", "keys"})
"""All that batches may need to have asked, beside their partitions, so that it can be guessed."""
Overtaken: Final = UndefinedObject
"""What a proof that does not hold ends its transaction with: there is no such setting."""

_PROOF: Final = (
    "SELECT current_setting(CASE WHEN current_setting('transaction_isolation') = 'read committed' "
    "AND EXISTS (SELECT 1 FROM spaces WHERE active AND id = %s AND analyzer = %s "
    "AND model IS NOT DISTINCT FROM %s::text AND dimensions = %s) "
    "AND (SELECT count(*) FROM (SELECT p.id, p.xmin FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) "
    "g (owner, id, seq) JOIN partitions p ON p.tenant = %s AND p.owner = g.owner AND p.id = g.id AND p.seq = g.seq "
    "ORDER BY p.id FOR NO KEY UPDATE OF p) locked "
    "JOIN partitions seen ON seen.id = locked.id AND seen.xmin = locked.xmin) = %s "
    "AND NOT EXISTS (SELECT 1 FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[]) "
    "g (ids, id, said_at, session) LEFT JOIN scopes s ON s.tenant = %s AND s.ids = g.ids LEFT JOIN LATERAL "
    "(SELECT said_at, session FROM turns WHERE scope = s.id ORDER BY ord DESC LIMIT 1) t ON TRUE "
    "WHERE (s.id, t.said_at, t.session) IS DISTINCT FROM (g.id, g.said_at, g.session)) "
    "AND NOT EXISTS (SELECT 1 FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) w (partition, key, since) "
    "JOIN keys k ON k.partition = w.partition AND k.key = w.key WHERE w.since IS NULL OR k.at >= w.since) "
    "THEN 'perdure.tenant' ELSE 'perdure.overtaken' END)"
)
"""Takes the locks, and fails unless each value that decides is as it was guessed, and no key was used that may count.

All of a statement is seen as it was when it began, but the rows that it locks as they are by then: where these are the
same, nobody has changed the partition while we waited for its lock, and what was seen of it stays as it is.
"""

K = TypeVar("K")
V = TypeVar("V")


class Guess(NamedTuple):
    """What is known of batches if nobody else has changed it, and what proves that nobody has."""

    known: Known
    proof: Statement


class _Left(NamedTuple):
    """A partition as it was left."""

    number: int
    seq: int
    settled: bool
    """Whether nobody else had changed it when we came back: where several take turns, guesses only cost."""


class _Place(NamedTuple):
    """A scope, and what decides of the last turn in it."""

    number: int
    said_at: int | None
    session: str | None


class Guesses:
    """What the commits of one event loop left. Others may have changed it since: nothing is decided without proof."""

    def __init__(self) -> None:
        self._space: Held | None = None
        self._left: OrderedDict[Partition, _Left] = OrderedDict()
        self._places: OrderedDict[Scope, _Place] = OrderedDict()

    def guess(self, batches: Sequence[Batch], scopes: Iterable[Scope], space: Space | None) -> Guess | None:
        """What these batches meet; None where that was never seen, or is not likely to be as it was."""
        held = self._space
        if held is None or not (space is None or fits(held.space, space)):
            return None
        known = Known(space=held.id)
        for batch in batches:
            left = self._left.get(batch.partition)
            if left is None or not left.settled:
                return None
            known.shelves[batch.partition] = Shelf(left.number, left.seq)
        for scope in scopes:
            if (place := self._places.get(scope)) is None:
                return None
            known.scopes[scope] = place.number
            if place.said_at is not None:
                known.last[scope] = last_turn(scope, place.said_at, place.session)
        return Guess(known, _proof(held, known, batches))

    def learnt(self, known: Known, held: Held | None) -> None:
        """Compare what the database has told with what we had left; without a space in use nothing is guessed."""
        self._space = held
        for partition, shelf in known.shelves.items():
            left = self._left.get(partition)
            settled = left is None or left.seq == shelf.seq
            _put(self._left, partition, _Left(shelf.number, shelf.seq, settled))

    def keep(self, known: Known) -> None:
        """All that was decided is stored: this is what the next commit meets."""
        for partition, shelf in known.shelves.items():
            left = self._left.get(partition)
            settled = left is None or left.settled
            _put(self._left, partition, _Left(shelf.number, shelf.seq, settled))
        for scope, number in known.scopes.items():
            _put(self._places, scope, _Place(number, *_said(known.last.get(scope))))


def _put(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > BOUND:
        kept.popitem(last=False)


def _said(last: Turn | None) -> tuple[int | None, str | None]:
    return (None, None) if last is None else (micros(last.said_at), last.session)


def _proof(held: Held, known: Known, batches: Sequence[Batch]) -> Statement:
    tenant = batches[0].partition.tenant
    space = (held.id, held.space.analyzer, held.space.model, held.space.dimensions)
    shelves = [(partition.owner, shelf.number, shelf.seq) for partition, shelf in known.shelves.items()]
    places = [
        (scope_ids(scope), number, *_said(known.last.get(scope))) for scope, number in known.scopes.items()
    ]
    keys = [
        (known.shelves[batch.partition].number, batch.key, batch.key_since and micros(batch.key_since))
        for batch in batches
        if batch.key is not None
    ]
    columns = (*_arrays(shelves, 3), tenant, len(shelves), *_arrays(places, 4), tenant, *_arrays(keys, 3))
    return Statement(_PROOF, (*space, *columns))


def _arrays(rows: Sequence[Sequence[object]], width: int) -> list[str]:
    """By columns."""
    return [array(row[column] for row in rows) for column in range(width)]
