"""Where words begin and end, in any script."""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

_WITH_MARKS = (range(0x300, 0x1E00), range(0xA66F, 0xAC00))
"""Where the scripts that write vowels and tones as combining marks have them (variation selectors are no letters)."""
_MARKS = "".join(
    chr(c) for block in _WITH_MARKS for c in block if unicodedata.category(chr(c)).startswith("M")
)

_IDEOGRAPHS = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff"
_HANGUL = "\uac00-\ud7af"
_UNSPACED_ALPHABETS = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff"
"""Thai, Lao, Tibetan, Burmese, Khmer."""

_CHINESE_STOPS = re.compile("什么|怎么|多少|哪里|哪个|请问|我们|你们|他们|[的了吗呢是我你他她它哪谁这那]")
_HAS_KANA = re.compile(f"[{_KANA}]")

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_WORD = re.compile(rf"[\w{_MARKS}]+")
_UNSPACED = re.compile(f"[{_IDEOGRAPHS}{_KANA}{_HANGUL}{_UNSPACED_ALPHABETS}]")
_RUN = re.compile(
    f"(?P<cjk>[{_IDEOGRAPHS}{_KANA}]+)|(?P<letters>[{_HANGUL}]+|[{_UNSPACED_ALPHABETS}{_MARKS}]+)"
    f"|(?P<spaced>[^{_IDEOGRAPHS}{_KANA}{_HANGUL}{_UNSPACED_ALPHABETS}]+)"
)
_CLUSTER = re.compile(rf".[{_MARKS}]*", re.DOTALL)
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")


def normalize(text: str) -> str:
    """One spelling for what looks the same: NFKC, case folded, invisible characters removed."""
    if text.isascii():
        return text.lower()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()


def segment(text: str) -> list[str]:
    """The words of a normalised text, in order, repeated ones too.

    A word is a run of letters, digits and their marks. What is written without spaces is cut into overlapping
    pairs of characters, which is how most words of those languages are found without a dictionary; ideographs
    stand for themselves as well, since many are words.
    """
    if text.isascii() or not _UNSPACED.search(text):
        return _WORD.findall(text.replace("_", " "))
    if not _HAS_KANA.search(text):  # where Chinese function words stand, a word ends
        text = _CHINESE_STOPS.sub(" ", text)
    found: list[str] = _WORD.findall(text.replace("_", " "))
    return [part for word in found for part in _split(word)]


def unspaced(text: str) -> bool:
    """Whether most of the text is written without spaces between words."""
    return not text.isascii() and 2 * len(_UNSPACED.findall(text)) > len(text)


def _split(word: str) -> list[str]:
    parts: list[str] = []
    for run in _RUN.finditer(word):
        if run.lastgroup == "spaced":
            parts.append(run.group())
        else:
            parts.extend(_pairs(_CLUSTER.findall(run.group())))
    return parts


def _pairs(letters: list[str]) -> list[str]:
    if len(letters) == 1:
        return letters
    pairs = [a + b for a, b in pairwise(letters)]
    return pairs + [letter for letter in letters if _IDEOGRAPH.match(letter)]
