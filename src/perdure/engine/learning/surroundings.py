"""What stands around new turns and new facts: earlier turns, and the facts that they may be about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from perdure.engine.embedding import Vectors
from perdure.engine.index import Mask, PartitionIndex
from perdure.engine.indexes import Indexes
from perdure.engine.learning.answer import Fact
from perdure.engine.learning.reconcile import Near
from perdure.engine.rank import Ranking
from perdure.engine.words import read_query
from perdure.moments import micros
from perdure.ports import Store
from perdure.types import Memory, Partition, Scope, Turn, said

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN: Final = 24
"""So many facts a model is shown at most: those that share words with the turns, and the newest."""
NEWEST: Final = 8
FOR_EACH: Final = 6
"""So many facts each new fact is compared with."""
LOOKED_AT: Final = 4_000
"""Characters of the turns whose words look for facts."""
EARLIER: Final = 4
"""Turns before the new ones, for understanding."""
COMPARED: Final = 0.5
"""Least cosine of what a new fact is compared with."""


class Surroundings:
    """Of one partition, as it is when it is asked."""

    def __init__(self, store: Store, indexes: Indexes, partition: Partition) -> None:
        self._store = store
        self._indexes = indexes
        self._partition = partition

    async def shown(self, own: Sequence[Memory], now: datetime) -> tuple[list[Memory], list[Turn]]:
        """What a model is shown besides these new turns, oldest first.

        - the current facts of the same scope: all while there are few of them, else those that share words with the
          turns, and the newest
        - the turns of the same session before these
        """
        index = await self._indexes.current(self._partition)
        facts, before = _chosen(index, own, now), _before(index, own)
        rows = [*facts, *before]
        held = (
            await self._store.read(self._partition, [int(index.ords.values[row]) for row in rows])
            if rows
            else []
        )
        known = [memory for memory in held if memory.kind != "turn" and memory.scope == own[0].scope]
        return known[-SHOWN:], [said(memory) for memory in held if memory.kind == "turn"]

    async def alive(self, own: Sequence[Memory]) -> bool:
        """Whether all these versions are still current."""
        index = await self._indexes.current(self._partition)
        return len(index.rows_of([memory.ord for memory in own])) == len(own)

    async def rivals(
        self, scope: Scope, shown: Sequence[Memory], facts: Sequence[Fact], vectors: Vectors, *, now: datetime
    ) -> list[Near]:
        """The facts as they are now that new ones are compared with: those shown, and the nearest to each.

        Args:
            vectors: of each new fact; without them, words decide what is near.
        """
        index = await self._indexes.current(self._partition)
        names = {memory.id for memory in shown}
        wanted = _facts(index, now)
        chosen = {int(row) for row in np.flatnonzero(wanted) if index.ids[row] in names}
        cosines: dict[int, NDArray[np.float32]] = {}
        for place, fact in enumerate(facts):
            if vectors is not None and index.has_vectors:
                cosines[place] = index.cosines(vectors[place][0])
                chosen.update(_nearest(cosines[place], wanted))
            else:
                ranking = Ranking(index, read_query(fact.text), visible=wanted, with_vectors=False)
                chosen.update(int(row) for row in ranking.best(None, limit=FOR_EACH).rows)
        rows = {int(index.ords.values[row]): row for row in sorted(chosen)}
        likeness = {ord_: {p: float(c[row]) for p, c in cosines.items()} for ord_, row in rows.items()}
        held = await self._store.read(self._partition, list(rows))
        return [
            Near(memory=memory, cosines=likeness[memory.ord])
            for memory in held
            if memory.scope == scope and memory.retired_at is None
        ]


def _chosen(index: PartitionIndex, own: Sequence[Memory], now: datetime) -> list[int]:
    """The facts that a model is shown."""
    facts = _facts(index, now)
    rows = np.flatnonzero(facts)
    if len(rows) <= SHOWN:
        return [int(row) for row in rows]
    shared = _shared_words(index, "\n".join(memory.text for memory in own)[:LOOKED_AT])[rows]
    best = rows[np.argsort(-shared, kind="stable")[: SHOWN - NEWEST]]
    return sorted({int(row) for row in (*rows[-NEWEST:], *best)})


def _shared_words(index: PartitionIndex, text: str) -> NDArray[np.float64]:
    """For each row, the sum of the rarities of the words that it shares with a text."""
    hashes = read_query(text).hashes(index.languages)
    places, rows, _ = index.postings.find(
        np.unique(np.array([h for word in hashes for h in word], np.uint64))
    )
    held = np.bincount(places)
    rarity = np.log1p(len(index.ids) / np.maximum(held, 1))
    return np.bincount(rows, rarity[places], minlength=len(index.ids)).astype(np.float64)


def _before(index: PartitionIndex, own: Sequence[Memory]) -> list[int]:
    """The turns before the first of these, in its session."""
    rows = index.rows_of([min(memory.ord for memory in own)])
    row = int(rows[0]) if len(rows) else 0
    found: list[int] = []
    while row and len(found) < EARLIER:
        row = int(index.previous.values[row])
        if row:
            found.insert(0, row)
    return found


def _nearest(cosines: NDArray[np.float32], wanted: Mask) -> list[int]:
    """The wanted rows with the best cosines, so far as they are near at all."""
    near = np.flatnonzero(wanted & (cosines >= COMPARED))
    best = near[np.argsort(-cosines[near], kind="stable")[:FOR_EACH]]
    return [int(row) for row in best]


def alike(vectors: Vectors) -> Mapping[tuple[int, int], float]:
    """The cosine of each two new facts, by their first pieces."""
    if vectors is None or len(vectors) < 2:  # two
        return {}
    matrix = np.stack([vector[0] for vector in vectors])
    products = matrix @ matrix.T
    return {(i, j): float(products[i, j]) for j in range(len(matrix)) for i in range(j)}


def _facts(index: PartitionIndex, now: datetime) -> Mask:
    """The rows that have no place in a conversation, and may be seen."""
    return index.visible(micros(now)) & index.placeless
