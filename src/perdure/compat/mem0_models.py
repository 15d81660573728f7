"""mem0's embedders and rerankers with their options, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from perdure.compat.mem0_llms import llm
from perdure.compat.mem0_servers import Options, Part, Server, azure, first, named, reached
from perdure.errors import ConfigurationError
from perdure.registry import EMBEDDERS

_EMBEDDERS: Final[Mapping[str, Server]] = {
    "openai": Server(
        "openai",
        "text-embedding-3-small",
        None,
        ("OPENAI_API_KEY",),
        ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
    ),
    "azure_openai": Server("openai", "text-embedding-3-small"),
    "ollama": Server("ollama", "nomic-embed-text", None, (), ("OLLAMA_HOST",)),
    "gemini": Server("gemini", "gemini-embedding-001"),
    "lmstudio": Server(
        "openai",
        "nomic-ai/nomic-embed-text-v1.5-GGUF/nomic-embed-text-v1.5.f16.gguf",
        "http://localhost:1234/v1",
    ),
    "together": Server(
        "openai",
        "intfloat/multilingual-e5-large-instruct",
        "https://api.together.xyz/v1",
        ("TOGETHER_API_KEY",),
    ),
    "huggingface": Server("openai", "tei", None, ("HUGGINGFACE_API_KEY",), ("HUGGINGFACE_BASE_URL",)),
    "fastembed": Server("fastembed", "thenlper/gte-large"),
}
_KNOWN: Final = {
    "intfloat/multilingual-e5-large-instruct": 1024,
    "nomic-ai/nomic-embed-text-v1.5": 768,
    "togethercomputer/m2-bert-80M-8k-retrieval": 768,
}
"""Dimensions of the models in mem0's documentation, by how their names begin, where our provider knows none."""
_GEMINI: Final = 768
"""So many are asked for where none are named."""
_HERE: Final = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
"""The model that is part of this package."""
_ELSEWHERE = ("aws_bedrock", "langchain", "vertexai")
"""mem0's embedders that are left out."""
_IGNORED = (
    "memory_add_embedding_type",
    "memory_search_embedding_type",
    "memory_update_embedding_type",
)
"""Options of mem0 that change nothing here."""
_SIZES = ("embedding_dims", "output_dimensionality", "dimensions")
_CROSS_ENCODERS = {
    "cross-encoder/ms-marco-MiniLM-L-6-v2": "Xenova/ms-marco-MiniLM-L-6-v2",
    "cross-encoder/ms-marco-MiniLM-L-12-v2": "Xenova/ms-marco-MiniLM-L-12-v2",
}
"""The same weights under the names that FastEmbed has for them."""
_RERANKERS: Mapping[str, tuple[str, str]] = {
    "cohere": ("cohere", "rerank-v3.5"),
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
_ABOUT_JUDGING = ("top_k", "top_n", "batch_size", "max_chars", "timeout")
"""Options of a language model as reranker; the others are the language model's."""
_ABOUT_ONE = ("max_tokens", "max_workers")
"""Options of mem0's that change nothing: all texts are judged in one answer."""
_JUDGE: Final = "gpt-5-mini"
"""The model that mem0 takes when none is named, whoever serves it."""


def embedder(part: Part, size: int | None = None) -> Part:
    """mem0's options of an embedder as ours; a provider that only Perdure has stays as it is.

    Args:
        size: the dimensions that the vector store is told, for a model of which none are known.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart, or a key that is nowhere.
    """
    name, given = named(part, "openai")
    server = _EMBEDDERS.get(name)
    model = str(given.pop("model", None) or (server.model if server else ""))
    if name == "huggingface" and model in _HERE:
        return {"provider": "local", "config": {}}
    if server is None and name not in _ELSEWHERE:
        return {"provider": name, "config": {**given, **({"model": model} if model else {})}}
    if server is None:
        raise _elsewhere(name)
    place = (
        azure("embedder", "EMBEDDING", given, model)
        if name == "azure_openai"
        else reached("embedder", name, server, given)
    )
    if name == "huggingface":
        if "base_url" not in place:
            raise _elsewhere(name)
        if more := given.pop("model_kwargs", None):
            place["extra"] = more
    options = {"model": model, **place}
    if server.provider != "fastembed":  # which knows the dimensions of its models
        options |= _sized(server, model, first(given, *_SIZES), size)
    first(given, *_SIZES)
    return {"provider": server.provider, "config": {**options, **_left(given, _IGNORED)}}


def _elsewhere(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"embedder {name!r} is not available here: name 'openai' with openai_base_url for a server that speaks as "
        "OpenAI does, or 'fastembed' for a model in this process"
    )


def _sized(server: Server, model: str, given: Any, store: int | None) -> Options:
    """The dimensions that are told, or known of the model, or else those that the vector store is told."""
    known = next((size for begun, size in _KNOWN.items() if model.startswith(begun)), None)
    size = given or known or (_GEMINI if server.provider == "gemini" else None)
    if size is None and model.removesuffix(":latest") not in getattr(
        EMBEDDERS.load(server.provider), "SIZES", ()
    ):
        size = store
    return {"dimensions": int(size)} if size else {}


def reranker(part: Part) -> Part:
    """mem0's options of a reranker as ours; a provider that only Perdure has stays as it is.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = named(part, "cohere")
    if name == "zero_entropy":
        raise ConfigurationError(
            "reranker 'zero_entropy' is not available here: name 'jina' with its base_url for a server that speaks as "
            "Jina does, 'tei', 'cohere', 'fastembed' or 'llm_reranker'"
        )
    if name == "llm_reranker":
        return {"provider": "llm", "config": _judging(given)}
    if name not in _RERANKERS:
        return {"provider": name, "config": given}
    if name == "huggingface" and (url := first(given, "huggingface_base_url", "base_url")):
        place = {"base_url": str(url).rstrip("/").removesuffix("/v1")}  # below which only OpenAI's dialect is
        return {"provider": "tei", "config": {**place, **_left(given, _ABOUT_RERANKING)}}
    provider, model = _RERANKERS[name]
    model = given.get("model") or model
    given["model"] = _CROSS_ENCODERS.get(model, model)
    if provider == "fastembed":
        given.pop("api_key", None)
    return {"provider": provider, "config": _left(given, _ABOUT_RERANKING)}


def _judging(given: Options) -> Options:
    if given.pop("scoring_prompt", None):
        raise ConfigurationError(
            "reranker.config has 'scoring_prompt', which has no counterpart here: leave it out"
        )
    ours = {option: given.pop(option) for option in _ABOUT_JUDGING if option in given}
    own = given.pop("llm", None) or {}
    first(given, *_ABOUT_ONE)
    provider = given.pop("provider", "openai")
    told = {"model": _JUDGE, **given, **(own.get("config") or {})}
    return {"llm": llm({"provider": own.get("provider") or provider, "config": told}), **ours}


def _left(given: Options, ignored: tuple[str, ...]) -> Options:
    return {key: value for key, value in given.items() if key not in ignored}
