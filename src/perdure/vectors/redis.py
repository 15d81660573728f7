"""Vectors in Redis 8: one vector set a partition, so that a search looks at one owner's and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import SecretStr

from perdure.ports.derived import Near, Point
from perdure.redislink import SCHEMES, Command, RedisLink, address
from perdure.types import Partition

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUANTIZED: Final = {"none": "NOQUANT", "int8": "Q8", "binary": "BIN"}


@dataclass(frozen=True, kw_only=True)
class RedisVectors:
    """A piece of a text is an element, named by the version's `ord`; how many a long text has is kept beside."""

    url: str = field(default="redis://localhost:6379/0", repr=False)
    """Where it is: `redis://`, `rediss://` (TLS) or `unix://`; it may hold a user and a password."""
    password: SecretStr | None = field(default=None, repr=False)
    """The password, where the URL is not to hold it."""
    prefix: str = "perdure"
    """What all keys begin with."""
    timeout: float = 2.0
    """Seconds that one call may take, connecting included."""
    connections: int = 10
    """At once, of one event loop."""
    quantization: Literal["none", "int8", "binary"] = "none"
    """How numbers are held: `none` (4 bytes, exact), `int8` (1 byte), `binary` (1 bit)."""
    exact: int = 10_000
    """Owners with so many vectors are searched exactly; of larger ones the index finds nearly all."""
    ef: int = 1_000
    """How far the index looks: larger is slower, and finds more."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a password that is a plain text is hidden.

        Raises:
            ValueError: an option is out of its range.
        """
        if not self.url.startswith(SCHEMES):
            raise ValueError("url has to begin with redis://, rediss:// or unix://")
        for name, least in (("timeout", 0.001), ("connections", 1), ("exact", 0), ("ef", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} has to be {least} or more")
        if isinstance(self.password, str):
            object.__setattr__(self, "password", SecretStr(self.password))  # frozen, but not yet made

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        return f"Redis at {address(self.url)}"

    async def open(self, namespace: str, dimensions: int) -> str:  # noqa: ARG002  # a set takes its first vector's
        """Find the mark that tells contents apart, or leave one."""
        self._open.contents = await self._link.marked(self._mark(namespace))
        self._open.namespace = namespace
        return self._open.contents

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, and remove what they replace and what is dead."""
        key, pieces = self._keys(partition)
        changed = list(dict.fromkeys([*dead, *(point.ord for point in points)]))
        [counted] = await self._ask([("HMGET", pieces, *changed)]) if changed else [[]]
        commands: list[Command] = []
        for ord_, count in zip(changed, counted, strict=True):
            commands += [("VREM", key, _element(ord_, piece)) for piece in range(int(count or 1))]
        if gone := [ord_ for ord_, count in zip(changed, counted, strict=True) if count]:
            commands.append(("HDEL", pieces, *gone))
        for point in points:
            if len(point.vectors) > 1:  # noted first: what is there half can be removed
                commands.append(("HSET", pieces, point.ord, len(point.vectors)))
            commands += self._added(key, point)
        await self._ask(commands)

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest, exactly while the partition is small."""
        key, pieces = self._keys(partition)
        [size, long] = await self._ask([("VCARD", key), ("HLEN", pieces)])
        if not size:
            return []
        count = (
            limit if not long else min(size, 4 * limit)
        )  # a long text has several pieces among the nearest
        options: list[str | int] = ["TRUTH"] if size <= self.exact else ["EF", max(self.ef, count)]
        if among is not None:
            options += ["FILTER", f".ord in [{','.join(map(str, among))}]", "FILTER-EF", size]
        asked = ("VSIM", key, "FP32", _bytes(vector), "WITHSCORES", "COUNT", count, *options)
        [answer] = await self._ask([asked])
        best: dict[int, float] = {}
        for element, score in _scored(answer):
            best.setdefault(int(element.partition(b"/")[0]), 2 * score - 1)  # nearest first
        return [Near(ord_, cosine) for ord_, cosine in best.items()][:limit]

    async def forget(self, partition: Partition) -> None:
        """Remove the set."""
        await self._ask([("UNLINK", *self._keys(partition))])

    async def drop(self, namespace: str) -> None:
        """Remove all keys of the namespace."""
        await self._link.remove(self._start(namespace))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()

    def _added(self, key: str, point: Point) -> list[Command]:
        about, how = json.dumps({"ord": point.ord}), _QUANTIZED[self.quantization]
        return [
            ("VADD", key, "FP32", _bytes(vector), _element(point.ord, piece), how, "SETATTR", about)
            for piece, vector in enumerate(point.vectors)
        ]

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        return await self._link.ask_marked(self._mark(self._open.namespace), self._open.contents, commands)

    def _keys(self, partition: Partition) -> tuple[str, str]:
        """Of the vectors, and of the numbers of pieces; names of users are no part of a key."""
        owner = blake2b(repr(tuple(partition)).encode(), digest_size=16).hexdigest()
        start = self._start(self._open.namespace)
        return f"{start}:vectors:{owner}", f"{start}:pieces:{owner}"

    def _start(self, namespace: str) -> str:
        return f"{self.prefix}:{namespace}"

    def _mark(self, namespace: str) -> str:
        return f"{self._start(namespace)}:contents"

    @cached_property
    def _open(self) -> _Open:
        return _Open()

    @cached_property
    def _link(self) -> RedisLink:
        return RedisLink(
            url=self.url,
            password=None if self.password is None else self.password.get_secret_value(),
            timeout=self.timeout,
            connections=self.connections,
        )


@dataclass
class _Open:
    """What was opened."""

    namespace: str = ""
    contents: str = ""


def _element(ord_: int, piece: int) -> str:
    return f"{ord_}/{piece}" if piece else str(ord_)


def _bytes(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()


def _scored(answer: Any) -> list[tuple[bytes, float]]:
    """Elements and scores (0 to 1), in either version of the protocol."""
    if isinstance(answer, dict):
        return [(element, float(score)) for element, score in answer.items()]
    return [(answer[place], float(answer[place + 1])) for place in range(0, len(answer), 2)]
