"""One spelling for names that differ by case and accents only."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=1 << 14)
def fold(name: str) -> str:
    """The name case folded, without the accents of Latin, Greek and Cyrillic letters."""
    folded = " ".join(name.split()).casefold().replace("’", "'")
    if folded.isascii():
        return folded
    bare = unicodedata.normalize("NFD", folded)
    kept = [
        letter
        for place, letter in enumerate(bare)
        # й is a letter of its own, and no и with an accent
        if not "\u0300" <= letter <= "\u036f" or (letter == "\u0306" and bare[place - 1] == "и")
    ]
    return unicodedata.normalize("NFC", "".join(kept))
