"""A store and the oracle, led through the same random life: they answer alike at every step."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from perdure.errors import PerdureError
from perdure.filters import parse
from perdure.ids import new_id
from perdure.ports import Batch, Delta, EntryRow, Job, Query, Store, Write
from perdure.stores.memory import InMemoryStore
from perdure.testing import strategies
from perdure.testing.store.scenes import SPACE, Play, Replica, entry
from perdure.types import Memory, Partition, Scope, Turn

SCOPES: Final = (
    Scope(user_id="u1"),
    Scope(user_id="u1", agent_id="u2", run_id="日本"),
    Scope(user_id="u2"),
    Scope(agent_id="u2"),
    Scope(user_id="u1", tenant="other"),
)
PARTITIONS: Final = tuple(dict.fromkeys(scope.partition for scope in SCOPES))
TENANTS: Final = ("default", "other")
EVER: Final = datetime.min.replace(tzinfo=UTC)
EXAMPLES: Final = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

places = st.sampled_from(PARTITIONS)
tenants = st.sampled_from(TENANTS)
picks = st.integers(0, 999)
times = strategies.moments()


class AgreementConformance(Play):
    """The port `Store`, by comparison with `InMemoryStore`."""

    def test_it_agrees_with_the_oracle_whatever_happens(self) -> None:
        """Random batches, changes, erasures and questions."""
        with tempfile.TemporaryDirectory() as folder:
            numbers = iter(range(10**9))

            def life() -> Life:
                place = Path(folder, str(next(numbers)))
                place.mkdir()
                return Life(self.make(place))

            run_state_machine_as_test(life, settings=EXAMPLES)  # type: ignore[arg-type]  # a factory is as good


class Life(RuleBasedStateMachine):
    """What may happen to a store."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stores: tuple[Store, Store] = (store, InMemoryStore())
        self.replicas = {partition: Replica() for partition in PARTITIONS}
        self.ids: list[tuple[str, str]] = []
        self.keys: list[str] = []
        for each in self.stores:
            self.runner.run(each.open(SPACE))

    def teardown(self) -> None:
        """Close both."""
        for store in self.stores:
            self.runner.run(store.aclose())
        self.runner.close()

    def both(self, ask: Callable[[Store], Awaitable[Any]]) -> Any:
        """What both answer, or the error that both raise."""

        async def answer(store: Store) -> Any:
            try:
                return await ask(store)
            except PerdureError as error:
                return type(error)

        mine, oracle = (self.runner.run(answer(store)) for store in self.stores)
        assert mine == oracle, f"{mine!r} is not {oracle!r}"
        return oracle

    # ---- what changes it

    @rule(data=st.data(), scope=st.sampled_from(SCOPES), at=times, key=st.none() | st.sampled_from("kl"))
    def add(self, data: st.DataObject, scope: Scope, at: Any, key: str | None) -> None:
        """Turns and facts, sometimes with an id that is taken, sometimes with a key that was used."""
        made = [self._new(data, scope) for _ in range(data.draw(st.integers(0, 3)))]
        turns = tuple(turn for turn, _ in made if turn is not None)
        # So early that no store may have forgotten the key, which only some do.
        since = EVER if key == "l" else None
        writes = tuple(write for _, write in made)
        self._commit(scope.partition, at=at, turns=turns, writes=writes, key=key, key_since=since)
        self.ids += [(scope.tenant, write.memory_id) for write in writes]

    def _new(self, data: st.DataObject, scope: Scope) -> tuple[Turn | None, Write]:
        memory = data.draw(strategies.memories())
        known = [memory_id for _, memory_id in self.ids]
        memory_id = known[memory.version % len(known)] if known and memory.role == "tool" else new_id()
        is_turn = memory.kind == "turn"
        sources = (memory_id,) if is_turn else tuple(known[-2:])
        memory = replace(memory, id=memory_id, scope=scope, version=1, sources=sources)
        write = Write(event="ADD", memory_id=memory_id, memory=memory, entry=entry(memory.text))
        turn = Turn(
            id=memory_id,
            scope=scope,
            role=memory.role,
            text=memory.text,
            said_at=memory.said_at,
            recorded_at=memory.recorded_at,
            speaker=memory.speaker,
        )
        return (turn if is_turn else None), write

    @rule(partition=places, pick=picks, at=times, text=st.none() | strategies.words(), stale=st.booleans())
    def update(self, partition: Partition, pick: int, at: Any, text: str | None, stale: bool) -> None:  # noqa: FBT001  # drawn by name
        """A new version; sometimes of a version that is not current any more."""
        memory = self._pick(partition, pick, stale=stale)
        if memory is not None:
            revised = replace(memory, version=memory.version + 1, recorded_at=at, text=text or memory.text)
            write = Write(
                event="UPDATE",
                memory_id=memory.id,
                memory=revised,
                entry=None if text is None else entry(text),
                replaces=memory.ord,
                reason="asked",
            )
            self._commit(partition, at=at, writes=(write,))

    @rule(partition=places, pick=picks, at=times, stale=st.booleans())
    def delete(self, partition: Partition, pick: int, at: Any, stale: bool) -> None:  # noqa: FBT001  # drawn by name
        """An end; sometimes of what has ended."""
        memory = self._pick(partition, pick, stale=stale)
        if memory is not None:
            write = Write(event="DELETE", memory_id=memory.id, replaces=memory.ord)
            self._commit(partition, at=at, writes=(write,))

    @rule(partition=places, pick=picks, at=times, salience=st.none() | st.sampled_from((0.0, 1.0)))
    def refine(self, partition: Partition, pick: int, at: Any, salience: float | None) -> None:
        """More becomes known of a version; sometimes after its end."""
        memory = self._pick(partition, pick, stale=True)
        if memory is not None:
            late = entry("late", vectors=b"\x01\x02" * 4)
            write = Write(
                event="REFINE",
                memory_id=memory.id,
                refines=memory.ord,
                entry=late,
                salience=salience,
                categories=("late",)[: pick % 3] if pick % 2 else None,
            )
            self._commit(partition, at=at, writes=(write,))

    @rule(partition=places, at=times, name=st.sampled_from("ab"), attempts=st.integers(0, 3))
    def work(self, partition: Partition, at: Any, name: str, attempts: int) -> None:
        """A job comes, is tried, or is done; sometimes when it is not there."""
        held = {job.id: job for job in self.both(lambda store: store.jobs(partition.tenant))}
        job_id = f"{partition.tenant} {partition.owner} {name}"
        said = self.both(
            lambda store: store.turns(partition.tenant, [memory_id for _, memory_id in self.ids])
        )
        turns = tuple(turn.id for turn in said if turn.scope.partition == partition)[-2:]
        job = Job(id=job_id, partition=partition, kind="extract", turns=turns, made_at=at, attempts=attempts)
        if job_id not in held and attempts:
            self._commit(partition, at=at, jobs=(job,))
        elif attempts % 2:
            ended = held.get(job_id, job)
            worker = "one" if attempts == 1 else ended.worker
            ended = replace(
                ended, worker=worker, error="not now", answer="{", due_at=at, given_up=attempts == 3
            )
            self.both(lambda store: store.keep_job(ended))
        else:
            self._commit(partition, at=at, done=(job_id,))

    @rule(
        tenant=tenants,
        worker=st.sampled_from(("one", "two")),
        now=times,
        until=times,
        limit=st.integers(1, 3),
    )
    def claim(self, tenant: str, worker: str, now: Any, until: Any, limit: int) -> None:
        """A worker takes what is due, or gives back what it has."""
        kinds = ("extract", "other")[: limit % 2 + 1]
        self.both(lambda store: store.claim(tenant, kinds, worker=worker, now=now, until=until, limit=limit))
        if limit == 1:
            ids = [job.id for job in self.both(lambda store: store.jobs(tenant))]
            self.both(lambda store: store.extend(tenant, ids[1:], worker=worker, until=now))

    @rule(partition=places, pick=picks, at=times)
    def bring_back(self, partition: Partition, pick: int, at: Any) -> None:
        """A memory after its end; sometimes before."""
        memory = self._pick(partition, pick, stale=True)
        if memory is not None:
            last = self.both(lambda store: store.get(partition.tenant, memory.id))
            back = replace(last or memory, version=(last or memory).version + 1, recorded_at=at)
            write = Write(event="RESTORE", memory_id=memory.id, memory=back, entry=entry("back"))
            self._commit(partition, at=at, writes=(write,))

    @rule(tenant=tenants, pick=picks, at=times)
    def erase(self, tenant: str, pick: int, at: Any) -> None:
        """The words of two memories, perhaps of another tenant's."""
        ids = [memory_id for _, memory_id in self.ids]
        wanted = [ids[n % len(ids)] for n in (pick, pick // 2)] if ids else ["unknown"]
        self.both(lambda store: _removed(store, tenant, wanted, at))

    @rule(tenant=tenants, sure=st.integers(0, 5))
    def reset(self, tenant: str, sure: int) -> None:
        """A whole tenant, now and then."""
        if sure == 0:
            self.both(lambda store: store.reset(tenant))

    # ---- what is asked

    @rule(data=st.data(), tenant=tenants, filters=st.none() | strategies.filters(max_leaves=6))
    def find(self, data: st.DataObject, tenant: str, filters: dict[str, Any] | None) -> None:
        """Listing, by everything that a query can say."""
        optional = st.none() | times
        query = Query(
            tenant=tenant,
            filter=None if filters is None else parse(filters),
            partitions=data.draw(st.none() | st.lists(places, max_size=3).map(tuple)),
            now=data.draw(times),
            as_of=data.draw(optional),
            known_at=data.draw(optional),
            show_expired=data.draw(st.booleans()),
            show_superseded=data.draw(st.booleans()),
            show_retired=data.draw(st.booleans()),
            min_salience=data.draw(st.sampled_from((0.0, 1.0))),
            order=data.draw(st.sampled_from(("newest", "oldest"))),
            limit=data.draw(st.none() | st.integers(0, 5)),
            offset=data.draw(st.integers(0, 2)),
        )
        self.both(lambda store: store.find(query))
        for partition in PARTITIONS:
            self.both(lambda store, partition=partition: store.select(partition, query))  # type: ignore[misc]  # bound now

    @rule(partition=places, since=st.integers(0, 20), known_at=st.none() | times)
    def load(self, partition: Partition, since: int, known_at: Any) -> None:
        """What came after any sequence, or what was known at any moment."""
        self.both(lambda store: _loaded(store, partition, since, known_at))

    @rule(tenant=tenants, pick=picks, ords=st.lists(st.integers(0, 20), max_size=5))
    def look(self, tenant: str, pick: int, ords: list[int]) -> None:
        """Single memories, turns and histories."""
        ids = [memory_id for _, memory_id in self.ids] or ["unknown"]
        wanted = ids[pick % len(ids)]
        self.both(lambda store: store.get(tenant, wanted))
        self.both(lambda store: store.turns(tenant, [wanted, *ids[-3:]]))
        self.both(lambda store: store.history(tenant, wanted))
        for partition in PARTITIONS:
            self.both(lambda store, partition=partition: store.read(partition, ords))  # type: ignore[misc]  # bound now

    @rule(tenant=tenants, within=st.none() | st.lists(strategies.scopes(), max_size=2))
    def count(self, tenant: str, within: list[Scope] | None) -> None:
        """Partitions and sizes."""
        self.both(lambda store: store.partitions(tenant, within))
        self.both(lambda store: _sizes(store, tenant))

    @invariant()
    def an_index_kept_by_deltas_is_the_same_as_a_fresh_one(self) -> None:
        """Each step takes in what came after the last."""
        for partition, replica in self.replicas.items():
            store = self.stores[0]
            replica.apply(self.runner.run(store.load(partition, since=replica.head)))
            fresh = self.runner.run(store.load(partition))
            assert list(replica.rows.values()) == list(fresh.rows)

    def _commit(self, partition: Partition, **parts: Any) -> None:
        batch = Batch(id=new_id(), partition=partition, **parts)
        self.both(lambda store: store.commit(batch))

    def _pick(self, partition: Partition, pick: int, *, stale: bool) -> Memory | None:
        """A version of the partition: any of them when stale, else a current one."""
        delta = self.runner.run(self.stores[1].load(partition))
        ords = range(1, delta.head + 1) if stale else [row.ord for row in delta.rows]
        if not ords:
            return None
        found = self.runner.run(self.stores[1].read(partition, [ords[pick % len(ords)]]))
        return found[0] if found else None


async def _removed(store: Store, tenant: str, ids: Sequence[str], at: Any) -> dict[str, int]:
    return (await store.erase(tenant, ids, at=at, reason="asked")).removed


async def _loaded(
    store: Store, partition: Partition, since: int, known_at: Any
) -> tuple[int, list[EntryRow], list[int]]:
    delta: Delta = await store.load(partition, since=since, known_at=known_at)
    numbers: dict[int, int] = {}  # which ones they are is the store's own business
    rows = [row._replace(scope=numbers.setdefault(row.scope, len(numbers))) for row in delta.rows]
    return delta.head, rows, sorted(delta.dead)


async def _sizes(store: Store, tenant: str) -> tuple[Any, ...]:
    stats = await store.stats(tenant)
    return stats.partitions, stats.turns, stats.memories, stats.retired, stats.changes, stats.space
