"""The cross-encoders of FastEmbed, run in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perdure.errors import Closed, ModelUnavailable, Unavailable
from perdure.onnx import onnxruntime as _before_fastembed  # noqa: F401  # so that it reports to nobody
from perdure.rerankers.scores import placed, sigmoid
from perdure.threads import Threads

from fastembed.rerank.cross_encoder import TextCrossEncoder  # isort: skip  # which loads it


@dataclass(frozen=True, kw_only=True)
class FastEmbedReranker:
    """A cross-encoder that FastEmbed knows, fetched from its hub at first use unless `model_dir` has it.

    It runs in a thread of its own. With `pip install 'perdure[fastembed]'`.
    """

    model: str
    """The model's name, as FastEmbed lists it, such as `Xenova/ms-marco-MiniLM-L-6-v2`."""
    model_dir: Path | None = None
    """A directory with the model's files, from which it is loaded without asking anybody."""
    cache_dir: Path | None = None
    """Where fetched models are kept; None: where FastEmbed keeps them (`$FASTEMBED_CACHE_PATH`)."""
    top_k: int | None = None
    """How many results a search gives that it has judged, where the caller says no number; None: as all searches."""
    top_n: int | None = None
    """Another name of `top_k`."""
    workers: int = 1
    """Threads that judge, each on one core."""
    batch_size: int = 16
    """Texts that the model reads together."""
    max_chars: int = 4_000
    """Characters of a text, and of a question, that are read."""

    _processes: dict[int, _Process] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Look whether FastEmbed knows the model."""
        object.__setattr__(self, "top_k", self.top_n if self.top_k is None else self.top_k)  # not yet made
        known = {str(model["model"]).lower() for model in TextCrossEncoder.list_supported_models()}
        if self.model.lower() not in known:
            raise ValueError(
                f"model is none of FastEmbed's, {self.model[:80]!r}: there are {', '.join(sorted(known))}"
            )

    async def rerank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A relevance in 0..1 for each text.

        Raises:
            ModelUnavailable: the model cannot be fetched or loaded.
            Unavailable: `Closed` after `aclose`.
        """
        if not texts:
            return []
        scores = await asyncio.wrap_future(self._process().submit(query, texts))
        if (judged := placed(enumerate(map(sigmoid, scores)), len(texts))) is None:
            raise Unavailable(f"the model {self.model} did not judge each text: try again later")
        return judged

    async def aclose(self) -> None:
        """Let the model go, when what was asked for is done."""
        self._process().close()

    def _process(self) -> _Process:
        """This process's own: threads and locks do not survive a fork, so a child makes new ones."""
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process(self))


class _Process:
    """The threads and the model of one process."""

    def __init__(self, reranker: FastEmbedReranker) -> None:
        self._reranker = reranker
        self._loading = threading.Lock()
        self._model: TextCrossEncoder | None = None
        self._closed = False
        self._threads = Threads("rerank", reranker.workers)

    def submit(self, query: str, texts: Sequence[str]) -> Future[list[float]]:
        if self._closed:
            raise Closed("This reranker was closed: make another one.")
        return self._threads.submit(self._scores, query, texts)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._threads.close(self._forget)

    def _scores(self, query: str, texts: Sequence[str]) -> list[float]:
        model, most = self._loaded(), self._reranker.max_chars
        read = [_readable(text, most) for text in texts]
        judged = model.rerank(_readable(query, most), read, batch_size=self._reranker.batch_size)
        return [float(score) for score in judged]

    def _loaded(self) -> TextCrossEncoder:
        with self._loading:
            if self._model is None:
                self._model = _load(self._reranker)
            return self._model

    def _forget(self) -> None:
        self._model = None


def _load(reranker: FastEmbedReranker) -> TextCrossEncoder:
    place: dict[str, Any] = (
        {} if reranker.model_dir is None else {"specific_model_path": str(reranker.model_dir)}
    )
    cache = None if reranker.cache_dir is None else str(reranker.cache_dir)
    try:
        return TextCrossEncoder(reranker.model, cache_dir=cache, threads=1, **place)
    except Exception as error:  # whatever a download, a tokenizer and onnxruntime raise
        raise ModelUnavailable(
            f"the model {reranker.model} cannot be loaded ({type(error).__name__}): FastEmbed fetches it from its "
            "hub; without a way there, give a directory that has it as `model_dir`"
        ) from error


def _readable(text: str, most: int) -> str:
    """What a tokenizer accepts: bounded, and lone surrogates (which UTF-8 cannot hold) replaced."""
    return text[:most].encode("utf-8", "replace").decode("utf-8")
