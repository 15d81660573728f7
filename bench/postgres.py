"""What PostgreSQL as the truth costs: adds beside the same rows sent raw, searches with many rows, many adds at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
import psycopg

from bench import workload
from bench.harness import Figures, Job, each_ms, median
from perdure import Config
from perdure.assemble import parts
from perdure.engine.memory import Engine
from perdure.ids import new_id
from perdure.moments import micros
from perdure.ports import Batch, Entry, Space, Write
from perdure.stores.postgres import PostgresStore
from perdure.stores.postgres.commit import entry_row
from perdure.stores.postgres.sheet import COLUMNS
from perdure.stores.rows import memory_row, turn_row
from perdure.testing.servers import PostgresServer
from perdure.types import Memory, Scope, Turn

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPACE = Space(analyzer=1, model="bench/1", dimensions=workload.DIMENSIONS)
AT_ONCE = 200
ENTRY = Entry(words=bytes(120), vectors=np.ones(workload.DIMENSIONS, np.float16).tobytes())


def batch(text: str, user: str) -> Batch:
    """One turn, its memory, and a key against sending it twice, as `add` makes them."""
    scope, turn_id = Scope(user_id=user), new_id()
    turn = Turn(id=turn_id, scope=scope, role="user", text=text, said_at=NOW, recorded_at=NOW)
    memory = Memory(id=turn_id, text=text, scope=scope, said_at=NOW, recorded_at=NOW, sources=(turn_id,))
    write = Write(event="ADD", memory_id=turn_id, memory=memory, entry=ENTRY)
    return Batch(
        id=new_id(),
        partition=scope.partition,
        at=NOW,
        turns=(turn,),
        writes=(write,),
        key=new_id(),
        key_since=NOW,
    )


class Raw:
    """The same rows sent by a program that knows everything beforehand: pipelined, in one transaction."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._seq = 0

    async def send(self, batches: Sequence[Batch]) -> None:
        """All rows of these batches, each with a statement that the server has prepared."""
        async with self._connection.pipeline():
            await self._run("BEGIN")
            for made in batches:
                self._seq += 1
                for table, row in self._rows(made):
                    columns = COLUMNS[table]
                    marks = ", ".join(["%s"] * (columns.count(",") + 1))
                    await self._run(f"INSERT INTO {table} ({columns}) VALUES ({marks})", *row, "default")
            await self._run("UPDATE partitions SET seq = %s WHERE id = %s", self._seq, 0)
            await self._run("COMMIT")

    def _rows(self, made: Batch) -> list[tuple[str, tuple[Any, ...]]]:
        [turn], [write] = made.turns, made.writes
        assert write.memory is not None
        return [
            ("turns", turn_row(replace(turn, session="s"), 0, 0)),
            ("memories", memory_row(replace(write.memory, ord=self._seq), 0, 0)),
            ("entries", entry_row(0, 0, self._seq, ENTRY)),
            ("changes", (0, self._seq, turn.id, "ADD", None, self._seq, 0, made.id, None, None)),
            ("keys", (0, made.key, made.id, micros(NOW), self._seq, self._seq, True)),
        ]

    async def _run(self, sql: str, *values: Any) -> None:
        await self._connection.execute(sql.encode(), values, prepare=True)


async def postgres(job: Job) -> AsyncGenerator[Figures, None]:
    """Adds and searches, on a server with its defaults (`fsync` on)."""
    from bench.ours import InProcessVectors, fill  # it imports this module

    with PostgresServer(options={"fsync": "on"}) as server:
        store = PostgresStore(url=server.url(), schema="adds")
        await store.open(SPACE)
        connection = await psycopg.AsyncConnection.connect(server.url("postgres"), autocommit=True)
        await connection.execute("SET search_path TO adds")
        raw, texts = Raw(connection), list(workload.texts(job.rows, seed=1))
        searched = {"provider": "postgres", "url": server.url(), "schema": "searched"}
        config = {"store": searched, "settings": {"cache_bytes": 0, "vector_cache_bytes": 0}}
        async with Engine(**{**parts(Config.of(config)), "embedder": InProcessVectors()}) as memory:
            await fill(memory, workload.rows(job.rows, users=job.users))
            await fill(memory, [workload.Row(user="all", text=text) for text in texts])
            yield {}
            for number in count():
                yield await _adds(job, store, raw, number) | await _searches(job, memory, number)


async def _adds(job: Job, store: PostgresStore, raw: Raw, number: int) -> Figures:
    """In turns, so that both have the same machine."""
    one, floor, together, floor_together = [], [], [], []
    texts = list(workload.texts(job.calls, seed=1000 + number))
    for text in texts:
        floor += await each_ms([lambda text=text: raw.send([batch(text, "alice")])])  # type: ignore[misc]
        one += await each_ms([lambda text=text: store.commit(batch(text, "alice"))])  # type: ignore[misc]
    for users in (1, AT_ONCE, 1, AT_ONCE):
        made = [
            batch(text, f"user {n % users}")
            for n, text in zip(range(AT_ONCE), workload.texts(AT_ONCE, seed=2), strict=True)
        ]
        again = [batch(text, "alice") for text in workload.texts(AT_ONCE, seed=2)]
        floor_together += await each_ms([lambda again=again: raw.send(again)])  # type: ignore[misc]
        together += await each_ms([lambda made=made: asyncio.gather(*map(store.commit, made))])  # type: ignore[misc]
    return {
        "postgres_raw_ms": median(floor),
        "postgres_add_ms": median(one),
        "postgres_add_times": median(one) / median(floor),
        "postgres_adds_ms": median(together),
        "postgres_adds_times": median(together) / median(floor_together),
    }


async def _searches(job: Job, memory: Engine, number: int) -> Figures:
    asked = workload.questions(workload.rows(1_000, users=job.users), job.calls, seed=number)
    questions = [question for _, question in asked]
    for question in questions:
        workload.vector(question)  # made beforehand: the embedder is not measured
    for user in range(job.users):
        await memory.search(questions[0], user_id=f"user-{user}")
    scoped = await each_ms(lambda r=r, q=q: memory.search(q, user_id=r.user) for r, q in asked)  # type: ignore[misc]
    whole = await each_ms(lambda q=q: memory.search(q, user_id="all") for q in questions[:20])  # type: ignore[misc]
    memory._indexes.drop()  # noqa: SLF001  # as a new process has it
    began = perf_counter()
    await memory.search(questions[0], user_id="all")
    return {
        "postgres_search_ms": median(scoped),
        "postgres_scope_ms": median(whole),
        "postgres_touch_ms": (perf_counter() - began) * 1000,
    }
