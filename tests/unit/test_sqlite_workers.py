"""The threads of a store: commits that come together, callers that go, loops of their own."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from perdure.errors import Closed, StoreBusy
from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import ALICE, SPACE, add, batch, played, query, said


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.db"


def play(path, scenario, **options):
    return played(SqliteStore(path=path, **options), scenario)


def locked(path):
    """A connection that holds the write lock until it is closed."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return connection


def test_commits_that_come_together_share_transactions(path):
    async def scenario(store):
        seen = []
        await store._use.writer.do(lambda c: c.set_trace_callback(seen.append), alone=True)
        holder = locked(path)
        commits = [asyncio.create_task(store.commit(batch(said(str(n))))) for n in range(200)]
        await asyncio.sleep(0)  # all of them wait by now
        holder.close()
        await asyncio.gather(*commits)
        return seen.count("COMMIT")

    assert play(path, scenario) <= 3


def test_a_caller_that_goes_before_its_batch_is_taken_withdraws_it(path):
    async def scenario(store):
        holder = locked(path)
        taken = asyncio.create_task(store.commit(batch(said("taken"))))
        await asyncio.sleep(0.05)
        withdrawn = asyncio.create_task(store.commit(batch(said("withdrawn"))))
        await asyncio.sleep(0)
        withdrawn.cancel()
        holder.close()
        await taken
        with pytest.raises(asyncio.CancelledError):
            await withdrawn
        return [memory.text for memory in await store.find(query())]

    assert play(path, scenario, group=1) == ["taken"]


def test_a_caller_that_goes_after_its_batch_was_taken_leaves_it_whole(path):
    async def scenario(store):
        with closing(locked(path)):
            taken = asyncio.create_task(store.commit(batch(said("one"), said("two"))))
            await asyncio.sleep(0.05)
            taken.cancel()
        await add(store, "three")
        return len(await store.find(query()))

    assert play(path, scenario) == 3


class Watched:
    """A queue that goes on when somebody has gone home who was told to."""

    def __init__(self, crew, release):
        self.held, self.crew, self.release = crew.queue, crew, release

    def __getattr__(self, name):
        return getattr(self.held, name)

    def put(self, item):
        self.held.put(item)
        end = time.monotonic() + 10
        while all(worker.is_alive() for worker in self.crew._workers) and time.monotonic() < end:
            pass
        self.release.set()


def test_threads_go_home_whichever_is_told_first(path):
    async def scenario(store):
        await add(store, "one")
        crew = store._use.readers
        begun, release = threading.Event(), threading.Event()
        busy = asyncio.create_task(crew.do(lambda _: begun.set() or release.wait(10)))
        while not begun.is_set():
            await asyncio.sleep(0)
        crew._workers.sort(key=lambda worker: worker.taken == 0)  # the busy one first: another takes its word
        crew.queue = Watched(crew, release)
        await asyncio.wait_for(crew.go_home(), 20)
        return await busy

    assert play(path, scenario)


def test_reading_goes_on_while_the_writer_waits(path):
    async def scenario(store):
        await add(store, "here")
        with closing(locked(path)):
            waiting = asyncio.create_task(store.commit(batch(said("later"))))
            await asyncio.sleep(0.05)
            assert len(await store.find(query())) == 1
        await waiting
        return len(await store.find(query()))

    assert play(path, scenario) == 2


def test_all_who_wait_for_a_lock_are_told_at_once_that_it_is_busy(path):
    async def scenario(store):
        with closing(locked(path)):
            commits = (store.commit(batch(said(str(n)))) for n in range(50))
            answers = await asyncio.wait_for(asyncio.gather(*commits, return_exceptions=True), timeout=5)
        assert {type(answer) for answer in answers} == {StoreBusy}

    play(path, scenario, busy_timeout=0.1)


