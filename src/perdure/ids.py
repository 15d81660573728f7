"""Ids that sort by time and are made by the caller's process."""

from __future__ import annotations

import os
import threading
import time

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, 12 of their fraction, 62 of chance.

    Ids made one after another by one process sort in that order, also within a millisecond.
    """
    global _last  # noqa: PLW0603  # one process has one order of ids
    with _lock:
        _last = max(_last + 1, time.time_ns() * 4096 // 1_000_000)
        milliseconds, fraction = divmod(_last, 4096)
    chance = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    number = (milliseconds << 80) | (7 << 76) | (fraction << 64) | (2 << 62) | chance
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
