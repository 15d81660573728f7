"""Does the jobs that `add` leaves: asks the model, decides, commits; or says what is pending and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from perdure.engine.indexes import Indexes
from perdure.engine.learning.answer import Extraction, read
from perdure.engine.learning.lines import Lines
from perdure.engine.learning.prompt import VERSION, ask
from perdure.engine.learning.reconcile import Decision, reconcile
from perdure.engine.learning.repair import Unreadable
from perdure.engine.learning.surroundings import Surroundings, alike
from perdure.engine.learning.writing import KEPT, Writing, refinements
from perdure.engine.words import pieces
from perdure.errors import Conflict, ModelUnavailable, Unavailable
from perdure.ports import LLM, Batch, Embedder, Job, Jobs, Store
from perdure.settings import CATEGORIES, Settings
from perdure.types import Memory, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ATTEMPTS: Final = 5
"""How often a commit is tried again because somebody else changed a memory that it is about."""
MAX_ANSWER: Final = 65_536
"""Characters of an unreadable answer that are kept for inspection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job."""

    decisions: tuple[Decision, ...] = ()
    ids: tuple[str | None, ...] = ()
    """The memory that each decision made or confirmed."""
    dropped: tuple[str, ...] = ()
    pending: str | None = None
    """Why it is still to be done."""


@dataclass(frozen=True, slots=True)
class _Unanswered(Exception):  # never leaves this module
    """The model gave nothing that can be used."""

    reason: str
    answer: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A job and what it is about."""

    job: Job
    turns: tuple[Turn, ...]
    own: tuple[Memory, ...]
    """The turns' own memories."""
    around: Surroundings


