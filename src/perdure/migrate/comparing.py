"""Whether two stores hold the same, record by record."""

from __future__ import annotations

import json
from bisect import insort
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from operator import itemgetter
from typing import Final

from perdure.engine.records import to_record
from perdure.ports import Export, Exports
from perdure.types import Memory, Partition, Scope

STORES_OWN: Final = ("ord", "seq", "first", "last")
"""What a store numbers itself."""
WORDS: Final = 12
"""So many of a memory's first words make a question."""
PAGE: Final = 500
"""After so many records it is told how far the comparison is."""


@dataclass(kw_only=True)
class Tally:
    """What is in both stores, and what in one of them alone."""

    same: int = 0
    missing: int = 0
    """Records that the target lacks, or has otherwise."""
    beside: int = 0
    """Records that the target alone has, of those whom the source knows."""
    checksum: int = 0
    """Of all records of the source, in whatever order."""
    done: int = 0
    """Records of the source that were read."""
    differing: list[str] = field(default_factory=list)
    """Owners of whom something is missing, the first few."""
    fuller: set[Partition] = field(default_factory=set)
    """Those of which the target has more: searches find that, too."""

    def take(self, partition: Partition, source: Counter[bytes], target: Counter[bytes]) -> None:
        """Add a partition, by the fingerprints of its records."""
        missing, beside = (source - target).total(), (target - source).total()
        self.same += source.total() - missing
        self.missing += missing
        self.beside += beside
        if beside:
            self.fuller.add(partition)
        self.checksum ^= sum(int.from_bytes(one) * times for one, times in source.items()) % 2**128
        if missing and len(self.differing) < 10:
            self.differing.append(f"{partition.tenant}/{partition.owner}")


@dataclass(frozen=True, slots=True)
class Question:
    """A search, made from a memory."""

    scope: Scope
    text: str


class Sample:
    """Some of the current memories: those whose ids have the smallest hashes, the same ones in every order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._held: list[tuple[bytes, Question]] = []

    @property
    def questions(self) -> list[Question]:
        """What to search for."""
        return [question for _, question in self._held]

    def see(self, export: Export) -> None:
        """Take it, in the place of another one, or leave it."""
        memory = export.record
        if not (isinstance(memory, Memory) and memory.retired_at is None and memory.erased_at is None):
            return
        question = Question(memory.scope, " ".join(memory.text.split()[:WORDS]))
        lot = blake2b(f"{memory.scope.tenant}/{memory.id}".encode(), digest_size=8).digest()
        insort(self._held, (lot, question), key=itemgetter(0))
        del self._held[self._size :]


def fingerprint(export: Export) -> bytes:
    """Of a record, without what each store numbers itself."""
    record = {name: value for name, value in to_record(export).items() if name not in STORES_OWN}
    if record.get("place") is not None:
        record["place"] = True
    told = json.dumps(record, sort_keys=True, ensure_ascii=True, default=str)
    return blake2b(told.encode(), digest_size=16).digest()


async def compared(
    source: Exports, target: Exports, tenant: str, tally: Tally, told: Callable[[], None]
) -> None:
    """Compare all that the source has of a tenant with what the target has of it; `told` after each page."""
    async with aclosing(_partitions(target.export(tenant))) as theirs:
        held = await anext(theirs, None)
        async for partition, records in _partitions(_counted(source.export(tenant), tally, told)):
            while held is not None and held[0].owner < partition.owner:
                held = await anext(theirs, None)
            found = held[1] if held is not None and held[0] == partition else Counter[bytes]()
            tally.take(partition, records, found)


async def _counted(
    records: AsyncIterator[Export], tally: Tally, told: Callable[[], None]
) -> AsyncIterator[Export]:
    async for export in records:
        yield export
        tally.done += 1
        if tally.done % PAGE == 0:
            told()
    told()


async def _partitions(
    records: AsyncIterator[Export],
) -> AsyncGenerator[tuple[Partition, Counter[bytes]]]:
    """The fingerprints of each partition's records, in the order of the partitions."""
    partition, held = None, Counter[bytes]()
    async for export in records:
        if partition is not None and export.partition != partition:
            yield partition, held
            held = Counter[bytes]()
        partition = export.partition
        held[fingerprint(export)] += 1
    if partition is not None:
        yield partition, held
