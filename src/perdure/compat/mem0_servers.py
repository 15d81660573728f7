"""The servers that mem0 knows by name, and where its options and its variables of the environment say that they are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from perdure.errors import ConfigurationError

Part: TypeAlias = Mapping[str, Any]
"""`{"provider": ..., "config": {...}}`."""
Options: TypeAlias = dict[str, Any]

_KEYLESS = ("your-api-key", "your_api_key")
"""What mem0's documentation has in the place of a key."""

_OLLAMA = "OLLAMA_HOST"
"""The variable of Ollama's own, which may name a host alone."""


class Server(NamedTuple):
    """Who plays a role of mem0's."""

    provider: str
    """Ours."""
    model: str
    """The one that mem0 takes when none is named."""
    base_url: str | None = None
    """Where it is not the provider's own."""
    keys: tuple[str, ...] = ()
    """The variables in which mem0 looks for a key."""
    urls: tuple[str, ...] = ()
    """The variables in which mem0 looks for the place."""


def named(part: Part, default: str) -> tuple[str, Options]:
    """The provider, and its options, below `config` or beside the provider; those that are None were not given."""
    beside = {key: value for key, value in part.items() if key not in ("provider", "config")}
    options = {**beside, **(part.get("config") or {})}
    given = {key: value for key, value in options.items() if value is not None}
    return str(part.get("provider") or default), given


def reached(role: str, name: str, server: Server, given: Options) -> Options:
    """Where a server is, and its key: what is given, else what the environment says, as mem0 does; taken out.

    Raises:
        ConfigurationError: a vendor's own server, and no key.
    """
    if given.pop("http_client_proxies", None):
        raise ConfigurationError(
            f"{role}.config has 'http_client_proxies': set the variables HTTPS_PROXY and HTTP_PROXY instead"
        )
    url = _place(name, server, given)
    key = given.pop("api_key", None) or environment(*server.keys)
    if url is None and key is None and server.keys and (server.base_url or "").startswith("https://"):
        raise ConfigurationError(
            f"{role} {name!r} needs a key: give api_key, or set the variable {server.keys[0]}"
        )
    url = url or server.base_url
    return {**({"base_url": url} if url else {}), **({"api_key": key} if key else {})}


def azure(role: str, prefix: str, given: Options, model: str) -> Options:
    """Where a deployment of Azure's is, and its key, by `azure_kwargs` or the variables; taken out.

    Args:
        prefix: of mem0's variables.
        model: after which a deployment is called that has no name of its own.

    Raises:
        ConfigurationError: there is no place, version or key.
    """
    told = {**given, **(given.pop("azure_kwargs", None) or {})}
    found = {
        "azure_endpoint": environment(f"{prefix}_AZURE_ENDPOINT", "AZURE_OPENAI_ENDPOINT"),
        "azure_deployment": environment(f"{prefix}_AZURE_DEPLOYMENT") or model,
        "api_version": environment(f"{prefix}_AZURE_API_VERSION", "OPENAI_API_VERSION"),
        "api_key": environment(f"{prefix}_AZURE_OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"),
    }
    for name in found:
        given.pop(name, None)
        if (value := told.get(name)) and value not in _KEYLESS:
            found[name] = value
    if missing := [name for name, value in found.items() if not value]:
        raise ConfigurationError(
            f"{role} 'azure_openai' needs azure_kwargs with azure_endpoint, azure_deployment, api_version and api_key, "
            f"or mem0's variables {prefix}_AZURE_...; {missing[0]} is missing, and there is no signing in without a key"
        )
    made = {
        "base_url": f"{str(found['azure_endpoint']).rstrip('/')}/openai/deployments/{found['azure_deployment']}",
        "azure_api_version": found["api_version"],
        "api_key": found["api_key"],
    }
    headers = told.get("default_headers")
    return {**made, "headers": headers} if headers else made


def environment(*names: str) -> str | None:
    """The first of these variables that says something."""
    values = (os.environ.get(name, "").strip() for name in names)
    return next((value for value in values if value), None)


def first(given: Options, *names: str) -> Any:
    """The first of these that is given; all of them are taken out."""
    found = [given.pop(name) for name in names if name in given]
    return found[0] if found else None


def _place(name: str, server: Server, given: Options) -> str | None:
    """The vendor's own option, else another one that names a place, else a variable."""
    others = [option for option in given if option.endswith("base_url")]
    url = first(given, *dict.fromkeys((f"{name}_base_url", f"{server.provider}_base_url", *others)))
    url = str(url or environment(*server.urls) or "")
    if url and _OLLAMA in server.urls and "://" not in url:
        return f"http://{url}" if ":" in url else f"http://{url}:11434"
    return url or None
