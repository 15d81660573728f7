"""All that an engine keeps so as not to compute it again, put together from the caches that it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from perdure.engine.caching import scores, vectors
from perdure.engine.caching.answers import AnswerForm, Answers, groups_of
from perdure.engine.caching.behind import Behind
from perdure.engine.caching.coalesced import CoalescedEmbedder
from perdure.engine.caching.insisting import Insisting
from perdure.engine.caching.keys import digest, identity
from perdure.engine.caching.layers import Form, Layered
from perdure.engine.caching.queries import Queries
from perdure.engine.caching.scores import CachedReranker, ScoreForm
from perdure.engine.caching.sealed import Sealed
from perdure.engine.caching.sparing import SparingEmbedder
from perdure.engine.caching.stored import StoredVectors
from perdure.engine.caching.tally import Tally
from perdure.engine.caching.vectors import CachedEmbedder, VectorForm
from perdure.engine.indexes import Indexes
from perdure.engine.recall import Recall
from perdure.engine.words import ANALYZER_VERSION
from perdure.ports import Embedder, InProcess, QueryEmbedder, Reranker, Standing, Store, VectorCache
from perdure.ports.caches import Cache, Caches
from perdure.settings import CACHE_TTL, Settings
from perdure.types import Partition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

V = TypeVar("V")

FORMAT = 1
"""Of what is kept: another one when answers of before are not to be given any more."""
LOCAL_BATCH = 8
"""Texts in one call of an embedder in this process: enough to save a quarter, and few enough to use all cores."""
STORE_PAUSE = 0.05
"""Seconds in which vectors gather for one transaction of the store."""


class Caching:
    """Wraps an embedder and a reranker, makes `Answers`, and forgets what was erased everywhere."""

    def __init__(
        self,
        caches: Caches,
        *,
        store: Store,
        embedder: Embedder | None,
        reranker: Reranker | None,
        settings: Settings,
    ) -> None:
        self._caches = caches
        self._store = store
        self._settings = settings
        self._behinds: list[Behind[Any]] = []
        self._shared: Insisting | None = None
        if caches.shared is not None and isinstance(store, Standing):
            self._shared = Insisting(Sealed(caches.shared, store.identity))
        self._stored: StoredVectors | None = None
        self._tallies = {name: Tally() for name in ("answers", "vectors", "scores")}
        self._erasures: int | None = None
        self._answers: Answers | None = None
        self.bare_embedder = embedder
        """The one that was given: a doctor asks it and no cache."""
        self._judge = None if reranker is None else identity(reranker)
        self.embedder = None if embedder is None else self._embedder(embedder)
        self.questions = self.embedder if embedder is None else self._questions(embedder)
        """What embeds questions; for most embedders, the same."""
        self.reranker = None if reranker is None else self._reranker(reranker)

    def answers(self, indexes: Indexes, recall: Recall, clock: Callable[[], datetime]) -> Answers | None:
        """What keeps answers; None when nothing is there to keep them, or the store does not tell how far it is."""
        if not isinstance(self._store, Standing):
            return None
        stale_while = self._settings.stale_while
        cache = self._layered(self._caches.answers, self._shared, AnswerForm(editions=not stale_while))
        if cache is None:
            return None
        embedder = self.bare_embedder
        model = None if embedder is None else (embedder.model, embedder.dimensions)
        self._answers = Answers(
            cache=cache,
            store=self._store,
            indexes=indexes,
            recall=recall,
            maker=digest(FORMAT, ANALYZER_VERSION, model, self._judge, self._shared and _version()),
            clock=clock,
            ttl={**CACHE_TTL, **(self._settings.cache_ttl or {})},
            stale_while=stale_while,
            tally=self._tallies["answers"],
            erased=self._notice,
        )
        return self._answers

    async def forget(self, partitions: Sequence[Partition] | None) -> bool:
        """Remove everything in which words of these partitions may be (None: of all), after they were erased.

        Vectors and scores are not told apart by whose words they are of: all of the tenant's go.

        Returns whether that is certain: False when a cache cannot be reached, and is tried again.
        """
        await self._drop_local()
        if self._shared is None:
            return True
        tenant = self._settings.tenant
        groups = [*groups_of(tenant, partitions or ()), *vectors.groups_of(tenant), *scores.groups_of(tenant)]
        for behind in self._behinds:
            behind.forget(groups)
        certain = await self._shared.drop(groups)
        return (certain and await self._shared.drop(None)) if partitions is None else certain

    async def settle(self) -> None:
        """Wait until everything is written that is written behind."""
        await asyncio.gather(*(behind.settle() for behind in self._behinds))

    async def aclose(self) -> None:
        """Write what is left, and close the caches."""
        if self._answers is not None:
            await self._answers.aclose()
        await asyncio.gather(*(behind.aclose() for behind in self._behinds))
        for cache in (self._caches.answers, self._caches.vectors, self._shared or self._caches.shared):
            if cache is not None:
                await cache.aclose()

    def told(self) -> dict[str, Any]:
        """Counts by kind of values, and how each layer stands."""
        layers: dict[str, Cache[Any] | None] = {
            "answers": self._caches.answers,
            "vectors": self._caches.vectors,
            "shared": self._shared,
            "store": self._stored,
        }
        sizes = {name: cache.sizes()._asdict() for name, cache in layers.items() if cache is not None}
        told = {name: tally.told() for name, tally in self._tallies.items()}
        return {**told, "layers": {name: _known(size) for name, size in sizes.items()}}

    def _questions(self, embedder: Embedder) -> Embedder | None:
        if not isinstance(embedder, QueryEmbedder):
            return self.embedder
        at_once = embedder.at_once if isinstance(embedder, InProcess) else None
        return self._embedder(Queries(embedder), at_once=at_once)

    def _embedder(self, embedder: Embedder, *, at_once: int | None = None) -> Embedder:
        """Coalesced always; cached here, and elsewhere where that is quicker than to compute it.

        Args:
            at_once: calls that are computed here at the same time, where the embedder itself does not say so.
        """
        at_once = embedder.at_once if isinstance(embedder, InProcess) else at_once
        here, settings = at_once is not None, self._settings
        coalesced = CoalescedEmbedder(
            SparingEmbedder(embedder),
            most=LOCAL_BATCH if here else settings.batch_texts,
            wait=settings.batch_wait,
            at_once=at_once or 1,
        )
        shared: Cache[bytes] | None = None if here else self._shared
        if (
            not here
            and shared is None
            and settings.vector_cache_bytes
            and isinstance(self._store, VectorCache)
        ):
            if self._stored is None:
                self._stored = StoredVectors(self._store, settings.tenant, settings.vector_cache_bytes)
            shared = self._stored
        cache: Layered[NDArray[np.float32]] | None = self._layered(
            self._caches.vectors,
            shared,
            VectorForm(embedder.dimensions),
            pause=0.0 if self._stored is None else STORE_PAUSE,
        )
        if cache is None:
            return coalesced
        return CachedEmbedder(coalesced, cache, tenant=settings.tenant, tally=self._tallies["vectors"])

    def _reranker(self, reranker: Reranker) -> Reranker:
        cache: Layered[float] | None = self._layered(self._caches.vectors, self._shared, ScoreForm())
        if cache is None:
            return reranker
        tenant, tally = self._settings.tenant, self._tallies["scores"]
        return CachedReranker(reranker, cache, tenant=tenant, tally=tally)

    def _layered(
        self, local: Cache[Any] | None, shared: Cache[bytes] | None, form: Form[V], *, pause: float = 0.0
    ) -> Layered[V] | None:
        if local is None and shared is None:
            return None
        behind = None if shared is None else Behind(shared, form.pack, pause=pause)
        if behind is not None:
            self._behinds.append(behind)
        return Layered(form=form, local=local, shared=shared, behind=behind)

    async def _notice(self, erasures: int) -> None:
        """Somebody, in whatever process, has erased something since the last look: nothing of before stays here."""
        before, self._erasures = self._erasures, erasures
        if before is not None and before != erasures:
            await self._drop_local()

    async def _drop_local(self) -> None:
        for cache in (self._caches.answers, self._caches.vectors):
            if cache is not None:
                await cache.drop(None)


def _known(sizes: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in sizes.items() if value is not None}


def _version() -> str:
    """Of this package: another one may rank and show otherwise, and answers to it from what is shared."""
    from importlib.metadata import version  # seldom needed, slow to import

    return version("perdure")
