"""The tree of a filter: what it means, and what can be known from it without asking a store."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from perdure.moments import micros
from perdure.types import Kind, Memory, Origin, Scope

Scalar: TypeAlias = str | int | float | bool
Operator: TypeAlias = Literal["in", "gt", "gte", "lt", "lte", "contains", "icontains", "exists"]
Type: TypeAlias = Literal["text", "time", "set", "json"]

MAX_SCOPES: Final = 1_000
"""`scopes` names no more alternatives than this; with more it leaves some conditions to `matches`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One field compared with values: `eq` is `in` with one value, and negations are a `Not` around it."""

    field: str
    operator: Operator
    values: tuple[Scalar, ...] = dataclasses.field(default=(), compare=False)
    """Any of them; exactly one for gt, gte, lt and lte. Times are microseconds since 1970."""
    path: tuple[str, ...] = ()
    """Keys into the metadata; the empty path is the whole object."""
    wanted: frozenset[tuple[str, Scalar] | None] = dataclasses.field(init=False, repr=False)
    """The values with their types, since to Python True, 1 and 1.0 are the same."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "wanted", frozenset(map(_typed, self.values)))

    def __repr__(self) -> str:
        name = ".".join((self.field, *self.path))
        return " ".join((name, self.operator, ", ".join(map(repr, self.values)))).rstrip()


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts; with no parts, everything."""

    parts: tuple[Filter, ...] = ()

    def __repr__(self) -> str:
        return f"({' AND '.join(map(repr, self.parts))})" if self.parts else "everything"


@dataclass(frozen=True, slots=True)
class Or:
    """Any of the parts; with no parts, nothing."""

    parts: tuple[Filter, ...] = ()

    def __repr__(self) -> str:
        return f"({' OR '.join(map(repr, self.parts))})" if self.parts else "nothing"


@dataclass(frozen=True, slots=True)
class Not:
    """Whatever the part does not match."""

    part: Filter

    def __repr__(self) -> str:
        return f"NOT {self.part!r}"


Filter: TypeAlias = Condition | And | Or | Not

EVERYTHING: Final = And()
NOTHING: Final = Or()


class Field(NamedTuple):
    """What a name in a filter stands for."""

    type: Type
    get: Callable[[Memory], Any]
    choices: tuple[str, ...] = ()


FIELDS: Final[Mapping[str, Field]] = {
    "id": Field("text", lambda m: m.id),
    "user_id": Field("text", lambda m: m.scope.user_id),
    "agent_id": Field("text", lambda m: m.scope.agent_id),
    "app_id": Field("text", lambda m: m.scope.app_id),
    "run_id": Field("text", lambda m: m.scope.run_id),
    "memory": Field("text", lambda m: m.text),
    "kind": Field("text", lambda m: m.kind, get_args(Kind)),
    "role": Field("text", lambda m: m.role),
    "speaker": Field("text", lambda m: m.speaker),
    "session": Field("text", lambda m: m.session),
    "origin": Field("text", lambda m: m.origin, get_args(Origin)),
    "categories": Field("set", lambda m: m.categories),
    "metadata": Field("json", lambda m: m.metadata),
    "created_at": Field("time", lambda m: m.said_at),
    "updated_at": Field("time", lambda m: m.updated_at),
    "said_at": Field("time", lambda m: m.said_at),
    "recorded_at": Field("time", lambda m: m.recorded_at),
    "valid_from": Field("time", lambda m: m.valid_from),
    "valid_to": Field("time", lambda m: m.valid_to),
    "expires_at": Field("time", lambda m: m.expires_at),
}
"""Every field by its name in the tree. A store maps each to a column."""

SCOPE_FIELDS: Final = ("user_id", "agent_id", "app_id", "run_id")


# ---- asking


def matches(filter: Filter, memory: Memory) -> bool:
    """Whether a memory is one of those that the filter describes; every store agrees with this."""
    match filter:
        case And(parts):
            return all(matches(part, memory) for part in parts)
        case Or(parts):
            return any(matches(part, memory) for part in parts)
        case Not(part):
            return not matches(part, memory)
        case Condition():
            return holds(filter, values(memory, filter.field))


def values(memory: Memory, name: str) -> Any:
    """What a memory has in a field of the tree: a text, microseconds, the categories, the metadata, or None."""
    known = FIELDS[name]
    value = known.get(memory)
    if known.type == "time":
        return None if value is None else micros(value)
    return (value or None) if known.type in ("set", "json") else value


def holds(condition: Condition, value: Any) -> bool:
    """Whether a field's value satisfies one condition, its path followed into the value."""
    for key in condition.path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value is not None and _TESTS[condition.operator](condition, value)


