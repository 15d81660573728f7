"""The blocking face over a small asynchronous class that keeps its numbers in SQLite."""

from __future__ import annotations

import _thread
import asyncio
import gc
import inspect
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from contextvars import ContextVar
from pathlib import Path
from typing import Self

import pytest

from perdure import Memory
from perdure.blocking import Blocking, blocking
from perdure.errors import Closed, InvalidInput, NotFound

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


class AsyncLedger:
    """Numbers in a SQLite file, which is open only during a verb: no connection may be open over a fork."""

    made = 0
    closed = 0

    def __init__(self, path: Path) -> None:
        type(self).made += 1
        self._path = path
        self._one_at_a_time = asyncio.Lock()
        self.events: list[str] = []

    async def __aenter__(self) -> Self:
        await self.add(0)
        return self

    async def __aexit__(self, *exc: object) -> None:
        type(self).closed += 1

    async def add(self, number: int, *, twice: bool = False) -> int:
        """Add a number; the sum so far."""
        async with self._one_at_a_time:
            await asyncio.sleep(0)
            with closing(sqlite3.connect(self._path)) as db, db:
                db.execute("CREATE TABLE IF NOT EXISTS ledger (n INTEGER)")
                db.executemany("INSERT INTO ledger VALUES (?)", [(number,)] * (1 + twice))
                return int(db.execute("SELECT SUM(n) FROM ledger").fetchone()[0])

    async def fail(self) -> None:
        raise NotFound("there is no such number")

    async def who(self) -> str:
        return WHO.get()

    async def exit(self) -> None:
        raise SystemExit(3)

    async def sleep(self, seconds: float) -> None:
        self.events.append("asleep")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.events.append("cancelled")
            raise

    async def told(self) -> list[str]:
        return self.events

    async def nest(self, ledger: Ledger) -> int:
        return ledger.add(1)

    async def thread_name(self) -> str:
        return threading.current_thread().name


class Ledger(Blocking[AsyncLedger]):
    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(lambda: AsyncLedger(self.path))

    add = blocking(AsyncLedger.add)
    fail = blocking(AsyncLedger.fail)
    who = blocking(AsyncLedger.who)
    exit = blocking(AsyncLedger.exit)
    sleep = blocking(AsyncLedger.sleep)
    told = blocking(AsyncLedger.told)
    nest = blocking(AsyncLedger.nest)
    thread_name = blocking(AsyncLedger.thread_name)


@pytest.fixture
def ledger(tmp_path: Path):
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def in_a_child(work) -> int:
    """Run `work` in a forked child; its exit code: 0 when it returned, 1 when it raised."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()  # newer Pythons warn of what is tested here
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001  # the child must never return into pytest
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def python(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a script that finds `Ledger` here, in an interpreter of its own."""
    preamble = (  # asyncio's debug mode would tell on stderr how slow a busy machine is
        f"import logging, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from test_blocking import *\n"
        "logging.getLogger('asyncio').setLevel(logging.ERROR)\n"
    )
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            preamble + textwrap.dedent(script),
            *map(str, args),
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )


def test_a_verb_returns_what_the_coroutine_returns(ledger):
    assert ledger.add(1) == 1
    assert ledger.add(2, twice=True) == 5


def test_a_verb_looks_like_the_one_that_it_is_derived_from():
    assert inspect.signature(Ledger.add) == inspect.signature(AsyncLedger.add)
    assert Ledger.add.__doc__ == AsyncLedger.add.__doc__
    assert not inspect.iscoroutinefunction(Ledger.add)


def test_nothing_is_made_before_the_first_call(tmp_path):
    made = AsyncLedger.made
    ledger = Ledger(tmp_path / "never.db")
    assert AsyncLedger.made == made
    ledger.close()
    assert AsyncLedger.made == made
    assert not (tmp_path / "never.db").exists()


def test_it_works_inside_a_running_loop(ledger):
    async def cell() -> int:
        return ledger.add(7)

    assert asyncio.run(cell()) == 7


