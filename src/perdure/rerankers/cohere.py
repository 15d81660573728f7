"""Cohere's rerankers, by the second version of its interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from perdure.rerankers.service import HttpReranker


@dataclass(frozen=True, kw_only=True)
class CohereReranker(HttpReranker):
    """A model behind `{base_url}/rerank`, such as `rerank-v3.5`.

    Without `api_key`, `COHERE_API_KEY` or `CO_API_KEY` is used, but only for Cohere itself.
    """

    base_url: str = "https://api.cohere.com/v2"
    """Where the provider is."""

    TITLE: ClassVar[str] = "Cohere"
    HOME: ClassVar[str] = "https://api.cohere.com/v2"
    KEYS: ClassVar[tuple[str, ...]] = ("COHERE_API_KEY", "CO_API_KEY")

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"model": self.model, "query": query, "documents": list(texts)}
