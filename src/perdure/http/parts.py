"""The parts of a request that a server may not know, how its refusals name them, and what lies in an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

UNKNOWN = (
    r"unsupported|n[o']t (?:support|permitted|allowed|compatible)|unrecogni|unknown|unexpected|unavailable"
    r"|deprecated|extra inputs|only the default"
)
"""How servers say that they do not know a parameter, and not that its value is wrong."""


class Part(NamedTuple):
    """A part of a request that a server can be asked without."""

    mark: str
    """By which it is remembered that the server refused it."""
    fields: Mapping[str, Any]
    named: str | None
    """A regular expression: how a refusal names it; None: it is not left out."""

    def is_named_in(self, told: str) -> bool:
        """Whether a refusal is about this part."""
        return self.named is not None and bool(re.search(self.named, told, re.IGNORECASE | re.DOTALL))


def parameter(name: str, value: object) -> Part:
    """The part that sets one parameter; a refusal of its value is none of the parameter."""
    return Part(name, {name: value}, rf"(?=.*{re.escape(name)})(?=.*(?:{UNKNOWN}))")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two objects in one, and so on inside; where both have a value it is the upper one's."""
    made = dict(below)
    for key, value in above.items():
        inner = made.get(key)
        if isinstance(inner, Mapping) and isinstance(value, Mapping):
            made[key] = merged(inner, value)
        else:
            made[key] = value
    return made


def dig(value: object, *path: str | int) -> Any:
    """What lies at a path of keys and places in JSON; None when there is nothing."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
