"""How busy what has a bound is, and who wants to hear of calls: small values that every room can tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One queue at one moment."""

    running: int
    """Being worked on."""
    bound: int
    """So many can be worked on at once."""
    waiting: int | None = 0
    """Taken on, and not begun; None where that is not known."""
    refused: int | None = None
    """Turned away so far, as there was no room; None where nothing is ever turned away."""

    @property
    def saturation(self) -> float:
        """The share of the bound that is in use, 0 to 1."""
        return self.running / self.bound

    def told(self) -> dict[str, Any]:
        """As `stats` shows it."""
        return {
            "running": self.running,
            **({} if self.waiting is None else {"waiting": self.waiting}),
            "bound": self.bound,
            "saturation": round(self.saturation, 4),
            **({} if self.refused is None else {"refused": self.refused}),
        }


@runtime_checkable
class Bounded(Protocol):
    """A provider that does so much at once and lets the rest wait, and tells how it stands."""

    def loads(self) -> Mapping[str, Load]:
        """Its queues by name, at this moment; asked from any thread, without waiting for anything."""
        ...


class Observer(Protocol):
    """Hears of every call of a verb; it is told on the event loop, and has to be quick."""

    def ended(self, verb: str, seconds: float, error: str | None) -> None:
        """A call has ended; `error` is the name of the class of what it raised."""
        ...

    def refused(self, verb: str) -> None:
        """A call was not taken on, as too many were in flight."""
        ...


class Watchable(Protocol):
    """What tells how it is doing: a memory, of either face."""

    def live_stats(self) -> dict[str, Any]:
        """`queues`, `caches` and `index_bytes`, as of this moment; asked from any thread."""
        ...

    def watch(self, observer: Observer) -> None:
        """Tell somebody of every call from now on."""
        ...
