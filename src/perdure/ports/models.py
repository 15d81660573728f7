"""The seams to models: embedders, rerankers, language models, and what redacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:  # numpy is loaded by those who use it: `import perdure` stays light
    import numpy as np
    from numpy.typing import NDArray


class Embedder(Protocol):
    """Texts to vectors of unit length."""

    @property
    def model(self) -> str:
        """Name and version: vectors of different models are never compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers in a vector."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given."""
        ...

    async def aclose(self) -> None:
        """Give threads and sessions back."""


@runtime_checkable
class Calibrated(Protocol):
    """An embedder of which it is known what its cosines mean."""

    @property
    def nearness(self) -> float:
        """How much nearer, as a difference of cosines, a text is to what it is about than to such things on average."""
        ...


@runtime_checkable
class InProcess(Protocol):
    """An embedder that computes in this process: others can keep nothing for it that it could not make as quickly."""

    @property
    def at_once(self) -> int:
        """How many calls it computes at the same time, each on a core of its own."""
        ...


@runtime_checkable
class QueryEmbedder(Protocol):
    """An embedder that makes other vectors of what is to find than of what is to be found; the two are compared."""

    async def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`."""
        ...


class Reranker(Protocol):
    """A second opinion on a short list; one that raises `Unavailable` or `ConfigurationError` is done without."""

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance in 0..1 for each text."""
        ...

    async def aclose(self) -> None:
        """Give sessions back."""


@runtime_checkable
class Shortens(Protocol):
    """A reranker that says how many results are enough when it has judged them."""

    @property
    def top_k(self) -> int | None:
        """For searches whose callers say no number; None: as all searches."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One question to a language model."""

    instructions: str
    """What is the same in every call of a kind: it comes first, so that providers' prompt caches work."""
    content: str
    """What this call is about."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the answer; None: free text. A model that knows no schemas is asked for JSON, or for text."""
    images: tuple[Mapping[str, Any], ...] = ()
    """Parts like `{"type": "image_url", "image_url": {"url": "..."}}`, for models that see."""
    max_tokens: int = 4_096
    """The longest answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A language model's answer."""

    text: str
    cut: bool = False
    """It is longer than was allowed, and ends in the middle."""
    input_tokens: int | None = None
    cached_tokens: int | None = None
    """Those of the input that the provider had in its prompt cache."""
    output_tokens: int | None = None


class Redacted(NamedTuple):
    """A text as it may be stored."""

    text: str
    found: Mapping[str, int]
    """How many of each kind were replaced; no words of them."""


class Redactor(Protocol):
    """Replaces what must not be stored; a function will do. What it raises, the verb raises, and stores nothing."""

    def __call__(self, text: str, /) -> Redacted:
        """The text without it."""
        ...


@runtime_checkable
class LLM(Protocol):
    """A language model, asked one thing at a time."""

    @property
    def model(self) -> str:
        """Its name, as receipts and `derived_by` tell it."""
        ...

    async def complete(self, prompt: Prompt) -> Completion:
        """The answer.

        Raises:
            Unavailable: not now: a time-out, no connection, too many requests, a fault of the server.
            ModelUnavailable: not with this configuration: a wrong key, an unknown model, a refused request.
            ContentRefused: not these words: it declines to answer, or a content filter does.
        """
        ...

    async def aclose(self) -> None:
        """Give connections back."""
