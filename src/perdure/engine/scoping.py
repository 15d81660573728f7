"""Whose memories a call is about: from loose arguments to a scope, or to a filter and the partitions it can reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from perdure.errors import InvalidInput, MissingScope
from perdure.filters import EVERYTHING, Filter, conjoin, parse, required, scopes
from perdure.types import Partition, Scope

IDS = ("user_id", "agent_id", "app_id", "run_id")
"""In the order in which they choose the partition."""


def ids(user_id: object, agent_id: object, app_id: object, run_id: object) -> dict[str, object]:
    """Ids by the names that callers give them."""
    return {"user_id": user_id, "agent_id": agent_id, "app_id": app_id, "run_id": run_id}


def scope_of(tenant: str, named: Mapping[str, object]) -> Scope:
    """The scope that these ids name.

    Raises:
        InvalidInput: an id that is blank, too long or no text.
    """
    return Scope(tenant=tenant, **{name: _identifier(value, name) for name, value in named.items()})


def _identifier(value: object, name: str) -> str | None:
    """An id as text; whole numbers are taken, as database keys often are."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 10**255:  # Python makes no text of thousands of digits
            raise InvalidInput(f"{name} is a number of more than 255 digits: an id is at most 256 characters")
        return str(value)
    if not isinstance(value, str):
        raise InvalidInput(f"{name} is a {type(value).__name__}: give a text")
    text = value.strip()
    if not text or len(text) > 256 or not text.isprintable():
        raise InvalidInput(f"{name}={value[:40]!r}: an id is 1 to 256 printable characters")
    if text == "*":
        raise InvalidInput(f"{name}='*' names nobody: leave {name} out to reach everybody's")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What a call may see: memories of `tenant` that match `filter`, and where they can be."""

    tenant: str
    filter: Filter | None
    """None: everything in the partitions."""
    partitions: tuple[Partition, ...] | None
    """Where to look when the owners are named; else None, and `within` says how to find out."""
    within: tuple[Scope, ...] | None
    """Ids of which one must be present; None: anywhere in the tenant."""

    @property
    def scoped(self) -> bool:
        """Whether anybody is named at all."""
        return self.partitions is not None or self.within is not None


def reach(
    tenant: str, given: Mapping[str, object], filters: Mapping[str, Any] | None, extra: Filter | None = None
) -> Reach:
    """Combine ids given as arguments with those inside filters, wherever they stand; all must hold."""
    if filters is not None and not isinstance(filters, Mapping):
        raise InvalidInput(
            f"filters is a {type(filters).__name__}: give a dictionary, as in {{'user_id': 'alice'}}"
        )
    named = {name: text for name, value in given.items() if (text := _identifier(value, name))}
    rest = dict(filters or {})
    for name in IDS:  # the common case, {"user_id": "alice"}, is an argument by another road
        inside = rest.get(name)
        if (
            isinstance(inside, (str, int))
            and inside != "*"
            and named.get(name) in (None, _identifier(inside, name))
        ):
            named[name] = str(_identifier(rest.pop(name), name))
    where = conjoin(parse(rest) if rest else None, extra, parse(named) if named else None)
    users = required(where, "user_id")
    if users is not None:
        alone = named.keys() == {"user_id"} and not rest and extra is None
        homes = tuple(Partition(tenant, f"user:{user}") for user in sorted(users))
        return Reach(tenant=tenant, filter=None if alone else where, partitions=homes, within=None)
    if where == EVERYTHING:
        return Reach(tenant=tenant, filter=None, partitions=None, within=None)
    return Reach(tenant=tenant, filter=where, partitions=None, within=scopes(where, tenant=tenant))


def insist(reach: Reach, verb: str) -> Reach:
    """The reach, if somebody is named.

    Raises:
        MissingScope: nobody is; a verb that changes things does not guess.
    """
    if not reach.scoped:
        raise MissingScope(
            f"{verb}() needs to know whose memories: give user_id=, agent_id=, app_id= or run_id="
        )
    return reach
