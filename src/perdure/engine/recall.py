"""`search`: legs fetched together, ranked purely, merged, and read from the truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np

from perdure.engine.columns import Rows
from perdure.engine.dates import question_interval
from perdure.engine.derived.legs import NO_LEGS, Legs, Nearness
from perdure.engine.index import NEVER
from perdure.engine.indexes import Indexes
from perdure.engine.judging import believed
from perdure.engine.rank import Ranked, Ranking
from perdure.engine.scoping import Reach
from perdure.engine.turns import Turns
from perdure.engine.words import QueryWords, read_query
from perdure.errors import ConfigurationError, Unavailable
from perdure.moments import micros
from perdure.ports import Query, Reranker, Stand, Store
from perdure.types import Memory, Mention, Partition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perdure.engine.index import Mask, PartitionIndex

T = TypeVar("T")

Vector: TypeAlias = "Callable[[], Awaitable[NDArray[np.float32] | None]]"
"""Gives a question's embedding, of unit length; None when there is no model."""

RERANK_DEPTH = 50
"""So many of the best are shown to a reranker, before the cut."""

SOURCES = 20
"""So many more are looked at, at most, than are wanted: a fact and its source count as one."""

PARTITIONS_AT_ONCE = 16
"""A wide search takes its partitions in groups of so many, to keep memory bounded."""


@dataclass(slots=True)
class Seen:
    """What an answer rests on, noted while it is searched for."""

    stands: dict[Partition, Stand] = field(default_factory=dict)
    """The partitions searched, each as it stood before anything else was read."""
    since: int = 0
    """Of the moments (microseconds) around the search's now between which the same memories are to be seen."""
    until: int = NEVER
    language: str | None = None
    """Of the question, as far as it could be told."""
    when: Mention | None = None
    """The time that the question asks about, counted from the search's now."""

    notes: list[str] = field(default_factory=list)
    """What was lacking, for the caller."""

    def lacks(self, what: str) -> None:
        """Something was not looked at."""
        if what not in self.notes:
            self.notes.append(what)

    def note(self, partition: Partition, index: PartitionIndex, now: datetime) -> None:
        """A partition is searched, by its index as it is now."""
        since, until = index.steady(micros(now))
        self.stands[partition] = index.stand
        self.since, self.until = max(self.since, since), min(self.until, until)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One search, understood."""

    text: str
    reach: Reach
    limit: int
    threshold: float
    now: datetime
    as_of: datetime | None = None
    known_at: datetime | None = None
    show_expired: bool = False
    show_superseded: bool = False
    rerank: bool = False
    explain: bool = False
    seen: Seen = field(default_factory=Seen, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One memory that was found; `score` is 0 to 1 on absolute evidence."""

    memory: Memory
    score: float
    why: Mapping[str, Any] | None = None
    """Each leg, term and boost, when the search asked for it."""
    before: int | None = None
    """`ord` of the turn before it in its session, if the search may see that one too; likewise `after`."""
    after: int | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    partition: Partition
    ord: int
    score: float
    ranked: Ranked
    place: int
    before: int | None
    after: int | None


