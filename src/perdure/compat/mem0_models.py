"""mem0's embedders and rerankers with their options, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from perdure.errors import ConfigurationError

Part: TypeAlias = Mapping[str, Any]
"""`{"provider": ..., "config": {...}}`."""


class _Known(NamedTuple):
    """One of mem0's embedders."""

    provider: str
    """Ours."""
    model: str
    """The one that mem0 takes when none is named."""
    dimensions: int | None = None
    """Of that model, where our provider does not know them."""
    base_url: str | None = None
    """Where it is not the provider's own."""


_EMBEDDERS: Mapping[str, _Known] = {
    "openai": _Known("openai", "text-embedding-3-small"),
    "azure_openai": _Known("openai", "text-embedding-3-small"),
    "ollama": _Known("ollama", "nomic-embed-text"),
    "gemini": _Known("gemini", "gemini-embedding-001", 768),
    "lmstudio": _Known(
        "openai",
        "nomic-ai/nomic-embed-text-v1.5-GGUF/nomic-embed-text-v1.5.f16.gguf",
        768,
        "http://localhost:1234/v1",
    ),
    "together": _Known(
        "openai", "intfloat/multilingual-e5-large-instruct", 1024, "https://api.together.xyz/v1"
    ),
    "huggingface": _Known("openai", "tei"),
    "fastembed": _Known("fastembed", "thenlper/gte-large"),
}
_ELSEWHERE = ("aws_bedrock", "langchain", "vertexai")
"""mem0's embedders that are left out."""
_IGNORED = (
    "http_client_proxies",
    "lmstudio_base_url",
    "memory_add_embedding_type",
    "memory_search_embedding_type",
    "memory_update_embedding_type",
)
"""Options of mem0 that change nothing here: proxies are those of the environment."""
_SIZES = ("embedding_dims", "output_dimensionality")
_CROSS_ENCODERS = {
    "cross-encoder/ms-marco-MiniLM-L-6-v2": "Xenova/ms-marco-MiniLM-L-6-v2",
    "cross-encoder/ms-marco-MiniLM-L-12-v2": "Xenova/ms-marco-MiniLM-L-12-v2",
}
"""The same weights under the names that FastEmbed has for them."""
_RERANKERS: Mapping[str, tuple[str, str]] = {
    "cohere": ("cohere", "rerank-english-v3.0"),
    "huggingface": ("fastembed", "BAAI/bge-reranker-base"),
    "sentence_transformer": ("fastembed", "cross-encoder/ms-marco-MiniLM-L-6-v2"),
}
"""mem0's rerankers: ours, and the model that mem0 takes when none is named."""
_ABOUT_RERANKING = (
    "batch_size",
    "device",
    "max_chunks_per_doc",
    "max_length",
    "normalize",
    "provider",
    "return_documents",
    "show_progress_bar",
)
"""Options of mem0's rerankers that change nothing here."""
_ABOUT_LLMS = ("model", "api_key", "temperature")
_ABOUT_JUDGING = ("max_tokens", "max_workers")
"""Options of mem0's language model as reranker that change nothing: all texts are judged in one answer."""


def embedder(part: Part) -> Part:
    """mem0's options of an embedder as ours; a provider that only Perdure has stays as it is.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = _named(part, "openai")
    if name in _ELSEWHERE or (name == "huggingface" and not given.get("huggingface_base_url")):
        raise ConfigurationError(
            f"embedder {name!r} is not available here: name 'openai' with openai_base_url for a server that speaks as "
            "OpenAI does, or 'fastembed' for a model in this process"
        )
    if name not in _EMBEDDERS:
        return {"provider": name, "config": given}
    known = _EMBEDDERS[name]
    options: dict[str, Any] = {}
    if (
        url := _first(given, "openai_base_url", f"{name}_base_url", f"{known.provider}_base_url")
        or known.base_url
    ):
        options["base_url"] = url
    options |= _azure(given.pop("azure_kwargs", None) or {}) if name == "azure_openai" else {}
    size = _first(given, *_SIZES)
    given["model"] = given.get("model") or known.model
    if given["model"].removeprefix("models/") == known.model:
        size = size or known.dimensions
    if size is not None and known.provider != "fastembed":  # which knows the dimensions of its models
        options["dimensions"] = int(size)
    return {"provider": known.provider, "config": {**options, **_left(given, _IGNORED)}}


def reranker(part: Part, llm: Callable[[Part], Part]) -> Part:
    """mem0's options of a reranker as ours; a provider that only Perdure has stays as it is.

    Args:
        llm: the same for a language model.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = _named(part, "cohere")
    if name == "zero_entropy":
        raise ConfigurationError(
            "reranker 'zero_entropy' is not available here: name 'jina' with its base_url for a server that speaks as "
            "Jina does, 'tei', 'cohere', 'fastembed' or 'llm_reranker'"
        )
    if name == "llm_reranker":
        return {"provider": "llm", "config": _judging(given, llm)}
    if name not in _RERANKERS:
        return {"provider": name, "config": given}
    provider, model = _RERANKERS[name]
    model = given.get("model") or model
    given["model"] = _CROSS_ENCODERS.get(model, model)
    if provider == "fastembed":
        given.pop("api_key", None)
    return {"provider": provider, "config": _left(given, _ABOUT_RERANKING)}


def _judging(given: dict[str, Any], llm: Callable[[Part], Part]) -> Part:
    if given.pop("scoring_prompt", None):
        raise ConfigurationError(
            "reranker.config has 'scoring_prompt', which has no counterpart here: leave it out"
        )
    own: Part | None = given.pop("llm", None)
    flat = {key: given.pop(key) for key in _ABOUT_LLMS if key in given}
    named = own or {"provider": given.pop("provider", "openai"), "config": {"model": "gpt-4o-mini", **flat}}
    return {"llm": llm(named), **_left(given, (*_ABOUT_JUDGING, "provider"))}


def _named(part: Part, default: str) -> tuple[str, dict[str, Any]]:
    return str(part.get("provider") or default), dict(part.get("config") or {})


def _azure(given: Mapping[str, Any]) -> dict[str, Any]:
    """Where a deployment is, and its key."""
    endpoint, deployment = given.get("azure_endpoint"), given.get("azure_deployment")
    if not (endpoint and deployment and given.get("api_key") and given.get("api_version")):
        raise ConfigurationError(
            "embedder 'azure_openai' needs azure_kwargs with azure_endpoint, azure_deployment, api_version and api_key"
        )
    made = {
        "base_url": f"{str(endpoint).rstrip('/')}/openai/deployments/{deployment}",
        "azure_api_version": given["api_version"],
        "api_key": given["api_key"],
    }
    headers = given.get("default_headers")
    return {**made, "headers": headers} if headers else made


def _first(given: dict[str, Any], *names: str) -> Any:
    """The first of these that is given; all of them are taken out."""
    found = [given.pop(name) for name in dict.fromkeys(names) if name in given]
    return next((value for value in found if value is not None), None)


def _left(given: Mapping[str, Any], ignored: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None and key not in ignored}
