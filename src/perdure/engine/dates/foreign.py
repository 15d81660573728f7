"""Times in other languages than English, put into English, so that the same rules resolve them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from perdure.engine.dates.grammar import Token, pieces_of
from perdure.engine.dates.languages import spoken
from perdure.engine.dates.translation import Translation, assembled
from perdure.engine.dates.vocabulary import Vocabulary, Word, fold, vocabulary


def translate(text: str, low: str, words: Sequence[str], language: str | None) -> Translation | None:
    """The text with its times in English; None where it speaks of none in a language that is read.

    Args:
        low: the text in lower case, character for character.
        words: its words in plain Latin letters.
        language: what the text is taken for (an ISO 639-1 code), see `spoken`.
    """
    code = spoken(low, words, language)
    if code is None:
        return None
    known, folded = vocabulary(code), fold(low)
    if known.spaced and not _YEAR.search(folded) and known.triggers.isdisjoint(known.pattern.findall(folded)):
        return None
    pieces = pieces_of(_tokens(folded, text, known), text)
    return assembled(text, pieces, spaced=known.spaced) if pieces else None


def _tokens(folded: str, text: str, known: Vocabulary) -> list[Token]:
    """The words and numbers, and what separates them."""
    found = list(known.pattern.finditer(folded))
    tokens: list[Token] = []
    place = end = 0
    while place < len(found):
        start = found[place].start()
        if not known.between.fullmatch(folded, end, start):
            tokens.append(Token(_gap(folded[end : min(start, end + 4)]), "", end, start))
        word, count = _look_up(found, place, folded, known)
        end = found[place + count - 1].end()
        if folded[start:end] in known.names and _is_name(text, start, end):
            word = _OTHER
        tokens.append(Token(word.tag, word.english, start, end))
        place += count
    return tokens


def _gap(between: str) -> str:
    """A point, a comma or a hyphen, or anything that separates."""
    mark = between.rstrip()
    return mark if mark in (".", ",", "-") and len(between) <= 3 else "|"


def _look_up(found: Sequence[re.Match[str]], place: int, folded: str, known: Vocabulary) -> tuple[Word, int]:
    """What stands at a place, and of how many words it is: the longest phrase."""
    text = found[place][0]
    if text[0].isdecimal():
        return _number(text), 1
    for rest, word in known.words.get("".join(text.split()), ()):
        said = found[place : place + 1 + len(rest)]
        if [match[0] for match in said[1:]] == list(rest) and all(
            _JOINED.fullmatch(folded, one.end(), other.start()) for one, other in pairwise(said)
        ):
            return word, len(said)
    return _OTHER, 1


def _number(text: str) -> Word:
    """A number that may count or be a day, a year, or a clock; others are no part of a time."""
    if text.isdecimal():
        if len(text) <= 3:
            return Word("#", str(int(text)))
        return Word("Y", str(int(text))) if len(text) == 4 and 1900 <= int(text) < 2100 else _OTHER
    if match := _CLOCK.fullmatch(text):
        return Word("K", f"{int(match[1])}:{match[2] or '00'}")
    return Word("#", str(int(match[1]))) if (match := _ORDINAL.fullmatch(text)) else _OTHER


def _is_name(text: str, start: int, end: int) -> bool:
    """Whether a capital letter is not only that of a sentence, nor the word a greeting."""
    before = text[max(0, start - 4) : start].rstrip(" \n\"'„“»(")[-1:]
    return text[start].isupper() and (before not in ("", *".!?:;") or text[end : end + 1] in ("", *",.!"))


_OTHER: Final = Word("x", "")
_JOINED: Final = re.compile(r"[\s'-]{1,3}|")
_CLOCK: Final = re.compile(r"([01]?\d|2[0-3])[:h]([0-5]\d)?")
_ORDINAL: Final = re.compile(r"(\d{1,2})\D{1,4}")
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
