"""The times that a text speaks of, resolved against the moment and in the zone in which it was said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from perdure.moments import in_utc
from perdure.types import Mention

_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)

_Choice: TypeAlias = Literal["last", "this", "next", "coming", "begun", "nearest"]


class _Span(NamedTuple):
    """`start <= t < end` on the speaker's wall clock, without a zone."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class _Here:
    """Where a rule stands: the moment of speaking on the wall clock, and the text in its own case."""

    now: datetime
    text: str
    undated: _Choice = "nearest"
    """Which one is meant by a day or month without a year, or a weekday without more."""

    @property
    def today(self) -> datetime:
        return self.now.replace(hour=0, minute=0, second=0, microsecond=0)


_Resolve: TypeAlias = Callable[[_Here, re.Match[str]], _Span | None]


def mentions(text: str, said_at: datetime, language: str | None = "en") -> tuple[Mention, ...]:
    """The times that `text` speaks of, in the order of the text, in UTC.

    A date without a year, and a weekday without more, is the one nearest to the day of speaking; after "since" it is
    the latest that has begun, and the mention lasts until it was said. "Last Friday" is the latest before today, "next
    Friday" the first after today, "this Friday" the coming one. Weeks begin on Monday, seasons are the northern ones.
    Dates with dots have the day first; of "3/4/2024" nobody knows which is the month, and it is left alone.

    Args:
        said_at: when it was said; "yesterday" is resolved in its zone (without one: UTC).
        language: English words are read only where this is English ("en"); numeric dates in every language.
    """
    return tuple(found.mention for found in _find(text, said_at, language, undated="nearest"))


def question_interval(query: str, reference: datetime, language: str | None = "en") -> Mention | None:
    """The time that a question asks about, or None; "in May" is the latest May that has begun by `reference`.

    "Between A and B" covers both, "after A" runs to `reference`, "before A" and "until A" have no beginning; of
    several times that are not so connected the first counts.
    """
    times = _find(query, reference, language, undated="begun")
    if not times:
        return None
    first, start = times[0].mention, times[0].start
    word = match[1] if (match := _RELATION.search(query.lower(), max(0, start - 20), start)) else ""
    if word in ("between", "from") and len(times) > 1 and first.start < (end := times[1].mention.end):
        return Mention(text=query[start : times[1].end], start=first.start, end=end)
    if word in ("before", "until", "till"):
        return Mention(
            text=first.text,
            start=datetime.min.replace(tzinfo=UTC),
            end=first.start if word == "before" else first.end,
        )
    if word == "after" and first.end < (now := in_utc(reference)):
        return Mention(text=first.text, start=first.end, end=now)
    return first


def date_text(moment: datetime) -> str:
    """The day as people write it, for the index of words: `8 May 2023`, in the moment's own zone."""
    return f"{moment.day} {_MONTH_NAMES[moment.month - 1]} {moment.year}"


def mention_text(mention: Mention, zone: tzinfo = UTC) -> str:
    """A mention as words for the index, as exact as it is: `7 May 2023`, `May 2023`, `2022`, or nothing if longer.

    Its middle decides, so that a day of another zone keeps its name as long as the zones are less than 12 h apart.
    """
    length = mention.end - mention.start
    middle = (mention.start + length / 2).astimezone(zone)
    if length <= timedelta(hours=25):
        return date_text(middle)
    if length <= timedelta(days=32):
        return f"{_MONTH_NAMES[middle.month - 1]} {middle.year}"
    return str(middle.year) if length <= timedelta(days=367) else ""


class _Found(NamedTuple):
    mention: Mention
    start: int
    end: int


def _find(text: str, said_at: datetime, language: str | None, undated: _Choice) -> list[_Found]:
    low = _lower(text)
    english = language is not None and language[:2] == "en"
    if not (_DIGIT.search(low) or (english and not _TRIGGERS.isdisjoint(_WORD.findall(low)))):
        return []
    zone = said_at.tzinfo if said_at.utcoffset() is not None else UTC
    here = _Here(said_at.replace(tzinfo=None), text, undated)
    reader = _reader(english=english)
    found: list[_Found] = []
    for hit in reader.any_rule.finditer(low):
        pattern, resolve = reader.rules[hit.lastgroup or ""]
        match = pattern.match(low, hit.start())
        if match and hit.start() >= (found[-1].end if found else 0):
            with suppress(OverflowError, ValueError):  # there is no 31 April, nor a day before the year 1
                found += _resolved(low, match, resolve, here, zone)
    return found


