"""What vendors ask for embeddings and for reranking: list prices as they stood when somebody looked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Price:
    """A list price, which a contract, a region or a later day may change."""

    dollars: float
    per: Literal["1M tokens", "1K searches"]
    """A search: a question with up to 100 texts."""
    seen: date
    source: str


def price_of(model: str) -> Price | None:
    """The price of a model by the name that its vendor gives it; None: it is not known here, or costs nothing."""
    return _PRICES.get(model.removeprefix("models/"))


_LOOKED = date(2026, 11, 21)


def _tokens(dollars: float, source: str) -> Price:
    return Price(dollars=dollars, per="1M tokens", seen=_LOOKED, source=source)


def _searches(dollars: float, source: str) -> Price:
    return Price(dollars=dollars, per="1K searches", seen=_LOOKED, source=source)


_PRICES: Mapping[str, Price] = {
    "text-embedding-3-small": _tokens(
        0.02, "https://developers.openai.com/api/docs/models/text-embedding-3-large"
    ),
    "text-embedding-3-large": _tokens(
        0.13, "https://developers.openai.com/api/docs/models/text-embedding-3-large"
    ),
    "text-embedding-ada-002": _tokens(0.10, "https://docs.praison.ai/docs/embeddings/providers/openai"),
    "gemini-embedding-001": _tokens(
        0.15, "https://developers.googleblog.com/en/gemini-embedding-available-gemini-api/"
    ),
    "embed-v4.0": _tokens(0.12, "https://developer.puter.com/tutorials/cohere-api-pricing/"),
    "voyage-4-large": _tokens(0.12, "https://vercel.com/ai-gateway/models/voyage-4-large.md"),
    "voyage-4": _tokens(0.06, "https://vercel.com/ai-gateway/models/voyage-4.md"),
    "voyage-4-lite": _tokens(0.02, "https://vercel.com/ai-gateway/models/voyage-4-lite.md"),
    "rerank-v4.0-fast": _searches(2.00, "https://developer.puter.com/tutorials/cohere-api-pricing/"),
    "rerank-v4.0-pro": _searches(2.50, "https://developer.puter.com/tutorials/cohere-api-pricing/"),
}
