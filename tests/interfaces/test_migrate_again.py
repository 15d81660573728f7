"""A move made again follows what happened at the source since then."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Config
from perdure.engine.records import to_record
from perdure.ids import new_id
from perdure.migrate import migrate, moving
from perdure.migrate.movable import Movable, opened
from perdure.ports import Job, Write
from perdure.testing.models import ModelServer
from perdure.testing.store.scenes import ALICE, BOB, SPACE, batch, end, entry, fact, revision, said
from perdure.types import Memory, Scope, Turn

OWN = ("ord", "seq", "place", "first", "last")
"""What a store numbers itself."""
NAMES = count(1)
ANN = {"user_id": "ann", "infer": False}


@pytest.fixture(params=["sqlite-postgres", "postgres-sqlite", "sqlite-sqlite"])
def ends(request: Any, tmp_path: Path) -> tuple[Config, Config]:
    """A source and a target that nobody has used yet."""

    def store(kind: str, name: str) -> dict[str, Any]:
        if kind == "sqlite":
            return {"provider": "sqlite", "path": str(tmp_path / f"{name}.db")}
        server = request.getfixturevalue("postgres_server")
        return {"provider": "postgres", "url": server.url(), "schema": f"again{next(NAMES)}"}

    source, target = request.param.split("-")
    settings = {"background": False}
    return tuple(
        Config.of({"store": store(kind, name), "embedder": "hash", "settings": settings})
        for kind, name in ((source, "source"), (target, "target"))
    )  # type: ignore[return-value]  # two of them


async def contents(config: Config) -> list[Any]:
    """All that a store has, entries too, without what it numbers itself, in an order of its own."""
    found = []
    async with opened(config, None) as store:
        for tenant in await store.tenants():
            async for export in store.export(tenant, with_entries=True):
                record = {name: value for name, value in to_record(export).items() if name not in OWN}
                found.append((str(record), str(export.entry)))
    return sorted(found)


async def follows(source: Config, target: Config) -> dict[str, Any]:
    """Move, and see that both hold the same."""
    made = await migrate(source, target)
    assert await contents(target) == await contents(source)
    assert (made["sound"], made["missing"], made["beside"]) == (True, 0, 0)
    async with AsyncMemory(target) as memory:
        assert (await memory.doctor())["problems"] == []
    assert (await migrate(source, target))["new"] == 0
    return made


def test_what_was_changed_deleted_and_erased_since_then_is_so_at_the_target(ends):
    source, target = ends

    async def run() -> None:
        async with AsyncMemory(source) as memory:
            ids = [(await memory.add(f"number {n} is secret", **ANN))["results"][0]["id"] for n in range(8)]
        await follows(source, target)
        async with AsyncMemory(source) as memory:
            await memory.update(ids[0], "number 0 was changed")
            await memory.delete(ids[1])
            await memory.erase(ids[2])
            await memory.update(ids[3], "number 3 was secret as well")
            await memory.erase(ids[3])
            await memory.delete(ids[4])
            await memory.erase(ids[4])
            await memory.update(ids[5], "number 5 was changed")
            await memory.delete(ids[5])
            await memory.add("number 9 is new", **ANN)
            await memory.erase((await memory.add("number 10 is new", **ANN))["results"][0]["id"])
        assert (await follows(source, target))["new"] > 8
        async with AsyncMemory(target) as memory:
            listed = {one["memory"] for one in (await memory.get_all(user_id="ann"))["results"]}
            assert listed == {
                "number 0 was changed", "number 6 is secret", "number 7 is secret", "number 9 is new"
            }  # fmt: skip
            found = (await memory.search("number 2 secret", user_id="ann", threshold=0.0))["results"]
            assert {one["memory"] for one in found} == listed

    asyncio.run(run())


def test_words_that_were_erased_since_then_are_in_no_file_of_the_target(tmp_path):
    source, target = (Config.of({"path": str(tmp_path / name), "embedder": "hash"}) for name in "ab")

    async def run() -> None:
        async with AsyncMemory(source) as memory:
            secret = (await memory.add("the code is Xylophone", **ANN))["results"][0]["id"]
            await memory.add("the sea is calm", **ANN)
        await migrate(source, target)
        assert b"Xylophone" in (tmp_path / "b").read_bytes()
        async with AsyncMemory(source) as memory:
            await memory.erase(secret)
        assert (await migrate(source, target))["sound"]
        assert all(b"Xylophone" not in file.read_bytes() for file in tmp_path.glob("b*"))

    asyncio.run(run())


def test_what_was_learned_and_done_since_then_is_done_at_the_target(ends):
    source, target = ends
    learned = {
        "text": "Ann likes tea", "turns": [1], "subject": "Ann", "attribute": "tea", "from": None, "to": None,
        "categories": [], "action": "add", "memory": None,
    }  # fmt: skip

    async def run(url: str) -> None:
        llm = {"provider": "openai", "model": "m", "base_url": url, "api_key": "none", "retries": 0}
        models = replace(source, llm=Config.of({"llm": llm}).llm)
        async with AsyncMemory(models) as memory:
            for text in ("I like tea", "I like it green"):
                await memory.add(text, user_id="ann", wait=False)
            await memory.add("I like it black", user_id="ann", wait=False)
            owed = await memory.pending()
        assert (await follows(source, target))["jobs"] == 3
        async with AsyncMemory(models) as memory:
            await memory.retry(owed[0]["event_id"])
            await memory.erase((await memory.search("black", user_id="ann"))["results"][0]["id"])
        assert (await follows(source, target))["jobs"] == 1
        async with AsyncMemory(target) as memory:
            assert [job["event_id"] for job in await memory.pending()] == [owed[1]["event_id"]]
            assert "Ann likes tea" in [
                one["memory"] for one in (await memory.get_all(user_id="ann"))["results"]
            ]

    with ModelServer(lambda _: {"facts": [learned], "relations": []}) as server:
        asyncio.run(run(server.openai))


def test_what_was_changed_at_the_target_stays_there(ends):
    source, target = ends

    async def run() -> None:
        async with AsyncMemory(source) as memory:
            ids = [(await memory.add(f"number {n}", **ANN))["results"][0]["id"] for n in range(3)]
        await migrate(source, target)
        async with AsyncMemory(target) as memory:
            await memory.update(ids[0], "number 0, changed at the target")
            await memory.add("number 4, of the target", **ANN)
            await memory.add("to be done at the target", user_id="ann", wait=False)
        async with AsyncMemory(source) as memory:
            await memory.delete(ids[0])
            await memory.delete(ids[1])
        made = await migrate(source, target)
        assert not made["sound"]
        async with AsyncMemory(target) as memory:
            listed = {one["memory"] for one in (await memory.get_all(user_id="ann"))["results"]}
            assert listed >= {"number 0, changed at the target", "number 4, of the target", "number 2"}
            assert "number 1" not in listed
            assert len(await memory.pending()) == 1

    asyncio.run(run())


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_at_the_source_the_next_move_follows(ends, seed, monkeypatch):
    monkeypatch.setattr(moving, "PAGE", random.Random(seed).choice((1, 3, 20, 500)))
    source, target = ends

    async def run() -> None:
        life = Life(seed)
        for _ in range(4):
            async with opened(source, SPACE) as store:
                await life.goes_on(store, steps=15)
            made = await migrate(source, target)
            there, here = Counter(await contents(source)), Counter(await contents(target))
            beside = [
                one for one in here - there if "'passing': True" not in one[0]
            ]  # an older one harms nobody
            assert (sorted(there - here), beside, made["missing"]) == ([], [], 0)
            async with opened(target, None) as store:
                assert await store.check() == []  # type: ignore[attr-defined]  # both stores can
        assert (await migrate(source, target))["new"] == 0

    asyncio.run(run())


KILLED = """
import asyncio, os, signal, sys
from perdure import Config
from perdure.migrate import migrate, moving
from perdure.stores.sqlite.workers import Crew

