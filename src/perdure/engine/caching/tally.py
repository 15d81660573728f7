"""What caches are worth: how often they knew the answer, and what it took when they did not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from perdure.engine.caching.layers import Layer


@dataclass(slots=True)
class Tally:
    """Counts of one kind of values, since the memory was opened."""

    hits: dict[Layer, int] = field(default_factory=lambda: {"memory": 0, "shared": 0})
    misses: int = 0
    outdated: int = 0
    """Of the misses, those where there was something older."""
    stale: int = 0
    """Of the hits, those that were given though there was something newer."""
    hit_seconds: float = 0.0
    miss_seconds: float = 0.0

    def hit(self, layer: Layer, seconds: float = 0.0) -> None:
        """A layer had it."""
        self.hits[layer] += 1
        self.hit_seconds += seconds

    def missed(self, seconds: float = 0.0, *, times: int = 1) -> None:
        """It had to be made."""
        self.misses += times
        self.miss_seconds += seconds

    def told(self) -> dict[str, Any]:
        """As `stats` shows it; rates are of what reached the layer, times are means in milliseconds."""
        here, there = self.hits["memory"], self.hits["shared"]
        asked = here + there + self.misses
        return {
            "hits": here + there,
            "misses": self.misses,
            "hit_rate": _rate(here + there, asked),
            "memory_hit_rate": _rate(here, asked),
            "shared_hit_rate": _rate(there, asked - here),
            "outdated": self.outdated,
            "stale": self.stale,
            "hit_ms": _mean_ms(self.hit_seconds, here + there),
            "miss_ms": _mean_ms(self.miss_seconds, self.misses),
        }


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def _mean_ms(seconds: float, count: int) -> float | None:
    return round(1000 * seconds / count, 4) if count else None
