"""Two caches as one: what this process holds, over what it shares with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

from perdure.engine.caching.behind import Behind
from perdure.ports.caches import Cache, Item, Key

V = TypeVar("V")

Layer: TypeAlias = Literal["memory", "shared"]


class Form(Protocol[V]):
    """What is to be known of a kind of values."""

    def pack(self, value: V) -> bytes:
        """The value as bytes."""
        ...

    def unpack(self, data: bytes) -> V | None:
        """The way back; None for bytes that are no such value."""
        ...

    def size(self, value: V) -> int:
        """Bytes that it takes in this process."""
        ...

    def ttl(self, value: V) -> float:
        """Seconds for which it is kept."""
        ...

    def edition(self, value: V) -> str:
        """See `Item.edition`."""
        ...


class Found(NamedTuple, Generic[V]):
    """What the layers have for a key."""

    value: V | None
    layer: Layer | None
    """Where it was."""
    versions: tuple[object, object]
    """For what is made in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layered(Generic[V]):
    """Looks here first, then in what is shared; writes here at once, and there behind."""

    form: Form[V]
    local: Cache[V] | None
    shared: Cache[bytes] | None
    behind: Behind[V] | None
    """Writes into `shared`."""

    async def get(self, keys: Sequence[Key]) -> list[Found[V]]:
        """What there is for each key; what only others had is held here from now on."""
        found: list[Found[V]]
        if self.local is None:
            found = [Found(None, None, (None, None)) for _ in keys]
        else:
            found = [
                Found(held.value, None if held.value is None else "memory", (held.version, None))
                for held in await self.local.get(keys)
            ]
        missing = [place for place, one in enumerate(found) if one.value is None]
        if self.shared is None or not missing:
            return found
        for place, held in zip(missing, await self.shared.get([keys[p] for p in missing]), strict=True):
            version = found[place].versions[0]
            value = None if held.value is None else self.form.unpack(held.value)
            found[place] = Found(value, None if value is None else "shared", (version, held.version))
            if value is not None and self.local is not None:
                await self.local.put([self._item(keys[place], value, version)])
        return found

    async def put(self, keys: Sequence[Key], values: Sequence[V], found: Sequence[Found[V]]) -> None:
        """Put values in that were made because nothing was `found`."""
        made = list(zip(keys, values, found, strict=True))
        if self.local is not None:
            await self.local.put([self._item(key, value, one.versions[0]) for key, value, one in made])
        if self.behind is not None:
            self.behind.put([self._item(key, value, one.versions[1]) for key, value, one in made])

    def _item(self, key: Key, value: V, version: object) -> Item[V]:
        form = self.form
        return Item(key, value, form.size(value), form.ttl(value), version, form.edition(value))
