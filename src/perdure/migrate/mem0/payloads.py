"""What a payload of mem0's says of one memory, in whichever of its generations it was written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final, NamedTuple

from perdure.engine.messages import MAX_DEPTH, ROLES
from perdure.engine.scoping import IDS, scope_of
from perdure.errors import InvalidInput
from perdure.moments import in_utc, parse_moment
from perdure.types import Scope

TEXTS: Final = ("data", "memory")
"""Where the text stands: mem0's name for it now, and an earlier one."""
DERIVED: Final = frozenset({"hash", "text_lemmatized"})
"""Computed by mem0 from the text: there is nothing in them to keep."""


class Point(NamedTuple):
    """One memory as a vector store of mem0's holds it, without its vector."""

    id: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A payload, read: what has a place of its own here, and the rest."""

    text: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    role: str | None = None
    actor: str | None = None
    categories: tuple[str, ...] = ()
    expires_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def said(payload: Mapping[str, Any]) -> Said:
    """All that a payload says; what cannot be read as what its name promises is kept among the metadata.

    Args:
        payload: made `plain`.
    """
    rest = {name: value for name, value in payload.items() if name not in DERIVED}
    text = next((found for name in TEXTS if (found := words(rest.get(name)))), None)
    values = Said(
        text=text,
        created_at=moment(rest.get("created_at")),
        updated_at=moment(rest.get("updated_at")),
        role=role(rest.get("role")),
        actor=words(rest.get("actor_id")),
        categories=_categories(rest.get("categories")),
        expires_at=moment(rest.get("expiration_date"), day_end=True),
    )
    used = {
        **{name: rest.get(name) == text for name in TEXTS},
        "created_at": values.created_at,
        "updated_at": values.updated_at,
        "role": values.role,
        "actor_id": values.actor,
        "categories": values.categories,
        "expiration_date": values.expires_at,
        **_ids(rest),
    }
    metadata = {name: value for name, value in rest.items() if value is not None and not used.get(name)}
    return replace(values, role=values.role or role(rest.get("attributed_to")), metadata=metadata)


def scope_in(payload: Mapping[str, Any], tenant: str) -> Scope | None:
    """Whose the memory is; None when its payload names nobody.

    Raises:
        InvalidInput: an id that is none here: longer than 256 characters, or not printable.
    """
    named = _ids(payload)
    return scope_of(tenant, named) if named else None


def plain(value: object, depth: int = 0) -> Any:
    """The value as JSON holds it, and every store: what JSON has no form for becomes a text."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {repaired(str(name)): plain(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return _scalar(value)


def _scalar(value: object) -> Any:
    whole = isinstance(value, int) and -(2**63) <= value < 2**63
    if value is None or whole or (isinstance(value, float) and math.isfinite(value)):
        return value
    return repaired(value.isoformat() if isinstance(value, date) else str(value))


def repaired(text: str) -> str:
    """The text with the mark of what is unreadable for a NUL and for halves of surrogate pairs."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def words(value: object) -> str | None:
    """The text, if there is one with anything in it."""
    return repaired(value) if isinstance(value, str) and value.strip() else None


def moment(value: object, *, day_end: bool = False) -> datetime | None:
    """The moment in UTC that mem0 wrote, in whichever zone and precision; None for what is none."""
    if value is None:
        return None
    try:
        return in_utc(parse_moment(value, day_end=day_end))
    except InvalidInput:
        return None


def role(value: object) -> str | None:
    """Our word for a role; None for one that is unknown here."""
    return ROLES.get(value.strip().lower()) if isinstance(value, str) else None


def _ids(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The ids that name somebody; what else stands under their names is no id."""
    found = {name: payload.get(name) for name in IDS}
    return {
        name: value
        for name, value in found.items()
        if (isinstance(value, str) and value.strip() and value.strip() != "*")
        or (isinstance(value, int) and not isinstance(value, bool))
    }


def _categories(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) for name in value):
        return ()
    return tuple(dict.fromkeys(name.strip() for name in value if name.strip()))
