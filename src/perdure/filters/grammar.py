"""Reading a caller's mapping into the tree of a filter, and saying what is wrong with it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from perdure.arguments import shown
from perdure.errors import InvalidFilter, InvalidInput
from perdure.filters.tree import (
    EVERYTHING,
    FIELDS,
    And,
    Condition,
    Filter,
    Not,
    Operator,
    Or,
    Scalar,
    Type,
    conjoin,
)
from perdure.moments import micros, parse_moment

MAX_NESTING: Final = 32
"""Mappings and lists within each other: SQL parsers have a limited stack."""
MAX_CONDITIONS: Final = 500
MAX_VALUES: Final = 10_000
MAX_BITS: Final = 4_096
"""Integers are compared exactly up to this size."""

ALIASES: Final[Mapping[str, str]] = {
    "actor": "speaker",
    "actor_id": "speaker",
    "expiration_date": "expires_at",
    "keywords": "memory",
    "memory_id": "id",
    "memory_ids": "id",
    "text": "memory",
    "timestamp": "created_at",
}
SHORTHANDS: Final = ("created_after", "created_before")


def parse(filters: Mapping[str, Any] | None) -> Filter:
    """Read a caller's `filters`; None and the empty mapping match everything.

    Raises:
        InvalidFilter: an unknown field, operator or value; the message says what to write instead.
    """
    if filters is None:
        return EVERYTHING
    if not isinstance(filters, Mapping):
        raise InvalidFilter(f"filters is a mapping, as in {{'user_id': 'alice'}}; got {_a(filters)}")
    _check_nesting(filters)
    tree = conjoin(*(_entry(name, value) for name, value in filters.items()))
    _check_size(tree)
    return tree


def _check_nesting(filters: Mapping[str, Any]) -> None:
    layer: list[Any] = [filters]
    for _ in range(MAX_NESTING):
        layer = [child for node in layer for child in _children(node)]
        if not layer:
            return
    raise InvalidFilter(
        f"the filter is nested more than {MAX_NESTING} mappings and lists deep: make it flatter"
    )


def _children(node: Any) -> Iterator[Any]:
    for child in node.values() if isinstance(node, Mapping) else node:
        if isinstance(child, Mapping | list | tuple | set | frozenset):
            yield child


def _check_size(tree: Filter) -> None:
    conditions = list(_conditions(tree))
    searches = sum(len(condition.values) for condition in conditions if "contains" in condition.operator)
    if len(conditions) + searches > MAX_CONDITIONS:
        raise InvalidFilter(
            f"the filter has more than {MAX_CONDITIONS} conditions (each value of contains and icontains is one): "
            f"give many values of one field as a list, as in {{'id': [...]}}"
        )
    if sum(len(condition.values) for condition in conditions) > MAX_VALUES:
        raise InvalidFilter(f"the filter has more than {MAX_VALUES} values: ask in several calls")


def _conditions(tree: Filter) -> Iterator[Condition]:
    match tree:
        case Condition():
            yield tree
        case Not(part):
            yield from _conditions(part)
        case And(parts) | Or(parts):
            for part in parts:
                yield from _conditions(part)


def _entry(name: object, value: Any) -> Filter:
    if not isinstance(name, str):
        raise InvalidFilter(f"the names in a filter are texts; got {_a(name)}")
    _check_text(name, "a name in the filter")
    if (junction := name.removeprefix("$").upper()) in _JUNCTIONS:
        return _JUNCTIONS[junction](name, value)
    if name in SHORTHANDS:
        return _shorthand(name, value)
    target = ALIASES.get(name, name)
    if target == "metadata" or target.startswith("metadata."):
        return _metadata(_Target("metadata", _dotted(name)), value)
    if target in FIELDS:
        return _field(_Target(target), value)
    _check_bare(name)
    return _field(_Target("metadata", (name,)), value)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a value in the filter is compared with."""

    field: str
    path: tuple[str, ...] = ()

    def __str__(self) -> str:
        return shown(self.name)

    @property
    def name(self) -> str:
        return ".".join((self.field, *self.path))

    @property
    def type(self) -> Type:
        return FIELDS[self.field].type

    def condition(self, operator: Operator, *values: Scalar) -> Condition:
        return Condition(self.field, operator, values, self.path)


# names: fields, junctions, and what is neither


