"""What came to an index: one small question when that is nothing, a second one for what is new, pages for much."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from perdure.ports import Delta, Space
from perdure.stores.postgres import read, standing
from perdure.stores.postgres.connection import (
    SNAPSHOT,
    Connection,
    Row,
    Settings,
    Statement,
    Transaction,
    snapshot,
)
from perdure.stores.postgres.standing import Place
from perdure.types import Partition


class Wanted(NamedTuple):
    """Of which partition, from where, and in which space."""

    partition: Partition
    since: int
    known_at: datetime | None
    with_vectors: bool
    space: Space | None

    @property
    def place(self) -> Statement:
        """Asks how far the partition has come, and which change stands at `since`."""
        return standing.places([self.partition], since=self.since)


async def load(connection: Connection, settings: Settings, wanted: Wanted) -> Delta:
    """What came after `since`; with `known_at`, all rows that were current then.

    Raises:
        ModelMismatch: the store has switched to another space.
    """
    head = settings.for_(wanted.partition.tenant)
    where = wanted.place
    while True:
        [[row]] = await snapshot(connection, head, where)
        place = standing.place(row)
        space = place.fitting(wanted.space)
        if not place.number:
            return Delta(stand=place.stand, dead=() if wanted.known_at else _all_before(place, wanted.since))
        if wanted.known_at is None and wanted.since == place.stand.head:
            return Delta(stand=place.stand, before=place.before)
        few = wanted.known_at is None and wanted.since and place.stand.head - wanted.since <= read.PAGE
        read_ = _news if few else _pages
        delta = await read_(connection, head, wanted, _Shelf(place.number, space))
        if delta is not None:
            return delta


class _Shelf(NamedTuple):
    """Where rows are to be found, as it was just told."""

    number: int
    space: int


async def _news(connection: Connection, head: Statement, wanted: Wanted, shelf: _Shelf) -> Delta | None:
    """What an index that has some lacks, in one go; None when it is all somewhere else meanwhile."""
    since = wanted.since
    [row], *ended, rows = await snapshot(
        connection,
        head,
        *_about(wanted, shelf, until=since + read.PAGE),
        read.current(shelf.space, shelf.number, after=since, with_vectors=wanted.with_vectors),
    )
    place = standing.place(row)
    if place.stand.head - since > read.PAGE:  # more has come meanwhile
        return await _pages(connection, head, wanted, shelf)
    return _delta(place, wanted, shelf, ended, rows)


async def _pages(connection: Connection, head: Statement, wanted: Wanted, shelf: _Shelf) -> Delta | None:
    """All of it, page by page: others have the event loop between them."""
    transaction = Transaction(connection, head, begin=SNAPSHOT)
    [row], *ended = await transaction.ask(*_about(wanted, shelf, until=read.EVER))
    place = standing.place(row)
    if wanted.known_at is None:
        page, since = partial(read.current, shelf.space, shelf.number), wanted.since
    else:
        page, since = partial(read.known, shelf.space, shelf.number, wanted.known_at), 0
    rows: list[Row] = []
    for after in range(max(since, place.start), place.stand.head, read.PAGE):
        [found] = await transaction.ask(page(after=after, with_vectors=wanted.with_vectors))
        rows += found
    await transaction.end()
    return _delta(place, wanted, shelf, ended, rows)


def _about(wanted: Wanted, shelf: _Shelf, *, until: int) -> list[Statement]:
    """How far it has come, and what became up to `until` of the rows that the index holds, if it holds any."""
    if wanted.known_at is not None or not wanted.since:
        return [wanted.place]
    since = wanted.since
    return [
        wanted.place,
        read.refined(shelf.space, shelf.number, since=since, until=until, with_vectors=wanted.with_vectors),
        read.ended(shelf.number, since=since, until=until),
    ]


def _delta(
    place: Place, wanted: Wanted, shelf: _Shelf, held: Sequence[Sequence[Row]], new: Sequence[Row]
) -> Delta | None:
    """What was read, unless the partition or the space is another one by now; `held`: of the rows of the index."""
    if (place.number, place.fitting(wanted.space)) != shelf:
        return None
    refined, ended = held or ((), ())
    dead = _all_before(place, wanted.since) or [ord_ for [ord_] in ended]
    rows = read.entry_rows([*refined, *new])
    return Delta(
        stand=place.stand, rows=rows, dead=dead if wanted.known_at is None else (), before=place.before
    )


def _all_before(place: Place, since: int) -> range:
    """All that an index holds when it was read before the tenant was removed, after which sequences begin anew."""
    return range(1, since + 1) if since < place.start else range(0)
