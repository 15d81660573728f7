"""One line of an export: a turn, a version of a memory, a change, a key or a job, as JSON and back without loss."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import MISSING, Field, asdict, fields, replace
from datetime import datetime
from typing import Any, TypeAlias, get_args

from perdure.engine.ingest import FACTS, PROCEDURE, VECTORS
from perdure.engine.messages import ROLES, clean, json_copy
from perdure.engine.scoping import IDS, scope_of
from perdure.errors import InvalidInput
from perdure.moments import iso, parse_moment
from perdure.ports import Export, Job, Key
from perdure.types import (
    Change,
    Claim,
    Event,
    Kind,
    Memory,
    Mention,
    Origin,
    Partition,
    Relation,
    Scope,
    Turn,
)

FORMAT = 1
"""Raised when a record can no longer be read by the rules of an earlier one."""

MAX_BYTES = 2**24
"""Of one text, and of one record's metadata or attachments: more than the settings of any writer should allow."""

Record: TypeAlias = Turn | Memory | Change | Key | Job

_TYPES: dict[str, type[Record]] = {"turn": Turn, "memory": Memory, "change": Change, "key": Key, "job": Job}
_COUNTED: dict[type[Record], str] = {
    Turn: "turns",
    Memory: "memories",
    Change: "changes",
    Key: "keys",
    Job: "jobs",
}
_LEFT_OUT = frozenset({"partition", "worker", "leased_until"})
"""Of a job: its owner says the first, and in another store nobody works on it."""
_OWNERS = tuple(f"{name.removesuffix('_id')}:" for name in IDS)

Reader: TypeAlias = Callable[[Any], Any]
"""From what JSON holds to a field's value; a ValueError says what is wrong with it."""


def none_yet() -> dict[str, int]:
    """How many records of each kind there were: none."""
    return dict.fromkeys(_COUNTED.values(), 0)


def kind_of(export: Export) -> str:
    """What its record counts as."""
    return _COUNTED[type(export.record)]


def to_record(export: Export) -> dict[str, Any]:
    """A record that JSON can hold; fields at their defaults are left out."""
    kind = next(name for name, type_ in _TYPES.items() if isinstance(export.record, type_))
    values = {field.name: getattr(export.record, field.name) for field in _fields(type(export.record))}
    record = {name: _plain(value) for name, value in values.items() if value not in (None, (), {})}
    return {"perdure": FORMAT, "type": kind, "owner": export.partition.owner, **record}


async def from_records(
    records: Iterable[object] | AsyncIterable[object], tenant: str
) -> AsyncIterator[Export]:
    """The way back, line by line.

    Raises:
        InvalidInput: there are no lines at all; or, when its turn comes, a line is refused by `from_record`.
    """
    line = 0
    async for record in _each(records):
        line += 1
        yield from_record(record, tenant, line)


def from_record(record: object, tenant: str, line: int) -> Export:
    """The way back; the tenant is the reader's own, whatever the writer's was.

    A record is not trusted: whoever wrote it could have changed it.

    Raises:
        InvalidInput: the record is of another kind or damaged; the message names its line and its field.
    """
    if not isinstance(record, Mapping) or record.get("perdure") != FORMAT:
        raise InvalidInput(f"line {line} is no record of a Perdure export (format {FORMAT})")
    kind = record.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise InvalidInput(f"line {line}: type is none of {', '.join(_TYPES)}")
    type_ = _TYPES[kind]
    values = {f.name: _read(type_, f, record, line) for f in _fields(type_) if _stands(f, record)}
    try:
        made = Job(partition=Partition(tenant, ""), **values) if type_ is Job else type_(**values)
        owner = _owner(record.get("owner"), made)
    except ValueError as error:
        raise InvalidInput(f"line {line}: owner: {error}") from error
    partition = Partition(tenant, owner)
    if isinstance(made, Job):
        made = replace(made, partition=partition)
    elif not isinstance(made, (Change, Key)):
        made = replace(made, scope=replace(made.scope, tenant=tenant))
    return Export(partition, made)


async def _each(records: Iterable[object] | AsyncIterable[object]) -> AsyncIterator[object]:
    if isinstance(records, AsyncIterable):
        async for record in records:
            yield record
    elif isinstance(records, Iterable):
        for record in records:
            yield record
    else:
        raise InvalidInput(
            f"records is a {type(records).__name__}: give a list of what export_records() gave, or a generator"
        )


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, Scope):
        return {name: getattr(value, name) for name in IDS if getattr(value, name) is not None}
    if isinstance(value, Mention):
        return {"text": value.text, "start": iso(value.start), "end": iso(value.end)}
    if isinstance(value, (Claim, Relation)):
        return asdict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _fields(type_: type[Record]) -> list[Field[Any]]:
    return [field for field in fields(type_) if field.name not in _LEFT_OUT]


def _stands(field: Field[Any], record: Mapping[Any, Any]) -> bool:
    """Whether a field is to be read: it is there, or it may not be absent."""
    required = field.default is MISSING and field.default_factory is MISSING
    absent = field.name not in record or (field.default is None and record[field.name] is None)
    return required or not absent


