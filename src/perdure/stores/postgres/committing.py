"""Commits of one event loop: those that come together are made in one transaction, and none fails for its neighbours."""

from __future__ import annotations

import asyncio
import json
import random
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeAlias, cast

from psycopg import Error

from perdure.errors import Closed, ConfigurationError, Conflict, ModelMismatch, StoreBusy, Unavailable
from perdure.load import Load
from perdure.moments import micros
from perdure.ports import Batch, Committed, Space, Write
from perdure.stores.postgres import meanings, standing
from perdure.stores.postgres.commit import (
    DAY,
    FORGET_KEYS,
    Key,
    Known,
    Shelf,
    Version,
    decide,
    finish,
    last_turn,
    oldest_key,
)
from perdure.stores.postgres.connection import (
    Connection,
    Row,
    Settings,
    Statement,
    Transaction,
    array,
    at_once,
    look,
    unfolded,
)
from perdure.stores.postgres.guessing import PROVABLE, READ_COMMITTED, Guess, Guesses, Overtaken
from perdure.stores.postgres.lanes import Lane
from perdure.stores.postgres.read import scope_ids
from perdure.stores.postgres.sheet import Sheet
from perdure.types import Partition, Scope

AT_ONCE: Final = 2
"""Transactions of commits on one event loop: while the server is at work on one, the next is decided."""
FORGOTTEN: Final = 32
"""One in so many commits removes keys of no use any more: four times as many, so that they do not pile up."""

Outcome: TypeAlias = Committed | Exception

_LOCK: Final = "SELECT owner, id, seq FROM partitions WHERE tenant = %s AND owner = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE"
_MAKE: Final = (
    "INSERT INTO partitions (tenant, owner, start, seq) SELECT %s, w.owner, f.value, f.value "
    "FROM unnest(%s::text[]) w (owner), meta f WHERE f.key = 'floor' ORDER BY w.owner "
    "ON CONFLICT DO NOTHING RETURNING owner, id, seq"
)
_PARTS: Final = {
    "isolation": "SELECT to_json(current_setting('default_transaction_isolation'))",
    "space": "SELECT json_build_array(id, analyzer, model, dimensions) FROM spaces WHERE active",
    "scopes": (
        "SELECT json_agg(json_build_array(s.ids, s.id, t.said_at, t.session)) FROM scopes s LEFT JOIN LATERAL "
        "(SELECT said_at, session FROM turns WHERE scope = s.id ORDER BY ord DESC LIMIT 1) t ON TRUE "
        "WHERE s.tenant = %s AND s.ids = ANY(%s::text[])"
    ),
    "turns": (
        "SELECT json_agg(json_build_array(id, erased_at IS NOT NULL)) FROM turns "
        "WHERE tenant = %s AND id = ANY(%s::text[])"
    ),
    "versions": (
        "SELECT json_agg(json_build_array(id, partition, ord, version, place, retired_at IS NOT NULL, "
        "erased_at IS NOT NULL) ORDER BY version) FROM memories WHERE tenant = %s AND id = ANY(%s::text[])"
    ),
    "jobs": "SELECT json_agg(json_build_array(id, partition)) FROM jobs WHERE tenant = %s AND id = ANY(%s::text[])",
    "keys": (
        "SELECT json_agg(json_build_array(p.owner, k.key, k.batch, k.at, k.first, k.last, k.passing, EXISTS ("
        "SELECT 1 FROM memories m WHERE m.partition = k.partition AND m.ord BETWEEN k.first AND k.last "
        "AND m.retired_at IS NOT NULL), ARRAY(SELECT c.memory_id FROM changes c WHERE c.partition = k.partition "
        "AND c.seq BETWEEN k.first AND k.last ORDER BY c.seq))) "
        "FROM unnest(%s::text[], %s::text[]) w (owner, key) JOIN partitions p ON p.tenant = %s AND p.owner = w.owner "
        "JOIN keys k ON k.partition = p.id AND k.key = w.key"
    ),
}
"""What decides about batches. All that is asked for goes in one statement: most of what one costs is to send it."""
_MAKE_SCOPE: Final = (
    "INSERT INTO scopes (partition, tenant, ids, user_id, agent_id, app_id, run_id) VALUES (%s, %s, %s, %s, %s, %s, %s) "
    "RETURNING id"
)
_JOBS: Final = "SELECT id FROM jobs WHERE tenant = %s AND id = ANY(%s::text[])"


class Waiting(NamedTuple):
    """A batch, and who waits for it."""

    batch: Batch
    space: Space | None
    future: asyncio.Future[Committed]


