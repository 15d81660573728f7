"""Places and files that no store can be in are refused with what to do, and nothing in them is changed."""

import asyncio
import os
import sqlite3
import warnings

import pytest

from perdure.errors import NewerSchema, NotAStore, StoreDamaged, StoreError, StoreUnwritable
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import ALICE, SPACE, add, batch, query, said, texts


def refused(path, error, match):
    async def run():
        store = SqliteStore(path=path, busy_timeout=1)
        with pytest.raises(error, match=match):
            await store.open(SPACE)
        await store.aclose()

    asyncio.run(run())


@pytest.fixture
def filled(tmp_path, look):
    """A store with a few hundred pages."""
    path = tmp_path / "memory.db"

    async def fill(store):
        await store.commit(batch(*(said(f"{n} " + "x" * 2_000) for n in range(500))))

    look(path, fill)
    return path


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 1_000)
    refused(path, NotAStore, "another place")
    assert path.read_text() == "Dear diary, " * 1_000


def test_another_programs_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    before = path.read_bytes()
    refused(path, NotAStore, "another program")
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


def test_a_newer_schema_is_refused_and_left_alone(filled):
    connection = sqlite3.connect(filled)
    connection.execute("PRAGMA user_version=999")
    connection.close()
    before = filled.read_bytes()
    refused(filled, NewerSchema, "upgrade")
    assert filled.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path, look):
    path = tmp_path / "memory.db"
    path.touch()

    async def use(store):
        return (await add(store, "first")).text

    assert look(path, use) == "first"


@pytest.mark.parametrize("share", [0.001, 0.3, 0.99])
def test_a_truncated_file_is_damaged(filled, share):
    whole = filled.read_bytes()
    filled.write_bytes(whole[: int(len(whole) * share)])
    refused(filled, (StoreDamaged, NotAStore), r"backup|another place")


def test_damage_in_the_middle_is_found_by_the_check(filled, look):
    whole = bytearray(filled.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 20_000] = b"\xff" * 20_000
    filled.write_bytes(whole)

    async def check(store):
        return await store.check()

    assert look(filled, check)


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("file/memory.db", "cannot be made"),
        ("folder", "name a file"),
        (":memory:", "'memory'"),
        ("nul\0.db", "no file can be called"),
        ("nul\0/memory.db", "no file can be called"),
        ("half \ud83d.db", "no file can be called"),
        ("x" * 250, "too long"),
        ("x" * 300 + "/memory.db", "too long"),
        ("/".join(["x" * 100] * 6), "too long"),
    ],
    ids=range(9),
)
def test_a_place_where_no_file_can_be_is_refused(tmp_path, place, match):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    refused(tmp_path / place, StoreUnwritable, match)


def test_a_missing_directory_is_made(tmp_path, look):
    async def use(store):
        return (await add(store, "first")).text

    assert look(tmp_path / "a" / "b" / "memory.db", use) == "first"


def test_a_place_that_nobody_can_write_is_refused():
    refused("/proc/memory.db", StoreUnwritable, r"permission|writing")


def test_a_full_disk_refuses_the_add_that_does_not_fit_and_goes_on(tmp_path, processes):
    assert processes.run("fill", tmp_path / "memory.db") == "full\nsound\n"


def test_of_commits_that_come_together_those_that_fit_are_kept(tmp_path, look):
    async def use(store):
        await add(store, "kept")
        pages = "SELECT * FROM pragma_page_count"
        [[held]] = await store._use.writer.do(lambda c: c.execute(pages).fetchall())
        await store._use.writer.do(lambda c: c.execute(f"PRAGMA max_page_count={held + 20}").fetchall())
        small, wide = batch(said("small")), batch(*(said("x" * 4_000) for _ in range(200)))
        outcomes = await asyncio.gather(store.commit(wide), store.commit(small), return_exceptions=True)
        assert [type(outcome).__name__ for outcome in outcomes] == ["StoreFull", "Committed"]
        assert await store.get("default", wide.turns[0].id) is None
        await store._use.writer.do(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchall())
        await store.commit(wide)
        assert await store.check() == []
        return len((await store.load(ALICE.partition)).rows)

    assert look(tmp_path / "memory.db", use) == 202


def test_a_file_that_is_damaged_while_it_is_used_says_so(filled, look):
    async def use(store):
        with pytest.raises(StoreDamaged, match="restore a backup"):
            await store.load(ALICE.partition)

    whole = bytearray(filled.read_bytes())
    for page in range(len(whole) // 8192 // 3, len(whole) // 8192):
        whole[page * 8192 : page * 8192 + 100] = b"\xff" * 100
    filled.write_bytes(whole)
    look(filled, use)


def gone(path):
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def another(path, look):
    """Put another store in the place of this one."""
    other = path.with_name("other.db")
    look(other, lambda store: add(store, "theirs"))
    gone(path)
    other.rename(path)


@pytest.mark.parametrize("forked", [False, True])
@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_acknowledged_into_a_file_that_lost_its_place(tmp_path, look, replaced, forked):
    path = tmp_path / "memory.db"

    async def run():
        store = SqliteStore(path=path)
        await store.open(SPACE)
        await add(store, "kept")
        await asyncio.to_thread(another, path, look) if replaced else gone(path)
        if forked:  # which closes all connections
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # newer Pythons warn of what is tested here
                if (child := os.fork()) == 0:
                    os._exit(0)
            await asyncio.to_thread(os.waitpid, child, 0)
        with pytest.raises(StoreError, match="moved, deleted or replaced"):
            await add(store, "lost")
        if forked:
            with pytest.raises(StoreError, match="moved, deleted or replaced"):
                await store.load(ALICE.partition)
        await store.aclose()

    asyncio.run(run())
    assert path.exists() == replaced
    if replaced:
        assert look(path, texts_of) == ["theirs"]


async def texts_of(store):
    return texts(await store.find(query()))
