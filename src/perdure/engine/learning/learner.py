"""Does the jobs that `add` leaves: asks the model, decides, commits; or says what is pending and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from perdure.engine.embedding import lacking, vectors_of
from perdure.engine.indexes import Indexes
from perdure.engine.ingest import PROCEDURE, VECTORS
from perdure.engine.learning.again import Draft, portions
from perdure.engine.learning.answer import Extraction, Fact, Unreadable, read
from perdure.engine.learning.lines import Lines
from perdure.engine.learning.prompt import VERSION, ask, ask_procedure
from perdure.engine.learning.reconcile import Add, Decision, reconcile
from perdure.engine.learning.surroundings import Surroundings, alike
from perdure.engine.learning.writing import KEPT, Writing, refinements
from perdure.engine.turns import Turns
from perdure.engine.work.attempts import failed
from perdure.errors import Conflict, ContentRefused, ModelUnavailable, Unavailable
from perdure.ids import new_id
from perdure.ports import LLM, Batch, Completion, Embedder, Job, Prompt, Store, Write
from perdure.settings import CATEGORIES, Settings
from perdure.types import Memory, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ATTEMPTS: Final = 5
"""How often a commit is tried again because somebody else changed a memory that it is about."""
ERASED: Final = "what the model was shown was erased meanwhile"
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
    lacking: tuple[str, ...] = ()
    """What was stored without, as vectors."""


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
        turns: Turns,
    ) -> None:
        self._llm = llm
        self._store = store
        self._indexes = indexes
        self._embedder = embedder
        self._settings = settings
        self._clock = clock
        self._turns = turns
        self._lines = Lines()
        self._sees = True
        """Until the model refuses an image."""
        self._categories = CATEGORIES if settings.categories is None else settings.categories

    @property
    def derived_by(self) -> str:
        """What facts say of how they came about."""
        return f"{self._llm.model}/{VERSION}"

    async def learn(
        self, job: Job, turns: Sequence[Turn] | None = None, own: Sequence[Memory] = ()
    ) -> Outcome:
        """Do a job; jobs of one partition ask at the same time and are finished in the order of these calls.

        Args:
            turns: those of the job, and `own`, their memories as they were stored, where the caller has them.
        """
        with self._lines.stand(job.partition) as place:
            if turns is None:
                turns = await self._store.turns(job.partition.tenant, job.turns)
                own = await self._own(job, turns)
                ids = {memory.id for memory in own}
                turns = [turn for turn in turns if turn.id in ids]
            if not own:
                return await self._nothing_left(job)
            if job.kind == PROCEDURE:
                return await self._write_down(job, turns, own)
            around = Surroundings(self._store, self._indexes, job.partition, own)
            work = _Work(job=job, turns=tuple(turns), own=tuple(own), around=around)
            shown, earlier = await around.shown(self._clock())
            try:
                wish = str(job.options.get("prompt") or "")
                extraction = await self._asked(work.turns, shown, earlier, wish)
            except _Unanswered as failure:
                return await self._leave(
                    job, own, failure, saw=[*(m.id for m in shown), *(turn.id for turn in earlier)]
                )
            texts = [*(memory.text for memory in own), *(fact.text for fact in extraction.facts)]
            vectors, trouble = await self._embedded(texts)
            await place.first()
            saw = (*(memory.id for memory in shown), *(turn.id for turn in earlier))
            outcome = await self._finished(work, shown, extraction, vectors, trouble=trouble, saw=saw)
            return replace(outcome, lacking=tuple(trouble))

    async def _finished(
        self,
        work: _Work,
        shown: Sequence[Memory],
        extraction: Extraction,
        vectors: list[NDArray[np.float32]] | None,
        *,
        trouble: Sequence[str],
        saw: tuple[str, ...],
    ) -> Outcome:
        """Store what was learned from what is there now; again from there, when somebody else was first."""
        job, own = work.job, work.own
        for _ in range(ATTEMPTS):
            forgotten = await self._forgotten(work)
            if len(forgotten) == len(own):
                return await self._nothing_left(job)
            rest = _without(forgotten, extraction, vectors, len(own))
            needs = tuple(memory.id for at, memory in enumerate(own) if at not in forgotten)
            try:
                return await self._commit(work, shown, *rest, trouble, needs=needs, saw=saw)
            except Conflict:
                if not await self._waits(job.id, job.partition.tenant):
                    return Outcome(dropped=("another process has done it meanwhile",))
                if await self._erased(job, saw):
                    return await self._leave(job, own, _Unanswered(ERASED))
        return Outcome(pending="somebody else keeps changing the same memories")

    async def known(self, job_id: str, tenant: str) -> Outcome:
        """What has become of an add that is sent again."""
        waits = await self._waits(job_id, tenant)
        return Outcome(pending="the first of these adds is not done yet" if waits else None)

    async def draft(
        self, turns: Sequence[Turn], memories: Mapping[str, Memory], *, prompt: str = ""
    ) -> Draft:
        """What would be known, had this model learned from these turns of one scope; nothing is stored.

        Args:
            memories: the turns' own, by their ids.
        """
        draft = Draft(by=self.derived_by, now=self._clock())
        for portion, earlier in portions(turns):
            shown = draft.shown
            own = [memories[turn.id] for turn in portion]
            try:
                extraction = await self._asked(portion, shown, earlier, prompt)
            except _Unanswered as failure:
                draft.missed.update({turn.id: failure.reason for turn in portion})
                continue
            vectors, _ = await self._embedded([fact.text for fact in extraction.facts])
            draft.take_in(portion, own, shown, extraction.facts, vectors)
        return draft

    async def _own(self, job: Job, turns: Sequence[Turn]) -> list[Memory]:
        """The current memories of turns; of those deleted meanwhile nothing is learned."""
        found = await asyncio.gather(*(self._store.get(job.partition.tenant, turn.id) for turn in turns))
        return [memory for memory in found if memory is not None and memory.retired_at is None]

    async def _forgotten(self, work: _Work) -> set[int]:
        """The places of the turns that were deleted while the model was asked."""
        if await work.around.alive():
            return set()
        own = {memory.id for memory in await self._own(work.job, work.turns)}
        return {place for place, memory in enumerate(work.own) if memory.id not in own}

    async def _nothing_left(self, job: Job) -> Outcome:
        with suppress(Conflict):  # somebody else has found out, too
            batch = Batch(id=job.id, partition=job.partition, at=self._clock(), done=(job.id,))
            await self._store.commit(batch)
        return Outcome(dropped=("the turns were deleted meanwhile",))

    async def _asked(
        self, turns: Sequence[Turn], shown: Sequence[Memory], earlier: Sequence[Turn], prompt: str
    ) -> Extraction:
        """What the model finds in the turns.

        Raises:
            _Unanswered: it cannot be had, or cannot be understood, twice.
        """
        said: dict[str, Any] = {
            "earlier": earlier,
            "near": shown,
            "categories": self._categories,
            "wishes": (self._settings.instructions, prompt),
        }
        answer = None
        for again in (False, True):
            completion = await self._completed(partial(ask, turns, again=again, **said), answer)
            answer = completion.text[:MAX_ANSWER]
            await self._turns.take()  # many answers may come at once
            try:
                return read(
                    completion.text,
                    turns=len(turns),
                    near=len(shown),
                    categories=self._categories,
                    most=self._settings.max_facts,
                    cut=completion.cut,
                )
            except Unreadable as error:
                reason = f"the answer of {self._llm.model} cannot be read: {error}"
        raise _Unanswered(reason, answer)

    async def _completed(self, prompt_of: Callable[..., Prompt], answer: str | None = None) -> Completion:
        """The model's answer to a prompt, or to the one without images when it does not see.

        Args:
            prompt_of: makes it, with `images` or without.
            answer: what the model said before.

        Raises:
            _Unanswered: it cannot be had.
        """
        prompt = prompt_of(images=self._sees)
        try:
            if not prompt.images:
                return await self._llm.complete(prompt)
            try:
                return await self._llm.complete(prompt)
            except ModelUnavailable as refused:
                completion = await self._llm.complete(prompt_of(images=False))
                self._sees = isinstance(refused, ContentRefused)  # it has looked at them, and will not
                return completion
        except (Unavailable, ModelUnavailable) as error:
            raise _Unanswered(str(error), answer) from error
        except Exception as error:  # what others wrote may raise anything: the turns are not to suffer
            raise _Unanswered(f"the model failed: {type(error).__name__}", answer) from error

    async def _write_down(self, job: Job, turns: Sequence[Turn], own: Sequence[Memory]) -> Outcome:
        """How a piece of work went, as one memory."""
        wishes = (self._settings.instructions, str(job.options.get("prompt") or ""))
        prompt = ask_procedure(turns, wishes=wishes)
        try:
            completion = await self._completed(lambda **_: prompt)
        except _Unanswered as failure:
            return await self._leave(job, own, failure)
        text = _storable(completion.text.replace("\0", "")).strip()[:MAX_ANSWER]
        if not text:
            return await self._leave(job, own, _Unanswered(f"{self._llm.model} gave no text"))
        vectors, trouble = await self._embedded([*(memory.text for memory in own), text])
        of_turns = None if vectors is None else vectors[: len(own)]
        of_text = None if vectors is None else vectors[len(own) :]
        now = self._clock()
        decisions = (Add(fact=Fact(text=text, turns=tuple(range(len(turns))))),)
        writes, ids = Writing(turns, own, by=self.derived_by, now=now, kind="procedure").of(
            decisions, of_text
        )
        writes = [*refinements(own, of_turns, salience=KEPT), *writes]
        try:
            needs = tuple(memory.id for memory in own)
            await self._store.commit(self._result(job, writes, trouble, now, needs=needs))
        except Conflict:
            if await self._waits(job.id, job.partition.tenant):
                return await self._leave(job, own, _Unanswered("some of the messages were deleted meanwhile"))
            return Outcome(dropped=("another process has done it meanwhile, or the messages were erased",))
        return Outcome(decisions=decisions, ids=tuple(ids), lacking=tuple(trouble))

    def _result(
        self,
        job: Job,
        writes: Sequence[Write],
        trouble: Sequence[str],
        now: datetime,
        *,
        needs: tuple[str, ...],
        saw: tuple[str, ...] = (),
    ) -> Batch:
        """What a job has led to, unless it was forgotten meanwhile; without vectors, with the job of making them."""
        late = Job(id=new_id(), partition=job.partition, kind=VECTORS, turns=job.turns, made_at=now)
        most = self._settings.job_attempts
        return Batch(
            id=job.id,
            partition=job.partition,
            at=now,
            writes=tuple(writes),
            jobs=tuple(failed(late, reason, now=now, most=most) for reason in trouble),
            done=(job.id,),
            needs=needs,
            saw=saw,
        )

    async def _leave(
        self, job: Job, own: Sequence[Memory], failure: _Unanswered, saw: Sequence[str] = ()
    ) -> Outcome:
        """The job stays, and says why; its turns get their vectors all the same.

        Args:
            saw: what the model was shown besides: an answer that may repeat what was erased is not kept.
        """
        reason = _storable(failure.reason)
        answer = None if failure.answer is None else _storable(failure.answer)
        if answer is not None and await self._erased(job, [*saw, *(memory.id for memory in own)]):
            answer = None
        most = self._settings.job_attempts
        await self._store.keep_job(failed(job, reason, now=self._clock(), most=most, answer=answer))
        vectors, _ = await self._embedded([memory.text for memory in own])
        if vectors is not None:
            writes = tuple(refinements(own, vectors, salience=None))
            batch = Batch(id=job.id, partition=job.partition, at=self._clock(), writes=writes)
            await self._store.commit(batch)
        return Outcome(pending=reason)

    async def _embedded(self, texts: Sequence[str]) -> tuple[list[NDArray[np.float32]] | None, list[str]]:
        """For each text the vectors of its pieces, all made in one call; None when there is no model."""
        if self._embedder is None:
            return None, []
        try:
            return await vectors_of(self._embedder, texts), []
        except (ModelUnavailable, Unavailable) as error:
            return None, [lacking(error)]

    async def _commit(
        self,
        work: _Work,
        shown: Sequence[Memory],
        extraction: Extraction,
        vectors: list[NDArray[np.float32]] | None,
        trouble: Sequence[str],
        **unless: tuple[str, ...],
    ) -> Outcome:
        """Decide on what is there now, and store it.

        Raises:
            Conflict: somebody else changed what it is about, or did the job.
        """
        facts, turns, job, own = extraction.facts, work.turns, work.job, work.own
        origin_of = {memory.id: memory.origin for memory in own}
        of_turns = None if vectors is None else vectors[: len(own)]
        of_facts = None if vectors is None else vectors[len(own) :]
        await self._turns.take()
        now = self._clock()
        decisions = reconcile(
            facts,
            await work.around.rivals(shown, facts, of_facts, now=now),
            shown=[memory.id for memory in shown],
            origins=[origin_of[turn.id] for turn in turns],
            said_at=[turn.said_at for turn in turns],
            alike=alike(of_facts),
        )
        writes, ids = Writing(turns, own, by=self.derived_by, now=now).of(decisions, of_facts)
        writes = [*refinements(own, of_turns, salience=KEPT), *writes]
        await self._store.commit(self._result(job, writes, trouble, now, **unless))
        return Outcome(decisions=tuple(decisions), ids=tuple(ids), dropped=extraction.dropped)

    async def _erased(self, job: Job, ids: Sequence[str]) -> bool:
        """Whether one of these memories is there no more, not even as its history."""
        held = await asyncio.gather(*(self._store.get(job.partition.tenant, name) for name in ids))
        return any(memory is None for memory in held)

    async def _waits(self, job_id: str, tenant: str) -> bool:
        return bool(await self._store.jobs(tenant, ids=[job_id]))


def _without(
    forgotten: Collection[int],
    extraction: Extraction,
    vectors: list[NDArray[np.float32]] | None,
    turns: int,
) -> tuple[Extraction, list[NDArray[np.float32]] | None]:
    """What was extracted, and its vectors (after those of so many turns), but for what forgotten turns say."""
    kept = [place for place, fact in enumerate(extraction.facts) if not set(forgotten) & set(fact.turns)]
    if len(kept) == len(extraction.facts):
        return extraction, vectors
    facts = tuple(extraction.facts[place] for place in kept)
    dropped = (*extraction.dropped, "facts of messages that were deleted meanwhile")
    if vectors is not None:
        vectors = [*vectors[:turns], *(vectors[turns + place] for place in kept)]
    return replace(extraction, facts=facts, dropped=dropped), vectors


def _storable(text: str) -> str:
    """A text from a server as every store can hold it: no NUL, no half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
