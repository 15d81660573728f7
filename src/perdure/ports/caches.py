"""The seam to caches: what the engine asks of one, and the values that cross."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

V = TypeVar("V")


class Key(NamedTuple):
    """Where a value lies in a cache; no texts, but hashes of them."""

    group: str
    """What is in one group is dropped together."""
    name: str


class Held(NamedTuple, Generic[V]):
    """What a cache has for a key."""

    value: V | None
    version: object
    """Of the group, to be given back with what is put into it; nobody else's business."""


class Item(NamedTuple, Generic[V]):
    """A value to be put into a cache."""

    key: Key
    value: V
    size: int
    """In bytes, about."""
    ttl: float
    """Seconds after which it is gone."""
    version: object
    """As `get` told it before the value was made: when the group was dropped meanwhile, the value is not put."""
    edition: str = ""
    """What the group holds of another edition goes."""


class CacheSizes(NamedTuple):
    """How a cache stands; None where only its server knows."""

    entries: int | None = None
    bytes: int | None = None
    evictions: int | None = None
    """Values that went before their time, for want of room."""
    failures: int = 0
    """Calls that came to nothing: each was a miss."""


class Cache(Protocol[V]):
    """Values by keys, for a while. It may forget anything at any time; trouble in it is a miss and never an error."""

    async def get(self, keys: Sequence[Key]) -> list[Held[V]]:
        """What there is for each key, in the order given."""
        ...

    async def put(self, items: Sequence[Item[V]]) -> None:
        """Put values in, as far as there is room."""

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Remove all values of these groups (None: of all groups), also those whose making has begun.

        Returns whether that is certain: False when the cache cannot be reached.
        """
        ...

    def sizes(self) -> CacheSizes:
        """How it stands now."""
        ...

    async def aclose(self) -> None:
        """Give connections and memory back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caches:
    """Where an engine keeps what it would otherwise compute again; each may be missing."""

    answers: Cache[Any] | None = None
    """In this process, for answers."""
    vectors: Cache[Any] | None = None
    """In this process, for vectors of texts and a reranker's scores."""
    shared: Cache[bytes] | None = None
    """Beyond this process, for all of them."""
