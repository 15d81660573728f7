"""Rerankers as Jina serves them, and vLLM, Infinity, LocalAI, llama.cpp and others that speak alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Literal

from perdure.rerankers.scores import sigmoid
from perdure.rerankers.service import HttpReranker


@dataclass(frozen=True, kw_only=True)
class JinaReranker(HttpReranker):
    """A model behind `{base_url}/rerank`, such as `jina-reranker-v2-base-multilingual`.

    Without `api_key`, `JINA_API_KEY` is used, but only for Jina itself.
    """

    base_url: str = "https://api.jina.ai/v1"
    """Where the provider is."""
    scores: Literal["relevance", "logits"] = "relevance"
    """What the server's numbers are; relevance: 0 to 1, logits: any (as llama.cpp gives them), put on that scale."""

    TITLE: ClassVar[str] = "Jina"
    HOME: ClassVar[str] = "https://api.jina.ai/v1"
    KEYS: ClassVar[tuple[str, ...]] = ("JINA_API_KEY",)

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        body = {"model": self.model, "query": query, "documents": list(texts)}
        return {**body, "return_documents": False}

    def _judged(self, result: object) -> object:
        score = super()._judged(result)
        if self.scores == "logits" and isinstance(score, (int, float)) and isfinite(score):
            return sigmoid(score)
        return score
