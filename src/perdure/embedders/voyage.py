"""Voyage's embedding models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from perdure.embedders.service import HttpEmbedder, Purpose, in_order
from perdure.http import dig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class VoyageEmbedder(HttpEmbedder):
    """A model behind `{base_url}/embeddings`; questions are embedded as such.

    Without `api_key`, `VOYAGE_API_KEY` is used, but only for Voyage itself.
    """

    base_url: str = "https://api.voyageai.com/v1"
    """Where the provider is; for a key of MongoDB Atlas, `https://ai.mongodb.com/v1`."""
    batch_chars: int = 100_000
    """Characters in one call: some models take no more than 120,000 tokens, and a token may be one character."""

    TITLE: ClassVar[str] = "Voyage"
    HOME: ClassVar[str] = "https://api.voyageai.com/v1"
    KEYS: ClassVar[tuple[str, ...]] = ("VOYAGE_API_KEY",)
    SIZES: ClassVar[Mapping[str, int]] = {
        "voyage-4-large": 1024,
        "voyage-4": 1024,
        "voyage-4-lite": 1024,
        "voyage-3.5": 1024,
        "voyage-3.5-lite": 1024,
        "voyage-3-large": 1024,
        "voyage-code-3": 1024,
    }

    async def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, for texts that are to find others."""
        return await self._embedded(texts, "query")

    def _path(self) -> str:
        return "/embeddings"

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "input": list(texts),
            "input_type": purpose,
            "truncation": True,
            "encoding_format": "base64",
        }
        if self.dimensions != self._own_dimensions:
            body["output_dimension"] = self.dimensions
        return body

    def _rows(self, body: Mapping[str, Any]) -> object:
        items = in_order(body.get("data"))
        return None if items is None else [dig(item, "embedding") for item in items]
