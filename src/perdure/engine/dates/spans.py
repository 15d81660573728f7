"""Intervals of the calendar, on the speaker's wall clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)

Choice: TypeAlias = Literal["last", "this", "next", "coming", "begun", "nearest"]


class Span(NamedTuple):
    """`start <= t < end` on the speaker's wall clock, without a zone."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Here:
    """Where a rule stands: the moment of speaking on the wall clock, and the text in its own case."""

    now: datetime
    text: str
    undated: Choice = "nearest"
    """Which one is meant by a day or month without a year, or a weekday without more."""

    @property
    def today(self) -> datetime:
        """The day of speaking, at its beginning."""
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)


Resolve: TypeAlias = Callable[[Here, re.Match[str]], Span | None]


def midnight(year: int, month: int = 1, day: int = 1) -> datetime:
    """Where a day begins."""
    return datetime.combine(date(year, month, day), time.min)


def day_span(year: int, month: int, day: int) -> Span:
    """A day."""
    start = midnight(year, month, day)
    return Span(start, start + DAY)


def months_span(year: int, month: int, count: int = 1) -> Span:
    """`count` calendar months; the month may lie outside 1..12 and counts on."""
    first, last = (divmod(12 * year + month - 1 + more, 12) for more in (0, count))
    return Span(midnight(first[0], first[1] + 1), midnight(last[0], last[1] + 1))


def part_span(day: datetime, name: str) -> Span:
    """A morning, an afternoon, an evening or a night."""
    start, hours = {"morning": (5, 7), "afternoon": (12, 6), "evening": (18, 6), "night": (18, 11)}[name]
    begins = day.replace(hour=0, minute=0)
    return Span(begins + start * HOUR, begins + (start + hours) * HOUR)


def pick(here: Here, spans: Iterable[Span], choice: Choice) -> Span | None:
    """The one that is meant; the spans come in the order of time."""
    today, all_spans = here.today, tuple(spans)
    match choice:
        case "last":
            return next((s for s in reversed(all_spans) if s.end <= today), None)
        case "begun":
            return next((s for s in reversed(all_spans) if s.start <= today), None)
        case "next":
            return next((s for s in all_spans if s.start > today), None)
        case "coming":
            return next((s for s in all_spans if s.end > today), None)
        case "this":
            inside = (s for s in all_spans if s.start <= today < s.end)
            return next(inside, next((s for s in all_spans if s.start.year == today.year), None))
        case "nearest":
            # From noon: which Friday is nearest must not depend on the hour.
            noon = today + 12 * HOUR
            return min(all_spans, key=lambda s: max(s.start - noon, noon - s.end, timedelta()), default=None)


def _years(here: Here, span_of: Callable[[int], Span]) -> list[Span]:
    """What comes once a year: this year's with its neighbours, as far as they exist."""
    spans = []
    for year in range(here.now.year - 2, here.now.year + 3):
        with suppress(ValueError, OverflowError):
            spans.append(span_of(year))
    return spans


def yearly_span(here: Here, match: re.Match[str], span_of: Callable[[int], Span]) -> Span | None:
    """With its year, with "last year" behind it, or the one that "last", "next" or nothing means."""
    groups = match.groupdict()
    if year := groups.get("year"):
        return span_of(int(year))
    if which := groups.get("which_year"):
        return span_of(here.now.year + STEPS[which])
    return pick(here, _years(here, span_of), CHOICES.get(groups.get("which") or "", here.undated))


def span_around(here: Here, unit: str, steps: int, blur: int = 0) -> Span:
    """The hour, day, week (centred on the day), month or year so many steps away, widened by `blur` of them."""
    today = here.today
    match unit:
        case "hour":
            start = here.now.replace(minute=0, second=0, microsecond=0) + (steps - blur) * HOUR
            return Span(start, start + (1 + 2 * blur) * HOUR)
        case "day":
            return Span(today + (steps - blur) * DAY, today + (steps + blur + 1) * DAY)
        case "week":
            return Span(today + (7 * (steps - blur) - 3) * DAY, today + (7 * (steps + blur) + 4) * DAY)
        case "month":
            return months_span(today.year, today.month + steps - blur, 1 + 2 * blur)
        case _:
            return months_span(today.year + steps - blur, 1, 12 * (1 + 2 * blur))


def calendar_span(here: Here, unit: str, steps: int) -> Span:
    """The calendar's own week (from Monday), weekend, month or year, so many steps away."""
    if unit in ("month", "year"):
        return span_around(here, unit, steps)
    monday = here.today + (7 * steps - here.today.weekday()) * DAY
    return Span(monday + 5 * DAY, monday + 7 * DAY) if unit == "weekend" else Span(monday, monday + 7 * DAY)


MONTH_NAMES: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
WEEKDAY_KEYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
STEPS: Final = {
    "last": -1,
    "this past": -1,
    "past": -1,
    "this": 0,
    "next": 1,
    "coming": 1,
    "before last": -2,
    "after next": 2,
}
CHOICES: Final[dict[str, Choice]] = {
    "last": "last", "this past": "last", "past": "last", "this": "this", "next": "next", "coming": "next",
}  # fmt: skip
