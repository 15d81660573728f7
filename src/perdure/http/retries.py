"""When to try again, and when to leave a provider alone: decided without doing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 30.0
"""Seconds between two tries, where the provider names no time of its own."""


def pause(attempt: int, asked: float | None, *, backoff: float, chance: float) -> float:
    """Seconds before the next try, after `attempt` of them (counted from 1).

    Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): anything from nothing to a bound that doubles,
    so that callers who failed together do not come back together. A provider that asks for a time gets it, and the
    jitter on top.

    Args:
        asked: the seconds that the provider asked for, None when it did not.
        chance: a random number, 0 to 1.
    """
    if asked is not None:
        return asked + chance * backoff
    return chance * min(LONGEST_WAIT, backoff * 2.0 ** min(attempt - 1, 32))


def asked_to_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that `Retry-After` (a number or a date) or `retry-after-ms` asks for; None: nothing readable.

    Args:
        headers: with names in lower case.
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if name in headers:
            try:
                seconds = float(headers[name]) / unit
            except ValueError:
                seconds = _until(headers[name], now)
            if 0 <= seconds < float("inf"):  # neither a NaN nor an infinity is a time
                return seconds
    return None


def _until(date: str, now: datetime) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return -1.0
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


@dataclass(kw_only=True)
class Breaker:
    """Leaves a provider alone for a while when its calls keep failing.

    After the rest one call is let through. Its outcome decides: the provider is back, or it rests again.
    """

    rest: float
    after: int
    """Failures in a row before it rests."""

    failures: int = 0
    until: float = 0.0
    """When the rest ends, on the caller's clock."""

    def remaining(self, now: float) -> float:
        """Seconds that are left of the rest; 0: go ahead, and nobody else until it is known what came of it."""
        if not self.rest or self.failures < self.after:
            return 0.0
        if now < self.until:
            return self.until - now
        self.until = now + self.rest
        return 0.0

    def failed(self, now: float) -> None:
        """A call failed for a passing reason."""
        self.failures += 1
        self.until = now + self.rest

    def worked(self) -> None:
        """The provider answered, if only that it refuses."""
        self.failures = 0
