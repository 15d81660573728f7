"""The embedders of this package that need nothing keep every promise of the port; the others are tried beside theirs."""

from perdure.embedders.local import LocalEmbedder
from perdure.ports import Embedder
from perdure.testing.embedders import EmbedderConformance
from perdure.testing.fakes import HashEmbedder


class TestLocalEmbedder(EmbedderConformance):
    def make(self) -> Embedder:
        return LocalEmbedder()


class TestHashEmbedder(EmbedderConformance):
    def make(self) -> Embedder:
        return HashEmbedder()
