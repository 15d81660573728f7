"""The verbs for what adds have left to be done: how far it is, do it now, wait for it, do it for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from perdure.arguments import shown
from perdure.engine import ingest, requests
from perdure.engine.calls import verb
from perdure.engine.core import Core
from perdure.engine.shape import EventDict, PendingDict, event_dict, pending_dict
from perdure.errors import ConfigurationError, NotFound
from perdure.ports import Job

JOBS_AT_ONCE = 8
NO_MODEL = (
    "there is no language model to learn with: configure llm, as in {'llm': {'provider': 'openai', ...}}"
)


class Background(Core):
    """What is done behind the callers' backs, and by whom."""

    @verb
    async def pending(self, *, limit: int | None = None) -> list[PendingDict]:
        """What is still to be done after adds, oldest first, and why; `retry` does it now."""
        await self._open()
        most = None if limit is None else requests.count(limit, "limit", most=requests.MAX_RESULTS)
        jobs = await self._store.jobs(self._settings.tenant, limit=most)
        return [pending_dict(job, self._clock()) for job in jobs]

    @verb
    async def retry(self, event_id: str | None = None) -> dict[str, Any]:
        """Do now what is pending or was given up, or one add's part of it.

        Raises:
            NotFound: nothing is pending under that `event_id`.
            ConfigurationError: there is no model that it takes.
        """
        await self._open()
        wanted = None if event_id is None else [requests.event_id(event_id)]
        jobs = await self._store.jobs(self._settings.tenant, ids=wanted)
        if wanted and not jobs:
            raise NotFound(f"nothing is pending under the event id {shown(wanted[0], most=80)}")
        return await self._retried(jobs)

    @verb
    async def event(self, event_id: str) -> EventDict:
        """What has become of an add: `status` is PENDING, RUNNING, SUCCEEDED, or FAILED when it was given up.

        Raises:
            NotFound: there is no such add, or all that it made was erased.
        """
        await self._open()
        return await self._event(requests.event_id(event_id))

    @verb
    async def events(self, *, limit: int | None = None) -> list[EventDict]:
        """The adds that are not done, oldest first, those that were given up included."""
        await self._open()
        most = None if limit is None else requests.count(limit, "limit", most=requests.MAX_RESULTS)
        now = self._clock()
        return [event_dict(job, now) for job in await self._store.jobs(self._settings.tenant, limit=most)]

    @verb
    async def flush(self, timeout: float | None = None) -> dict[str, int]:  # noqa: ASYNC109  # a bound, no error
        """Wait until all that adds have left was tried, by this process or another; how much is left then.

        Args:
            timeout: seconds after which it answers all the same.

        Returns:
            `pending`: still to be done, now or later, changes that engines beside the store lack included; `failed`:
            given up. `events` and `doctor` say why.
        """
        seconds = None if timeout is None else requests.seconds(timeout, "timeout")
        await self._open()
        try:
            async with asyncio.timeout(seconds):
                await self._worker.drain()
                await self._following.settle()
        except TimeoutError:
            pass
        left = await self._store.jobs(self._settings.tenant)
        failed = sum(job.given_up for job in left)
        return {"pending": len(left) - failed + await self._following.lag(), "failed": failed}

    @verb
    async def work(self) -> None:
        """Do what this and other processes leave to be done, until it is cancelled.

        Raises:
            ConfigurationError: there is no model that could do anything.
        """
        if not self._worker.kinds and not self._following.followers:
            raise ConfigurationError("there is nothing that could be done: configure embedder or llm")
        await self._open()
        staying = [asyncio.create_task(self._worker.stay()), asyncio.create_task(self._following.stay())]
        try:
            await asyncio.gather(*staying)
        finally:  # one of them may have found that the other embedder has to do it
            for task in staying:
                task.cancel()
            await asyncio.gather(*staying, return_exceptions=True)

    async def _retried(self, jobs: Sequence[Job]) -> dict[str, Any]:
        """Do these jobs, a few at a time, but for those that another worker has."""
        now = self._clock()
        mine = [
            replace(job, given_up=False, worker=job.worker or self._worker.name)
            for job in jobs
            if not job.leased(now) or job.worker == self._worker.name
        ]
        do = self._handlers()
        if lacking := next((job.kind for job in mine if job.kind not in do), None):
            raise ConfigurationError(
                "there is no embedder to make vectors with: configure embedder"
                if lacking == ingest.VECTORS
                else NO_MODEL
            )
        for start in range(0, len(mine), JOBS_AT_ONCE):
            await asyncio.gather(*(do[job.kind](job) for job in mine[start : start + JOBS_AT_ONCE]))
        left = await self._store.jobs(self._settings.tenant, ids=[job.id for job in jobs])
        reasons = [job.error or "another process is working on it" for job in left]
        return {
            "done": len(jobs) - len(left),
            "pending": len(left),
            "reasons": list(dict.fromkeys(reasons)),
        }
