"""Where the server is, as libpq is told and as messages tell it: no part of a password is in these."""

from __future__ import annotations

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from perdure.options import ESCAPED, unclear


def conninfo(url: str, **beside: str | int | None) -> str:
    """What libpq is told; what is given beside the URL goes over it.

    Raises:
        ValueError: the URL is none, or is read otherwise than it was meant.
    """
    try:
        known = conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError("url is none of PostgreSQL's: postgresql://user@host:5432/dbname") from None
    _refuse_unescaped(url, str(known.get("port") or ""))
    return make_conninfo(url, **beside)


def place(told: str, schema: str) -> str:
    """The store in a message."""
    known = conninfo_to_dict(told)
    host, port, dbname = (known.get(name) for name in ("host", "port", "dbname"))
    at = (
        f"{host}:{port or 5432}"
        if host
        else "the server of PGHOST or this machine, as neither `url` nor `host` names one"
    )
    return f"the PostgreSQL store {f'{dbname}.' if dbname else ''}{schema} at {at}"


def _refuse_unescaped(url: str, ports: str) -> None:
    """Of a password with an @ or a / in it, libpq takes what follows for the host, the port or the database."""
    numbers = all(not port or port.isdecimal() for port in ports.split(","))
    if "://" in url and (unclear(url, ends="/") or not numbers):
        raise ValueError(f"url cannot be told apart: {ESCAPED}, or give `password` beside it")
