"""The verbs: what to do is decided elsewhere, purely; here it is done."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from perdure.arguments import shown
from perdure.engine import ingest, requests, upkeep
from perdure.engine.adding import Adding
from perdure.engine.calls import verb
from perdure.engine.graph import Graphing
from perdure.engine.keeping import Keeping
from perdure.engine.redaction import Tally
from perdure.engine.relearning import Relearning
from perdure.engine.requests import KEEP, Keep, When
from perdure.engine.scoping import ids, insist
from perdure.engine.shape import (
    ChangeDict,
    MemoryDict,
    Results,
    change_dict,
    memory_dict,
)
from perdure.engine.succession import Succession
from perdure.engine.watched import Watched
from perdure.errors import InvalidInput, NotFound, StoreUnwritable
from perdure.moments import iso
from perdure.ports import Backups, Export, Write
from perdure.types import LISTED_SALIENCE, Memory

WRITES_AT_ONCE = 2_000
"""A change of many memories goes in batches of so many, so that others can write in between."""


class Engine(Adding, Keeping, Relearning, Graphing, Watched):
    """A memory over a store, an embedder and a reranker; every verb is asynchronous.

    Times may be given as datetimes, dates, ISO 8601 or seconds since 1970; those without a zone are UTC.
    """

    @verb
    async def search(
        self,
        query: str,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        threshold: float | None = None,
        rerank: bool | None = None,
        trusted_only: bool = False,
        explain: bool = False,
        as_of: When | None = None,
        known_at: When | None = None,
        reference_date: When | None = None,
        show_expired: bool = False,
        show_superseded: bool = False,
    ) -> Results:
        """Find what answers a question, best first.

        Args:
            query: a question or a statement, in any language.
            user_id: only memories with this id; likewise the other three. None given: the whole project, slower.
            filters: see the page on filters; the ids may also stand here.
            categories: only memories with one of these.
            top_k: how many results, 10 when left out (or as many as the reranker is set to); `limit` is the same.
            threshold: the least score, 0 to 1; left out, the one that the ranking was calibrated for.
            rerank: whether to ask the configured reranker; left out, it is asked if there is one. When it cannot be
                had, the results stay as they are, and `notes` says so.
            trusted_only: nothing that came from a tool or from the web, and no fact that rests on it.
            explain: tell for each result what each leg, word and boost gave.
            as_of: only what was true in the world at that moment.
            known_at: only what this memory knew at that moment.
            reference_date: the moment that "now" means, for dates in the query and for expiry.
            show_expired: also what has expired.
            show_superseded: also what is true no more.
        """
        [found] = await self._sought(
            [query],
            ids(user_id, agent_id, app_id, run_id),
            filters=filters,
            categories=categories,
            top_k=top_k,
            limit=limit,
            threshold=threshold,
            rerank=rerank,
            trusted_only=trusted_only,
            explain=explain,
            as_of=requests.moment(as_of, "as_of"),
            known_at=requests.moment(known_at, "known_at"),
            reference=requests.moment(reference_date, "reference_date"),
            show_expired=show_expired,
            show_superseded=show_superseded,
        )
        return found

    @verb
    async def search_many(
        self,
        queries: Sequence[str],
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        threshold: float | None = None,
        rerank: bool | None = None,
        trusted_only: bool = False,
        explain: bool = False,
        as_of: When | None = None,
        known_at: When | None = None,
        reference_date: When | None = None,
        show_expired: bool = False,
        show_superseded: bool = False,
    ) -> list[Results]:
        """Several searches at once, with one call of the embedder; arguments as for `search`."""
        return await self._sought(
            requests.queries(queries),
            ids(user_id, agent_id, app_id, run_id),
            filters=filters,
            categories=categories,
            top_k=top_k,
            limit=limit,
            threshold=threshold,
            rerank=rerank,
            trusted_only=trusted_only,
            explain=explain,
            as_of=requests.moment(as_of, "as_of"),
            known_at=requests.moment(known_at, "known_at"),
            reference=requests.moment(reference_date, "reference_date"),
            show_expired=show_expired,
            show_superseded=show_superseded,
        )

    async def _sought(
        self,
        queries: Sequence[str],
        named: Mapping[str, object],
        *,
        filters: Mapping[str, Any] | None,
        categories: Sequence[str] | None,
        top_k: int | None,
        limit: int | None,
        threshold: float | None,
        rerank: bool | None,
        trusted_only: bool,
        **asked: Any,
    ) -> list[Results]:
        await self._turns.take()
        reranks = self._reranker is not None if rerank is None else rerank
        return await self._search(
            queries,
            reach=self._reach(named, filters, categories, trusted_only=trusted_only),
            limit=self._limit(top_k, limit, rerank=reranks),
            threshold=requests.threshold(threshold, self._default_threshold),
            rerank=reranks,
            **asked,
        )

    @verb
    async def get(self, memory_id: str) -> MemoryDict:
        """One memory, with the words that it came from.

        Raises:
            NotFound: nothing has that id, or it was deleted.
        """
        await self._open()
        memory = await self._current(memory_id)
        return memory_dict(memory, sources=list((await self._sources([memory])).values()))

    @verb
    async def get_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        offset: int = 0,
        as_of: When | None = None,
        known_at: When | None = None,
        show_all: bool = False,
        show_expired: bool = False,
        show_superseded: bool = False,
    ) -> Results:
        """List memories, newest first.

        Args:
            user_id: only memories with this id; likewise the other three. None given: the whole project.
            filters: as for `search`.
            top_k: how many at most, 100 when left out; `limit` is the same.
            offset: how many to pass over.
            show_all: also what says too little to be worth listing, as "ok, thanks".
        """
        await self._open()
        asked = self._reach(ids(user_id, agent_id, app_id, run_id), filters, categories)
        memories = await self._find(
            asked,
            limit=requests.limit(top_k, limit, 100),
            offset=requests.count(offset, "offset"),
            as_of=requests.moment(as_of, "as_of"),
            known_at=requests.moment(known_at, "known_at"),
            min_salience=0.0 if show_all else LISTED_SALIENCE,
            show_expired=show_expired,
            show_superseded=show_superseded,
        )
        return {"results": [memory_dict(memory) for memory in memories]}

    @verb
    async def update(
        self,
        memory_id: str,
        text: str | None = None,
        *,
        data: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        expiration_date: When | Keep | None = KEEP,
    ) -> MemoryDict:
        """Change a memory; the earlier version stays in its history, and its source turn stays as it was said.

        Args:
            text: the new text; `data` is the same.
            metadata: merged into the old; a value of None removes its key.
            categories: replace the old.
            expiration_date: None: never.

        Raises:
            NotFound: nothing has that id, or it was deleted.
        """
        wanted = requests.revision(text, data, self._settings.max_text_bytes)
        wanted = None if wanted is None else Tally(self._redactors).text(wanted)
        asked = requests.metadata(metadata, self._settings.max_metadata_bytes)
        groups = None if categories is None else requests.categories(categories)
        if wanted is None and metadata is None and groups is None and isinstance(expiration_date, Keep):
            raise InvalidInput(
                "update() has nothing to change: give text, metadata, categories or expiration_date"
            )
        await self._open()

        async def revise(memory: Memory, now: datetime) -> tuple[Write, ...]:
            revised, entry = replace(memory, version=memory.version + 1, recorded_at=now), None
            if wanted is not None and wanted != memory.text:
                revised, entry = ingest.revise(memory, wanted, now=now)
                [entry], _ = await self._entered([wanted], [entry])
            revised = replace(
                revised,
                metadata=requests.merged(memory.metadata, asked, self._settings.max_metadata_bytes),
                categories=memory.categories if groups is None else groups,
                expires_at=memory.expires_at
                if isinstance(expiration_date, Keep)
                else requests.moment(expiration_date, "expiration_date", day_end=True),
            )
            return (
                Write(event="UPDATE", memory_id=memory.id, memory=revised, entry=entry, replaces=memory.ord),
            )

        await self._change(memory_id, revise)
        return memory_dict(await self._current(memory_id))

    @verb
    async def delete(self, memory_id: str) -> dict[str, Any]:
        """Retire a memory: it is not found any more; its history keeps the words (`erase` removes them).

        Messages that only this one was learned from are not found any more either.

        Raises:
            NotFound: nothing has that id, or it was deleted already.
        """
        await self._open()

        async def retire(memory: Memory, _: datetime) -> tuple[Write, ...]:
            first = Write(event="DELETE", memory_id=memory.id, replaces=memory.ord)
            return (first, *(await self._silenced(memory)))

        await self._change(memory_id, retire)
        return {"message": "Memory deleted successfully!", "id": memory_id}

    @verb
    async def delete_all(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Retire all memories with these ids, and of them only what `filters` match.

        Raises:
            MissingScope: nobody is named; `reset` is the verb for everything.
        """
        asked = insist(self._reach(ids(user_id, agent_id, app_id, run_id), filters), "delete_all")
        await self._open()
        deleted = 0
        while memories := await self._find(
            asked, limit=WRITES_AT_ONCE, show_expired=True, show_superseded=True
        ):
            deleted += await self._retire(memories)
        return {"message": "Memories deleted successfully!", "deleted": deleted}

    @verb
    async def erase(
        self,
        memory_id: str | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Remove the words themselves: of every version, of the turns they came from, of indexes and the log.

        What stays is a tombstone: id, times, and that it was erased. Backups made before are the caller's.

        Raises:
            NotFound: nothing has that id.
            MissingScope: neither an id nor anybody is named.
        """
        await self._open()
        if memory_id is not None:
            erasing = [(await self._known(memory_id)).id]
        else:
            asked = insist(self._reach(ids(user_id, agent_id, app_id, run_id), filters), "erase")
            erasing = await upkeep.every_id(
                self._store, asked, await self._recall.partitions(asked), self._clock()
            )
        at = self._clock()
        erased = await self._store.erase(self._settings.tenant, erasing, at=at, reason=reason)
        self._indexes.drop()
        forgotten = await self._caching.forget(erased.partitions)
        untold = await self._following.tell(erased.partitions)
        return {
            "erased": len(erasing),
            "ids": erasing,
            "at": iso(at),
            "removed": erased.removed,
            "log_truncated": erased.log_truncated,
            "caches_cleared": forgotten,
            **({"pending": untold} if untold else {}),
        }

    @verb
    async def history(self, memory_id: str) -> list[ChangeDict]:
        """All that happened to a memory, oldest first.

        Raises:
            NotFound: nothing has that id.
        """
        await self._open()
        changes = await self._store.history(self._settings.tenant, requests.identifier(memory_id))
        if not changes:
            raise NotFound(f"no memory has the id {shown(memory_id)}")
        return [change_dict(change) for change in changes]

    @verb
    async def reset(self) -> dict[str, Any]:
        """Remove everything of this project, as if it had never been."""
        await self._open()
        await self._store.reset(self._settings.tenant)
        self._indexes.drop()
        await self._caching.forget(None)
        untold = await self._following.settle()
        return {"message": "Everything was removed.", **({"pending": untold} if untold else {})}

    @verb
    async def backup(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Copy the whole store, while it is in use, to a new file, and check the copy."""
        await self._open(check_space=False)
        if not isinstance(self._store, Backups):
            raise InvalidInput(
                f"{type(self._store).__name__} cannot make backups by itself: use its own tools"
            )
        target = requests.file_path(path)
        try:
            await self._store.backup(target)
            return {"path": str(target), "bytes": (await self._work(target.stat)).st_size}
        except OSError as error:
            raise StoreUnwritable(
                f"no backup can be written to {str(target)[:200]!r}: {error.strerror}"
            ) from error

    @verb(configured=True)
    async def reindex(self, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
        """Make all words and vectors again with the configured model, beside those in use, then switch.

        `declined` says how many texts the model's content filter declines: their words alone find them.

        Args:
            progress: is told how many are done, of how many.
        """
        await self._open(check_space=False)
        before = (await self._store.stats(self._settings.tenant)).space
        made, declined = await upkeep.reindex(
            self._store, self._space, self._entries_of, self._settings.tenant, progress
        )
        self._indexes.drop()
        untold = await self._following.rebuild(before)
        return {
            "reindexed": made,
            "model": self._space.model,
            **({"declined": declined} if declined else {}),
            **({"pending": untold} if untold else {}),
        }

    @verb
    def export_records(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        """Everything, losslessly: turns, memories with all their versions, history, and what is still to be learned.

        Records that JSON can hold. The ids choose whole partitions: an export of one user holds all that is kept under
        that user.
        """
        asked = self._reach(ids(user_id, agent_id, app_id, run_id))

        async def records() -> AsyncIterator[dict[str, Any]]:
            await self._open(check_space=False)
            partitions = await self._recall.partitions(asked) if asked.scoped else None
            async for record in upkeep.exported(self._store, self._settings.tenant, partitions):
                yield record

        return records()

    @verb(configured=True)
    async def import_records(
        self, records: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Put exported records in, as they were: ids, times, versions and history. Known ones are left alone.

        What is still to be learned is taken over as long as its turns are there and nothing was learned from them.

        Args:
            records: what `export_records` gave: a list, a generator, or an asynchronous one.
        """
        await self._open(check_space=False)
        tally = Tally(self._redactors)
        succession = cast("Succession[Engine]", self._succession)

        async def restore(page: Sequence[Export]) -> int:
            """By pages: whose vectors are in use may change meanwhile, and records may not come twice."""
            return await succession.call(Engine._restored, page)

        counts = await upkeep.imported(self._store, records, restore, self._settings.tenant, tally)
        await succession.call(Engine._go_on, jobs=counts["jobs"] > 0)
        return {"imported": counts, **({"redacted": dict(tally.found)} if tally.found else {})}

    async def _restored(self, page: Sequence[Export]) -> int:
        await self._open()
        return await upkeep.restored(self._store, page, self._entries_at_hand)

    async def _go_on(self, *, jobs: bool) -> None:
        """Do what an import leaves to be done."""
        if jobs:
            self._wake()
        await self._following.settle()