def _in(condition: Condition, value: Any) -> bool:
    return any(_typed(member) in condition.wanted for member in _members(value))


def _ordered(condition: Condition, value: Any) -> bool:
    bound: Any = condition.values[0]
    return _type_name(value) == _type_name(bound) and _ORDERS[condition.operator](value, bound)


def _contains(condition: Condition, value: Any) -> bool:
    if isinstance(value, str):
        return any(isinstance(part, str) and part in value for part in condition.values)
    return any(_typed(member) in condition.wanted for member in _members(value, keys=True))


def _icontains(condition: Condition, value: Any) -> bool:
    parts = [fold(part) for part in condition.values if isinstance(part, str)]
    if isinstance(value, str):
        return any(part in fold(value) for part in parts)
    return any(isinstance(member, str) and fold(member) in parts for member in _members(value, keys=True))


def fold(text: str) -> str:
    """What `icontains` compares in the place of a text."""
    return text.casefold()


_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_TESTS: Final[Mapping[str, Callable[[Condition, Any], bool]]] = {
    "in": _in,
    "contains": _contains,
    "icontains": _icontains,
    "exists": lambda _condition, _value: True,
    **dict.fromkeys(_ORDERS, _ordered),
}


def _members(value: Any, *, keys: bool = False) -> Iterable[Any]:
    if isinstance(value, list | tuple) or (keys and isinstance(value, Mapping)):
        return value
    return (value,)


_TYPE_NAMES: Final[Mapping[type, str]] = {bool: "flag", int: "number", float: "number", str: "text"}
"""bool stands before int, of which it is a subclass."""


def _type_name(value: object) -> str | None:
    # the exact type first: it is the common case and several times faster
    exact = _TYPE_NAMES.get(type(value))
    return exact or next((name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind)), None)


def _typed(value: Any) -> tuple[str, Scalar] | None:
    name = _type_name(value)
    return None if name is None else (name, value)


# ---- reasoning about filters


def conjoin(*filters: Filter | None) -> Filter:
    """What all of these match; None stands for no restriction."""
    parts: list[Filter] = []
    for part in filters:
        parts += part.parts if isinstance(part, And) else () if part is None else (part,)
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def required(filter: Filter, field: str) -> frozenset[str] | None:
    """The values of a text field of which every match has one; None when the filter does not say.

    An empty set means that the filter contradicts itself and matches nothing.
    """
    match filter:
        case Condition(name, "in", wanted) if name == field:
            return frozenset(map(str, wanted))
        case And(parts):
            known = [ids for part in parts if (ids := required(part, field)) is not None]
            return frozenset.intersection(*known) if known else None
        case Or(parts):
            options = [required(part, field) for part in parts]
            return (
                None if None in options else frozenset().union(*(ids for ids in options if ids is not None))
            )
        case _:
            return None


def scopes(filter: Filter, *, tenant: str = "default") -> tuple[Scope, ...] | None:
    """Scopes of which every match lies under at least one (its ids that are not None); None when any may hold one.

    Sound, not exact: what lies under them has still to be matched. No scopes mean that nothing matches.
    """
    options = dict.fromkeys(map(_sorted_ids, _scope_ids(filter)))
    if () in options:
        return None
    return tuple(Scope(tenant=tenant, **dict(ids)) for ids in options)


def _scope_ids(filter: Filter) -> list[dict[str, str]]:
    """The alternatives of what a match's scope ids are; an empty one leaves them open."""
    match filter:
        case Condition(name, "in", wanted) if name in SCOPE_FIELDS:
            return [{name: str(value)} for value in wanted]
        case Or(parts):
            return [ids for part in parts for ids in _scope_ids(part)]
        case And(parts):
            found: list[dict[str, str]] = [{}]
            for part in parts:
                options = _scope_ids(part)
                # leaving a part out only widens the search for candidates, each of which is matched again
                if len(found) * len(options) <= MAX_SCOPES:
                    found = [one | other for one, other in product(found, options) if _agree(one, other)]
            return found
        case _:
            return [{}]


def _agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return all(other.get(name, value) == value for name, value in one.items())


def _sorted_ids(ids: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(ids.items()))
