"""The watch over event loops finds calls that block, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from blockbuster import BlockingError
from tests import loops

import perdure


def as_ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as if it stood in a file of the package."""
    assert isinstance(function, FunctionType)
    code = function.__code__.replace(co_filename=str(Path(perdure.__file__).parent / "engine" / "core.py"))
    return FunctionType(code, function.__globals__, closure=function.__closure__)


def sleep(_: Path) -> None:
    time.sleep(0.001)


def read(path: Path) -> None:
    path.read_bytes()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def connect(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)):
        pass


def run(_: Path) -> None:
    subprocess.run(["true"], check=True)


BLOCKING = [sleep, read, sync, connect, run]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (file := tmp_path / "file").write_bytes(b"")
    return file


@pytest.fixture
def noted() -> Iterator[list[str]]:
    """What the watch has found, which is then no fault of this test."""
    yield loops.found
    loops.found.clear()


@pytest.mark.parametrize("function", BLOCKING, ids=lambda function: function.__name__)
def test_a_call_that_blocks_a_loop_is_found_even_if_its_error_is_swallowed(function, path, noted):
    async def main() -> None:
        with contextlib.suppress(BlockingError):
            as_ours(function)(path)

    asyncio.run(main())
    assert len(noted) == 1


@pytest.mark.parametrize("function", BLOCKING, ids=lambda function: function.__name__)
def test_in_a_thread_and_without_a_loop_the_same_call_is_fine(function, path):
    as_ours(function)(path)
    asyncio.run(asyncio.to_thread(as_ours(function), path))
    assert loops.found == []


def test_what_others_do_on_a_loop_is_their_affair(path):
    async def main() -> None:
        read(path)

    asyncio.run(main())
    assert loops.found == []