class Committer:
    """Takes batches as they come, and makes one transaction of those that wait, tenant by tenant.

    Of a partition, one transaction at a time: the next would wait for its lock, and others with it.
    """

    def __init__(self, lane: Lane, settings: Settings, *, group: int) -> None:
        self._lane = lane
        self._settings = settings
        self._guesses = Guesses()
        self._group = group
        self._waiting: deque[Waiting] = deque()
        self._busy: set[Partition] = set()
        self._running = 0
        self._runners: set[asyncio.Task[None]] = set()
        self._closed = False

    async def commit(self, batch: Batch, space: Space | None) -> Committed:
        """Durable when this returns.

        A caller that is cancelled before the batch was taken withdraws it; later, it is stored whole.
        """
        if self._closed:
            raise Closed("this store was closed: open another")
        future: asyncio.Future[Committed] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(batch, space, future))
        if len(self._runners) < AT_ONCE:
            runner = asyncio.create_task(self._run())
            self._runners.add(runner)
            runner.add_done_callback(self._runners.discard)
        return await future

    def load(self) -> Load:
        """How busy it is, in commits: those of one transaction are all running."""
        return Load(running=self._running, bound=AT_ONCE * self._group, waiting=len(self._waiting))

    async def aclose(self) -> None:
        """Finish what waits."""
        self._closed = True
        while self._runners:
            await asyncio.wait(self._runners)

    async def _run(self) -> None:
        while taken := self._take():
            partitions = {one.batch.partition for one in taken}
            self._busy |= partitions
            self._running += len(taken)
            try:
                outcomes = await self._stored(taken)
            except asyncio.CancelledError:  # the loop ends
                for one in taken:
                    one.future.cancel()
                raise
            finally:
                self._busy -= partitions
                self._running -= len(taken)
            for one, outcome in zip(taken, outcomes, strict=True):
                _settle(one.future, outcome)
        # In the very step in which nothing was found: who comes before the task has ended starts another.
        self._runners.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    def _take(self) -> list[Waiting]:
        """The next that may go together: of one tenant, made in one space, of partitions that are not at work."""
        taken: list[Waiting] = []
        left: deque[Waiting] = deque()
        while self._waiting and len(taken) < self._group:
            one = self._waiting.popleft()
            if one.future.cancelled():
                continue
            fits = not taken or (
                one.batch.partition.tenant == taken[0].batch.partition.tenant and one.space == taken[0].space
            )
            (taken if fits and one.batch.partition not in self._busy else left).append(one)
        self._waiting.extendleft(reversed(left))
        return taken

    async def _stored(self, taken: Sequence[Waiting]) -> list[Outcome]:
        """What became of each: all in one transaction, or else each in its own."""
        try:
            return await self._together(taken, thorough=False)
        except Exception as error:  # noqa: BLE001  # it belongs to those who wait
            if len(taken) == 1 and not isinstance(error, Conflict):
                return [error]
            hopeless = isinstance(error, (ModelMismatch, Unavailable, ConfigurationError))
            if hopeless and not isinstance(error, StoreBusy):
                return [error] * len(taken)
        # A value that does not fit, a lock, an id that is taken: none is to fail for the others.
        return [await self._alone(one) for one in taken]

    async def _alone(self, one: Waiting) -> Outcome:
        try:
            return (await self._together([one], thorough=True))[0]
        except Exception as error:  # noqa: BLE001  # it belongs to who waits
            return error

    async def _together(self, taken: Sequence[Waiting], *, thorough: bool) -> list[Outcome]:
        batches = [one.batch for one in taken]
        attempts = _Attempts(batches, taken[0].space, self._settings, self._guesses, thorough=thorough)
        return await self._lane.persist(attempts.attempt, in_doubt=attempts.in_doubt)


def _settle(future: asyncio.Future[Committed], outcome: Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Committed):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


@dataclass(slots=True)
class _Sent:
    """What was sent when the connection was lost, if it was: by its traces one can tell whether it was kept."""

    outcomes: list[Outcome]
    written: tuple[int, int, str] | None
    """Partition, sequence and batch of a change that it made."""
    done: tuple[str, ...]
    """Jobs that it removed."""


