"""Embeddings as OpenAI made them, and as Azure, vLLM, LM Studio, TEI and many others serve them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from perdure.embedders.service import HttpEmbedder, Purpose, in_order
from perdure.http import Part, dig, parameter


@dataclass(frozen=True, kw_only=True)
class OpenAIEmbedder(HttpEmbedder):
    """A model behind `{base_url}/embeddings`.

    Without `api_key`, `OPENAI_API_KEY` is used, but only for OpenAI itself. Vectors are asked for as bytes, a third of
    the size; `dimensions` is sent where it is not the model's own. A server that does not know one of the two is asked
    without it, and that is remembered.
    """

    base_url: str = "https://api.openai.com/v1"
    """Such as `http://localhost:8000/v1` for vLLM; for Azure, up to and with the name of the deployment."""
    azure_api_version: str | None = None
    """For Azure, such as `2024-10-21`: it goes into the URL, and the key into the header `api-key`."""

    TITLE: ClassVar[str] = "OpenAI"
    HOME: ClassVar[str] = "https://api.openai.com/v1"
    KEYS: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)
    SIZES: ClassVar[Mapping[str, int]] = {
        "text-embedding-3-small": 1536,
        "text-embedding-3-large": 3072,
        "text-embedding-ada-002": 1536,
    }

    def _path(self) -> str:
        version = self.azure_api_version
        return "/embeddings" + (f"?api-version={quote(version)}" if version else "")

    def _headers(self) -> dict[str, str]:
        if self.azure_api_version and (key := self._key()):
            return {"api-key": key}
        return super()._headers()

    def _body(self, texts: Sequence[str], purpose: Purpose) -> dict[str, Any]:  # noqa: ARG002  # both are the same here
        return {"model": self.model, "input": list(texts)}

    def _parts(self, texts: Sequence[str], purpose: Purpose) -> list[Part]:  # noqa: ARG002  # likewise
        parts = [parameter("encoding_format", "base64")]
        if self.dimensions != self._own_dimensions:
            parts.append(parameter("dimensions", self.dimensions))
        return self._known(parts)

    def _rows(self, body: Mapping[str, Any]) -> object:
        items = in_order(body.get("data"))
        return None if items is None else [dig(item, "embedding") for item in items]
