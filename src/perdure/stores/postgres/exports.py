"""Everything out, losslessly, and in again."""

# ruff: noqa: S608 -- SQL is put together from names in these files; what callers give is bound

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from perdure.arguments import shown
from perdure.errors import Conflict
from perdure.ids import new_id
from perdure.moments import micros
from perdure.ports import Entry, Export, Job, Key, Space
from perdure.stores import rows
from perdure.stores.postgres import jobs, read, standing
from perdure.stores.postgres.commit import KEEP_SEQ, RETIRE, entry_row
from perdure.stores.postgres.committing import shelves_of
from perdure.stores.postgres.connection import Statement, Transaction, array
from perdure.stores.postgres.sheet import COLUMNS, Sheet
from perdure.types import Change, Event, Memory, Partition, Scope, Turn

PAGE = 500


async def pages(
    transaction: Transaction, tenant: str, partitions: Sequence[Partition] | None, *, with_entries: bool
) -> AsyncIterator[list[Export]]:
    """Partition by partition: its turns, its log (each version before the change that began it), its keys, its jobs."""
    held, owed, spaces = await transaction.ask(
        _partitions(tenant, partitions),
        jobs.listed(tenant),
        standing.SPACE,
    )
    waiting = jobs.jobs(owed)
    space = standing.held(spaces[0]) if with_entries and spaces else None
    for number, owner in held:
        partition = Partition(tenant, owner)
        async for turns in _turns(transaction, partition, number):
            yield [Export(partition, turn) for turn in turns]
        async for log in _log(transaction, partition, number):
            entries = await _entries(transaction, number, space.id, log) if space else {}
            yield [Export(partition, record, entries.get(id(record))) for record in log]
        async for keys in _keys(transaction, number):
            yield [Export(partition, key) for key in keys]
        yield [Export(partition, job) for job in waiting if job.partition == partition]


def _partitions(tenant: str, partitions: Sequence[Partition] | None) -> Statement:
    if partitions is None:
        return Statement("SELECT id, owner FROM partitions WHERE tenant = %s ORDER BY owner", (tenant,))
    owners = array(partition.owner for partition in partitions if partition.tenant == tenant)
    sql = "SELECT id, owner FROM partitions WHERE tenant = %s AND owner = ANY(%s::text[]) ORDER BY owner"
    return Statement(sql, (tenant, owners))


async def _turns(transaction: Transaction, partition: Partition, number: int) -> AsyncIterator[list[Turn]]:
    last = 0
    while True:
        sql = (
            f"SELECT {read.TURN}, t.ord FROM turns t JOIN scopes s ON s.id = t.scope "
            "WHERE t.partition = %s AND t.ord > %s AND t.erased_at IS NULL ORDER BY t.ord LIMIT %s"
        )
        [found] = await transaction.ask(Statement(sql, (number, last, PAGE)))
        if not found:
            return
        last = found[-1][-1]
        yield read.turns([row[:-1] for row in found], partition.tenant)


async def _log(
    transaction: Transaction, partition: Partition, number: int
) -> AsyncIterator[list[Memory | Change]]:
    last = 0
    versions = f"SELECT {read.MEMORY} FROM {read.TABLES} WHERE m.partition = %s AND m.ord BETWEEN %s AND %s"
    while True:
        asked = read.changes("c.partition = %s AND c.seq > %s ORDER BY c.seq LIMIT %s", (number, last, PAGE))
        [found] = await transaction.ask(asked)
        if not found:
            return
        changes = [read.change(row) for row in found]
        [begun] = await transaction.ask(Statement(versions, (number, changes[0].seq, changes[-1].seq)))
        made = {memory.ord: memory for memory in read.memories(begun, partition.tenant)}
        last = changes[-1].seq
        yield [
            record for change in changes for record in (made.get(change.seq), change) if record is not None
        ]


async def _keys(transaction: Transaction, number: int) -> AsyncIterator[list[Key]]:
    last = ""
    sql = f"SELECT {rows.KEY} FROM keys WHERE partition = %s AND key > %s ORDER BY key LIMIT %s"
    while True:
        [found] = await transaction.ask(Statement(sql, (number, last, PAGE)))
        if not found:
            return
        yield list(map(rows.key, found))
        last = found[-1][0]


