"""Names to objects: what a configuration stands for, in one place."""

from __future__ import annotations

from typing import Any

from perdure.config import Config
from perdure.ports.caches import Caches
from perdure.registry import CACHES, EMBEDDERS, GRAPHS, LLMS, RERANKERS, STORES, VECTORS


def parts(config: Config) -> dict[str, Any]:
    """The arguments of an `Engine`: made, not yet opened, so that nothing is read or written here."""
    return {
        "store": STORES.create(config.store.provider, config.store.options),
        "embedder": None
        if config.embedder is None
        else EMBEDDERS.create(config.embedder.provider, config.embedder.options),
        "reranker": None
        if config.reranker is None
        else RERANKERS.create(config.reranker.provider, config.reranker.options),
        "llm": None if config.llm is None else LLMS.create(config.llm.provider, config.llm.options),
        "caches": _caches(config),
        "vectors": None
        if config.vectors is None
        else VECTORS.create(config.vectors.provider, config.vectors.options),
        "graph": None if config.graph is None else GRAPHS.create(config.graph.provider, config.graph.options),
        "settings": config.settings,
    }


ANSWERS = 0.75
"""Of the bytes for caches in this process, this share is for answers, the rest for vectors and scores."""


def _caches(config: Config) -> Caches:
    held = config.settings.cache_bytes
    for_answers = int(ANSWERS * held)
    return Caches(
        answers=CACHES.create("memory", {"max_bytes": for_answers}) if held else None,
        vectors=CACHES.create("memory", {"max_bytes": held - for_answers}) if held else None,
        shared=None if config.cache is None else CACHES.create(config.cache.provider, config.cache.options),
    )
