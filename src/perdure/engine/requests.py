"""Arguments as callers give them, made into what the engine works with, or refused with what to mend."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeAlias

from perdure.arguments import shown
from perdure.engine.messages import bounded, clean, json_copy
from perdure.errors import InvalidInput
from perdure.filters import Filter, parse
from perdure.moments import parse_moment
from perdure.types import UNTRUSTED

When: TypeAlias = datetime | date | str | int | float
"""A moment as callers write it: see `perdure.moments.parse_moment`."""


class Keep:
    """The type of `KEEP`: an argument that was not given, where None means something."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP = Keep()

MAX_RESULTS = 100_000
MAX_WHOLE = 2**63 - 1
"""The largest number that a store can count to."""
MAX_SECONDS = 10**9
"""Thirty years: who waits longer waits for ever, and no clock of a system counts beyond all numbers."""


def moment(value: When | None, name: str, *, day_end: bool = False) -> datetime | None:
    """The moment meant, or None when none is given."""
    return None if value is None else parse_moment(value, name=name, day_end=day_end)


def limit(top_k: int | None, limit: int | None, default: int) -> int:
    """How many results: `top_k` and `limit` are two names of one argument."""
    if top_k is not None and limit is not None and top_k != limit:
        raise InvalidInput(
            f"top_k={shown(top_k)} and limit={shown(limit)} are two names of one argument: give one of them"
        )
    if top_k is None and limit is None:
        return default
    name, asked = ("top_k", top_k) if top_k is not None else ("limit", limit)
    return count(asked, name, most=MAX_RESULTS)


def count(value: object, name: str, *, most: int = MAX_WHOLE) -> int:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name}={shown(value)}: give a whole number")
    if not 0 <= value <= most:
        raise InvalidInput(f"{name}={shown(value)}: give a number from 0 to {most:,}")
    return value


def seconds(value: object, name: str) -> float:
    """A number of seconds from 0 on."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_SECONDS:
        raise InvalidInput(f"{name}={shown(value)}: give a number of seconds, at most {MAX_SECONDS:,}")
    return float(value)


def threshold(value: object, default: float) -> float:
    """A score from 0 to 1."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise InvalidInput(f"threshold={shown(value)}: give a number from 0 to 1")
    return float(value)


def query(value: object, max_bytes: int) -> str:
    """A text to search for."""
    if not isinstance(value, str):
        raise InvalidInput(f"query is a {type(value).__name__}: give a text")
    if not value.strip():
        raise InvalidInput("query is blank: say what to search for, or list memories with get_all()")
    return bounded(clean(value.strip(), "query"), max_bytes, "query")


def queries(values: object) -> Sequence[str]:
    """Texts to search for."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidInput("queries is not a list: give a list of texts, or use search() for one")
    return values


def identifier(value: object) -> str:
    """A memory's id."""
    return _id(value, "memory_id", "a memory, as results show it")


def event_id(value: object) -> str:
    """The id of an add."""
    return _id(value, "event_id", "an add, as `add` answered it")


def _id(value: object, name: str, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{name}={shown(value)}: give the id of {what}")
    return clean(value.strip(), name)


def identifiers(values: object) -> frozenset[str] | None:
    """Ids of memories; None when none are given."""
    if values is None:
        return None
    if isinstance(values, str) or not isinstance(values, (Sequence, set, frozenset)):
        raise InvalidInput(
            "memory_ids is not a list: give a list of ids, as what clean(dry_run=True) found has them"
        )
    return frozenset(map(identifier, values))


def file_path(value: object) -> Path:
    """The place of a file; `~` is the user's home."""
    if isinstance(value, (str, os.PathLike)) and str(value).strip() and "\0" not in str(value):
        with suppress(RuntimeError):  # nobody's home is known
            return Path(value).expanduser()
    raise InvalidInput(f"path={shown(value)}: give the name of a file")


def idempotency(key: object) -> str | None:
    """A caller's own key, kept apart from those that we make."""
    if key is None:
        return None
    if not isinstance(key, str) or not 0 < len(key) <= 256:
        raise InvalidInput("idempotency_key is not a text of 1 to 256 characters")
    return "given:" + clean(key, "idempotency_key")


def categories(values: object) -> tuple[str, ...]:
    """Distinct names, in the order given."""
    if values is None:
        return ()
    if isinstance(values, str) or not isinstance(values, (Sequence, set, frozenset)):
        raise InvalidInput("categories is not a list: give a list of names, as in ['preferences']")
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise InvalidInput("categories holds something that is not a name: give texts that are not blank")
    return tuple(dict.fromkeys(clean(value.strip(), "categories") for value in values))


def within(values: object) -> Filter | None:
    """The filter that lets memories of these categories through."""
    names = categories(values)
    return parse({"categories": list(names)}) if names else None


def trusted(only: object) -> Filter | None:
    """The filter that keeps out what nobody known stands behind; None when it may come."""
    if not isinstance(only, bool):
        raise InvalidInput(f"trusted_only={only!r}: give True or False")
    return parse({"origin": {"nin": sorted(UNTRUSTED)}}) if only else None


def metadata(value: object, max_bytes: int) -> Mapping[str, Any]:
    """Metadata that JSON holds without loss."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"metadata is a {type(value).__name__}: give a dictionary")
    return json_copy(value, "metadata", max_bytes)  # type: ignore[no-any-return]  # a mapping stays one


def merged(old: Mapping[str, Any], new: Mapping[str, Any], max_bytes: int) -> Mapping[str, Any]:
    """The old metadata with the new over it; what is None in the new is gone."""
    return metadata({k: v for k, v in {**old, **new}.items() if k not in new or v is not None}, max_bytes)


def wish(prompt: object, max_bytes: int) -> str:
    """What a language model is to be told for one call; nothing when it is not given."""
    if prompt is None:
        return ""
    if not isinstance(prompt, str):
        raise InvalidInput(f"prompt is a {type(prompt).__name__}: give a text")
    return bounded(clean(prompt.strip(), "prompt"), max_bytes, "prompt")


def revision(text: object, data: object, max_bytes: int) -> str | None:
    """The new text of an update: `text` and `data` are two names of one argument."""
    if text is not None and data is not None and text != data:
        raise InvalidInput("text and data are two names of one argument: give one of them")
    wanted = text if text is not None else data
    if wanted is None:
        return None
    if not isinstance(wanted, str) or not wanted.strip():
        raise InvalidInput("text is blank or no text: say what the memory shall be, or delete() it")
    return bounded(clean(wanted, "text"), max_bytes, "text")