def _resolved(
    low: str, match: re.Match[str], resolve: _Resolve, here: _Here, zone: tzinfo | None
) -> Iterable[_Found]:
    """The time that a rule found, with the clock behind it and the "since" before it; none if it means nothing."""
    start = match.end("lead") if match.groupdict().get("lead") else match.start()
    since = _SINCE.search(low, max(0, start - 12), start)
    span = resolve(replace(here, undated="begun") if since else here, match)
    if span is None:
        return
    now = _utc_of(here.now, zone)
    span, end, zone = _clock(low, match.end(), span, zone)
    first, length = _utc_of(span.start, zone), span.end - span.start
    # What is shorter than a day keeps its length where the clock is put forward or back.
    last = first + length if length < _DAY else _utc_of(span.end, zone)
    if since:
        start, last = since.start(), now if first < now else last
    if first < last:
        yield _Found(Mention(text=here.text[start:end], start=first, end=last), start, end)


def _clock(low: str, at: int, span: _Span, zone: tzinfo | None) -> tuple[_Span, int, tzinfo | None]:
    """Narrow a day to the hour or the part of it that follows in the text."""
    if span.end - span.start > _DAY or not (match := _CLOCK.match(low, at)):
        return span, at, zone
    if part := match["part"]:
        return _part(span.start, part), match.end(), zone
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if half := match["half"]:
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    start = span.start.replace(hour=hour, minute=minute)
    if start < span.start:
        start += _DAY  # "last night at 2 am" is of the morning after
    if start >= span.end:
        return span, at, zone
    if offset := match["zone"]:
        zone = datetime.strptime(offset.upper(), "%z").tzinfo
    return _Span(start, start + _HOUR), match.end(), zone


def _utc_of(wall: datetime, zone: tzinfo | None) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _lower(text: str) -> str:
    """Lower case, character for character: one letter of Unicode becomes two."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _midnight(year: int, month: int = 1, day: int = 1) -> datetime:
    return datetime.combine(date(year, month, day), time.min)


def _day(year: int, month: int, day: int) -> _Span:
    start = _midnight(year, month, day)
    return _Span(start, start + _DAY)


def _months(year: int, month: int, count: int = 1) -> _Span:
    """`count` calendar months; the month may lie outside 1..12 and counts on."""
    first, last = (divmod(12 * year + month - 1 + more, 12) for more in (0, count))
    return _Span(_midnight(first[0], first[1] + 1), _midnight(last[0], last[1] + 1))


def _part(day: datetime, name: str) -> _Span:
    start, hours = {"morning": (5, 7), "afternoon": (12, 6), "evening": (18, 6), "night": (18, 11)}[name]
    midnight = day.replace(hour=0, minute=0)
    return _Span(midnight + start * _HOUR, midnight + (start + hours) * _HOUR)


def _pick(here: _Here, spans: Iterable[_Span], choice: _Choice) -> _Span | None:
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
            noon = today + 12 * _HOUR
            return min(all_spans, key=lambda s: max(s.start - noon, noon - s.end, timedelta()), default=None)


def _years(here: _Here, span_of: Callable[[int], _Span]) -> list[_Span]:
    """What comes once a year: this year's with its neighbours, as far as they exist."""
    spans = []
    for year in range(here.now.year - 2, here.now.year + 3):
        with suppress(ValueError, OverflowError):
            spans.append(span_of(year))
    return spans


def _yearly(here: _Here, match: re.Match[str], span_of: Callable[[int], _Span]) -> _Span | None:
    """With its year, with "last year" behind it, or the one that "last", "next" or nothing means."""
    groups = match.groupdict()
    if year := groups.get("year"):
        return span_of(int(year))
    if which := groups.get("which_year"):
        return span_of(here.now.year + _STEPS[which])
    return _pick(here, _years(here, span_of), _CHOICES.get(groups.get("which") or "", here.undated))


