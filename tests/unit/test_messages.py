"""What `hear` refuses: above all parts of a message that are not text, which a store has to hold as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.engine.messages import MAX_DEPTH, Heard, hear, json_copy
from perdure.errors import InvalidInput, TooLarge
from perdure.types import Scope

NOW = datetime(2025, 5, 1, tzinfo=UTC)
BOUND = 10_000


def heard(*parts: dict[Any, Any]) -> Heard:
    content = [{"type": "text", "text": "look at this"}, *parts]
    return hear(
        [{"role": "user", "content": content}], Scope(user_id="u"), now=NOW, said_at=NOW, max_bytes=BOUND
    )


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {"type": "image"}
    value["self"] = [value, value]
    return value


def test_an_attachment_is_kept_as_it_came_and_apart_from_the_callers() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/cat.png", "sizes": [1, 2.5, None]}}
    [turn] = heard(part).turns
    assert turn.attachments == (part,)
    part["type"] = "changed"
    assert turn.attachments[0]["type"] == "image_url"


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (circle(), "circle"),
        ({"deep": nested(5_000)}, "nests more than 100"),
        ({1: "a key that is no text"}, "texts as keys"),
        ({("a",): "a key that is no text"}, "JSON cannot"),
        ({"data": b"bytes"}, "JSON cannot"),
        ({"data": float("nan")}, "JSON cannot"),
        ({"data": 10**5000}, "64 bits"),
        ({"data": "\ud800"}, "surrogate"),
    ],
)
def test_an_attachment_that_json_cannot_hold_is_refused(part: dict[Any, Any], text: str) -> None:
    with pytest.raises(InvalidInput, match=rf"messages\[0\]\.content .*{text}"):
        heard(part)


def test_attachments_of_one_message_have_one_bound_together() -> None:
    half = {"data": "x" * (BOUND // 2)}
    assert heard(half).turns
    with pytest.raises(TooLarge, match="keep large files elsewhere and a reference here"):
        heard(half, half)


def test_the_bound_is_in_bytes() -> None:
    with pytest.raises(TooLarge):
        heard({"data": "é" * (BOUND // 2)})


def test_what_would_grow_without_end_is_refused_before_it_grows() -> None:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]  # as JSON, 2**99 brackets
    with pytest.raises(TooLarge):
        json_copy(value, "it", BOUND)


def test_the_greatest_depth_comes_back() -> None:
    assert json_copy(nested(MAX_DEPTH), "it", BOUND) == nested(MAX_DEPTH)
