"""The truth in plain dictionaries: for tests, and the oracle that other stores are held to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile

from perdure.errors import Closed, Conflict, ModelMismatch
from perdure.filters import matches
from perdure.ids import new_id
from perdure.moments import micros
from perdure.ports import (
    Batch,
    Committed,
    Delta,
    Entry,
    EntryRow,
    Erased,
    Job,
    Query,
    Space,
    Stand,
    StoreStats,
    Write,
)
from perdure.ports.derived import Cursor
from perdure.stores.cursors import Cursors
from perdure.types import Change, Memory, Partition, Scope, Turn, session_after


@dataclass
class _Shelf:
    """One partition; `seq` begins above everything that a removed tenant had."""

    start: int = 0
    turns: dict[str, Turn] = field(default_factory=dict)
    rows: dict[int, Memory] = field(default_factory=dict)
    """Every version, by `ord`."""
    entries: dict[int, Entry] = field(default_factory=dict)
    log: list[tuple[Change, int | None, int | None]] = field(default_factory=list)
    """Each change, with the `ord`s that it ended and began."""
    keys: dict[str, tuple[datetime, Committed]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    scopes: dict[Scope, int] = field(default_factory=dict)
    """Numbers that stand for them in rows of the index."""

    @property
    def seq(self) -> int:
        return self.start + len(self.log)


@dataclass(kw_only=True)
class InMemoryStore:
    """Everything that a store promises but one thing: it is gone when the process ends."""

    def __post_init__(self) -> None:
        """Empty."""
        self._shelves: dict[Partition, _Shelf] = {}
        self._erased: set[tuple[str, str]] = set()
        self._space: Space | None = None
        self._floor = 0
        self._open = False
        self._identity = new_id()
        self._erasures = 0
        self._vectors: dict[tuple[str, str], bytes] = {}
        self._cursors = Cursors()

    async def open(self, space: Space | None) -> None:
        """Adopt the space when nothing speaks against it."""
        held = self._space
        if space is None or (held is not None and _fits(held, space)):
            pass
        elif held is None or _fits(space, held) or not any(s.entries for s in self._shelves.values()):
            self._space = space
        else:
            raise ModelMismatch(f"the entries were made with {held}, not with {space}: run `perdure reindex`")
        self._open = True

    async def aclose(self) -> None:
        """Refuse everything from now on."""
        self._open = False

    async def commit(self, batch: Batch) -> Committed:
        """All or nothing: first all that can be wrong is looked at, then all is done."""
        shelf = self._held(batch.partition)
        if batch.key in shelf.keys:
            at, earlier = shelf.keys[batch.key]
            since = batch.key_since
            if since is None or (at >= since and not _has_ended(shelf, earlier)):
                return replace(earlier, head=shelf.seq, repeated=True)
        _refuse_changed(shelf, batch)
        self._check(shelf, batch)
        self._shelves[batch.partition] = shelf
        for turn in batch.turns:
            before = [t for t in shelf.turns.values() if t.scope == turn.scope]
            shelf.turns[turn.id] = replace(turn, session=session_after(before[-1] if before else None, turn))
        for write in batch.writes:
            _apply(shelf, batch, write)
        shelf.jobs |= {job.id: job for job in batch.jobs}
        for done in batch.done:
            del shelf.jobs[done]
        made = Committed(
            batch_id=batch.id, memory_ids=tuple(w.memory_id for w in batch.writes), head=shelf.seq
        )
        if batch.key is not None:
            shelf.keys[batch.key] = (batch.at, made)
        return made

    async def load(
        self,
        partition: Partition,
        *,
        since: int = 0,
        known_at: datetime | None = None,
        with_vectors: bool = True,
    ) -> Delta:
        """What came after, from the rows and the log; all is dead when the tenant was removed meanwhile."""
        delta = self._load(partition, since, known_at)
        if with_vectors:
            return delta
        return replace(delta, rows=[r._replace(vectors=None) if r.vectors else r for r in delta.rows])

    def _load(self, partition: Partition, since: int, known_at: datetime | None) -> Delta:
        shelf = self._held(partition)
        change, before = _change(shelf, shelf.seq), _change(shelf, since)
        stand = Stand(head=shelf.seq, token=_token(shelf), change=change, erasures=self._erasures)
        if known_at is not None:
            rows = [m for m in shelf.rows.values() if _known(m, known_at)]
            return Delta(stand=stand, rows=[_row(shelf, m) for m in rows])
        rows = [m for m in shelf.rows.values() if m.ord > since and m.retired_at is None]
        later = [
            (c.event, old) for c, old, _ in shelf.log if c.seq > since and old is not None and old <= since
        ]
        refined = sorted({old for event, old in later if event == "REFINE"})
        rows = [*(shelf.rows[o] for o in refined if shelf.rows[o].retired_at is None), *rows]
        dead = [old for event, old in later if event != "REFINE"]
        if since < shelf.start:
            dead = list(range(1, since + 1))
        return Delta(stand=stand, rows=[_row(shelf, m) for m in rows], dead=dead, before=before)

    def stands(self, mark: object) -> bool:  # noqa: ARG002
        """Never told: a load is as quick."""
        return False

    async def identity(self) -> str:
        """Made with the store."""
        return self._identity

    async def standing(self, partitions: Sequence[Partition]) -> list[Stand]:
        """As a load tells it."""
        return [(await self.load(partition)).stand for partition in partitions]

    async def cached_vectors(self, tenant: str, names: Sequence[str]) -> tuple[list[bytes | None], int]:
        """By tenant and name."""
        return [self._vectors.get((tenant, name)) for name in names], self._erasures

    async def cache_vectors(
        self, tenant: str, made: Mapping[str, bytes], *, erasures: int, max_bytes: int
    ) -> None:
        """In the order in which they came; the first ones go first."""
        if erasures == self._erasures:
            self._vectors |= {(tenant, name): vector for name, vector in made.items()}
            while sum(map(len, self._vectors.values())) > max_bytes:
                del self._vectors[next(iter(self._vectors))]

    async def take_cursor(
        self, engine: str, partition: Partition, *, worker: str, now: datetime, until: datetime
    ) -> int | None:
        """Unless another worker has it for longer than now."""
        return self._cursors.take((engine, partition), worker, now, until)

    async def move_cursor(self, engine: str, partition: Partition, seq: int, *, worker: str) -> bool:
        """If the worker was the last to take it."""
        return self._cursors.move((engine, partition), seq, worker, gone=partition not in self._shelves)

    async def cursors(
        self, tenant: str, engine: str, *, partition: Partition | None = None, limit: int | None = None
    ) -> list[Cursor]:
        """Of the partitions that there are, and of those that left a cursor."""
        heads = {p: shelf.seq for p, shelf in self._of(tenant).items()}
        behind = self._cursors.behind(engine, tenant, heads)
        return [cursor for cursor in behind if partition in (None, cursor.partition)][:limit]

    async def drop_cursors(self, tenant: str, engine: str) -> None:
        """As if none had been taken."""
        self._cursors.drop(engine, tenant)

    async def vectors(self, partition: Partition, ords: Sequence[int]) -> list[bytes]:
        """As they were stored."""
        entries = self._held(partition).entries
        return [entries.get(ord_, Entry()).vectors for ord_ in ords]

    async def read(self, partition: Partition, ords: Sequence[int]) -> list[Memory]:
        """In the order asked."""
        rows = self._held(partition).rows
        return [rows[o] for o in ords if o in rows and rows[o].erased_at is None]

    async def get(self, tenant: str, memory_id: str) -> Memory | None:
        """The newest version."""
        versions = [m for _, m in self._rows(tenant) if m.id == memory_id and m.erased_at is None]
        return max(versions, key=lambda m: m.version, default=None)

    async def find(self, query: Query) -> list[Memory]:
        """All that match, sorted, then cut."""
        within = query.partitions
        found = [(p, m) for p, m in self._listed(query) if within is None or p in within]
        found.sort(key=lambda pm: (pm[1].said_at, pm[0], pm[1].ord), reverse=query.order == "newest")
        end = None if query.limit is None else query.offset + query.limit
        return [memory for _, memory in found[query.offset : end]]

    async def select(self, partition: Partition, query: Query) -> list[int]:
        """The `ord`s of what matches."""
        return [memory.ord for p, memory in self._listed(query) if p == partition]

    async def partitions(self, tenant: str, within: Sequence[Scope] | None = None) -> list[Partition]:
        """Those that hold a memory under one of the scopes, erased ones aside."""
        held = [(p, m.scope) for p, m in self._rows(tenant) if m.erased_at is None]
        return sorted({p for p, scope in held if within is None or any(_under(scope, w) for w in within)})

    async def history(self, tenant: str, memory_id: str) -> list[Change]:
        """The log, with the texts of the versions that it names."""
        return [
            replace(change, old_text=_text(shelf, old), new_text=_text(shelf, new))
            for shelf in self._of(tenant).values()
            for change, old, new in shelf.log
            if change.memory_id == memory_id and change.event != "REFINE"
        ]

    async def jobs(
        self,
        tenant: str,
        *,
        ids: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        given_up: bool | None = None,
        limit: int | None = None,
    ) -> list[Job]:
        """By the time at which they were made."""
        wanted = [
            job
            for shelf in self._of(tenant).values()
            for job in shelf.jobs.values()
            if (ids is None or job.id in ids)
            and (kinds is None or job.kind in kinds)
            and given_up in (None, job.given_up)
        ]
        return sorted(wanted, key=lambda job: (job.made_at, job.id))[:limit]

    async def keep_job(self, job: Job) -> bool:
        """In place of the one that is there, unless somebody else has it."""
        jobs = self._held(job.partition).jobs
        held = jobs.get(job.id)
        if held is None or (held.leased_until is not None and held.worker != job.worker):
            return False
        jobs[job.id] = replace(
            held,
            attempts=job.attempts,
            error=job.error,
            answer=job.answer,
            due_at=job.due_at,
            given_up=job.given_up,
            leased_until=None,
        )
        return True

    async def claim(
        self, tenant: str, kinds: Sequence[str], *, worker: str, now: datetime, until: datetime, limit: int
    ) -> list[Job]:
        """Of each partition what stands before the first that is not due, if nobody else is at work there."""
        found: list[Job] = []
        for shelf in self._of(tenant).values():
            waiting = sorted(
                (job for job in shelf.jobs.values() if job.kind in kinds and not job.given_up),
                key=lambda job: (job.made_at, job.id),
            )
            if any(job.leased(now) and job.worker != worker for job in waiting):
                continue
            free = [job for job in waiting if not job.leased(now)]
            found += takewhile(lambda job: job.due_at is None or job.due_at <= now, free)
        taken = [
            replace(job, worker=worker, leased_until=until)
            for job in sorted(found, key=lambda job: (job.made_at, job.id))[:limit]
        ]
        for job in taken:
            self._shelves[job.partition].jobs[job.id] = job
        return taken

    async def extend(self, tenant: str, ids: Sequence[str], *, worker: str, until: datetime) -> None:
        """Those of them that it has."""
        for shelf in self._of(tenant).values():
            for job in [shelf.jobs[name] for name in ids if name in shelf.jobs]:
                if job.worker == worker and job.leased_until is not None:
                    shelf.jobs[job.id] = replace(job, leased_until=until)

    async def written(self, tenant: str, batch_id: str) -> list[Change]:
        """The log's lines of these batches, with the texts of the versions that they name."""
        return [
            replace(change, old_text=_text(shelf, old), new_text=_text(shelf, new))
            for shelf in self._of(tenant).values()
            for change, old, new in shelf.log
            if change.write_id == batch_id and change.event != "REFINE"
        ]

    async def turns(self, tenant: str, ids: Sequence[str]) -> list[Turn]:
        """In the order asked."""
        held = {turn.id: turn for shelf in self._of(tenant).values() for turn in shelf.turns.values()}
        return [held[i] for i in ids if i in held and (tenant, i) not in self._erased]

    async def erase(
        self, tenant: str, memory_ids: Sequence[str], *, at: datetime, reason: str | None = None
    ) -> Erased:
        """Empty the rows, take out what was computed from them, and log it."""
        removed: dict[str, int] = dict.fromkeys(
            ("memories", "turns", "entries", "changes", "keys", "jobs"), 0
        )
        before = {p: shelf.seq for p, shelf in self._of(tenant).items()}
        sources = [s for i in memory_ids for _, m in self._rows(tenant) if m.id == i for s in m.sources]
        ids = dict.fromkeys((*memory_ids, *sources))
        for memory_id in dict.fromkeys((*ids, *self._derived(tenant, memory_ids))):
            for shelf in self._of(tenant).values():
                if memory_id in shelf.turns and (tenant, memory_id) not in self._erased:
                    turn = shelf.turns[memory_id]
                    shelf.turns[memory_id] = replace(turn, text="", speaker=None, attachments=())
                    self._erased.add((tenant, memory_id))
                    removed["turns"] += 1
                _erase(shelf, memory_id, at, reason, removed)
        for partition, shelf in self._of(tenant).items():
            if shelf.seq > before[partition]:  # a model may have been shown it for any of them
                shelf.jobs = {i: replace(j, answer=None, error=None) for i, j in shelf.jobs.items()}
            removed["jobs"] += self._erase_jobs(shelf, tenant)
        if any(removed.values()):
            self._forget_vectors(tenant)
        touched = tuple(p for p, shelf in self._of(tenant).items() if shelf.seq > before[p])
        return Erased(removed=removed, log_truncated=True, partitions=touched)

    async def reset(self, tenant: str) -> None:
        """Drop the tenant's shelves; sequences go on above them."""
        dropped = self._of(tenant)
        self._floor = max(self._floor, *(shelf.seq + 1 for shelf in dropped.values()), 0)
        self._shelves = {p: shelf for p, shelf in self._shelves.items() if p not in dropped}
        self._erased = {(t, i) for t, i in self._erased if t != tenant}
        self._forget_vectors(tenant)

    async def stats(self, tenant: str) -> StoreStats:
        """Counted on the spot."""
        shelves, rows = self._of(tenant).values(), [m for _, m in self._rows(tenant)]
        turns = {turn_id for shelf in shelves for turn_id in shelf.turns}
        return StoreStats(
            partitions=len(shelves),
            turns=sum((tenant, turn_id) not in self._erased for turn_id in turns),
            memories=sum(m.retired_at is None for m in rows),
            retired=sum(m.retired_at is not None and m.erased_at is None for m in rows),
            changes=sum(len(shelf.log) for shelf in shelves),
            bytes=0,
            schema=0,
            space=self._space,
            vector_bytes=sum(map(len, self._vectors.values())),
        )

    def _forget_vectors(self, tenant: str) -> None:
        self._erasures += 1
        self._vectors = {key: vector for key, vector in self._vectors.items() if key[0] != tenant}

    def _derived(self, tenant: str, ids: Collection[str]) -> list[str]:
        """What was learned from these turns alone: of whose sources, by the last version, none is left."""
        shelves = self._of(tenant)
        turns = {turn_id for shelf in shelves.values() for turn_id in shelf.turns}
        left = {i for i in turns if (tenant, i) not in self._erased} - set(ids)
        places = {p for p, shelf in shelves.items() if not shelf.turns.keys().isdisjoint(ids)}
        rows = [m for p, m in self._rows(tenant) if p in places and m.erased_at is None and m.id not in ids]
        held = {m.id: m.sources for m in sorted(rows, key=lambda m: m.version) if m.sources != (m.id,)}
        return [i for i, s in held.items() if not set(s).isdisjoint(ids) and left.isdisjoint(s)]

    def _erase_jobs(self, shelf: _Shelf, tenant: str) -> int:
        """Take erased turns out of jobs; a job without turns is gone."""
        left = {
            job.id: [t for t in job.turns if (tenant, t) not in self._erased] for job in shelf.jobs.values()
        }
        touched = [job for job in shelf.jobs.values() if len(left[job.id]) < len(job.turns)]
        for job in touched:
            shelf.jobs[job.id] = replace(job, turns=tuple(left[job.id]))
            if not left[job.id]:
                del shelf.jobs[job.id]
        return len(touched)

    def _held(self, partition: Partition) -> _Shelf:
        return self._of(partition.tenant).get(partition) or _Shelf(start=self._floor)

    def _of(self, tenant: str) -> dict[Partition, _Shelf]:
        if not self._open:
            raise Closed("this store is not open: open it, or another one when it was closed")
        return {p: shelf for p, shelf in self._shelves.items() if p.tenant == tenant}

    def _rows(self, tenant: str) -> Iterator[tuple[Partition, Memory]]:
        return ((p, m) for p, shelf in self._of(tenant).items() for m in shelf.rows.values())

    def _check(self, shelf: _Shelf, batch: Batch) -> None:
        """Refuse a batch that contradicts what is there, or itself."""
        tenant = batch.partition.tenant
        turns = {turn_id for held in self._of(tenant).values() for turn_id in held.turns}
        for done in batch.done:
            if done not in shelf.jobs:
                raise Conflict(f"the job {done!r} was done by somebody else meanwhile")
        for turn in batch.turns:
            if turn.id in turns:
                raise Conflict(f"there is a turn {turn.id!r} already, or there was one")
            turns.add(turn.id)
        versions = {(m.id, m.version): m for _, m in self._rows(tenant)}
        ended: set[int] = set()
        for write in batch.writes:
            if write.replaces is not None:
                old = shelf.rows.get(write.replaces)
                if old is None or old.id != write.memory_id or old.retired_at or write.replaces in ended:
                    raise Conflict(f"the memory {write.memory_id!r} was changed meanwhile: read it again")
                ended.add(write.replaces)
            if write.memory is not None:
                self._check_version(tenant, write.memory, write.replaces, versions, ended)
                versions[write.memory_id, write.memory.version] = write.memory
            elif write.replaces is None and write.refines is None:
                raise Conflict(f"the change of {write.memory_id!r} neither ends nor begins a version")

    def _check_version(
        self,
        tenant: str,
        memory: Memory,
        replaces: int | None,
        versions: dict[tuple[str, int], Memory],
        ended: set[int],
    ) -> None:
        earlier = [m for m in versions.values() if m.id == memory.id]
        current = any(m.retired_at is None and m.ord not in ended for m in earlier)
        begins = memory.version == 1 and replaces is None
        taken = (memory.id, memory.version) in versions
        derived = memory.sources != (memory.id,)
        if begins and derived and any((tenant, source) in self._erased for source in memory.sources):
            raise Conflict(f"a turn that {memory.id!r} comes from was erased")
        if begins == bool(earlier) or taken or current or any(m.erased_at for m in earlier):
            raise Conflict(f"there is a memory {memory.id!r} already, or there was one")

    def _listed(self, query: Query) -> Iterator[tuple[Partition, Memory]]:
        last = {m.id: m.version for _, m in self._rows(query.tenant)}
        for partition, memory in self._rows(query.tenant):
            if _visible(query, memory, is_last=last[memory.id] == memory.version) and (
                query.filter is None or matches(query.filter, memory)
            ):
                yield partition, memory