def _listed_parts(name: str, value: Any) -> tuple[Filter, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise InvalidFilter(
            f"{name} takes a list of at least one condition, as in {{'{name}': [{{...}}, {{...}}]}}"
        )
    return tuple(_part(name, part) for part in value)


def _part(name: str, value: Any) -> Filter:
    if not isinstance(value, Mapping) or not value:
        raise InvalidFilter(
            f"a condition in {name} is a mapping that is not empty, as in {{'user_id': 'alice'}}; got {_a(value)}"
        )
    return conjoin(*(_entry(key, entry) for key, entry in value.items()))


def _not(name: str, value: Any) -> Filter:
    return Not(_part(name, value) if isinstance(value, Mapping) else Or(_listed_parts(name, value)))


_JUNCTIONS: Final[Mapping[str, Callable[[str, Any], Filter]]] = {
    "AND": lambda name, value: conjoin(*_listed_parts(name, value)),
    "OR": lambda name, value: Or(_listed_parts(name, value)),
    "NOT": _not,
}


def _dotted(name: str) -> tuple[str, ...]:
    path = tuple(name.split(".")[1:])
    if not all(path):
        raise InvalidFilter(f"{shown(name)} has an empty part: write 'metadata.key' or 'metadata.key.inner'")
    return path


def _check_bare(name: str) -> None:
    """A name that is no field may be a metadata key, unless it looks like a slip."""
    if not name or name.startswith("$") or _is_operator_like(name):
        raise InvalidFilter(f"{shown(name)} is no field: {_HOW_TO_COMPARE}. {_listing()}")
    if near := _near(name.split(".", maxsplit=1)[0]):
        raise InvalidFilter(
            f"{shown(name)} is no field: did you mean {near!r}? A metadata key of that name is written "
            f"{shown(f'metadata.{name}')}. {_listing()}"
        )
    if "." in name:
        raise InvalidFilter(
            f"{shown(name)} is no field: nested metadata is written {shown(f'metadata.{name}')}, and a metadata key "
            f"with dots in it {{'metadata': {{{shown(name)}: ...}}}}"
        )


def _near(name: str) -> str | None:
    """The field that this is probably a slip for: nearly the same letters, or the same without its ending."""
    known = (*FIELDS, *ALIASES, *SHORTHANDS)
    if stems := [field for field in known if _stem(field) == _stem(name)]:
        return stems[0]
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.84)), None)


def _stem(name: str) -> str:
    return re.sub(r"s?(_?ids?|_at|_date)?$", "", name.lower().replace("-", "_"))


def _listing() -> str:
    return f"The fields are {', '.join((*FIELDS, *SHORTHANDS))}"


# values


def _shorthand(name: str, value: Any) -> Filter:
    target = _Target("created_at")
    start, end = _moments(target, value)
    if name == "created_before":
        return target.condition("lt", start)
    return target.condition("gt", start) if start == end else target.condition("gte", start)


def _metadata(target: _Target, value: Any) -> Filter:
    if not isinstance(value, Mapping) or not value or all(key in OPERATORS for key in value):
        return _field(target, value)
    for key in value:
        if not isinstance(key, str):
            raise InvalidFilter(f"metadata keys are texts; below {target} there is {_a(key)}")
        _check_text(key, f"a key below {target}")
        if key.startswith("$") or key in _JUNCTIONS or key in OPERATORS or _is_operator_like(key):
            raise InvalidFilter(
                f"{shown(key)} below {target} is neither an operator nor plainly a key: {_HOW_TO_COMPARE}; "
                f"AND, OR and NOT stand around fields; a metadata key of that name is written "
                f"{shown(f'{target.name}.{key}')}"
            )
    return conjoin(
        *(_metadata(_Target(target.field, (*target.path, key)), part) for key, part in value.items())
    )


def _field(target: _Target, value: Any) -> Filter:
    if isinstance(value, Mapping):
        return _operators(target, value)
    return target.condition("exists") if isinstance(value, str) and value == "*" else _eq(target, "eq", value)


def _operators(target: _Target, tests: Mapping[Any, Any]) -> Filter:
    if not tests:
        raise InvalidFilter(f"{target} has an empty mapping: {_HOW_TO_COMPARE}")
    for name in tests:
        if name not in OPERATORS:
            nested = (
                f"; nested metadata is written {{'metadata': {{{target.path[0]!r}: {{...}}}}}}"
                if target.path
                else ""
            )
            raise InvalidFilter(f"{target} cannot be compared by {shown(name)}: {_HOW_TO_COMPARE}{nested}")
    return conjoin(*(_READERS[name](target, name, value) for name, value in tests.items()))


def _eq(target: _Target, name: str, value: Any) -> Filter:
    return _any_of(target, name, _many(value))


def _ne(target: _Target, name: str, value: Any) -> Filter:
    return Not(_eq(target, name, value))


def _one_of(target: _Target, name: str, value: Any) -> Filter:
    if not _is_list(value):
        raise InvalidFilter(f"{target}: {name} takes a list, as in {{{name!r}: [...]}}; got {_a(value)}")
    return _any_of(target, name, value)


def _none_of(target: _Target, name: str, value: Any) -> Filter:
    return Not(_one_of(target, name, value))


