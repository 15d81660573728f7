"""Texts to vectors on the calling thread: a tokenizer and an ONNX graph; importing this loads onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from perdure.embedders.modelfiles import DIMENSIONS, GRAPH, MAX_TOKENS, TOKENIZER
from perdure.onnx import onnxruntime

MAX_CHARACTERS: Final = 20_000
"""Far more than 256 tokens hold, so that a book is not tokenised for its first page."""
GROUP_TOKENS: Final = 192
"""Tokens run together: enough to fill the matrix kernels, few enough to stay in the core's own cache."""


@dataclass(frozen=True)
class Encoder:
    """The loaded model."""

    tokenizer: Tokenizer
    session: onnxruntime.InferenceSession

    @classmethod
    def load(cls, directory: Path) -> Encoder:
        """Read the model's files; raises whatever the two libraries raise, bare `Exception` among it."""
        return cls(_tokenizer(directory / TOKENIZER), _session(directory / GRAPH))

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), 384)`, rows of unit length, in the order given."""
        # One by one: the tokenizer's own batches would use threads that nobody here has bounded.
        tokens = [self.tokenizer.encode(_readable(text)).ids for text in texts]
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for group in groups([len(ids) for ids in tokens]):
            vectors[group] = self._run([tokens[index] for index in group])
        return vectors

    def _run(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Vectors of texts that are padded to one length with zeros, which the graph leaves out."""
        padded = np.zeros((len(tokens), max(map(len, tokens))), np.int64)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        return cast("NDArray[np.float32]", self.session.run(None, {"tokens": padded})[0])


def groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indexes of texts to run together: of like length, so that little is padded, and of bounded size."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if group and lengths[index] * (len(group) + 1) > GROUP_TOKENS:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


def _readable(text: str) -> str:
    """What the tokenizer accepts: bounded, and lone surrogates (which UTF-8 cannot hold) replaced."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode("utf-8")


def _tokenizer(path: Path) -> Tokenizer:
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    # The caller's thread only. A pool would gain nothing at this size, and a forked child that inherits a
    # session with a pool hangs when it ends: it waits for threads that it does not have.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only, and those are raised
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
