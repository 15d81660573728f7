"""The verb `add`: what was said becomes durable at once, and is understood then or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from perdure.arguments import shown
from perdure.engine import ingest, receipts, requests
from perdure.engine.calls import verb
from perdure.engine.core import Core
from perdure.engine.messages import Heard, Messages, hear
from perdure.engine.requests import When
from perdure.engine.scoping import scope_of
from perdure.engine.shape import Added
from perdure.engine.work.attempts import failed
from perdure.engine.work.worker import Told
from perdure.errors import ConfigurationError, InvalidInput, ModelMismatch
from perdure.ports import Entry, Job
from perdure.types import Memory, Partition

BEHIND: Final = "vectors, made in the background"


class Adding(Core):
    """Turns into memories."""

    @verb
    async def add(
        self,
        messages: Messages,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        timestamp: When | None = None,
        expiration_date: When | None = None,
        infer: bool = True,
        prompt: str | None = None,
        memory_type: str | None = None,
        idempotency_key: str | None = None,
        wait: bool = True,
        callback: Told | None = None,
    ) -> Added:
        """Remember what was said; when this returns, it is durable and can be found.

        Args:
            messages: a text, a message (`{"role": "user", "content": "..."}`, with `name`, `timestamp` and
                `origin` where known), or a list of them.
            user_id: whose memory it is; at least one of the four ids is needed.
            metadata: anything that JSON can hold, kept with each memory, for filters.
            categories: kept with each memory, for filters.
            timestamp: when it was said, for messages without a time of their own; now, when left out.
            expiration_date: hidden after this moment (after the end of the day, for a date).
            infer: with an LLM, facts are learned from the messages, which are kept as their sources; without one, True
                judges which messages are worth listing. False lists each message as it is.
            prompt: what the LLM is told besides, for this call; `settings.instructions` is told for every call.
            memory_type: "procedural_memory" writes down how a piece of work went, as one memory, instead of learning
                facts; it needs an LLM.
            idempotency_key: the same key in the same partition is stored once, however often it is sent.
            wait: False returns as soon as the messages are durable, and can be found by their words: vectors and facts
                come later, by this process or by another (`event` tells how far it is, `flush` waits for it).
            callback: with `wait=False`, a function that is called with what `event` says when it is done or given up,
                if this process lives to see it; it may be asynchronous.

        Raises:
            InvalidInput: nobody is named, or there is nothing to remember; nothing was stored.
        """
        await self._turns.take()
        now = self._clock()
        named = {"user_id": user_id, "agent_id": agent_id, "app_id": app_id, "run_id": run_id}
        scope = scope_of(self._settings.tenant, named)
        _ = scope.partition  # refuses a scope that names nobody
        said_at = requests.moment(timestamp, "timestamp") or now
        procedure = self._is_procedure(memory_type)
        heard = hear(
            messages,
            scope,
            now=now,
            said_at=said_at,
            max_bytes=self._settings.max_text_bytes,
            pictures=infer and self._learner is not None,
            redactors=self._redactors,
        )
        about = ingest.Attributes(
            metadata=requests.metadata(metadata, self._settings.max_metadata_bytes),
            categories=requests.categories(categories),
            expires_at=requests.moment(expiration_date, "expiration_date", day_end=True),
            verbatim=not infer,
        )
        wish = requests.wish(prompt, self._settings.max_text_bytes)
        learns = infer and self._learner is not None
        task = self._task(wish, procedure=procedure, wait=wait) if learns else None
        if callback is not None and (wait or not callable(callback)):
            raise InvalidInput("callback= takes a function, and goes with wait=False")
        await self._open()
        key, since = requests.idempotency(idempotency_key), None
        if key is None:
            key, since = self._passing_key(heard, about, now, dated=timestamp is not None)
        pairs = ingest.conversed(heard.turns, about, heard.origins)
        store = partial(self._learned, task=task) if task else partial(self._kept, sort=infer)
        made = await store(heard, pairs, key=key, since=since, wait=wait)
        if callback is not None:
            self._worker.listen(made["event_id"], callback)
        return receipts.redacted(made, heard.redacted)

    def _passing_key(
        self, heard: Heard, about: ingest.Attributes, now: datetime, *, dated: bool
    ) -> tuple[str, datetime]:
        """What the same add has as well, if it is sent again soon enough."""
        key = ingest.fingerprint(heard.turns, about, origins=heard.origins, dated=dated)
        return key, now - timedelta(seconds=self._settings.repeat_window)

    def _task(self, wish: str, *, procedure: bool, wait: bool) -> ingest.Task:
        """What a model is to do with the messages; who waits for it holds the lease."""
        return ingest.Task(
            kind=ingest.PROCEDURE if procedure else ingest.FACTS,
            options={"prompt": wish} if wish else {},
            worker=self._worker.name if wait else None,
            leased_until=self._clock() + self._worker.lease if wait else None,
        )

    def _is_procedure(self, memory_type: object) -> bool:
        """Whether an add is to write down a procedure.

        Raises:
            InvalidInput: there is no such type of memory.
            ConfigurationError: there is no model that could write it.
        """
        if memory_type is None:
            return False
        if memory_type != "procedural_memory":
            raise InvalidInput(f"memory_type={shown(memory_type)}: give 'procedural_memory', or leave it out")
        if self._learner is None:
            raise ConfigurationError("memory_type='procedural_memory' needs a language model: configure llm")
        return True

    async def _kept(
        self,
        heard: Heard,
        pairs: Sequence[tuple[Memory, Entry]],
        *,
        key: str,
        since: datetime | None,
        sort: bool,
        wait: bool,
    ) -> Added:
        """Store turns as they are, with the categories that they are nearest to if they are to be sorted.

        Their vectors are made later if nobody waits for them, or when the embedder cannot be had just now.
        """
        memories, entries = [memory for memory, _ in pairs], [entry for _, entry in pairs]
        late = self._embedder is not None and not wait
        pending = [BEHIND] if late else []
        if not late:
            entries, pending = await self._entered([m.text for m in memories], entries)
            memories = self._sorted(memories, entries) if sort else memories
        task = ingest.Task(kind=ingest.VECTORS, options={"sort": sort}) if pending else None
        batch = ingest.batch(
            list(zip(memories, entries, strict=True)), heard.turns, key=key, key_since=since, task=task
        )
        if task is not None and not late:
            batch = replace(batch, jobs=tuple(self._failed(job, pending[0]) for job in batch.jobs))
        committed = await self._stored(batch)
        if not committed.repeated:
            if task is not None:
                self._wake()
            pending += await self._tell(batch.partition, wait=wait)
        return receipts.kept(heard.turns, heard.skipped, committed, pending)

    async def _learned(
        self,
        heard: Heard,
        pairs: Sequence[tuple[Memory, Entry]],
        *,
        task: ingest.Task,
        key: str,
        since: datetime | None,
        wait: bool,
    ) -> Added:
        """Store turns with the job of learning from them, and do it if somebody waits for it."""
        assert self._learner is not None
        batch = ingest.batch(pairs, heard.turns, key=key, key_since=since, task=task)
        with self._worker.hold(batch.id) if wait else nullcontext():
            committed = await self._stored(batch)
            if committed.repeated:
                outcome = await self._learner.known(committed.batch_id, self._settings.tenant)
                return receipts.learned(heard.turns, heard.skipped, committed, outcome)
            await self._tell(batch.partition, wait=False)  # while the model answers
            if not wait:
                self._wake()
                return receipts.accepted(heard.turns, heard.skipped, committed)
            memories = [write.memory for write in batch.writes if write.memory is not None]
            first = committed.head - len(memories) + 1
            own = [replace(memory, ord=first + place) for place, memory in enumerate(memories)]
            try:
                outcome = await self._learner.learn(batch.jobs[0], heard.turns, own)
            except ModelMismatch:  # it is stored: who has the model that is in use now learns from it
                self._worker.leave(batch.id)
                return receipts.accepted(heard.turns, heard.skipped, committed)
        if outcome.pending or outcome.lacking:
            self._wake()
        untold = await self._tell(batch.partition)
        return receipts.learned(heard.turns, heard.skipped, committed, outcome, untold)

    async def _tell(self, partition: Partition, *, wait: bool = True) -> list[str]:
        """Tell the engines what was committed; what they could not take in just now."""
        if wait:
            return await self._following.tell([partition])
        self._following.tell_soon(partition)
        return []

    def _failed(self, job: Job, reason: str) -> Job:
        return failed(job, reason, now=self._clock(), most=self._settings.job_attempts)
