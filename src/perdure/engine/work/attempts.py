"""How an attempt at a job ends: tried again later, each time later than before, or given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import accumulate, repeat
from typing import Final

from perdure.ports import Job

FIRST: Final = 5.0
"""Seconds after the first failure; each further one waits so many times longer, up to the longest."""
FACTOR: Final = 4.0
LONGEST: Final = 3_600.0


def delay(attempts: int) -> timedelta:
    """How long to wait after so many failures: 5 s, 20 s, 80 s and so on, an hour at most."""
    *_, seconds = accumulate(
        repeat(FACTOR, attempts - 1), lambda t, factor: min(t * factor, LONGEST), initial=FIRST
    )
    return timedelta(seconds=seconds)


def failed(job: Job, reason: str, *, now: datetime, most: int, answer: str | None = None) -> Job:
    """The job after one more attempt that failed; given up when it was the last one."""
    attempts = job.attempts + 1
    return replace(
        job,
        attempts=attempts,
        error=reason,
        answer=answer,
        due_at=now + delay(attempts),
        given_up=attempts >= most,
    )
