"""mem0's configuration, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from perdure.compat.mem0_engines import graph, vectors
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
_LLMS: Mapping[str, tuple[str, str | None]] = {
    "openai": ("openai", None),
    "openai_structured": ("openai", None),
    "anthropic": ("anthropic", None),
    "gemini": ("gemini", None),
    "ollama": ("openai", "http://localhost:11434/v1"),
    "lmstudio": ("openai", "http://localhost:1234/v1"),
    "vllm": ("openai", "http://localhost:8000/v1"),
    "groq": ("openai", "https://api.groq.com/openai/v1"),
    "deepseek": ("openai", "https://api.deepseek.com/v1"),
    "together": ("openai", "https://api.together.xyz/v1"),
    "xai": ("openai", "https://api.x.ai/v1"),
    "sarvam": ("openai", "https://api.sarvam.ai/v1"),
}
"""mem0's providers: ours, and the `base_url` where it is not the provider's own."""
_TAKEN = ("model", "api_key", "temperature", "max_tokens", "timeout")
_IGNORED = (
    "top_p",
    "top_k",
    "enable_vision",
    "vision_details",
    "is_reasoning_model",
    "reasoning_effort",
    "store",
)
"""Options of mem0 that change nothing here."""
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
        made["embedder"] = embedder(config.embedder)
    if config.reranker:
        made["reranker"] = reranker(config.reranker, _llm)
    if config.llm:
        made["llm"] = _llm(config.llm)
    if config.vector_store:
        made["vectors"] = vectors(config.vector_store)
    if config.graph_store:
        made["graph"] = graph(config.graph_store)
    if wishes := "\n".join(wish for part in _WISHES if (wish := getattr(config, part))):
        made["settings"] = {"instructions": wishes}
    return made or None


def _llm(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """mem0's options of a language model as ours.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = str(part.get("provider") or "openai"), dict(part.get("config") or {})
    if name not in _LLMS:
        raise ConfigurationError(
            f"llm {name!r} is not known here: if it speaks as OpenAI does, name 'openai' with its base_url"
        )
    provider, base_url = _LLMS[name]
    given_url = [given.pop(key) for key in list(given) if key.endswith("base_url")]
    options = {key: given.pop(key) for key in _TAKEN if given.get(key) is not None}
    left = {key for key, value in given.items() if value is not None} - set(_IGNORED)
    if left:
        raise ConfigurationError(f"llm.config has {min(left)!r}, which has no counterpart here: leave it out")
    url = next((url for url in given_url if url), base_url)
    return {"provider": provider, "config": {**options, **({"base_url": _with_version(url)} if url else {})}}


def _with_version(url: str) -> str:
    """mem0's Ollama is named by its host alone; its OpenAI dialect is below /v1."""
    return f"{url.rstrip('/')}/v1" if url.rstrip("/").endswith(":11434") else url
