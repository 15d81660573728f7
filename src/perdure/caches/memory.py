"""The cache in this process: the least recently used goes first, and everything after its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from cachetools import TLRUCache

from perdure.ports.caches import CacheSizes, Held, Item, Key

V = TypeVar("V")

OVERHEAD = 400
"""Bytes that a value takes besides its own: keys, times and places in three tables."""


@dataclass(frozen=True, kw_only=True)
class MemoryCache(Generic[V]):
    """Holds the very objects that are put in: nothing is copied or serialised."""

    max_bytes: int = 33_554_432
    """So much is held; then the least recently used goes first."""

    def __post_init__(self) -> None:
        """Refuse a size that cannot be.

        Raises:
            ValueError: it is less than nothing.
        """
        if self.max_bytes < 0:
            raise ValueError("max_bytes is a number of bytes from 0 on")

    async def get(self, keys: Sequence[Key]) -> list[Held[V]]:
        """What there is for each key."""
        held, version = self._items, self._items.drops
        return [Held(None if (item := held.get(key)) is None else item.value, version) for key in keys]

    async def put(self, items: Sequence[Item[V]]) -> None:
        """Put values in; one that is larger than the cache is left out."""
        for item in items:
            if item.version == self._items.drops:
                self._items.put(item)

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Remove these groups, or all; what is being made meanwhile, of whatever group, is not taken in."""
        self._items.drop(groups)
        return True

    def sizes(self) -> CacheSizes:
        """How full it is."""
        return CacheSizes(
            entries=len(self._items), bytes=int(self._items.currsize), evictions=self._items.evictions
        )

    async def aclose(self) -> None:
        """Forget everything."""
        self._items.drop(None)

    @cached_property
    def _items(self) -> _Items[V]:
        return _Items(self.max_bytes)


@dataclass(slots=True)
class _Group:
    edition: str
    keys: set[Key]


class _Items(TLRUCache[Key, Item[V]]):
    """The values, and which of them belong together."""

    def __init__(self, max_bytes: int) -> None:
        self._begin(max_bytes)
        self.evictions = 0
        self.drops = 0
        """How often something was dropped: what was begun before is not put in after it."""

    def _begin(self, max_bytes: float) -> None:
        super().__init__(max_bytes, ttu=_end, getsizeof=_size)
        self._groups: dict[str, _Group] = {}

    def put(self, item: Item[V]) -> None:
        """Hold a value, and of its group nothing of another edition."""
        group = self._groups.get(item.key.group)
        if group is not None and group.edition != item.edition:
            self._forget(group)
            group = None
        if _size(item) > self.maxsize or item.ttl <= 0:
            return
        self[item.key] = item
        group = self._groups.setdefault(item.key.group, _Group(item.edition, set()))
        group.keys.add(item.key)

    def drop(self, groups: Sequence[str] | None) -> None:
        """Remove groups, or everything."""
        self.drops += 1
        if groups is None:
            self._begin(self.maxsize)  # in no time, however much it holds
            return
        self.expire()  # what had its time is still held until then
        for name in groups:
            if (group := self._groups.get(name)) is not None:
                self._forget(group)

    def popitem(self) -> tuple[Key, Item[V]]:
        """The least recently used, for which there is no room any more."""
        key, item = super().popitem()
        self.evictions += 1
        self._leave(key)
        return key, item

    def expire(self, time: float | None = None) -> list[tuple[Key, Item[V]]]:
        """Remove what had its time."""
        gone = list(super().expire(time))
        for key, _ in gone:
            self._leave(key)
        return gone

    def _forget(self, group: _Group) -> None:
        for key in list(group.keys):
            self.pop(key, None)
            self._leave(key)

    def _leave(self, key: Key) -> None:
        group = self._groups.get(key.group)
        if group is not None:
            group.keys.discard(key)
            if not group.keys:
                del self._groups[key.group]


def _end(_: Key, item: Item[V], now: float) -> float:
    return now + item.ttl


def _size(item: Item[V]) -> int:
    return item.size + OVERHEAD
