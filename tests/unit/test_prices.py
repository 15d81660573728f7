"""Prices are told with where and when they were seen."""

from __future__ import annotations

from datetime import date

import pytest

from perdure.observe.prices import price_of


@pytest.mark.parametrize(
    ("model", "dollars", "per"),
    [
        ("text-embedding-3-small", 0.02, "1M tokens"),
        ("text-embedding-3-large", 0.13, "1M tokens"),
        ("models/gemini-embedding-001", 0.15, "1M tokens"),
        ("rerank-v4.0-pro", 2.50, "1K searches"),
    ],
)
def test_a_price_has_its_unit_its_source_and_its_day(model, dollars, per):
    price = price_of(model)
    assert (price.dollars, price.per) == (dollars, per)
    assert price.source.startswith("https://")
    assert price.seen >= date(2026, 11, 21)


def test_a_model_whose_price_is_not_known_has_none():
    assert price_of("all-MiniLM-L6-v2-int8/1") is None
