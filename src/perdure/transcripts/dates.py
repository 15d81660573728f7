"""Dates as people and their phones write them, in an order of day and month that the whole file decides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, tzinfo
from typing import NamedTuple

from perdure.errors import InvalidInput

_MONTH = r"[A-Za-z]{3,9}\.?"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"
_DATE = rf"\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}|{_NTH} {_MONTH},? \d{{4}}|{_MONTH} {_NTH},? \d{{4}}"
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
TIME = r"\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]\.?m\.?)?"
OFFSET = r"(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?"
WHEN = rf"(?:{_WEEKDAY},? )?(?P<date>{_DATE})(?:(?:,? at |,? |T)(?P<time>{TIME})(?P<offset>{OFFSET}))?"
"""A date, perhaps with a time, as the groups `date`, `time` and `offset` (case is ignored)."""

_NUMBERS = re.compile(r"(\d{1,4})([-/.])(\d{1,2})[-/.](\d{1,4})$")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class Written(NamedTuple):
    """A moment as it is written; parts that are not there are empty."""

    date: str
    time: str
    offset: str


def day_order(written: Iterable[tuple[int, Written]]) -> bool | None:
    """Whether the day comes before the month in dates of numbers alone; None: no date asks for it.

    Years in front and dots leave no doubt. For 08/05/2024 the others decide: one with a 13 or more shows it for all.

    Args:
        written: line numbers and the moments on them.

    Raises:
        InvalidInput: they show both, or neither.
    """
    doubtful, shown = 0, dict[bool, int]()
    for line, when in written:
        numbers = _NUMBERS.match(when.date)
        if numbers is None or len(numbers[1]) > 2 or numbers[2] == ".":
            continue
        doubtful = doubtful or line
        if int(numbers[1]) > 12:
            shown.setdefault(True, line)
        elif int(numbers[3]) > 12:
            shown.setdefault(False, line)
    if len(shown) == 2:
        raise InvalidInput(
            f"line {shown[True]} writes the day first, line {shown[False]} the month; expected one order in the whole file"
        )
    if doubtful and not shown:
        raise InvalidInput(
            f"line {doubtful}: nothing in the file tells day from month in its dates; "
            "say which comes first: day_first=True or False (--day-first or --month-first)"
        )
    return next(iter(shown), None)


def moment(written: Written, *, line: int, day_first: bool, zone: tzinfo) -> datetime:
    """The moment that is meant; a date alone is its midnight.

    Raises:
        InvalidInput: there is no such date or time.
    """
    try:
        day = _date(written.date, day_first=day_first)
        spoken = datetime.combine(
            day, _time(written.time) if written.time else time(), _zone(written.offset) or zone
        )
    except ValueError:
        shown = " ".join(part for part in written if part)
        raise InvalidInput(
            f"line {line}: there is no {shown!r}; expected a date like '2024-05-08' or '8 May 2024' and a time like '14:03'"
        ) from None
    return spoken


def _date(text: str, *, day_first: bool) -> date:
    """A date in numbers, or in English words.

    Raises:
        ValueError: there is none such.
    """
    numbers = _NUMBERS.match(text)
    if numbers is None:
        (word, *_), (day, year) = re.findall(r"[a-z]{3,}", text.lower()), map(int, re.findall(r"\d+", text))
        return date(year, _MONTHS.index(word[:3]) + 1, day)
    first, second, third = int(numbers[1]), int(numbers[3]), int(numbers[4])
    if len(numbers[1]) == 4:
        return date(first, second, third)
    year = third + 2000 if len(numbers[4]) == 2 else third
    return date(year, second, first) if day_first or numbers[2] == "." else date(year, first, second)


def _time(text: str) -> time:
    hour, minute, second = (*(int(part) for part in re.findall(r"\d+", text)), 0)[:3]
    half = re.search(r"[ap](?=\.?m)", text.lower())
    if half:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    return time(hour, minute, second)


def _zone(offset: str) -> tzinfo | None:
    if offset.upper() in ("Z", "UTC"):
        return UTC
    return datetime.strptime(offset, "%z").tzinfo if offset else None
