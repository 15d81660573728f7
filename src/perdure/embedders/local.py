"""The embedding model that needs nothing: all-MiniLM-L6-v2, run in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from perdure.embedders.modelfiles import DIMENSIONS, MODEL, find_model
from perdure.errors import Closed, ModelUnavailable
from perdure.load import Load
from perdure.threads import LOADING, Threads

if TYPE_CHECKING:  # onnxruntime and numpy are loaded with the model
    import numpy as np
    from numpy.typing import NDArray

    from perdure.embedders.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class LocalEmbedder:
    """all-MiniLM-L6-v2 in this process: 384 dimensions, English above all, the first 256 tokens of a text.

    The model is loaded at first use, once for each process, and runs in threads of its own. A text gets the
    same vector in whatever company it is embedded.
    """

    model_dir: Path | None = None
    """Where the model lies; None: in the package or in the cache (see `modelfiles.find_model`)."""
    workers: int = 2
    """Threads that embed, each on one core: a text is too small to be shared between cores."""
    batch_size: int = 64
    """Texts in one turn of a worker: a long list uses one worker, and gives way to others after each turn."""

    _processes: dict[int, _Process] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def model(self) -> str:
        """Name and version: vectors of different models are never compared."""
        return MODEL

    @property
    def dimensions(self) -> int:
        """Of a vector: 384."""
        return DIMENSIONS

    @property
    def nearness(self) -> float:
        """Of a text and what it is about: a difference of cosines.

        At .10 every sixth sentence about nothing seems to be about something, from .16 on a third of those that are
        seem not to be (the sentences are in `tests/unit/test_categories.py`).
        """
        return 0.12

    @property
    def at_once(self) -> int:
        """Calls that are computed at the same time: one in each worker."""
        return self.workers

    def loads(self) -> dict[str, Load]:
        """Of the threads that embed."""
        return {"threads": self._process().load()}

    async def load(self) -> None:
        """Load the model now rather than at first use.

        Raises:
            ModelUnavailable: it is missing or damaged.
            Closed: after `aclose`.
        """
        await asyncio.wrap_future(self._process().submit(()))

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), 384)`, rows of unit length, in the order given.

        Raises:
            ModelUnavailable: the model is missing or damaged.
            Closed: after `aclose`.
        """
        import numpy as np  # with the model

        parts = [np.empty((0, DIMENSIONS), np.float32)]
        for start in range(0, len(texts), self.batch_size):
            turn = self._process().submit(texts[start : start + self.batch_size])
            parts.append(await asyncio.wrap_future(turn))
        return np.concatenate(parts)

    async def aclose(self) -> None:
        """Let the model go, when what was asked for is done."""
        self._process().close()

    def _process(self) -> _Process:
        """This process's own: threads and locks do not survive a fork, so a child makes new ones."""
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process(self))


class _Process:
    """The threads and the model of one process."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self._loading = threading.Lock()
        self._encoder: Encoder | None = None
        self._closed = False
        self._threads = Threads("embed", embedder.workers)

    def submit(self, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        if self._closed:
            raise Closed("This embedder was closed: make another one.")
        return self._threads.submit(self._encode, texts)

    def load(self) -> Load:
        return self._threads.load()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._threads.close(self._forget)  # after what was submitted, which still needs the model

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._loaded().encode(texts)

    def _loaded(self) -> Encoder:
        with self._loading:
            if self._encoder is None:
                self._encoder = _load(self._embedder)
            return self._encoder

    def _forget(self) -> None:
        self._encoder = None


def _load(embedder: LocalEmbedder) -> Encoder:
    directory = find_model(embedder.model_dir)
    try:
        with LOADING:
            from perdure.embedders.encoder import Encoder  # loads onnxruntime

            return Encoder.load(directory)
    except ImportError as error:
        raise ModelUnavailable(
            f"The embedding model cannot run here: {error}. Run `pip install onnxruntime tokenizers`."
        ) from error
    except Exception as error:  # both libraries raise bare Exceptions
        raise ModelUnavailable(
            f"The embedding model in {directory} was refused: {error}. Run `make model` in a checkout, "
            "or reinstall perdure; onnxruntime has to be 1.17 or newer."
        ) from error