def _token(shelf: _Shelf) -> str:
    return f"{_change(shelf, shelf.seq)}/{len(shelf.turns)}"


def _change(shelf: _Shelf, seq: int) -> str:
    if not shelf.start < seq <= shelf.seq:
        return ""
    change, _, _ = shelf.log[seq - shelf.start - 1]
    return f"{change.write_id}/{change.at}"


def _fits(held: Space, asked: Space) -> bool:
    if held.analyzer != asked.analyzer:
        return False
    return asked.model is None or (held.model, held.dimensions) == (asked.model, asked.dimensions)


def _has_ended(shelf: _Shelf, made: Committed) -> bool:
    """Whether a version that the batch began is not current any more."""
    first = made.head - len(made.memory_ids) + 1
    begun = [new for change, _, new in shelf.log if first <= change.seq <= made.head and new is not None]
    return any(shelf.rows[ord_].retired_at is not None for ord_ in begun)


def _refuse_changed(shelf: _Shelf, batch: Batch) -> None:
    """What was derived from memories that are gone meanwhile is not stored."""
    current = {m.id for m in shelf.rows.values() if m.retired_at is None}
    unerased = {m.id for m in shelf.rows.values() if m.erased_at is None}
    for gone in {*batch.needs} - current | {*batch.saw} - unerased:
        raise Conflict(f"the memory {gone!r} was deleted or erased meanwhile")


