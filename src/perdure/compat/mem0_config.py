"""mem0's configuration, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

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


_LATER = ("vector_store", "llm", "graph_store")
_NEEDS_LLM = ("custom_instructions", "custom_fact_extraction_prompt", "custom_update_memory_prompt")
_OURS = {"store", "settings", "path"}


def translated(config: MemoryConfig | Config | Mapping[str, Any] | None) -> Config | Mapping[str, Any] | None:
    """Perdure's configuration for mem0's; one that is Perdure's already stays as it is.

    Raises:
        ConfigurationError: a part that this version cannot provide, or a key that neither knows.
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
    for part in _LATER:
        given = getattr(config, part)
        if given is not None:
            raise ConfigurationError(
                f"{part} {given.get('provider')!r} is not available in this version: leave {part} out, and "
                "memories are kept in one SQLite file, extracted without a model"
            )
    for part in _NEEDS_LLM:
        if getattr(config, part) is not None:
            raise ConfigurationError(f"{part} needs an LLM, which this version does not have: leave it out")
    made = {part: _ours(getattr(config, part)) for part in ("embedder", "reranker") if getattr(config, part)}
    return made or None


def _ours(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"provider": part.get("provider"), "config": part.get("config") or {}}
