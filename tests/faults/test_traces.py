"""What was erased is nowhere: not in the file, not between its rows, not in the log, not in a later backup."""

import asyncio
import random
import sqlite3
import subprocess
from pathlib import Path

import pytest

from perdure.errors import Conflict
from perdure.ports import Query
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import (
    ALICE,
    NOW,
    SPACE,
    add,
    batch,
    change,
    fact,
    got,
    moment,
    revision,
    said,
)
from perdure.types import Scope


def raw(*paths: Path) -> bytes:
    """All bytes; read by another process, since closing a file of ours would drop SQLite's locks."""
    there = [path for path in paths if path.exists()]
    return subprocess.run(["cat", *there], stdout=subprocess.PIPE, check=True).stdout


def files(path: Path) -> list[Path]:
    return [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]


def secret(n: int, *, times: int = 1) -> str:
    return f"SECRET{n:05d}S " * times


def test_nothing_of_an_erased_memory_is_left_in_any_file(tmp_path, look):
    path, copy = tmp_path / "memory.db", tmp_path / "copy.db"

    async def use(store):
        words = {"speaker": secret(1), "metadata": {secret(2): secret(3)}, "categories": (secret(4),)}
        memory = await add(store, secret(5), **words)
        await change(store, revision(memory, secret(6), at=NOW))
        derived = fact(secret(7), sources=(memory.id,))
        await store.commit(batch(derived, said("harmless", scope=ALICE), key=secret(8)))
        assert b"SECRET" in raw(*files(path))
        erased = await store.erase("default", [derived.memory_id], at=moment(hours=1))
        assert erased.log_truncated
        await store.backup(copy)
        assert b"SECRET" not in raw(*files(path), copy)

    look(path, use)
    assert b"SECRET" not in raw(*files(path))


def test_moving_rows_from_page_to_page_leaves_no_copies(tmp_path, look):
    """Some of these texts are left in the free space of pages, unless the file is written anew."""
    chance = random.Random(2)

    async def use(store):
        said_by = {}
        for _ in range(40):
            scope = Scope(user_id=f"u{chance.randrange(20)}")
            sizes = [chance.choice((3, 20, 60)) for _ in range(chance.randrange(1, 40))]
            pairs = [said(secret(len(said_by) + n, times=size), scope=scope) for n, size in enumerate(sizes)]
            said_by |= {turn.id: turn for turn, _ in pairs}
            await store.commit(batch(*pairs))
            for turn in chance.sample(list(said_by.values()), min(5, len(said_by))):
                memory = await got(store, turn.id)
                longer = revision(memory, memory.text + "more " * chance.choice((1, 100)), at=NOW)
                await change(store, longer, scope=turn.scope)
        victims = chance.sample(sorted(said_by), len(said_by) // 3)
        await store.erase("default", victims, at=NOW)
        held = raw(*files(tmp_path / "memory.db"))
        assert [i for i in victims if said_by[i].text.split()[0].encode() in held] == []
        assert await store.check() == []

    look(tmp_path / "memory.db", use)


def test_nothing_of_a_tenant_is_left_after_a_reset(tmp_path, look):
    async def use(store):
        for n in range(50):
            await add(store, secret(n, times=20))
        await store.reset("default")
        assert b"SECRET" not in raw(*files(tmp_path / "memory.db"))

    look(tmp_path / "memory.db", use)


def test_a_log_that_somebody_reads_is_emptied_when_they_are_done(tmp_path):
    path = tmp_path / "memory.db"

    async def run():
        store, reader = SqliteStore(path=path), SqliteStore(path=path)
        await store.open(SPACE)
        await reader.open(SPACE)
        memory = await add(store, secret(1))
        export = reader.export("default")
        await anext(export)
        erased = await store.erase("default", [memory.id], at=NOW)
        assert not erased.log_truncated
        assert b"SECRET" in raw(*files(path))
        await export.aclose()
        await add(store, "the next write")
        assert b"SECRET" not in raw(*files(path))
        await reader.aclose()
        await store.aclose()

    asyncio.run(run())


@pytest.mark.parametrize(
    "statement",
    ["VACUUM", "UPDATE meta SET value = max", "PRAGMA wal_checkpoint"],
    ids=lambda s: s.split()[0],
)
def test_an_erasure_that_was_cut_off_is_finished_when_the_store_is_opened(
    tmp_path, processes, look, statement
):
    path = tmp_path / "memory.db"
    processes.run("erase", path, statement, code=9)
    assert b"SECRET" in raw(*files(path))

    async def use(store):
        assert b"SECRET" not in raw(*files(path))
        counts = "SELECT value FROM meta WHERE key IN ('erased', 'rewritten', 'truncated')"
        assert await store._use.readers.do(lambda c: c.execute(counts).fetchall()) == [(1,)] * 3
        assert await store.check() == []

    look(path, use)


def test_a_file_that_could_not_be_written_anew_is_written_anew_after_a_later_write(tmp_path, look):
    async def use(store):
        memory = await add(store, secret(1))
        done, seen = [], []
        await store._use.writer.do(lambda c: c.set_trace_callback(seen.append), alone=True)
        await store._use.writer.do(lambda c: c.set_authorizer(refuse_rewriting), alone=True)
        erased = await store.erase("default", [memory.id], at=NOW)
        await store._use.writer.do(lambda c: c.set_authorizer(None), alone=True)
        done.append(seen.count("VACUUM"))
        await add(store, "the next write")
        done.append(seen.count("VACUUM"))
        await add(store, "and the one after")
        done.append(seen.count("VACUUM"))
        assert b"SECRET" not in raw(Path(f"{tmp_path / 'memory.db'}-wal"))
        assert (erased.log_truncated, done) == (False, [1, 2, 2])

    look(tmp_path / "memory.db", use)


def refuse_rewriting(action, *_):
    """VACUUM attaches the new file."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def test_the_log_of_a_change_that_was_refused_tells_nothing(tmp_path, look):
    """A batch that is rolled back has never been written to the log."""

    async def use(store):
        memory = await add(store, "here")
        try:
            await store.commit(batch(said(secret(1)), said("again", id=memory.id)))
        except Conflict:
            assert b"SECRET" not in raw(*files(tmp_path / "memory.db"))
        assert len(await store.find(Query(tenant="default", now=NOW))) == 1

    look(tmp_path / "memory.db", use)
