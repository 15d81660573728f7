"""The blocking face over a real store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from perdure import Memory


def test_a_blocking_export_gives_one_record_after_another_and_goes_in_again(tmp_path: Path) -> None:
    def opened(name: str) -> Memory:
        return Memory({"path": str(tmp_path / name), "embedder": "hash"})

    with opened("a.db") as memory, opened("b.db") as copy:
        memory.add(["I live in Lisbon", "My dog is called Biscuit"], user_id="maya", infer=False)
        records = memory.export_records(user_id="maya")
        assert next(records)["owner"] == "user:maya"
        copy.import_records(list(memory.export_records()))
        texts = [result["memory"] for result in copy.get_all(user_id="maya")["results"]]
        assert sorted(texts) == ["I live in Lisbon", "My dog is called Biscuit"]


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
