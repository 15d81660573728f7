"""What PostgreSQL's errors mean for the caller; its own words name tables and places, and are kept as the cause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from psycopg import Error, InterfaceError, OperationalError
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from perdure.errors import (
    Closed,
    ConfigurationError,
    Conflict,
    InvalidInput,
    PerdureError,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreUnwritable,
    TooLarge,
    Unavailable,
)


def explained(error: Exception, place: str) -> Exception:
    """What an error means; those that are none of PostgreSQL's as they are.

    Args:
        place: which store it is, for the message; no password.
    """
    if isinstance(error, UnicodeEncodeError):
        return InvalidInput("a text is not valid Unicode: it holds half of a surrogate pair")
    return _meant(error, place) if isinstance(error, Error) else error


def _meant(error: Error, place: str) -> PerdureError:
    if isinstance(error, PoolClosed):
        return Closed("this store was closed: open another")
    if isinstance(error, (PoolTimeout, TooManyRequests)):
        return Unavailable(
            f"{place}: no connection was free in time: raise `max_connections`, or try again later"
        )
    state = error.sqlstate or ""
    if (make := _MEANINGS.get(state) or _MEANINGS.get(state[:2])) is not None:
        return make(place)
    if is_lost(error):
        return unreachable(error, place)
    return StoreError(f"{place}: PostgreSQL says {_first_line(error)} ({state or type(error).__name__})")


def is_lost(error: BaseException) -> bool:
    """Whether the connection has ended, or cannot be made just now: on another one it may go well."""
    if isinstance(error, InterfaceError):
        return True
    state = getattr(error, "sqlstate", None) or ""
    if state:
        return state[:2] == "08" or state in _ENDING
    return isinstance(error, OperationalError) and not is_refused(error)


def is_passing(error: BaseException) -> bool:
    """Whether the transaction was undone for what others did at the same time, and may go well at once."""
    return getattr(error, "sqlstate", None) in ("40001", "40P01")


def is_refused(error: BaseException) -> bool:
    """Whether the server is there and does not let us in.

    A connection that is refused while it is made has no code in psycopg, only the server's words.
    """
    told = str(error)
    return any(words in told for words in _REFUSALS)


def refused(error: BaseException, place: str) -> ConfigurationError:
    """What to do about a connection that is not let in."""
    return ConfigurationError(
        f"{place} does not let us in: {_first_line(error)}: mend `user`, `password`, `dbname`, `url` or the server's "
        "pg_hba.conf"
    )


def unreachable(error: BaseException, place: str) -> Unavailable:
    """What to say when there is no way to the server."""
    return Unavailable(f"{place} cannot be reached ({_first_line(error)}): is it running? Try again later")


def unanswered(place: str) -> Unavailable:
    """What to say when a change was sent, and there is no way to learn whether it was kept."""
    return Unavailable(
        f"{place} was lost before it answered: whether this change was kept is not known. An add that had an "
        "`idempotency_key` may be repeated with it, and is stored once; else look first"
    )


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (
        lines[-1] if lines and "FATAL" in lines[-1] else lines[0] if lines else type(error).__name__
    ).strip()[:300]


_ENDING: Final = frozenset({"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "53300"})
"""Shut down, crashed, starting up, idle for too long (also within a transaction), too many connections."""

_REFUSALS: Final = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "permission denied for database",
    "is not permitted to log in",
    "invalid connection option",
    "server does not support SSL",
    "certificate verify failed",
    "could not translate host name",
)

_MEANINGS: Final[dict[str, Callable[[str], PerdureError]]] = {
    "55P03": lambda place: StoreBusy(
        f"{place} was locked by another process for longer than `lock_timeout`: nothing was changed, try again"
    ),
    "57014": lambda place: Unavailable(
        f"{place} took longer than `statement_timeout`: nothing was changed. Raise it, or ask for less"
    ),
    "40": lambda place: StoreBusy(
        f"{place}: others changed the same at the same time: nothing was changed, try again"
    ),
    "23": lambda _: Conflict("somebody else stored this version first: read again, then retry"),
    "22003": lambda _: InvalidInput("a number does not fit into 64 bits"),
    "22": lambda place: InvalidInput(f"{place} cannot hold a value of this call"),
    "53100": lambda place: StoreFull(
        f"{place} could not grow: the disk is full; nothing of this call was kept"
    ),
    "53200": lambda place: Unavailable(f"{place} has no memory left: nothing was changed, try again later"),
    "54": lambda place: TooLarge(f"{place}: a text or its metadata is larger than PostgreSQL can hold"),
    "42501": lambda place: StoreUnwritable(
        f"{place}: this role may not do that: make it the owner of the schema, or GRANT it what it needs"
    ),
    "25006": lambda place: StoreUnwritable(f"{place} can only be read: connect to the primary server"),
    "XX001": lambda place: StoreDamaged(f"{place} is damaged: restore a backup; nothing was changed"),
    "XX002": lambda place: StoreDamaged(f"{place} has a damaged index: REINDEX it; nothing was changed"),
    "3D000": lambda place: ConfigurationError(
        f"{place}: there is no such database: create it, or mend `dbname`"
    ),
    "28": lambda place: ConfigurationError(f"{place} does not let us in: mend `user` and `password`"),
    "42P01": lambda place: StoreError(f"{place} has lost a table of the store: restore a backup"),
    "3F000": lambda place: StoreError(f"{place} has lost the schema of the store: restore a backup"),
}
