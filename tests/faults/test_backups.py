"""A backup is made in the midst of writing, is checked, and takes the place of a store only as a whole."""

import asyncio
import sqlite3
import time
from contextlib import closing

import pytest

from perdure import AsyncMemory
from perdure.errors import InvalidInput, NotAStore, StoreBusy, StoreDamaged, StoreUnwritable
from perdure.stores.sqlite import SqliteStore, restore_backup
from perdure.testing.store.scenes import SPACE, add, query, texts


async def contents(store):
    assert await store.check() == []
    return set(texts(await store.find(query())))


@pytest.fixture
def store_with(look):
    """Make a store with some texts."""

    def make(path, *said):
        async def fill(store):
            for text in said:
                await add(store, text)

        look(path, fill)
        return path

    return make


def test_a_backup_made_while_others_write_holds_all_that_was_acknowledged_before(tmp_path, processes, look):
    path, copies, told = tmp_path / "memory.db", tmp_path / "copies", tmp_path / "told"
    copies.mkdir()
    writer = processes.start("write", path, "ann", output=told)

    while not (told.exists() and told.read_text()):
        time.sleep(0.01)

    async def run():
        store = SqliteStore(path=path)
        await store.open(SPACE)
        known = []
        for n in range(5):
            await asyncio.sleep(0.02)
            known.append(told.read_text().splitlines())
            await store.backup(copies / str(n))
        await store.aclose()
        return known

    known = asyncio.run(run())
    (tmp_path / "stop").touch()
    assert writer.wait(60) == 0
    for n, lines in enumerate(known):
        assert {line.split(" ", 1)[1] for line in lines} <= look(copies / str(n), contents)
    assert sorted(file.name for file in copies.iterdir()) == list("01234")


def test_a_backup_does_not_overwrite(tmp_path, look):
    async def use(store):
        with pytest.raises(InvalidInput, match="new file"):
            await store.backup(tmp_path / "memory.db")
        with pytest.raises(StoreUnwritable, match="cannot be made"):
            await store.backup(tmp_path / "memory.db" / "copy.db")

    look(tmp_path / "memory.db", use)


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path, look, monkeypatch):
    monkeypatch.setattr("perdure.stores.sqlite.backup._counts", lambda connection: [id(connection)])
    (tmp_path / "copies").mkdir()

    async def use(store):
        with pytest.raises(StoreDamaged):
            await store.backup(tmp_path / "copies" / "copy.db")

    look(tmp_path / "memory.db", use)
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("there_is_one", [True, False])
def test_a_backup_is_restored(tmp_path, look, store_with, there_is_one):
    path, copy = store_with(tmp_path / "memory.db", "before"), tmp_path / "copy.db"
    look(path, lambda store: store.backup(copy))
    if there_is_one:
        store_with(path, "after")
    else:
        path.unlink()
    restore_backup(copy, path)
    assert look(path, contents) == {"before"}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "memory.db"]


def test_a_log_that_a_crash_left_is_not_taken_for_the_restored_stores(tmp_path, processes, look, store_with):
    path, copy = tmp_path / "memory.db", store_with(tmp_path / "copy.db", "restored")
    processes.run("log", path, "5", code=9)
    restore_backup(copy, path)
    assert look(path, contents) == {"restored"}


def test_a_store_in_use_is_not_replaced(tmp_path, processes, look, store_with):
    path, copy = tmp_path / "memory.db", store_with(tmp_path / "copy.db", "restored")
    writer = processes.start("write", path, "ann")
    writer.stdout.readline()
    with pytest.raises(StoreBusy, match="stop what uses it"):
        restore_backup(copy, path)
    (tmp_path / "stop").touch()
    writer.communicate(timeout=60)
    assert writer.returncode == 0
    assert "restored" not in look(path, contents)


def test_a_damaged_store_is_replaced_and_kept_beside_the_new_one(tmp_path, look, store_with):
    path, copy = store_with(tmp_path / "memory.db", "old"), store_with(tmp_path / "copy.db", "restored")
    damaged = path.read_bytes()[:5_000]
    path.write_bytes(damaged)
    restore_backup(copy, path)
    assert look(path, contents) == {"restored"}
    assert (tmp_path / "memory.db.damaged").read_bytes() == damaged


def test_a_backup_that_is_not_sound_replaces_nothing(tmp_path, look, store_with):
    path, copy = store_with(tmp_path / "memory.db", "old"), store_with(tmp_path / "copy.db", "new")
    whole = bytearray(copy.read_bytes())
    whole[3 * 8192 : 8 * 8192] = b"\xff" * 5 * 8192
    copy.write_bytes(whole)
    with pytest.raises(StoreDamaged, match="another backup"):
        restore_backup(copy, path)
    assert look(path, contents) == {"old"}


def test_what_is_no_store_is_neither_restored_nor_replaced(tmp_path, look, store_with):
    path, other = store_with(tmp_path / "memory.db", "old"), tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    (tmp_path / "empty").touch()
    for backup, into in ((other, path), (tmp_path / "empty", path), (path, other)):
        with pytest.raises(NotAStore):
            restore_backup(backup, into)
    with pytest.raises(InvalidInput, match="no backup"):
        restore_backup(tmp_path / "missing", path)
    assert look(path, contents) == {"old"}


@pytest.mark.parametrize("others", [2, 3, 5])
def test_a_store_that_is_open_notices_a_backup_that_is_put_back_into_its_file(tmp_path, others):
    """By SQLite's own `.restore`: the file stays the same one, and goes on with other changes."""
    path = tmp_path / "memory.db"
    config = {"path": str(path), "embedder": "hash"}

    async def run():
        async with AsyncMemory(config) as memory, AsyncMemory(config) as other:
            await say(memory, "kept", 4)
            await memory.backup(tmp_path / "copy.db")
            await say(memory, "lost", 3)
            await found(memory)
            await asyncio.to_thread(put_back, tmp_path / "copy.db", path)
            await say(other, "other", others)
            async with AsyncMemory(config) as fresh:
                assert await found(memory) == await found(fresh)

    async def say(memory, what, times):
        for user in ("maya", "ann"):
            for number in range(times):
                await memory.add(f"{what} {number}", user_id=user)

    async def found(memory):
        return [
            await memory.search(word, user_id=user)
            for word in ("kept", "lost", "other")
            for user in ("maya", "ann")
        ]

    def put_back(copy, path):
        with closing(sqlite3.connect(copy)) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)

    asyncio.run(run())
