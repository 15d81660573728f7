"""The embedding model that needs nothing: all-MiniLM-L6-v2, run by onnxruntime in this process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perdure.embedders.modelfiles import GRAPH, NAME, TOKENIZER, VERSION, find_model
from perdure.errors import Closed, ModelUnavailable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

DIMENSIONS: Final = 384
MAX_TOKENS: Final = 256
"""What the model was made for; the rest of a text is not seen."""
MAX_CHARACTERS: Final = 20_000
"""Far beyond what 256 tokens hold, so that a book is not tokenised for its first page."""
GROUP_TOKENS: Final = 192
"""Tokens run together: enough to fill the matrix kernels, few enough to stay in the core's own cache."""


@dataclass(frozen=True, kw_only=True)
class LocalEmbedder:
    """all-MiniLM-L6-v2 in this process: 384 dimensions, English above all, the first 256 tokens of a text.

    The model is loaded at first use, once for each process, and runs in threads of its own. A text gets the
    same vector in whatever company it is embedded.
    """

    model_dir: Path | None = None
    """Where the model lies; None: in the package or in the cache (see `modelfiles.find_model`)."""
    threads: int = 1
    """Cores that one run uses."""
    workers: int = 1
    """Runs at the same time."""
    batch_size: int = 64
    """Texts in one turn of a worker: a long list gives way to others after each."""

    _processes: dict[int, _Process] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def model(self) -> str:
        return f"{NAME}/{VERSION}"

    @property
    def dimensions(self) -> int:
        return DIMENSIONS

    async def load(self) -> None:
        """Load the model now instead of at first use.

        Raises:
            ModelUnavailable: it is missing or damaged.
        """
        await self._submit(())

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), 384)`, rows of unit length, in the order given.

        Raises:
            ModelUnavailable: the model is missing or damaged.
            Closed: after `aclose`.
        """
        import numpy as np

        slices = [texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size)]
        parts = [await self._submit(part) for part in slices]
        return np.concatenate(parts) if parts else np.zeros((0, DIMENSIONS), np.float32)

    async def aclose(self) -> None:
        """Let the model go; what runs is finished."""
        self._process().close()

    async def _submit(self, texts: Sequence[str]) -> NDArray[np.float32]:
        process = self._process()
        return await asyncio.wrap_future(process.submit(texts))

    def _process(self) -> _Process:
        """This process's own: threads and locks do not survive a fork, a child makes new ones."""
        pid = os.getpid()
        return self._processes.get(pid) or self._processes.setdefault(pid, _Process(self))


class _Process:
    """One process's threads and model."""

    def __init__(self, embedder: LocalEmbedder) -> None:
        self._embedder = embedder
        self._loading = threading.Lock()
        self._model: _Model | None = None
        self._executor = ThreadPoolExecutor(embedder.workers, thread_name_prefix="perdure-embed")

    def submit(self, texts: Sequence[str]) -> Future[NDArray[np.float32]]:
        try:
            return self._executor.submit(self._run, texts)
        except RuntimeError as error:  # how an executor says that it was shut down
            raise Closed("This embedder was closed: make another one.") from error

    def close(self) -> None:
        self._executor.shutdown(wait=False)
        self._model = None

    def _run(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._loaded().embed(texts)

    def _loaded(self) -> _Model:
        with self._loading:
            if self._model is None:
                self._model = _Model.load(self._embedder)
            return self._model


@dataclass(frozen=True)
class _Model:
    """Text to tokens to vectors, on the calling thread."""

    tokenizer: Tokenizer
    session: InferenceSession

    @classmethod
    def load(cls, embedder: LocalEmbedder) -> _Model:
        directory = find_model(embedder.model_dir)
        try:
            return cls(_tokenizer(directory / TOKENIZER), _session(directory / GRAPH, embedder.threads))
        except ImportError as error:
            raise ModelUnavailable(
                f"The embedding model cannot run here ({error}). Run `pip install onnxruntime tokenizers`."
            ) from error
        except Exception as error:  # both libraries raise many kinds, bare Exception among them
            raise ModelUnavailable(
                f"The embedding model in {directory} was refused ({error}). "
                "Run `make model` in a checkout, or reinstall perdure; onnxruntime must be 1.17 or newer."
            ) from error

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        tokens = [self.tokenizer.encode(_readable(text)).ids for text in texts]
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for group in _groups([len(ids) for ids in tokens]):
            vectors[group] = self._run([tokens[index] for index in group])
        return vectors

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Tokens of several texts, padded with 0, which the graph leaves out, to vectors."""
        import numpy as np

        padded = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        vectors: NDArray[np.float32] = self.session.run(None, {"tokens": padded})[0]
        return vectors


def _tokenizer(path: Path) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _session(path: Path, threads: int) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work shares the cores
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _readable(text: str) -> str:
    """What the tokenizer accepts: bounded, and lone surrogates (which UTF-8 cannot hold) replaced."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indexes of texts to run together: of like length, so that little is padded, and of bounded size."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[index] * (len(group) + 1) > GROUP_TOKENS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
