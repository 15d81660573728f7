"""A move made again: what has ended, was erased, refined or done at the source since then, is so at the target too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b
from typing import Final, NamedTuple

from perdure.errors import Conflict
from perdure.ids import new_id
from perdure.migrate.movable import Movable
from perdure.ports import Batch, Entry, Export, Write
from perdure.types import Change, Memory, Partition, utc_now

_STATE: Final = ("attempts", "error", "answer", "due_at", "given_up")
"""What becomes of a job when it is tried."""


class Follower:
    """Takes a tenant's records in, in the order of the source, and lets what is at the target follow them."""

    def __init__(self, giver: Movable, taker: Movable, tenant: str) -> None:
        self._giver = giver
        self._taker = taker
        self._tenant = tenant
        self._before: frozenset[Partition] = frozenset()
        self._behind: _Behind | None = None
        """The partition that the source is at, if the target had it before."""

    async def begin(self) -> None:
        """Look what the target has already, and take away the jobs that were done at the source."""
        self._before = frozenset(await self._taker.partitions(self._tenant))
        theirs = {job.id: job for job in await self._giver.jobs(self._tenant)}
        for job in await self._taker.jobs(self._tenant):
            if job.id not in theirs and await self._giver.written(self._tenant, job.id):
                # it was there, and is not any more
                await self._commit(Batch(id=job.id, partition=job.partition, at=job.made_at, done=(job.id,)))

    async def end(self) -> None:
        """Let jobs be tried, or given up, as they are at the source, unless somebody is at them here."""
        theirs = {job.id: job for job in await self._giver.jobs(self._tenant)}
        for job in await self._taker.jobs(self._tenant):
            if job.id in theirs and not job.leased(utc_now()):
                state = {name: getattr(theirs[job.id], name) for name in _STATE}
                if replace(job, **state) != job:
                    await self._taker.keep_job(replace(job, **state))

    async def take(self, page: Sequence[Export]) -> int:
        """Take a page in; how much of it was new.

        Versions end before others begin; words go when everything else has come, so that times are those of the source.
        """
        kept: list[Export] = []
        steps = _Steps()
        for export in page:
            behind = await self._at(export.partition)
            if behind is None or behind.follow(export, steps):
                kept.append(export)
        for batch in steps.batches():
            await self._commit(batch)
        new = await self._taker.restore(kept)
        for (at, reason), ids in sorted(steps.erased.items(), key=lambda one: one[0][0]):
            await self._taker.erase_alone(self._tenant, ids, at=at, reason=reason)
        return new + steps.count

    async def _at(self, partition: Partition) -> _Behind | None:
        if partition not in self._before:
            return None
        if self._behind is None or self._behind.partition != partition:
            self._behind = await _Behind.of(self._taker, partition)
        return self._behind

    async def _commit(self, batch: Batch) -> None:
        with suppress(Conflict):  # somebody changes the target meanwhile: the comparison will tell
            await self._taker.commit(batch)


class _Held(NamedTuple):
    """The last version of a memory with words at the target."""

    ord: int
    version: int
    recorded_at: datetime
    current: bool
    salience: float
    categories: tuple[str, ...]
    entry: bytes
    """The fingerprint of what is computed from its words."""
    reached: bool = False
    """Whether the source's log has come to this version, and to none after it."""


@dataclass(kw_only=True)
class _Steps:
    """What is to be done at the target about a page, beside taking it in."""

    refined: dict[Partition, list[Write]] = field(default_factory=dict)
    ended: dict[tuple[Partition, str, datetime], list[Write]] = field(default_factory=dict)
    """By their batches at the source."""
    erased: dict[tuple[datetime, str | None], list[str]] = field(default_factory=dict)
    """By when and why."""

    @property
    def count(self) -> int:
        """Lines of the log that the target did not have."""
        return sum(map(len, self.ended.values())) + sum(map(len, self.erased.values()))

    def batches(self) -> list[Batch]:
        """What becomes known of versions, then what ends them, as the source has it."""
        now = utc_now()
        refined = [Batch(id=new_id(), partition=p, at=now, writes=tuple(w)) for p, w in self.refined.items()]
        ended = [Batch(id=i, partition=p, at=at, writes=tuple(w)) for (p, i, at), w in self.ended.items()]
        return refined + ended


