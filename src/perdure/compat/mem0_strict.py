"""Where mem0 2.x raises, by verb: for those who test against its behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.errors import InvalidInput, MissingScope

_IDS = ("user_id", "agent_id", "run_id")
_IN_FILTERS = ("search", "get_all")
_PLATFORM_ONLY = {"add": "timestamp", "search": "reference_date"}


def refuse(verb: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Raise for what mem0 2.x does not take.

    Raises:
        InvalidInput: a `ValueError`, as mem0's.
    """
    platform = _PLATFORM_ONLY.get(verb)
    if platform and kwargs.get(platform) is not None:
        raise InvalidInput(f"{verb}({platform}=...) is not part of mem0 2.x outside its platform")
    if verb in _IN_FILTERS:
        _ids_in_filters(verb, kwargs)
    if verb == "add" and not any(kwargs.get(name) for name in _IDS):
        raise MissingScope("add() needs user_id, agent_id or run_id")
    if verb == "delete_all" and not (any(args) or any(kwargs.get(name) for name in _IDS)):
        raise MissingScope("delete_all() needs user_id, agent_id or run_id; reset() removes everything")
    for name in _IDS:
        _identifier(name, kwargs.get(name))


def _ids_in_filters(verb: str, kwargs: Mapping[str, Any]) -> None:
    outside = [name for name in (*_IDS, "app_id") if name in kwargs]
    if outside:
        raise InvalidInput(
            f"{verb}() takes {outside[0]} inside filters, as in filters={{{outside[0]!r}: ...}}"
        )
    filters = kwargs.get("filters") or {}
    if not isinstance(filters, Mapping):
        raise InvalidInput(
            f"filters is a {type(filters).__name__}: give a dictionary, as in {{'user_id': ...}}"
        )
    if not any(name in filters for name in _IDS):
        raise MissingScope(f"{verb}() needs user_id, agent_id or run_id inside filters")
    for name in _IDS:
        _identifier(name, filters.get(name))


def _identifier(name: str, value: object) -> None:
    if isinstance(value, str) and any(letter.isspace() for letter in value.strip()):
        raise InvalidInput(f"{name} must not contain white space")
