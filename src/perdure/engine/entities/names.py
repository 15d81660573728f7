"""Which words of a partition's texts are names, judged by how the same words are written elsewhere in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from perdure.engine.entities.evidence import Sign, caseless, introduces, signs
from perdure.engine.entities.phrases import (
    ARABIC_JOINS,
    ARABIC_PREFIXES,
    CALLED,
    DOES,
    GERMAN_DETERMINERS,
    HONORIFIC,
    JOINS,
    JOINS_OF,
    KIN,
    NOT_NAMES,
    EntityKind,
)
from perdure.engine.entities.tokens import GERMAN, Passage, Token, read
from perdure.engine.entities.unspaced import Introduced, introduced, occurrences, unspaced_name
from perdure.engine.words.lists import STOPS

NEARLY_ALWAYS = 4
"""A name has a capital inside sentences so many times as often as it is written small."""
OFTEN = 2
"""A German word without articles has to be met so often before it is taken for a name."""


class Found(NamedTuple):
    """A name where it stands in a text."""

    name: str
    signs: Sequence[Sign] = ()


class Names:
    """All that a partition's texts tell of names; adding texts with other words changes nothing."""

    def __init__(self, passages: Iterable[Passage], known: Iterable[str] = ()) -> None:
        """Count.

        Args:
            known: names known from elsewhere, as of speakers.
        """
        self._middle: Counter[str] = Counter()
        """Capitals inside sentences, where they mean something."""
        self._small: Counter[str] = Counter()
        self._introduced: Counter[str] = Counter()
        self._german: Counter[str] = Counter()
        self._determined: Counter[str] = Counter()
        self._acting: Counter[str] = Counter()
        """German words with a capital; those after an article; those that do what people do."""
        self._known: set[tuple[str, ...]] = set()
        self._heads: set[str] = set()
        """With what those of several words, and the runs, begin."""
        self._unspaced: dict[str, Counter[EntityKind]] = {}
        self._runs: set[tuple[str, ...]] = set()
        """Names of several words, as they stand inside sentences."""
        for name in known:
            self._learn(name)
        passages = list(passages)
        for passage in passages:
            self._count(passage)
        self._runs = {run for passage in passages for run in self._inner_runs(passage)}
        self._heads |= {run[0] for run in self._runs}

    def find(self, passage: Passage) -> list[Found]:
        """The names in a text, in order; the same name as often as it stands there."""
        tokens = passage.tokens
        found: list[Found] = []
        for start, end in self._spans(passage):
            name = " ".join(self._shown(passage, place, start) for place in range(start, end))
            found.append(Found(name, signs(tokens, start, end)))
        for name, count in occurrences(passage.text, self._unspaced):
            told = [Sign(kind, weight) for kind, weight in self._unspaced[name].items()]
            found += [Found(name, told)] * count
        return found

    # counting

    def _learn(self, name: str) -> None:
        if unspaced_name(name):
            self._unspaced.setdefault(name, Counter())
        elif words := tuple(token.fold for token in read(name).tokens):
            self._known.add(words)
            self._heads.add(words[0])

    def _count(self, passage: Passage) -> None:
        tokens, german = passage.tokens, passage.language == GERMAN
        for place, token in enumerate(tokens):
            if not token.capital:
                self._small[token.fold] += 1
            elif german:
                self._count_german(tokens, place)
            elif not token.initial:
                self._middle[token.fold] += 1
        for place in range(len(tokens)):
            for at in self._introduces(passage, place):
                self._introduced[tokens[at].fold] += 1
        for name in introduced(passage.text):
            self._keep_unspaced(name)

    def _count_german(self, tokens: Sequence[Token], place: int) -> None:
        word = tokens[place].fold
        if not tokens[place].initial:
            self._german[word] += 1
            self._determined[word] += tokens[place - 1].fold in GERMAN_DETERMINERS
        after = tokens[place + 1] if place + 1 < len(tokens) else None
        self._acting[word] += after is not None and not after.initial and after.fold in DOES

    def _introduces(self, passage: Passage, place: int) -> Iterator[int]:
        """The places of words that are a name, by the words around them, if this is the first of them."""
        tokens = passage.tokens
        token = tokens[place]
        if token.fold in NOT_NAMES or token.fold in KIN or token.fold in HONORIFIC:
            return
        if not introduces(tokens, place):
            return
        yield place
        before = tokens[place - 1].fold if place and not token.initial else ""
        if before in HONORIFIC or before in CALLED or token.fold in ARABIC_JOINS:
            after = tokens[place + 1] if place + 1 < len(tokens) else None
            if after is not None and after.joined and (after.capital or token.fold in ARABIC_JOINS):
                yield place + 1

    def _keep_unspaced(self, name: Introduced) -> None:
        votes = self._unspaced.setdefault(name.name, Counter())
        if name.kind is not None:
            votes[name.kind] = max(votes[name.kind], name.weight)

    # judging

    def _is_name(self, token: Token, language: str) -> bool:
        """Whether a word is a name, or a part of one, by itself."""
        word = token.fold
        if word in NOT_NAMES or word in KIN or word in HONORIFIC:
            return False
        if caseless(token):
            return any(self._introduced[w] or (w,) in self._known for w in (word, without_prefix(word)))
        if not token.capital or word in STOPS.get(language, ()):
            return False
        told = bool(self._introduced[word]) or (word,) in self._known
        if told and not self._is_noun(word):
            return not token.initial or self._hardly_small(word)
        return self._is_sure(word)

    def _is_sure(self, word: str) -> bool:
        """Whether a capital is nearly always written, where none has to be."""
        middle = self._middle[word]
        if middle and middle >= self._german[word] and self._hardly_small(word):
            return True  # were it met in German more often, short German texts might be taken for English
        return (
            self._german[word] >= OFTEN
            and self._acting[word] > 0
            and not self._small[word]
            and not self._is_noun(word)
        )

    def _hardly_small(self, word: str) -> bool:
        return NEARLY_ALWAYS * self._small[word] <= max(self._middle[word], self._introduced[word])

    def _is_noun(self, word: str) -> bool:
        """Whether it takes an article in German, as names hardly do."""
        return 2 * self._determined[word] > self._german[word]

    # finding

    def _spans(self, passage: Passage) -> Iterator[tuple[int, int]]:
        """From where to where names go in a text."""
        tokens, place = passage.tokens, 0
        while place < len(tokens):
            token, end = tokens[place], 0
            if token.capital or token.fold in self._heads or caseless(token):  # most words are neither
                end = self._known_end(tokens, place) or self._run_end(passage, place)
            if end > place:
                yield place, end
            place = max(end, place + 1)

    def _known_end(self, tokens: Sequence[Token], place: int) -> int:
        """Where the longest known name of several words ends that begins here."""
        if tokens[place].fold not in self._heads:
            return 0
        for size in range(min(6, len(tokens) - place), 1, -1):
            words = tokens[place : place + size]
            if (
                tuple(word.fold for word in words) in self._known
                and all(word.joined for word in words[1:])
                and (words[-1].capital or caseless(words[-1]))
            ):
                return place + size
        return 0

    def _run_end(self, passage: Passage, place: int) -> int:
        """Where the run of names ends that begins here; 0 when none does."""
        tokens, language = passage.tokens, passage.language
        if not self._may_belong(tokens[place], language) and not self._opens_a_run(tokens, place):
            return 0
        end = place + 1
        while end < len(tokens) and tokens[end].joined:
            if self._may_belong(tokens[end], language):
                end += 1
            elif self._joins(tokens, end, place) and self._may_belong(tokens[end + 1], language):
                end += 2
            else:
                break
        if end == place + 1 and len(tokens[place].text) == 1:
            return 0
        return end if any(self._is_name(token, language) for token in tokens[place:end]) else 0

    def _may_belong(self, token: Token, language: str) -> bool:
        """Whether a word can be part of a name beside a word that is one."""
        if self._is_name(token, language):
            return True
        word = token.fold
        closed = word in NOT_NAMES or word in KIN or word in HONORIFIC or word in STOPS.get(language, ())
        return token.capital and not token.initial and language != GERMAN and not closed

    def _opens_a_run(self, tokens: Sequence[Token], place: int) -> bool:
        """Whether a sentence's first word begins a name of several words that was met inside sentences."""
        if not tokens[place].capital or tokens[place].fold not in self._heads:
            return False
        runs = (tuple(token.fold for token in tokens[place : place + size]) for size in range(2, 6))
        return any(run in self._runs for run in runs)

    @staticmethod
    def _joins(tokens: Sequence[Token], place: int, start: int) -> bool:
        if place + 1 >= len(tokens) or not tokens[place + 1].joined:
            return False
        word = tokens[place].fold
        return word in JOINS or (word == "of" and any(t.fold in JOINS_OF for t in tokens[start:place]))

    def _inner_runs(self, passage: Passage) -> Iterator[tuple[str, ...]]:
        for start, end in self._spans(passage):
            if end - start > 1 and not passage.tokens[start].initial:
                yield tuple(token.fold for token in passage.tokens[start:end])

    def _shown(self, passage: Passage, place: int, start: int) -> str:
        """A word of a name as it is written, without the endings and beginnings that grammar puts there."""
        token = passage.tokens[place]
        if caseless(token) and place == start and not self._introduced[token.fold]:
            return token.text if (token.fold,) in self._known else without_prefix(token.text)
        if passage.language == GERMAN and token.fold.endswith("s"):
            bare = token.fold[:-1]
            if bare in self._introduced or self._german[bare]:
                return token.text[:-1]
        return token.text


def without_prefix(word: str) -> str:
    """An Arabic word without the particle that is written together with it."""
    return word[1:] if len(word) > 3 and word[0] in ARABIC_PREFIXES else word
