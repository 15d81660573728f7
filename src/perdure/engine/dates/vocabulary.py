"""The words for times of a language, each with what it is and its English: locale data of dateparser, and phrases."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from perdure.engine.dates.spans import MONTH_NAMES, SEASONS

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS: Final = ("hour", "day", "week", "month", "year")

TAGS: Final = {
    "last": "L", "this": "L", "next": "L", "last_after": "l", "next_after": "l", "last_either": "Q", "next_either": "Q",
    "lasts": "z", "nexts": "z", "few": "#",
    "ago": "g", "ago_behind": "G", "ago_or_before": "v", "ago_or_since": "w", "ahead": "h", "ahead_behind": "H", "soon": "j",
    "since": "s", "for_since": "r", "since_behind": "Z", "in": "i", "on": "o", "in_behind": "I",
    "until": "n", "before": "b", "after": "a", "between": "B", "and": "&", "from": "f", "early": "q",
    "morning": "P", "afternoon": "P", "evening": "P", "night": "P",
    "spring": "S", "summer": "S", "autumn": "S", "winter": "S", "weekend": "E",
    "of": "c", "the": "t", "at": "k", "clock": "u", "every": "e", "never": "x", "half": "F", "street": "N", "far": "O",
    **{unit: "V" if unit == "week" else "U" for unit in UNITS},
    **{f"{unit}s": "w" if unit == "week" else "p" for unit in UNITS},
    **{f"a_{unit}": "A" for unit in UNITS},
    **{name.lower(): "M" for name in MONTH_NAMES},
    **{name.lower(): "W" for name in WEEKDAYS},
}  # fmt: skip
"""One letter for each kind of word, so that the times of a text can be found as patterns of letters.

Besides these: D a day or another time that is complete, C a month, year or season of this kind, X a week of this
kind, R a week and y a year or month that is further away, T today, d "in" with a month, m a month's short
name, # a number.
"""

_SYLLABLES: Final = "\u0900"
"""From here on a character is more than a sound."""
_SAID: Final = {
    "few": "a few", "lasts": "last", "nexts": "next",
    **{f"{unit}s": unit for unit in UNITS}, **{f"a_{unit}": unit for unit in UNITS}, **{name.lower(): name for name in (*MONTH_NAMES, *WEEKDAYS)},
}  # fmt: skip

_FOLDS: Final = {
    c: ord(normalize("NFD", chr(c))[0].lower()) for c in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)) if chr(c) not in "ęĘ"
} | {
    ord(letter): ord(base)
    for base, letters in {
        "l": "ł", "o": "ø", "i": "ı", "е": "ё", "ا": "أإآٱ", "ي": "ىیئ", "ه": "ة", "ك": "ک", "'": "’",
    }.items()
    for letter in letters
}  # fmt: skip

_MARKS: Final = (
    "\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963"
)
_NUMBER: Final = r"\d{1,2}(?:h(?:\d\d)?|er|e|\.?º|ª|°|-?го|-?е)(?!\w)|\d+(?:[.,:/]\d+)*"
"""A number in one piece, with what makes it an ordinal or an hour; "1.5" and "3/4" are none that counts days."""
_SPACED: Final = re.compile(rf"{_NUMBER}|[^\W\d_](?:[^\W\d_]|[{_MARKS}])*")


class Word(NamedTuple):
    """What a word or a phrase is (a letter of `TAGS`), and its English."""

    tag: str
    english: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of one language."""

    words: Mapping[str, tuple[tuple[tuple[str, ...], Word], ...]]
    """By first word: the words after it, longest phrases first, and what they are together."""
    triggers: frozenset[str]
    """A text without one of these words, and without a year, speaks of no time."""
    pattern: re.Pattern[str]
    """Finds the words of a text, or those that are known, and numbers."""
    between: re.Pattern[str]
    """What may be between two words that belong together."""
    spaced: bool
    """Whether spaces separate its words."""
    names: frozenset[str]
    """What is another word with a capital letter."""


