"""mem0's language models with their options, translated into Perdure's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from perdure.compat.mem0_servers import Options, Part, Server, azure, environment, first, named, reached
from perdure.errors import ConfigurationError

_OPENAI: Final = Server("openai", "gpt-5-mini", None, ("OPENAI_API_KEY",), ("OPENAI_BASE_URL",))
_AZURE: Final = Server("openai", "gpt-5-mini")
_OPENROUTER: Final = Server(
    "openai", "gpt-5-mini", "https://openrouter.ai/api/v1", ("OPENROUTER_API_KEY",), ("OPENROUTER_API_BASE",)
)
_SERVERS: Final[Mapping[str, Server]] = {
    "openai": _OPENAI,
    "openai_structured": _OPENAI,
    "azure_openai": _AZURE,
    "azure_openai_structured": _AZURE,
    "anthropic": Server(
        "anthropic", "claude-sonnet-4-6", None, ("ANTHROPIC_API_KEY",), ("ANTHROPIC_BASE_URL",)
    ),
    "gemini": Server("gemini", "gemini-2.0-flash"),
    "ollama": Server("openai", "llama3.1:70b", "http://localhost:11434/v1", (), ("OLLAMA_HOST",)),
    "lmstudio": Server(
        "openai",
        "lmstudio-community/Meta-Llama-3.1-70B-Instruct-GGUF/Meta-Llama-3.1-70B-Instruct-IQ2_M.gguf",
        "http://localhost:1234/v1",
    ),
    "vllm": Server(
        "openai",
        "Qwen/Qwen2.5-32B-Instruct",
        "http://localhost:8000/v1",
        ("VLLM_API_KEY",),
        ("VLLM_BASE_URL",),
    ),
    "groq": Server("openai", "llama-3.3-70b-versatile", "https://api.groq.com/openai/v1", ("GROQ_API_KEY",)),
    "deepseek": Server(
        "openai",
        "deepseek-chat",
        "https://api.deepseek.com/v1",
        ("DEEPSEEK_API_KEY",),
        ("DEEPSEEK_API_BASE",),
    ),
    "together": Server(
        "openai", "MiniMaxAI/MiniMax-M3", "https://api.together.xyz/v1", ("TOGETHER_API_KEY",)
    ),
    "xai": Server("openai", "grok-4.3", "https://api.x.ai/v1", ("XAI_API_KEY",), ("XAI_API_BASE",)),
    "sarvam": Server(
        "openai", "sarvam-m", "https://api.sarvam.ai/v1", ("SARVAM_API_KEY",), ("SARVAM_API_BASE",)
    ),
    "minimax": Server(
        "openai", "MiniMax-M2.7", "https://api.minimax.io/v1", ("MINIMAX_API_KEY",), ("MINIMAX_API_BASE",)
    ),
}
_MISTRAL: Final = Server("openai", "mistral-small-latest", "https://api.mistral.ai/v1", ("MISTRAL_API_KEY",))
_LITELLM: Final[Mapping[str, tuple[str, Server]]] = {
    **{name: (name, _SERVERS[name]) for name in _SERVERS if "structured" not in name},
    "azure": ("azure_openai", _AZURE),
    "ollama_chat": ("ollama", _SERVERS["ollama"]),
    "together_ai": ("together", _SERVERS["together"]),
    "hosted_vllm": ("vllm", _SERVERS["vllm"]),
    "lm_studio": ("lmstudio", _SERVERS["lmstudio"]),
    "openrouter": ("openrouter", _OPENROUTER),
    "mistral": ("mistral", _MISTRAL),
}
"""Whose model it is, by what LiteLLM wants before its name."""
_FAMILIES: Final = {
    "openai": ("gpt-", "chatgpt-", "o1", "o3", "o4"),
    "anthropic": ("claude-",),
    "gemini": ("gemini-",),
    "mistral": ("mistral-", "open-mi", "codestral-", "ministral-"),
    "deepseek": ("deepseek-",),
    "xai": ("grok-",),
}
"""Whose models LiteLLM knows without that."""
_TAKEN: Final = ("temperature", "max_tokens", "timeout")
_SENT: Final = ("reasoning_effort", "frequency_penalty", "presence_penalty", "seed", "stop", "n")
"""What Sarvam is told besides."""
_ROUTING: Final = ("models", "route", "site_url", "app_name")
"""What OpenRouter is told besides."""
_IGNORED: Final = (
    *("top_p", "top_k", "enable_vision", "vision_details", "is_reasoning_model", "reasoning_effort"),
    *("enable_sampling_parameters", "lmstudio_response_format", "store", *_ROUTING),
)
"""Options of mem0 that change nothing here."""


def llm(part: Part) -> Part:
    """mem0's options of a language model as ours.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart, or a key that is nowhere.
    """
    name, given = named(part, "openai")
    name, server = _chosen(name, given)
    if given.get("vertexai"):
        raise ConfigurationError(
            "llm.config has 'vertexai', which is not available here: leave it out, and give a key of Google AI Studio"
        )
    more = _besides(name, given)
    model = str(given.pop("model", None) or server.model)
    place = azure("llm", "LLM", given, model) if server is _AZURE else reached("llm", name, server, given)
    if name == "ollama" and not place["base_url"].rstrip("/").endswith("/v1"):
        place["base_url"] = f"{place['base_url'].rstrip('/')}/v1"  # mem0 names it by its host alone
    headers: Options = {**place.pop("headers", {}), **more.pop("headers", {})}
    headers |= first(given, "extra_headers", "default_headers") or {}
    options = _taken(given, *_TAKEN)
    if left := given.keys() - set(_IGNORED):
        raise ConfigurationError(f"llm.config has {min(left)!r}, which has no counterpart here: leave it out")
    made = {"model": model, **options, **place, **more}
    return {"provider": server.provider, "config": {**made, "headers": headers} if headers else made}


def _chosen(name: str, given: Options) -> tuple[str, Server]:
    """Who is meant: the provider named, what LiteLLM makes of the model, or OpenRouter."""
    if name == "litellm":
        return _by_model(given)
    if name not in _SERVERS:
        raise ConfigurationError(
            f"llm {name!r} is not known here: if it speaks as OpenAI does, name 'openai' with its openai_base_url"
        )
    if name == "openai":
        ours = given.get("openai_base_url") or given.get("base_url") or given.get("api_key")
        if given.get("openrouter_base_url") or (environment(*_OPENROUTER.keys) and not ours):
            return "openrouter", _OPENROUTER
    return name, _SERVERS[name]


def _by_model(given: Options) -> tuple[str, Server]:
    """By the name of a model as LiteLLM takes it; what it wants before the name is taken off."""
    model = str(given.get("model") or _OPENAI.model)
    vendor, slash, rest = model.partition("/")
    if not slash:
        vendor, rest = (
            next((vendor for vendor, begun in _FAMILIES.items() if model.startswith(begun)), ""),
            model,
        )
    if vendor not in _LITELLM:
        raise ConfigurationError(
            f"llm 'litellm' with the model {model!r} is not known here: name 'openai' with the openai_base_url of a "
            f"server that speaks as OpenAI does, as LiteLLM's own proxy does, or a model of {', '.join(_LITELLM)}"
        )
    given["model"] = rest
    return _LITELLM[vendor]


def _besides(name: str, given: Options) -> Options:
    """What goes into every request: of Sarvam's model, and of OpenRouter's way to one."""
    made: Options = {}
    if name == "sarvam":
        if isinstance(model := given.get("model"), Mapping):
            given.update({"model": model.get("name")} | {key: model[key] for key in model if key != "name"})
        made["extra"] = _taken(given, *_SENT)
    elif name == "openrouter":
        made["extra"] = _taken(given, "models", "route")
        about = {"HTTP-Referer": given.pop("site_url", None), "X-Title": given.pop("app_name", None)}
        made["headers"] = {header: value for header, value in about.items() if value}
    return {part: told for part, told in made.items() if told}


def _taken(given: Options, *names: str) -> Options:
    return {name: given.pop(name) for name in names if name in given}
