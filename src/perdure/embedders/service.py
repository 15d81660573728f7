"""What every embedding model over HTTP shares: its options, calls of bounded size, and vectors that are checked."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, TypeVar, final

from perdure.errors import ModelUnavailable, Unavailable
from perdure.http import Batching, HttpProvider, Part, dig

if TYPE_CHECKING:  # numpy is loaded with the first vectors
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

Purpose: TypeAlias = Literal["document", "query"]
"""What a text is embedded for: to be found, or to find."""
NOTHING = "-"
"""Sent in place of an empty text, which services refuse."""


@dataclass(frozen=True, kw_only=True)
class HttpEmbedder(Batching, HttpProvider):
    """An embedding model behind an HTTP interface; a vendor writes how it is asked and how its answer is read."""

    model: str
    """The model's name, as the provider knows it; vectors of different models are never compared."""
    dimensions: int = 0
    """Numbers in a vector; 0: the model's own, where that is known here. Another number is asked for."""
    batch_size: int = 256
    """Texts in one call."""
    batch_chars: int = 200_000
    """Characters in one call, which bound its tokens; a longer text is a call of its own."""
    max_chars: int = 8_000
    """Characters of a text that are sent; the engine has cut long texts into pieces of about 200 words before."""
    timeout: float = 30.0
    """Seconds for one try, from the connection to the last byte of the answer."""
    budget: float = 120.0
    """Seconds for one call with all that it waits and tries again."""

    SIZES: ClassVar[Mapping[str, int]] = {}
    """The dimensions of the vendor's models."""

    def __post_init__(self) -> None:
        """Look at what can be seen before anything is asked; dimensions that are known are filled in."""
        super().__post_init__()
        if not self.model.strip():
            raise ValueError("model has to be named")
        for name in ("batch_size", "batch_chars", "max_chars"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} has to be greater than 0")
        dimensions = self.dimensions or self._own_dimensions
        if dimensions is None or dimensions < 1:
            raise ValueError(
                f"dimensions has to be given: how many numbers a vector of {self.model} has is not known here"
            )
        object.__setattr__(self, "dimensions", dimensions)  # frozen, but not yet made

    @final
    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given.

        Raises:
            Unavailable: a time-out, no connection, too many requests, a fault of the server, each tried again; or an
                answer that does not hold such vectors.
            ModelUnavailable: no key or a wrong one, an unknown model, other dimensions, a refused request.
            ContentRefused: the provider's content filter declines these texts.
        """
        return await self._embedded(texts, "document")

    # What a vendor writes.

    def _path(self) -> str:
        raise NotImplementedError

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if (key := self._key()) else {}

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:
        """What every server knows."""
        raise NotImplementedError

    def _parts(self, texts: Sequence[str], purpose: Purpose) -> list[Part]:  # noqa: ARG002  # most need none
        """What a server may not know, without what this one has refused."""
        return []

    def _rows(self, body: Mapping[str, Any]) -> object:
        """The vectors in an answer, in the order of the texts: lists of numbers, or float32 in base64."""
        raise NotImplementedError

    # What vendors use.

    @property
    def _own_dimensions(self) -> int | None:
        """The model's own, where that is known."""
        return self.SIZES.get(self.model)

    async def _embedded(self, texts: Sequence[str], purpose: Purpose) -> NDArray[np.float32]:
        import numpy as np

        sent = [text[: self.max_chars] if text.strip() else NOTHING for text in texts]
        groups = batches(sent, most=self._most, chars=self.batch_chars)
        made = await _together(
            [self._halving(lambda texts: self._batch(texts, purpose), group) for group in groups]
        )
        rows = [vectors for answers in made for vectors in answers]
        return np.concatenate([np.empty((0, self.dimensions), np.float32), *rows])

    async def _batch(self, texts: Sequence[str], purpose: Purpose) -> NDArray[np.float32]:
        reply = await self._ask(
            self._path(),
            self._headers(),
            lambda: (self._body(texts, purpose), self._parts(texts, purpose)),
            private=texts,
        )
        return self._vectors(self._rows(reply.body), len(texts))

    def _vectors(self, rows: object, count: int) -> NDArray[np.float32]:
        """Rows of unit length; raises `ModelUnavailable` for another width, `Unavailable` for what are no vectors."""
        import numpy as np

        given = len(rows) if isinstance(rows, list) else 0
        if not isinstance(rows, list) or given != count:
            raise self._faulty(f"gave {given} vectors for {count} texts")
        try:
            made = np.array([_numbers(row) for row in rows], np.float64)
        except (TypeError, ValueError) as error:  # also what is no base64
            raise self._faulty("gave what are no vectors") from error
        if made.ndim != 2:
            raise self._faulty("gave what are no vectors")
        if made.shape[1] != self.dimensions:
            raise ModelUnavailable(
                f"{self.TITLE} model {self.model} gives vectors of {made.shape[1]} numbers, not of "
                f"{self.dimensions}: set `dimensions` to {made.shape[1]}"
            )
        lengths = np.linalg.norm(made, axis=1, keepdims=True)
        if not np.isfinite(lengths).all() or not lengths.all():
            raise self._faulty("gave a vector without a direction (zeros, or what is no number)")
        return (made / lengths).astype(np.float32)  # type: ignore[no-any-return]  # numpy's stubs give Any

    def _faulty(self, what: str) -> Unavailable:
        return Unavailable(f"{self.TITLE} model {self.model} {what}: try again later")


def batches(texts: Sequence[str], *, most: int, chars: int) -> Iterator[list[str]]:
    """The texts in their order, in groups of so many texts and characters at most; a longer text stands alone."""
    group: list[str] = []
    held = 0
    for text in texts:
        if group and (len(group) == most or held + len(text) > chars):
            yield group
            group, held = [], 0
        group.append(text)
        held += len(text)
    if group:
        yield group


def in_order(items: object) -> list[Any] | None:
    """Items that tell their places, by these; None: it is no list of them, or a place is missing or there twice."""
    if not isinstance(items, list):
        return None
    if all(dig(item, "index") is None for item in items):
        return items
    places = {dig(item, "index"): item for item in items}
    return [places[place] for place in range(len(items))] if places.keys() == set(range(len(items))) else None


def _numbers(row: object) -> Any:
    import numpy as np

    return np.frombuffer(b64decode(row, validate=True), "<f4") if isinstance(row, str) else row


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; when one fails, the others are given up."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
