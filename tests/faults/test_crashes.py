"""Whenever a process dies, what it acknowledged is there, and nothing else is there by half."""

import json
import shutil
import time
from pathlib import Path

from perdure.testing.store.scenes import ALICE, query

NEW = {"one", "two", "new"}


async def contents(store):
    """What can be found, after the store has examined itself."""
    assert await store.check() == []
    return {memory.text: memory.id for memory in await store.find(query())}


def test_a_commit_that_dies_at_any_statement_is_there_whole_or_not_at_all(tmp_path, processes, look):
    processes.run("crash_points", tmp_path)
    points = sorted(tmp_path.iterdir(), key=lambda folder: int(folder.name))
    assert len(points) > 20
    outcomes = []
    for folder in points:
        acknowledged = json.loads((folder / "acknowledged").read_text())
        found = look(folder / "memory.db", contents)
        assert set(found) in ({"old", "gone"}, NEW)
        if len(acknowledged) > 2:
            assert set(found) == NEW
        outcomes.append("one" in found)
    assert outcomes == sorted(outcomes)  # first all without it, then all with it
    assert outcomes[-2:] == [True, True]  # the last dies after the commit, before the answer; then one lives


def test_a_log_that_is_cut_anywhere_opens_to_a_whole_number_of_batches(tmp_path, processes, look):
    path = tmp_path / "memory.db"
    processes.run("log", path, "20", code=9)
    whole = Path(f"{path}-wal").read_bytes()
    seen = set()
    for n, cut in enumerate([*range(0, len(whole), len(whole) // 97), len(whole)]):
        copy = tmp_path / f"cut{n}.db"
        shutil.copy(path, copy)
        Path(f"{copy}-wal").write_bytes(whole[:cut])
        seen.add(look(copy, whole_batches))
    assert seen == set(range(21))


async def whole_batches(store):
    """How many batches there are, the first ones without a gap and each with both of its turns."""
    assert await store.check() == []
    texts = [memory.text.split()[:2] for memory in await store.find(query(order="oldest"))]
    batches = [(str(n), which) for n in range(len(texts) // 2) for which in ("first", "second")]
    assert [tuple(text) for text in texts] == batches
    return len(texts) // 2


def test_nothing_acknowledged_is_lost_when_a_writer_is_killed_fifty_times(tmp_path, processes, look):
    path, told = tmp_path / "memory.db", tmp_path / "told"
    look(path, contents)
    others = [processes.start("write", path, name, output=told) for name in ("ann", "bob")]
    processes_of_victim = processes.start("killed", path, "vic", "50", output=told)
    _, errors = processes_of_victim.communicate(timeout=120)
    assert processes_of_victim.returncode == 0, errors
    (tmp_path / "stop").touch()
    for other in others:
        _, errors = other.communicate(timeout=120)
        assert other.returncode == 0, errors
    acknowledged = dict(line.split(" ", 1) for line in told.read_text().splitlines())
    assert {text.split()[0][:3] for text in acknowledged.values()} == {"ann", "bob", "vic"}

    async def all_there(store):
        assert await store.check() == []
        held = {memory.id: memory.text for memory in await store.find(query())}
        assert {i: held.get(i) for i in acknowledged} == acknowledged
        return await store.load(ALICE.partition)

    look(path, all_there)


def test_a_killed_process_leaves_no_lock_behind(tmp_path, processes, look):
    path = tmp_path / "memory.db"
    look(path, contents)
    victim = processes.start("write", path, "vic")
    victim.stdout.readline()
    time.sleep(0.05)
    victim.kill()
    look(path, contents, busy_timeout=1)
