"""What engines find for a search, held to the truth: what is newer than they know is added from the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import numpy as np

from perdure.engine.derived.follower import Follower
from perdure.engine.embedding import cosines
from perdure.engine.index import PartitionIndex
from perdure.ports import Store
from perdure.ports.derived import Counts, Followed, GraphEngine, Near, VectorEngine
from perdure.types import Partition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from perdure.engine.rank import Scores

CANDIDATES: Final = 200
"""So many of the nearest an engine gives; the others count as being as near as the last of these."""
ENOUGH: Final = 0.9
"""An engine that holds less than this share of what it was told has lost the rest; somebody may be deleting some."""
EXACT: Final = 1_000
"""So many versions at most are compared here, with vectors from the store."""
NAME_WORDS: Final = 4
"""Words of a name in a question, at most; letters, where words are not divided."""
NAME_LETTERS: Final = 8
_AROUND: Final = ".,;:!?\"'()[]{}¿¡«»„“”‚‘’"
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Thai, Lao, Khmer, Japanese, Chinese, Korean (whose particles stand at the word)."""
STEPS: Final = 2
"""How far relations may be from a name in a question."""
RELATIONS: Final = 20

Nearness: TypeAlias = "Callable[[PartitionIndex], Scores]"
"""Each row's cosine with a question, as far as it is known, on an index as it is then."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What is known of how near a partition's versions are to a question."""

    cosines: Mapping[int, float]
    """By `ord`."""
    others: float
    """Of those with vectors that are not among them."""

    def over(self, index: PartitionIndex) -> Scores:
        """By row; NaN without a vector."""
        found = np.where(index.embedded, np.float32(self.others), np.float32(np.nan))
        rows = index.rows_of(self.cosines)
        found[rows] = [self.cosines[ord_] for ord_ in index.ords.values[rows].tolist()]
        return found


class VectorLeg:
    """Asks a vector engine for what is near."""

    def __init__(self, follower: Follower, engine: VectorEngine, store: Store) -> None:
        """The engine is the follower's."""
        self._follower = follower
        self._engine = engine
        self._followed = cast("Followed", store)

    async def candidates(
        self,
        partition: Partition,
        index: PartitionIndex,
        vector: NDArray[np.float32],
        wanted: Sequence[int] | None,
    ) -> tuple[Candidates, str | None]:
        """How near versions are to a question, and what is lacking.

        Args:
            wanted: the versions that the search is for; None: all.

        Raises:
            Unavailable: the engine cannot be had.
            ConfigurationError: likewise, until somebody mends the configuration.
        """
        head, alive = index.head, index.ords.values[index.alive.values]
        few = wanted is not None and len(wanted) <= EXACT
        found, known = await self._found(partition, index, vector, None if few else wanted)
        fresh = alive[alive > known].tolist()
        near = {ord_: cosine for ord_, cosine in found if ord_ <= head}
        others = min(near.values(), default=0.0)
        near |= await self._exact(partition, vector, [*fresh[-EXACT:], *((wanted or ()) if few else ())])
        lacks = len(fresh) > EXACT
        return Candidates(near, others), f"{head - known} changes" if lacks else None

    async def _found(
        self,
        partition: Partition,
        index: PartitionIndex,
        vector: NDArray[np.float32],
        among: Sequence[int] | None,
    ) -> tuple[Sequence[Near], int]:
        """What the engine finds, and up to which change it knows all: nothing, while it is told again."""
        if partition in self._follower.lost:
            return [], 0
        found = await self._follower.asked(
            lambda: self._engine.nearest(partition, vector, limit=CANDIDATES, among=among)
        )
        known = await self._follower.known(partition, index.head)
        told = int(index.embedded[index.alive.values & (index.ords.values <= known)].sum())
        if not await self._lost(partition, told, len(found) if among is None else None):
            return found, known
        if (
            known < index.head
        ):  # it may lack vectors that were made late: they are told with the other changes
            self._follower.seen_whole.discard(partition)
        else:
            self._follower.tell_anew(partition, known)
        return [], 0

    async def _lost(self, partition: Partition, told: int, found: int | None) -> bool:
        """Whether the engine holds less than it was told: somebody removed it, or put an old backup in its place.

        It is counted when this process first asks, and when less is found than there should be.

        Args:
            told: versions with vectors.
            found: of them, when all were asked for.
        """
        seen = self._follower.seen_whole
        short = found is not None and found < ENOUGH * min(told, CANDIDATES)
        if not short and partition in seen:
            return False
        if isinstance(engine := self._engine, Counts):
            held = await self._follower.asked(lambda: engine.held(partition))
            lost = held < ENOUGH * told
        else:
            lost = short and partition not in seen
        seen.add(partition)
        return lost

    async def _exact(
        self, partition: Partition, vector: NDArray[np.float32], ords: Sequence[int]
    ) -> dict[int, float]:
        if not ords:
            return {}
        held = await self._followed.vectors(partition, ords)
        made = cosines(held, [vector])[0].tolist()
        return {ord_: cosine for ord_, cosine, data in zip(ords, made, held, strict=True) if data}


class GraphLeg:
    """Asks a graph engine for what is stated of the names in a question."""

    def __init__(self, follower: Follower, engine: GraphEngine) -> None:
        """The engine is the follower's."""
        self._follower = follower
        self._engine = engine

    async def around(self, partition: Partition, head: int, text: str) -> tuple[list[int], str | None]:
        """The versions that state something of what a text names; what is lacking, and errors, as of `VectorLeg`."""
        found = await self._follower.asked(
            lambda: self._engine.around(partition, possible_names(text), depth=STEPS, limit=RELATIONS)
        )
        known = await self._follower.known(partition, head)
        return found, f"{head - known} changes" if known < head else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Legs:
    """The engines that searches ask."""

    vectors: VectorLeg | None = None
    graph: GraphLeg | None = None


NO_LEGS: Final = Legs()


def possible_names(text: str) -> list[str]:
    """Everything in a text that could be a name: its words and what they make together, folded.

    Where words are not divided by spaces, any few letters that stand together.
    """
    from perdure.engine.entities.spelling import fold  # with its neighbours, many patterns

    words = [word for word in (part.strip(_AROUND) for part in fold(text).split()) if word]
    spans = [" ".join(span) for span in _spans(words, 1, NAME_WORDS)]
    for run in _UNSPACED.findall(text):
        spans += ("".join(span) for span in _spans(run, 2, NAME_LETTERS))
    return list(dict.fromkeys(spans))


def _spans(parts: Sequence[str], least: int, most: int) -> Iterator[Sequence[str]]:
    """What stands together, `least` to `most` at a time."""
    for start in range(len(parts)):
        for end in range(start + least, min(start + most, len(parts)) + 1):
            yield parts[start:end]