def _around(here: _Here, unit: str, steps: int, blur: int = 0) -> _Span:
    """The hour, day, week (centred on the day), month or year so many steps away, widened by `blur` of them."""
    today = here.today
    match unit:
        case "hour":
            start = here.now.replace(minute=0, second=0, microsecond=0) + (steps - blur) * _HOUR
            return _Span(start, start + (1 + 2 * blur) * _HOUR)
        case "day":
            return _Span(today + (steps - blur) * _DAY, today + (steps + blur + 1) * _DAY)
        case "week":
            return _Span(today + (7 * (steps - blur) - 3) * _DAY, today + (7 * (steps + blur) + 4) * _DAY)
        case "month":
            return _months(today.year, today.month + steps - blur, 1 + 2 * blur)
        case _:
            return _months(today.year + steps - blur, 1, 12 * (1 + 2 * blur))


def _calendar(here: _Here, unit: str, steps: int) -> _Span:
    """The calendar's own week (from Monday), weekend, month or year, so many steps away."""
    if unit in ("month", "year"):
        return _around(here, unit, steps)
    monday = here.today + (7 * steps - here.today.weekday()) * _DAY
    return (
        _Span(monday + 5 * _DAY, monday + 7 * _DAY) if unit == "weekend" else _Span(monday, monday + 7 * _DAY)
    )


def _count(text: str) -> tuple[int, int]:
    """A number and how vague it is: "a few" is three, give or take one."""
    word = next(word for word in reversed(text.split()) if word != "of")
    if word.isdecimal():
        return int(word), 0
    return (3, 1) if word in ("few", "several") else (_NUMBERS[word], 0)


def _is_month(here: _Here, match: re.Match[str]) -> bool:
    """False for the verbs "may" and "march": they need a capital letter, or a year or an ordinal beside them."""
    groups = match.groupdict()
    sure = any(groups.get(name) for name in ("year", "which_year", "which", "lead", "ordinal"))
    return sure or match["month"] not in ("may", "march", "mar") or here.text[match.start("month")].isupper()