def fold(low: str) -> str:
    """A text in lower case without what many leave out, accents and hamzas, character for character."""
    return low if low.isascii() else low.translate(_FOLDS)


@cache
def vocabulary(code: str) -> Vocabulary:
    """The vocabulary of a language; the first call of all imports dateparser."""
    from dateparser.languages import default_loader

    info: Mapping[str, Any] = default_loader.get_locale(code).info
    phrases = dict(_phrases()[code])
    written_on, names = phrases.pop("unspaced", None), phrases.pop("names", "")
    compounds = [(tag, phrases.pop(kind, "")) for kind, tag in (("on_weekday", "W"), ("on_week", "X"))]
    found: dict[tuple[str, ...], Word] = {}
    for text, word in (*_known(info), *_added(phrases)):
        folded = fold(normalize("NFC", text).lower())
        found[tuple(_SPACED.findall(folded)) if written_on is None else ("".join(folded.split()),)] = word
    found.pop((), None)
    for tag, pairs in compounds:
        found |= _compounds(found, tag, pairs)
    return Vocabulary(
        words=_by_first_word(found),
        triggers=frozenset(words[0] for words, word in found.items() if word.tag in "DTRydCXWMmUVpwAESP"),
        pattern=_SPACED if written_on is None else _one_of((words[0] for words in found), written_on),
        between=re.compile(r"\s{1,3}|'" if written_on is None else rf"(?:{written_on})?\s{{0,3}}"),
        spaced=written_on is None,
        names=frozenset(fold(names).split()),
    )


@cache
def _phrases() -> dict[str, dict[str, str]]:
    return tomllib.loads(files("perdure.engine.dates").joinpath("phrases.toml").read_text(encoding="utf-8"))


def ready(english: str) -> Word:
    """A time that is complete in itself."""
    which, _, noun = english.partition(" ")
    if english == "today":
        return Word("T", english)
    if english.endswith((" before last", " after next")):
        return Word("R" if "week" in english else "y", english)
    if which == "in" and noun in MONTH_NAMES:
        return Word("d", english)
    if which not in ("last", "this", "next") or noun not in (*UNITS, *SEASONS, "weekend"):
        return Word("D", english)
    return Word("X" if noun == "week" else "C", english)


def _known(info: Mapping[str, Any]) -> Iterator[tuple[str, Word]]:
    """What the locale data tell."""
    phrases = {text: key for key, texts in info.get("relative-type", {}).items() for text in texts}
    yield from _names(info)
    yield from _units(info, {word for text in phrases for word in text.split()})
    for text, key in phrases.items():
        if english := _english(key):
            yield text, ready(english)
    for key, patterns in info.get("relative-type-regex", {}).items():
        past = key.endswith("ago")
        units = sorted(info.get(key.split()[-2 if past else -1], ()), key=len, reverse=True)
        for pattern in patterns:
            yield from _around_number(pattern, units, past=past)


def _names(info: Mapping[str, Any]) -> Iterator[tuple[str, Word]]:
    for name in (*MONTH_NAMES, *WEEKDAYS):
        tag = TAGS[name.lower()]
        for text in info.get(name.lower(), ()):
            if _is_name(text):
                yield text, Word(tag, name)
            elif tag == "M":
                yield text, Word("m", name)


def _units(info: Mapping[str, Any], singular: set[str]) -> Iterator[tuple[str, Word]]:
    """The forms that occur in phrases like "last week" are singular."""
    for unit in UNITS:
        for text in info.get(unit, ()):
            if _is_name(text, shortest=3):
                yield text, Word(TAGS[unit if text in singular else f"{unit}s"], unit)


def _is_name(text: str, *, shortest: int = 4) -> bool:
    """False for abbreviations, which are other words in many sentences ("so", "mar", "dom"), as far as length tells.

    Names that are as short ("mai") are in our phrases.
    """
    return len(text) >= (shortest if text < _SYLLABLES else 2)


