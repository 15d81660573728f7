"""How anything is measured: one fresh process per side and measure, asked for one round at a time, in turns."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
Figures = dict[str, float | str]
Measure = Callable[["Job"], AsyncGenerator[Figures, None]]
"""Sets up, yields an empty dictionary when ready, then the figures of one round each time it is asked."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a measuring process is to do, and how much of it."""

    measure: str
    directory: Path
    rows: int
    calls: int
    users: int = 100

    def dumps(self) -> str:
        """As an argument of another process."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def loads(cls, text: str) -> Job:
        """What `dumps` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "directory": Path(fields["directory"])})


class Side:
    """The process that runs one side's half of a measure; when it fails, `failure` says how and no figures follow."""

    def __init__(self, python: Path, module: str, job: Job, *, environment: Mapping[str, str]) -> None:
        self.failure: str | None = None
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by `close`
        self._process = subprocess.Popen(
            [python, "-m", module, job.dumps()],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._receive()  # it is ready when it answers

    def round(self) -> Figures:
        """The figures of one more round; none after a failure."""
        if self.failure is None and self._process.stdin is not None:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            return self._receive()
        return {}

    def close(self) -> None:
        """Let it clean up and end."""
        self._process.communicate()
        self._log.close()

    def _receive(self) -> Figures:
        assert self._process.stdout is not None
        if line := self._process.stdout.readline():
            figures: Figures = json.loads(line)
            return figures
        self._process.wait()
        self._log.seek(0)
        self.failure = "".join(self._log.readlines()[-15:]).strip()
        return {}


def serve(measures: Mapping[str, Measure]) -> None:
    """The other end of `Side`: the main program of a measuring process."""
    job = Job.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    asyncio.run(_serve(measures[job.measure](job), answers.write, answers.flush))


async def _serve(
    rounds: AsyncGenerator[Figures, None], write: Callable[[str], Any], flush: Callable[[], None]
) -> None:
    async for figures in rounds:
        write(json.dumps(figures) + "\n")
        flush()
        if not await asyncio.to_thread(sys.stdin.readline):
            break
    await rounds.aclose()


def elsewhere(module: str, function: str, job: Job, *arguments: str) -> subprocess.Popen[str]:
    """Starts `await function(job, *arguments)` of a module of the bench in a process of its own."""
    code = (
        "import asyncio, sys; from bench.harness import Job; from importlib import import_module\n"
        "module, function, job, *arguments = sys.argv[1:]\n"
        "asyncio.run(getattr(import_module(module), function)(Job.loads(job), *arguments))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, module, function, job.dumps(), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for its end and returns what it said; raises when it failed."""
    said, _ = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return said


def median(values: Iterable[float]) -> float:
    """The middle value, the higher of two."""
    return percentile(values, 0.5)


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that is not exceeded by `share` of them (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def each_ms(calls: Iterable[Callable[[], Awaitable[object]]]) -> list[float]:
    """The milliseconds that each of the calls took, one after another."""
    took = []
    for call in calls:
        start = time.perf_counter()
        await call()
        took.append((time.perf_counter() - start) * 1000)
    return took


@asynccontextmanager
async def loop_lag() -> AsyncIterator[list[float]]:
    """A list that fills with how late the event loop woke a sleeper, in milliseconds."""
    late: list[float] = []

    async def watch(pause: float = 0.002) -> None:
        while True:
            due = time.perf_counter() + pause
            await asyncio.sleep(pause)
            late.append((time.perf_counter() - due) * 1000)

    watcher = asyncio.create_task(watch())
    await asyncio.sleep(0)
    try:
        yield late
    finally:
        watcher.cancel()


async def in_waves(wave: Callable[[], Awaitable[object]], *, waves: int = 5, prefix: str = "") -> Figures:
    """How long a wave of concurrent calls takes, and how late the loop is during all of the waves."""
    async with loop_lag() as late:
        took = await each_ms([wave] * waves)
    return {
        f"{prefix}concurrent_s": median(took) / 1000,
        f"{prefix}lag_p99_ms": percentile(late, 0.99),
        f"{prefix}lag_max_ms": max(late),
    }


def peak_mb() -> float:
    """The most physical memory that this process ever held (VmHWM), in MB."""
    return _status_mb("VmHWM")


def resident_mb() -> float:
    """The physical memory that this process holds (VmRSS), in MB."""
    return _status_mb("VmRSS")


def _status_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