_MONTH_NAMES: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_MONTH_NUMBERS: Final = {name[:3].lower(): number for number, name in enumerate(_MONTH_NAMES, start=1)}
_WEEKDAY_KEYS: Final = ("mo", "tu", "we", "th", "fr", "sa", "su")
_SEASONS: Final = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}
_HOLIDAYS: Final = {
    "christmaseve": (12, 24), "christmas": (12, 25), "christmasday": (12, 25), "halloween": (10, 31),
    "newyearseve": (12, 31), "newyearsday": (1, 1), "valentinesday": (2, 14), "thanksgiving": (11, 0),
}  # fmt: skip
_STEPS: Final = {
    "last": -1,
    "this past": -1,
    "past": -1,
    "this": 0,
    "next": 1,
    "coming": 1,
    "before last": -2,
    "after next": 2,
}
_CHOICES: Final[dict[str, _Choice]] = {
    "last": "last", "this past": "last", "past": "last", "this": "this", "next": "next", "coming": "next",
}  # fmt: skip
_NUMBERS: Final = {
    "a": 1, "an": 1, "one": 1, "couple": 2, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip

_WHICH = r"(?P<which>this past|last|past|this|next|coming)"
_MONTHS = (
    r"(?P<month>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_WEEKDAYS = r"(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)"
_YEARS = r"(?:19|20)[0-9][0-9](?![0-9]|[.,:][0-9]|%)"
_THAT_YEAR = r"(?P<which_year>last|this|next) year"
# "in 2000 words", "March 5 miles": what is counted comes in the plural.
_NOT_COUNTED = (
    r"(?![0-9]|[.,:/][0-9]|\s?(?:%|°|[ap]\.?m\b|k?cal\b|k[mg]\b|percent\b))"
    r"(?!\s{1,3}(?!(?:was|is|has|this|his|as|us|its|does|always|plus|yes)\b)[a-z]{1,20}s\b)"
)
_AMOUNT = (
    r"(?:[0-9]{1,3}|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|"
    r"(?:a )?couple(?: of)?|(?:a )?few|several)"
)
_TWO = r"[0-9]{1,2}"
_DATED_YEAR = r"(?:1[0-9]|20|21)[0-9]{2}"

_NEUTRAL_RULES: Final[list[tuple[str, _Resolve]]] = []
_ENGLISH_RULES: Final[list[tuple[str, _Resolve]]] = []


def _rule(*patterns: str, english: bool = True) -> Callable[[_Resolve], _Resolve]:
    """Makes a rule; where two could begin, the one that is written first is tried first.

    In a pattern a space is any white space, and `lead` is not part of the mention.
    """

    def add(resolve: _Resolve) -> _Resolve:
        rules = _ENGLISH_RULES if english else _NEUTRAL_RULES
        rules.extend((pattern, resolve) for pattern in patterns)
        return resolve

    return add


@_rule(
    # 2024-05-08, 2024/05/08, 2024.05.08; 8.5.2024, 13/4/2024
    rf"(?<![0-9a-z_/.-]){_DATED_YEAR}(?:-{_TWO}-|/{_TWO}/|\.{_TWO}\.){_TWO}(?![0-9]|[-/.][0-9])",
    rf"(?<![0-9a-z_/.-])(?<!version\s){_TWO}(?:\.\s?{_TWO}\.\s?|/{_TWO}/){_DATED_YEAR}(?![0-9]|[-/.][0-9])",
    english=False,
)
def _numeric(_here: _Here, match: re.Match[str]) -> _Span | None:
    first, second, third = (int(number) for number in re.findall(r"[0-9]+", match[0]))
    if first > 31:
        return _day(first, second, third)
    if "." in match[0] or first > 12 or first == second:
        return _day(third, second, first)
    return _day(third, first, second) if second > 12 else None


@_rule(
    # 2024年5月8日, 5月8日, 2024年
    rf"(?<![0-9])(?={_DATED_YEAR}\s?[年년]|{_TWO}\s?[月월])(?:(?P<year>{_DATED_YEAR})\s?[年년]\s?)?"
    rf"(?:(?P<month>{_TWO})\s?[月월]\s?(?:(?P<day>{_TWO})\s?[日号號일])?)?",
    english=False,
)
def _cjk(here: _Here, match: re.Match[str]) -> _Span | None:
    if not match["month"]:
        return _months(int(match["year"]), 1, 12)
    month, day = int(match["month"]), match["day"]
    if not 1 <= month <= 12:
        return None
    return _yearly(here, match, lambda year: _day(year, month, int(day)) if day else _months(year, month))


@_rule(
    # 8 May 2023, the 8th of May, 8-10 May
    rf"\b(?:{_WEEKDAYS},? )?(?:the )?(?P<day>{_TWO})(?P<ordinal>st|nd|rd|th)?(?:\s?[-–]\s?(?P<to>{_TWO}))?"
    rf" (?:of )?{_MONTHS}(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
    # May 8th, 2023; May 8; May 8-10
    rf"\b(?:{_WEEKDAYS},? )?{_MONTHS} (?:the )?(?P<day>{_TWO})(?![0-9])(?:\s?[-–]\s?(?P<to>{_TWO}))?"
    rf"(?:(?P<ordinal>st|nd|rd|th)\b|{_NOT_COUNTED})(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
)
def _month_day(here: _Here, match: re.Match[str]) -> _Span | None:
    if not _is_month(here, match):
        return None
    month, first, last = (
        _MONTH_NUMBERS[match["month"][:3]],
        int(match["day"]),
        int(match["to"] or match["day"]),
    )
    return _yearly(
        here, match, lambda year: _Span(_midnight(year, month, first), _day(year, month, last).end)
    )


@_rule(
    # between March and May 2023, from November to January
    rf"\b(?:between|from) {_MONTHS} (?:and|to|until|till) {_MONTHS.replace('<month>', '<to_month>')}"
    rf"(?! ?[0-9]{{1,2}}\b)(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
)
def _month_range(here: _Here, match: re.Match[str]) -> _Span | None:
    first, last = _MONTH_NUMBERS[match["month"][:3]], _MONTH_NUMBERS[match["to_month"][:3]]
    count = (last - first) % 12 + 1
    return _yearly(here, match, lambda year: _months(year - (first > last), first, count))


@_rule(
    # May 2023, May last year
    rf"\b{_MONTHS}(?:(?:,|of)? (?:of )?(?P<year>{_YEARS}){_NOT_COUNTED}|(?: (?:of )?{_THAT_YEAR}))",
    # in May, last May
    rf"\b(?:(?P<lead>(?:in|since|until|till|by|during|of|before|after|early|late|mid|around)(?: |-)(?:early |late |mid-?)?)"
    rf"|{_WHICH} ){_MONTHS}(?!,? ?(?:of )?(?:[0-9]|(?:last|this|next) year))",
)
def _month(here: _Here, match: re.Match[str]) -> _Span | None:
    month = _MONTH_NUMBERS[match["month"][:3]]
    return _yearly(here, match, lambda year: _months(year, month)) if _is_month(here, match) else None


@_rule(
    # summer 2022, last summer
    r"\b(?:(?P<which>last|past|this|next|coming) (?P<season>spring|summer|autumn|fall|winter)\b)",
    rf"\b(?P<season>spring|summer|autumn|fall|winter) (?:of )?(?:(?P<year>{_YEARS}){_NOT_COUNTED}|{_THAT_YEAR}\b)",
)
def _season(here: _Here, match: re.Match[str]) -> _Span | None:
    month = _SEASONS[match["season"]]
    return _yearly(here, match, lambda year: _months(year, month, 3))


@_rule(
    # Christmas Eve, last Christmas
    rf"\b(?:{_WHICH} |(?P<lead>(?:on|at|for|since|over|until|till|by|before|after|during|around) ))?"
    r"(?P<holiday>christmas eve|christmas day|new year['’]?s eve|new year['’]?s day|valentine['’]?s day)\b",
    rf"\b(?:{_WHICH} |(?P<lead>(?:on|at|for|since|over|until|till|by|before|after|during|around) ))"
    r"(?P<holiday>christmas|halloween|thanksgiving)\b(?: (?P<year>20[0-9][0-9])\b)?",
)
def _holiday(here: _Here, match: re.Match[str]) -> _Span | None:
    month, day = _HOLIDAYS[re.sub(r"[^a-z]", "", match["holiday"])]
    if day:
        return _yearly(here, match, lambda year: _day(year, month, day))
    # Thanksgiving is the fourth Thursday of November.
    return _yearly(here, match, lambda year: _day(year, 11, 28 - (_midnight(year, 11).weekday() + 3) % 7))


@_rule(
    # last Friday, on Friday, Friday next week
    rf"\b(?P<habit>(?:every|each|most) )?(?:{_WHICH} )?(?P<weekday>{_WEEKDAYS})\b(?: (?P<which_week>last|this|next) week\b)?",
    rf"\b(?P<habit>every )?(?:{_WHICH} )(?P<weekday>mon|tues?|wed|thu(?:rs?)?|fri)\b(?P<which_week>)",
)
def _weekday(here: _Here, match: re.Match[str]) -> _Span | None:
    if match["habit"]:
        return None
    number = _WEEKDAY_KEYS.index(match["weekday"][:2])
    if week := match["which_week"]:
        monday = _calendar(here, "week", _STEPS[week]).start
        return _Span(monday + number * _DAY, monday + (number + 1) * _DAY)
    first = here.today + ((number - here.today.weekday()) % 7 - 7) * _DAY
    spans = (_Span(first + days * _DAY, first + (days + 1) * _DAY) for days in (0, 7, 14))
    choice = _CHOICES.get(match["which"] or "", here.undated)
    return _pick(here, spans, "coming" if choice == "this" else choice)


@_rule(
    # yesterday, the day after tomorrow, this morning, last night
    r"\b(?:(?:the )?(?P<two>day) (?:before|after) )?(?P<day>yesterday|tomorrow)\b",
    r"\b(?P<day>today|tonight)\b(?P<two>)",
    r"\b(?P<day>this|last) (?P<part>morning|afternoon|evening|night)\b(?P<two>)",
)
def _relative_day(here: _Here, match: re.Match[str]) -> _Span | None:
    steps = {"yesterday": -1, "last": -1, "tomorrow": 1}.get(match["day"], 0)
    day = here.today + steps * (2 if match["two"] else 1) * _DAY
    part = "night" if match["day"] == "tonight" else match.groupdict().get("part")
    return _part(day, part) if part else _Span(day, day + _DAY)


@_rule(
    # last week, the month after next
    rf"\b{_WHICH} (?P<unit>week|weekend|month|year)\b",
    r"\b(?:the )?(?P<unit>week|weekend|month|year) (?P<which>before last|after next)\b",
    r"\b(?P<lead>(?:at|over|on|during|for|after|before) )the (?P<unit>weekend)\b(?P<which>)",
)
def _calendar_unit(here: _Here, match: re.Match[str]) -> _Span | None:
    if which := " ".join(match["which"].split()):
        return _calendar(here, match["unit"], _STEPS[which])
    return _pick(here, (_calendar(here, "weekend", steps) for steps in (-1, 0, 1)), here.undated)


@_rule(
    # three days ago, in two weeks, two weeks from now
    rf"\b(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s? (?P<ago>ago)\b",
    rf"\bin (?!an? (?!few|couple))(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s?\b(?! ago\b)(?P<ago>)",
    rf"\b(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s? from (?:now|today)\b(?P<ago>)",
)
def _away(here: _Here, match: re.Match[str]) -> _Span | None:
    count, blur = _count(match["n"])
    return _around(here, match["unit"], -count if match["ago"] else count, blur)


@_rule(rf"\b(?P<way>past|last|next) (?P<n>{_AMOUNT}) (?P<unit>day|week|month|year)s?\b")
def _stretch(here: _Here, match: re.Match[str]) -> _Span | None:
    """A stretch of the past ends with today, one of the future begins with it."""
    count, blur = _count(match["n"] or "one")
    far = (count + blur) * (1 if match["way"] == "next" else -1)
    if match["unit"] in ("day", "week"):
        edge = here.today + far * (7 if match["unit"] == "week" else 1) * _DAY
    else:
        months = far * (12 if match["unit"] == "year" else 1)
        edge = _months(here.now.year, here.now.month + months).start + (here.now.day - 1) * _DAY
    return _Span(here.today, edge + _DAY) if far > 0 else _Span(edge, here.today + _DAY)


@_rule(
    # on the 5th; the 5th of last month
    rf"(?:^|\b(?P<lead>(?:on|by|until|till|since|from|before|after|it['’]s|is|was) ))the (?P<day>{_TWO})(?:st|nd|rd|th)\b"
    r"(?P<which>)(?=\s*(?:[.,;:!?)]|$)| (?:at|and)\b)",
    rf"\b(?:the )?(?P<day>{_TWO})(?:st|nd|rd|th) of (?P<which>last|this|next) month\b",
)
def _day_of_month(here: _Here, match: re.Match[str]) -> _Span | None:
    spans = []
    for steps in (_STEPS[match["which"]],) if match["which"] else (-2, -1, 0, 1, 2):
        month = _around(here, "month", steps)
        day = month.start + (int(match["day"]) - 1) * _DAY
        if month.start <= day < month.end:
            spans.append(_Span(day, day + _DAY))
    return _pick(here, spans, "nearest" if match["which"] else here.undated)


@_rule(
    # in the 90s, the 1990s
    r"\b(?:the|early|late|mid)(?: |-)['’]?(?P<century>19|20)?(?P<tens>[0-9])0['’]?s\b",
)
def _decade(_here: _Here, match: re.Match[str]) -> _Span | None:
    tens = int(match["tens"])
    century = int(match["century"] or (20 if tens <= 2 else 19))
    return _months(century * 100 + tens * 10, 1, 120)


@_rule(
    # 2019-2021, from 2019 to 2021
    r"(?<![0-9./-])(?:\b(?:from|between) )?\b(?P<year>(?:19|20)[0-9]{2})"
    rf"(?:\s?[-–]\s?| (?:to|and|until|till) )(?P<last>{_YEARS})(?!-){_NOT_COUNTED}",
    # in 2019, (2019); nothing but 2019
    r"(?:\b(?P<lead>(?:in|since|until|till|during|before|after|year|early|late|mid|class of|(?:end|start|beginning) of)"
    rf"(?: |-))|(?<=\())(?P<year>{_YEARS}){_NOT_COUNTED}(?!\s?[-–][0-9])",
    rf"^(?P<year>{_YEARS})\W?$",
)
def _year(_here: _Here, match: re.Match[str]) -> _Span | None:
    first = int(match["year"])
    last = int(match.groupdict().get("last") or first)
    return _Span(_midnight(first), _midnight(last + 1)) if first <= last else None


class _Reader:
    """All rules in one expression, where each is a group named `r` and its number; and each for itself."""

    def __init__(self, rules: list[tuple[str, _Resolve]]) -> None:
        patterns = [pattern.replace(" ", r"\s{1,3}") for pattern, _ in rules]
        unnamed = (re.sub(r"\(\?P<\w+>", "(?:", pattern) for pattern in patterns)
        alternatives = "|".join(f"(?P<r{number}>{pattern})" for number, pattern in enumerate(unnamed))
        # Most words are passed over at one glance: by first letter, the words that some rule begins with.
        letters = groupby(sorted(_OPENERS), lambda word: word[0])
        openers = "|".join(f"{letter}(?:{'|'.join(word[1:] for word in words)})" for letter, words in letters)
        self.any_rule = re.compile(rf"(?<![a-z0-9_])(?=[0-9]|(?:{openers})\b)(?:{alternatives})")
        self.rules = {f"r{n}": (re.compile(patterns[n]), resolve) for n, (_, resolve) in enumerate(rules)}


_WORD: Final = re.compile(r"[a-z]+")
_TRIGGERS: Final = frozenset(
    _WORD.findall(
        """yesterday today tonight tomorrow ago morning afternoon evening night hour hours day days week weeks weekend
        month months year years spring summer autumn fall winter christmas halloween thanksgiving valentine
        monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri
        january february march april may june july august september october november december
        jan feb mar apr jun jul aug sep sept oct nov dec"""
    )
)
"""Every English mention without a digit has one of these words."""
_OPENERS: Final = _TRIGGERS.union(
    _WORD.findall(
        """a after an around at before beginning between by class coming couple during each early eight eleven end every
        few five for four from in is it last late mid most new next nine of on one over past seven several since six
        start ten the this three till twelve two until was"""
    )
)
"""Every English mention begins with one of these words or with a digit."""


@cache  # made at first use: it takes as long as a good part of the whole import
def _reader(*, english: bool) -> _Reader:
    return _Reader(_NEUTRAL_RULES + _ENGLISH_RULES if english else _NEUTRAL_RULES)


_CLOCK: Final = re.compile(
    r"(?:,?\s{1,3}(?:in the\s)?(?P<part>morning|afternoon|evening|night)\b)"
    r"|(?:t|,?\s{1,3}(?:(?:at|around|about|@)\s{0,3})?)(?P<hour>[01]?[0-9]|2[0-3])"
    r"(?=:|\s?[ap]\.?m\b)(?::(?P<minute>[0-5][0-9])(?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?"
    r"(?![0-9])(?:\s?(?P<half>[ap])\.?m\b\.?)?(?P<zone>z\b|[+-][0-9]{2}:?[0-9]{2}(?![0-9]))?"
)
_SINCE: Final = re.compile(r"\bsince\s{1,3}(?:early\s|late\s|mid-?\s?|the\s)?$")
_RELATION: Final = re.compile(r"\b(between|from|before|until|till|after)\s{1,3}(?:the\s{1,3})?$")
_DIGIT: Final = re.compile(r"[0-9]")
