"""A process may die between any two steps of a job's life: the next one takes it up where it was left."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.agreement import engines_agree
from tests.faults.job_process import DIMENSIONS, Fate, engine

from perdure.testing.models import Fault, ModelServer, SeenPrompt

PROCESS = Path(__file__).with_name("job_process.py")
KILLED = -9
NEVER = -1
PATIENCE = 60.0


class Model:
    """Of each message one fact and a relation; the second message cannot be understood when it comes for the first time."""

    def __init__(self) -> None:
        self.stumbled = False

    def __call__(self, seen: SeenPrompt) -> dict[str, Any] | Fault:
        lines = [json.loads(line) for line in seen.content.split("\n")]
        [said] = [line["text"].split()[0] for line in lines if line["line"].startswith("T")]
        if said == "word1" and not self.stumbled:
            self.stumbled = True
            return Fault("status", status=500)
        fact = {
            "text": f"Known is {said}", "turns": [1], "subject": "Ann", "attribute": said,
            "from": None, "to": None, "categories": [], "action": "add", "memory": None,
        }  # fmt: skip
        return {
            "facts": [fact],
            "relations": [{"fact": 1, "subject": "Ann", "relation": "said", "object": said}],
        }


@contextmanager
def lives() -> Iterator[subprocess.Popen[str]]:
    """The process that lives."""
    command = [sys.executable, str(PROCESS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def lived(process: subprocess.Popen[str], *where: object, at: int) -> int:
    """Its exit code."""
    assert process.stdin is not None
    assert process.stdout is not None
    print(*where, at, sep="\t", file=process.stdin, flush=True)
    return int(process.stdout.readline())


async def survive(folder: Path, model: str, redis: str, told: list[str]) -> Counter[str]:
    """Take up what was left, and hold it to what was told; which facts there are, and how often."""
    path, later = str(folder / "memory.db"), datetime.now(UTC) + timedelta(hours=1)  # no lease lasts so long
    memory = engine(path, model, redis, Fate(NEVER), clock=lambda: later)
    async with asyncio.timeout(PATIENCE):
        while (await memory.flush())["pending"]:
            await memory.retry()
    assert await memory.events() == []
    looked = await memory.doctor()
    assert looked["problems"] == []
    assert [one["behind"] for one in looked["engines"]] == [0, 0]
    found = [one["memory"] for one in (await memory.get_all(user_id="ann"))["results"]]
    searched = await memory.search("what is known of word1?", user_id="ann", threshold=0.0)
    assert {one["memory"] for one in searched["results"]} == set(found)
    await memory.close()
    await engines_agree(
        folder / "memory.db",
        url=redis,
        tenants=["default"],
        model=f"hash-{DIMENSIONS}/1",
        dimensions=DIMENSIONS,
    )
    if "erased" in told:
        assert not any("word0" in text for text in found)
    return Counter(found)


def test_a_process_that_dies_at_any_step_leaves_all_that_it_has_told_to_the_next(tmp_path, falkordb_server):
    model, fates = Model(), 0
    with ModelServer(model) as server, lives() as process:
        for at in range(1_000):
            folder = tmp_path / str(at)
            folder.mkdir()
            acknowledged = folder / "told"
            acknowledged.touch()
            where = (folder / "memory.db", server.openai, falkordb_server.url, acknowledged)
            model.stumbled = False
            code = lived(process, *where, at=at)
            told = acknowledged.read_text().splitlines()
            known = asyncio.run(survive(folder, server.openai, falkordb_server.url, told))
            left = b"".join(file.read_bytes() for file in folder.glob("memory.db*"))
            assert "erased" not in told or b"word0" not in left
            assert max(known.values(), default=1) == 1
            words = {text.split()[-1] for text in known}
            assert {f"word{line.split()[1]}" for line in told if line.startswith("added")} - words <= (
                {"word0"} if "learned" in told else set()
            )
            fates += 1
            if code == 0:
                break
            assert code == KILLED
    assert told == ["added 0", "added 1", "learned", "erased"]  # the last one lived to the end
    assert fates > 50
