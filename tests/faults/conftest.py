"""Processes for tests, and a look at what they leave."""

import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from perdure.stores.sqlite import SqliteStore
from perdure.testing.store.scenes import played

PROCESS = Path(__file__).with_name("process.py")


class Processes:
    """Starts `process.py` and ends what it started."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[str]] = []
        self.open = ExitStack()

    def start(self, verb: str, path: Path, *rest: str, output: Path | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(PROCESS), verb, str(path), *rest],
            stdin=subprocess.PIPE,
            stdout=self.open.enter_context(output.open("a")) if output else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.running.append(process)
        return process

    def run(self, verb: str, path: Path, *rest: str, code: int = 0) -> str:
        """Its output, when it ends as expected."""
        process = self.start(verb, path, *rest)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == code, errors
        return output

    def end(self) -> None:
        for process in self.running:
            process.kill()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe:
                    pipe.close()
            process.wait()
        self.open.close()


@pytest.fixture
def processes():
    held = Processes()
    yield held
    held.end()


@pytest.fixture
def look():
    """Ask an open store something."""

    def ask(path: Path, question: Callable[[SqliteStore], Awaitable[Any]], **options: Any) -> Any:
        return played(SqliteStore(path=path, **options), question)

    return ask
