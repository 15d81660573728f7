"""What stands around new turns and new facts: earlier turns, and the facts that they may be about."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from perdure.engine.columns import Rows
from perdure.engine.embedding import Vectors, cosines
from perdure.engine.index import Mask, PartitionIndex
from perdure.engine.indexes import Indexes
from perdure.engine.learning.answer import Fact
from perdure.engine.learning.reconcile import Near
from perdure.engine.rank import Ranking
from perdure.engine.words import read_query
from perdure.moments import micros
from perdure.ports import Store
from perdure.ports.derived import Followed
from perdure.types import Memory, Partition, Turn, said

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
    """Of turns that one scope has just got, as it is when it is asked."""

    def __init__(self, store: Store, indexes: Indexes, partition: Partition, own: Sequence[Memory]) -> None:
        """Args: own: the turns' memories, of one scope."""
        self._store = store
        self._indexes = indexes
        self._partition = partition
        self._own = own
        self._read: dict[int, Memory] = {}
        """What was read already; a version that an index holds is as it was."""
        self._vectors: dict[int, bytes] = {}

    async def shown(self, now: datetime) -> tuple[list[Memory], list[Turn]]:
        """What a model is shown besides the turns, oldest first.

        - the current facts of the same scope: all while there are few of them, else those that share words with the
          turns, and the newest
        - the turns of the same session before these
        """
        index = await self._indexes.current(self._partition)
        facts, before = _chosen(index, self._own, now), _before(index, self._own)
        held = await self._versions(int(index.ords.values[row]) for row in (*facts, *before))
        known = [memory for memory in held if memory.kind != "turn"]
        return known, [said(memory) for memory in held if memory.kind == "turn"]

    async def alive(self) -> bool:
        """Whether all the turns' versions are still current."""
        index = await self._indexes.current(self._partition)
        return len(index.rows_of([memory.ord for memory in self._own])) == len(self._own)

    async def rivals(
        self, shown: Sequence[Memory], facts: Sequence[Fact], vectors: Vectors, *, now: datetime
    ) -> list[Near]:
        """The facts as they are now that new ones are compared with: those shown, and the nearest to each.

        Args:
            vectors: of each new fact; without them, words decide what is near.
        """
        index = await self._indexes.current(self._partition)
        if vectors is not None and not index.holds_vectors:
            await self._fetch(index, now)
        wanted = _facts(index, self._own, now)
        rows = np.flatnonzero(wanted).astype(np.int32)
        names = {memory.id for memory in shown}
        chosen = {int(row) for row in rows if index.ids[row] in names}
        near = None
        if vectors is not None and index.has_vectors:
            near = self._cosines(index, rows, [vector[0] for vector in vectors])
            chosen.update(int(row) for each in near for row in rows[_nearest(each)])
        else:
            for fact in facts:
                ranking = Ranking(index, read_query(fact.text), visible=wanted, with_vectors=False)
                chosen.update(int(row) for row in ranking.best(None, limit=FOR_EACH).rows)
        likeness = _likeness(index, rows, chosen, near)
        held = await self._versions(likeness)
        return [Near(memory=memory, cosines=likeness[memory.ord]) for memory in held]

    async def _fetch(self, index: PartitionIndex, now: datetime) -> None:
        """Read the facts' vectors from the store, where an engine holds them and not the index."""
        rows = np.flatnonzero(_facts(index, self._own, now))
        lacking = [ord_ for ord_ in index.ords.values[rows].tolist() if ord_ not in self._vectors]
        if lacking and isinstance(self._store, Followed):
            held = await self._store.vectors(self._partition, lacking)
            self._vectors.update(zip(lacking, held, strict=True))

    def _cosines(
        self, index: PartitionIndex, rows: Rows, queries: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        """Cosines of facts with new ones, `(queries, rows)`; NaN for a fact that came while vectors were read."""
        if index.holds_vectors:
            return index.cosines_among(rows, queries)
        return cosines([self._vectors.get(ord_, b"") for ord_ in index.ords.values[rows].tolist()], queries)

    async def _versions(self, ords: Iterable[int]) -> list[Memory]:
        """The current versions with these numbers, in their order; each is read once."""
        wanted = list(ords)
        if unknown := [ord_ for ord_ in wanted if ord_ not in self._read]:
            read = await self._store.read(self._partition, unknown)
            self._read.update((memory.ord, memory) for memory in read if memory.retired_at is None)
        return [self._read[ord_] for ord_ in wanted if ord_ in self._read]


def _chosen(index: PartitionIndex, own: Sequence[Memory], now: datetime) -> list[int]:
    """The facts that a model is shown."""
    rows = np.flatnonzero(_facts(index, own, now))
    if len(rows) <= SHOWN:
        return [int(row) for row in rows]
    shared = _shared_words(index, "\n".join(memory.text for memory in own)[:LOOKED_AT])[rows]
    best = rows[np.argsort(-shared, kind="stable")[: SHOWN - NEWEST]]
    return sorted({int(row) for row in (*rows[-NEWEST:], *best)})


def _likeness(
    index: PartitionIndex, rows: Rows, chosen: Collection[int], cosines: NDArray[np.float32] | None
) -> dict[int, dict[int, float]]:
    """By the `ord` of each chosen row, oldest first: its cosines by the places of the new facts.

    Args:
        cosines: `(facts, rows)`.
    """
    places = {int(row): place for place, row in enumerate(rows)}
    return {
        int(index.ords.values[row]): {}
        if cosines is None
        else dict(enumerate(cosines[:, places[row]].tolist()))
        for row in sorted(chosen)
    }


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


def _nearest(cosines: NDArray[np.float32]) -> NDArray[np.intp]:
    """The places of the best cosines, so far as they are near at all."""
    near = np.flatnonzero(cosines >= COMPARED)
    return near[np.argsort(-cosines[near], kind="stable")[:FOR_EACH]]


def alike(vectors: Vectors) -> Mapping[tuple[int, int], float]:
    """The cosine of each two new facts, by their first pieces."""
    if vectors is None or len(vectors) < 2:  # two
        return {}
    matrix = np.stack([vector[0] for vector in vectors])
    products = matrix @ matrix.T
    return {(i, j): float(products[i, j]) for j in range(len(matrix)) for i in range(j)}


def _facts(index: PartitionIndex, own: Sequence[Memory], now: datetime) -> Mask:
    """The rows of the turns' own scope that have no place in a conversation, and may be seen."""
    turns = index.rows_of([memory.ord for memory in own])
    scopes, same = index.scopes.values, np.zeros(len(index.ids), np.bool_)
    for scope in set(scopes[turns].tolist()):
        same |= scopes == scope
    return index.visible(micros(now)) & index.placeless & same