def _apply(shelf: _Shelf, batch: Batch, write: Write) -> None:
    """One step of the sequence: a version ends, or begins, or both."""
    seq, made, place = shelf.seq + 1, None, None
    refined = shelf.rows.get(write.refines or 0)
    if refined is not None and refined.retired_at is None and refined.id == write.memory_id:
        shelf.entries[refined.ord] = write.entry or shelf.entries.get(refined.ord, Entry())
        salience = refined.salience if write.salience is None else write.salience
        categories = write.categories or refined.categories
        shelf.rows[refined.ord] = replace(refined, salience=salience, categories=categories)
    if write.replaces is not None:
        shelf.rows[write.replaces] = replace(shelf.rows[write.replaces], retired_at=batch.at)
    if write.memory is not None:
        made = seq
        earlier = [m for m in shelf.rows.values() if m.id == write.memory_id]
        place = earlier[-1].place if earlier else made if write.memory.kind == "turn" else None
        new = {turn.id for turn in batch.turns}
        session = shelf.turns[write.memory_id].session if write.memory_id in new else write.memory.session
        current = replace(write.memory, retired_at=None, erased_at=None)
        shelf.rows[made] = replace(current, ord=made, place=place, session=session)
        entry = write.entry or shelf.entries.get(write.replaces or 0)
        if entry is not None:
            shelf.entries[made] = entry
    change = Change(
        seq=seq,
        memory_id=write.memory_id,
        event=write.event,
        at=batch.at,
        actor=write.actor,
        reason=write.reason,
        write_id=batch.id,
    )
    shelf.log.append((change, write.replaces or write.refines, made))


