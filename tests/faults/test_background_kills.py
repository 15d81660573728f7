"""Processes that leave work, and processes that do it, killed at any moment: each message is learned once, in order."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from perdure import Memory
from perdure.testing.models import ModelServer

PROCESS = Path(__file__).with_name("background_process.py")
KILLS = 1_000 if os.environ.get("PERDURE_SOAK") else 50
ROLES = ("work", "work", "add", "both")
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

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        self.url = url
        self.acknowledged: list[tuple[str, str]] = []
        self.started = 0
        self.running = [self._start(role) for role in ROLES]

    def _start(self, role: str) -> tuple[str, subprocess.Popen[str]]:
        self.started += 1
        command = [sys.executable, str(PROCESS), role, str(self.path), self.url, f"p{self.started}"]
        return role, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def kill(self, place: int, *, again: bool = True) -> None:
        role, process = self.running[place]
        process.kill()
        told, _ = process.communicate()
        whole = told[: told.rfind("\n") + 1]  # the last line may have been cut
        self.acknowledged += [tuple(line.split("\t")) for line in whole.splitlines()]
        if again:
            self.running[place] = self._start(role)


def test_what_was_acknowledged_is_learned_once_and_in_order_whoever_is_killed(tmp_path: Path) -> None:
    pick = random.Random(KILLS)
    path = tmp_path / "memory.db"
    with ModelServer(learned, latency=0.02) as server:
        processes = Processes(path, server.openai)
        for _ in range(KILLS):
            time.sleep(pick.uniform(0.05, 0.6))
            processes.kill(pick.randrange(len(ROLES)))
        for place in range(len(ROLES)):
            processes.kill(place, again=False)
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
    assert len(processes.acknowledged) > KILLS  # there was something to lose
    assert set(processes.acknowledged) <= set(known)
    assert max(known.values()) == 1
    for found in held.values():
        for name in {one["memory"].split()[1] for one in found}:
            facts = sorted(
                (one for one in found if one["memory"].split()[1] == name), key=lambda one: one["id"]
            )
            told = [one["memory"] for one in facts]
            assert told == sorted(told)  # facts have their ids in the order in which they were stored
