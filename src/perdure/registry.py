"""Providers by name: built-in ones by dotted path, others by entry point; each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, get_type_hints

from perdure.errors import ConfigurationError, MissingExtra
from perdure.ports import Embedder, Reranker, Store

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Registry(Generic[T]):
    """The providers of one role. A provider is a frozen dataclass whose fields are its configuration."""

    role: str
    group: str
    """Of the entry points with which a package offers its own."""
    built_in: Mapping[str, str]
    """Name to `module:class`."""
    extras: Mapping[str, str] = field(default_factory=dict)
    """Name to the extra of this package that brings what the provider needs."""

    def names(self) -> list[str]:
        """What can be configured here, sorted."""
        return sorted({*self.built_in, *_offered(self.group)})

    def create(self, name: str, options: Mapping[str, Any]) -> T:
        """A provider with these options, checked; nothing is opened yet.

        Raises:
            ConfigurationError: an unknown provider or option, or a value of the wrong kind.
            MissingExtra: the provider needs a package that is not installed.
        """
        provider = self.load(name)
        known = [f.name for f in fields(provider) if f.init]
        for option in options:
            if option not in known:
                raise ConfigurationError(
                    f"{self.role} {name!r} has no option {option!r}: {_nearest(option, known)}"
                )
        return cast("T", _checked(self.role, name, provider, options))

    def schema(self, name: str) -> dict[str, Any]:
        """The JSON schema of a provider's options."""
        return _model(self.load(name)).model_json_schema()

    def load(self, name: str) -> type[Any]:
        """The provider's class."""
        if name in self.built_in:
            return self._imported(name)
        offered = _offered(self.group).get(name)
        if offered is None:
            raise ConfigurationError(f"there is no {self.role} {name!r}: {_nearest(name, self.names())}")
        return cast("type[Any]", offered.load())

    def _imported(self, name: str) -> type[Any]:
        module, _, attribute = self.built_in[name].partition(":")
        try:
            return cast("type[Any]", getattr(import_module(module), attribute))
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("perdure") or name not in self.extras:
                raise
            raise MissingExtra(
                f"{self.role} {name!r} needs {error.name}: pip install 'perdure[{self.extras[name]}]'"
            ) from error


STORES: Registry[Store] = Registry(
    role="store",
    group="perdure.stores",
    built_in={"sqlite": "perdure.stores.sqlite:SqliteStore", "memory": "perdure.stores.memory:InMemoryStore"},
)
EMBEDDERS: Registry[Embedder] = Registry(
    role="embedder",
    group="perdure.embedders",
    built_in={"local": "perdure.embedders.local:LocalEmbedder", "hash": "perdure.testing.fakes:HashEmbedder"},
)
RERANKERS: Registry[Reranker] = Registry(
    role="reranker", group="perdure.rerankers", built_in={"words": "perdure.testing.fakes:WordReranker"}
)


@cache
def _offered(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=group)}


def _checked(role: str, name: str, provider: type[Any], options: Mapping[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        model = _model(provider)(**options)
    except ValidationError as error:
        # pydantic's own message shows the value, which may be a secret
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        raise ConfigurationError(f"{role} {name!r} is configured wrongly: {wrong}") from None
    return provider(**{option: getattr(model, option) for option in options})


def _model(provider: type[Any]) -> type[BaseModel]:
    """The options of a provider, as a model that checks and converts them."""
    from pydantic import create_model

    hints = get_type_hints(provider)
    wanted: dict[str, Any] = {f.name: (hints[f.name], _default(f)) for f in fields(provider) if f.init}
    return create_model(provider.__name__, __doc__=provider.__doc__, **wanted)


def _default(option: Field[Any]) -> Any:
    if option.default is not MISSING:
        return option.default
    return ... if option.default_factory is MISSING else option.default_factory()


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
