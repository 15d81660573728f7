"""How far engines have followed the store that is held in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeAlias

from perdure.ports.derived import Cursor
from perdure.types import Partition

_FREE: Final = datetime.min.replace(tzinfo=UTC)

Place: TypeAlias = tuple[str, Partition]
"""An engine, and a partition that it follows."""


@dataclass(frozen=True, kw_only=True)
class _Held:
    seq: int = 0
    worker: str | None = None
    leased_until: datetime = _FREE


class Cursors:
    """Where each engine is, and which worker is at it."""

    def __init__(self) -> None:
        """No engine has followed anything."""
        self._held: dict[Place, _Held] = {}

    def take(self, place: Place, worker: str, now: datetime, until: datetime) -> int | None:
        """How far it is; None while another worker has it."""
        held = self._held.get(place, _Held())
        if held.worker != worker and held.leased_until > now:
            return None
        self._held[place] = replace(held, worker=worker, leased_until=until)
        return held.seq

    def move(self, place: Place, seq: int, worker: str, *, gone: bool) -> bool:
        """Note how far it is, if this worker was the last to take it; of what is gone nothing stays."""
        held = self._held.get(place)
        if held is None or held.worker != worker:
            return False
        self._held[place] = replace(held, seq=seq, leased_until=_FREE)
        if gone:
            del self._held[place]
        return True

    def behind(self, engine: str, tenant: str, heads: Mapping[Partition, int]) -> list[Cursor]:
        """Where it has not come to the partition's head, the farthest first."""
        held = {p: h.seq for (name, p), h in self._held.items() if name == engine and p.tenant == tenant}
        found = [Cursor(p, held.pop(p, 0), head) for p, head in heads.items()]
        found += [Cursor(p, seq, 0) for p, seq in held.items()]
        behind = [cursor for cursor in found if cursor.lag]
        return sorted(behind, key=lambda cursor: (cursor.seq - cursor.head, cursor.partition))

    def drop(self, engine: str, tenant: str) -> None:
        """It begins anew."""
        self._held = {
            (name, p): h for (name, p), h in self._held.items() if name != engine or p.tenant != tenant
        }
