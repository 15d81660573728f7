"""Vectors in Redis 8: one vector set a partition, so that a search looks at one owner's and nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from perdure.options import at_least
from perdure.ports.derived import Near, Point
from perdure.redislink import Command, RedisEngine
from perdure.types import Partition
from perdure.vectors.points import changed, nearest_once

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_QUANTIZED: Final = {"none": "NOQUANT", "int8": "Q8", "binary": "BIN"}
_SPARE: Final = 1.5
"""So many times as many are asked for as would do if a filter let through as many of the near ones as of all."""
_SHARE: Final = 0.1
"""Of an owner's vectors: to find more of them by the index takes longer than to compare all."""


@dataclass(frozen=True, kw_only=True)
class RedisVectors(RedisEngine):
    """A piece of a text is an element, named by the version's `ord`; how many a long text has is kept beside."""

    quantization: Literal["none", "int8", "binary"] = "none"
    """How numbers are held: `none` (4 bytes, exact), `int8` (1 byte), `binary` (1 bit)."""
    exact: int = 10_000
    """Owners with so many vectors are searched exactly; of larger ones the index finds nearly all."""
    ef: int = 1_000
    """How far the index looks: larger is slower, and finds more."""

    TITLE: ClassVar[str] = "Redis"
    MARK: ClassVar[str] = "contents"

    def __post_init__(self) -> None:
        """As for all that is in a Redis."""
        super().__post_init__()
        at_least(self, exact=0, ef=1)

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, and remove what they replace and what is dead."""
        key, pieces = self._keys(partition)
        going = changed(points, dead)
        [counted] = await self._ask([("HMGET", pieces, *going)]) if going else [[]]
        commands: list[Command] = []
        for ord_, count in zip(going, counted, strict=True):
            commands += [("VREM", key, _element(ord_, piece)) for piece in range(int(count or 1))]
        if gone := [ord_ for ord_, count in zip(going, counted, strict=True) if count]:
            commands.append(("HDEL", pieces, *gone))
        for point in points:
            if len(point.vectors) > 1:  # noted first: what is there half can be removed
                commands.append(("HSET", pieces, point.ord, len(point.vectors)))
            commands += self._added(key, point)
        await self._ask(commands)

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest, exactly while the partition is small.

        Those that a filter lets through are picked out here: Redis would look through a list of them at each vector.
        """
        key, _ = self._keys(partition)
        if not (size := await self.held(partition)):
            return []
        wanted = None if among is None else frozenset(among)
        first = limit if wanted is None else int(_SPARE * limit * size / max(len(wanted), 1))

        async def ask(count: int) -> list[tuple[int, float]]:
            exactly = size <= self.exact or count > _SHARE * size
            options = ("TRUTH",) if exactly else ("EF", max(self.ef, count))
            asked = ("VSIM", key, "FP32", _bytes(vector), "WITHSCORES", "COUNT", count, *options)
            [answer] = await self._ask([asked])
            return [(int(element.partition(b"/")[0]), 2 * score - 1) for element, score in _scored(answer)]

        return await nearest_once(ask, limit=limit, most=size, first=first, wanted=wanted)

    async def held(self, partition: Partition) -> int:
        """How many elements the set has."""
        key, _ = self._keys(partition)
        [size] = await self._ask([("VCARD", key)])
        return int(size or 0)

    async def forget(self, partition: Partition) -> None:
        """Remove the set."""
        await self._ask([("UNLINK", *self._keys(partition))])

    def _added(self, key: str, point: Point) -> list[Command]:
        how = _QUANTIZED[self.quantization]
        return [
            ("VADD", key, "FP32", _bytes(vector), _element(point.ord, piece), how)
            for piece, vector in enumerate(point.vectors)
        ]

    def _keys(self, partition: Partition) -> tuple[str, str]:
        """Of the vectors, and of the numbers of pieces."""
        return self._key("vectors", partition), self._key("pieces", partition)


def _element(ord_: int, piece: int) -> str:
    return f"{ord_}/{piece}" if piece else str(ord_)


def _bytes(vector: NDArray[np.float32]) -> bytes:
    return vector.astype("<f4").tobytes()


def _scored(answer: Any) -> list[tuple[bytes, float]]:
    """Elements and scores (0 to 1), in either version of the protocol."""
    if isinstance(answer, dict):
        return [(element, float(score)) for element, score in answer.items()]
    return [(answer[place], float(answer[place + 1])) for place in range(0, len(answer), 2)]
