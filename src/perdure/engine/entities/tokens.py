"""Words as names are read: with their case, and where they stand in their sentence."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from perdure.engine.entities.phrases import HONORIFIC
from perdure.engine.entities.spelling import fold
from perdure.engine.words.language import NO_LANGUAGE, detect
from perdure.engine.words.lists import STOPS
from perdure.engine.words.segment import normalize, segment

GERMAN: Final = "german"
"""The language in which every noun has a capital."""

_UNREAD: Final = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|(?<!\S)\S+@\S+|(?<![\w.])[\w.]*[/\\]\w[\w./\\-]*", re.DOTALL
)
"""Code, addresses, paths: their capitals mean nothing.

What may be long begins where a word begins: tried from each letter of a long word, it would take quadratic time.
"""
_MARKS: Final = "\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0900-\u0903\u093a-\u094f"
_WORD: Final = re.compile(rf"[^\W\d_](?:[\w{_MARKS}]|['’-](?=[^\W_]))*['’]?")
_ENDING: Final = re.compile(r"['’](?:s|m|ll|d|re|ve|t)?\Z", re.IGNORECASE)
_ELISION: Final = re.compile(r"\A(?:[cdjlmnst]|qu|dell|all|nell|dall|sull)['’](?=[^\W\d_])", re.IGNORECASE)
_WITHIN: Final = re.compile(r"[\s,&]*\Z")
"""Between words of one sentence; whatever else parts them may begin a new one."""
_GERMAN_LETTER: Final = re.compile("[äöüßÄÖÜ]")
_TITLE_WORDS, _TITLE_SHARE = 4, 0.75


@dataclass(frozen=True, slots=True)
class Token:
    """One word."""

    text: str
    """Without the ending of a possessive or a contraction."""
    fold: str
    capital: bool
    initial: bool
    """It begins a sentence, or may do so: its capital says nothing."""
    joined: bool
    """Only a space is between it and the word before."""
    owns: bool
    """It had such an ending: nothing goes on after it."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A text, read for names."""

    text: str
    """Without code and addresses."""
    language: str
    tokens: tuple[Token, ...]


def read(text: str) -> Passage:
    """Take a text apart."""
    clean = _UNREAD.sub(" ; ", unicodedata.normalize("NFKC", text))
    words = segment(normalize(clean))
    language = detect(words)
    unsure = language in (NO_LANGUAGE, "english") and STOPS["english"].isdisjoint(words)
    if unsure and _GERMAN_LETTER.search(clean):
        language = GERMAN  # it may be, and then its capitals are no evidence
    found: list[Token] = []
    end = 0
    for match in _WORD.finditer(clean):
        gap = clean[end : match.start()]
        found.append(_token(match[0], gap, found[-1] if found else None, language))
        end = match.end()
    return Passage(clean, language, tuple(_untitled(found, german=language == GERMAN)))


def _token(word: str, gap: str, previous: Token | None, language: str) -> Token:
    stem = _ENDING.sub("", word)
    owns = stem != word
    if (elision := _ELISION.match(stem)) and (stem[0].islower() or language in ("french", "italian")):
        stem = stem[elision.end() :]
    initial = previous is None or not _WITHIN.match(gap) or "\n" in gap
    if initial and previous is not None and gap.strip() == "." and _abbreviated(previous):
        initial = False
    return Token(
        text=stem,
        fold=fold(stem),
        capital=stem != stem.lower(),
        initial=initial,
        joined=previous is not None and not previous.owns and gap in (" ", ". ") and not initial,
        owns=owns,
    )


def _abbreviated(token: Token) -> bool:
    """Whether the point after it ends no sentence: "Dr. Lee", "J. Lee"."""
    return token.fold in HONORIFIC or (len(token.text) == 1 and token.capital)


def _untitled(tokens: list[Token], *, german: bool) -> list[Token]:
    """The tokens; in headings and shouting, where nearly all have capitals, each is taken for a beginning."""
    starts = [place for place, token in enumerate(tokens) if token.initial]
    made: list[Token] = []
    for start, end in pairwise([*starts, len(tokens)]):
        sentence = tokens[start:end]
        title = not german and len(sentence) >= _TITLE_WORDS and _share(sentence) >= _TITLE_SHARE
        made += [replace(token, initial=True) for token in sentence] if title else sentence
    return made


def _share(sentence: list[Token]) -> float:
    """Of the words after the first, which has a capital anyway."""
    return sum(token.capital for token in sentence[1:]) / (len(sentence) - 1)