async def _entries(
    transaction: Transaction, number: int, space: int, log: Sequence[Memory | Change]
) -> Mapping[int, Entry]:
    """The entries of versions, by the identities of these objects."""
    made = {record.ord: record for record in log if isinstance(record, Memory)}
    sql = (
        "SELECT ord, flags, speaker_words, date_words, words, vectors FROM entries "
        "WHERE space = %s AND partition = %s AND ord BETWEEN %s AND %s"
    )
    ends = (min(made, default=0), max(made, default=0))
    [found] = await transaction.ask(Statement(sql, (space, number, *ends)))
    return {
        id(made[ord_]): Entry(
            flags=flags, speaker_words=speaker, date_words=dates, words=words, vectors=vectors
        )
        for ord_, flags, speaker, dates, words, vectors in found
        if ord_ in made
    }


async def restore(
    tenant: str,
    records: Sequence[Export],
    space: Space | None,
    transaction: Transaction,
) -> int:
    """Put records of a tenant in that are not known yet, with their entries; how many they were."""
    partitions = {export.partition: None for export in records}
    shelves, number = await shelves_of(transaction, tenant, partitions, space)
    known = await _known(transaction, tenant, records)
    restorers = {
        partition: Restorer(transaction, known, partition, number=shelf.number, seq=shelf.seq, space=number)
        for partition, shelf in shelves.items()
    }
    new = 0
    for export in records:
        new += await restorers[export.partition].put(export.record, export.entry)
    for restorer in restorers.values():
        await restorer.finish()
    return new


@dataclass(slots=True)
class Version:
    """A version that is here, as far as it decides what becomes of others."""

    version: int
    ord: int
    place: int | None
    retired_at: int | None
    erased_at: int | None
    partition: int


class Known(NamedTuple):
    """What is here of the records of a page; under the locks of their partitions it stays so."""

    turns: set[str]
    versions: dict[str, list[Version]]
    """By memory, in ascending order."""


async def _known(transaction: Transaction, tenant: str, records: Sequence[Export]) -> Known:
    turns = array(export.record.id for export in records if isinstance(export.record, Turn))
    memories = array({export.record.id for export in records if isinstance(export.record, Memory)})
    versions = (
        "SELECT id, version, ord, place, retired_at, erased_at, partition FROM memories "
        "WHERE tenant = %s AND id = ANY(%s::text[]) ORDER BY version"
    )
    found, held = await transaction.ask(
        Statement("SELECT id FROM turns WHERE tenant = %s AND id = ANY(%s::text[])", (tenant, turns)),
        Statement(versions, (tenant, memories)),
    )
    known = Known({name for [name] in found}, {})
    for memory_id, *version in held:
        known.versions.setdefault(memory_id, []).append(Version(*version))
    return known


