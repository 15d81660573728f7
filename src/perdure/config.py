"""What to run with: which provider plays each role, with which options, and the engine's settings."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from perdure.arguments import shown
from perdure.errors import ConfigurationError
from perdure.options import checked, nearest
from perdure.settings import Settings

ROLES = ("store", "embedder", "former_embedder", "reranker", "llm", "cache", "vectors", "graph")
NOTHING = ("none", "off")
"""Texts that switch a role off, where None cannot be written (in the environment and in TOML)."""
DEFAULTS: Mapping[str, Any] = {
    "store": {"provider": "sqlite", "path": "~/.perdure/memory.db"},
    "embedder": {"provider": "local"},
}
PREFIX = "PERDURE_"


@dataclass(frozen=True, kw_only=True)
class Role:
    """A provider by name, and its options, not yet looked at."""

    provider: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """There may be secrets among them."""


def _default(role: str) -> Role:
    return _settled(role, _said(role, DEFAULTS[role]))


@dataclass(frozen=True, kw_only=True)
class Config:
    """Roles and settings; names only, no provider is known here."""

    store: Role = field(default_factory=lambda: _default("store"))
    embedder: Role | None = field(default_factory=lambda: _default("embedder"))
    former_embedder: Role | None = None
    """The one with which a store's vectors were made, until `reindex` has made them with the other: both serve."""
    reranker: Role | None = None
    llm: Role | None = None
    """Off unless it is named: a key that happens to be in the environment chooses nothing."""
    cache: Role | None = None
    """What processes share; what one holds for itself is a setting, `cache_bytes`."""
    vectors: Role | None = None
    """An engine beside the store that finds what is near in meaning; None: this process does."""
    graph: Role | None = None
    """An engine beside the store that finds what is stated of the names in a question."""
    settings: Settings = field(default_factory=Settings)

    @classmethod
    def of(cls, source: Config | Mapping[str, Any] | str | os.PathLike[str] | None = None) -> Config:
        """The configuration of a call: the source over `PERDURE_*`, over the file it names, over the defaults.

        Raises:
            ConfigurationError: an unknown key or variable, a value of the wrong kind, an unreadable file.
        """
        if isinstance(source, Config):
            return source
        environment = _from_environment(os.environ)
        path = environment.pop("config", None)
        layers = [_from_file(path)] if path else []
        layers.append(environment)
        if isinstance(source, (str, os.PathLike)):
            layers.append(_from_file(source))
        elif source is not None:
            layers.append(dict(_mapping(source, "the configuration")))
        return cls._of(layers)

    @property
    def former(self) -> Config | None:
        """The same with the former embedder in its place, where there is one."""
        if self.former_embedder is None:
            return None
        return replace(self, embedder=self.former_embedder, former_embedder=None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The configuration that a dictionary describes, over the defaults alone; raises as `of` does."""
        return cls._of([values])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Config:
        """The configuration in a TOML file, over the defaults alone; raises as `of` does."""
        return cls._of([_from_file(path)])

    @classmethod
    def _of(cls, layers: Iterable[Mapping[str, Any]]) -> Config:
        roles: dict[str, _Said | None] = dict.fromkeys(ROLES)
        settings: dict[str, Any] = {}
        for layer in (DEFAULTS, *layers):
            for name, value in _spelled_out(layer):
                if name == "settings":
                    settings |= _mapping(value, name)
                else:
                    roles[name] = _over(roles[name], _said(name, value))
        made = {name: None if said is None else _settled(name, said) for name, said in roles.items()}
        if (store := made.pop("store")) is None:
            raise ConfigurationError("store is switched off: memories have to be kept somewhere")
        return cls(store=store, settings=checked(Settings, settings, "settings"), **made)


@dataclass(frozen=True, kw_only=True)
class _Said:
    """What one layer says of a role."""

    provider: str | None
    """None: the one that a lower layer names."""
    options: Mapping[str, Any]


def _spelled_out(layer: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The roles and settings of a layer; `path` is short for a SQLite store, so what it says of `store` goes over."""
    known = (*ROLES, "settings", "path")
    for key in layer:
        if key not in known:
            raise ConfigurationError(f"the configuration has no {shown(key)}: {nearest(str(key), known)}")
    items = [(key, value) for key, value in layer.items() if key != "path"]
    if "path" in layer:
        _refuse_two_stores(layer.get("store"))
        items.insert(0, ("store", {"provider": "sqlite", "path": layer["path"]}))
    return items


def _refuse_two_stores(store: object) -> None:
    """Beside `path` a store may have options, but not be another one: its user would look for it at that path."""
    said = _said("store", store)
    if said and said.provider not in (None, "sqlite"):
        raise ConfigurationError(
            f"path is short for a SQLite store, and store is {said.provider!r}: leave one out"
        )


def _said(role: str, value: object) -> _Said | None:
    """A role from a provider's name, or `{"provider": ..., ...}` with options in it or under `config`; None is off."""
    given = {"provider": value} if value is None or isinstance(value, str) else dict(_mapping(value, role))
    provider = given.pop("provider", None)
    if value is None or (isinstance(provider, str) and provider.lower() in NOTHING):
        return None
    if provider is not None and (not isinstance(provider, str) or not provider.strip()):
        raise ConfigurationError(f"{role} names no provider: {{'provider': ..., 'config': {{...}}}}")
    nested = _mapping(given.pop("config", None) or {}, f"{role}.config")
    return _Said(provider=provider, options={**given, **nested})


def role(name: str, value: object) -> Role | None:
    """A role from what callers write: a provider's name, or `{"provider": ..., ...}`; None is off.

    Raises:
        ConfigurationError: it is neither, or names no provider.
    """
    said = _said(name, value)
    return None if said is None else _settled(name, said)


def _over(below: _Said | None, above: _Said | None) -> _Said | None:
    """The upper layer's options, and the lower's where it has none; another provider takes no options over."""
    if above is None or below is None or above.provider not in (None, below.provider):
        return above
    return replace(below, options={**below.options, **above.options})


def _settled(role: str, said: _Said | None) -> Role:
    if said is None or said.provider is None:
        raise ConfigurationError(
            f"{role} has options, but names no provider: {{'provider': ..., 'config': {{...}}}}"
        )
    options = dict(said.options)
    if isinstance(path := options.get("path"), (str, os.PathLike)):
        try:
            options["path"] = str(Path(path).expanduser())
        except RuntimeError as error:
            raise ConfigurationError(
                f"{role}: nobody's home is known for {path}: give a full path"
            ) from error
    return Role(provider=said.provider, options=options)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`PERDURE_STORE__PATH=x` is `{"store": {"path": "x"}}`, `PERDURE_EMBEDDER=none` names a provider."""
    made: dict[str, Any] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or not value.strip():
            continue
        head, *inner = name.removeprefix(PREFIX).lower().split("__")
        if not _is_ours(name, head, inner):
            continue
        *outer, last = (head, *inner) if inner or head not in ROLES else (head, "provider")
        place = made
        for part in outer:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigurationError(f"{name}: {part} has a value of its own in another variable")
        place[last] = _value(value)
    return made


def _is_ours(name: str, head: str, inner: list[str]) -> bool:
    """Whether a variable configures something here; some others begin with the same letters."""
    with_parts, alone = (*ROLES, "settings"), (*ROLES, "path", "config")
    if head in (with_parts if inner else alone):
        return True
    if inner or get_close_matches(head, alone, n=1, cutoff=0.8):
        known = [f"{PREFIX}{key.upper()}" for key in (with_parts if inner else alone)]
        raise ConfigurationError(
            f"the variable {name} configures nothing: {nearest(f'{PREFIX}{head.upper()}', known)}"
        )
    return False


def _value(text: str) -> Any:
    """A list or a dictionary where the text is JSON for one; everything else is converted by the field it is for."""
    if text.lstrip()[0] in "[{":
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _from_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the configuration file {shown(str(path), 200)} is no TOML: {error}"
        ) from error
    except (OSError, RuntimeError, ValueError) as error:  # ValueError: no file can be called that
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(
            f"the configuration file {shown(str(path), 200)} cannot be read: {reason}"
        ) from error


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is of the type {type(value).__name__}: give a dictionary")
    return value
