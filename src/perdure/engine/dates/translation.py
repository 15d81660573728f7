"""A text whose times are put into English, and the way back to what stood there."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from string import ascii_letters
from typing import Final, NamedTuple


class Piece(NamedTuple):
    """A part of a text, from `start` to before `end`, and its English."""

    start: int
    end: int
    english: str


class _Placed(NamedTuple):
    place: int
    length: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in which the times are English and nothing else can be read as English."""

    text: str
    original: str
    pieces: Sequence[_Placed]
    """Where each piece is in `text`, and where it was in `original`."""

    def words(self, start: int, end: int) -> str:
        """What stood in the original for a part of `text`."""
        return self.original[self._origin(start) : self._origin(end, end=True)].rstrip(". ")

    def _origin(self, place: int, *, end: bool = False) -> int:
        """Pieces are taken as a whole; between them each character is itself."""
        number = bisect_right(self.pieces, place - end, key=attrgetter("place")) - 1
        if number < 0:
            return place
        piece = self.pieces[number]
        behind = place - piece.place - piece.length
        if behind < 0 or (end and behind == 0):
            return piece.end if end else piece.start
        return piece.end + behind


def assembled(text: str, pieces: Sequence[Piece], *, spaced: bool) -> Translation:
    """The English of the pieces (in the order of the text) where they stood.

    Args:
        spaced: whether spaces separate the words of the text; if not, the English words still need some.
    """
    parts: list[str] = []
    placed: list[_Placed] = []
    length = place = 0
    for piece, following in zip(pieces, (*pieces[1:], None), strict=True):
        between = _masked(text[place : piece.start])
        english = _apart(text, piece, place, following)
        if not spaced:
            english = f" {english.strip()} "
        placed.append(_Placed(length + len(between), len(english), piece.start, piece.end))
        parts += between, english
        length, place = length + len(between) + len(english), piece.end
    return Translation("".join((*parts, _masked(text[place:]))), text, placed)


def _apart(text: str, piece: Piece, before: int, following: Piece | None) -> str:
    """The English, kept apart from a number that is no part of the time: "en mars 15 personnes"."""
    numbered = _NUMBER_BEFORE.search(text, max(before, piece.start - 4), piece.start)
    alone = following is None or following.start > piece.end
    numbers = alone and _NUMBER_BEHIND.match(text, piece.end)
    return f"{';' if numbered else ''}{piece.english}{';' if numbers else ''}"


def _masked(text: str) -> str:
    """Latin letters hidden, but those of "version", which tells that what follows is no date."""
    parts = _VERSION.split(text)
    return "".join(part if number % 2 else part.translate(_MASK) for number, part in enumerate(parts))


_NUMBER_BEFORE: Final = re.compile(r"[0-9]\W{0,3}$")
_NUMBER_BEHIND: Final = re.compile(r"\W{0,3}[0-9]")
_VERSION: Final = re.compile(r"(version)", re.IGNORECASE)
_MASK: Final = dict.fromkeys(map(ord, ascii_letters), "_")
