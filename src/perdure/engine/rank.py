"""Which rows of a partition answer a query: pure, exact, the same for the same rows however they arrived.

Credits every term of the query where it appears nearest: in the row, or damped in its neighbours of the same
session; with a maximum for each term, inside a saturated term weight (BM25+). Meaning, as cosines of the vectors,
is added with a weight that grows the less the words explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import exp, log, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perdure.engine.columns import Rows
from perdure.engine.index import Mask, PartitionIndex
from perdure.engine.words import QueryWords
from perdure.engine.words.analysis import SHORT_QUESTION, STANDING, TELLS_TIME
from perdure.moments import micros

Scores = NDArray[np.floating[Any]]
DEFAULT_THRESHOLD = 0.2
"""Scores below this are noise: as measured, one right row in a hundred is lost, and of the questions about
nothing in the store one in two to one in four still gets something. At 0.1 none is lost, and one in two to four in five do."""

_DAY = 86_400_000_000
"""In microseconds."""
_TOLD_WITHIN = 2 * _DAY
"""After a time, what happened then is told for so long."""
_SHORT = 2 * _DAY
"""A day, or a weekend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Every number of the ranking."""

    k1: float = 0.4
    """How late a term that is repeated in a row stops to count more."""
    b: float = 0.75
    """How much longer texts need more repetition."""
    usual_length: float = 12.0
    """Words of a usual text. Fixed: a mean would make scores depend on unrelated rows."""
    presence: float = 0.5
    """What a term's mere presence is worth in texts of any length."""
    idf_power: float = 0.85
    """Below 1, rare terms prevail less over common ones."""
    speaker: float = 2.0
    """Occurrences that the speaker's name counts for."""
    date: float = 2.0
    """Occurrences that the day on which a row was said counts for."""
    named: float = 0.5
    """Added share for rows of a speaker whom the query names."""
    told: float = 0.5
    """Added share for rows said in the time that the query names or in the two days after, when it is told of."""
    told_in_longer: float = 0.2
    """The same for a time that is longer than a weekend: a week, a month, what is before a day."""
    offsets: tuple[tuple[int, float], ...] = ((-1, 0.4), (1, 0.4), (-2, 0.3), (2, 0.1))
    """Share of a neighbour's evidence, by where the neighbour stands: -1 is the row before."""
    answered: float = 0.5
    """Added share of the row before, when that is another's short question."""
    question: float = 0.2
    """Share of its score that a short question loses: it asks, it does not tell."""
    when: float = 0.2
    """Share of the best score added to rows that tell a time, for a query that asks for one."""
    own_words: float = 0.4
    """Added share for the user's own messages, for a query in the first person."""
    standing: float = 0.05
    """Share of the best score added to the user's standing wishes (always, never, I prefer), for such a query."""
    meaning: float = 0.3
    """Weight of the vectors, against the words found."""
    statement: float = 4.0
    """Factor of `meaning` for a statement: it is about something that may have been said in other words."""
    spread: float = 0.3
    """Least distance in cosine of the nearest row from the usual one: what lies closer together is noise."""
    meaning_previous: float = 0.1
    """Share of the previous row's meaning."""
    meaning_next: float = 0.3
    """Share of the next row's meaning."""
    meaning_session: float = 0.2
    """Share of the best meaning in the row's session."""
    topic: float = 0.3
    """Share of the mean cosine of the row's session: what it is about on the whole."""
    topic_of_statement: float = 0.9
    """The same, for a statement."""
    sure_words: float = 4.0
    """What the best share of the query's words found in one place adds to the log-odds that there is an answer."""
    sure_cosine: float = 10.0
    """The same for the best cosine, above what chance gives: this depends on the scale of the model's cosines."""
    sure_statement: float = 2.0
    """The same for a statement, which wants what is related to it and not an answer."""
    sure_bias: float = -2.2
    """Log-odds when nothing is found; chosen so that right rows hardly ever score less than 0.1."""


