"""An embedder that counts letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class LetterEmbedder:
    """How often each of some letters is in a text; texts without any of them are all alike."""

    letters: str = "abcdefghijklmnopqrstuvwxyz"
    """The letters that are counted, each a dimension."""

    @property
    def model(self) -> str:
        """Another name for other letters: vectors of different models are never compared."""
        return f"letters-{self.letters}/1"

    @property
    def dimensions(self) -> int:
        """One for each letter, and one for everything else."""
        return len(self.letters) + 1

    @property
    def at_once(self) -> int:
        """It computes in this process, one call at a time."""
        return 1

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given."""
        counts = np.ones((len(texts), self.dimensions), np.float32)
        for row, text in zip(counts, texts, strict=True):
            row[:-1] = [text.lower().count(letter) for letter in self.letters]
        unit: NDArray[np.float32] = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return unit

    async def aclose(self) -> None:
        """Nothing is held."""
