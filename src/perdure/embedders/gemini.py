"""Gemini's embedding models, by Google's batchEmbedContents interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import quote

from perdure.embedders.service import HttpEmbedder, Purpose
from perdure.http import Part, dig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TASKS: Mapping[Purpose, str] = {"document": "RETRIEVAL_DOCUMENT", "query": "RETRIEVAL_QUERY"}
TASK_NAMED = r"task_?type"
"""How refusals name the task: newer models know none."""


@dataclass(frozen=True, kw_only=True)
class GeminiEmbedder(HttpEmbedder):
    """A model behind `{base_url}/models/{model}:batchEmbedContents`; questions are embedded as such.

    Without `api_key`, `GEMINI_API_KEY` or `GOOGLE_API_KEY` is used, but only for Google itself.
    """

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    """Where the provider is."""
    batch_size: int = 100
    """Texts in one call; Google takes no more."""
    max_chars: int = 6_000
    """Characters of a text that are sent: the model reads 2,048 tokens."""

    TITLE: ClassVar[str] = "Gemini"
    HOME: ClassVar[str] = "https://generativelanguage.googleapis.com/v1beta"
    KEYS: ClassVar[tuple[str, ...]] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
    SIZES: ClassVar[Mapping[str, int]] = {"gemini-embedding-001": 3072}

    async def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, for texts that are to find others."""
        return await self._embedded(texts, "query")

    @property
    def _name(self) -> str:
        return self.model.removeprefix("models/")

    @property
    def _own_dimensions(self) -> int | None:
        return self.SIZES.get(self._name)

    def _path(self) -> str:
        return f"/models/{quote(self._name, safe='')}:batchEmbedContents"

    def _headers(self) -> dict[str, str]:
        return {"x-goog-api-key": key} if (key := self._key()) else {}

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:  # noqa: ARG002  # it is a part
        return {"requests": self._requests(texts)}

    def _parts(self, texts: Sequence[str], purpose: Purpose) -> list[Part]:
        task = {"taskType": TASKS[purpose]}
        with_task = [{**request, **task} for request in self._requests(texts)]
        return self._known([Part("taskType", {"requests": with_task}, TASK_NAMED)])

    def _requests(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        size = {} if self.dimensions == self._own_dimensions else {"outputDimensionality": self.dimensions}
        name = f"models/{self._name}"
        return [{"model": name, "content": {"parts": [{"text": text}]}, **size} for text in texts]

    def _rows(self, body: Mapping[str, Any]) -> object:
        rows = body.get("embeddings")
        return [dig(row, "values") for row in rows] if isinstance(rows, list) else None