def _erase(shelf: _Shelf, memory_id: str, at: datetime, reason: str | None, removed: dict[str, int]) -> None:
    versions = [m for m in shelf.rows.values() if m.id == memory_id and m.erased_at is None]
    if not versions:
        return
    for m in versions:
        emptied = replace(
            m, text="", speaker=None, categories=(), metadata={}, mentions=(), claim=None, relations=()
        )
        shelf.rows[m.ord] = replace(emptied, retired_at=m.retired_at or at, erased_at=at)
        removed["entries"] += shelf.entries.pop(m.ord, None) is not None
    batches = {change.write_id for change, _, _ in shelf.log if change.memory_id == memory_id}
    keys = {key: held for key, held in shelf.keys.items() if held[1].batch_id not in batches}
    removed["memories"] += len(versions)
    removed["keys"] += len(shelf.keys) - len(keys)
    removed["changes"] += sum(
        c.memory_id == memory_id and (c.actor or c.reason) is not None for c, _, _ in shelf.log
    )
    shelf.keys = keys
    shelf.log = [
        (replace(c, actor=None, reason=None) if c.memory_id == memory_id else c, old, new)
        for c, old, new in shelf.log
    ]
    current = next((m.ord for m in versions if m.retired_at is None), None)
    change = Change(seq=shelf.seq + 1, memory_id=memory_id, event="ERASE", at=at, reason=reason)
    shelf.log.append((change, current, None))


