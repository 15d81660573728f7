"""JSON as models write it: with prose around it, cut off, with marks of their own; read as far as it goes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

_FENCE: Final = re.compile(r"```[a-zA-Z]*\s*(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHT: Final = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_WORDS: Final = re.compile(r"\b(?:True|False|None|NaN|-?Infinity|undefined)\b")
_PLAIN: Final = {"True": "true", "False": "false"}
_QUOTES: Final = str.maketrans(
    {"＂": '"', "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'"}
)
_BEGIN: Final = re.compile(r"\[\s*\{|\{")
_CLOSERS: Final = {"{": "}", "[": "]"}
MAX_DEPTH: Final = 60
"""Objects and lists within each other; what is deeper is nothing that was asked for."""
MAX_STARTS: Final = 8
"""So many opening brackets are tried: prose before the answer may have some, too."""


class Found(NamedTuple):
    """An object or a list in an answer."""

    value: dict[str, Any] | list[Any]
    cut: bool
    """Whether it was closed here, because the answer ends in the middle of it."""


def found_in(text: str) -> Iterator[Found]:
    """The objects and lists in a model's answer, in the order in which they are likely to be meant.

    First as it is, if it is JSON. Else, one after another: without the reasoning and the fence around it; from an
    opening bracket to where that is closed; with plain quotes, without comments and trailing commas, with
    Python's words as JSON's; and closed where it was cut off, without what was begun last.
    """
    for candidate, cut in _candidates(text):
        try:
            found = json.loads(candidate, parse_constant=_nothing)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, (dict, list)):
            yield Found(found, cut)


def _nothing(_: str) -> None:
    """NaN and infinities are no values."""


def _candidates(text: str) -> Iterator[tuple[str, bool]]:
    """Texts that may be JSON, and whether they were cut off."""
    text = _THOUGHT.sub("", text).strip().removeprefix("\ufeff")
    yield text, False
    for part in (*(match[1] for match in _FENCE.finditer(text)), text, text.translate(_QUOTES)):
        for start in _starts(part):
            begun = part[start:]
            yield begun, False
            yield _closed(begun)
            yield _closed(_plainly(begun))


def _starts(text: str) -> list[int]:
    """Where objects begin that stand in no other; of a list that holds them, where the list does."""
    found: list[int] = []
    end = 0
    while len(found) < MAX_STARTS and (match := _BEGIN.search(text, end)):
        found.append(match.start())
        whole, cut = _closed(text[match.start() :])
        if not whole and not cut:  # too deep
            break
        end = match.start() + (len(text) if cut else max(len(whole), 1))
    if not found and (match := re.search(r"\[", text)):
        found = [match.start()]
    return found


def _plainly(text: str) -> str:
    """Outside of strings: no comments, no trailing commas, JSON's own words."""
    parts: list[str] = []
    last = 0
    for match in _STRING.finditer(text):
        parts += [_tidied(text[last : match.start()]), match[0].replace("\n", "\\n").replace("\t", "\\t")]
        last = match.end()
    joined = "".join([*parts, _tidied(text[last:])])
    return re.sub(r",(\s*[}\]])", r"\1", joined)


def _tidied(text: str) -> str:
    text = re.sub(r"(?://|#)[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    text = _WORDS.sub(lambda match: _PLAIN.get(match[0], "null"), text)
    return re.sub(r"'([^'\n]*)'", lambda match: json.dumps(match[1]), text)


def _closed(text: str) -> tuple[str, bool]:
    """Up to where the first bracket is closed; or, cut off, closed at the end of the last value that is whole."""
    open_: list[str] = []
    whole = (0, "")
    for match in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text, re.DOTALL):
        mark = match[0]
        if mark in _CLOSERS:
            open_.append(_CLOSERS[mark])
            if len(open_) > MAX_DEPTH:
                return "", False
        elif open_ and mark == open_[-1]:
            open_.pop()
            if not open_:
                return text[: match.end()], False
            whole = (match.end(), "".join(reversed(open_)))
    return text[: whole[0]] + whole[1], True
