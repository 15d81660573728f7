"""What a mem0 store holds, as records that a store of Perdure's takes in: texts, whose they are, times and history."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import datetime
from importlib import import_module
from typing import Any, Final

from perdure.errors import ConfigurationError, InvalidInput
from perdure.migrate.mem0 import history
from perdure.migrate.mem0.files import in_thread
from perdure.migrate.mem0.payloads import Point, said, scope_in
from perdure.migrate.mem0.records import line, records, steps
from perdure.migrate.mem0.spool import Spool, Subject
from perdure.ports import Export
from perdure.threads import Threads
from perdure.types import Scope, Turn, utc_now

PROVIDERS: Final = ("qdrant", "chroma", "pgvector", "faiss")
"""mem0's vector stores that can be read, each by the module of its name."""
COLLECTION: Final = "mem0"
"""What mem0 calls it where nothing else is said."""
NO_TEXT: Final = "without a text"


async def read(
    config: Mapping[str, Any],
    *,
    tenant: str,
    left_out: Counter[str] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Export]:
    """All memories of a mem0 store, oldest first within each owner, as `Exports.restore` takes them.

    Each is a turn, its versions, and after each version the change that made it. The source is only read; the whole of
    it is read first, page by page, into a temporary file.

    Args:
        config: mem0's own: `vector_store` (qdrant, chroma, pgvector, faiss) and `history_db_path`, whose other parts
            are passed over; and `unowned`, ids as in `{"user_id": "maya"}` for memories that name nobody.
        left_out: counts, by reasons, the memories that are not taken over.
        clock: now, for memories of which no time is known at all.

    Raises:
        ConfigurationError: there is no such store; or it is one that cannot be read.
        MissingExtra: a package that reads it is not installed.
        Unavailable: its server does not answer.
        StoreDamaged: a file cannot be read, or is none of mem0's.
    """
    counted = Counter[str]() if left_out is None else left_out
    threads = Threads("mem0", 1)
    spool = await threads.run(Spool, tenant, _unowned(config, tenant), counted)
    try:
        await _fill(spool, config, threads)
        converted = _Converted(tenant, clock(), counted)
        async for page in in_thread(converted.pages(spool)):
            for export in page:
                yield export
    finally:
        await threads.run(spool.close)  # after what is being put into it
        threads.close()


async def _fill(spool: Spool, config: Mapping[str, Any], threads: Threads) -> None:
    past = await threads.run(history.place, config)
    async for page in _points(config):
        await threads.run(spool.put_points, page)
    if past is not None:
        async for rows in in_thread(history.rows(past)):
            await threads.run(spool.put_lines, rows)


def _points(config: Mapping[str, Any]) -> AsyncIterator[list[Point]]:
    store = config.get("vector_store") or {}
    name = store.get("provider") or "qdrant" if isinstance(store, Mapping) else None
    if name not in PROVIDERS:
        raise ConfigurationError(
            f"vector_store {name!r} of mem0's cannot be read: it has to be {', '.join(PROVIDERS)}"
        )
    options = {"collection_name": COLLECTION, **store, **(store.get("config") or {})}
    points: AsyncIterator[list[Point]] = import_module(f"{__name__}.{name}").points(options)
    return points


def _unowned(config: Mapping[str, Any], tenant: str) -> Mapping[str, Any]:
    """The ids for memories that name nobody.

    Raises:
        ConfigurationError: they are none.
    """
    given = config.get("unowned") or {}
    try:
        if not given or scope_in(given, tenant) is not None:
            return dict(given)
    except (InvalidInput, AttributeError, TypeError, ValueError):
        pass
    raise ConfigurationError('unowned names nobody: give ids, as in {"user_id": "maya"}')


class _Converted:
    """Pages of memories, made into records one after another: a session may go on over their edges."""

    def __init__(self, tenant: str, now: datetime, left_out: Counter[str]) -> None:
        self._now = now
        self._tenant = tenant
        self._left_out = left_out
        self._owner: str | None = None
        self._last: dict[Scope, Turn] = {}

    def pages(self, spool: Spool) -> Iterator[list[Export]]:
        for subjects in spool.subjects(self._now):
            yield [export for subject in subjects for export in self._records(subject)]

    def _records(self, subject: Subject) -> list[Export]:
        told = said(subject.payload)
        scope = scope_in(subject.payload, self._tenant)
        course = steps(subject.id, told, [line(row) for row in subject.lines], now=self._now)
        if not course or scope is None:
            self._left_out[NO_TEXT] += 1
            return []
        if scope.partition.owner != self._owner:
            self._owner = scope.partition.owner
            self._last.clear()
        made = records(subject.id, told, course, scope=scope, previous=self._last.get(scope))
        turn = made[0].record
        assert isinstance(turn, Turn)
        self._last[scope] = turn
        return made
