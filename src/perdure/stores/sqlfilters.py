"""Filters as SQL of SQLite: columns natively, metadata and categories by the same Python that `matches` runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

from perdure.filters import FIELDS, And, Condition, Filter, Not, Or, Scalar, fold, holds

Sql: TypeAlias = tuple[str, list[Scalar]]

COLUMNS: Final[Mapping[str, str]] = {
    "id": "m.id",
    "user_id": "s.user_id",
    "agent_id": "s.agent_id",
    "app_id": "s.app_id",
    "run_id": "s.run_id",
    "memory": "m.text",
    "kind": "m.kind",
    "role": "m.role",
    "speaker": "m.speaker",
    "session": "m.session",
    "origin": "m.origin",
    "categories": "m.categories",
    "metadata": "m.metadata",
    "created_at": "m.said_at",
    "updated_at": "(CASE WHEN m.version = 1 THEN m.said_at ELSE m.recorded_at END)",
    "said_at": "m.said_at",
    "recorded_at": "m.recorded_at",
    "valid_from": "m.valid_from",
    "valid_to": "m.valid_to",
    "expires_at": "m.expires_at",
}
"""Where each field of a filter lies: TEXT, INTEGER microseconds since 1970, or JSON (categories and metadata).

The aliases are `m` for memories and `s` for scopes.
"""


def register(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that the SQL of `compile` calls."""
    connection.create_function("perdure_fold", 1, _fold, deterministic=True)
    connection.create_function("perdure_holds", 2, _holds, deterministic=True)


def compile(filter: Filter, *, columns: Mapping[str, str] = COLUMNS) -> Sql:  # noqa: A001  # as in re.compile
    """A boolean expression (0 or 1, never NULL) with its parameters, true of exactly what `matches` is true of.

    Args:
        filter: the tree.
        columns: an expression for every field that the filter may name.
    """
    match filter:
        case And(parts):
            return _joined(" AND ", parts, columns, empty="1")
        case Or(parts):
            return _joined(" OR ", parts, columns, empty="0")
        case Not(part):
            sql, parameters = compile(part, columns=columns)
            return f"NOT {sql}", parameters
        case Condition(field):
            native = FIELDS[field].type in ("text", "time")
            return (_NATIVE[filter.operator] if native else _by_function)(columns[field], filter)


def _joined(word: str, parts: tuple[Filter, ...], columns: Mapping[str, str], *, empty: str) -> Sql:
    compiled = [compile(part, columns=columns) for part in parts]
    sql = word.join(sql for sql, _ in compiled) or empty
    return f"({sql})", [parameter for _, parameters in compiled for parameter in parameters]


def _in(column: str, condition: Condition) -> Sql:
    values = list(condition.values)
    if len(values) == 1:
        return f"({column} IS ?)", values
    return f"({column} IS NOT NULL AND {column} IN ({', '.join('?' * len(values))}))", values


def _order(column: str, condition: Condition) -> Sql:
    return f"({column} IS NOT NULL AND {column} {_SYMBOLS[condition.operator]} ?)", [*condition.values]


def _exists(column: str, _condition: Condition) -> Sql:
    return f"({column} IS NOT NULL)", []


def _contains(column: str, condition: Condition) -> Sql:
    return _any_part(column, column, [part for part in condition.values if isinstance(part, str)])


def _icontains(column: str, condition: Condition) -> Sql:
    folded = [fold(part) for part in condition.values if isinstance(part, str)]
    return _any_part(column, f"perdure_fold({column})", folded)


def _any_part(column: str, text: str, parts: list[str]) -> Sql:
    found = " OR ".join(f"instr({text}, ?) > 0" for _ in parts) or "0"
    return f"({column} IS NOT NULL AND ({found}))", [*parts]


_SYMBOLS: Final[Mapping[str, str]] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_NATIVE: Final[Mapping[str, Callable[[str, Condition], Sql]]] = {
    "in": _in,
    "exists": _exists,
    "contains": _contains,
    "icontains": _icontains,
    **dict.fromkeys(_SYMBOLS, _order),
}


# SQLite's own JSON functions are not asked: its paths cannot name a key with a quote, its integers end at 64 bits,
# its texts at a NUL, and its numbers, booleans and case are not Python's.


def _by_function(column: str, condition: Condition) -> Sql:
    encoded = json.dumps([condition.field, condition.operator, condition.values, condition.path])
    return f"perdure_holds({column}, ?)", [encoded]


def _holds(document: str | None, encoded: str) -> bool:
    return holds(_condition(encoded), json.loads(document) or None if document else None)


@lru_cache(maxsize=1024)
def _condition(encoded: str) -> Condition:
    field, operator, values, path = json.loads(encoded)
    return Condition(field, operator, tuple(values), tuple(path))


def _fold(text: Any) -> str | None:
    return None if text is None else fold(text)
