"""What every reranker over HTTP shares: its options, calls of bounded size, and scores that are checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from perdure.errors import Unavailable
from perdure.http import Batching, HttpProvider, dig
from perdure.rerankers.scores import placed


@dataclass(frozen=True, kw_only=True)
class HttpReranker(Batching, HttpProvider):
    """A reranker behind an HTTP interface; a vendor writes how it is asked and how its answer is read.

    It gets little time, for a search waits for it and goes on without it.
    """

    model: str
    """The model's name, as the provider knows it."""
    top_k: int | None = None
    """How many results a search gives that it has judged, where the caller says no number; None: as all searches."""
    top_n: int | None = None
    """Another name of `top_k`."""
    batch_size: int = 500
    """Texts in one call."""
    max_chars: int = 4_000
    """Characters of a text, and of a question, that are sent."""
    timeout: float = 10.0
    """Seconds for one try, from the connection to the last byte of the answer."""
    retries: int = 1
    """How often a request is sent again that failed for a passing reason; 0: never."""
    budget: float = 20.0
    """Seconds for one call with all that it waits and tries again."""

    def __post_init__(self) -> None:
        """Look at what can be seen before anything is asked."""
        super().__post_init__()
        if not self.model.strip():
            raise ValueError("model has to be named")
        object.__setattr__(self, "top_k", self.top_n if self.top_k is None else self.top_k)  # not yet made
        for name in ("top_k", "batch_size", "max_chars"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} has to be greater than 0")

    @final
    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance in 0..1 for each text.

        Raises:
            Unavailable: a time-out, no connection, too many requests, a fault of the server, each tried again; or an
                answer that does not judge each text.
            ModelUnavailable: no key or a wrong one, an unknown model, a refused request.
            ContentRefused: the provider's content filter declines these texts.
        """
        sent = [text[: self.max_chars] for text in texts]
        scores: list[float] = []
        while len(scores) < len(sent):
            portion = sent[len(scores) :][: self._most]
            for some in await self._halving(
                lambda texts: self._batch(query[: self.max_chars], texts), portion
            ):
                scores += some
        return scores

    # What a vendor writes.

    def _path(self) -> str:
        return "/rerank"

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {key}"} if (key := self._key()) else {}

    def _body(self, query: str, texts: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError

    def _results(self, body: Mapping[str, Any]) -> object:
        """The judgements in an answer: a list of objects."""
        return body.get("results")

    def _judged(self, result: object) -> object:
        """The relevance in one judgement, 0 to 1."""
        return dig(result, "relevance_score")

    # What vendors use.

    async def _batch(self, query: str, texts: Sequence[str]) -> list[float]:
        reply = await self._ask(
            self._path(),
            self._headers(),
            lambda: (self._body(query, texts), []),
            private=(query, *texts),
        )
        results = self._results(reply.body)
        judgements = results if isinstance(results, list) else []
        pairs = [(dig(result, "index"), self._judged(result)) for result in judgements]
        if (scores := placed(pairs, len(texts))) is None:
            raise Unavailable(f"{self.TITLE} model {self.model} did not judge each text: try again later")
        return scores
