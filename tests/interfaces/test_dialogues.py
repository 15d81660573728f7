"""Conversations, from what is said over a model's answer to what is known: SQLite, HTTP, both embedders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.assemble import parts
from perdure.blocking import Blocking
from perdure.config import Config
from perdure.engine.memory import Engine
from perdure.testing.dialogues import Dialogue, play, read_dialogues
from perdure.testing.fakes import Clock

DIALOGUES = read_dialogues(Path(__file__).parents[1] / "dialogues")


class TimedAsync(AsyncMemory):
    """The real thing, but for its clock."""

    def __init__(self, config: Any, clock: Callable[[], Any]) -> None:
        self.config = Config.of(config)
        Engine.__init__(self, **parts(self.config), clock=clock)


class Timed(Memory):
    """Its blocking face."""

    def __init__(self, config: Any, clock: Callable[[], Any]) -> None:
        Blocking.__init__(self, lambda: TimedAsync(config, clock))


def opened(path: Path, embedder: str, url: str, clock: Clock) -> Timed:
    llm = {"provider": "openai", "model": "scripted", "base_url": url, "retries": 0}
    return Timed({"path": str(path / "memory.db"), "embedder": embedder, "llm": llm}, clock)


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: f"{dialogue.theme}: {dialogue.name}")
def test_a_dialogue_leaves_behind_what_it_should(dialogue: Dialogue, tmp_path: Path) -> None:
    play(dialogue, partial(opened, tmp_path, "hash"))
