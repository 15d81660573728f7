"""How vendors are asked to judge texts and how they answer: for a server of tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from perdure.testing.fakes import WordReranker

Body: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SeenRanking:
    """A request to judge texts as the server saw it."""

    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, Any]
    model: str
    query: str
    texts: tuple[str, ...]
    vendor: str


class RankingWire(NamedTuple):
    """One vendor's interface for rerankers."""

    vendor: str
    path: str
    """How the paths end at which it is spoken."""
    most: int
    """Texts in one request."""
    texts: str
    """The key of the texts in a request."""
    reply: Callable[[SeenRanking, Sequence[tuple[int, float]]], Any]
    """To a request, with places and scores, best first."""
    error: Callable[[int, str], dict[str, Any]]


def wire_of(path: str) -> RankingWire | None:
    """The interface that is spoken at a path; None: none for rerankers."""
    return next((wire for wire in WIRES if path.endswith(wire.path)), None)


def understood(wire: RankingWire, path: str, headers: Mapping[str, str], body: Body) -> SeenRanking:
    """What a request asks for.

    Raises:
        ValueError: it asks for what the vendor's server refuses; the message is for the caller.
    """
    query, texts = body.get("query"), body.get(wire.texts)
    if not isinstance(query, str) or not query:
        raise ValueError("'query' has to be a text")
    if not isinstance(texts, list) or not 0 < len(texts) <= wire.most:
        raise ValueError(f"'{wire.texts}' has to be a list of 1 to {wire.most} texts")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"'{wire.texts}' holds what is no text")
    return SeenRanking(
        path=path,
        headers=headers,
        body=body,
        model=str(body.get("model", "")),
        query=query,
        texts=tuple(texts),
        vendor=wire.vendor,
    )


async def reply(wire: RankingWire, asked: SeenRanking, *, fault: str | None = None) -> Any:
    """Each text with the share of the question's words that it holds, best first.

    Args:
        fault: `length`: all but the worst; `width`: the best twice in place of the worst; `nan`: the worst without a
            number.
    """
    scores = await WordReranker().rerank(asked.query, asked.texts)
    judged = sorted(enumerate(map(float, scores)), key=lambda one: -one[1])
    if fault == "length":
        judged = judged[:-1]
    elif fault == "width":
        judged = [*judged[:-1], judged[0]]
    elif fault == "nan":
        judged = [*judged[:-1], (judged[-1][0], float("nan"))]
    return wire.reply(asked, judged)


def _cohere_reply(_: SeenRanking, judged: Sequence[tuple[int, float]]) -> dict[str, Any]:
    return {
        "id": "07734bd2-2473-4f07-94e1-0d9f0e6843cf",
        "results": [{"index": place, "relevance_score": score} for place, score in judged],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }


def _jina_reply(asked: SeenRanking, judged: Sequence[tuple[int, float]]) -> dict[str, Any]:
    tokens = sum(len(text.split()) for text in (asked.query, *asked.texts))
    return {
        "model": asked.model,
        "usage": {"total_tokens": tokens},
        "results": [{"index": place, "relevance_score": score} for place, score in judged],
    }


def _tei_reply(_: SeenRanking, judged: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    return [{"index": place, "score": score} for place, score in judged]


WIRES: Final = (
    RankingWire(
        "cohere", "/v2/rerank", 1_000, "documents", _cohere_reply, lambda _, message: {"message": message}
    ),
    RankingWire(
        "jina", "/v1/rerank", 2_048, "documents", _jina_reply, lambda _, message: {"detail": message}
    ),
    RankingWire(
        "tei",
        "/rerank",
        32,
        "texts",
        _tei_reply,
        lambda _, message: {"error": message, "error_type": "backend"},
    ),
)
