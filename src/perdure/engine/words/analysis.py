"""What is kept of a text's words when it is written: computed once, stored, never parsed again."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from struct import pack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perdure.engine.words.dates import day as spelt_day
from perdure.engine.words.dates import spell_days
from perdure.engine.words.language import LANGUAGES, detect, token
from perdure.engine.words.segment import normalize, segment, unspaced

ANALYZER_VERSION = 1
"""Part of the stored entries' space: raise it whenever a text's words or flags come out differently."""

SHORT_QUESTION = 1
"""The text ends in a question mark and has fewer than 40 words."""
TELLS_TIME = 2
"""The text names a time, absolute or relative."""
STANDING = 4
"""The text says how its speaker wants things to be done from now on."""
UNSPACED = 8
"""The text is written without spaces between words: about four of its hashes stand for one word."""
_LANGUAGE_SHIFT = 8

_QUESTION_WORDS = 40
_LONG_WORDS = 120
_PIECE_WORDS = 90
_PIECE_OVERLAP = 15
_HASHES_PER_UNSPACED_WORD = 4
_CHARACTERS_PER_WORD = 2
"""Of texts without spaces: two ideographs carry about what a word does."""

_TIME = re.compile(
    r"\b(yesterday|today|tonight|tomorrow"
    r"|last (?:night|week|weekend|month|year|summer|winter|spring|fall|autumn|mon|tue|wed|thu|fri|sat|sun)\w*"
    r"|next (?:week|weekend|month|year|summer|mon|tue|wed|thu|fri|sat|sun)\w*"
    r"|this (?:morning|week|weekend|month|year|summer|afternoon|evening)|ago|recently"
    r"|(?:a|two|three|few|couple|\d+) (?:of )?(?:days?|weeks?|months?|years?)"
    r"|january|february|march|april|june|july|august|september|october|november|december"
    r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
    r"|20\d\d|19\d\d|\d{1,2}(?:st|nd|rd|th)|\d{1,2}(?:am|pm))\b"
)

_STANDING = re.compile(
    r"\b(?:always|never|from now on|whenever|make sure|i(?:'d| would)? (?:prefer|rather)"
    r"|please (?:include|use|keep|provide|mention|remember|ensure))\b"
)


class Words(NamedTuple):
    """The words of one text; hashes are uint64, little endian."""

    words: bytes
    """Of the text, in order, stop words left out."""
    speaker: bytes
    date: bytes
    """Of the day it was said on, as in `8 May 2023`."""
    flags: int
    """The flags above, and from bit 8 on the place of its language in `LANGUAGES`."""


def analyze(text: str, *, speaker: str | None, said_at: datetime) -> Words:
    """The words of a text as they are stored, in about 40 us for a message of a chat."""
    normal = normalize(text)
    found = segment(spell_days(normal))
    language = detect(found)
    return Words(
        words=_hashes(found, language),
        speaker=_name(speaker, language) if speaker else b"",
        date=_date(said_at.year, said_at.month, said_at.day, language),
        flags=_flags(normal) | LANGUAGES.index(language) << _LANGUAGE_SHIFT,
    )


def language_of(flags: int) -> int:
    """The place in `LANGUAGES` of the language that a text with these flags was stemmed in."""
    return flags >> _LANGUAGE_SHIFT & 0xFF


def lengths_of(words: NDArray[np.integer[Any]], flags: NDArray[np.int64]) -> NDArray[np.float64]:
    """Lengths of texts in words, by the numbers of their hashes and their flags."""
    return words / np.where(flags & UNSPACED, _HASHES_PER_UNSPACED_WORD, 1)


def languages_of(flags: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places in `LANGUAGES` of the languages that texts with these flags were stemmed in."""
    return flags >> _LANGUAGE_SHIFT & 0xFF


def pieces(text: str) -> list[str]:
    """What to embed of a text: itself, or overlapping pieces of a long one, since a model reads only so much."""
    if unspaced(text):
        return _windows(list(text), "", scale=_CHARACTERS_PER_WORD) or [text]
    return _windows(text.split(), " ") or [text]


def _windows(parts: list[str], glue: str, *, scale: int = 1) -> list[str]:
    if len(parts) <= _LONG_WORDS * scale:
        return []
    size, step = _PIECE_WORDS * scale, (_PIECE_WORDS - _PIECE_OVERLAP) * scale
    starts = range(0, max(1, len(parts) - _PIECE_OVERLAP * scale), step)
    return [glue.join(parts[start : start + size]) for start in starts]


def _flags(normal: str) -> int:
    ends = normal.rstrip()[-1:] in ("?", "؟") and len(normal.split()) < _QUESTION_WORDS
    return (
        SHORT_QUESTION * ends
        | TELLS_TIME * bool(_TIME.search(normal))
        | STANDING * bool(_STANDING.search(normal))
        | UNSPACED * unspaced(normal)
    )


@lru_cache(maxsize=4096)
def _name(speaker: str, language: str) -> bytes:
    return _hashes(segment(normalize(speaker)), language)


@lru_cache(maxsize=4096)
def _date(year: int, month: int, number: int, language: str) -> bytes:
    return _hashes(segment(spelt_day(year, month, number)), language)


def _hashes(words: Iterable[str], language: str) -> bytes:
    hashes = [found for word in words if (found := token(word, language)) is not None]
    return pack(f"<{len(hashes)}Q", *hashes)
