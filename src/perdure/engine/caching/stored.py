"""The store's own cache of vectors, for one tenant, as a cache like others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perdure.errors import PerdureError
from perdure.ports import VectorCache
from perdure.ports.caches import CacheSizes, Held, Item, Key


@dataclass(slots=True)
class StoredVectors:
    """Reads and writes; erasing is the store's own business, in the transaction of the erasure."""

    store: VectorCache
    tenant: str
    max_bytes: int
    failures: int = 0

    async def get(self, keys: Sequence[Key]) -> list[Held[bytes]]:
        """What the store has for each key."""
        try:
            held, erasures = await self.store.cached_vectors(self.tenant, [key.name for key in keys])
        except PerdureError:  # whatever it is, a search that needs the store will say it better
            self.failures += 1
            return [Held(None, None) for _ in keys]
        return [Held(value, erasures) for value in held]

    async def put(self, items: Sequence[Item[bytes]]) -> None:
        """Keep values, those that were made after the same erasure together."""
        versions: dict[int, dict[str, bytes]] = {}
        for item in items:
            if isinstance(item.version, int):
                versions.setdefault(item.version, {})[item.key.name] = item.value
        for erasures, made in versions.items():
            try:
                await self.store.cache_vectors(self.tenant, made, erasures=erasures, max_bytes=self.max_bytes)
            except PerdureError:  # the disk is full, or somebody holds the lock: then they are made again
                self.failures += 1

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Nothing is left to do."""
        del groups
        return True

    def sizes(self) -> CacheSizes:
        """What failed; the bytes are the store's."""
        return CacheSizes(failures=self.failures)

    async def aclose(self) -> None:
        """The store is closed by its owner."""