def test_event_loops_of_several_threads_may_share_a_store(path):
    store = SqliteStore(path=path)
    asyncio.run(store.open(SPACE))

    async def use(name):
        await asyncio.gather(*(store.commit(batch(said(f"{name} {n}"))) for n in range(20)))

    threads = [threading.Thread(target=asyncio.run, args=(use(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    async def count():
        rows = (await store.load(ALICE.partition)).rows
        await store.aclose()
        return len(rows)

    assert asyncio.run(count()) == 80


def test_a_loop_that_ends_without_waiting_does_no_harm(path):
    store = SqliteStore(path=path)
    asyncio.run(store.open(SPACE))
    holder = locked(path)

    async def leave():
        store_task = asyncio.create_task(store.commit(batch(said("left"))))
        await asyncio.sleep(0.05)
        store_task.cancel()

    asyncio.run(leave())
    holder.close()

    async def look():
        await add(store, "next")
        found = await store.find(query())
        await store.aclose()
        return len(found)

    assert asyncio.run(look()) == 2


def test_closing_finishes_what_was_begun_and_ends_the_threads(path):
    before = set(threading.enumerate())

    async def run():
        store = SqliteStore(path=path)
        await store.open(SPACE)
        commits = [asyncio.create_task(store.commit(batch(said(str(n))))) for n in range(20)]
        await asyncio.sleep(0)
        await store.aclose()
        await asyncio.gather(*commits)

    asyncio.run(run())
    assert len(play(path, lambda store: store.find(query()))) == 20
    assert not {thread for thread in threading.enumerate() if thread.name.startswith("perdure-")} - before


def test_a_store_that_was_not_opened_says_so(path):
    async def run():
        store = SqliteStore(path=path)
        with pytest.raises(Closed, match="open it"):
            await store.find(query())
        await store.aclose()

    before = threading.active_count()
    asyncio.run(run())
    assert threading.active_count() == before
    assert not path.exists()


def test_an_error_of_the_work_itself_reaches_its_caller_and_no_other(path):
    async def scenario(store):
        def fail(_):
            raise ZeroDivisionError

        outcomes = await asyncio.gather(
            store._use.writer.do(fail), store.commit(batch(said("fine"))), return_exceptions=True
        )
        assert [type(outcome).__name__ for outcome in outcomes] == ["ZeroDivisionError", "Committed"]
        with pytest.raises(ZeroDivisionError):
            await store._use.readers.do(fail)
        assert len(await store.find(query())) == 1

    play(path, scenario)


class Unhurried:
    """A queue that pauses after each of those who are sent home, for as long as that one takes to go."""

    def __init__(self, queue, crew):
        self.queue = queue
        self.crew = crew

    def put(self, job):
        before = sum(worker.is_alive() for worker in self.crew._workers)
        self.queue.put(job)
        deadline = time.monotonic() + 60
        while job is None and sum(w.is_alive() for w in self.crew._workers) == before:
            assert time.monotonic() < deadline  # awake: a sleep would be found to hold the loop

    def __getattr__(self, name):
        return getattr(self.queue, name)


def test_whichever_thread_goes_first_the_store_closes(path):
    async def scenario():
        store = SqliteStore(path=path, readers=4)
        await store.open(SPACE)
        await asyncio.gather(*(store.find(query()) for _ in range(8)))
        crew = store._use.readers
        crew.queue = Unhurried(crew.queue, crew)
        await asyncio.wait_for(store.aclose(), 30)

    for _ in range(5):  # which thread takes the first is chance
        asyncio.run(scenario())


FORKING = """
import asyncio, os, sqlite3, threading, time
from perdure.stores.sqlite import watch, workers

def connect():
    return sqlite3.connect(":memory:", check_same_thread=False)

async def main():
    crew = workers.Crew("read", connect, serve=workers.plainly, explain=lambda error: error)
    watches = [watch.Watch(connect) for _ in range(30)]  # in whatever order a fork goes through them
    begun = threading.Event()

    def look(connection):
        begun.set()
        while not workers._roll.locked():
            time.sleep(0.001)
        time.sleep(0.05)  # the fork takes what locks it gets
        return [one.version() for one in watches]

    looking = asyncio.create_task(crew.do(look))
    await asyncio.to_thread(begun.wait)
    if (child := os.fork()) == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(await looking) == 30
    await crew.go_home()

asyncio.run(main())
"""


def test_a_fork_in_the_middle_of_a_look_at_the_version_waits_for_it():
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
    quiet = {**os.environ, "PYTHONASYNCIODEBUG": ""}  # it would tell on stderr how slow a busy machine is
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False, env=quiet)
    assert (done.returncode, done.stderr) == (0, "")
