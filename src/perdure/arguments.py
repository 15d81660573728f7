"""A wrong argument of a verb is answered with the right one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from difflib import get_close_matches
from inspect import Parameter, Signature
from typing import Any, Final, ParamSpec, TypeVar, cast, overload

from perdure.errors import UnknownArgument

P = ParamSpec("P")
R = TypeVar("R")

FOREIGN: Final[Mapping[str, tuple[str, ...]]] = {
    "conversation_id": ("run_id",),
    "data": ("messages", "text"),
    "date": ("timestamp",),
    "expires_at": ("expiration_date",),
    "filter": ("filters",),
    "id": ("memory_id",),
    "k": ("top_k", "limit"),
    "limit": ("top_k",),
    "message": ("messages", "text"),
    "min_score": ("threshold",),
    "n_results": ("top_k", "limit"),
    "page_size": ("limit", "top_k"),
    "q": ("query",),
    "score_threshold": ("threshold",),
    "session_id": ("run_id",),
    "tags": ("categories",),
    "text": ("messages", "query", "data"),
    "thread_id": ("run_id",),
    "top_k": ("limit",),
    "user": ("user_id",),
    "where": ("filters",),
}
"""What others call it, and what it is here: the first of these that the verb has."""


def shown(value: object, most: int = 40) -> str:
    """A caller's value as an error may show it: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001  # thousands of digits, nesting without end, or a `__repr__` of their own
        return f"<{type(value).__name__}>"
    return text if len(text) <= most else f"{text[: most - 1]}…"


@overload
def verb(function: Callable[P, R]) -> Callable[P, R]: ...
@overload
def verb(*, foreign: Mapping[str, tuple[str, ...]]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
def verb(
    function: Callable[..., Any] | None = None, *, foreign: Mapping[str, tuple[str, ...]] = FOREIGN
) -> Callable[..., Any]:
    """Let a function, asynchronous or not, answer an argument that it does not know with the nearest that it does.

    Args:
        foreign: names from elsewhere, with what they may be called here.

    Raises:
        UnknownArgument: (the decorated function) a keyword that it does not have, or too many arguments without
            one. A missing argument stays Python's own `TypeError`.
    """
    if function is None:
        return functools.partial(_guarded, foreign=foreign)
    return _guarded(function, foreign)


def _guarded(function: Callable[..., Any], foreign: Mapping[str, tuple[str, ...]]) -> Callable[..., Any]:
    signature = inspect.signature(function)

    # Binding fails before any of the body runs, so a good call costs no more than a `try`.
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            if mistake := _mistake(function.__name__, signature, args, kwargs, foreign):
                raise mistake from None
            raise

    @functools.wraps(function)
    async def acall(*args: Any, **kwargs: Any) -> Any:
        return await cast("Awaitable[Any]", call(*args, **kwargs))

    return acall if inspect.iscoroutinefunction(function) else call


def _mistake(
    name: str,
    signature: Signature,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    foreign: Mapping[str, tuple[str, ...]],
) -> UnknownArgument | None:
    """What is wrong with a call that failed, or None when its arguments are not to blame."""
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    kinds = {p.kind for p in parameters}
    known = [p.name for p in parameters]
    unknown = [key for key in kwargs if key not in signature.parameters]
    if unknown and Parameter.VAR_KEYWORD not in kinds:
        return UnknownArgument(
            f"{name}() has no argument {shown(unknown[0])}; {_advice(unknown[0], known, foreign)}"
        )
    given = len(args) - (len(signature.parameters) - len(parameters))
    places = [
        p.name for p in parameters if p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    ]
    if given > len(places) and Parameter.VAR_POSITIONAL not in kinds:
        return UnknownArgument(f"{name}() {_too_many(given, places, known)}")
    return None


def _advice(unknown: str, known: list[str], foreign: Mapping[str, tuple[str, ...]]) -> str:
    here = next((there for there in foreign.get(unknown, ()) if there in known), None)
    if nearest := here or next(iter(get_close_matches(unknown, known, n=1)), None):
        return f"did you mean {nearest!r}?"
    return f"it takes {_listed(known)}"


def _too_many(given: int, places: list[str], known: list[str]) -> str:
    named = [f"{key}=" for key in known if key not in places]
    takes = (
        f"takes {len(places)} without a name ({', '.join(places)})" if places else "takes none without a name"
    )
    rest = f"; name the others: {_listed(named)}" if named else ""
    return f"was given {given} argument{'s' * (given > 1)} and {takes}{rest}"


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "no arguments"
