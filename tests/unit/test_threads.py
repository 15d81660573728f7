"""Threads that do what they were given, whoever closes, forgets, forks or exits."""

import asyncio
import gc
import subprocess
import sys
import threading

import pytest

from perdure.errors import Closed
from perdure.threads import Threads


def running(name):
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"perdure-{name}")]


def test_a_function_is_run_and_its_result_or_its_error_is_given():
    threads = Threads("divide", 2)

    async def scenario():
        assert await threads.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await threads.run(divmod, 7, 0)
        assert await asyncio.gather(*(threads.run(pow, n, 2) for n in range(50))) == [n**2 for n in range(50)]

    asyncio.run(scenario())
    threads.close()


def test_closing_does_what_was_submitted_and_then_the_last():
    threads, done, hold = Threads("last", 1), [], threading.Event()
    futures = [threads.submit(hold.wait), *(threads.submit(done.append, n) for n in range(5))]
    held = running("last")
    threads.close(lambda: done.append("last"))
    with pytest.raises(Closed):
        threads.submit(print)
    hold.set()
    for thread in held:
        thread.join()
    assert done == [0, 1, 2, 3, 4, "last"]
    assert all(future.done() for future in futures)


def test_what_was_cancelled_before_its_turn_is_not_called():
    threads, done, hold = Threads("cancel", 1), [], threading.Event()
    threads.submit(hold.wait)
    assert threads.submit(done.append, 1).cancel()
    hold.set()
    threads.submit(done.append, 2).result()
    assert done == [2]
    threads.close()


def test_without_work_there_are_no_threads():
    threads = Threads("idle", 2)
    threads.close(lambda: pytest.fail("nothing was submitted"))
    assert running("idle") == []


def test_threads_that_are_forgotten_end():
    threads = Threads("forgotten", 2)
    threads.submit(print).result()
    held = running("forgotten")
    assert len(held) == 2
    del threads
    gc.collect()
    for thread in held:
        thread.join()


AT_EXIT = """
import atexit, threading, time
from perdure.threads import Threads
threads = Threads("exit", 2)
def worker():
    threading.main_thread().join()
    print(threads.submit(pow, 2, 10).result(), flush=True)
threading.Thread(target=worker).start()
atexit.register(lambda: print(threads.submit(pow, 3, 3).result(), flush=True))
threads.submit(pow, 1, 1).result()
"""


def test_threads_work_after_the_main_thread_has_ended_and_in_exit_handlers():
    done = subprocess.run(
        [sys.executable, "-c", AT_EXIT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", ["1024", "27"])


UNFINISHED = """
import threading, time
from perdure.threads import Threads
threads, begun = Threads("unfinished", 1), threading.Event()
def work():
    begun.set()
    time.sleep(0.2)
    print("finished", flush=True)
threads.submit(work)
begun.wait()
"""


@pytest.mark.parametrize(
    "end", ["", "threads.close(); del threads", "import os\nif not os.fork(): raise SystemExit"]
)
def test_what_was_begun_is_finished_before_the_interpreter_is_gone(end):
    done = subprocess.run(
        [sys.executable, "-c", UNFINISHED + end], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "finished\n")
