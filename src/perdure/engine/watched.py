"""What is seen of an engine at work: sizes, queues, caches, and calls as they end."""

from __future__ import annotations

from typing import Any, cast

from perdure.engine import upkeep
from perdure.engine.calls import verb
from perdure.engine.core import Core
from perdure.load import Bounded, Load, Observer

MOST_COUNTED = 1_000
"""So many of the jobs that are to be done are looked at, to count those that wait."""


class Watched(Core):
    """An engine that tells how it is doing."""

    @verb(bounded=False)
    async def stats(self) -> dict[str, Any]:
        """Sizes of this project's memory, what it was made with, and what `live_stats` tells."""
        await self._open(check_space=False)
        told = upkeep.stats_dict(await self._store.stats(self._settings.tenant))
        jobs = await self._store.jobs(self._settings.tenant, given_up=False, limit=MOST_COUNTED)
        now = self._clock()
        return {**told, **self._live(waiting=sum(not job.leased(now) for job in jobs))}

    def live_stats(self) -> dict[str, Any]:
        """What is known without asking the store: `queues`, `caches` and `index_bytes`, as of this moment.

        Each queue has what is `running`, what is `waiting` for its turn, the `bound` of what may run, their quotient as
        `saturation`, and, where calls are turned away, how many it has `refused`. Only `stats` knows of jobs in the
        background that wait.
        """
        return cast("Watched", self._succession.serving)._live()  # noqa: SLF001  # one of our own

    def watch(self, observer: Observer) -> None:
        """Tell somebody of every call of a verb that ends from now on."""
        self._calls.watch(observer)

    def _live(self, *, waiting: int | None = None) -> dict[str, Any]:
        return {
            "index_bytes": self._indexes.nbytes,
            "queues": {name: load.told() for name, load in self._loads(waiting).items()},
            "caches": self._caching.told(),
        }

    def _loads(self, jobs_waiting: int | None) -> dict[str, Load]:
        """Every queue of this engine, by the role of whose it is and its name."""
        loads = {
            "calls": self._calls.load(),
            "rank.threads": self._threads.load(),
            **{f"{one.teller.role}.told": one.load for one in self._following.followers},
            **{f"background.{name}": load for name, load in self._worker.loads(jobs_waiting).items()},
        }
        roles = {
            "store": self._store,
            "embedder": self._caching.bare_embedder,
            "reranker": self._reranker,
            "llm": self._llm,
        }
        for role, provider in roles.items():
            if isinstance(provider, Bounded):
                loads |= {f"{role}.{name}": load for name, load in provider.loads().items()}
        return loads
