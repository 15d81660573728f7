"""Chat transcripts (messages as JSON, ChatGPT's export, plain text) read into messages, or refused by line."""

from __future__ import annotations

from collections.abc import Mapping

from perdure.errors import InvalidInput
from perdure.transcripts.as_json import MESSAGES_FORM, items, read_conversation, read_messages
from perdure.transcripts.as_text import TEXT_FORM, looks_spoken, read_text, starts_with_moment
from perdure.transcripts.values import FORMATS, Format, LeftOut, Message, Reading, Session, Transcript

__all__ = ["FORMATS", "Format", "LeftOut", "Message", "Reading", "Session", "Transcript", "detect", "parse"]

_EXPORT_FORM = "ChatGPT's conversations.json"
_EXPECTED = {"messages": MESSAGES_FORM, "openai": _EXPORT_FORM, "text": TEXT_FORM}


def parse(text: str, *, format: Format | None = None, reading: Reading | None = None) -> Transcript:
    """Read a transcript.

    Args:
        text: the whole of it.
        format: what it is; None: as `detect` finds.
        reading: what it does not say of itself.

    Raises:
        InvalidInput: something that cannot be read without guessing: which line, and what was expected there.
    """
    found = format or detect(text)
    if found not in FORMATS:
        raise InvalidInput(f"format={found!r}: known are {', '.join(FORMATS)}")
    text, reading = text.removeprefix("\ufeff"), reading or Reading()
    left_out: list[LeftOut] = []
    if found == "text":
        sessions = read_text(text, reading, left_out)
    elif found == "openai":
        sessions = [read_conversation(item, left_out) for item in items(text)]
    else:
        sessions = list(read_messages(items(text), reading))
    sessions = [session for session in sessions if session.messages]
    if not sessions:
        raise InvalidInput(f"the transcript holds no messages; expected {_EXPECTED[found]}")
    return Transcript(format=found, sessions=tuple(sessions), left_out=tuple(left_out))


def detect(text: str) -> Format:
    """Which format this is.

    Raises:
        InvalidInput: none that is known.
    """
    text = text.removeprefix("\ufeff")
    start = text.lstrip()
    if not start:
        raise InvalidInput(
            f"the transcript is empty; expected {MESSAGES_FORM}, {_EXPORT_FORM}, or {TEXT_FORM}"
        )
    if start[0] in "[{" and not starts_with_moment(start):
        item = next(items(text), None)
        return (
            "openai" if item and isinstance(item.value, Mapping) and "mapping" in item.value else "messages"
        )
    if looks_spoken(start):
        return "text"
    raise InvalidInput(f"line 1: neither JSON nor a conversation in text; expected {TEXT_FORM}")
