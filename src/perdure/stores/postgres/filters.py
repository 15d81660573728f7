"""Filters as SQL of PostgreSQL: exact for columns; for JSON, and for case, it narrows, and `matches` decides."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from perdure.filters import FIELDS, And, Condition, Filter, Not, Or, Scalar
from perdure.stores.postgres.connection import array
from perdure.stores.sqlfilters import COLUMNS

UNLIKE: Final = ("\x00", "\x01", "\x02")
"""What is written otherwise than it is, and what that is written with: a search among bytes may take it for another."""

# PostgreSQL's own JSON functions are not asked: its texts have no NUL, its numbers, booleans and case are not Python's,
# and a function in Python is not to be had there.


class Bound(NamedTuple):
    """A boolean expression (never NULL) with its values."""

    sql: str
    values: list[Any]
    exact: bool
    """True of exactly what `matches` is true of; else of all that, and of more."""


def compile(filter: Filter) -> Bound:  # noqa: A001  # as in re.compile
    """What is true of every memory that the filter matches."""
    return _bound(filter, upper=True)


def _bound(filter: Filter, *, upper: bool) -> Bound:
    """What is true of at least (`upper`) or at most what the filter matches: a negation turns the one into the other."""
    match filter:
        case And(parts):
            return _joined(" AND ", [_bound(part, upper=upper) for part in parts], empty="TRUE")
        case Or(parts):
            return _joined(" OR ", [_bound(part, upper=upper) for part in parts], empty="FALSE")
        case Not(part):
            sql, values, exact = _bound(part, upper=not upper)
            return Bound(f"NOT {sql}", values, exact)
        case Condition(field):
            native = FIELDS[field].type in ("text", "time")
            found = (_NATIVE[filter.operator] if native else _json)(COLUMNS[field], filter)
            return found if upper or found.exact else Bound("FALSE", [], exact=False)


def _joined(word: str, parts: Sequence[Bound], *, empty: str) -> Bound:
    sql = word.join(part.sql for part in parts) or empty
    return Bound(f"({sql})", [v for part in parts for v in part.values], all(part.exact for part in parts))


def _in(column: str, condition: Condition) -> Bound:
    values, kind = _fitting(condition)
    return Bound(f"({column} IS NOT NULL AND {column} = ANY(%s::{kind}[]))", [array(values)], exact=True)


def _order(column: str, condition: Condition) -> Bound:
    values, kind = _fitting(condition)
    if not values:
        return Bound("FALSE", [], exact=True)
    symbol = _SYMBOLS[condition.operator]
    return Bound(f"({column} IS NOT NULL AND {column} {symbol} %s::{kind})", values, exact=True)


def _fitting(condition: Condition) -> tuple[list[Scalar], str]:
    """The values that are of the field's type, and what PostgreSQL calls it."""
    if FIELDS[condition.field].type == "time":
        return [v for v in condition.values if isinstance(v, int) and not isinstance(v, bool)], "bigint"
    return [v for v in condition.values if isinstance(v, str)], "text"


def _exists(column: str, _condition: Condition) -> Bound:
    return Bound(f"({column} IS NOT NULL)", [], exact=True)


def _contains(column: str, condition: Condition) -> Bound:
    parts = [part for part in condition.values if isinstance(part, str)]
    exact = not any(letter in part for part in parts for letter in UNLIKE)
    return Bound(*_any_part(column, parts), exact=exact)


def _icontains(column: str, _condition: Condition) -> Bound:
    return Bound(f"({column} IS NOT NULL)", [], exact=False)


def _any_part(column: str, parts: Sequence[str]) -> tuple[str, list[Any]]:
    found = " OR ".join(f"position(%s IN {column}) > 0" for _ in parts) or "FALSE"
    return f"({column} IS NOT NULL AND ({found}))", [*parts]


_SYMBOLS: Final[Mapping[str, str]] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NATIVE: Final[Mapping[str, Callable[[str, Condition], Bound]]] = {
    "in": _in,
    "exists": _exists,
    "contains": _contains,
    "icontains": _icontains,
    **dict.fromkeys(_SYMBOLS, _order),
}


def _json(column: str, condition: Condition) -> Bound:
    """What the JSON has to hold, letter for letter, as it was written by the same function: keys, and texts."""
    if condition.operator == "exists" and not condition.path:
        return _exists(column, condition)
    held = [_any_part(column, [f"{_written(key)}:"]) for key in condition.path]
    if condition.operator in ("in", "contains") and all(isinstance(v, str) for v in condition.values):
        texts = [_written(text) for text in condition.values]
        whole = condition.operator == "in"
        held.append(_any_part(column, texts if whole else [text[1:-1] for text in texts]))
    sql = " AND ".join([f"{column} IS NOT NULL", *(sql for sql, _ in held)])
    return Bound(f"({sql})", [value for _, values in held for value in values], exact=False)


def _written(text: object) -> str:
    return json.dumps(text, ensure_ascii=False)
