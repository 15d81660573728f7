"""What vector engines have in common: pieces of texts, told in parts and found once each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from perdure.ports.derived import Near, Point

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MORE: Final = 4
"""How many times as much is asked for when pieces of long texts crowd out other texts."""


def changed(points: Sequence[Point], dead: Sequence[int]) -> list[int]:
    """The versions whose earlier pieces go."""
    return list(dict.fromkeys([*dead, *(point.ord for point in points)]))


def pieces(points: Sequence[Point]) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Each piece with its version and its number therein."""
    for point in points:
        for number, vector in enumerate(point.vectors):
            yield point.ord, number, vector


def batches(points: Sequence[Point], floats: int) -> Iterator[list[tuple[int, int, NDArray[np.float32]]]]:
    """The pieces, as many at once as have so many numbers."""
    batch: list[tuple[int, int, NDArray[np.float32]]] = []
    for piece in pieces(points):
        if batch and (len(batch) + 1) * piece[2].size > floats:
            yield batch
            batch = []
        batch.append(piece)
    if batch:
        yield batch


def each_once(scored: Iterable[tuple[int, float]], limit: int) -> list[Near]:
    """The versions of pieces that come nearest first."""
    best: dict[int, float] = {}
    for ord_, cosine in scored:
        best.setdefault(ord_, cosine)
    return [Near(ord_, cosine) for ord_, cosine in best.items()][:limit]


async def nearest_once(
    ask: Callable[[int], Awaitable[Sequence[tuple[int, float]]]],
    *,
    limit: int,
    most: int,
    first: int = 0,
    wanted: frozenset[int] | None = None,
) -> list[Near]:
    """The nearest versions, each once; as long as others crowd them out, more are asked for.

    Args:
        ask: the so many nearest pieces.
        most: pieces that can be asked for.
        first: pieces that are asked for at first, if they are more than the limit.
        wanted: the versions that count, where `ask` gives others too.
    """
    count = min(max(limit, first), most)
    while True:
        scored = await ask(count)
        found = each_once((one for one in scored if wanted is None or one[0] in wanted), limit)
        if len(found) == limit or len(scored) < count or count == most:
            return found
        count = min(MORE * count, most)


def in_parts(ords: Sequence[int], most: int) -> Iterator[list[int]]:
    """At most so many at once, as one request may name."""
    for start in range(0, len(ords), most):
        yield list(ords[start : start + most])


def address(url: str) -> str:
    """Where a URL leads, without user and password."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host or parts.path
