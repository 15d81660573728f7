"""Rerankers that Hugging Face's Text Embeddings Inference serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from perdure.http import ITEMS, dig
from perdure.rerankers.service import HttpReranker


@dataclass(frozen=True, kw_only=True)
class TeiReranker(HttpReranker):
    """The model behind `{base_url}/rerank`: a server has one, so that `model` is only a name for it.

    There is no key unless `api_key` is given.
    """

    model: str = "tei"
    """What the server's model is called here; give another name when it changes, for scores are kept by it."""
    base_url: str = "http://localhost:8080"
    """Where the server is."""
    batch_size: int = 32
    """Texts in one call; the server takes no more than its `--max-client-batch-size`, which is 32."""

    TITLE: ClassVar[str] = "Text Embeddings Inference"
    HOME: ClassVar[str] = ""  # nobody's server: no key of the environment belongs to it
    KEYS: ClassVar[tuple[str, ...]] = ()

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        return {"query": query, "texts": list(texts), "truncate": True}

    def _results(self, body: Mapping[str, Any]) -> object:
        return body.get(ITEMS)

    def _judged(self, result: object) -> object:
        return dig(result, "score")
