"""How embeddings are asked for and given, as OpenAI does it: for a server of tests."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from perdure.testing.fakes import HashEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PATH: Final = "/embeddings"
"""How the paths end at which they are asked for."""
DIMENSIONS: Final = 1536
"""Of a vector for which the request names none."""
MOST: Final = 2048
"""Texts in one request."""


@dataclass(frozen=True, kw_only=True)
class SeenTexts:
    """A request for embeddings as the server saw it."""

    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, Any]
    model: str
    texts: tuple[str, ...]
    dimensions: int
    encoding: str
    """`float` or `base64`."""


def understood(path: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> SeenTexts:
    """What a request asks for.

    Raises:
        ValueError: it asks for what OpenAI's server refuses; the message is for the caller.
    """
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST:
        raise ValueError(f"'input' has to be a text or a list of 1 to {MOST} of them")
    if not all(isinstance(text, str) and text for text in texts):
        raise ValueError("'input' holds what is no text, or an empty one")
    dimensions = body.get("dimensions", DIMENSIONS)
    if type(dimensions) is not int or dimensions < 1:
        raise ValueError("'dimensions' has to be 1 or more")
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise ValueError("'encoding_format' has to be 'float' or 'base64'")
    return SeenTexts(
        path=path,
        headers=headers,
        body=body,
        model=str(body.get("model")),
        texts=tuple(texts),
        dimensions=dimensions,
        encoding=encoding,
    )


async def reply(asked: SeenTexts, *, most: int | None = None) -> dict[str, Any]:
    """The vectors of the words' hashes, the same for the same text; of the first texts only with `most`."""
    vectors = await HashEmbedder(dimensions=asked.dimensions).embed(asked.texts[:most])
    tokens = sum(len(text.split()) for text in asked.texts)
    return {
        "object": "list",
        "model": asked.model,
        "data": [
            {"object": "embedding", "index": place, "embedding": _written(vector, asked.encoding)}
            for place, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _written(vector: NDArray[np.float32], encoding: str) -> list[float] | str:
    """Numbers, or the bytes of little-endian float32 in base64."""
    if encoding == "base64":
        return b64encode(vector.astype("<f4").tobytes()).decode()
    return [float(number) for number in vector]
