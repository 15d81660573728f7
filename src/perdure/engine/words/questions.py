"""What a question looks for, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from perdure.engine.words.dates import named_days, spell_days
from perdure.engine.words.language import CODES, LANGUAGES, asks, detect, token
from perdure.engine.words.segment import normalize, segment
from perdure.types import Mention

_WHEN = re.compile(
    r"\bwhen\b|\bwhat (?:date|day|month|year|time)\b|\bhow long\b|\bwhich (?:month|year|day|date)\b"
    r"|\b(?:wann|wie lange|quand|cuándo|quando|wanneer|när|hvornår|milloin|mikor|когда)\b|ne zaman|何时|什么时候|いつ|언제"
)
_FIRST_PERSON = frozenset({"i", "me", "my", "mine", "myself"})
_FUNCTION_WORDS = 3
"""Stop words that make a sentence of keywords."""


@dataclass(frozen=True, slots=True)
class QueryWords:
    """The words of a query."""

    words: tuple[str, ...]
    """As written (case folded), without stop words, one for each stem."""
    is_statement: bool
    """A sentence that asks for nothing; neither a question nor a few keywords."""
    asks_when: bool
    days: tuple[date, ...]
    """Days that it names in full."""
    first_person: bool
    """The asker speaks of themselves."""
    language: str | None = None
    """The ISO 639-1 code of the language that it seems to be in."""
    when: Mention | None = None
    """The time that it asks about: whoever knows when it is asked fills this in."""

    def hashes(self, languages: Iterable[int]) -> list[list[int]]:
        """For each word, its stored hashes in texts of these languages (places in `LANGUAGES`).

        A text's words are stemmed by the rules of the text's own language, so a word of the query is looked up
        as each of them would write it, and the two meet whatever language each was taken for.
        """
        names = [LANGUAGES[place] for place in languages]
        return [
            sorted({found for name in names if (found := token(word, name)) is not None})
            for word in self.words
        ]


def read_query(text: str) -> QueryWords:
    """Take a query apart."""
    normal = normalize(text)
    spelt = spell_days(normal)
    found = segment(spelt)
    language = detect(found)
    is_question = "?" in normal or "؟" in normal or asks(found, language)
    content = [word for word in found if token(word, language) is not None]
    by_stem = {token(word, language): word for word in reversed(content)}
    return QueryWords(
        words=tuple(reversed(by_stem.values())),
        is_statement=not is_question and len(found) - len(content) >= _FUNCTION_WORDS,
        asks_when=bool(_WHEN.search(normal)),
        days=named_days(spelt),
        first_person=not _FIRST_PERSON.isdisjoint(found),
        language=CODES.get(language),
    )
