"""What every reranker promises, as tests: inherit `RerankerConformance`.

class TestMyReranker(RerankerConformance):
    def make(self) -> MyReranker:
        return MyReranker()
"""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import is_dataclass
from typing import Any, TypeVar

import pytest

from perdure.ports import Reranker, Shortens
from perdure.testing.embedders import ODD

T = TypeVar("T")


class RerankerConformance:
    """The promises."""

    CLOSE = 0.01
    """How far scores may be apart where they should be the same; a service may be less exact than that."""
    QUESTION = "Where did Maya move to"
    BEST = "Maya did move to Lisbon in May"
    OTHERS = ("The kettle whistles", "Tom asked to see the lighthouse", "我住在北京")
    """Texts that answer the question less well than the best one does."""

    def make(self) -> Reranker:
        """A new reranker, which the test closes."""
        raise NotImplementedError

    def play(self, scenario: Callable[[Any], Awaitable[T]]) -> T:
        """Run a scenario with a reranker."""

        async def run() -> T:
            reranker = self.make()
            try:
                return await scenario(reranker)
            finally:
                await reranker.aclose()

        return asyncio.run(run())

    def judged(self, *texts: str, question: str | None = None) -> list[float]:
        """The scores of a new reranker, looked at."""

        async def scenario(reranker: Reranker) -> list[float]:
            return await _judged(reranker, question or self.QUESTION, texts)

        return self.play(scenario)

    def test_it_is_a_frozen_dataclass_so_that_its_fields_are_its_options(self) -> None:
        kind = type(self.make())
        assert is_dataclass(kind)
        assert vars(kind)["__dataclass_params__"].frozen

    def test_the_best_text_has_the_best_score(self) -> None:
        scores = self.judged(*self.OTHERS, self.BEST)
        assert max(scores) == scores[-1]
        assert min(scores) < scores[-1]

    def test_no_texts_have_no_scores(self) -> None:
        assert self.judged() == []

    def test_the_order_is_that_of_the_texts(self) -> None:
        texts = (*self.OTHERS, self.BEST)
        assert self.judged(*texts) == pytest.approx(self.judged(*texts[::-1])[::-1], abs=self.CLOSE)

    def test_a_text_has_the_same_score_in_any_company(self) -> None:
        alone = [score for text in (*self.OTHERS, self.BEST) for score in self.judged(text)]
        assert self.judged(*self.OTHERS, self.BEST) == pytest.approx(alone, abs=self.CLOSE)

    @pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
    def test_odd_texts_have_scores(self, text: str) -> None:
        self.judged(self.BEST, text)

    def test_many_texts_are_judged_in_one_call(self) -> None:
        many = [f"{number} lemons" for number in range(120)]
        many[77] = self.BEST
        scores = self.judged(*many)
        assert scores.index(max(scores)) == 77

    def test_calls_at_the_same_time_do_not_disturb_each_other(self) -> None:
        async def scenario(reranker: Reranker) -> list[list[float]]:
            asked = ([self.BEST, *self.OTHERS], [*self.OTHERS, self.BEST])
            return await asyncio.gather(*(_judged(reranker, self.QUESTION, texts) for texts in asked * 3))

        made = self.play(scenario)
        for place, scores in enumerate(made):
            assert scores == pytest.approx(made[place % 2], abs=self.CLOSE)
        assert made[0][0] == pytest.approx(made[1][-1], abs=self.CLOSE)

    def test_it_works_in_one_event_loop_after_another(self) -> None:
        reranker = self.make()
        first, second = (asyncio.run(_judged(reranker, self.QUESTION, [self.BEST])) for _ in range(2))
        assert first == pytest.approx(second, abs=self.CLOSE)
        asyncio.run(_close(reranker))

    def test_closing_twice_is_closing_once(self) -> None:
        async def scenario(reranker: Reranker) -> None:
            await reranker.rerank(self.QUESTION, [self.BEST])
            await reranker.aclose()

        self.play(scenario)

    def test_what_it_tells_of_itself_is_in_bounds(self) -> None:
        reranker: object = self.make()
        if isinstance(reranker, Shortens):
            assert reranker.top_k is None or reranker.top_k >= 1


async def _judged(reranker: Reranker, question: str, texts: Sequence[str]) -> list[float]:
    scores = list(await reranker.rerank(question, texts))
    assert len(scores) == len(texts)
    assert all(0 <= score <= 1 for score in scores)
    return scores


async def _close(reranker: Reranker) -> None:
    await reranker.aclose()