def _english(key: str) -> str:
    """What the locale data call `1 day ago` and `in 1 week`, as people say it; nothing for hours and less."""
    match = re.fullmatch(r"(in )?([0-9]+) (day|week|month|year)( ago)?", key)
    if not match or not (match[1] or match[4]):
        return ""
    count, unit = int(match[2]) * (1 if match[1] else -1), match[3]
    if unit == "day":
        near = {
            0: "today",
            1: "tomorrow",
            -1: "yesterday",
            2: "the day after tomorrow",
            -2: "the day before yesterday",
        }
    else:
        near = {steps: f"{which} {unit}" for steps, which in ((0, "this"), (1, "next"), (-1, "last"))}
    return near.get(count, f"{-count} {unit}s ago" if count < 0 else f"in {count} {unit}s")


def _around_number(pattern: str, units: Iterable[str], *, past: bool) -> Iterator[tuple[str, Word]]:
    r"""The words before and behind the number and its unit: `vor (\d+) tagen`, `(\d+)天前`."""
    match = re.fullmatch(r"([^(]*)\(\\d[^)]*\)(?:\\s\*)?(.*)", pattern)
    if not match:
        return
    before, behind = match[1].strip(), match[2].strip()
    unit = next((unit for unit in units if behind.startswith(unit)), behind.partition(" ")[0])
    if before:
        yield before, Word("g" if past else "h", "")
    if after := behind.removeprefix(unit).strip():
        yield after, Word("G" if past else "H", "")


def _added(phrases: Mapping[str, str]) -> Iterator[tuple[str, Word]]:
    """What our phrases add."""
    for kind, texts in phrases.items():
        if kind == "numbers":
            for number, words in enumerate(texts.split(","), start=1):
                yield from ((word, Word("#", str(number))) for word in words.split("/"))
            continue
        if kind == "tens":
            yield from (
                (word, Word("#", number)) for word, number in (pair.split("=") for pair in texts.split(", "))
            )
            continue
        for text in texts.split(", "):
            tag, english = TAGS.get(kind), kind.removesuffix("_after").removesuffix("_either")
            for form in _forms(text):
                yield form, Word(tag, _SAID.get(english, english)) if tag else ready(kind)


def _compounds(found: Mapping[tuple[str, ...], Word], tag: str, pairs: str) -> dict[tuple[str, ...], Word]:
    """Words with others written onto them: "montagabend", "上周二"."""
    more = {}
    for text, english in (pair.split("=") for pair in pairs.split(", ") if pair):
        for words, word in found.items():
            if word.tag == tag or (tag == "X" and word.tag == "R"):
                day = (
                    Word("W", f"{word.english} {english}")
                    if tag == "W"
                    else Word("D", f"{english} {word.english}")
                )
                more[(*words[:-1], words[-1] + fold(text))] = day
    return more


def _forms(text: str) -> list[str]:
    """`letzt(e|er)`: letzte, letzter."""
    stem, _, endings = text.partition("(")
    return [stem + ending for ending in endings.rstrip(")").split("|")]


def _by_first_word(
    found: Mapping[tuple[str, ...], Word],
) -> dict[str, tuple[tuple[tuple[str, ...], Word], ...]]:
    by_first: dict[str, list[tuple[tuple[str, ...], Word]]] = {}
    for words, word in sorted(found.items(), key=lambda item: len(item[0]), reverse=True):
        by_first.setdefault(words[0], []).append((words[1:], word))
    return {first: tuple(rest) for first, rest in by_first.items()}


def _one_of(words: Iterable[str], suffixes: str) -> re.Pattern[str]:
    """Where words are not spaced, or have things written onto them: the longest one that fits."""
    longest_first = sorted(words, key=len, reverse=True)
    known = "|".join(r"\s?".join(map(re.escape, word)) for word in longest_first)
    if not suffixes:
        return re.compile(f"{_NUMBER}|{known}")
    return re.compile(rf"{_NUMBER}|(?<![^\W\d_])(?:{known})(?=(?:{suffixes})?(?![^\W\d_]))")
