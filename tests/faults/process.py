"""What other processes do to a store while a test looks on: `python process.py VERB PATH ...`."""

import asyncio
import json
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from perdure.errors import Closed, Conflict, StoreFull
from perdure.stores.sqlite import SqliteStore, workers
from perdure.testing.store.scenes import (
    ALICE,
    NOW,
    SPACE,
    Replica,
    add,
    batch,
    end,
    entry,
    got,
    query,
    revision,
    said,
)
from perdure.types import Scope

SHARED = Scope(user_id="shared")


# ruff: noqa: ASYNC222, ASYNC240 -- in these processes nothing else waits for the event loop


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.001)


def tell(line: str) -> None:
    """One line in one system call: a process that is killed has told it whole or not at all."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


# ---- dying at every step


def crash_points(path: Path) -> None:
    """Die before each statement of a commit, and after the last before the answer; a fresh store each time."""
    for point in range(10_000):
        folder = path / str(point)
        folder.mkdir()
        child = os.fork()
        if child == 0:
            asyncio.run(_die_at(folder, point))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            return  # there were fewer statements than that: it lived


async def _die_at(folder: Path, point: int) -> None:
    armed, left = False, point

    def count(_: str) -> None:
        nonlocal left
        if armed:
            if left == 0:
                os._exit(9)
            left -= 1

    def connect(*args, **kwargs):
        connection = real_connect(*args, **kwargs)
        connection.set_trace_callback(count)
        return connection

    def answer(*args):
        count("the answer")
        real_answer(*args)

    real_connect, real_answer = sqlite3.connect, workers._answer
    sqlite3.connect, workers._answer = connect, answer
    store = SqliteStore(path=folder / "memory.db", synchronous="NORMAL")
    await store.open(SPACE)
    old, gone = await add(store, "old"), await add(store, "gone")
    acknowledged = [old.id, gone.id]
    _note(folder, acknowledged)
    parts = (said("one"), said("two"), revision(old, "new", at=NOW), end(gone))
    armed = True
    await store.commit(batch(*parts, key="key"))
    armed = False
    _note(folder, [*acknowledged, parts[0][0].id, parts[1][0].id])


def _note(folder: Path, ids: list[str]) -> None:
    (folder / "acknowledged").write_text(json.dumps(ids))


def log(path: Path, batches: str) -> None:
    """Commit so many batches of two turns, tell how many, and die with the log as it is."""

    async def run() -> None:
        store = SqliteStore(path=path, synchronous="NORMAL")
        await store.open(SPACE)
        for n in range(int(batches)):
            await store.commit(batch(said(f"{n} first"), said(f"{n} second " + "x" * 5000)))
        os._exit(9)

    asyncio.run(run())


def erase(path: Path, statement: str) -> None:
    """Die in the middle of an erasure, before a statement that begins like this."""

    async def run() -> None:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        memory = await add(store, "SECRET")
        await store._use.writer.do(lambda c: c.set_trace_callback(die), alone=True)
        await store.erase("default", [memory.id], at=NOW)

    def die(sql: str) -> None:
        if sql.startswith(statement):
            os._exit(9)

    asyncio.run(run())


# ---- writing, and being killed


def write(path: Path, name: str) -> None:
    """Write until a file `stop` appears; then see that what was learned step by step is what there is."""
    asyncio.run(_write(path, name, until=path.parent / "stop"))


def killed(path: Path, name: str, times: str) -> None:
    """Write, and be killed at a random moment, again and again."""
    for _ in range(int(times)):
        child = os.fork()
        if child == 0:
            asyncio.run(_write(path, f"{name}{os.getpid()}", until=None))
        time.sleep(random.uniform(0.01, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


async def _write(path: Path, name: str, until: Path | None) -> None:
    store = SqliteStore(path=path, busy_timeout=60, synchronous="NORMAL")
    await store.open(SPACE)
    replica = Replica()
    own, n = Scope(user_id=name), 0
    while until is None or not until.exists():
        n += 1
        pairs = [
            said(f"{name} {n} {k}", scope=random.choice((SHARED, own))) for k in range(random.randint(1, 3))
        ]
        for scope in {turn.scope for turn, _ in pairs}:
            mine = [pair for pair in pairs if pair[0].scope == scope]
            await store.commit(batch(*mine, key=f"{name} {n}"))
            for turn, _ in mine:
                tell(f"{turn.id} {turn.text}")
        if n % 3 == 0:
            await _revise_one(store, name, n)
        replica.apply(await store.load(SHARED.partition, since=replica.head))
    replica.apply(await store.load(SHARED.partition, since=replica.head))
    while (fresh := await store.load(SHARED.partition)).head != replica.head:
        replica.apply(await store.load(SHARED.partition, since=replica.head))
    assert list(replica.rows.values()) == list(fresh.rows)
    await store.aclose()


async def _revise_one(store: SqliteStore, name: str, n: int) -> None:
    """Change the shared partition's newest memory, which others may be changing too."""
    [memory] = await store.find(query(partitions=(SHARED.partition,), limit=1)) or [None]
    if memory is not None:
        revised = replace(revision(memory, at=NOW), entry=entry(f"{name} {n}"))
        try:
            await store.commit(batch(revised))
        except Conflict:
            return