async def do(self, *args, do=Crew.do, **options):
    global left
    if self._names == ["perdure-write-0"]:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return await do(self, *args, **options)

source, target, left = *sys.argv[1:3], int(sys.argv[3])
moving.PAGE, Crew.do = 20, do
asyncio.run(migrate(*[Config.of({"path": path, "embedder": "hash"}) for path in (source, target)]))
"""
"""A move that is killed before what it would write for the so-manieth time."""


def test_a_move_that_was_killed_while_it_caught_up_goes_on(tmp_path):
    source, first, then = (tmp_path / name for name in ("source.db", "first.db", "then.db"))
    ends = [Config.of({"path": str(path), "embedder": "hash"}) for path in (source, then)]
    life = Life(7)

    async def lived() -> None:
        async with opened(ends[0], SPACE) as store:
            await life.goes_on(store, steps=20)

    def killed(target: Path, at: int) -> bool:
        command = [sys.executable, "-c", KILLED, source, target, str(at)]
        code = subprocess.run(command, check=False, timeout=60).returncode
        assert code in (0, -signal.SIGKILL)
        return code != 0

    asyncio.run(lived())
    assert not killed(first, 0)
    asyncio.run(lived())
    at = 1
    while killed(shutil.copy(first, then), at):
        asyncio.run(follows(*ends))
        for left in tmp_path.glob("then.db*"):
            left.unlink()
        at += 1
    assert at > 5


class Life:
    """A source to which anything happens that a store allows, each thing a minute after the other."""

    def __init__(self, seed: int) -> None:
        self._pick = random.Random(seed)
        self._now = datetime(2026, 2, 1, tzinfo=UTC)

    async def goes_on(self, store: Movable, *, steps: int) -> None:
        for _ in range(steps):
            self._now += timedelta(minutes=1)
            await self._pick.choice((
                self._says, self._says, self._owes, self._changes, self._ends, self._returns,
                self._refines, self._erases, self._learns, self._tries, self._does,
            ))(store)  # fmt: skip

    async def _says(self, store: Movable, **fields: Any) -> None:
        scope = self._scope()
        turns = [self._said(scope) for _ in range(self._pick.randint(1, 3))]
        key = self._pick.choice((None, "own", "passing", new_id()))
        since = self._now - timedelta(minutes=2) if key == "passing" else None
        await store.commit(batch(*turns, at=self._now, key=key, key_since=since, **fields))

    async def _owes(self, store: Movable) -> None:
        scope = self._scope()
        turns = [self._said(scope) for _ in range(2)]
        job = Job(
            id=new_id(), partition=scope.partition, kind="facts", turns=tuple(t.id for t, _ in turns),
            made_at=self._now,
        )  # fmt: skip
        await store.commit(replace(batch(*turns, at=self._now, jobs=(job,)), id=job.id))

    async def _changes(self, store: Movable) -> None:
        if (memory := await self._any(store, current=True)) is not None:
            text = self._pick.choice((None, f"other {new_id()}"))
            await self._commit(store, memory, revision(memory, text, at=self._now))

    async def _ends(self, store: Movable) -> None:
        if (memory := await self._any(store, current=True)) is not None:
            await self._commit(store, memory, end(memory, reason=self._pick.choice((None, "old"))))

    async def _returns(self, store: Movable) -> None:
        if (memory := await self._any(store, current=False)) is not None:
            back = replace(memory, version=memory.version + 1, recorded_at=self._now, retired_at=None)
            made = entry(back.text)
            await self._commit(
                store, memory, Write(event="RESTORE", memory_id=back.id, memory=back, entry=made)
            )

    async def _refines(self, store: Movable) -> None:
        if (memory := await self._any(store, current=True)) is not None:
            known = Write(
                event="REFINE", memory_id=memory.id, refines=memory.ord, entry=entry(new_id()),
                salience=self._pick.random(), categories=(self._pick.choice("abc"),),
            )  # fmt: skip
            await self._commit(store, memory, known)

    async def _erases(self, store: Movable) -> None:
        if (memory := await self._any(store)) is not None:
            await store.erase("default", [memory.id], at=self._now, reason=self._pick.choice((None, "asked")))

    async def _learns(self, store: Movable) -> None:
        if (memory := await self._any(store, current=True)) is not None:
            other = await self._any(store, current=True)
            sources = {one.id: None for one in (memory, other) if one and one.scope == memory.scope}
            turns = await store.turns("default", list(sources))
            if turns:
                learned = self._learned(memory.scope, [turn.id for turn in turns])
                await self._commit(store, memory, learned)

    async def _tries(self, store: Movable) -> None:
        for job in await store.jobs("default", limit=1):
            await store.keep_job(replace(job, attempts=job.attempts + 1, error="no answer", due_at=self._now))

    async def _does(self, store: Movable) -> None:
        jobs: Sequence[Job] = await store.jobs("default")
        if jobs:
            job = self._pick.choice(jobs)
            scope = ALICE if job.partition == ALICE.partition else BOB
            learned = [self._learned(scope, job.turns)]
            writes = learned[: self._pick.randint(0, 1)]
            made = batch(*writes, at=self._now, partition=job.partition, done=(job.id,))
            await store.commit(replace(made, id=job.id))

    async def _any(self, store: Movable, *, current: bool | None = None) -> Memory | None:
        """One of the memories with words, by its last version."""
        held: dict[str, Memory] = {}
        async for export in store.export("default"):
            if isinstance(export.record, Memory) and export.record.erased_at is None:
                held[export.record.id] = export.record
        found = [m for m in held.values() if current in (None, m.retired_at is None)]
        return self._pick.choice(found) if found else None

    async def _commit(self, store: Movable, memory: Memory, write: Write) -> None:
        await store.commit(batch(write, at=self._now, partition=memory.scope.partition))

    def _said(self, scope: Scope) -> tuple[Turn, Write]:
        turn, write = said(f"word {new_id()}", scope=scope, at=self._now)
        return replace(turn, recorded_at=self._now), self._now_known(write)

    def _learned(self, scope: Scope, sources: Sequence[str]) -> Write:
        return self._now_known(fact(f"fact {new_id()}", sources=tuple(sources), scope=scope, at=self._now))

    def _now_known(self, write: Write) -> Write:
        assert write.memory is not None
        return replace(write, memory=replace(write.memory, recorded_at=self._now))

    def _scope(self) -> Scope:
        return self._pick.choice((ALICE, BOB))
