"""Cohere's embedding models, by the second version of its interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from perdure.embedders.service import HttpEmbedder, Purpose
from perdure.http import dig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class CohereEmbedder(HttpEmbedder):
    """A model behind `{base_url}/embed`; questions are embedded as such.

    Without `api_key`, `COHERE_API_KEY` or `CO_API_KEY` is used, but only for Cohere itself.
    """

    base_url: str = "https://api.cohere.com/v2"
    """Where the provider is."""
    batch_size: int = 96
    """Texts in one call; Cohere takes no more."""

    TITLE: ClassVar[str] = "Cohere"
    HOME: ClassVar[str] = "https://api.cohere.com/v2"
    KEYS: ClassVar[tuple[str, ...]] = ("COHERE_API_KEY", "CO_API_KEY")
    SIZES: ClassVar[Mapping[str, int]] = {
        "embed-v4.0": 1536,
        "embed-english-v3.0": 1024,
        "embed-english-light-v3.0": 384,
        "embed-multilingual-v3.0": 1024,
        "embed-multilingual-light-v3.0": 384,
    }

    async def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, for texts that are to find others."""
        return await self._embedded(texts, "query")

    def _path(self) -> str:
        return "/embed"

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "texts": list(texts),
            "input_type": f"search_{purpose}",
            "embedding_types": ["float"],
            "truncate": "END",
        }
        if self.dimensions != self._own_dimensions:
            body["output_dimension"] = self.dimensions
        return body

    def _rows(self, body: Mapping[str, Any]) -> object:
        return dig(body, "embeddings", "float")