# ---- opening at once, holding, filling


def join(path: Path, name: str) -> None:
    """Open a store that may not be there yet, together with others, and write twenty turns."""

    async def run() -> None:
        store = SqliteStore(path=path, busy_timeout=30)
        tell("ready")
        wait_for(path.parent / "go")
        await store.open(SPACE)
        for n in range(20):
            await add(store, f"{name} {n}")
        await store.aclose()

    asyncio.run(run())


def hold(path: Path) -> None:
    """Hold the write lock until standard input ends."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    tell("held")
    sys.stdin.read()
    connection.execute("ROLLBACK")


def fill(path: Path) -> None:
    """Reach the limit on file sizes in the middle of an add, go on reading, and write again when there is room."""

    async def run() -> None:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        kept = await add(store, "kept")
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        limit = Path(f"{path}-wal").stat().st_size + 300_000
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        wide = batch(*(said("x" * 4_000) for _ in range(200)))
        try:
            await store.commit(wide)
        except StoreFull:
            tell("full")
        assert await store.get("default", wide.turns[0].id) is None
        assert await got(store, kept.id) == kept
        small = await add(store, "small")
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        await store.commit(wide)
        assert len((await store.load(ALICE.partition)).rows) == 202
        assert await got(store, small.id) == small
        assert await store.check() == []
        await store.aclose()
        tell("sound")

    asyncio.run(run())


def fork(path: Path) -> None:
    """Fork in the middle of writing; parent and child go on, each with a store of its own."""

    async def child(inherited: SqliteStore) -> None:
        try:
            await inherited.find(query())
        except Closed:
            await inherited.aclose()
        store = SqliteStore(path=path)
        await store.open(SPACE)
        for n in range(20):
            await add(store, f"child {n}")
        await store.aclose()

    async def parent() -> None:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        writing = [asyncio.create_task(add(store, f"before {n}")) for n in range(20)]
        await asyncio.sleep(0.001)
        pid = os.fork()
        if pid == 0:
            _in_child(child(store))
        await asyncio.gather(*writing)
        for n in range(20):
            await add(store, f"parent {n}")
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        await store.aclose()

    asyncio.run(parent())


def _in_child(work: Coroutine[Any, Any, None]) -> NoReturn:
    """Run it on a loop of the child's own; the parent's is of no use here."""
    code = 1
    try:
        asyncio.events._set_running_loop(None)
        asyncio.run(work)
        code = 0
    finally:
        os._exit(code)


def orphan(path: Path) -> None:
    """Fork with an open store; the parent closes its own, and another process comes and goes, while the child writes."""
    reading, writing = os.pipe()

    async def child() -> None:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        await add(store, "child first")
        os.write(writing, b"begun")
        wait_for(path.parent / "go")
        for n in range(19):
            await add(store, f"child {n}")
        await store.aclose()

    async def parent() -> int:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        await add(store, "parent")
        pid = os.fork()
        if pid == 0:
            _in_child(child())
        os.read(reading, 5)
        await store.aclose()
        return pid

    async def passer_by() -> None:
        store = SqliteStore(path=path)
        await store.open(SPACE)
        await store.aclose()

    pid = asyncio.run(parent())
    asyncio.run(passer_by())
    (path.parent / "go").touch()
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


if __name__ == "__main__":
    verb, path, *rest = sys.argv[1:]
    globals()[verb](Path(path), *rest)
