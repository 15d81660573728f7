"""Measures of a ranking against the items that should be in it, and of scores that should differ."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from math import log2


def recall(ranked: Sequence[str], gold: AbstractSet[str], k: int) -> float:
    """The share of `gold` (not empty) among the first `k`."""
    return len(gold & set(ranked[:k])) / len(gold)


def ndcg(ranked: Sequence[str], gold: AbstractSet[str], k: int) -> float:
    """Normalised discounted cumulative gain of the first `k`, each of `gold` worth 1 (Järvelin & Kekäläinen 2002)."""
    gain = sum(1 / log2(rank + 1) for rank, item in enumerate(ranked[:k], 1) if item in gold)
    return gain / sum(1 / log2(rank + 1) for rank in range(1, min(len(gold), k) + 1))


def reciprocal_rank(ranked: Iterable[str], gold: AbstractSet[str]) -> float:
    """One over the rank of the first of `gold`; 0 when there is none."""
    return next((1 / rank for rank, item in enumerate(ranked, 1) if item in gold), 0.0)


def auc(right: Sequence[float], wrong: Sequence[float]) -> float | None:
    """How often a score of `right` is above one of `wrong`, ties counted half; None when either is empty.

    The area under the ROC curve, by the Mann-Whitney statistic.
    """
    if not right or not wrong:
        return None
    below = sorted(wrong)
    wins = sum(bisect_left(below, score) + bisect_right(below, score) for score in right) / 2
    return wins / (len(right) * len(wrong))


def mean(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which `share` (0 to 1) of the values lie, nearest rank; None of nothing."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None
