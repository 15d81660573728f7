"""The embedding models of FastEmbed, run in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perdure.errors import Closed, ModelUnavailable
from perdure.onnx import onnxruntime as _before_fastembed  # noqa: F401  # so that it reports to nobody
from perdure.threads import Threads

import fastembed  # isort: skip  # which loads it

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARACTERS = 20_000
"""Far more than most models read, so that a book is not tokenised for its first page."""


@dataclass(frozen=True, kw_only=True)
class FastEmbedEmbedder:
    """A model that FastEmbed knows, fetched from its hub at first use unless `model_dir` has it.

    It runs in threads of its own; questions are embedded as the model wants them. With `pip install 'perdure[fastembed]'`.
    """

    model: str
    """The model's name, as FastEmbed lists it, such as `BAAI/bge-small-en-v1.5`."""
    model_dir: Path | None = None
    """A directory with the model's files, from which it is loaded without asking anybody."""
    cache_dir: Path | None = None
    """Where fetched models are kept; None: where FastEmbed keeps them (`$FASTEMBED_CACHE_PATH`)."""
    workers: int = 1
    """Threads that embed, each on one core."""
    batch_size: int = 32
    """Texts in one turn of a worker."""

    _processes: dict[int, _Process] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look whether FastEmbed knows the model."""
        try:
            fastembed.TextEmbedding.get_embedding_size(self.model)
        except ValueError as error:
            raise ValueError(
                f"model is none of FastEmbed's, {self.model[:80]!r}: look at its list"
            ) from error

    @property
    def dimensions(self) -> int:
        """Of a vector, as FastEmbed lists it."""
        return int(fastembed.TextEmbedding.get_embedding_size(self.model))

    @property
    def at_once(self) -> int:
        """Calls that are computed at the same time: one in each worker."""
        return self.workers

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given.

        Raises:
            ModelUnavailable: the model cannot be fetched or loaded.
            Closed: after `aclose`.
        """
        return await self._made(texts, lambda model, batch: model.passage_embed(batch))

    async def embed_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `embed`, for texts that are to find others."""
        return await self._made(texts, lambda model, batch: model.query_embed(batch))

    async def aclose(self) -> None:
        """Let the model go, when what was asked for is done."""
        self._process().close()

    async def _made(self, texts: Sequence[str], make: Make) -> NDArray[np.float32]:
        import numpy as np

        parts = [np.empty((0, self.dimensions), np.float32)]
        for start in range(0, len(texts), self.batch_size):
            turn = self._process().submit(make, texts[start : start + self.batch_size])
            parts.append(await asyncio.wrap_future(turn))
        return np.concatenate(parts)

    def _process(self) -> _Process:
        """This process's own: threads and locks do not survive a fork, so a child makes new ones."""
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process(self))


Make = Callable[[fastembed.TextEmbedding, list[str]], Iterable[Any]]
"""What makes an array for each text, with a model."""


class _Process:
    """The threads and the model of one process."""

    def __init__(self, embedder: FastEmbedEmbedder) -> None:
        self._embedder = embedder
        self._loading = threading.Lock()
        self._model: fastembed.TextEmbedding | None = None
        self._closed = False
        self._threads = Threads("fastembed", embedder.workers)

    def submit(self, make: Make, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        if self._closed:
            raise Closed("This embedder was closed: make another one.")
        return self._threads.submit(self._vectors, make, texts)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._threads.close(self._forget)

    def _vectors(self, make: Make, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        made = np.array(list(make(self._loaded(), [_readable(text) for text in texts])), np.float32)
        if made.shape != (len(texts), self._embedder.dimensions) or not np.isfinite(made).all():
            raise ModelUnavailable(
                f"the model {self._embedder.model} gives other vectors than FastEmbed lists: look at `model_dir`"
            )
        return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12)  # type: ignore[no-any-return]  # numpy's stubs give Any

    def _loaded(self) -> fastembed.TextEmbedding:
        with self._loading:
            if self._model is None:
                self._model = _load(self._embedder)
            return self._model

    def _forget(self) -> None:
        self._model = None


def _load(embedder: FastEmbedEmbedder) -> fastembed.TextEmbedding:
    place: dict[str, Any] = (
        {} if embedder.model_dir is None else {"specific_model_path": str(embedder.model_dir)}
    )
    cache = None if embedder.cache_dir is None else str(embedder.cache_dir)
    try:
        return fastembed.TextEmbedding(embedder.model, cache_dir=cache, threads=1, **place)
    except Exception as error:  # whatever a download, a tokenizer and onnxruntime raise
        raise ModelUnavailable(
            f"the model {embedder.model} cannot be loaded ({type(error).__name__}): FastEmbed fetches it from its "
            "hub; without a way there, give a directory that has it as `model_dir`"
        ) from error


def _readable(text: str) -> str:
    """What a tokenizer accepts: bounded, and lone surrogates (which UTF-8 cannot hold) replaced."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")