class Recall:
    """Finds; the store tells the truth, the indexes are its shadow in memory."""

    def __init__(
        self,
        store: Store,
        indexes: Indexes,
        reranker: Reranker | None,
        turns: Turns,
        legs: Legs = NO_LEGS,
    ) -> None:
        self._legs = legs
        self._store = store
        self._indexes = indexes
        self._reranker = reranker
        self._turns = turns

    async def search(self, ask: Ask, vector: Vector) -> list[Hit]:
        """What answers the question, best first.

        Args:
            vector: gives the question's embedding, when it is needed.
        """
        query = read_query(ask.text)
        query = replace(query, when=question_interval(ask.text, ask.now, query.language))
        ask.seen.language, ask.seen.when = query.language, query.when
        depth = max(ask.limit, RERANK_DEPTH) if self._reranks(ask) else ask.limit
        partitions = await self.partitions(ask.reach)
        best: list[_Candidate] = []
        for start in range(0, len(partitions), PARTITIONS_AT_ONCE):
            group = partitions[start : start + PARTITIONS_AT_ONCE]
            found = await together([self._within(p, ask, query, vector, depth) for p in group])
            best = sorted((c for part in (best, *found) for c in part), key=lambda c: -c.score)[
                : depth + SOURCES
            ]
        hits = one_of_each(
            await self._read([c for c in best if c.score >= ask.threshold], explain=ask.explain)
        )
        if self._reranks(ask):
            hits = await self._second_opinion(ask, hits)
        return hits[: ask.limit]

    async def partitions(self, reach: Reach) -> Sequence[Partition]:
        """Where memories within this reach can be."""
        if reach.partitions is not None:
            return reach.partitions
        return await self._store.partitions(reach.tenant, reach.within)

    def _reranks(self, ask: Ask) -> bool:
        return ask.rerank and self._reranker is not None

    async def _within(
        self,
        partition: Partition,
        ask: Ask,
        query: QueryWords,
        vector: Vector,
        limit: int,
    ) -> list[_Candidate]:
        index = await self._index(partition, ask)
        ask.seen.note(partition, index, ask.now)  # what is read later may be newer, and never older
        if not len(index) or not limit:
            return []
        await self._turns.take()
        ranking = _ranking(index, ask, query)  # while the question is being embedded
        ords, meant = await self._wanted(partition, ask), await vector()
        near = await self._nearness(partition, index, ask, meant, ords)
        await self._turns.take()
        if not ranking.stands(with_vectors=near is not None and index.has_vectors):
            ranking = _ranking(index, ask, query, with_vectors=near is not None)
        more = SOURCES if index.placeless.any() else 0
        return _best(partition, ranking, near=near, ords=ords, limit=limit + more)

    async def _nearness(
        self,
        partition: Partition,
        index: PartitionIndex,
        ask: Ask,
        vector: NDArray[np.float32] | None,
        ords: Sequence[int] | None,
    ) -> Nearness | None:
        """How near rows are to the question, by the index or by an engine; None: words alone decide."""
        if vector is None or not index.has_vectors:
            return None
        if index.holds_vectors or self._legs.vectors is None:
            return lambda then: then.cosines(vector)
        try:
            found, lacking = await self._legs.vectors.candidates(partition, index, vector, ords)
        except (Unavailable, ConfigurationError) as error:
            ask.seen.lacks(f"found without vectors: {error}")
            return None
        if lacking:
            ask.seen.lacks(f"vectors of the latest {lacking} were not looked at: the engine is behind")
        return found.over

    async def stated(self, ask: Ask) -> list[Memory]:
        """Facts that state something of what the question names, by the graph engine, if there is one."""
        partitions = [] if self._legs.graph is None else await self.partitions(ask.reach)
        if len(partitions) > PARTITIONS_AT_ONCE:
            return []
        found = await together([self._stated_in(partition, ask) for partition in partitions])
        return [memory for some in found for memory in some]

    async def _stated_in(self, partition: Partition, ask: Ask) -> list[Memory]:
        assert self._legs.graph is not None
        index = await self._index(partition, ask)
        try:
            found, lacking = await self._legs.graph.around(partition, index.head, ask.text)
        except (Unavailable, ConfigurationError) as error:
            ask.seen.lacks(f"found without the graph: {error}")
            return []
        if lacking:
            ask.seen.lacks(f"relations of the latest {lacking} were not looked at: the graph is behind")
        wanted = await self._wanted(partition, ask)
        seen = _visible(index, ask)
        rows = [row for row in index.rows_of(found) if seen[row]]
        ords = {int(index.ords.values[row]) for row in rows}
        if wanted is not None:
            ords &= set(wanted)
        return await self._store.read(partition, [ord_ for ord_ in found if ord_ in ords])

    async def _index(self, partition: Partition, ask: Ask) -> PartitionIndex:
        if ask.known_at is not None:
            return await self._indexes.at(partition, ask.known_at)
        return await self._indexes.current(partition)

    async def _wanted(self, partition: Partition, ask: Ask) -> list[int] | None:
        """The rows that the filter lets through; None: all."""
        if ask.reach.filter is None:
            return None
        return await self._store.select(
            partition,
            Query(
                tenant=ask.reach.tenant,
                filter=ask.reach.filter,
                now=ask.now,
                known_at=ask.known_at,
                show_expired=True,
                show_superseded=True,
            ),
        )

    async def _read(self, candidates: Sequence[_Candidate], *, explain: bool) -> list[Hit]:
        """The memories of the candidates, from the truth: what is gone meanwhile is left out."""
        rows = await self.versions([(c.partition, c.ord) for c in candidates])
        return [
            Hit(
                memory=rows[c.partition, c.ord],
                score=c.score,
                why=c.ranked.explain(c.place) if explain else None,
                before=c.before,
                after=c.after,
            )
            for c in candidates
            if (c.partition, c.ord) in rows
        ]

    async def versions(self, wanted: Iterable[tuple[Partition, int]]) -> dict[tuple[Partition, int], Memory]:
        """The versions with these row numbers, those that are there."""
        ords: dict[Partition, list[int]] = {}
        for partition, ord_ in wanted:
            ords.setdefault(partition, []).append(ord_)
        read = await together([self._store.read(partition, those) for partition, those in ords.items()])
        return {
            (partition, memory.ord): memory
            for partition, memories in zip(ords, read, strict=True)
            for memory in memories
        }

    async def _second_opinion(self, ask: Ask, hits: list[Hit]) -> list[Hit]:
        """The hits by the reranker's scores; as they were, and a note, when it gives none."""
        if self._reranker is None or not hits:
            return hits
        try:
            given = await self._reranker.rerank(ask.text, [hit.memory.text for hit in hits])
            scores = believed(given, len(hits))
        except (ConfigurationError, Unavailable) as error:
            ask.seen.lacks(f"not reranked: {error}")
            return hits
        judged = [
            replace(hit, score=score, why=hit.why and {**hit.why, "before_rerank": round(hit.score, 4)})
            for hit, score in zip(hits, scores, strict=True)
        ]
        return sorted(judged, key=lambda hit: -hit.score)


