"""mem0's configuration, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from perdure.compat.mem0_engines import dimensions, graph, vectors
from perdure.compat.mem0_llms import llm
from perdure.compat.mem0_models import embedder, reranker
from perdure.config import Config
from perdure.errors import ConfigurationError


@dataclass(kw_only=True)
class MemoryConfig:
    """mem0's configuration object; each part is `{"provider": ..., "config": {...}}`."""

    vector_store: Mapping[str, Any] | None = None
    llm: Mapping[str, Any] | None = None
    embedder: Mapping[str, Any] | None = None
    reranker: Mapping[str, Any] | None = None
    graph_store: Mapping[str, Any] | None = None
    history_db_path: str | None = None
    version: str = "v1.1"
    custom_instructions: str | None = None
    custom_fact_extraction_prompt: str | None = None
    custom_update_memory_prompt: str | None = None


_WISHES = ("custom_instructions", "custom_fact_extraction_prompt")
"""What is told to the model besides our own instructions, which stay: they say what an answer looks like."""
_OURS = {"store", "settings", "path"}


def translated(config: MemoryConfig | Config | Mapping[str, Any] | None) -> Config | Mapping[str, Any] | None:
    """Perdure's configuration for mem0's; one that is Perdure's already stays as it is.

    Raises:
        ConfigurationError: a part that Perdure cannot provide, or a key that neither knows.
    """
    if config is None or isinstance(config, Config):
        return config
    if isinstance(config, Mapping):
        if _OURS & config.keys():
            return config
        unknown = config.keys() - {field.name for field in fields(MemoryConfig)}
        if unknown:
            raise ConfigurationError(f"{min(unknown)!r} is no part of a mem0 configuration")
        config = MemoryConfig(**config)
    return _translate(config)


def _translate(config: MemoryConfig) -> Mapping[str, Any] | None:
    if config.custom_update_memory_prompt is not None:
        raise ConfigurationError(
            "custom_update_memory_prompt has no counterpart: what a fact does to others is decided by rules; leave it out"
        )
    made: dict[str, Any] = {}
    if config.embedder:
        made["embedder"] = embedder(config.embedder, dimensions(config.vector_store))
    if config.reranker:
        made["reranker"] = reranker(config.reranker)
    if config.llm:
        made["llm"] = llm(config.llm)
    if config.vector_store:
        made["vectors"] = vectors(config.vector_store)
    if config.graph_store:
        made["graph"] = graph(config.graph_store)
    if wishes := "\n".join(wish for part in _WISHES if (wish := getattr(config, part))):
        made["settings"] = {"instructions": wishes}
    return made or None