WITH_VECTORS = Recipe()
WORDS_ONLY = Recipe(
    b=0.9,
    date=0.5,
    named=0.3,
    when=0.3,
    offsets=((-1, 0.5), (1, 0.3), (-2, 0.3), (2, 0.1), (-3, 0.2), (3, 0.1)),
    answered=0.3,
    sure_words=8.0,
    sure_bias=-3.0,
)
"""Without vectors, a row's neighbours and its speaker have to tell more of what it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the words say about every row: arrays with an element for each row of the index."""

    words: tuple[str, ...]
    shares: Scores
    """`(words, rows)`: how well each row, with its neighbours, holds each word, as parts of what is possible."""
    named: Mask
    """Rows of speakers whom the query names."""
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """The best rows, best first."""

    rows: Rows
    scores: Scores
    """How sure it is that the row has to do with the query: 0..1, comparable between queries."""
    strengths: Scores
    """What the order is by: comparable within a query only."""
    evidence: Evidence
    meaning: Scores | None
    """What the vectors added, for every row of the index; None without vectors."""

    def explain(self, place: int) -> dict[str, object]:
        """Why the row at a place of the ranking stands there: the parts of its score."""
        row, evidence = self.rows[place], self.evidence
        return {
            "words": {
                word: round(float(share), 4)
                for word, share in zip(evidence.words, evidence.shares[:, row], strict=True)
            },
            "speaker_named": bool(evidence.named[row]),
            "meaning": None if self.meaning is None else round(float(self.meaning[row]), 4),
            "strength": round(float(self.strengths[place]), 4),
            "score": round(float(self.scores[place]), 4),
        }


def rank(
    index: PartitionIndex,
    query: QueryWords,
    vector: NDArray[np.float32] | None = None,
    *,
    visible: Mask | None = None,
    wanted: Mask | None = None,
    limit: int = 10,
    recipe: Recipe | None = None,
) -> Ranked:
    """The best rows for a query.

    Args:
        vector: `(dimensions,)`, of unit length; without it, or without vectors in the index, words alone decide.
        visible: rows that may be known at all: the others lend no evidence and count in no statistics.
        wanted: rows that may be returned.
        recipe: the numbers to use, else the ones measured best for the case.
    """
    with_vectors = vector is not None and index.has_vectors
    ranking = Ranking(index, query, visible=visible, with_vectors=with_vectors, recipe=recipe)
    cosines = index.cosines(vector) if vector is not None and with_vectors else None
    return ranking.best(cosines, wanted=wanted, limit=limit)


class _Found(NamedTuple):
    """Which word of the query stands in which row, and how often: three arrays of one length."""

    words: Rows
    rows: Rows
    times: Scores

    def where(self, mask: Mask) -> _Found:
        """Those of the mask."""
        return self if mask.all() else _Found(self.words[mask], self.rows[mask], self.times[mask])

    def without(self, words: Mask) -> _Found:
        """Those of the other words."""
        return self.where(~words[self.words])

    def followed_by(self, word: int, held: Scores) -> _Found:
        """These, and a word that stands `held[row]` times in each row."""
        rows = np.flatnonzero(held).astype(np.int32)
        words = np.full(len(rows), word, np.int32)
        return _Found(
            np.concatenate((self.words, words)),
            np.concatenate((self.rows, rows)),
            np.concatenate((self.times, held[rows])),
        )


