"""Names to objects: what a configuration stands for, in one place."""

from __future__ import annotations

from typing import Any

from perdure.config import Config, Role, role
from perdure.errors import ConfigurationError
from perdure.options import options_of
from perdure.ports import LLM, Reranker
from perdure.ports.caches import Caches
from perdure.registry import CACHES, EMBEDDERS, GRAPHS, LLMS, RERANKERS, STORES, VECTORS


def parts(config: Config) -> dict[str, Any]:
    """The arguments of an `Engine`: made, not yet opened, so that nothing is read or written here."""
    llm = None if config.llm is None else _llm(config.llm)
    return {
        "store": STORES.create(config.store.provider, config.store.options),
        "embedder": None
        if config.embedder is None
        else EMBEDDERS.create(config.embedder.provider, config.embedder.options),
        "reranker": None if config.reranker is None else _reranker(config.reranker, llm),
        "llm": llm,
        "caches": _caches(config),
        "vectors": None
        if config.vectors is None
        else VECTORS.create(config.vectors.provider, config.vectors.options),
        "graph": None if config.graph is None else GRAPHS.create(config.graph.provider, config.graph.options),
        "settings": config.settings,
    }


def _llm(named: Role) -> LLM:
    return LLMS.create(named.provider, named.options)


def _reranker(named: Role, llm: LLM | None) -> Reranker:
    """A reranker; one that has an option `llm` gets a language model there: the one it names, else the configured one."""
    options = dict(named.options)
    if "llm" in options_of(RERANKERS.load(named.provider)):
        own = role("reranker.llm", options["llm"]) if "llm" in options else None
        options["llm"] = llm if own is None else _llm(own)
        if options["llm"] is None:
            raise ConfigurationError(
                f"reranker {named.provider!r} needs a language model: configure llm, or give it one as its option `llm`"
            )
    return RERANKERS.create(named.provider, options)


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