def _any_of(target: _Target, name: str, options: Iterable[Any]) -> Filter:
    """Values to look up at once; apart from them the days (intervals) and None (no value)."""
    found: list[Scalar] = []
    apart: list[Filter] = []
    for option in options:
        if option is None:
            apart.append(Not(target.condition("exists")))
        elif target.type != "time":
            found.append(_choice(target, _operand(target, name, option)))
        elif (moments := _moments(target, option))[0] == moments[1]:
            found.append(moments[0])
        else:
            apart.append(And((target.condition("gte", moments[0]), target.condition("lte", moments[1]))))
    if found or not apart:
        apart.insert(0, target.condition("in", *found))
    return apart[0] if len(apart) == 1 else Or(tuple(apart))


def _order(target: _Target, name: str, value: Any) -> Filter:
    operator = cast("Operator", name)
    if target.type == "set":
        raise InvalidFilter(f"{target} has no order: use eq, ne, in, nin, contains, icontains or exists")
    if target.type == "time":
        start, end = _moments(target, value)
        return target.condition(operator, start if name in ("gte", "lt") else end)
    if _is_list(value) or value is None or isinstance(value, bool):
        raise InvalidFilter(f"{target}: {name} takes one number or text; got {_a(value)}")
    return target.condition(operator, _operand(target, name, value))


def _part_of(target: _Target, name: str, value: Any) -> Filter:
    if target.type == "time":
        raise InvalidFilter(f"{target} is a time: use gt, gte, lt or lte with a date instead of {name}")
    parts = [_operand(target, name, part) for part in _many(value)]
    if "" in parts or (name == "icontains" and not all(isinstance(part, str) for part in parts)):
        raise InvalidFilter(f"{target}: {name} takes a text that is not empty")
    return target.condition(cast("Operator", name), *parts)


def _exists(target: _Target, name: str, value: Any) -> Filter:
    if not isinstance(value, bool):
        raise InvalidFilter(f"{target}: {name} takes True or False; got {_a(value)}")
    present = target.condition("exists")
    return present if value else Not(present)


_READERS: Final[Mapping[str, Callable[[_Target, str, Any], Filter]]] = {
    "eq": _eq,
    "ne": _ne,
    "in": _one_of,
    "nin": _none_of,
    "contains": _part_of,
    "icontains": _part_of,
    "exists": _exists,
    **dict.fromkeys(("gt", "gte", "lt", "lte"), _order),
}
OPERATORS: Final = tuple(_READERS)


def _operand(target: _Target, name: str, value: Any) -> Scalar:
    if target == _Target("metadata") and name not in ("contains", "icontains"):
        raise InvalidFilter("'metadata' is an object: name a key of it, as in {'metadata': {'project': 'x'}}")
    if isinstance(value, str):
        return _check_text(value, f"{target}: a value of {name}")
    if target.type != "json":
        raise InvalidFilter(f"{target} is a text, so {name} takes a text; got {_a(value)}")
    if not isinstance(value, bool | int | float):
        raise InvalidFilter(
            f"{target}: {name} takes texts, numbers and booleans (a date as the text that was stored, an object key "
            f"by key); got {_a(value)}"
        )
    if not math.isfinite(value) if isinstance(value, float) else value.bit_length() > MAX_BITS:
        raise InvalidFilter(f"{target}: {name} takes finite numbers of at most {MAX_BITS} bits")
    return value


def _choice(target: _Target, value: Scalar) -> Scalar:
    choices = FIELDS[target.field].choices
    if choices and value not in choices:
        raise InvalidFilter(f"{target} is one of {', '.join(choices)}; got {shown(value)}")
    return value


def _moments(target: _Target, value: Any) -> tuple[int, int]:
    """The first and the last microsecond that a value means: the same one unless it is a day."""
    try:
        start = parse_moment(value, name=target.field)
        end = parse_moment(value, name=target.field, day_end=True)
    except InvalidInput as error:
        raise InvalidFilter(str(error)) from None
    return micros(start), micros(end)


def _many(value: Any) -> Iterable[Any]:
    return value if _is_list(value) else (value,)


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset)


# words for errors

_HOW_TO_COMPARE: Final = f"a field is compared by its operators, as in {{'created_at': {{'gte': '2025-01-01'}}}}: {', '.join(OPERATORS)}"


def _is_operator_like(name: str) -> bool:
    """`GT`, `$gt`, `gte3`, `>=`: somebody meant an operator."""
    letters = re.sub(r"[\W\d_]", "", name.lower())
    return letters in OPERATORS or bool(re.fullmatch(r"[<>=!~]+", name))


def _check_text(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidFilter(f"{what} is not valid Unicode: it holds half of a surrogate pair") from None
    return text


def _a(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