def _read(type_: type[Record], field: Field[Any], record: Mapping[Any, Any], line: int) -> Any:
    if field.name not in record:
        raise InvalidInput(f"line {line}: {field.name} is missing")
    try:
        readers = {**_READERS, **_OF_JOBS} if type_ is Job else _READERS
        return readers[field.name](record[field.name])
    except ValueError as error:
        raise InvalidInput(f"line {line}: {field.name}: {error}") from error


def _owner(value: object, made: Record) -> str:
    """Whose partition it goes to: a record's own scope decides that; a change, a key and a job have none."""
    owner = _text(value)
    if not isinstance(made, (Change, Key, Job)):
        if owner != made.scope.partition.owner:
            raise ValueError("not the one whom the record's scope names")
        return owner
    if not owner.startswith(_OWNERS):
        raise ValueError("expected one like user:…, agent:…, app:… or run:…")
    kind, _, name = owner.partition(":")
    _scope({f"{kind}_id": name})
    return owner


def _scope(value: Any) -> Scope:
    if not isinstance(value, dict) or not value or not value.keys() <= set(IDS):
        raise ValueError(f"expected one or more of {', '.join(IDS)}")
    scope = scope_of("", {name: _id(text) for name, text in value.items()})
    if any(getattr(scope, name) != text for name, text in value.items()):
        raise ValueError("an id has blanks around it")
    return scope


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a text, not a {type(value).__name__}")  # noqa: TRY004  # readers raise one kind
    if len(clean(value, "it").encode()) > MAX_BYTES:
        raise ValueError(f"over the bound of {MAX_BYTES:,} bytes")
    return value


def _id(value: Any) -> str:
    text = _text(value)
    if not 0 < len(text) <= 256 or not text.isprintable():
        raise ValueError("expected 1 to 256 printable characters")
    return text


def _moment(value: Any) -> datetime:
    return parse_moment(_text(value), name="it")


def _whole(value: Any) -> int:
    if type(value) is not int or not 1 <= value < 2**63:  # True is an int, but no number
        raise ValueError("expected a whole number from 1 on")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("expected a whole number")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004  # readers raise one kind
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError("expected a number from 0 to 1")
    return float(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004  # readers raise one kind
    return json_copy(value, "it", MAX_BYTES)  # type: ignore[no-any-return]  # an object stays one


def _mention(value: Any) -> Mention:
    if not isinstance(value, dict) or value.keys() != {"text", "start", "end"}:
        raise ValueError("expected text, start and end")
    return Mention(text=_text(value["text"]), start=_moment(value["start"]), end=_moment(value["end"]))


def _claim(value: Any) -> Claim:
    if not isinstance(value, dict) or value.keys() != {"subject", "attribute", "confirmed"}:
        raise ValueError("expected subject, attribute and confirmed")
    names = {name: _text(value[name]) for name in ("subject", "attribute")}
    return Claim(**names, confirmed=_count(value["confirmed"]))


def _relation(value: Any) -> Relation:
    if not isinstance(value, dict) or value.keys() != {"subject", "relation", "object"}:
        raise ValueError("expected subject, relation and object")
    return Relation(**{name: _text(text) for name, text in value.items()})


def _one_of(*choices: str) -> Reader:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value

    return read


def _list_of(item: Reader) -> Reader:
    def read(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, (list, tuple)):
            raise ValueError("expected a list")  # noqa: TRY004  # readers raise one kind
        return tuple(item(part) for part in value)

    return read


_READERS: dict[str, Reader] = {
    **dict.fromkeys(("id", "memory_id", "session", "write_id", "batch"), _id),
    **dict.fromkeys(
        ("key", "text", "old_text", "new_text", "speaker", "derived_by", "actor", "reason"), _text
    ),
    **dict.fromkeys(
        ("said_at", "recorded_at", "valid_from", "valid_to", "expires_at", "retired_at"), _moment
    ),
    **dict.fromkeys(("erased_at", "at"), _moment),
    **dict.fromkeys(("version", "ord", "place", "seq", "first"), _whole),
    "last": _count,
    "passing": _truth,
    "kind": _one_of(*get_args(Kind)),
    "origin": _one_of(*get_args(Origin)),
    "event": _one_of(*get_args(Event)),
    "role": _one_of(*dict.fromkeys(ROLES.values())),
    "scope": _scope,
    "salience": _share,
    "metadata": _object,
    "attachments": _list_of(_object),
    "sources": _list_of(_id),
    "categories": _list_of(_text),
    "mentions": _list_of(_mention),
    "claim": _claim,
    "relations": _list_of(_relation),
}
"""How each field is read; one name means one thing in all types but jobs."""
_OF_JOBS: dict[str, Reader] = {
    "kind": _one_of(FACTS, PROCEDURE, VECTORS),
    "turns": _list_of(_id),
    "options": _object,
    "attempts": _count,
    "given_up": _truth,
    **dict.fromkeys(("error", "answer"), _text),
    **dict.fromkeys(("made_at", "due_at"), _moment),
}
