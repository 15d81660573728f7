"""Days of the calendar in one spelling, so that a question's `10.01.2024` meets what was said on 10 January 2024."""

from __future__ import annotations

import re
from datetime import date

MONTHS = (
    *("january", "february", "march", "april", "mayday", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
"""May is spelt as no text spells it: the verb is a stop word."""

_MONTH = (
    r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
    r"(?:uary|ruary|ch|il|e|y|ust|t|tember|ober|ember)?"
)
_NAMES = {name[:3]: name for name in MONTHS}

_HINT = re.compile(r"\d|\bmay\b")
_YEAR_FIRST = re.compile(r"\b(\d{4})-(\d{1,2})-(\d{1,2})\b")
_DAY_FIRST = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_SLASHED = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")
_DAY_MONTH = re.compile(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? {_MONTH}\b")
_MONTH_DAY = re.compile(rf"\b{_MONTH}\b\.? (\d{{1,2}}(?!\d)|\d{{4}})(?:st|nd|rd|th)?\b")
_IN_MAY = re.compile(r"\b(in|since|until|till|by|last|next|this|early|mid|late|of) may\b")
_SPELT = re.compile(rf"\b(\d{{1,2}}) ({'|'.join(MONTHS)}),? (\d{{4}})\b")
_SPELT_MONTH_FIRST = re.compile(rf"\b({'|'.join(MONTHS)}) (\d{{1,2}}),? (\d{{4}})\b")


def day(year: int, month: int, number: int) -> str:
    """A day as a text of its own, as in `10 january 2024`."""
    return f"{number} {MONTHS[month - 1]} {year}"


def spell_days(text: str) -> str:
    """A normalised text with its dates spelt like `day` does, wherever they stand; all else unchanged."""
    if not _HINT.search(text):
        return text
    text = _YEAR_FIRST.sub(lambda m: _spelt(m, year=1, month=2, number=3), text)
    text = _DAY_FIRST.sub(lambda m: _spelt(m, year=3, month=2, number=1), text)
    text = _SLASHED.sub(_slashed, text)
    text = _DAY_MONTH.sub(lambda m: f"{int(m[1])} {_NAMES[m[2]]}", text)
    text = _MONTH_DAY.sub(lambda m: f"{_NAMES[m[1]]} {int(m[2])}", text)
    return _IN_MAY.sub(r"\1 mayday", text)


def named_days(text: str) -> tuple[date, ...]:
    """The days that a text names in full, its dates spelt as by `spell_days`."""
    found = [(match[3], match[2], match[1]) for match in _SPELT.finditer(text)]
    found += [(match[3], match[1], match[2]) for match in _SPELT_MONTH_FIRST.finditer(text)]
    days = (_day_or_none(int(year), MONTHS.index(month) + 1, int(number)) for year, month, number in found)
    return tuple(day for day in days if day)


def _day_or_none(year: int, month: int, number: int) -> date | None:
    try:
        return date(year, month, number)
    except ValueError:
        return None


def _slashed(match: re.Match[str]) -> str:
    """Month first, as in America, unless that cannot be."""
    return (
        _spelt(match, year=3, month=2, number=1)
        if int(match[1]) > 12
        else _spelt(match, year=3, month=1, number=2)
    )


def _spelt(match: re.Match[str], *, year: int, month: int, number: int) -> str:
    named, numbered = int(match[month]), int(match[number])
    if not 1 <= named <= 12 or not 1 <= numbered <= 31:
        return match[0]
    return day(int(match[year]), named, numbered)
