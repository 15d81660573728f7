"""The texts, questions and vectors that both sides are measured with: generated, seeded, the same in every run."""

from __future__ import annotations

import functools
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 384
COMMON_WORDS = """
the i to and a you it that of in is my me was we for have so on but this just with like be are not they what do at
know can about think really up out get good if your all time when one would had she he there been from as some how
will went did going go see back want our new got work day more very them her his an or too people now make then last
feel year week much love great been always next home friend family still take over said after tell long before first
need thing find trip city book music dinner school garden kitchen coffee morning evening weekend summer winter
project meeting office manager doctor appointment birthday sister brother mother father daughter son dog cat bike
train flight ticket hotel beach mountain river museum concert movie guitar piano painting photo camera recipe bread
soup cake salad restaurant market shop price money bank rent house apartment room window door car bus street bridge
tired happy worried excited proud sorry glad funny quiet busy ready early late yesterday tomorrow tonight monday
friday sunday march april june october plan start finish learn teach practice read write run swim climb travel visit
call send meet help try stop change move buy sell cook eat drink sleep dream remember forget allergic vegetarian
favourite blue green red small large old young warm cold fresh sweet strong simple difficult interesting important
"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One memory to be: whose it is and what is said."""

    user: str
    text: str


@functools.cache
def vocabulary(size: int = 5000) -> tuple[str, ...]:
    """Common words first, then compounds of two, as "bookgarden": the long tail of names and terms of every archive.

    A model's tokenizer makes two pieces of a compound, so that a text has as many pieces as one of real chats.
    """
    rng, common = np.random.default_rng(7), COMMON_WORDS.split()
    words = dict.fromkeys(common)
    parts = [word for word in common if len(word) > 3]
    while len(words) < size:
        words.setdefault("".join(rng.choice(parts, size=2)))
    return tuple(words)


def texts(count: int, *, seed: int) -> Iterator[str]:
    """`count` sentences of 8 to 30 words, whose frequencies follow Zipf's law."""
    rng = np.random.default_rng(seed)
    words = vocabulary()
    chances = 1.0 / np.arange(1, len(words) + 1) ** 1.05
    chances /= chances.sum()
    for length in rng.integers(8, 31, size=count):
        yield " ".join(words[i] for i in rng.choice(len(words), size=length, p=chances)).capitalize() + "."


def rows(count: int, *, users: int, seed: int = 1) -> list[Row]:
    """`count` rows dealt to `users` in turn."""
    names = itertools.cycle(f"user-{number}" for number in range(users))
    return [Row(user=user, text=text) for user, text in zip(names, texts(count, seed=seed), strict=False)]


def questions(of: list[Row], count: int, *, seed: int = 2) -> list[tuple[Row, str]]:
    """`count` rows with a question that uses three of the row's words, rare ones first: as long as a question in a chat."""
    rng = np.random.default_rng(seed)
    rank = {word: number for number, word in enumerate(vocabulary())}
    chosen = [of[i] for i in rng.choice(len(of), size=count, replace=count > len(of))]
    return [(row, f"What about {' '.join(_rarest(row.text, rank, 3))}?") for row in chosen]


def _rarest(text: str, rank: dict[str, int], count: int) -> list[str]:
    distinct = dict.fromkeys(text.lower().rstrip(".").split())
    return sorted(distinct, key=lambda word: -rank[word])[:count]


@functools.cache
def _word_vector(word: str) -> NDArray[np.float32]:
    return np.random.default_rng(zlib.crc32(word.encode())).standard_normal(DIMENSIONS, dtype=np.float32)


@functools.lru_cache(maxsize=1000)
def vector(text: str) -> NDArray[np.float32]:
    """The sum of one fixed random direction per word, normalised: texts that share words are near."""
    total = np.sum([_word_vector(word) for word in text.lower().rstrip(".?").split()], axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)


def nearest(question: str, candidates: list[str], count: int) -> list[str]:
    """Brute force: the `count` candidates most like the question (by cosine, above 0), best first."""
    cosines = np.stack([vector(text) for text in candidates]) @ vector(question)
    return [candidates[i] for i in np.argsort(-cosines, kind="stable")[:count] if cosines[i] > 0]