class _Attempts:
    """One transaction of several batches, which is tried until it is known whether it was kept."""

    def __init__(
        self,
        batches: Sequence[Batch],
        space: Space | None,
        settings: Settings,
        guesses: Guesses,
        *,
        thorough: bool,
    ) -> None:
        """`thorough`: whether ids of new turns are free is asked first, so that a conflict can be told well."""
        self._batches = batches
        self._tenant = batches[0].partition.tenant
        self._space = space
        self._settings = settings
        self._guesses = guesses
        self._scopes = {scope: None for batch in batches for scope in _scopes_of(batch)}
        self._asked = _asked(self._tenant, batches, self._scopes, thorough=thorough)
        self._owners = sorted({batch.partition.owner for batch in batches})
        self._lock = Statement(_LOCK, (self._tenant, array(self._owners)))
        self._sent: _Sent | None = None

    async def attempt(self, connection: Connection) -> list[Outcome]:
        """What became of each batch: in one round trip where it can be guessed what they meet, else in two."""
        settings = self._settings.for_(self._tenant, writes=True)
        if self._sent is None and (guess := self._guess()) is not None:
            look(connection)
            with suppress(Overtaken):
                return await self._store(guess.known, partial(at_once, connection, settings, guess.proof))
        transaction = Transaction(connection, settings)
        known = await self._learn(transaction)
        # Under the locks: what an earlier attempt has sent is kept by now, or never will be.
        if self._sent is not None and await self._was_kept(transaction, self._sent):
            await transaction.end()
            return self._sent.outcomes
        return await self._store(known, transaction.end)

    def _guess(self) -> Guess | None:
        """What the batches meet, where all that has to be known of it can be proved."""
        if self._asked.keys() <= PROVABLE:
            return self._guesses.guess(self._batches, self._scopes, self._space)
        return None

    async def _store(self, known: Known, send: Callable[..., Awaitable[object]]) -> list[Outcome]:
        """Decide by what is known, and send what that changes."""
        sheet = Sheet(self._tenant)
        outcomes = [_outcome(known, batch, sheet) for batch in self._batches]
        finish(known, sheet)
        since = oldest_key(self._batches)
        if since is not None and random.random() * FORGOTTEN < len(self._batches):  # noqa: S311  # no secret
            sheet.run(FORGET_KEYS, self._tenant, micros(since) - DAY, 4 * FORGOTTEN)
        self._sent = _Sent(
            outcomes, _written(known, self._batches, outcomes), _removed(self._batches, outcomes)
        )
        try:
            await send(*sheet.statements())
        except Error as error:
            if not meanings.is_lost(error):
                self._sent = None
            raise
        self._guesses.keep(known)
        return outcomes

    def in_doubt(self) -> bool:
        """Whether something was sent of which nobody knows if it was kept."""
        return self._sent is not None

    async def _learn(self, transaction: Transaction) -> Known:
        """Take the locks, then look: whatever is seen after that stays as it is."""
        locked, [answers] = await transaction.ask(self._lock, _question(self._asked))
        told = {
            part: unfolded(json.loads(a)) if a else [] for part, a in zip(self._asked, answers, strict=True)
        }
        held = standing.held(told["space"])
        plain = told["isolation"] == READ_COMMITTED
        known = Known(space=standing.fitting(held, self._space))
        known.shelves |= await _shelves(transaction, self._tenant, self._owners, locked)
        known.turns |= dict(told.get("turns", ()))
        for memory_id, *version in told.get("versions", ()):
            known.versions.setdefault(memory_id, []).append(Version(*version))
        known.jobs |= dict(told.get("jobs", ()))
        for owner, name, *key in told.get("keys", ()):
            known.keys[Partition(self._tenant, owner), name] = Key(*key)
        await _learn_scopes(transaction, known, self._scopes, told.get("scopes", ()))
        self._guesses.learnt(known, held if plain else None)
        return known

    async def _was_kept(self, transaction: Transaction, sent: _Sent) -> bool:
        if sent.written is not None:
            *place, batch = sent.written
            sql = "SELECT 1 FROM changes WHERE partition = %s AND seq = %s AND write_id = %s"
            [found] = await transaction.ask(Statement(sql, (*place, batch)))
            return bool(found)
        if sent.done:
            [left] = await transaction.ask(Statement(_JOBS, (self._tenant, array(sent.done))))
            return not left
        return False


async def _learn_scopes(
    transaction: Transaction, known: Known, scopes: Iterable[Scope], placed: Sequence[Row]
) -> None:
    """The numbers of scopes, new ones where they had none, and the last turn of each."""
    held = {row[0]: row[1:] for row in placed}
    new = [scope for scope in scopes if scope_ids(scope) not in held]
    made = await transaction.ask(*(_make_scope(known, scope) for scope in new)) if new else []
    known.scopes |= {scope: row[0] for scope, [row] in zip(new, made, strict=True)}
    for scope in scopes:
        if (found := held.get(scope_ids(scope))) is not None:
            number, said_at, session = found
            known.scopes[scope] = number
            if said_at is not None:
                known.last[scope] = last_turn(scope, said_at, session)