def _row(shelf: _Shelf, memory: Memory) -> EntryRow:
    entry = shelf.entries.get(memory.ord, Entry())
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
        valid_from=None if memory.valid_from is None else micros(memory.valid_from),
        valid_to=None if memory.valid_to is None else micros(memory.valid_to),
        expires_at=None if memory.expires_at is None else micros(memory.expires_at),
        said_at=micros(memory.said_at),
        scope=shelf.scopes.setdefault(memory.scope, len(shelf.scopes) + 1),
    )


def _text(shelf: _Shelf, ord_: int | None) -> str | None:
    memory = None if ord_ is None else shelf.rows[ord_]
    return None if memory is None or memory.erased_at is not None else memory.text


def _known(memory: Memory, at: datetime) -> bool:
    """Whether this version was the current one at a moment."""
    if memory.erased_at is not None or memory.recorded_at > at:
        return False
    return memory.retired_at is None or memory.retired_at > at


def _under(scope: Scope, wanted: Scope) -> bool:
    ids = ("user_id", "agent_id", "app_id", "run_id")
    return all(getattr(wanted, i) in (None, getattr(scope, i)) for i in ids)


def _visible(query: Query, memory: Memory, *, is_last: bool) -> bool:
    """Whether a version may be listed, by the query's times and its salience."""
    if memory.erased_at is not None or memory.salience < query.min_salience:
        return False
    if query.known_at is not None and not _known(memory, query.known_at):
        return False
    if query.known_at is None and memory.retired_at is not None and not (query.show_retired and is_last):
        return False
    if not query.show_expired and memory.expires_at is not None and memory.expires_at <= query.now:
        return False
    if query.as_of is not None:
        begun = memory.valid_from is None or memory.valid_from <= query.as_of
        return begun and (memory.valid_to is None or memory.valid_to > query.as_of)
    return query.show_superseded or memory.valid_to is None or memory.valid_to > query.now
