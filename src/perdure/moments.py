"""Moments as callers write them, as the store keeps them and as answers show them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from perdure.arguments import shown
from perdure.errors import InvalidInput

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MILLISECONDS_ABOVE: Final = 100_000_000_000
"""As seconds this is the year 5138, as milliseconds 1973: larger numbers are taken for milliseconds."""

# Four digits are more likely a year, and eight a date, than a moment in 1970.
_NUMBER: Final = re.compile(r"(?!(?:\d{4}|\d{8})\Z)[+-]?\d{1,18}(?:\.\d{1,18})?\Z", re.ASCII)
_SPACE_BEFORE_OFFSET: Final = re.compile(r"(?<=\d)\s+(?=[+-]\d\d:?\d\d\Z)")

_FORMS: Final = (
    "give a datetime (without a zone it is UTC), a date, ISO 8601 as in '2025-01-31' or "
    "'2025-01-31T10:00:00+01:00', or seconds since 1970 (milliseconds above 1e11)"
)


def parse_moment(value: object, *, name: str = "timestamp", day_end: bool = False) -> datetime:
    """The moment that a caller's value means, in the zone that it was given in.

    Args:
        value: a datetime (naive means UTC), a date, ISO 8601, or seconds since 1970 as a number or its digits;
            numbers above 1e11 are milliseconds.
        name: what the caller calls this argument, for the error.
        day_end: a date without a time means the last microsecond of that day instead of its first.

    Raises:
        InvalidInput: it is something else, or no moment of the years 1 to 9999 in UTC.
    """
    try:
        moment = _read(value, time.max if day_end else time.min)
        moment.astimezone(UTC)  # 9999-12-31T23:00-05:00 is a datetime that UTC cannot hold
    except (TypeError, ValueError, ArithmeticError):
        raise InvalidInput(f"{name}={shown(value)} is no moment of the years 1 to 9999: {_FORMS}") from None
    return moment


def in_utc(moment: datetime) -> datetime:
    """The same moment in UTC; without a zone it is UTC already."""
    return _aware(moment).astimezone(UTC)


@lru_cache(maxsize=4096)  # one moment stands in many memories: those of one add, a version's own times
def iso(moment: datetime) -> str:
    """ISO 8601 in UTC, as in `2025-01-31T10:00:00+00:00`; microseconds only where there are any."""
    return in_utc(moment).isoformat()


def micros(moment: datetime) -> int:
    """Microseconds since 1970, exactly; `from_micros` is the way back."""
    since = _aware(moment) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(count: int) -> datetime:
    """The moment so many microseconds after 1970, in UTC.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    return EPOCH + timedelta(microseconds=count)


def _read(value: object, at: time) -> datetime:
    if isinstance(value, datetime):
        return _aware(value)
    if isinstance(value, date):
        return datetime.combine(value, at, UTC)
    if isinstance(value, str):
        return _read_text(value.strip(), at)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _read_number(Decimal(value) if isinstance(value, int) else Decimal(str(value)))
    raise TypeError


def _read_text(text: str, at: time) -> datetime:
    if _NUMBER.match(text):
        return _read_number(Decimal(text))
    try:
        return datetime.combine(date.fromisoformat(text), at, UTC)
    except ValueError:
        return _aware(datetime.fromisoformat(_SPACE_BEFORE_OFFSET.sub("", text)))


def _read_number(number: Decimal) -> datetime:
    unit = 1_000 if abs(number) > _MILLISECONDS_ABOVE else 1_000_000
    return from_micros(round(number * unit))


def _aware(moment: datetime) -> datetime:
    return moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)
