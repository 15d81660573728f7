"""Transcripts in plain text: who spoke stands before a colon, when stands beside it or on a line above."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from perdure.errors import InvalidInput
from perdure.transcripts.dates import OFFSET, TIME, WHEN, Written, day_order, moment
from perdure.transcripts.values import LeftOut, Message, Reading, Session

TEXT_FORM = "lines like '[2024-05-08 14:03] Anna: hello', 'Anna (8 May 2024, 14:03): hello' or 'Anna: hello'"

_SPEAKER = r"(?P<speaker>[^\W\d_][^:\[\]()<>]{0,59}?)"
_STAMPED = (
    re.compile(rf"\[{WHEN}\] (?P<rest>.*)", re.IGNORECASE),
    re.compile(rf"{_SPEAKER} [(\[]{WHEN}[)\]]:(?: (?P<text>.*))?$", re.IGNORECASE),
    re.compile(rf"{WHEN} - (?P<rest>.*)", re.IGNORECASE),
    re.compile(rf"\[(?P<time>{TIME})(?P<offset>{OFFSET})\] (?P<rest>.*)", re.IGNORECASE),
)
_PLAIN = re.compile(rf"\**{_SPEAKER}\**:\**(?:\s+(?P<text>.*))?$")
_SAID_BY = re.compile(r"\**(?P<speaker>[^:\"“]{1,60}?)\**:\**(?: (?P<text>.*))?$")
_DATE_LINE = re.compile(rf"(?:#+|-{{2,}}|={{2,}}|\*{{2,}}) *{WHEN} *:?[-=*#]*$", re.IGNORECASE)

_PHONE_MARKS = str.maketrans(
    {"\u202f": " ", "\xa0": " ", **dict.fromkeys("\u200e\u200f\u202a\u202b\u202c\r")}
)
"""Direction marks, and narrow spaces before AM and PM, that phones put into their exports."""

_NO_TEXT = frozenset(
    {"<media omitted>", "image omitted", "video omitted", "audio omitted", "sticker omitted", "gif omitted"}
    | {"document omitted", "this message was deleted", "this message was deleted."}
)
_ROLE_NAMES = frozenset({"user", "human", "you", "assistant", "ai"})
"""Speakers that are a role and nobody's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A message as it stands; what follows its first line is added while it is read."""

    line: int
    speaker: str
    when: Written | None
    texts: list[str] = field(default_factory=list)
    opens: bool = False
    """Whether a date line stands before it, which starts a session."""


def looks_spoken(text: str) -> bool:
    """Whether a line near the beginning could start a message."""
    return any(_stamped(line) or _PLAIN.match(line) for line in _lines(text)[:50])


def starts_with_moment(text: str) -> bool:
    """Whether the first line starts a message with its moment, as in `[2024-05-08 14:03] Anna: hello`."""
    return _stamped(_lines(text.split("\n", 1)[0])[0]) is not None


def read_text(text: str, reading: Reading, left_out: list[LeftOut]) -> list[Session]:
    """Sessions of messages; each date line starts a session.

    Raises:
        InvalidInput: a line that nobody says, a date that is none, or an order of day and month that nothing shows.
    """
    said = _split(_lines(text), reading, left_out)
    day_first = reading.day_first
    if day_first is None:
        day_first = day_order([(one.line, one.when) for one in said if one.when])
    known = replace(reading, day_first=day_first)
    sessions: list[list[Message]] = []
    for one in said:
        content = "\n".join(one.texts).strip()
        if one.opens or not sessions:
            sessions.append([])
        if not content or content.lower() in _NO_TEXT:
            left_out.append(LeftOut(one.line, "no text"))
        else:
            sessions[-1].append(_message(one, content, known))
    return [Session(messages=tuple(messages)) for messages in sessions]


def _message(one: _Said, content: str, reading: Reading) -> Message:
    who = one.speaker.lower()
    message = Message(role="assistant" if who in reading.assistants else "user", content=content)
    if who not in _ROLE_NAMES:
        message["name"] = one.speaker
    if one.when is not None:
        spoken = moment(one.when, line=one.line, day_first=bool(reading.day_first), zone=reading.zone)
        message["timestamp"] = spoken.isoformat()
    return message


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.translate(_PHONE_MARKS).split("\n")]


def _stamped(line: str) -> re.Match[str] | None:
    return next((match for form in _STAMPED if (match := form.match(line))), None)


def _split(lines: Sequence[str], reading: Reading, left_out: list[LeftOut]) -> list[_Said]:
    """Messages with all their lines; where the first one has its moment, a line without one goes on with the last."""
    first = next((line for line in lines if line and not _DATE_LINE.match(line)), "")
    starts = _start_stamped if _stamped(first) else _start_plain
    said: list[_Said] = []
    heading: Written | None = None
    opens = False
    for number, line in enumerate(lines, 1):
        if day := _DATE_LINE.match(line):
            heading, opens = _written(day, None), True
        elif start := starts(line, number, heading, reading):
            if start.speaker:
                said.append(replace(start, opens=opens))
                opens = False
            else:
                left_out.append(LeftOut(number, "a notice that nobody said"))
        elif said and not opens:
            said[-1].texts.append(line)
        elif line:
            raise InvalidInput(f"line {number}: nobody is named who says this; expected {TEXT_FORM}")
    return said


def _start_plain(line: str, number: int, heading: Written | None, reading: Reading) -> _Said | None:
    """The message that starts here with a name; None: the last one goes on."""
    match = _PLAIN.match(line)
    if match is None or (reading.speakers and match["speaker"] not in reading.speakers):
        return None
    return _Said(line=number, speaker=match["speaker"], when=heading, texts=[match["text"] or ""])


def _start_stamped(line: str, number: int, heading: Written | None, reading: Reading) -> _Said | None:
    """The message that starts here with its moment, or a notice, which has no speaker; None: the last one goes on."""
    match = _stamped(line)
    if match is None:
        return None
    when = _written(match, heading)
    if not when.date:
        raise InvalidInput(
            f"line {number}: a time without a date; expected a line like '# 8 May 2024' before it"
        )
    by = _SAID_BY.match(match["rest"]) if "rest" in match.re.groupindex else match
    if by is None:
        return _Said(line=number, speaker="", when=when)
    if reading.speakers and by["speaker"] not in reading.speakers:
        named = ", ".join(sorted(reading.speakers))
        raise InvalidInput(f"line {number}: {by['speaker']!r} speaks, who is not among those named ({named})")
    return _Said(line=number, speaker=by["speaker"], when=when, texts=[by["text"] or ""])


def _written(match: re.Match[str], heading: Written | None) -> Written:
    groups = match.groupdict()
    day = groups.get("date") or (heading.date if heading else "")
    return Written(day, groups.get("time") or "", (groups.get("offset") or "").strip())
