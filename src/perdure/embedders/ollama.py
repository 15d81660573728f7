"""Embedding models that Ollama runs, by its own interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from perdure.embedders.service import HttpEmbedder, Purpose


@dataclass(frozen=True, kw_only=True)
class OllamaEmbedder(HttpEmbedder):
    """A model behind `{base_url}/api/embed`; pull it first (`ollama pull nomic-embed-text`).

    There is no key unless `api_key` is given. The first call may take long: Ollama loads the model.
    """

    base_url: str = "http://localhost:11434"
    """Where Ollama is."""
    batch_size: int = 64
    """Texts in one call."""
    keep_alive: str | None = None
    """How long the model stays loaded after a call, such as `30m`; None: as Ollama is set up."""
    timeout: float = 120.0
    """Seconds for one try, from the connection to the last byte of the answer."""

    TITLE: ClassVar[str] = "Ollama"
    HOME: ClassVar[str] = ""  # nobody's server: no key of the environment belongs to it
    KEYS: ClassVar[tuple[str, ...]] = ()
    SIZES: ClassVar[Mapping[str, int]] = {
        "all-minilm": 384,
        "bge-large": 1024,
        "bge-m3": 1024,
        "embeddinggemma": 768,
        "mxbai-embed-large": 1024,
        "nomic-embed-text": 768,
    }

    @property
    def _own_dimensions(self) -> int | None:
        return self.SIZES.get(self.model.removesuffix(":latest"))  # another tag may be another size

    def _path(self) -> str:
        return "/api/embed"

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:  # noqa: ARG002  # both are the same here
        body: dict[str, Any] = {"model": self.model, "input": list(texts), "truncate": True}
        if self.dimensions != self._own_dimensions:
            body["dimensions"] = self.dimensions
        if self.keep_alive is not None:
            body["keep_alive"] = self.keep_alive
        return body

    def _rows(self, body: Mapping[str, Any]) -> object:
        return body.get("embeddings")
