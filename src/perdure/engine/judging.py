"""A reranker's scores, believed only when there is one for each text."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.errors import Unavailable


def believed(scores: Sequence[float], count: int) -> list[float]:
    """The scores of `count` texts.

    Raises:
        Unavailable: there are more or fewer, or one is not from 0 to 1.
    """
    told = [float(score) for score in scores]
    if len(told) != count or not all(0 <= score <= 1 for score in told):  # a NaN is not
        raise Unavailable("the reranker did not give each text a score from 0 to 1: try again later")
    return told
