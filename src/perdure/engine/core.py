"""What the verbs share: the parts, opening and closing, embedding, reading and changing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from perdure.arguments import shown
from perdure.engine import ingest, requests
from perdure.engine.caching import Caching
from perdure.engine.caching.answers import Asked, Make
from perdure.engine.calls import Calls
from perdure.engine.categories import Categories
from perdure.engine.derived import derive
from perdure.engine.embedding import kept, lacking, vectors_of
from perdure.engine.indexes import Indexes
from perdure.engine.rank import DEFAULT_THRESHOLD
from perdure.engine.recall import Ask, Hit, Recall, Seen, together
from perdure.engine.redaction import Rules
from perdure.engine.scoping import Reach, reach
from perdure.engine.shape import (
    EventDict,
    MemoryDict,
    Results,
    done_dict,
    event_dict,
    memory_dict,
    relation_dicts,
)
from perdure.engine.succession import Succession
from perdure.engine.turns import Turns
from perdure.engine.words import ANALYZER_VERSION
from perdure.engine.work.vectors import LateVectors
from perdure.engine.work.worker import Do, Worker
from perdure.errors import (
    Closed,
    Conflict,
    ModelUnavailable,
    NotFound,
    PerdureError,
    Unavailable,
)
from perdure.filters import EVERYTHING, conjoin
from perdure.ids import new_id
from perdure.moments import iso
from perdure.ports import (
    LLM,
    Batch,
    Calibrated,
    Committed,
    Embedder,
    Entry,
    Job,
    Query,
    Redactor,
    Reranker,
    Shortens,
    Space,
    Store,
    Write,
)
from perdure.ports.caches import Caches
from perdure.ports.derived import GraphEngine, VectorEngine
from perdure.settings import Settings
from perdure.threads import Threads
from perdure.types import Memory, Turn, said, utc_now

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.engine.learning import Learner

ATTEMPTS = 5
"""How often a change is tried again when somebody else changed the same memory first."""


CLOSED = "this memory was closed: open another"
DECLINED = "found by words alone: the content filter of the embedding model declines the question"


class Core:
    """A store, an embedder and a reranker at work together."""

    def __init__(
        self,
        *,
        store: Store,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        llm: LLM | None = None,
        settings: Settings | None = None,
        redactor: Redactor | None = None,
        caches: Caches | None = None,
        vectors: VectorEngine | None = None,
        graph: GraphEngine | None = None,
        clock: Callable[[], datetime] = utc_now,
        former: Core | None = None,
    ) -> None:
        """Args: former: the same with the former embedder, and parts of its own; it serves until its vectors are gone."""
        self._store = store
        self._settings = settings or Settings()
        self._caching = Caching(
            caches or Caches(), store=store, embedder=embedder, reranker=reranker, settings=self._settings
        )
        self._embedder = self._caching.embedder
        rules = Rules(self._settings.redact) if self._settings.redact else None
        self._redactors = tuple(one for one in (redactor, rules) if one is not None)
        self._clock = clock
        self._calls = Calls(self._settings.calls_at_once)
        self._threads = Threads("rank", self._settings.workers)
        self._following, legs = derive(
            store, embedder=embedder, vectors=vectors, graph=graph, settings=self._settings, clock=clock
        )
        self._indexes = Indexes(
            store,
            dimensions=embedder.dimensions if embedder else None,
            max_bytes=self._settings.index_bytes,
            work=self._work,
            with_vectors=vectors is None,
        )
        self._turns = Turns()
        self._categories = Categories(
            self._settings.categories if self._settings.categorize else {},
            near=_nearness(embedder),
        )
        self._recall = Recall(store, self._indexes, self._caching.reranker, self._turns, legs)
        self._answers = self._caching.answers(self._indexes, self._recall, clock)
        self._reranker = reranker
        self._llm = llm
        self._learner = self._made_learner()
        self._worker = Worker(
            store,
            self._settings.tenant,
            self._handlers(),
            clock=clock,
            at_once=self._settings.jobs_at_once,
            attempts=self._settings.job_attempts,
            lease=timedelta(seconds=self._settings.lease),
            event=self._event,
            overtaken=self._overtaken,
            unasked=self._settings.background,
        )
        self._opening: asyncio.Task[None] | None = None
        self._arrivals = asyncio.Lock()
        self._space_checked = False
        self._closed = False
        self._succession: Succession[Core] = Succession(self, former)
        self._taking_over: set[asyncio.Task[None]] = set()
        if former is not None:
            former._succession, former._calls = self._succession, self._calls  # noqa: SLF001  # one of our own

    def _made_learner(self) -> Learner | None:
        """What learns with the language model, if there is one: others do not load it."""
        if self._llm is None:
            return None
        from perdure.engine.learning import Learner

        return Learner(
            self._llm,
            store=self._store,
            indexes=self._indexes,
            embedder=self._embedder,
            settings=self._settings,
            clock=self._clock,
            turns=self._turns,
        )

    def _handlers(self) -> dict[str, Do]:
        """What can be done here after an add, by the kind of the job."""
        done: dict[str, Do] = {}
        if self._embedder is not None:
            late = LateVectors(
                self._store,
                self._indexes,
                self._embedder,
                self._categories,
                clock=self._clock,
                attempts=self._settings.job_attempts,
            )
            done[ingest.VECTORS] = self._then_told(late.do)
        if self._learner is not None:
            done[ingest.FACTS] = done[ingest.PROCEDURE] = self._then_told(self._learner.learn)
        return done

    def _then_told(self, do: Do) -> Do:
        """What does a job, and tells the engines of it."""

        async def both(job: Job) -> None:
            await do(job)
            await self._following.tell([job.partition])

        return both

    async def __aenter__(self) -> Self:
        await self._open(check_space=False)  # `reindex` and its like are for stores of another space
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give everything back; what was acknowledged is on disk already."""
        if (former := self._succession.former) is not None and former is not self:
            await former.close()
        self._closed = True
        if self._opening is not None:
            if not self._opening.done():
                await asyncio.wait([self._opening])
            await self._worker.close(self._settings.close_wait)
        await self._following.aclose()
        await self._caching.aclose()  # what it writes behind may go into the store
        if self._opening is not None:
            await self._store.aclose()
        if self._embedder is not None:
            await self._embedder.aclose()
        if self._reranker is not None:
            await self._reranker.aclose()
        if self._llm is not None:
            await self._llm.aclose()
        self._threads.close()
        self._indexes.drop()

    @property
    def _space(self) -> Space:
        """What this engine's entries are computed with."""
        if self._embedder is None:
            return Space(analyzer=ANALYZER_VERSION)
        return Space(
            analyzer=ANALYZER_VERSION, model=self._embedder.model, dimensions=self._embedder.dimensions
        )

    def _limit(self, top_k: int | None, limit: int | None, *, rerank: bool) -> int:
        """How many results a search gives: what the caller says, else what is enough for the reranker, else as set."""
        enough = _enough(self._reranker) if rerank else None
        return requests.limit(top_k, limit, self._settings.top_k if enough is None else enough)

    @property
    def _default_threshold(self) -> float:
        configured = self._settings.threshold
        return DEFAULT_THRESHOLD if configured is None else configured

    async def _open(self, *, check_space: bool = True) -> None:
        """Open the store at first use; those who come meanwhile wait for the same opening, and go on in their order.

        Upkeep takes a store as it is (`check_space=False`); what reads or writes entries afterwards checks it.
        """
        if self._closed:
            raise Closed(CLOSED)
        opening = self._opening
        failed = opening is not None and opening.done() and (opening.cancelled() or opening.exception())
        if opening is None or failed or (check_space and not self._space_checked):
            self._space_checked = check_space
            self._arrivals = asyncio.Lock()  # of this loop, as the opening is
            opening = self._opening = asyncio.create_task(self._opened(self._space if check_space else None))
        async with self._arrivals:  # or who comes when it is just open would pass those who have waited
            await asyncio.shield(opening)

    async def _opened(self, space: Space | None) -> None:
        await self._store.open(space)
        if space is not None and self._settings.background:
            self._following.wake()  # an earlier process may have left something untold

    def _overtaken(self) -> None:
        """Another model's vectors are in use, as background work was told: who has that model goes on with it."""
        other = self._succession.after(self)
        if other is not None:
            task = asyncio.create_task(other._take_over())  # noqa: SLF001  # one of our own
            self._taking_over.add(task)
            task.add_done_callback(self._taking_over.discard)

    async def _take_over(self) -> None:
        with suppress(PerdureError):  # the next call is told why
            await self._open()
            self._wake()

    async def _commit(self, batch: Batch) -> Committed:
        """Commit, and tell the engines: what they cannot take in just now, they are told later."""
        committed = await self._stored(batch)
        await self._following.tell([batch.partition])
        return committed

    async def _stored(self, batch: Batch) -> Committed:
        """Commit; what is stored although its caller gave up meanwhile is found by those who work behind.

        Raises:
            Closed: this memory is being closed: nobody would be left to do what the batch leaves on.
        """
        if self._closed:
            raise Closed(CLOSED)
        try:
            return await self._store.commit(batch)
        except asyncio.CancelledError:
            self._wake()
            self._following.wake()
            raise

    async def _work(self, function: Callable[..., Any], *args: Any) -> Any:
        return await self._threads.run(function, *args)

    async def _embedded(self, texts: Sequence[str], entries: Sequence[Entry]) -> list[Entry]:
        """The entries with the vectors of their texts, embedded in one batch."""
        if self._embedder is None:
            return list(entries)
        vectors = await vectors_of(self._embedder, [*texts, *self._categories.unknown])
        self._categories.learn(vectors[len(texts) :])
        return [replace(entry, vectors=kept(made)) for entry, made in zip(entries, vectors, strict=False)]

    async def _entered(self, texts: Sequence[str], entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
        """Entries with vectors; without them, and what is pending, when the embedder cannot be had just now."""
        try:
            return await self._embedded(texts, entries), []
        except (ModelUnavailable, Unavailable) as error:
            return list(entries), [lacking(error)]

    def _sorted(self, memories: Sequence[Memory], entries: Sequence[Entry]) -> list[Memory]:
        """The memories, with the nearest categories where nobody gave any."""
        if self._embedder is None:
            return list(memories)
        return self._categories.sorted(memories, entries, self._embedder.dimensions)

    async def _entries_of(self, memories: Sequence[Memory]) -> list[Entry]:
        return await self._embedded([m.text for m in memories], [ingest.analysed(m) for m in memories])

    async def _entries_at_hand(self, memories: Sequence[Memory]) -> list[Entry]:
        return (await self._entered([m.text for m in memories], [ingest.analysed(m) for m in memories]))[0]

    def _wake(self) -> None:
        """There is something to do that nobody waits for."""
        if self._settings.background:
            self._worker.wake()

    async def _event(self, event_id: str) -> EventDict:
        """What has become of an add.

        Raises:
            NotFound: there is no such add, or it was erased.
        """
        tenant = self._settings.tenant
        for job in await self._store.jobs(tenant, ids=[event_id]):
            return event_dict(job, self._clock())
        if written := await self._store.written(tenant, event_id):
            turns = await self._store.turns(tenant, [change.memory_id for change in written])
            return done_dict(event_id, written, turns={turn.id for turn in turns})
        raise NotFound(f"there is no add with the event id {shown(event_id, most=80)}")

    def _reach(
        self,
        named: Mapping[str, object],
        filters: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        *,
        trusted_only: bool = False,
    ) -> Reach:
        narrowed = conjoin(requests.within(categories), requests.trusted(trusted_only))
        return reach(self._settings.tenant, named, filters, None if narrowed == EVERYTHING else narrowed)

    async def _search(self, texts: Sequence[str], **asked: Any) -> list[Results]:
        return await self._answered("search", texts, partial(self._found, **asked), asked)

    async def _found(self, texts: Sequence[str], seen: Sequence[Seen], **asked: Any) -> list[Results]:
        found, stated = await asyncio.gather(
            self._hits(texts, seen, **asked), self._stated(texts, seen, **asked)
        )
        return [
            await self._answer(hits, around, noted.notes)
            for hits, around, noted in zip(found, stated, seen, strict=True)
        ]

    async def _answered(
        self, verb: str, texts: Sequence[str], make: Make, asked: Mapping[str, Any]
    ) -> list[Any]:
        """Answers that were made before and are still right, or what `make` makes of the texts.

        Args:
            asked: all that an answer depends on besides: `reach`, `known_at`, `reference` and more. Where a function
                is among it, nobody can tell what that will say the next time.
        """
        texts = [requests.query(text, self._settings.max_query_bytes) for text in texts]
        await self._open()
        if self._answers is None or any(map(callable, asked.values())):
            return list(await make(texts, [Seen() for _ in texts]))
        fixed = (asked["known_at"] or asked["reference"]) is not None
        wishes = (verb, *(wish for wish in asked.items() if wish[0] != "reach"))
        return await self._answers.of(Asked(reach=asked["reach"], wishes=wishes, fixed=fixed), texts, make)

    async def _answer(self, hits: Sequence[Hit], around: Sequence[Memory], notes: list[str]) -> Results:
        answer: Results = {"results": await self._shaped(hits)}
        if relations := relation_dicts([*(hit.memory for hit in hits), *around]):
            answer["relations"] = relations
        if notes:
            answer["notes"] = notes
        return answer

    def _asks(
        self,
        texts: Sequence[str],
        seen: Sequence[Seen],
        *,
        known_at: datetime | None,
        reference: datetime | None,
        **asked: Any,
    ) -> list[Ask]:
        now = reference or known_at or self._clock()
        return [
            Ask(text=text, now=now, known_at=known_at, seen=noted, **asked)
            for text, noted in zip(texts, seen, strict=True)
        ]

    async def _hits(self, texts: Sequence[str], seen: Sequence[Seen], **asked: Any) -> list[list[Hit]]:
        """What answers each text."""
        asks = self._asks(texts, seen, **asked)
        embedding = asyncio.ensure_future(self._vectors(texts))  # while the indexes are caught up
        try:
            found = await together(
                [self._recall.search(ask, partial(_nth, embedding, i)) for i, ask in enumerate(asks)]
            )
            for noted, lacking in zip(seen, (await embedding)[1], strict=True):
                if lacking is not None:
                    noted.lacks(lacking)
            return found
        finally:
            embedding.cancel()

    async def _stated(
        self, texts: Sequence[str], seen: Sequence[Seen], **asked: Any
    ) -> list[Sequence[Memory]]:
        """Facts that state something of what each text names, by a graph engine."""
        return await together([self._recall.stated(ask) for ask in self._asks(texts, seen, **asked)])

    async def _vectors(
        self, texts: Sequence[str]
    ) -> tuple[list[NDArray[np.float32] | None], list[str | None]]:
        """The texts' embeddings, and of each that has none, what to tell the caller."""
        if self._caching.questions is None:
            return [None] * len(texts), [None] * len(texts)
        try:
            made = await self._caching.questions.embed(texts)
        except (ModelUnavailable, Unavailable) as error:
            return [None] * len(texts), [f"found by words alone: {error}"] * len(texts)
        vectors = [vector if vector.any() else None for vector in made]
        return vectors, [DECLINED if vector is None else None for vector in vectors]

    async def _shaped(self, hits: Sequence[Hit]) -> list[MemoryDict]:
        """Hits as callers see them, each with the words that it came from."""
        shaped = await self._told([hit.memory for hit in hits])
        for hit, shape in zip(hits, shaped, strict=True):
            shape["score"] = round(hit.score, 6)
            if hit.why is not None:
                shape["explain"] = dict(hit.why)
        return shaped

    async def _told(self, memories: Sequence[Memory]) -> list[MemoryDict]:
        """Memories as callers see them, each with the words that it came from."""
        turns = await self._sources(memories)
        return [
            memory_dict(memory, sources=[turns[source] for source in memory.sources if source in turns])
            for memory in memories
        ]

    async def _sources(self, memories: Sequence[Memory]) -> dict[str, Turn]:
        """The turns that these came from; the first version of a turn's own memory holds its very words."""
        own = {
            memory.id: said(memory) for memory in memories if memory.kind == "turn" and memory.version == 1
        }
        wanted = list(dict.fromkeys(s for memory in memories for s in memory.sources if s not in own))
        read = await self._store.turns(self._settings.tenant, wanted) if wanted else []
        return own | {turn.id: turn for turn in read}

    async def _find(self, asked: Reach, **options: Any) -> list[Memory]:
        partitions = tuple(await self._recall.partitions(asked)) if asked.scoped else None
        now = options.get("known_at") or self._clock()
        return await self._store.find(
            Query(tenant=asked.tenant, filter=asked.filter, partitions=partitions, now=now, **options)
        )

    async def _known(self, memory_id: str) -> Memory:
        memory = await self._store.get(self._settings.tenant, requests.identifier(memory_id))
        if memory is None:
            raise NotFound(f"no memory has the id {shown(memory_id)}")
        return memory

    async def _current(self, memory_id: str) -> Memory:
        memory = await self._known(memory_id)
        if memory.retired_at is not None:
            raise NotFound(
                f"the memory {memory_id!r} was deleted at {iso(memory.retired_at)}: history() still has it"
            )
        return memory

    async def _change(
        self, memory_id: str, decide: Callable[[Memory, datetime], Awaitable[tuple[Write, ...]]]
    ) -> Committed:
        """Change the current version of a memory, again from its newest when somebody else was first."""
        for attempt in range(ATTEMPTS):
            memory = await self._current(memory_id)
            now = self._clock()  # one moment ends the old version and begins the new one
            writes = await decide(memory, now)
            try:
                return await self._commit(
                    Batch(id=new_id(), partition=memory.scope.partition, at=now, writes=writes)
                )
            except Conflict:
                if attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _silenced(self, memory: Memory) -> list[Write]:
        """The ends of the turns' memories that only this fact came from."""
        if memory.kind == "turn":
            return []
        index = await self._indexes.current(memory.scope.partition)
        facts = [int(ord_) for ord_ in index.ords.values[index.placeless & index.alive.values]]
        held = await self._store.read(memory.scope.partition, facts)
        needed = {source for other in held if other.id != memory.id for source in other.sources}
        found = [
            await self._store.get(memory.scope.tenant, source)
            for source in memory.sources
            if source not in needed
        ]
        return [
            Write(event="DELETE", memory_id=m.id, replaces=m.ord, reason=f"only source of {memory.id}")
            for m in found
            if m is not None and m.retired_at is None
        ]

    async def _retire(self, memories: Sequence[Memory]) -> int:
        """Retire these versions; what somebody else changed meanwhile is left to the next look."""
        owners: dict[Any, list[Memory]] = {}
        for memory in memories:
            owners.setdefault(memory.scope.partition, []).append(memory)
        retired = 0
        for partition, held in owners.items():
            writes = tuple(Write(event="DELETE", memory_id=m.id, replaces=m.ord) for m in held)
            try:
                await self._commit(Batch(id=new_id(), partition=partition, at=self._clock(), writes=writes))
                retired += len(held)
            except Conflict:
                continue
        return retired


def _nearness(embedder: object) -> float | None:
    return embedder.nearness if isinstance(embedder, Calibrated) else None


def _enough(reranker: object) -> int | None:
    return reranker.top_k if isinstance(reranker, Shortens) else None


async def _nth(
    embedding: Awaitable[tuple[list[NDArray[np.float32] | None], list[str | None]]], place: int
) -> NDArray[np.float32] | None:
    return (await embedding)[0][place]
