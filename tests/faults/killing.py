"""Processes that are killed: what they acknowledge is known at once, also when they end in the middle of a line."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

SETTLED = 120
Line: TypeAlias = tuple[str, ...]


class Process:
    """One of those that are killed; each line that it prints is what it acknowledges, by tabs."""

    def __init__(self, program: Path, *arguments: str) -> None:
        self.acknowledged: list[Line] = []
        command = [sys.executable, str(program), *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith("\n"):  # the last one may have been cut
                self.acknowledged.append(tuple(line[:-1].split("\t")))

    def wait(self, number: int) -> None:
        """Until it has acknowledged so much, or has ended."""
        end = time.monotonic() + SETTLED
        while len(self.acknowledged) < number and self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)

    def kill(self) -> None:
        """End it, wherever it is; that it was still alive means that it has found nothing wrong."""
        alive = self._process.poll() is None
        self._process.kill()
        self._process.wait()
        self._listener.join()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        told = self._process.stderr.read()
        self._process.stdout.close()
        self._process.stderr.close()
        assert alive, told


class Running:
    """Some at work: one after the other is killed, and another started in its place."""

    def __init__(self, start: Callable[[], Process], number: int) -> None:
        self._start = start
        self._ended: list[Process] = []
        self.alive = [start() for _ in range(number)]

    def replace(self, turn: int) -> None:
        """Kill one, when the next has been started."""
        place = turn % len(self.alive)
        old, self.alive[place] = self.alive[place], self._start()
        self._ended.append(old)
        old.kill()

    def kill(self) -> None:
        """End all of them."""
        for one in self.alive:
            one.kill()
        self._ended += self.alive

    @property
    def acknowledged(self) -> list[Line]:
        """By all that have ended."""
        return [line for one in self._ended for line in one.acknowledged]


@contextmanager
def running(start: Callable[[], Process], number: int) -> Iterator[Running]:
    """So many processes, that are ended at the end."""
    all_ = Running(start, number)
    try:
        yield all_
    finally:
        all_.kill()
