"""What to run with: which provider plays each role, with which options, and the engine's settings."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from perdure.errors import ConfigurationError
from perdure.settings import Settings

DEFAULT_PATH = Path("~/.perdure/memory.db")
ROLES = ("store", "embedder", "reranker")
NOTHING = ("none", "off", "")
"""Texts that switch a role off, where None cannot be written (in the environment and in TOML)."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A provider by name, and its options, not yet looked at."""

    provider: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Roles and settings; names only, no provider is known here."""

    store: Role = field(default_factory=lambda: Role(provider="sqlite", options={"path": str(DEFAULT_PATH)}))
    embedder: Role | None = field(default_factory=lambda: Role(provider="local"))
    reranker: Role | None = None
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def of(cls, source: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None) -> Config:
        """The configuration of a call: the source over `PERDURE_*`, over the file it names, over the defaults."""
        if isinstance(source, Config):
            return source
        environment = _from_environment(os.environ)
        path = environment.pop("config", None)
        layers: list[Mapping[str, Any]] = [_from_file(Path(path))] if path else []
        layers.append(environment)
        if isinstance(source, (str, os.PathLike)):
            layers.append(_from_file(Path(source)))
        elif source is not None:
            layers.append(_mapping(source, "the configuration"))
        merged: dict[str, Any] = {}
        for layer in layers:
            merged = _over(merged, layer)
        return cls.from_dict(merged)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that a dictionary describes, alone.

        Raises:
            ConfigurationError: an unknown key, or a value of the wrong kind.
        """
        known = [*ROLES, "settings", "path"]
        for key in values:
            _known(key, known, "the configuration")
        made: dict[str, Any] = {name: _role(name, values[name]) for name in ROLES if name in values}
        if made.get("store", True) is None:
            raise ConfigurationError("store is switched off: memories have to be kept somewhere")
        if "path" in values:
            made["store"] = Role(provider="sqlite", options={"path": str(values["path"])})
        if "settings" in values:
            made["settings"] = _settings(_mapping(values["settings"], "settings"))
        config = cls(**made)
        if config.store.provider == "sqlite":
            options = {"path": DEFAULT_PATH, **config.store.options}
            options["path"] = str(Path(options["path"]).expanduser())
            config = cls(**{**made, "store": Role(provider="sqlite", options=options)})
        return config

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Config:
        """The configuration in a TOML file, alone."""
        return cls.from_dict(_from_file(Path(path)))


def _role(name: str, value: object) -> Role | None:
    """A role from `None`, a provider's name, or `{"provider": ..., ...}` with options in it or under `config`."""
    if value is None or (isinstance(value, str) and value.lower() in NOTHING):
        return None
    if isinstance(value, str):
        return Role(provider=value)
    given = dict(_mapping(value, name))
    default = {"store": "sqlite", "embedder": "local"}.get(name)
    provider = given.pop("provider", default)
    if not isinstance(provider, str):
        raise ConfigurationError(f"{name} names no provider: {{'provider': ..., 'config': {{...}}}}")
    if provider.lower() in NOTHING:
        return None
    nested = _mapping(given.pop("config", None) or {}, f"{name}.config")
    return Role(provider=provider, options={**given, **nested})


def _settings(values: Mapping[str, Any]) -> Settings:
    from pydantic import TypeAdapter, ValidationError

    for key in values:
        _known(key, [f.name for f in fields(Settings)], "settings")
    try:
        return TypeAdapter(Settings).validate_python(dict(values))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise ConfigurationError(f"settings are wrong: {wrong}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`PERDURE_STORE__PATH=x` is `{"store": {"path": "x"}}`; `PERDURE_PATH` is short for that."""
    made: dict[str, Any] = {}
    for name, value in sorted(environment.items()):
        parts = name.removeprefix("PERDURE_").lower().split("__")
        if not name.startswith("PERDURE_") or parts[0] not in (*ROLES, "settings", "path", "config"):
            continue
        place = made
        for part in parts[:-1]:
            place[part] = _as_role(place.get(part, {}))
            place = place[part]
        place[parts[-1]] = value
    if "path" in made:
        made["store"] = _over({"path": made.pop("path")}, _as_role(made.get("store", {})))
    return made


def _as_role(value: str | dict[str, Any]) -> dict[str, Any]:
    """A provider's name, and what may come to it, as a dictionary."""
    return {"provider": value} if isinstance(value, str) else value


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {str(path)!r} cannot be read: {error.strerror}"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the configuration file {str(path)!r} is no TOML: {error}") from error


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """The upper layer's values, and the lower's where it has none; another provider takes no options over."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            other = "provider" in value and value["provider"] != below.get("provider", value["provider"])
            merged[key] = dict(value) if other else _over(below, value)
        else:
            merged[key] = value
    return merged


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is a {type(value).__name__}: give a dictionary")
    return value


def _known(key: str, known: list[str], where: str) -> None:
    if key not in known:
        near = get_close_matches(key, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise ConfigurationError(f"{where} has no {key!r}: {hint}")