class Restorer:
    """Puts records into one partition, whose lock it holds; rows are gathered, and sent before anything is asked."""

    def __init__(
        self,
        transaction: Transaction,
        known: Known,
        partition: Partition,
        *,
        number: int,
        seq: int,
        space: int,
    ) -> None:
        self._transaction = transaction
        self._known = known
        self._partition = partition
        self._number = number
        self._seq = seq
        self._space = space
        self._scopes: dict[Scope, int] = {}
        self._sheet = Sheet(partition.tenant)
        self._begun: dict[tuple[str, int], _Line] = {}
        """The changes that began versions, not sent yet, by memory and moment."""

    async def put(self, record: Turn | Memory | Change | Key | Job, entry: Entry | None) -> bool:
        """Put a record in, if it is not known yet; row numbers are given anew, in the order of the records."""
        match record:
            case Turn():
                return await self._turn(record)
            case Memory():
                return await self._memory(record, entry)
            case Change():
                return await self._change(record)
            case Key():
                return await self._key(record)
            case Job():
                return await self._job(record)

    async def finish(self) -> None:
        """Send what is gathered, and how far the sequence has come."""
        await self._ask(KEEP_SEQ, self._seq, self._number)

    async def _ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        for line in self._begun.values():
            self._sheet.put("changes", self._row(line))
        self._begun.clear()
        gathered, self._sheet = self._sheet.statements(), Sheet(self._partition.tenant)
        return (await self._transaction.ask(*gathered, Statement(sql, values)))[-1]

    async def _scope(self, scope: Scope) -> int:
        if scope not in self._scopes:
            ids = read.scope_ids(scope)
            insert = (
                "INSERT INTO scopes (partition, tenant, ids, user_id, agent_id, app_id, run_id) "
                "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
            )
            row = (self._number, scope.tenant, ids, scope.user_id, scope.agent_id, scope.app_id, scope.run_id)
            find = "SELECT id FROM scopes WHERE tenant = %s AND ids = %s"
            _, [[number]] = await self._transaction.ask(
                Statement(insert, row), Statement(find, (scope.tenant, ids))
            )
            self._scopes[scope] = number
        return self._scopes[scope]

    async def _turn(self, turn: Turn) -> bool:
        if turn.id in self._known.turns:
            return False
        self._known.turns.add(turn.id)
        placed = replace(turn, session=turn.session or turn.scope.run_id or turn.id)
        self._sheet.put("turns", rows.turn_row(placed, self._number, await self._scope(turn.scope)))
        return True

    async def _memory(self, memory: Memory, entry: Entry | None) -> bool:
        """A version that is not known, with a change that says as much as the version does.

        No words come of a memory that was erased here. The change that an export has of it comes next, perhaps in another call: until then it has no `write_id`.
        """
        versions = self._known.versions.setdefault(memory.id, [])
        if any(held.partition != self._number for held in versions):
            raise Conflict(
                f"the memory {shown(memory.id)} belongs to somebody else here: nothing of this page was taken in"
            )
        if any(held.version >= memory.version for held in versions):
            return False
        if memory.erased_at is None and any(held.erased_at is not None for held in versions):
            return False
        self._seq += 1
        earlier = versions[-1] if versions else None
        place = earlier.place if earlier else self._seq if memory.kind == "turn" else None
        at, retired = micros(memory.recorded_at), rows.maybe_micros(memory.retired_at)
        erased = rows.maybe_micros(memory.erased_at)
        scope = await self._scope(memory.scope)
        placed = replace(memory, ord=self._seq, place=place)
        self._sheet.put("memories", rows.memory_row(placed, self._number, scope))
        if retired is not None or erased is not None:
            self._sheet.run(_END, retired, erased, self._number, self._seq)
        if entry is not None and self._space and memory.erased_at is None:
            self._sheet.put("entries", entry_row(self._space, self._number, self._seq, entry))
        ended = self._end_earlier(earlier, at) if earlier else None
        event: Event = "UPDATE" if earlier else "ADD"
        line = _Line(self._seq, memory.id, event, ended, self._seq, at)
        if (before := self._begun.pop((memory.id, at), None)) is not None:
            self._sheet.put("changes", self._row(before))
        self._begun[memory.id, at] = line
        versions.append(Version(memory.version, self._seq, place, retired, erased, self._number))
        return True

    def _end_earlier(self, earlier: Version, at: int) -> int | None:
        """The earlier version if this one took its place, rather than came after a time of none."""
        if earlier.retired_at is None:
            self._sheet.run(RETIRE, at, self._number, earlier.ord)
            earlier.retired_at = at
        return earlier.ord if earlier.retired_at == at else None

    def _row(self, line: _Line) -> tuple[object, ...]:
        return (self._number, *line)

    async def _change(self, change: Change) -> bool:
        """A line of the log.

        - A version came just before it, whose own line says less: complete that one.
        - It is known, or nothing here ended as it says: leave it.
        - It ended a version: add it.
        """
        at = micros(change.at)
        said = (change.event, change.write_id, change.actor, change.reason)
        if (line := self._begun.pop((change.memory_id, at), None)) is not None:
            self._sheet.put("changes", self._row(line.completed(change)))
            return True
        complete = (
            "UPDATE changes SET event = %s, write_id = %s, actor = %s, reason = %s WHERE partition = %s "
            "AND memory_id = %s AND at = %s AND write_id IS NULL AND made IS NOT NULL RETURNING seq"
        )
        if await self._ask(complete, *said, self._number, change.memory_id, at):
            return True
        known = (
            "SELECT 1 FROM changes WHERE memory_id = %s AND partition = %s AND event = %s AND at = %s "
            "AND write_id IS NOT DISTINCT FROM %s::text"
        )
        find = (
            "SELECT max(ord) FROM memories WHERE id = %s AND partition = %s AND %s IN (retired_at, erased_at)"
        )
        [[ended]] = await self._ask(find, change.memory_id, self._number, at)
        if ended is None or await self._ask(
            known, change.memory_id, self._number, change.event, at, change.write_id
        ):
            return False
        self._seq += 1
        assert isinstance(ended, int)
        line = _Line(self._seq, change.memory_id, change.event, ended, None, at)
        self._sheet.put("changes", self._row(line.completed(change)))
        return True

    async def _key(self, key: Key) -> bool:
        """The key of a batch that is here.

        - There is such a key: it stays, unless both pass and this one is later.
        - Of what the batch did nothing is here, or something was erased: whoever guesses the words could prove them right.
        """
        find = f"SELECT {rows.KEY} FROM keys WHERE partition = %s AND key = %s"
        held = await self._ask(find, self._number, key.key)
        if held and not rows.outlasts(key, rows.key(held[0])):
            return False
        did = max(key.last - key.first + 1, 0)
        trace = (
            "SELECT min(d.seq), max(d.seq), max(m.erased_at) FROM (SELECT partition, seq FROM changes "
            "WHERE partition = %s AND write_id = %s AND event <> 'REFINE' ORDER BY seq LIMIT %s) d "
            "LEFT JOIN memories m ON m.partition = d.partition AND m.ord = d.seq"
        )
        [[first, last, erased]] = await self._ask(trace, self._number, key.batch, did)
        if erased is not None or (did and first is None):
            return False
        place = (self._seq + 1, self._seq) if first is None else (first, last)
        self._sheet.put("keys", (self._number, key.key, key.batch, micros(key.at), *place, key.passing))
        return True

    async def _job(self, job: Job) -> bool:
        """Work that is still to be done here, which nobody has yet.

        - Its turns are not here, or were erased: there is nothing to do.
        - It is known, or a batch with its id has done more here than to bring the turns: leave it.
        - Another tenant has a job with its id: it gets one of its own.
        """
        find = "SELECT id FROM turns WHERE partition = %s AND erased_at IS NULL AND id = ANY(%s::text[])"
        there = {name for [name] in await self._ask(find, self._number, array(job.turns))}
        turns = [name for name in job.turns if name in there]
        known = (
            "SELECT 1 FROM jobs WHERE partition = %s AND (id = %s OR (kind = %s AND turns = %s)) "
            "UNION ALL SELECT 1 FROM changes c LEFT JOIN memories m ON m.partition = c.partition AND m.ord = c.made "
            "WHERE c.partition = %s AND c.write_id = %s AND NOT (c.event = 'ADD' AND m.kind IS NOT DISTINCT FROM 'turn')"
        )
        mine, its = (self._number, job.id, job.kind, rows.to_json(turns)), (self._number, job.id)
        if not turns or await self._ask(known, *mine, *its):
            return False
        if len(turns) < len(job.turns):  # what a model said of the others goes with them
            job = replace(job, error=None, answer=None)
        own = replace(job, turns=tuple(turns), worker=None, leased_until=None)
        for named in (own, replace(own, id=new_id())):
            if await self._insert_job(named):
                break
        return True

    async def _insert_job(self, job: Job) -> bool:
        """Whether nobody has a job with this id: other tenants' jobs are not to be seen, but their ids are taken."""
        columns = COLUMNS["jobs"]
        marks = ", ".join(["%s"] * (columns.count(",") + 1))
        sql = f"INSERT INTO jobs ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING RETURNING id"
        return bool(await self._ask(sql, *rows.job_row(job, self._number), self._partition.tenant))


class _Line(NamedTuple):
    """A line of the log, as it stands behind the partition in its row."""

    seq: int
    memory_id: str
    event: Event
    ended: int | None
    made: int | None
    at: int
    write_id: str | None = None
    actor: str | None = None
    reason: str | None = None

    def completed(self, change: Change) -> _Line:
        """With all that the change of an export says."""
        return self._replace(
            event=change.event, write_id=change.write_id, actor=change.actor, reason=change.reason
        )


_END: Final = "UPDATE memories SET retired_at = %s, erased_at = %s WHERE partition = %s AND ord = %s"
