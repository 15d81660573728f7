"""What Perdure expects of every embedder."""

from __future__ import annotations

from perdure_letters import LetterEmbedder

from perdure.testing.embedders import EmbedderConformance


class TestLetters(EmbedderConformance):
    def make(self) -> LetterEmbedder:
        return LetterEmbedder()


def test_anagrams_are_the_same() -> None:
    assert (TestLetters().embedded("listen") == TestLetters().embedded("silent")).all()
