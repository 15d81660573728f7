"""The blocking face over a real store."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.errors import Closed, InvalidInput, Unavailable


def test_a_blocking_export_gives_one_record_after_another_and_goes_in_again(tmp_path: Path) -> None:
    def opened(name: str) -> Memory:
        return Memory({"path": str(tmp_path / name), "embedder": "hash"})

    with opened("a.db") as memory, opened("b.db") as other:
        memory.add(["I live in Lisbon", "My dog is called Biscuit"], user_id="maya", infer=False)
        records = memory.export_records(user_id="maya")
        assert next(records)["owner"] == "user:maya"
        assert other.import_records(memory.export_records())["imported"]["new"] == 7
        texts = [result["memory"] for result in other.get_all(user_id="maya")["results"]]
        assert sorted(texts) == ["I live in Lisbon", "My dog is called Biscuit"]


def test_records_that_cannot_be_drawn_to_the_end_tell_why(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield from memory.export_records()
        raise ZeroDivisionError

    with (
        Memory({"path": tmp_path / "a.db", "embedder": None}) as memory,
        Memory({"path": tmp_path / "b.db", "embedder": None}) as other,
    ):
        memory.add("I live in Lisbon", user_id="maya")
        with pytest.raises(ZeroDivisionError):
            other.import_records(records=broken())
        with pytest.raises(InvalidInput, match="line 1"):
            other.import_records(iter([1, 2]))
        with pytest.raises(InvalidInput, match="records is a int"):
            other.import_records(5)  # type: ignore[arg-type]  # the very mistake
        assert other.stats()["memories"] == 0


@pytest.mark.parametrize("of", [Memory, AsyncMemory])
@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_memory_is_not_handed_to_another_process_but_opened_there(of: Any, duplicate: Any) -> None:
    with pytest.raises(InvalidInput, match="open one in each process"):
        duplicate(of({"path": "never-opened.db", "embedder": None}))


def forked() -> int:
    """Which side of a fork this is, as `os.fork` says it."""
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return os.fork()  # newer Pythons warn of what is tested here


def test_an_export_that_a_fork_cuts_off_says_so_in_parent_and_child(tmp_path: Path) -> None:
    with Memory({"path": tmp_path / "a.db", "embedder": None}) as memory:
        for user in ("maya", "tomas"):  # the records of each come in pages of their own
            memory.add("I live in Lisbon", user_id=user)
        records = memory.export_records()
        next(records)
        if (child := forked()) == 0:
            try:
                list(records)
            except Closed:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        with pytest.raises(Unavailable, match="export was cut off by a fork"):
            list(records)
        assert len(list(memory.export_records())) == 8


AT_EXIT = """
import atexit, sys
from perdure import Memory
memory = Memory({"path": sys.argv[1], "embedder": "local"})
memory.stats()
def leave():
    memory.add("The last words of this session are here.", user_id="maya")
    print(memory.search("last words", user_id="maya")["results"][0]["memory"])
    memory.close()
atexit.register(leave)
"""


def test_a_memory_can_be_used_and_closed_when_the_program_ends(tmp_path: Path) -> None:
    program = [sys.executable, "-c", AT_EXIT, str(tmp_path / "memory.db")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "The last words of this session are here.\n"


FORKING = """
import os, signal, sys, threading, time
from importlib.abc import MetaPathFinder
from perdure import Memory

importing = threading.Event()

class Slow(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "onnxruntime":
            importing.set()
            time.sleep(0.5)  # others fork meanwhile

sys.meta_path.insert(0, Slow())
memory = Memory({"path": sys.argv[1], "embedder": "local"})
memory.add("I row on Sundays.", user_id="maya", wait=False)
importing.wait()
if (child := os.fork()) == 0:
    signal.alarm(30)
    memory.add("I sail on Mondays.", user_id="maya")
    os._exit(0)
print(os.waitpid(child, 0)[1])
memory.close()
"""


def test_a_fork_while_the_embedding_model_is_imported_leaves_a_child_that_works(tmp_path: Path) -> None:
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING]
    done = subprocess.run(
        [*program, str(tmp_path / "m.db")], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