async def shelves_of(
    transaction: Transaction, tenant: str, partitions: Iterable[Partition], space: Space | None
) -> tuple[dict[Partition, Shelf], int]:
    """These partitions, locked, and the number of the space in use.

    Raises:
        ModelMismatch: it is another one than `space`.
    """
    owners = sorted(partition.owner for partition in partitions)
    locked, held = await transaction.ask(Statement(_LOCK, (tenant, array(owners))), standing.SPACE)
    number = standing.fitting(standing.held(held[0]) if held else None, space)
    return await _shelves(transaction, tenant, owners, locked), number


async def _shelves(
    transaction: Transaction, tenant: str, owners: Sequence[str], locked: Sequence[Row]
) -> dict[Partition, Shelf]:
    """Those that are locked, and new ones for owners that had none; another process may just have made these."""
    found = {owner: Shelf(number, seq) for owner, number, seq in locked}
    while missing := [owner for owner in owners if owner not in found]:
        made, now = await transaction.ask(
            Statement(_MAKE, (tenant, array(missing))), Statement(_LOCK, (tenant, array(missing)))
        )
        new = {row[0] for row in made}
        found |= {owner: Shelf(number, seq, owner in new) for owner, number, seq in now}
    return {Partition(tenant, owner): shelf for owner, shelf in found.items()}


def _outcome(known: Known, batch: Batch, sheet: Sheet) -> Outcome:
    try:
        return decide(known, batch, sheet)
    except Conflict as error:
        return error


def _written(
    known: Known, batches: Sequence[Batch], outcomes: Sequence[Outcome]
) -> tuple[int, int, str] | None:
    for batch, outcome in zip(batches, outcomes, strict=True):
        if isinstance(outcome, Committed) and not outcome.repeated and batch.writes:
            return known.shelves[batch.partition].number, outcome.head, batch.id
    return None


def _removed(batches: Sequence[Batch], outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    return tuple(
        done
        for batch, o in zip(batches, outcomes, strict=True)
        if isinstance(o, Committed)
        for done in batch.done
    )


def _scopes_of(batch: Batch) -> list[Scope]:
    return [turn.scope for turn in batch.turns] + [
        w.memory.scope for w in batch.writes if w.memory is not None
    ]


def _make_scope(known: Known, scope: Scope) -> Statement:
    number = known.shelves[scope.partition].number
    ids = (scope.user_id, scope.agent_id, scope.app_id, scope.run_id)
    return Statement(_MAKE_SCOPE, (number, scope.tenant, scope_ids(scope), *ids))


def _asked(
    tenant: str, batches: Sequence[Batch], scopes: Iterable[Scope], *, thorough: bool
) -> dict[str, tuple[str, ...]]:
    """Which parts have to be known, and the values that each is asked with.

    Whether the id of a new turn is free is asked only when it has to be thorough: hardly ever is it taken, and then
    the database refuses it.
    """
    turns: set[str] = set()
    memories: set[str] = set()
    for batch in batches:
        new = set() if thorough else {turn.id for turn in batch.turns}
        memories |= {*batch.needs, *batch.saw, *(w.memory_id for w in batch.writes if not _begins(w, new))}
        sources = {source for w in batch.writes if w.memory is not None for source in w.memory.sources}
        turns |= {*sources, *(turn.id for turn in batch.turns)} - new
    jobs = [done for batch in batches for done in batch.done]
    keys = [(batch.partition.owner, batch.key) for batch in batches if batch.key is not None]
    asked: dict[str, tuple[str, ...]] = {"isolation": (), "space": ()}
    ids = {"scopes": [*map(scope_ids, scopes)], "turns": turns, "versions": memories, "jobs": jobs}
    asked |= {part: (tenant, array(some)) for part, some in ids.items() if some}
    if keys:
        asked["keys"] = (array(owner for owner, _ in keys), array(name for _, name in keys), tenant)
    return asked


def _begins(write: Write, new: Collection[str]) -> bool:
    """Whether it is the first version of a new turn's own memory."""
    if write.memory is None or write.memory_id not in new:
        return False
    return write.memory.version == 1 and write.replaces is None and write.refines is None


def _question(asked: Mapping[str, tuple[str, ...]]) -> Statement:
    parts = ", ".join(f"({_PARTS[part]})::text" for part in asked)
    return Statement(f"SELECT {parts}", [value for values in asked.values() for value in values])