class Ranking:
    """One query to one index as it is now: the words at once, then the best rows when the vector is known."""

    def __init__(
        self,
        index: PartitionIndex,
        query: QueryWords,
        *,
        visible: Mask | None = None,
        with_vectors: bool,
        recipe: Recipe | None = None,
    ) -> None:
        """Weigh the words; the arguments are those of `rank`, and `with_vectors` tells whether a vector will come."""
        self.index = index
        self.query = query
        self.with_vectors = with_vectors
        self.recipe = recipe or (WITH_VECTORS if with_vectors else WORDS_ONLY)
        self.seen: Mask = index.alive.values.copy() if visible is None else visible & index.alive.values
        self.evidence = self._words()
        self._version = index.version

    def stands(self, *, with_vectors: bool) -> bool:
        """Whether the index is still the same, and a vector came as expected."""
        return self._version == self.index.version and self.with_vectors == with_vectors

    def best(self, cosines: Scores | None, *, wanted: Mask | None = None, limit: int = 10) -> Ranked:
        """The best rows.

        Args:
            cosines: each row's nearness to the query, NaN where it is not known; None: words alone decide.
        """
        evidence = self.evidence
        wanted = self.seen if wanted is None else self.seen & wanted
        cosines = cosines if self.with_vectors else None
        meaning = None if cosines is None else self._meaning(cosines)
        strengths = self._adjusted(evidence.scores if meaning is None else evidence.scores + meaning)
        rows = _top(strengths, wanted, limit)
        found = strengths[rows]
        scores = _scored(found, self._sureness(cosines, wanted))
        return Ranked(rows=rows, scores=scores, strengths=found, evidence=evidence, meaning=meaning)

    def _words(self) -> Evidence:
        """How well every row, with its neighbours, holds the words of the query."""
        index, recipe = self.index, self.recipe
        hashes = self.query.hashes(index.languages)
        speaks = [index.speakers.holding(keys) for keys in hashes]
        dated = [index.dates.holding(keys) for keys in hashes]
        shares = np.zeros((len(hashes), len(self.seen)), np.float32)
        text = self._find(hashes)
        names = np.array([label is not None for label in speaks], np.bool_)
        # A name is said of everybody: only its bearer's own rows are about it.
        self._lend(text.without(names), shares)
        own = self._with_labels(text, speaks, dated)
        shares[own.words, own.rows] = np.maximum(shares[own.words, own.rows], self._saturated(own))
        found = np.bincount(own.words, minlength=len(hashes)).astype(np.float32)
        named = np.logical_or.reduce(
            [label for label in speaks if label is not None] or [~self.seen & self.seen]
        )
        weights = self._rarity(found)
        mass = float(weights.sum()) * (1 + recipe.k1) or 1.0
        shares *= weights[:, None] / mass
        scores = shares.sum(axis=0)  # not a matrix product: its last bits would depend on where a row stands
        scores[named] *= 1 + recipe.named
        if self.query.days or self.query.when:
            scores *= self._told()
        scores[~self.seen] = 0
        return Evidence(words=self.query.words, shares=shares, named=named, scores=scores)

    def _meaning(self, cosines: Scores) -> Scores:
        """What the vectors add: most for a statement, and where the words explain little."""
        recipe = self.recipe
        weight = recipe.meaning * (recipe.statement if self.query.is_statement else 1)
        weight *= 1 + max(0.0, 1 - float(self.evidence.scores.max()))
        return np.float32(weight) * self._likeness(cosines)

    def _adjusted(self, scores: Scores) -> Scores:
        """What a row is for: questions tell less, a time is told where one is asked for, users know themselves."""
        flags, recipe = self.index.flags.values, self.recipe
        scores = scores - recipe.question * np.abs(scores) * ((flags & SHORT_QUESTION) > 0)
        if self.query.asks_when:
            tells = ((flags & TELLS_TIME) > 0) & (self.evidence.scores > 0)
            scores[tells] += recipe.when * self._best(scores)
        if self.query.first_person:
            own = self.index.from_user.values
            scores[own] *= 1 + recipe.own_words
            scores[own & ((flags & STANDING) > 0)] += recipe.standing * self._best(scores)
        return scores

    def _sureness(self, cosines: Scores | None, wanted: Mask) -> float:
        """The probability that any of the wanted rows has to do with the query, on absolute evidence."""
        recipe = self.recipe
        words = min(1.2, float(np.max(self.evidence.scores, where=wanted, initial=0.0)))
        nearness = 0.0
        if cosines is not None:
            meant = wanted & ~np.isnan(cosines)
            nearest = float(np.max(cosines, where=meant, initial=0.0))
            nearness = nearest - _near_by_chance(int(np.count_nonzero(meant)))
        odds = recipe.sure_words * words + recipe.sure_cosine * nearness + recipe.sure_bias
        odds += recipe.sure_statement if self.query.is_statement else 0
        return 1 / (1 + exp(-odds))

    def _best(self, scores: Scores) -> float:
        return max(0.0, float(np.max(scores, where=self.seen, initial=0.0)))

    def _told(self) -> Scores:
        """For each row a factor that is larger where it was said in the time that the query names, or soon after."""
        days = (micros(datetime(day.year, day.month, day.day, tzinfo=UTC)) for day in self.query.days)
        times = [(start, start + _DAY) for start in days]
        if when := self.query.when:
            times.append((micros(when.start), micros(when.end)))
        said, recipe = self.index.said_at.values, self.recipe
        factors = np.ones(len(said), np.float32)
        for start, end in times:
            told = (said >= start) & (said < end + _TOLD_WITHIN)
            share = recipe.told if end - start <= _SHORT else recipe.told_in_longer
            factors[told] = np.maximum(factors[told], np.float32(1 + share))
        return factors

    def _find(self, hashes: list[list[int]]) -> _Found:
        """Where the words stand in the texts seen (a word's hashes are of different languages: no row twice)."""
        word_of = np.repeat(np.arange(len(hashes), dtype=np.int32), [len(keys) for keys in hashes])
        keys = np.array([key for keys in hashes for key in keys], np.uint64)
        places, rows, times = self.index.postings.find(keys)
        return _Found(word_of[places], rows, times).where(self.seen[rows])

    def _with_labels(
        self, text: _Found, speaks: Sequence[Mask | None], dated: Sequence[Mask | None]
    ) -> _Found:
        """Count the speaker's name and the day as words of the row."""
        for word, labels in enumerate(zip(speaks, dated, strict=True)):
            if all(label is None for label in labels):
                continue
            chosen = text.words == word
            held = np.zeros(len(self.seen), np.float32)
            held[text.rows[chosen]] = text.times[chosen]
            for label, worth in zip(labels, (self.recipe.speaker, self.recipe.date), strict=True):
                if label is not None:
                    held += np.float32(worth) * (label & self.seen)
            text = text.where(~chosen).followed_by(word, held)
        return text

    def _lend(self, text: _Found, shares: Scores) -> None:
        """Credit the neighbours of rows with a part of the rows' evidence, the largest that any of them lends."""
        index, recipe = self.index, self.recipe
        own = self._saturated(text)
        for offset, share in recipe.offsets:
            towards = (index.next if offset < 0 else index.previous).values
            target = towards[text.rows]
            for _ in range(abs(offset) - 1):
                target = towards[target]
            lent = np.float32(share) * own
            if offset == -1:
                asked = (index.flags.values[text.rows] & SHORT_QUESTION) > 0
                other = index.voices.values[text.rows] != index.voices.values[target]
                lent += np.float32(recipe.answered) * own * (asked & other)
            # No row is the neighbour of two, so that no place is written twice (but row 0, which is nobody).
            shares[text.words, target] = np.maximum(shares[text.words, target], lent)

    def _saturated(self, text: _Found) -> Scores:
        recipe = self.recipe
        length = self.index.lengths.values[text.rows] + np.float32(1)
        late = np.float32(recipe.k1 * (1 - recipe.b)) + length * np.float32(
            recipe.k1 * recipe.b / recipe.usual_length
        )
        return text.times * np.float32(1 + recipe.k1) / (text.times + late) + np.float32(recipe.presence)

    def _rarity(self, found: Scores) -> Scores:
        """Inverse document frequencies, evened out without changing their sum."""
        idf = np.log1p((np.count_nonzero(self.seen) - found + 0.5) / (found + 0.5))
        evened = idf**self.recipe.idf_power
        total = float(evened.sum())
        return evened * (float(idf.sum()) / total) if total else evened

    def _likeness(self, cosines: Scores) -> Scores:
        """How near each row is in meaning: 0 is usual in the partition, 1 the nearest; then what is around it."""
        index, recipe = self.index, self.recipe
        known = self.seen & ~np.isnan(cosines)
        own = np.zeros(len(known), np.float32)
        if not known.any():
            return own
        held, sessions = cosines[known], index.sessions.values
        topic = recipe.topic_of_statement if self.query.is_statement else recipe.topic
        held = held + np.float32(topic) * _means(held, sessions[known])
        usual = float(held.mean())
        own[known] = (held - usual) / max(float(held.max()) - usual, recipe.spread)
        peaks = np.zeros(index.session_count, np.float32)
        np.maximum.at(peaks, sessions[known], own[known])
        around = (
            recipe.meaning_previous * own[index.previous.values]
            + recipe.meaning_next * own[index.next.values]
        )
        return own + around + recipe.meaning_session * peaks[sessions]


