"""The times that a text speaks of, resolved against the moment and in the zone in which it was said."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from perdure.engine.dates.foreign import translate
from perdure.engine.dates.rules import TRIGGERS, WORD, reader_of
from perdure.engine.dates.spans import DAY, HOUR, MONTH_NAMES, Choice, Here, Resolve, Span, part_span
from perdure.moments import in_utc
from perdure.types import Mention


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
    return tuple(times.mention for times in _find(text, said_at, language, undated="nearest").found)


def question_interval(query: str, reference: datetime, language: str | None = "en") -> Mention | None:
    """The time that a question asks about, or None; "in May" is the latest May that has begun by `reference`.

    "Between A and B" covers both, "after A" runs to `reference`, "before A" and "until A" have no beginning; of
    several times that are not so connected the first counts.
    """
    read = _find(query, reference, language, undated="begun")
    if not read.found:
        return None
    times, (first, start, _) = read.found, read.found[0]
    word = match[1] if (match := _RELATION.search(read.low, max(0, start - 20), start)) else ""
    if word in ("between", "from") and len(times) > 1 and first.start < (end := times[1].mention.end):
        return Mention(text=read.words(start, times[1].end), start=first.start, end=end)
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
    return f"{moment.day} {MONTH_NAMES[moment.month - 1]} {moment.year}"


def mention_text(mention: Mention, zone: tzinfo = UTC) -> str:
    """A mention as words for the index, as exact as it is: `7 May 2023`, `May 2023`, `2022`, or nothing if longer.

    Its middle decides, so that a day of another zone keeps its name as long as the zones are less than 12 h apart.
    """
    length = mention.end - mention.start
    middle = (mention.start + length / 2).astimezone(zone)
    if length <= timedelta(hours=25):
        return date_text(middle)
    if length <= timedelta(days=32):
        return f"{MONTH_NAMES[middle.month - 1]} {middle.year}"
    return str(middle.year) if length <= timedelta(days=367) else ""


class _Found(NamedTuple):
    mention: Mention
    start: int
    end: int


class _Read(NamedTuple):
    """The times of a text, and their places in what was read: the text itself or its translation, in lower case."""

    low: str
    found: list[_Found]
    words: Callable[[int, int], str]
    """The original between two places."""


def _find(text: str, said_at: datetime, language: str | None, undated: Choice) -> _Read:
    low = _lower(text)
    words = WORD.findall(low)
    translation = translate(text, low, words, language)
    if translation:
        low = _lower(translation.text)
    english = bool(translation) or (language is not None and language[:2] == "en")
    read = _Read(low, [], translation.words if translation else lambda start, end: text[start:end])
    if not (_DIGIT.search(low) or translation or (english and not TRIGGERS.isdisjoint(words))):
        return read
    zone = said_at.tzinfo if said_at.utcoffset() is not None else UTC
    here = Here(said_at.replace(tzinfo=None), translation.text if translation else text, undated)
    reader = reader_of(english=english)
    found = read.found
    for hit in reader.any_rule.finditer(low):
        pattern, resolve = reader.rules[hit.lastgroup or ""]
        match = pattern.match(low, hit.start())
        if match and hit.start() >= (found[-1].end if found else 0):
            with suppress(OverflowError, ValueError):  # there is no 31 April, nor a day before the year 1
                found += _resolved(read, match, resolve, here, zone)
    return read


def _resolved(
    read: _Read, match: re.Match[str], resolve: Resolve, here: Here, zone: tzinfo | None
) -> Iterable[_Found]:
    """The time that a rule found, with the clock behind it and the "since" before it; none if it means nothing."""
    low = read.low
    start = match.end("lead") if match.groupdict().get("lead") else match.start()
    since = _SINCE.search(low, max(0, start - 12), start)
    span = resolve(replace(here, undated="begun") if since else here, match)
    if span is None:
        return
    now = _utc_of(here.now, zone)
    span, end, zone = _clock(low, match.end(), span, zone)
    first, length = _utc_of(span.start, zone), span.end - span.start
    # What is shorter than a day keeps its length where the clock is put forward or back.
    last = first + length if length < DAY else _utc_of(span.end, zone)
    if since:
        start, last = since.start(), now if first < now else last
    if first < last:
        yield _Found(Mention(text=read.words(start, end), start=first, end=last), start, end)


def _clock(low: str, at: int, span: Span, zone: tzinfo | None) -> tuple[Span, int, tzinfo | None]:
    """Narrow a day to the hour or the part of it that follows in the text."""
    if span.end - span.start > DAY or not (match := _CLOCK.match(low, at)):
        return span, at, zone
    if part := match["part"]:
        return part_span(span.start, part), match.end(), zone
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if half := match["half"]:
        hour = hour % 12 + (12 if half[0] == "p" else 0)
    start = span.start.replace(hour=hour, minute=minute)
    if start < span.start:
        start += DAY  # "last night at 2 am" is of the morning after
    if start >= span.end:
        return span, at, zone
    if offset := match["zone"]:
        zone = datetime.strptime(offset.upper(), "%z").tzinfo
    return Span(start, start + HOUR), match.end(), zone


def _utc_of(wall: datetime, zone: tzinfo | None) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _lower(text: str) -> str:
    """Lower case, character for character: one letter of Unicode becomes two."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


_CLOCK: Final = re.compile(
    r"(?:,?\s{1,3}(?:in the\s)?(?P<part>morning|afternoon|evening|night)\b)"
    r"|(?:t|,?\s{1,3}(?:(?:at|around|about|@)\s{0,3})?)(?P<hour>[01]?[0-9]|2[0-3])"
    r"(?=:|\s?[ap]\.?m\b)(?::(?P<minute>[0-5][0-9])(?::[0-5][0-9](?:[.,][0-9]{1,9})?)?)?"
    r"(?![0-9])(?:\s?(?P<half>[ap])\.?m\b\.?)?(?P<zone>z\b|[+-][0-9]{2}:?[0-9]{2}(?![0-9]))?"
)
_SINCE: Final = re.compile(r"\bsince\s{1,3}(?:early\s|late\s|mid-?\s?|the\s)?$")
_RELATION: Final = re.compile(r"\b(between|from|before|until|till|after)\s{1,3}(?:the\s{1,3})?$")
_DIGIT: Final = re.compile(r"[0-9]")