def one_of_each(hits: Sequence[Hit]) -> list[Hit]:
    """A fact and a turn that it came from are one hit: the fact, where the better of the two stood."""
    found: list[Hit] = []
    told: set[str] = set()
    facts = [hit for hit in hits if hit.memory.kind == "fact"]
    by_source = {source: fact for fact in reversed(facts) for source in fact.memory.sources}
    for hit in hits:
        fact = by_source.get(hit.memory.id, hit)
        if fact.memory.id not in told:
            told.add(fact.memory.id)
            found.append(replace(fact, score=max(fact.score, hit.score)))
    return found


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; of a single one without a task of its own, which would cost two rounds of the loop."""
    return [await work[0]] if len(work) == 1 else await asyncio.gather(*work)


def _visible(index: PartitionIndex, ask: Ask) -> Mask:
    """The rows that a search may see."""
    return index.visible(
        micros(ask.now),
        as_of=None if ask.as_of is None else micros(ask.as_of),
        expired=ask.show_expired,
        superseded=ask.show_superseded,
    )


def _ranking(index: PartitionIndex, ask: Ask, query: QueryWords, *, with_vectors: bool = True) -> Ranking:
    with_vectors = with_vectors and index.has_vectors
    return Ranking(index, query, visible=_visible(index, ask), with_vectors=with_vectors)


def _best(
    partition: Partition,
    ranking: Ranking,
    *,
    near: Nearness | None,
    ords: Sequence[int] | None,
    limit: int,
) -> list[_Candidate]:
    """The best rows of an index, named by what outlives its next change.

    An index changes whenever the event loop goes on, and row numbers with it: what is in here must never wait.
    """
    index = ranking.index
    mask = None if ords is None else index.mask(ords)
    ranked = ranking.best(near and near(index), wanted=mask, limit=limit)
    seen = ranking.seen if mask is None else ranking.seen & mask
    found = zip(
        index.ords.values[ranked.rows].tolist(),
        ranked.scores.tolist(),
        _beside(index, ranked, index.previous.values, seen),
        _beside(index, ranked, index.next.values, seen),
        strict=True,
    )
    return [
        _Candidate(partition, ord_, score, ranked, place, before or None, after or None)
        for place, (ord_, score, before, after) in enumerate(found)
    ]


def _beside(index: PartitionIndex, ranked: Ranked, links: Rows, seen: Mask) -> list[int]:
    """The `ord`s of the rows that the best are linked to; 0 where there is none, or none to be seen."""
    rows = links[ranked.rows]
    ords: list[int] = np.where(seen[rows], index.ords.values[rows], 0).tolist()
    return ords
