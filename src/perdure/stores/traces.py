"""When to try again to remove what erasures have left behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_WRITES: Final = 1_024
"""After so many writes at the latest, what could not be removed of erased words is tried again."""


@dataclass
class Traces:
    """When to try again to remove what is left of erased words: after 1, 2, 4 ... more writes.

    A try may take as long as writing the whole file, or waiting for a reader.
    """

    pause: int = 0
    """In writes; 0: nothing is left."""
    left: int = 0

    def are_due(self) -> bool:
        """Whether to try again after this write."""
        self.left -= 1
        return self.pause > 0 and self.left <= 0

    def tried(self, *, done: bool) -> None:
        """Begin the next pause, twice as long as the last, or none."""
        self.pause = 0 if done else min(2 * self.pause or 1, MOST_WRITES)
        self.left = self.pause
