"""What every embedder promises, as tests: inherit `EmbedderConformance`.

class TestMyEmbedder(EmbedderConformance):
    def make(self) -> MyEmbedder:
        return MyEmbedder()
"""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pytest

from perdure.ports import Calibrated, Embedder, InProcess, QueryEmbedder

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

TEXTS = ("I moved to Lisbon in May.", "我住在北京", "The kettle whistles 🫖", "¿Dónde está el faro?")
ODD = (
    "",
    " \n\t",
    "\ud800 alone",
    "\x00\x07",
    "a" * 50_000,
    "word " * 20_000,
    "漢" * 20_000,
    "👩‍👩‍👧‍👦" * 500,
)
"""Texts that people store: blank, not Unicode, not printable, endless."""


class EmbedderConformance:
    """The promises."""

    CLOSE = 1e-3
    """How far numbers may be apart where they should be the same; a service may be less exact than that."""

    def make(self) -> Embedder:
        """A new embedder, which the test closes."""
        raise NotImplementedError

    def play(self, scenario: Callable[[Any], Awaitable[T]]) -> T:
        """Run a scenario with an embedder."""

        async def run() -> T:
            embedder = self.make()
            try:
                return await scenario(embedder)
            finally:
                await embedder.aclose()

        return asyncio.run(run())

    def embedded(self, *texts: str) -> NDArray[np.float32]:
        """The vectors of a new embedder, looked at."""

        async def scenario(embedder: Embedder) -> NDArray[np.float32]:
            made = await embedder.embed(texts)
            _look_at(made, texts, embedder.dimensions)
            return made

        return self.play(scenario)

    def test_it_is_a_frozen_dataclass_so_that_its_fields_are_its_options(self) -> None:
        kind = type(self.make())
        assert is_dataclass(kind)
        assert vars(kind)["__dataclass_params__"].frozen

    def test_it_tells_its_model_and_its_dimensions(self) -> None:
        embedder = self.make()
        assert isinstance(embedder.model, str)
        assert embedder.model.strip()
        assert isinstance(embedder.dimensions, int)
        assert embedder.dimensions > 0

    def test_each_text_has_a_vector_of_unit_length(self) -> None:
        self.embedded(*TEXTS)

    def test_no_texts_have_no_vectors(self) -> None:
        self.embedded()

    def test_the_order_is_that_of_the_texts(self) -> None:
        forth, back = self.embedded(*TEXTS), self.embedded(*TEXTS[::-1])
        assert np.allclose(forth, back[::-1], atol=self.CLOSE)

    def test_a_text_has_the_same_vector_in_any_company(self) -> None:
        together = self.embedded(*TEXTS, *TEXTS)
        assert np.allclose(together[: len(TEXTS)], together[len(TEXTS) :], atol=self.CLOSE)
        for place, text in enumerate(TEXTS):
            assert np.allclose(self.embedded(text)[0], together[place], atol=self.CLOSE)

    def test_different_texts_have_different_vectors(self) -> None:
        made = self.embedded(*TEXTS)
        assert (made @ made.T - np.eye(len(TEXTS))).max() < 1 - self.CLOSE

    @pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
    def test_odd_texts_have_vectors(self, text: str) -> None:
        assert np.allclose(self.embedded(TEXTS[0], text)[0], self.embedded(TEXTS[0])[0], atol=self.CLOSE)

    def test_many_texts_are_embedded_in_one_call(self) -> None:
        many = [f"Maya bought {number} lemons and {number + 1} limes" for number in range(300)]
        made = self.embedded(*many)
        for place in (0, 95, 96, 99, 100, 255, 256, 299):
            assert np.allclose(made[place], self.embedded(many[place])[0], atol=self.CLOSE)

    def test_calls_at_the_same_time_do_not_disturb_each_other(self) -> None:
        async def scenario(embedder: Embedder) -> list[NDArray[np.float32]]:
            return await asyncio.gather(*(embedder.embed([text]) for text in TEXTS * 3))

        made = self.play(scenario)
        alone = self.embedded(*TEXTS)
        assert all(
            np.allclose(vector[0], alone[place % len(TEXTS)], atol=self.CLOSE)
            for place, vector in enumerate(made)
        )

    def test_it_works_in_one_event_loop_after_another(self) -> None:
        embedder = self.make()
        first, second = (asyncio.run(_embed(embedder, TEXTS)) for _ in range(2))
        assert np.allclose(first, second, atol=self.CLOSE)
        asyncio.run(_close(embedder))

    def test_closing_twice_is_closing_once(self) -> None:
        async def scenario(embedder: Embedder) -> None:
            await embedder.embed(["a"])
            await embedder.aclose()

        self.play(scenario)

    def test_questions_are_embedded_as_texts_are(self) -> None:
        async def scenario(embedder: Embedder) -> None:
            if isinstance(embedder, QueryEmbedder):
                _look_at(await embedder.embed_queries(TEXTS), TEXTS, embedder.dimensions)
                _look_at(await embedder.embed_queries([]), [], embedder.dimensions)

        self.play(scenario)

    def test_what_it_tells_of_itself_is_in_bounds(self) -> None:
        embedder: object = self.make()
        if isinstance(embedder, InProcess):
            assert embedder.at_once >= 1
        if isinstance(embedder, Calibrated):
            assert 0 < embedder.nearness < 2


async def _embed(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    return await embedder.embed(texts)


async def _close(embedder: Embedder) -> None:
    await embedder.aclose()


def _look_at(made: NDArray[np.float32], texts: Sequence[str], dimensions: int) -> None:
    assert made.shape == (len(texts), dimensions)
    assert made.dtype == np.float32
    assert np.allclose(np.linalg.norm(made, axis=1), 1, atol=1e-3)
