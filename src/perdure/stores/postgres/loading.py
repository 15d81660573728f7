"""What came to an index: one small question when that is nothing, a second one for what is new, pages for much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    space: Space | None


async def load(connection: Connection, settings: Settings, wanted: Wanted) -> Delta:
    """What came after `since`; with `known_at`, all rows that were current then.

    Raises:
        ModelMismatch: the store has switched to another space.
    """
    head = settings.for_(wanted.partition.tenant)
    where = standing.places([wanted.partition])
    while True:
        [[row]] = await snapshot(connection, head, where)
        place = standing.place(row)
        space = place.fitting(wanted.space)
        if not place.number:
            return Delta(stand=place.stand, dead=() if wanted.known_at else _all_before(place, wanted.since))
        if wanted.known_at is None and wanted.since == place.stand.head:
            return Delta(stand=place.stand)
        read_ = _news if wanted.known_at is None and wanted.since else _pages
        delta = await read_(connection, head, wanted, place.number, space)
        if delta is not None:
            return delta


async def _news(
    connection: Connection, head: Statement, wanted: Wanted, number: int, space: int
) -> Delta | None:
    """What an index that has some lacks, in one go; None when it has all changed meanwhile."""
    since = wanted.since
    [row], refined, ended, rows = await snapshot(
        connection,
        head,
        standing.places([wanted.partition]),
        read.refined(space, number, since=since),
        read.ended(number, since=since),
        read.current(space, number, after=since),
    )
    if len(rows) == read.PAGE:  # there may be more
        return await _pages(connection, head, wanted, number, space)
    return _delta(standing.place(row), wanted, number, space, [*refined, *rows], ended)


async def _pages(
    connection: Connection, head: Statement, wanted: Wanted, number: int, space: int
) -> Delta | None:
    """All of it, page by page: others have the event loop between them."""
    since = wanted.since
    transaction = Transaction(connection, head, begin=SNAPSHOT)
    where = standing.places([wanted.partition])
    if wanted.known_at is not None:
        [[row]] = await transaction.ask(where)
        page = partial(read.known, space, number, wanted.known_at)
        return _delta(standing.place(row), wanted, number, space, await _all(transaction, page, after=0), ())
    [row], refined, ended = await transaction.ask(
        where, read.refined(space, number, since=since), read.ended(number, since=since)
    )
    rows = await _all(transaction, partial(read.current, space, number), after=since)
    return _delta(standing.place(row), wanted, number, space, [*refined, *rows], ended)


async def _all(transaction: Transaction, page: Callable[..., Statement], *, after: int) -> list[Row]:
    rows: list[Row] = []
    while True:
        [found] = await transaction.ask(page(after=after))
        rows += found
        if len(found) < read.PAGE:
            await transaction.end()
            return rows
        after = found[-1][0]


def _delta(
    place: Place, wanted: Wanted, number: int, space: int, rows: Sequence[Row], ended: Sequence[Row]
) -> Delta | None:
    if (place.number, place.fitting(wanted.space)) != (number, space):
        return None
    dead = _all_before(place, wanted.since) or [ord_ for [ord_] in ended]
    return Delta(stand=place.stand, rows=read.entry_rows(rows), dead=dead if wanted.known_at is None else ())


def _all_before(place: Place, since: int) -> range:
    """All that an index holds when it was read before the tenant was removed, after which sequences begin anew."""
    return range(1, since + 1) if since < place.start else range(0)