def test_a_call_from_its_own_loop_raises_instead_of_waiting_for_itself(ledger):
    with pytest.raises(InvalidInput, match="own event loop"):
        ledger.nest(ledger)
    assert ledger.add(1) == 1


def test_the_first_call_from_its_own_loop_raises_too(ledger, tmp_path):
    with pytest.raises(InvalidInput, match="own event loop"):
        ledger.nest(Ledger(tmp_path / "other.db"))
    assert ledger.add(1) == 1


def test_fifty_threads_that_come_together_share_one_engine_and_lose_nothing(tmp_path):
    made = AsyncLedger.made
    ledger, ready = Ledger(tmp_path / "ledger.db"), threading.Barrier(50)

    def work(_: int) -> list[int]:
        ready.wait()
        return [ledger.add(1) for _ in range(3)]

    with ThreadPoolExecutor(50) as pool:
        assert sorted(n for some in pool.map(work, range(50)) for n in some) == list(range(1, 151))
    assert AsyncLedger.made == made + 1
    ledger.close()


def test_an_error_keeps_its_type_and_its_traceback(ledger):
    with pytest.raises(NotFound, match="no such number") as caught:
        ledger.fail()
    frames = [frame.name for frame in caught.traceback]
    assert frames[0] == "test_an_error_keeps_its_type_and_its_traceback"
    assert frames[-1] == "fail"


def test_a_wrong_argument_is_an_ordinary_type_error(ledger):
    with pytest.raises(TypeError, match="unexpected keyword"):
        ledger.add(1, thrice=True)


def test_a_coroutine_that_exits_does_not_take_the_loop_with_it(ledger):
    with pytest.raises(SystemExit):
        ledger.exit()
    assert ledger.add(1) == 1


def test_context_variables_of_the_caller_are_seen(ledger):
    token = WHO.set("alice")
    try:
        assert ledger.who() == "alice"
    finally:
        WHO.reset(token)
    assert ledger.who() == "nobody"


def test_all_run_in_one_daemon_thread(ledger, tmp_path):
    with Ledger(tmp_path / "other.db") as other:
        assert ledger.thread_name() == other.thread_name() == "perdure"
    assert [t.daemon for t in threading.enumerate() if t.name == "perdure"] == [True]


def test_closed_is_closed(tmp_path):
    ledger, closed = Ledger(tmp_path / "ledger.db"), AsyncLedger.closed
    ledger.add(1)
    ledger.close()
    ledger.close()
    assert AsyncLedger.closed == closed + 1
    with pytest.raises(Closed):
        ledger.add(1)
    with pytest.raises(Closed), ledger:
        pass


def test_what_nobody_holds_is_closed(tmp_path):
    ledger, closed = Ledger(tmp_path / "ledger.db"), AsyncLedger.closed
    ledger.add(1)
    del ledger
    gc.collect()
    with Ledger(tmp_path / "other.db") as other:
        other.add(1)  # behind the closing, in the order in which the loop was told
    assert AsyncLedger.closed == closed + 2


def test_an_engine_that_cannot_be_made_is_tried_again_by_the_next_call(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    path = ledger.__dict__.pop("path")
    with pytest.raises(AttributeError):
        ledger.add(1)
    ledger.path = path
    assert ledger.add(1) == 1
    ledger.close()


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores SIGINT; the test is about one that does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def wake_with_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "press", [wake_with_ctrl_c, _thread.interrupt_main]
)  # the latter wakes nobody who sleeps
def test_ctrl_c_cancels_the_coroutine_and_lets_it_tidy_up(ledger, press):
    def interrupt() -> None:
        while ledger.told() != ["asleep"]:
            time.sleep(0.001)
        press()

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        ledger.sleep(3600)
    interrupter.join()
    assert ledger.told() == ["asleep", "cancelled"]
    assert ledger.add(1) == 1


def test_parent_and_child_both_go_on_after_a_fork(ledger):
    ledger.add(1)
    made, closed = AsyncLedger.made, AsyncLedger.closed

    def child() -> None:
        assert ledger.add(10) == 11
        assert ledger.thread_name() == "perdure"
        assert (AsyncLedger.made, AsyncLedger.closed) == (made + 1, closed)

    assert in_a_child(child) == 0
    assert ledger.add(100) == 111
    assert AsyncLedger.made == made


