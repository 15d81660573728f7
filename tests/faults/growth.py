"""`python -m tests.faults.growth SECONDS STEPS FOLDER`: campaigns in one process, and after each what it holds."""

from __future__ import annotations

import asyncio
import ctypes
import functools
import gc
import itertools
import logging
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.campaign import Campaign


def main(seconds: float, steps: int, place: Path) -> None:
    """A line for each campaign: the seconds since the beginning, and bytes."""
    began = passed = time.monotonic()
    logging.disable(logging.CRITICAL)
    for seed in itertools.count(100):
        folder = place / str(seed)
        folder.mkdir()
        with Campaign(folder, seed) as campaign:
            asyncio.run(campaign.run(steps))
        passed = time.monotonic() - began
        print(f"{passed:.0f} {held()}", flush=True)
        if passed >= seconds:
            return


def held() -> int:
    """Bytes of this process, apart from the caches of functions, which are bounded and fill up slowly."""
    for one in gc.get_objects():
        if isinstance(one, functools._lru_cache_wrapper):
            one.cache_clear()
    gc.collect()
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
