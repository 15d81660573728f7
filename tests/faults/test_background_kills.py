"""Processes that leave work, and processes that do it, killed at any moment: each message is learned once, in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from perdure import Memory
from perdure.testing.models import ModelServer

PROCESS = Path(__file__).with_name("background_process.py")
KILLS = 1_000 if os.environ.get("PERDURE_SOAK") else 50
ROLES = ("work", "work", "add", "both")
ADDS = ("add", "both")
SETTLED = 120


def learned(seen: Any) -> dict[str, Any]:
    lines = [json.loads(line) for line in seen.content.split("\n")]
    return {
        "facts": [
            {
                "text": f"Known: {line['text']}", "turns": [1], "subject": "Ann", "attribute": line["text"],
                "from": None, "to": None, "categories": [], "action": "add", "memory": None,
            }
            for line in lines
            if line["line"].startswith("T")
        ],
        "relations": [],
    }  # fmt: skip


class Processes:
    """Some processes at work on one store."""

    def __init__(self, folder: Path, url: str, pick: random.Random) -> None:
        self.folder = folder
        self.url = url
        self.pick = pick
        self.started = 0
        command = [sys.executable, str(PROCESS)]
        self.parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.running = [self._start(role) for role in ROLES]

    def _start(self, role: str) -> tuple[str, int, Path]:
        self.started += 1
        told = self.folder / f"p{self.started}"
        told.touch()
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        print(role, self.folder / "memory.db", self.url, told, sep="\t", file=self.parent.stdin, flush=True)
        return role, int(self.parent.stdout.readline()), told

    def kill(self, place: int, *, again: bool = True) -> None:
        """At any moment, but one that adds not before it has added something."""
        role, process, told = self.running[place]
        end = time.monotonic() + SETTLED
        while role in ADDS and not told.stat().st_size and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(self.pick.uniform(0, 0.2))
        os.kill(process, signal.SIGKILL)
        if again:
            self.running[place] = self._start(role)

    def end(self) -> None:
        assert self.parent.stdin is not None
        for _, process, _ in self.running:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.parent.stdin.close()
        assert self.parent.stdout is not None
        self.parent.stdout.close()
        self.parent.wait()

    @property
    def acknowledged(self) -> list[tuple[str, ...]]:
        """What all of them have told, without a last line that was cut."""
        told = [one.read_text() for one in self.folder.glob("p*")]
        return [
            tuple(line.split("\t")) for text in told for line in text[: text.rfind("\n") + 1].splitlines()
        ]


def test_what_was_acknowledged_is_learned_once_and_in_order_whoever_is_killed(tmp_path: Path) -> None:
    pick = random.Random(KILLS)
    path = tmp_path / "memory.db"
    with ModelServer(learned, latency=0.02) as server:
        processes = Processes(tmp_path, server.openai, pick)
        try:
            for _ in range(KILLS):
                processes.kill(pick.randrange(len(ROLES)))
        finally:
            processes.end()
        llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}
        config = {"path": str(path), "embedder": "hash", "llm": llm}
        with Memory({**config, "settings": {"lease": 1.0}}) as memory:
            end = time.monotonic() + SETTLED
            while memory.flush(timeout=5)["pending"] and time.monotonic() < end:
                time.sleep(0.1)
            assert memory.events() == []
            assert memory.doctor()["problems"] == []
            held = {
                user: memory.get_all(user_id=user, limit=100_000)["results"]
                for user in ("user 0", "user 1", "user 2")
            }
    known = Counter(
        (user, one["memory"].removeprefix("Known: ")) for user, found in held.items() for one in found
    )
    acknowledged = processes.acknowledged
    assert len(acknowledged) > KILLS  # there was something to lose
    assert set(acknowledged) <= set(known)
    assert max(known.values()) == 1
    for found in held.values():
        for name in {one["memory"].split()[1] for one in found}:
            facts = sorted(
                (one for one in found if one["memory"].split()[1] == name), key=lambda one: one["id"]
            )
            told = [one["memory"] for one in facts]
            assert told == sorted(told)  # facts have their ids in the order in which they were stored
