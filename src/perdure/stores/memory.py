"""The truth in plain dictionaries: for tests, and the oracle that other stores are held to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from perdure.errors import Closed, Conflict, InvalidInput, ModelMismatch
from perdure.filters import matches
from perdure.moments import micros
from perdure.ports import (
    Batch,
    Committed,
    Delta,
    Entry,
    EntryRow,
    Erased,
    Export,
    Query,
    Space,
    StoreStats,
    Write,
)
from perdure.types import Change, Memory, Partition, Scope, Turn, session_after


@dataclass
class _Shelf:
    """One partition."""

    seq: int = 0
    turns: dict[str, Turn] = field(default_factory=dict)
    rows: dict[int, Memory] = field(default_factory=dict)
    """Every version ever, by `ord`; only the end of a version is ever changed."""
    log: list[tuple[Change, int | None, int | None]] = field(default_factory=list)
    """Each change, with the `ord`s that it retired and made."""
    keys: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    entries: dict[tuple[Space, int], Entry] = field(default_factory=dict)


@dataclass(kw_only=True)
class InMemoryStore:
    """Everything a store promises but one thing: it is gone when the process ends."""

    def __post_init__(self) -> None:
        """Empty."""
        self._shelves: dict[Partition, _Shelf] = {}
        self._space: Space | None = None
        self._open = False

    async def open(self, space: Space | None) -> None:
        """Adopt the space while there are no entries."""
        self._open = True
        if space is None:
            return
        held = self._space
        if (
            held is None
            or (held.model is None and held.analyzer == space.analyzer)
            or not self._has_entries()
        ):
            self._space = space
        elif held.analyzer != space.analyzer or (space.model is not None and space != held):
            raise ModelMismatch(f"the entries were made with {held}, not with {space}: run `perdure reindex`")

    async def aclose(self) -> None:
        """Refuse everything from now on."""
        self._open = False

    async def commit(self, batch: Batch) -> Committed:
        """All or nothing: first everything that can be wrong is looked at, then everything is done."""
        self._check_open()
        shelf = self._shelves.setdefault(batch.partition, _Shelf())
        if batch.key is not None and (earlier := self._repetition(shelf, batch)) is not None:
            return earlier
        self._check(shelf, batch)
        for turn in batch.turns:
            before = [t for t in shelf.turns.values() if t.scope == turn.scope]
            shelf.turns[turn.id] = replace(turn, session=session_after(before[-1] if before else None, turn))
        for write in batch.writes:
            self._apply(shelf, batch, write)
        if batch.key is not None:
            shelf.keys[batch.key] = (batch.id, batch.at)
        return Committed(
            batch_id=batch.id, memory_ids=tuple(w.memory_id for w in batch.writes), head=shelf.seq
        )

    async def load(self, partition: Partition, *, since: int = 0, known_at: datetime | None = None) -> Delta:
        """What came after, from the log."""
        self._check_open()
        shelf = self._shelves.get(partition, _Shelf())
        if known_at is not None:
            rows = [m for m in shelf.rows.values() if _known(m, known_at)]
            return Delta(head=shelf.seq, rows=[self._row(shelf, m) for m in rows])
        rows = [m for m in shelf.rows.values() if m.ord > since and m.retired_at is None]
        dead = [old for change, old, _ in shelf.log if change.seq > since and old is not None]
        return Delta(head=shelf.seq, rows=[self._row(shelf, m) for m in rows], dead=dead)

    async def read(self, partition: Partition, ords: Sequence[int]) -> list[Memory]:
        """In the order asked."""
        self._check_open()
        rows = self._shelves.get(partition, _Shelf()).rows
        return [rows[o] for o in ords if o in rows and rows[o].erased_at is None]

    async def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The newest version."""
        self._check_open()
        versions = [m for _, m in self._rows(tenant) if m.id == memory_id and m.erased_at is None]
        return max(versions, key=lambda m: m.ord, default=None)

    async def find(self, query: Query) -> list[Memory]:
        """All that match, sorted, then cut."""
        self._check_open()
        found = [(p, m) for p, m in self._rows(query.tenant) if self._matches(query, p, m)]
        newest = query.order == "newest"
        found.sort(key=lambda pm: (micros(pm[1].said_at), pm[0].owner, pm[1].ord), reverse=newest)
        end = None if query.limit is None else query.offset + query.limit
        return [memory for _, memory in found[query.offset : end]]

    async def select(self, partition: Partition, query: Query) -> list[int]:
        """The `ord`s of what matches."""
        wanted = replace(query, partitions=(partition,), limit=None, offset=0)
        return sorted(memory.ord for memory in await self.find(wanted))

    async def partitions(self, tenant: str, within: Sequence[Scope] | None = None) -> list[Partition]:
        """Those that hold a memory under one of the scopes, erased ones aside."""
        self._check_open()
        found = {
            p for p, m in self._rows(tenant) if within is None or any(_under(m.scope, s) for s in within)
        }
        return sorted(found)

    async def history(self, tenant: str, memory_id: str) -> list[Change]:
        """The log, with the texts of the versions it names."""
        self._check_open()
        return [
            replace(change, old_text=self._text(shelf, old), new_text=self._text(shelf, new))
            for shelf in self._of(tenant).values()
            for change, old, new in shelf.log
            if change.memory_id == memory_id
        ]

    async def turns(self, tenant: str, ids: Sequence[str]) -> list[Turn]:
        """In the order asked."""
        self._check_open()
        held = {t.id: t for shelf in self._of(tenant).values() for t in shelf.turns.values()}
        return [held[i] for i in ids if i in held]

    async def erase(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> Erased:
        """Empty every version, take the turns out, and leave a tombstone in the log."""
        self._check_open()
        removed = {"memories": 0, "turns": 0, "entries": 0}
        for shelf in self._of(tenant).values():
            ids = [i for i in dict.fromkeys(memory_ids) if any(m.id == i for m in shelf.rows.values())]
            sources = {s for m in shelf.rows.values() if m.id in ids for s in m.sources}
            ids += [
                s for s in sorted(sources) if s not in ids and any(m.id == s for m in shelf.rows.values())
            ]
            for memory_id in ids:
                self._erase(shelf, memory_id, at, reason, removed)
            for turn_id in sources & shelf.turns.keys():
                del shelf.turns[turn_id]
                removed["turns"] += 1
        return Erased(removed=removed, log_truncated=True)

    async def reset(self, tenant: str) -> None:
        """Drop the tenant's shelves."""
        self._check_open()
        for partition in self._of(tenant):
            del self._shelves[partition]

    async def stats(self, tenant: str) -> StoreStats:
        """Counted on the spot."""
        self._check_open()
        shelves, rows = self._of(tenant), [m for _, m in self._rows(tenant)]
        return StoreStats(
            partitions=len(shelves),
            turns=sum(len(shelf.turns) for shelf in shelves.values()),
            memories=sum(m.retired_at is None for m in rows),
            retired=sum(m.retired_at is not None for m in rows),
            changes=sum(len(shelf.log) for shelf in shelves.values()),
            bytes=0,
            schema=0,
            space=self._space,
        )

    async def export(
        self, tenant: str, partitions: Sequence[Partition] | None = None
    ) -> AsyncIterator[Export]:
        """Turns, then versions, then changes, partition by partition."""
        self._check_open()
        for partition, shelf in sorted(self._of(tenant).items()):
            if partitions is None or partition in partitions:
                changes = [change for change, _, _ in shelf.log]
                for record in (*shelf.turns.values(), *shelf.rows.values(), *changes):
                    yield Export(partition, record)

    async def check(self) -> list[str]:
        """Dictionaries do not rot."""
        return []

    def _check_open(self) -> None:
        if not self._open:
            raise Closed("the store is closed: open another")

    def _has_entries(self) -> bool:
        return any(shelf.entries for shelf in self._shelves.values())

    def _of(self, tenant: str) -> dict[Partition, _Shelf]:
        return {p: shelf for p, shelf in self._shelves.items() if p.tenant == tenant}

    def _rows(self, tenant: str) -> Iterable[tuple[Partition, Memory]]:
        return ((p, m) for p, shelf in self._of(tenant).items() for m in shelf.rows.values())

    def _repetition(self, shelf: _Shelf, batch: Batch) -> Committed | None:
        """The answer to the earlier batch with this key, if there is one that counts."""
        earlier_id, at = shelf.keys.get(str(batch.key), (None, None))
        if earlier_id is None or at is None or (batch.key_since is not None and at < batch.key_since):
            return None
        ids = tuple(change.memory_id for change, _, _ in shelf.log if change.write_id == earlier_id)
        return Committed(batch_id=earlier_id, memory_ids=ids, head=shelf.seq, repeated=True)

    def _check(self, shelf: _Shelf, batch: Batch) -> None:
        """Refuse a batch that contradicts what is there."""
        known = {memory.id for _, memory in self._rows(batch.partition.tenant)}
        for write in batch.writes:
            if write.replaces is None and (write.memory is None or write.memory_id in known):
                raise Conflict(f"there is a memory {write.memory_id!r} already, or there was one")
            if write.replaces is not None:
                old = shelf.rows.get(write.replaces)
                if old is None or old.retired_at is not None:
                    raise Conflict(f"{write.memory_id!r} was changed meanwhile: read it again")

    def _apply(self, shelf: _Shelf, batch: Batch, write: Write) -> None:
        shelf.seq += 1
        made = None
        if write.replaces is not None:
            shelf.rows[write.replaces] = replace(shelf.rows[write.replaces], retired_at=batch.at)
        if write.memory is not None:
            made = shelf.seq
            shelf.rows[made] = self._placed(shelf, write.memory, made)
            self._enter(shelf, write, made)
        change = Change(
            seq=shelf.seq,
            memory_id=write.memory_id,
            event=write.event,
            at=batch.at,
            actor=write.actor,
            reason=write.reason,
            write_id=batch.id,
        )
        shelf.log.append((change, write.replaces, made))

    @staticmethod
    def _placed(shelf: _Shelf, memory: Memory, ord_: int) -> Memory:
        """A version as it is kept: with its row number, its place in the conversation and its session."""
        turn = shelf.turns.get(memory.id) if memory.kind == "turn" else None
        place = ord_ if memory.kind == "turn" and memory.version == 1 else memory.place
        return replace(memory, ord=ord_, place=place, session=turn.session if turn else memory.session)

    def _enter(self, shelf: _Shelf, write: Write, ord_: int) -> None:
        if self._space is None:
            return
        if write.entry is not None:
            shelf.entries[self._space, ord_] = write.entry
        elif write.replaces is not None:
            shelf.entries[self._space, ord_] = shelf.entries[self._space, write.replaces]

    def _row(self, shelf: _Shelf, memory: Memory) -> EntryRow:
        entry = shelf.entries.get((self._space, memory.ord), Entry()) if self._space else Entry()
        return EntryRow(
            ord=memory.ord,
            id=memory.id,
            place=memory.place,
            session=memory.session or "",
            speaker=memory.speaker,
            role=memory.role,
            words=entry.words,
            speaker_words=entry.speaker_words,
            date_words=entry.date_words,
            flags=entry.flags,
            vectors=entry.vectors,
            valid_from=_micros(memory.valid_from),
            valid_to=_micros(memory.valid_to),
            expires_at=_micros(memory.expires_at),
            said_at=micros(memory.said_at),
        )

    @staticmethod
    def _text(shelf: _Shelf, ord_: int | None) -> str | None:
        memory = None if ord_ is None else shelf.rows[ord_]
        return None if memory is None or memory.erased_at is not None else memory.text

    def _matches(self, query: Query, partition: Partition, memory: Memory) -> bool:
        if query.partitions is not None and partition not in query.partitions:
            return False
        return _visible(query, memory) and (query.filter is None or matches(query.filter, memory))

    @staticmethod
    def _erase(
        shelf: _Shelf, memory_id: str, at: datetime, reason: str | None, removed: dict[str, int]
    ) -> None:
        versions = [m for m in shelf.rows.values() if m.id == memory_id and m.erased_at is None]
        for memory in versions:
            shelf.rows[memory.ord] = replace(
                memory,
                **{"text": "", "speaker": None, "categories": (), "metadata": {}, "mentions": ()},
                retired_at=memory.retired_at or at,
                erased_at=at,
            )
            for key in [k for k in shelf.entries if k[1] == memory.ord]:
                del shelf.entries[key]
                removed["entries"] += 1
            removed["memories"] += 1
        if versions:
            shelf.log = [
                (replace(c, actor=None, reason=None) if c.memory_id == memory_id else c, old, new)
                for c, old, new in shelf.log
            ]
            shelf.seq += 1
            last = max(m.ord for m in versions)
            change = Change(seq=shelf.seq, memory_id=memory_id, event="ERASE", at=at, reason=reason)
            shelf.log.append((change, last, None))
            shelf.keys.clear()


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _known(memory: Memory, at: datetime) -> bool:
    """Whether this version was the current one at a moment."""
    if memory.erased_at is not None or memory.recorded_at > at:
        return False
    return memory.retired_at is None or memory.retired_at > at


def _under(scope: Scope, wanted: Scope) -> bool:
    ids = ("user_id", "agent_id", "app_id", "run_id")
    return all(getattr(wanted, i) in (None, getattr(scope, i)) for i in ids)


def _visible(query: Query, memory: Memory) -> bool:
    """Whether a version may be listed, by the query's times and its salience."""
    if memory.erased_at is not None or memory.salience < query.min_salience:
        return False
    if query.known_at is not None:
        if not _known(memory, query.known_at):
            return False
    elif memory.retired_at is not None and not query.show_retired:
        return False
    if not query.show_expired and memory.expires_at is not None and memory.expires_at <= query.now:
        return False
    if query.as_of is not None:
        begun = memory.valid_from is None or memory.valid_from <= query.as_of
        return begun and (memory.valid_to is None or memory.valid_to > query.as_of)
    return query.show_superseded or memory.valid_to is None or memory.valid_to > query.now
