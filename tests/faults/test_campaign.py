"""Whatever fails, and whenever: what was acknowledged is there, what was erased is nowhere, and tenants never mix."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.campaign import Campaign

SOAKED = bool(os.environ.get("PERDURE_SOAK"))
SECONDS, STEPS = (600, 40) if SOAKED else (10, 15)
"""For how long campaigns follow each other in one process, and how long each is."""
LOADED = 60 if SOAKED else 5
"""Seconds after which everything has been loaded."""
GROWTH = 24 * 2**20
"""Bytes that the process may grow afterwards: some for what an allocator cannot give back."""


@pytest.mark.parametrize("seed", range(4))
def test_random_verbs_in_bad_weather_keep_every_promise(tmp_path: Path, seed: int) -> None:
    with Campaign(tmp_path, seed) as campaign:
        asyncio.run(campaign.run(40))
    assert min(campaign.done.get(verb, 0) for verb in ("add", "look", "delete")) > 0
    assert campaign.failed, "nothing ever failed: this shows nothing"


def test_a_process_in_bad_weather_for_long_does_not_grow(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.growth", str(SECONDS), str(STEPS), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 300, check=False)
    assert ended.returncode == 0, ended.stderr
    told = [tuple(map(int, line.split())) for line in ended.stdout.splitlines()]
    loaded = next(held for passed, held in told if passed >= LOADED)
    assert told[-1][1] <= loaded + GROWTH
