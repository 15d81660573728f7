"""Which language a text is in, and what follows for its words: stop words, stems, question words."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from threading import Lock

import snowballstemmer

from perdure.engine.words.lists import ASKS, STOPS

NO_LANGUAGE = ""
"""Of texts whose language is not known well enough: words as they are written, no rules rather than wrong ones."""

LANGUAGES = (
    *(
        NO_LANGUAGE,
        "english",
        "german",
        "french",
        "spanish",
        "italian",
        "portuguese",
        "dutch",
        "swedish",
        "danish",
    ),
    *(
        "norwegian",
        "finnish",
        "romanian",
        "hungarian",
        "turkish",
        "russian",
        "greek",
        "arabic",
        "hindi",
        "tamil",
    ),
    *("armenian",),
)
"""Their places in this list are stored with the texts: add at the end only."""

CODES = {
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt", "dutch": "nl",
    "swedish": "sv", "danish": "da", "norwegian": "nb", "finnish": "fi", "romanian": "ro", "hungarian": "hu",
    "turkish": "tr", "russian": "ru", "greek": "el", "arabic": "ar", "hindi": "hi", "tamil": "ta", "armenian": "hy",
}  # fmt: skip
"""ISO 639-1 codes of the languages that have a name here."""


@dataclass(frozen=True, slots=True)
class _Script:
    """Letters that one language alone writes here, unless letters of its neighbours are among them."""

    first: str
    last: str
    language: str
    foreign: frozenset[str] = frozenset()


_SCRIPTS = (
    _Script("\u0370", "\u03ff", "greek"),
    _Script("\u0400", "\u04ff", "russian", frozenset("іїєґўјљњћђџќѓѕ")),
    _Script("\u0530", "\u058f", "armenian"),
    _Script("\u0600", "\u06ff", "arabic", frozenset("پچژگکیےٹڈڑہھۇۆ")),
    _Script("\u0900", "\u097f", "hindi"),
    _Script("\u0b80", "\u0bff", "tamil"),
)

_CLEARLY_FOREIGN = 8
"""So many distinct words without a stop word are not English, nor are words of which one in so many is accented."""

_STOP_LANGUAGES: dict[str, tuple[str, ...]] = {
    word: tuple(language for language in LANGUAGES if word in STOPS.get(language, ()))
    for word in frozenset().union(*STOPS.values())
}

_lock = Lock()
_stemmers: dict[str, snowballstemmer.basestemmer.BaseStemmer] = {}


def detect(words: Collection[str]) -> str:
    """The language of a text by its words: by their script, and in Latin letters by their stop words.

    What nothing speaks against is English, so that short texts of an English conversation get its rules.
    """
    for word in words:
        if word[0] > "\u036f" and (script := _script(word[0])):
            return NO_LANGUAGE if script.foreign.intersection("".join(words)) else script.language
    distinct = dict.fromkeys(
        words
    )  # in the order of the text: of two that are as likely, every process takes the same
    hits: dict[str, int] = {}
    for word in distinct:
        for language in _STOP_LANGUAGES.get(word, ()):
            hits[language] = hits.get(language, 0) + 1
    english = hits.get("english", 0)
    best = max(hits, key=lambda language: hits[language], default=NO_LANGUAGE)
    if hits and hits[best] >= 2 and hits[best] > english:
        return best
    accented = sum(not word.isascii() for word in distinct)
    if english or len(distinct) < _CLEARLY_FOREIGN:
        return "english" if _CLEARLY_FOREIGN * accented <= len(distinct) else NO_LANGUAGE
    return NO_LANGUAGE


@lru_cache(maxsize=1 << 16)
def token(word: str, language: str) -> int | None:
    """The hash of a word's stem in a language; None for a stop word.

    The same 64 bits in every process and version: they are stored.
    """
    if word in STOPS.get(language, ()):
        return None
    name = f"{language}:{_fold(_stem(word, language))}".encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")


def asks(words: Collection[str], language: str) -> bool:
    """Whether a text in this language begins like a question."""
    return next(iter(words), "") in ASKS.get(language, ())


def _script(letter: str) -> _Script | None:
    return next((script for script in _SCRIPTS if script.first <= letter <= script.last), None)


def _stem(word: str, language: str) -> str:
    if not language:
        return word
    with _lock:  # a stemmer keeps the word it works on in itself
        if language not in _stemmers:
            _stemmers[language] = snowballstemmer.stemmer(language)
        return str(_stemmers[language].stemWord(word))


def _fold(stem: str) -> str:
    """Latin and Greek letters without accents, which many leave out; marks of other scripts are letters."""
    if stem.isascii() or stem[0] > "\u03ff":
        return stem
    return "".join(c for c in unicodedata.normalize("NFD", stem) if not "\u0300" <= c <= "\u036f")
