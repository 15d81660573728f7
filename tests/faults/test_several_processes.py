"""Several processes use one file: they wait for each other, and say so when it takes too long."""

import asyncio
from collections import Counter

import pytest

from perdure.errors import StoreBusy
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import ALICE, SPACE, add, query, texts


@pytest.mark.parametrize("count", [2, 4])
def test_processes_that_open_a_fresh_file_at_once_all_write_to_it(tmp_path, processes, look, count):
    path = tmp_path / "memory.db"
    joined = [processes.start("join", path, str(n)) for n in range(count)]
    for process in joined:
        assert process.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    for process in joined:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors

    async def all_there(store):
        assert await store.check() == []
        return len((await store.load(ALICE.partition)).rows)

    assert look(path, all_there) == 20 * count


def test_a_lock_that_is_held_too_long_is_busy_and_nothing_was_changed(tmp_path, processes):
    path = tmp_path / "memory.db"

    async def run():
        store = SqliteStore(path=path, busy_timeout=0.1)
        await store.open(SPACE)
        holder = processes.start("hold", path)
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy, match="try again"):
            await add(store, "not now")
        assert await store.find(query()) == []
        holder.communicate("")
        await add(store, "now")
        assert texts(await store.find(query())) == ["now"]
        await store.aclose()

    asyncio.run(run())


def test_after_a_fork_the_child_uses_a_store_of_its_own_beside_the_parents(tmp_path, processes, look):
    path = tmp_path / "memory.db"
    processes.run("fork", path)

    async def all_there(store):
        assert await store.check() == []
        return Counter(text.split()[0] for text in texts(await store.find(query())))

    assert look(path, all_there) == {"before": 20, "child": 20, "parent": 20}


def test_a_parent_that_ends_first_takes_nothing_from_its_child(tmp_path, processes, look):
    path = tmp_path / "memory.db"
    processes.run("orphan", path)

    async def all_there(store):
        assert await store.check() == []
        return len((await store.load(ALICE.partition)).rows)

    assert look(path, all_there) == 21
