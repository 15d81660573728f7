"""How people write times: one rule for each way, in English or in any language."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from itertools import groupby
from typing import Final

from perdure.engine.dates.spans import (
    CHOICES,
    DAY,
    MONTH_NAMES,
    SEASONS,
    STEPS,
    WEEKDAY_KEYS,
    Here,
    Resolve,
    Span,
    calendar_span,
    day_span,
    midnight,
    months_span,
    part_span,
    pick,
    span_around,
    yearly_span,
)


def _count(text: str) -> tuple[int, int]:
    """A number and how vague it is: "a few" is three, give or take one."""
    word = next(word for word in reversed(text.split()) if word != "of")
    if word.isdecimal():
        return int(word), 0
    return (3, 1) if word in ("few", "several") else (_NUMBERS[word], 0)


def _is_month(here: Here, match: re.Match[str]) -> bool:
    """False for the verbs "may" and "march": they need a capital letter, or a year or an ordinal beside them."""
    groups = match.groupdict()
    sure = any(groups.get(name) for name in ("year", "which_year", "which", "lead", "ordinal"))
    return sure or match["month"] not in ("may", "march", "mar") or here.text[match.start("month")].isupper()


_MONTH_NUMBERS: Final = {name[:3].lower(): number for number, name in enumerate(MONTH_NAMES, start=1)}
_HOLIDAYS: Final = {
    "christmaseve": (12, 24), "christmas": (12, 25), "christmasday": (12, 25), "halloween": (10, 31),
    "newyearseve": (12, 31), "newyearsday": (1, 1), "valentinesday": (2, 14), "thanksgiving": (11, 0),
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

_NEUTRAL_RULES: Final[list[tuple[str, Resolve]]] = []
_ENGLISH_RULES: Final[list[tuple[str, Resolve]]] = []


def _rule(*patterns: str, english: bool = True) -> Callable[[Resolve], Resolve]:
    """Makes a rule; where two could begin, the one that is written first is tried first.

    In a pattern a space is any white space, and `lead` is not part of the mention.
    """

    def add(resolve: Resolve) -> Resolve:
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
def _numeric(_here: Here, match: re.Match[str]) -> Span | None:
    first, second, third = (int(number) for number in re.findall(r"[0-9]+", match[0]))
    if first > 31:
        return day_span(first, second, third)
    if "." in match[0] or first > 12 or first == second:
        return day_span(third, second, first)
    return day_span(third, first, second) if second > 12 else None


_OTHER_YEAR: Final = re.compile(
    r"(?:[年년]|\byears? (?:before last|after next|ago))[\s;]{0,3}[の的의]?[\s;]{0,3}$"
)
"""A year that is not read stands before its month: 令和6年5月1日."""


@_rule(
    # 2024年5月8日, 5月8日, 2024年
    rf"(?<![0-9])(?={_DATED_YEAR}\s?[年년]|{_TWO}\s?[月월])(?:(?P<year>{_DATED_YEAR})\s?[年년]\s?)?"
    rf"(?:(?P<month>{_TWO})\s?[月월]\s?(?:(?P<day>{_TWO})\s?[日号號일])?)?",
    # 去年の3月5日, where the year has been put into English
    rf"\b{_THAT_YEAR}[\s;]{{0,3}}[の的의]?[\s;]{{0,3}}(?P<year>)"
    rf"(?P<month>{_TWO})\s?[月월]\s?(?:(?P<day>{_TWO})\s?[日号號일])?",
    english=False,
)
def _cjk(here: Here, match: re.Match[str]) -> Span | None:
    if not match["month"]:
        return months_span(int(match["year"]), 1, 12)
    month, day = int(match["month"]), match["day"]
    if not 1 <= month <= 12 or (
        not match["year"] and _OTHER_YEAR.search(here.text[max(0, match.start() - 30) : match.start()])
    ):
        return None
    return yearly_span(
        here, match, lambda year: day_span(year, month, int(day)) if day else months_span(year, month)
    )


@_rule(
    # 8 May 2023, the 8th of May, 8-10 May
    rf"\b(?:{_WEEKDAYS},? )?(?:the )?(?P<day>{_TWO})(?P<ordinal>st|nd|rd|th)?(?:\s?[-–]\s?(?P<to>{_TWO}))?"
    rf" (?:of )?{_MONTHS}(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
    # May 8th, 2023; May 8; May 8-10
    rf"\b(?:{_WEEKDAYS},? )?{_MONTHS} (?:the )?(?P<day>{_TWO})(?![0-9])(?:\s?[-–]\s?(?P<to>{_TWO}))?"
    rf"(?:(?P<ordinal>st|nd|rd|th)\b|{_NOT_COUNTED})(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
)
def _month_day(here: Here, match: re.Match[str]) -> Span | None:
    if not _is_month(here, match):
        return None
    month, first, last = (
        _MONTH_NUMBERS[match["month"][:3]],
        int(match["day"]),
        int(match["to"] or match["day"]),
    )
    return yearly_span(
        here, match, lambda year: Span(midnight(year, month, first), day_span(year, month, last).end)
    )


@_rule(
    # between March and May 2023, from November to January
    rf"\b(?:between|from) {_MONTHS} (?:and|to|until|till) {_MONTHS.replace('<month>', '<to_month>')}"
    rf"(?! ?[0-9]{{1,2}}\b)(?:(?:,? (?P<year>{_YEARS}))|(?: {_THAT_YEAR}))?",
)
def _month_range(here: Here, match: re.Match[str]) -> Span | None:
    first, last = _MONTH_NUMBERS[match["month"][:3]], _MONTH_NUMBERS[match["to_month"][:3]]
    count = (last - first) % 12 + 1
    return yearly_span(here, match, lambda year: months_span(year - (first > last), first, count))


@_rule(
    # May 2023, May last year
    rf"\b{_MONTHS}(?:(?:,|of)? (?:of )?(?P<year>{_YEARS}){_NOT_COUNTED}|(?: (?:of )?{_THAT_YEAR}))",
    # in May, last May
    rf"\b(?:(?P<lead>(?:in|since|until|till|by|during|of|before|after|early|late|mid|around)(?: |-)(?:early |late |mid-?)?)"
    rf"|{_WHICH} ){_MONTHS}(?!,? ?(?:of )?(?:[0-9]|(?:last|this|next) year))",
)
def _month(here: Here, match: re.Match[str]) -> Span | None:
    month = _MONTH_NUMBERS[match["month"][:3]]
    return yearly_span(here, match, lambda year: months_span(year, month)) if _is_month(here, match) else None


@_rule(
    # summer 2022, last summer
    r"\b(?:(?P<which>last|past|this|next|coming) (?P<season>spring|summer|autumn|fall|winter)\b)",
    rf"\b(?P<season>spring|summer|autumn|fall|winter) (?:of )?(?:(?P<year>{_YEARS}){_NOT_COUNTED}|{_THAT_YEAR}\b)",
)
def _season(here: Here, match: re.Match[str]) -> Span | None:
    month = SEASONS[match["season"]]
    return yearly_span(here, match, lambda year: months_span(year, month, 3))


@_rule(
    # Christmas Eve, last Christmas
    rf"\b(?:{_WHICH} |(?P<lead>(?:on|at|for|since|over|until|till|by|before|after|during|around) ))?"
    r"(?P<holiday>christmas eve|christmas day|new year['’]?s eve|new year['’]?s day|valentine['’]?s day)\b",
    rf"\b(?:{_WHICH} |(?P<lead>(?:on|at|for|since|over|until|till|by|before|after|during|around) ))"
    r"(?P<holiday>christmas|halloween|thanksgiving)\b(?: (?P<year>20[0-9][0-9])\b)?",
)
def _holiday(here: Here, match: re.Match[str]) -> Span | None:
    month, day = _HOLIDAYS[re.sub(r"[^a-z]", "", match["holiday"])]
    if day:
        return yearly_span(here, match, lambda year: day_span(year, month, day))
    # Thanksgiving is the fourth Thursday of November.
    return yearly_span(
        here, match, lambda year: day_span(year, 11, 28 - (midnight(year, 11).weekday() + 3) % 7)
    )


@_rule(
    # last Friday, on Friday, Friday next week
    rf"\b(?P<habit>(?:every|each|most) )?(?:{_WHICH} )?(?P<weekday>{_WEEKDAYS})\b"
    r"(?: (?:(?P<which_week>last|this|next) week|(?:the )?week (?P<far_week>before last|after next))\b)?",
    rf"\b(?P<habit>every )?(?:{_WHICH} )(?P<weekday>mon|tues?|wed|thu(?:rs?)?|fri)\b(?P<which_week>)(?P<far_week>)",
)
def _weekday(here: Here, match: re.Match[str]) -> Span | None:
    if match["habit"]:
        return None
    number = WEEKDAY_KEYS.index(match["weekday"][:2])
    if week := match["which_week"] or " ".join((match["far_week"] or "").split()):
        monday = calendar_span(here, "week", STEPS[week]).start
        return Span(monday + number * DAY, monday + (number + 1) * DAY)
    first = here.today + ((number - here.today.weekday()) % 7 - 7) * DAY
    spans = (Span(first + days * DAY, first + (days + 1) * DAY) for days in (0, 7, 14))
    choice = CHOICES.get(match["which"] or "", here.undated)
    return pick(here, spans, "coming" if choice == "this" else choice)


@_rule(
    # yesterday, the day after tomorrow, this morning, last night
    r"\b(?:(?:the )?(?P<two>day) (?:before|after) )?(?P<day>yesterday|tomorrow)\b",
    r"\b(?P<day>today|tonight)\b(?P<two>)",
    r"\b(?P<day>this|last) (?P<part>morning|afternoon|evening|night)\b(?P<two>)",
)
def _relative_day(here: Here, match: re.Match[str]) -> Span | None:
    steps = {"yesterday": -1, "last": -1, "tomorrow": 1}.get(match["day"], 0)
    day = here.today + steps * (2 if match["two"] else 1) * DAY
    part = "night" if match["day"] == "tonight" else match.groupdict().get("part")
    return part_span(day, part) if part else Span(day, day + DAY)


@_rule(
    # on the 5th; the 5th of last month
    rf"(?:^|\b(?P<lead>(?:on|by|until|till|since|from|before|after|it['’]s|is|was) ))the (?P<day>{_TWO})(?:st|nd|rd|th)\b"
    r"(?P<which>)(?=\s*(?:[.,;:!?)]|$)| (?:at|and)\b)",
    rf"\b(?:the )?(?P<day>{_TWO})(?:st|nd|rd|th) of (?P<which>last|this|next) month\b",
    # 来月の5日, where the month has been put into English; but not 5日間
    rf"\b(?P<which>last|this|next) month[\s;]{{0,3}}[の的의]?[\s;]{{0,3}}(?P<day>{_TWO})\s?[日号號일](?![間间前後后]|\s?동안)",
)
def _day_of_month(here: Here, match: re.Match[str]) -> Span | None:
    spans = []
    for steps in (STEPS[match["which"]],) if match["which"] else (-2, -1, 0, 1, 2):
        month = span_around(here, "month", steps)
        day = month.start + (int(match["day"]) - 1) * DAY
        if month.start <= day < month.end:
            spans.append(Span(day, day + DAY))
    return pick(here, spans, "nearest" if match["which"] else here.undated)


@_rule(
    # last week, the month after next
    rf"\b{_WHICH} (?P<unit>week|weekend|month|year)\b",
    r"\b(?:the )?(?P<unit>week|weekend|month|year) (?P<which>before last|after next)\b",
    r"\b(?P<lead>(?:at|over|on|during|for|after|before) )the (?P<unit>weekend)\b(?P<which>)",
)
def _calendar_unit(here: Here, match: re.Match[str]) -> Span | None:
    if which := " ".join(match["which"].split()):
        return calendar_span(here, match["unit"], STEPS[which])
    return pick(here, (calendar_span(here, "weekend", steps) for steps in (-1, 0, 1)), here.undated)


@_rule(
    # three days ago, in two weeks, two weeks from now
    rf"\b(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s? (?P<ago>ago)\b",
    rf"\bin (?!an? (?!few|couple))(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s?\b(?! ago\b)(?P<ago>)",
    rf"\b(?P<n>{_AMOUNT}) (?P<unit>hour|day|week|month|year)s? from (?:now|today)\b(?P<ago>)",
)
def _away(here: Here, match: re.Match[str]) -> Span | None:
    count, blur = _count(match["n"])
    return span_around(here, match["unit"], -count if match["ago"] else count, blur)


@_rule(rf"\b(?P<way>past|last|next) (?P<n>{_AMOUNT}) (?P<unit>day|week|month|year)s?\b")
def _stretch(here: Here, match: re.Match[str]) -> Span | None:
    """A stretch of the past ends with today, one of the future begins with it."""
    count, blur = _count(match["n"] or "one")
    far = (count + blur) * (1 if match["way"] == "next" else -1)
    if match["unit"] in ("day", "week"):
        edge = here.today + far * (7 if match["unit"] == "week" else 1) * DAY
    else:
        months = far * (12 if match["unit"] == "year" else 1)
        edge = months_span(here.now.year, here.now.month + months).start + (here.now.day - 1) * DAY
    return Span(here.today, edge + DAY) if far > 0 else Span(edge, here.today + DAY)


@_rule(
    # in the 90s, the 1990s
    r"\b(?:the|early|late|mid)(?: |-)['’]?(?P<century>19|20)?(?P<tens>[0-9])0['’]?s\b",
)
def _decade(_here: Here, match: re.Match[str]) -> Span | None:
    tens = int(match["tens"])
    century = int(match["century"] or (20 if tens <= 2 else 19))
    return months_span(century * 100 + tens * 10, 1, 120)


@_rule(
    # 2019-2021, from 2019 to 2021
    r"(?<![0-9./-])(?:\b(?:from|between) )?\b(?P<year>(?:19|20)[0-9]{2})"
    rf"(?:\s?[-–]\s?| (?:to|and|until|till) )(?P<last>{_YEARS})(?!-){_NOT_COUNTED}",
    # in 2019, (2019); nothing but 2019
    r"(?:\b(?P<lead>(?:in|since|until|till|during|before|after|year|early|late|mid|class of|(?:end|start|beginning) of)"
    rf"(?: |-))|(?<=\())(?P<year>{_YEARS}){_NOT_COUNTED}(?!\s?[-–][0-9])",
    rf"^(?P<year>{_YEARS})\W?$",
)
def _year(_here: Here, match: re.Match[str]) -> Span | None:
    first = int(match["year"])
    last = int(match.groupdict().get("last") or first)
    return Span(midnight(first), midnight(last + 1)) if first <= last else None


class Reader:
    """All rules in one expression, where each is a group named `r` and its number; and each for itself."""

    def __init__(self, rules: list[tuple[str, Resolve]]) -> None:
        patterns = [pattern.replace(" ", r"\s{1,3}") for pattern, _ in rules]
        unnamed = (re.sub(r"\(\?P<\w+>", "(?:", pattern) for pattern in patterns)
        alternatives = "|".join(f"(?P<r{number}>{pattern})" for number, pattern in enumerate(unnamed))
        # Most words are passed over at one glance: by first letter, the words that some rule begins with.
        letters = groupby(sorted(_OPENERS), lambda word: word[0])
        openers = "|".join(f"{letter}(?:{'|'.join(word[1:] for word in words)})" for letter, words in letters)
        self.any_rule = re.compile(rf"(?<![a-z0-9_])(?=[0-9]|(?:{openers})\b)(?:{alternatives})")
        self.rules = {f"r{n}": (re.compile(patterns[n]), resolve) for n, (_, resolve) in enumerate(rules)}


WORD: Final = re.compile(r"[a-z]+")
TRIGGERS: Final = frozenset(
    WORD.findall(
        """yesterday today tonight tomorrow ago morning afternoon evening night hour hours day days week weeks weekend
        month months year years spring summer autumn fall winter christmas halloween thanksgiving valentine
        monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri
        january february march april may june july august september october november december
        jan feb mar apr jun jul aug sep sept oct nov dec"""
    )
)
"""Every English mention without a digit has one of these words."""
_OPENERS: Final = TRIGGERS.union(
    WORD.findall(
        """a after an around at before beginning between by class coming couple during each early eight eleven end every
        few five for four from in is it last late mid most new next nine of on one over past seven several since six
        start ten the this three till twelve two until was"""
    )
)
"""Every English mention begins with one of these words or with a digit."""


@cache  # made at first use: it takes as long as a good part of the whole import
def reader_of(*, english: bool) -> Reader:
    """The rules that are read in every language, or in English."""
    return Reader(_NEUTRAL_RULES + _ENGLISH_RULES if english else _NEUTRAL_RULES)
