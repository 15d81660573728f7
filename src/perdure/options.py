"""Options as callers write them down, checked and converted by the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, fields, make_dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from perdure.arguments import shown
from perdure.errors import ConfigurationError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")


def checked(kind: type[T], options: Mapping[str, Any], subject: str) -> T:
    """Make a `kind`, a dataclass, from options: texts become numbers, paths, booleans where the fields say so.

    Args:
        subject: what the options belong to, for the message.

    Raises:
        ConfigurationError: an unknown option, or a wrong value; the message never shows a value, which may be a
            secret.
    """
    from pydantic import ValidationError  # slow to import, and needed here only

    known = options_of(kind)
    for name in options:
        if name not in known:
            raise ConfigurationError(f"{subject} has no option {shown(name)}: {nearest(str(name), known)}")
    try:
        valid = _adapter(kind).validate_python(dict(options))
    except ValidationError as error:
        wrong = (
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}"
            for e in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(f"{subject} is configured wrongly: {'; '.join(wrong)}") from None
    try:
        return kind(**{name: getattr(valid, name) for name in options})
    except ValueError as error:  # from `__post_init__`, which sees what no single field does
        raise ConfigurationError(f"{subject} is configured wrongly: {error}") from error


def schema(kind: type[Any]) -> dict[str, Any]:
    """The JSON schema of a dataclass's options, with their defaults."""
    return _adapter(kind).json_schema()


def options_of(kind: type[Any]) -> list[str]:
    """The names of a dataclass's options, in their order."""
    return [f.name for f in fields(kind) if f.init]


def nearest(name: str, known: Iterable[str]) -> str:
    """The advice to somebody who wrote `name`: the one that was probably meant (`base_url` for `url`), else all there are."""
    known = list(known)
    near = get_close_matches(name, known, n=1) or [one for one in known if len(name) > 2 and name in one]
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"


def at_least(options: object, **least: float) -> None:
    """Refuse numbers that are too small.

    Raises:
        ValueError: one is; the message names it.
    """
    for name, bound in least.items():
        if not getattr(options, name) >= bound:
            raise ValueError(f"{name} has to be {bound} or more")


def hide(options: object, name: str) -> None:
    """Make a secret of an option that was given as a plain text, in a frozen object that is being made."""
    from pydantic import SecretStr  # slow to import, and needed by those only who have it already

    if isinstance(plain := getattr(options, name), str):
        object.__setattr__(options, name, SecretStr(plain))


ESCAPED = "write %40 for an @, %2F for a /, %3F for a ? and %23 for a # that are part of a password"
"""What to do about a URL that is unclear."""


def unclear(url: str, *, ends: str = "/?#") -> bool:
    """Whether a part of a URL's password could be taken for a host or a path: an @ or a / in it is not escaped.

    Args:
        ends: what ends user, password and host. Where a ? does not, there may be an @ in what comes after a path's.
    """
    _, _, rest = url.partition("://")
    end = min((place for place in map(rest.find, ends) if place >= 0), default=len(rest))
    path = rest[end:] if "?" in ends else rest[end:].partition("?")[0]
    return rest[:end].count("@") > 1 or "@" in path


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    # A twin that pydantic may fill as it likes: the real one is made by its own `__init__`.
    from pydantic import ConfigDict, TypeAdapter  # slow to import, and needed here only

    hints = get_type_hints(kind, include_extras=True)
    twin = make_dataclass(
        kind.__name__,
        [
            (f.name, hints[f.name], field(default=f.default, default_factory=f.default_factory))
            for f in fields(kind)
            if f.init
        ],
        kw_only=True,
        namespace={
            "__doc__": kind.__doc__,
            "__pydantic_config__": ConfigDict(arbitrary_types_allowed=True, extra="forbid"),
        },
    )
    return TypeAdapter(twin)
