"""Names to objects: what a configuration stands for, in one place."""

from __future__ import annotations

from typing import Any

from perdure.config import Config
from perdure.registry import EMBEDDERS, LLMS, RERANKERS, STORES


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
        "settings": config.settings,
    }
