"""How many tokens a text is, about, when no tokenizer is at hand."""

from __future__ import annotations

import re
from math import ceil
from typing import Final

_PIECE: Final = re.compile(
    r"[A-Z]?[a-z]{1,6}|[A-Z]{1,2}"  # words, by six letters; capitals are rarer, and by two
    r"|\d{1,2}|[^\sA-Za-z\d\x80-\U0010ffff]{1,2}|\n| {2,16}|\t{1,4}"
)
_NO_WORD: Final = re.compile(r"[A-Za-z]{21,}")
_BEYOND_ASCII: Final = re.compile(r"[\x80-\uffff]+")
_ASTRAL: Final = re.compile(r"[\U00010000-\U0010ffff]")


def estimated_tokens(text: str) -> int:
    """About as many tokens as OpenAI's tokenizers make of a text; rather too many than too few.

    A token for six letters of a word, two digits or two signs; what is no word (base64, keys) by threes on top;
    beyond ASCII, one for 2.4 bytes of UTF-8, which is an ideograph or a letter or two of an alphabet; three for an
    emoji. Against `cl100k_base` and `o200k_base` the estimate is 0.9 to 1.7 of the truth for English talk (median
    1.1 to 1.3), 1.2 for code, 1.1 for ids, 1.1 to 1.5 for Chinese, 0.7 at the least (random letters), and up to 2.9
    for scripts that newer vocabularies know better than older ones.
    """
    count = len(_PIECE.findall(text)) + sum(len(run) // 3 for run in _NO_WORD.findall(text))
    if text.isascii():
        return count
    size = sum(len(run.encode("utf-8", "replace")) for run in _BEYOND_ASCII.findall(text))
    return count + ceil(size / 2.4) + 3 * len(_ASTRAL.findall(text))
