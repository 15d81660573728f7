"""A cache that others can read and write too: names are hidden from them, and what they changed is not believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from hmac import compare_digest

from perdure.ports.caches import Cache, CacheSizes, Held, Item, Key

SEAL = 16
"""Bytes of a seal: a keyed BLAKE2b (RFC 7693) of the key and the value."""


class Sealed:
    """Keys are hashed and values sealed with a secret of the store, so that stores can share a cache."""

    def __init__(self, cache: Cache[bytes], secret: Callable[[], Awaitable[str]]) -> None:
        """`secret` is asked once, when it is first needed."""
        self._cache = cache
        self._ask = secret
        self._secret = b""

    async def get(self, keys: Sequence[Key]) -> list[Held[bytes]]:
        """What there is for each key; what is damaged is not there."""
        secret = await self._known()
        hidden = [_hidden(secret, key) for key in keys]
        return [
            Held(_opened(secret, key, held.value), held.version)
            for key, held in zip(hidden, await self._cache.get(hidden), strict=True)
        ]

    async def put(self, items: Sequence[Item[bytes]]) -> None:
        """Put values in, sealed."""
        secret = await self._known()
        hidden = [_hidden(secret, item.key) for item in items]
        await self._cache.put(
            [
                item._replace(
                    key=key,
                    value=_seal(secret, key, item.value) + item.value,
                    size=item.size + SEAL,
                    edition=item.edition and _hash(secret, item.edition),
                )
                for key, item in zip(hidden, items, strict=True)
            ]
        )

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Remove these groups, or everything, also other stores'."""
        secret = await self._known()
        return await self._cache.drop(None if groups is None else [_hash(secret, g) for g in groups])

    def sizes(self) -> CacheSizes:
        """Of the cache inside."""
        return self._cache.sizes()

    async def aclose(self) -> None:
        """Close the cache inside."""
        await self._cache.aclose()

    async def _known(self) -> bytes:
        if not self._secret:
            self._secret = (await self._ask()).encode()
        return self._secret


def _hidden(secret: bytes, key: Key) -> Key:
    return Key(_hash(secret, key.group), _hash(secret, f"{key.group}/{key.name}"))


def _hash(secret: bytes, text: str) -> str:
    return blake2b(text.encode(), digest_size=SEAL, key=secret).hexdigest()


def _seal(secret: bytes, key: Key, value: bytes) -> bytes:
    hashed = blake2b(f"{key.group}/{key.name}/".encode(), digest_size=SEAL, key=secret)
    hashed.update(value)
    return hashed.digest()


def _opened(secret: bytes, key: Key, data: bytes | None) -> bytes | None:
    if data is None or len(data) < SEAL:
        return None
    value = data[SEAL:]
    return value if compare_digest(data[:SEAL], _seal(secret, key, value)) else None
