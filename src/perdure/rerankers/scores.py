"""Judgements of texts, put in the order of the texts: 0 to 1, and one for each."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp, isfinite


def placed(judged: Iterable[tuple[object, object]], count: int) -> list[float] | None:
    """The scores of `count` texts from pairs of place and score, in any order; None: there is not one for each.

    What is a little outside 0 to 1 is taken for the nearer end; what is no number is no score.
    """
    scores: dict[int, float] = {}
    for place, score in judged:
        if type(place) is not int or not 0 <= place < count or place in scores:
            return None
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not isfinite(score):
            return None
        scores[place] = min(1.0, max(0.0, float(score)))
    return [scores[place] for place in range(count)] if len(scores) == count else None


def sigmoid(logit: float) -> float:
    """A classifier's logit as a relevance, 0 to 1."""
    return 1 / (1 + exp(-logit)) if logit >= 0 else exp(logit) / (1 + exp(logit))