class Learner:
    """Learns from turns that are stored already; whatever goes wrong, they stay, and their job with them."""

    def __init__(
        self,
        llm: LLM,
        *,
        store: Store,
        indexes: Indexes,
        embedder: Embedder | None,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        self._llm = llm
        self._store = store
        self._indexes = indexes
        self._embedder = embedder
        self._settings = settings
        self._clock = clock
        self._lines = Lines()
        self._categories = CATEGORIES if settings.categories is None else settings.categories

    @property
    def derived_by(self) -> str:
        """What facts say of how they came about."""
        return f"{self._llm.model}/{VERSION}"

    async def learn(self, job: Job, own: Sequence[Memory] | None = None) -> Outcome:
        """Do a job; jobs of one partition ask at the same time and are finished in the order of these calls.

        Args:
            own: the current memories of the job's turns, where the caller has them.
        """
        with self._lines.stand(job.partition) as place:
            turns = await self._store.turns(job.partition.tenant, job.turns)
            if own is None:
                own = await self._own(job, turns)
            if not own:
                return await self._nothing_left(job)
            ids = {memory.id for memory in own}
            work = _Work(
                job=job,
                turns=tuple(turn for turn in turns if turn.id in ids),
                own=tuple(own),
                around=Surroundings(self._store, self._indexes, job.partition),
            )
            shown = await work.around.near(work.turns, self._clock())
            try:
                extraction = await self._extract(work, shown)
            except _Unanswered as failure:
                return await self._leave(work, failure)
            texts = [*(memory.text for memory in own), *(fact.text for fact in extraction.facts)]
            vectors, trouble = await self._embedded(texts)
            await place.first()
            outcome = await self._commit(work, shown, extraction, vectors)
            return replace(outcome, dropped=(*outcome.dropped, *trouble))

    async def _own(self, job: Job, turns: Sequence[Turn]) -> list[Memory]:
        """The current memories of turns; of those deleted meanwhile nothing is learned."""
        found = await asyncio.gather(*(self._store.get(job.partition.tenant, turn.id) for turn in turns))
        return [memory for memory in found if memory is not None and memory.retired_at is None]

    async def _nothing_left(self, job: Job) -> Outcome:
        with suppress(Conflict):  # somebody else has found out, too
            batch = Batch(id=job.id, partition=job.partition, at=self._clock(), done=(job.id,))
            await self._store.commit(batch)
        return Outcome(dropped=("the turns were deleted meanwhile",))

    async def _extract(self, work: _Work, shown: Sequence[Memory]) -> Extraction:
        """What the model finds in the turns.

        Raises:
            _Unanswered: it cannot be had, or cannot be understood, twice.
        """
        said: dict[str, Any] = {
            "earlier": await work.around.earlier(work.own),
            "near": shown,
            "categories": self._categories,
            "wishes": (self._settings.instructions, str(work.job.options.get("prompt") or "")),
        }
        answer = None
        for again in (False, True):
            try:
                completion = await self._llm.complete(ask(work.turns, again=again, **said))
            except (Unavailable, ModelUnavailable) as error:
                raise _Unanswered(str(error), answer) from error
            except (
                Exception
            ) as error:  # what others wrote may raise anything, and the turns are not to suffer
                raise _Unanswered(f"the model failed: {type(error).__name__}", answer) from error
            answer = completion.text[:MAX_ANSWER]
            try:
                return read(
                    completion.text,
                    turns=len(work.turns),
                    near=len(shown),
                    categories=self._categories,
                    most=self._settings.max_facts,
                )
            except Unreadable as error:
                reason = f"the answer of {self._llm.model} cannot be read: {error}"
        raise _Unanswered(reason, answer)

    async def _leave(self, work: _Work, failure: _Unanswered) -> Outcome:
        """The job stays, and says why; its turns get their vectors all the same."""
        job = work.job
        if isinstance(self._store, Jobs):
            tried = replace(job, attempts=job.attempts + 1, error=failure.reason, answer=failure.answer)
            await self._store.keep_job(tried)
        vectors, _ = await self._embedded([memory.text for memory in work.own])
        if vectors is not None:
            writes = tuple(refinements(work.own, vectors, salience=None))
            batch = Batch(id=job.id, partition=job.partition, at=self._clock(), writes=writes)
            await self._store.commit(batch)
        return Outcome(pending=failure.reason)

    async def _embedded(self, texts: Sequence[str]) -> tuple[list[NDArray[np.float32]] | None, list[str]]:
        """For each text the vectors of its pieces, all made in one call; None when there is no model."""
        if self._embedder is None:
            return None, []
        parts = [pieces(text) for text in texts]
        try:
            made = await self._embedder.embed([piece for part in parts for piece in part])
        except (ModelUnavailable, Unavailable) as error:
            return None, [f"vectors, to be made by reindex(): {error}"]
        ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
        return [made[end - len(part) : end] for end, part in zip(ends, parts, strict=True)], []

    async def _commit(
        self,
        work: _Work,
        shown: Sequence[Memory],
        extraction: Extraction,
        vectors: list[NDArray[np.float32]] | None,
    ) -> Outcome:
        """Decide on what is there now, and store it; again from there, when somebody else was first."""
        facts, turns, job, own = extraction.facts, work.turns, work.job, work.own
        origin_of = {memory.id: memory.origin for memory in own}
        of_turns = None if vectors is None else vectors[: len(own)]
        of_facts = None if vectors is None else vectors[len(own) :]
        for _ in range(ATTEMPTS):
            now = self._clock()
            decisions = reconcile(
                facts,
                await work.around.rivals(turns[0].scope, shown, facts, of_facts, now=now),
                shown=[memory.id for memory in shown],
                origins=[origin_of[turn.id] for turn in turns],
                said_at=[turn.said_at for turn in turns],
                alike=alike(of_facts),
            )
            writes, ids = Writing(turns, own, by=self.derived_by, now=now).of(decisions, of_facts)
            writes = [*refinements(own, of_turns, salience=KEPT), *writes]
            batch = Batch(id=job.id, partition=job.partition, at=now, writes=tuple(writes), done=(job.id,))
            try:
                await self._store.commit(batch)
            except Conflict:
                if await self._is_gone(job):
                    return Outcome(dropped=("another process has done it meanwhile",))
                continue
            return Outcome(decisions=tuple(decisions), ids=tuple(ids), dropped=extraction.dropped)
        return Outcome(pending="somebody else keeps changing the same memories")

    async def _is_gone(self, job: Job) -> bool:
        if not isinstance(self._store, Jobs):
            return False
        return job.id not in {held.id for held in await self._store.jobs(job.partition.tenant)}
