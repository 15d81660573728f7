"""Whatever fails, and whenever: what was acknowledged is there, what was erased is nowhere, and tenants never mix."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from campaign import Campaign


@pytest.mark.parametrize("seed", range(4))
def test_random_verbs_in_bad_weather_keep_every_promise(tmp_path: Path, seed: int) -> None:
    with Campaign(tmp_path, seed) as campaign:
        asyncio.run(campaign.run(40))
    assert min(campaign.done.get(verb, 0) for verb in ("add", "look", "delete")) > 0
    assert campaign.failed, "nothing ever failed: this shows nothing"
