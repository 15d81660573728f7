"""One line of an export: a turn, a version of a memory, or a change, as JSON and back without loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from perdure.errors import InvalidInput
from perdure.moments import iso, parse_moment
from perdure.ports import Export
from perdure.types import Change, Memory, Mention, Partition, Scope, Turn

FORMAT = 1
"""Raised when a record can no longer be read by the rules of an earlier one."""

_TYPES: dict[str, type[Turn | Memory | Change]] = {"turn": Turn, "memory": Memory, "change": Change}
_TIMES = {
    *("said_at", "recorded_at", "valid_from", "valid_to", "expires_at", "retired_at", "erased_at", "at"),
}
_TUPLES = {"attachments", "sources", "categories"}


def to_record(export: Export) -> dict[str, Any]:
    """A record that JSON can hold; fields at their defaults are left out."""
    kind = next(name for name, type_ in _TYPES.items() if isinstance(export.record, type_))
    values = {field.name: getattr(export.record, field.name) for field in fields(export.record)}
    record = {name: _plain(value) for name, value in values.items() if value not in (None, (), {})}
    return {"perdure": FORMAT, "type": kind, "owner": export.partition.owner, **record}


def from_record(record: object, tenant: str, line: int) -> Export:
    """The way back; the tenant is the reader's own, whatever the writer's was.

    Raises:
        InvalidInput: the record is of another kind or damaged; the message names its line.
    """
    if not isinstance(record, Mapping) or record.get("perdure") != FORMAT or record.get("type") not in _TYPES:
        raise InvalidInput(f"line {line} is no record of a Perdure export (format {FORMAT})")
    type_ = _TYPES[record["type"]]
    try:
        values = {
            field.name: _READERS.get(field.name, _as_is)(record[field.name])
            for field in fields(type_)
            if field.name in record
        }
        made = type_(**values)
        owner = str(record["owner"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"line {line} is a damaged {record['type']}: {error}") from error
    if not isinstance(made, Change):
        made = replace(made, scope=replace(made.scope, tenant=tenant))
    return Export(Partition(tenant, owner), made)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Scope):
        ids = ("user_id", "agent_id", "app_id", "run_id")
        return {name: getattr(value, name) for name in ids if getattr(value, name) is not None}
    if isinstance(value, Mention):
        return {"text": value.text, "start": iso(value.start), "end": iso(value.end)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _as_is(value: Any) -> Any:
    return value


def _mentions(values: list[dict[str, str]]) -> tuple[Mention, ...]:
    return tuple(
        Mention(text=v["text"], start=parse_moment(v["start"]), end=parse_moment(v["end"])) for v in values
    )


_READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, parse_moment),
    **dict.fromkeys(_TUPLES, tuple),
    "scope": lambda ids: Scope(**ids),
    "mentions": _mentions,
}