@dataclass(kw_only=True)
class _Behind:
    """A partition of the target from before, while the source's log goes by."""

    partition: Partition
    held: dict[str, _Held]
    """By the ids of memories."""
    begun: str | None = None
    """The memory of which a version has just come: the next change is the one that began it."""

    @classmethod
    async def of(cls, taker: Movable, partition: Partition) -> _Behind:
        """What the target has of it."""
        held: dict[str, _Held] = {}
        async for export in taker.export(partition.tenant, [partition], with_entries=True):
            memory = export.record
            if isinstance(memory, Memory) and memory.erased_at is None:
                held[memory.id] = _Held(
                    ord=memory.ord,
                    version=memory.version,
                    recorded_at=memory.recorded_at,
                    current=memory.retired_at is None,
                    salience=memory.salience,
                    categories=memory.categories,
                    entry=_fingerprint(export.entry),
                )
        return cls(partition=partition, held=held)

    def follow(self, export: Export, steps: _Steps) -> bool:
        """Note what is to be done about a record; whether it is to be taken in."""
        if isinstance(export.record, Memory):
            self._version(export.record, export.entry, steps)
        elif isinstance(export.record, Change):
            return self._change(export.record, steps)
        return True

    def _version(self, memory: Memory, entry: Entry | None, steps: _Steps) -> None:
        """A version of the source.

        - The target has none after it, and this one: the source's log has reached it, and may know more of it.
        - The target has only earlier ones: it gets this one, as it ended at the source.
        - The target has others of its own: they stay, and the comparison will tell.
        """
        self.begun = memory.id
        held = self.held.get(memory.id)
        if held is None:
            return
        if (held.version, held.recorded_at) == (memory.version, memory.recorded_at):
            self.held[memory.id] = held._replace(reached=True)
            if held.current and (write := _refining(memory, entry, held)) is not None:
                steps.refined.setdefault(self.partition, []).append(write)
        elif held.version < memory.version:
            self.held[memory.id] = held._replace(current=False)

    def _change(self, change: Change, steps: _Steps) -> bool:
        """A line of the source's log.

        - It began a version, or the target has no words of this memory: nothing.
        - An erasure: the words go, and with them comes the line.
        - It ended the version that is current here: so it ends here.
        """
        begins, self.begun = self.begun == change.memory_id, None
        held = self.held.get(change.memory_id)
        if begins or held is None:
            return True
        if change.event == "ERASE":
            del self.held[change.memory_id]
            steps.erased.setdefault((change.at, change.reason), []).append(change.memory_id)
            return False
        if held.reached and held.current and change.write_id is not None:
            self.held[change.memory_id] = held._replace(current=False)
            write = Write(
                event=change.event,
                memory_id=change.memory_id,
                replaces=held.ord,
                actor=change.actor,
                reason=change.reason,
            )
            steps.ended.setdefault((self.partition, change.write_id, change.at), []).append(write)
        return True


def _refining(memory: Memory, entry: Entry | None, held: _Held) -> Write | None:
    """What the source knows of a version besides; vectors are not taken from one that has some."""
    salience = memory.salience if memory.salience != held.salience else None
    categories = memory.categories if memory.categories and memory.categories != held.categories else None
    better = entry if entry is not None and entry.vectors and _fingerprint(entry) != held.entry else None
    if salience is None and categories is None and better is None:
        return None
    return Write(
        event="REFINE",
        memory_id=memory.id,
        refines=held.ord,
        entry=better,
        salience=salience,
        categories=categories,
    )


def _fingerprint(entry: Entry | None) -> bytes:
    told = b"" if entry is None else repr(entry).encode()
    return blake2b(told, digest_size=16).digest()
