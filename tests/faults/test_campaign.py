"""Whatever fails, and whenever: what was acknowledged is there, what was erased is nowhere, and tenants never mix."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import itertools
import logging
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.faults.campaign import Campaign

SOAKED = bool(os.environ.get("PERDURE_SOAK"))
SECONDS = 600 if SOAKED else 10
"""For how long campaigns follow each other in one process."""
WARM = 60 if SOAKED else 5
"""Seconds after which everything has been loaded."""
GROWTH = 24 * 2**20
"""Bytes that a process may grow afterwards: some for what an allocator cannot give back."""


@pytest.mark.parametrize("seed", range(4))
def test_random_verbs_in_bad_weather_keep_every_promise(tmp_path: Path, seed: int) -> None:
    with Campaign(tmp_path, seed) as campaign:
        asyncio.run(campaign.run(40))
    assert min(campaign.done.get(verb, 0) for verb in ("add", "look", "delete")) > 0
    assert campaign.failed, "nothing ever failed: this shows nothing"


def test_a_process_in_bad_weather_for_long_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # or pytest keeps all records
    began, warm, held = time.monotonic(), None, 0
    for seed in itertools.count(100):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with Campaign(folder, seed) as campaign:
            asyncio.run(campaign.run(40 if SOAKED else 15))
        forget()
        held, passed = resident(), time.monotonic() - began
        if warm is None and passed >= WARM:
            warm = held
        if SOAKED:
            print(f"{passed:.0f} s: {held / 2**20:.0f} MiB, {campaign.done} done, {campaign.failed} failed")
        if passed >= SECONDS:
            break
    assert warm is not None
    assert held <= warm + GROWTH


def forget() -> None:
    """Empty the caches of functions, which are bounded and fill up slowly, and give back what is free."""
    for held in gc.get_objects():
        if isinstance(held, functools._lru_cache_wrapper):
            held.cache_clear()
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def resident() -> int:
    """Bytes that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