def _near_by_chance(count: int) -> float:
    """About the best cosine of so many texts that have nothing to do with the query: the more, the nearer.

    The largest of n draws of a normal distribution is near its deviation times sqrt(2 ln n); cosines of unrelated
    texts of conversations stray about .12 from nothing, with MiniLM.
    """
    return 0.12 * sqrt(2 * log(max(count, 1)))


def _means(values: Scores, groups: Rows) -> Scores:
    """For each value, the mean of its group."""
    means = np.bincount(groups, values) / np.maximum(np.bincount(groups), 1)
    return means.astype(np.float32)[groups]


def _scored(strengths: Scores, sure: float) -> Scores:
    """Scores for rows in order: the best is as sure as the query, one without any strength half as much."""
    if not len(strengths):
        return strengths
    best = max(float(strengths[0]), 1e-9)
    scores: Scores = sure * (0.5 + 0.5 * np.clip(strengths / best, 0, 1))
    return scores


def _top(scores: Scores, wanted: Mask, limit: int) -> Rows:
    """The wanted rows with the best scores, best first; of equals, the later row first."""
    rows = np.flatnonzero(wanted).astype(np.int32)
    if limit < len(rows):
        least = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[scores[rows] >= least]
    best: Rows = rows[np.lexsort((-rows, -scores[rows]))]
    return best[:limit]
