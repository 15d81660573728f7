"""Keywords that nobody knows are refused, with the one that was meant."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import ParamSpec, TypeVar

from perdure.errors import UnknownArgument

P = ParamSpec("P")
R = TypeVar("R")

ELSEWHERE = {
    "user": "user_id",
    "session_id": "run_id",
    "thread_id": "run_id",
    "k": "top_k",
    "n": "top_k",
    "n_results": "top_k",
    "filter": "filters",
    "message": "messages",
    "where": "filters",
    "tags": "categories",
    "min_score": "threshold",
    "expires_at": "expiration_date",
}
"""What other libraries call the same thing."""


def verb(function: Callable[P, R]) -> Callable[P, R]:
    """A method whose unknown keywords are `UnknownArgument`, with the nearest known one."""
    signature = inspect.signature(function)
    names = [name for name in signature.parameters if name != "self"]
    known = frozenset(names)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not known.issuperset(kwargs):
            raise UnknownArgument(_unknown(function.__name__, next(k for k in kwargs if k not in known), names))
        return function(*args, **kwargs)

    return call


def _unknown(verb: str, name: str, names: list[str]) -> str:
    meant = ELSEWHERE.get(name)
    near = [meant] if meant in names else get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(names) or 'none'}"
    return f"{verb}() has no argument {name!r}: {hint}"