def test_a_fork_while_others_are_calling_leaves_the_child_free(ledger):
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            ledger.who()  # not `add`: SQLite itself does not survive a fork in the middle of a write

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [in_a_child(lambda: ledger.add(1)) for _ in range(20)] == [0] * 20
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert ledger.add(0) == 20


def test_what_is_closed_before_a_fork_is_closed_in_the_child(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.add(1)
    ledger.close()

    def child() -> None:
        with pytest.raises(Closed):
            ledger.add(1)

    assert in_a_child(child) == 0


def test_closing_in_the_child_does_not_touch_the_parents_engine(ledger):
    ledger.add(1)
    closed = AsyncLedger.closed

    def child() -> None:
        ledger.close()
        assert AsyncLedger.closed == closed

    assert in_a_child(child) == 0
    assert ledger.add(1) == 2


def test_a_child_that_ends_normally_finalises_nothing_of_its_parents(tmp_path):
    done = python(
        """
        class Loud:
            def __del__(self): print("finalised in", "parent" if os.getpid() == parent else "child", flush=True)
        parent = os.getpid()
        ledger = Ledger(sys.argv[1])
        ledger.add(1)
        ledger._bond[1].loud = Loud()
        if pid := os.fork():
            assert os.waitpid(pid, 0)[1] == 0
            assert ledger.add(1) == 102
        else:
            assert ledger.add(100) == 101
            del ledger
            gc.collect()
            sys.exit()
        """,
        tmp_path / "ledger.db",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "child" not in done.stdout


def test_children_of_children_work(ledger):
    ledger.add(1)

    def child() -> None:
        assert ledger.add(1) == 2
        assert in_a_child(lambda: ledger.add(1)) == 0
        assert ledger.add(1) == 4

    assert in_a_child(child) == 0
    assert ledger.add(1) == 5


def test_a_memory_goes_on_in_parent_and_children_that_are_forked_while_it_is_written_to(tmp_path):
    said, stop = [0] * 4, threading.Event()
    with Memory({"path": tmp_path / "memory.db", "embedder": None}) as memory:

        def write(thread: int) -> None:
            while not stop.is_set():
                memory.add(f"The parent's thread {thread} counts to {said[thread]}.", user_id="sam")
                said[thread] += 1

        threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
        for thread in threads:
            thread.start()
        try:
            for child in range(10):
                assert in_a_child(lambda n=child: memory.add(f"Child {n} was born.", user_id="sam")) == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        found = [result["memory"] for result in memory.get_all(user_id="sam", top_k=100_000)["results"]]
    assert len(found) == len(set(found)) == sum(said) + 10


@pytest.mark.parametrize("way", ["open", "sleeping elsewhere", "used in atexit", "used in a finaliser"])
def test_an_interpreter_with_an_open_memory_ends_at_once(tmp_path, way):
    done = python(
        """
        import atexit
        ledger, way = Ledger(sys.argv[1]), sys.argv[2]
        ledger.add(1)
        if way == "sleeping elsewhere":
            threading.Thread(target=ledger.sleep, args=(3600,), daemon=True).start()
        elif way == "used in atexit":
            atexit.register(lambda: ledger.add(1))
        elif way == "used in a finaliser":
            class Late:
                def __del__(self, ledger=ledger, closed=Closed, write=os.write):
                    try: ledger.add(1)
                    except closed: write(1, b"closed")
            late = Late()
        """,
        tmp_path / "ledger.db",
        way,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("closed" if way == "used in a finaliser" else "")


def test_closing_when_the_interpreter_is_going_is_silent(tmp_path):
    script = """
    class Holder:
        def __init__(self):
            self.ledger = Ledger(Path(sys.argv[1]))
            self.ledger.add(1)
        def __del__(self):
            self.ledger.close()
            print("closed", sys.is_finalizing(), flush=True)
    holder = Holder()
    """
    done = python(script, tmp_path / "ledger.db")
    assert (done.stderr, done.stdout) == ("", "closed True\n")
