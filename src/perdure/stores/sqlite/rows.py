"""Values to rows and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final

from perdure.errors import InvalidInput
from perdure.moments import EPOCH, micros
from perdure.types import Memory, Mention, Scope, Turn

MEMORY: Final = (
    "partition, ord, id, version, scope, retired_at, erased_at, said_at, recorded_at, valid_from, valid_to, expires_at, "
    "place, salience, kind, origin, role, speaker, session, derived_by, sources, categories, mentions, metadata, text"
)
"""The columns that `memory_row` makes and `memories` reads."""

TURN: Final = (
    "id, partition, scope, said_at, recorded_at, session, role, speaker, attachments, text"
)
"""The columns that `turn_row` makes and `turns` reads."""

SCOPE_IDS: Final = ("user_id", "agent_id", "app_id", "run_id")


def values(columns: str) -> str:
    """The `?, ?, ...` for these columns."""
    return ", ".join("?" * (columns.count(",") + 1))


def prefixed(columns: str, alias: str) -> str:
    """The columns of one of several tables."""
    return ", ".join(f"{alias}.{name}" for name in columns.split(", "))


# ---- out


def memory_row(memory: Memory, partition: int, scope: int) -> tuple[Any, ...]:
    """A version as it is stored, current."""
    m = memory
    return (
        partition, m.ord, m.id, m.version, scope, None, None, micros(m.said_at), micros(m.recorded_at),
        maybe_micros(m.valid_from), maybe_micros(m.valid_to), maybe_micros(m.expires_at),
        m.place, m.salience, m.kind, m.origin, m.role, m.speaker, m.session, m.derived_by,
        None if m.sources == (m.id,) else to_json(m.sources),
        to_json(m.categories), to_json([[t.text, micros(t.start), micros(t.end)] for t in m.mentions]),
        to_json(m.metadata), m.text,
    )  # fmt: skip


def turn_row(turn: Turn, partition: int, scope: int) -> tuple[Any, ...]:
    """A turn as it is stored."""
    t = turn
    return (
        t.id, partition, scope, micros(t.said_at), micros(t.recorded_at), t.session, t.role, t.speaker,
        to_json(t.attachments), t.text,
    )  # fmt: skip


def maybe_micros(moment: datetime | None) -> int | None:
    """Microseconds, or no time."""
    return None if moment is None else micros(moment)


def to_json(value: Sequence[Any] | Mapping[str, Any]) -> str:
    """JSON that SQLite reads as well: it knows no NaN and no infinity.

    Raises:
        InvalidInput: it holds something else than JSON can.
    """
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"metadata and attachments hold what JSON can hold: {error}") from None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# ---- in

# A frozen dataclass sets each field by a call of `object.__setattr__` from its `__init__`, which made up more than
# half of the time of listing ten thousand memories. The slots' own setters do the same in a third of it.
_SETTERS: Final = tuple(getattr(Memory, field.name).__set__ for field in fields(Memory))
_NAMES: Final = tuple(field.name for field in fields(Memory))
assert _NAMES == (
    "id", "text", "scope", "said_at", "recorded_at", "kind", "role", "speaker", "session", "sources", "categories",
    "metadata", "mentions", "origin", "derived_by", "salience", "valid_from", "valid_to", "expires_at", "retired_at",
    "erased_at", "version", "ord", "place",
)  # fmt: skip


def memories(rows: Iterable[tuple[Any, ...]], scopes: Scopes) -> list[Memory]:
    """The memories in rows of the columns `MEMORY`."""
    made = []
    for (
        _, ord_, id_, version, scope, retired_at, erased_at, said_at, recorded_at, valid_from, valid_to, expires_at,
        place, salience, kind, origin, role, speaker, session, derived_by, sources, categories, mentions, metadata, text,
    ) in rows:  # fmt: skip
        memory = object.__new__(Memory)
        for put, value in zip(_SETTERS, (
            id_, text, scopes[scope], EPOCH + timedelta(0, 0, said_at), EPOCH + timedelta(0, 0, recorded_at),
            kind, role, speaker, session,
            (id_,) if sources is None else () if sources == "[]" else tuple(json.loads(sources)),
            () if categories == "[]" else tuple(json.loads(categories)),
            {} if metadata == "{}" else json.loads(metadata),
            () if mentions == "[]" else _mentions(mentions),
            origin, derived_by, salience,
            valid_from if valid_from is None else EPOCH + timedelta(0, 0, valid_from),
            valid_to if valid_to is None else EPOCH + timedelta(0, 0, valid_to),
            expires_at if expires_at is None else EPOCH + timedelta(0, 0, expires_at),
            retired_at if retired_at is None else EPOCH + timedelta(0, 0, retired_at),
            erased_at if erased_at is None else EPOCH + timedelta(0, 0, erased_at),
            version, ord_, place,
        ), strict=True):  # fmt: skip
            put(memory, value)
        made.append(memory)
    return made


def turns(rows: Iterable[tuple[Any, ...]], scopes: Scopes) -> list[Turn]:
    """The turns in rows of the columns `TURN`."""
    return [
        Turn(
            id=id_,
            scope=scopes[scope],
            said_at=EPOCH + timedelta(0, 0, said_at),
            recorded_at=EPOCH + timedelta(0, 0, recorded_at),
            session=session,
            role=role,
            speaker=speaker,
            attachments=tuple(json.loads(attachments)),
            text=text,
        )
        for id_, _, scope, said_at, recorded_at, session, role, speaker, attachments, text in rows
    ]


def moment(count: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + timedelta(0, 0, count)


def _mentions(text: str) -> tuple[Mention, ...]:
    return tuple(
        Mention(text=words, start=EPOCH + timedelta(0, 0, start), end=EPOCH + timedelta(0, 0, end))
        for words, start, end in json.loads(text)
    )


class Scopes(dict[int, Scope]):
    """The scopes by their number, each read once a snapshot."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, number: int) -> Scope:
        tenant, *ids = self._connection.execute(
            "SELECT tenant, user_id, agent_id, app_id, run_id FROM scopes WHERE id = ?", (number,)
        ).fetchone()
        self[number] = scope = Scope(tenant=tenant, **dict(zip(SCOPE_IDS, ids, strict=True)))
        return scope
