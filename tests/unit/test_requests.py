"""Arguments at their bounds: each is taken or refused in words, never with an error of Python's own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.engine import requests
from perdure.engine.messages import hear
from perdure.engine.scoping import scope_of
from perdure.errors import InvalidInput

NOW = datetime(2025, 5, 1, tzinfo=UTC)


def deep(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_metadata_nested_too_deeply_is_refused_in_words() -> None:
    assert requests.metadata(deep(100), 10_000) == deep(100)
    for depth in (101, 5_000):
        with pytest.raises(InvalidInput, match="metadata nests more than 100"):
            requests.metadata(deep(depth), 100_000)


def test_metadata_is_a_copy() -> None:
    given = {"tags": ["a"]}
    kept = requests.metadata(given, 100)
    given["tags"].append("b")
    assert kept == {"tags": ["a"]}


def test_an_id_of_thousands_of_digits_is_refused_in_words() -> None:
    assert scope_of("t", {"user_id": 17}).user_id == "17"
    for value in (10**5000, -(10**5000)):
        with pytest.raises(InvalidInput, match="user_id is a number of more than 255 digits"):
            scope_of("t", {"user_id": value})


def test_only_results_are_limited_not_what_is_passed_over() -> None:
    assert requests.count(5_000_000, "offset") == 5_000_000
    with pytest.raises(InvalidInput, match="limit=100001: give a number from 0 to 100,000"):
        requests.limit(None, 100_001, 10)


BEYOND = [-1, 2**63, 10**5000, -(10**5000), True, 1.5, "3", None]


@pytest.mark.parametrize("value", BEYOND, ids=range(len(BEYOND)))  # the large ones have no names
def test_what_no_store_can_count_to_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="offset="):
        requests.count(value, "offset")


class Secretive:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "value", [10**5000, "x" * 2_000_000, b"x" * 2_000_000, Secretive(), deep(5_000)], ids=range(5)
)
@pytest.mark.parametrize(
    "take",
    [
        lambda value: requests.limit(value, None, 10),
        lambda value: requests.limit(value, 3, 10),
        lambda value: requests.count(value, "offset"),
        lambda value: requests.threshold(value, 0.1),
        lambda value: requests.identifier([value]),
        lambda value: requests.file_path([value]),
        lambda value: requests.moment(value, "as_of"),
        lambda value: hear(
            {"role": value, "content": "x"},
            scope_of("t", {"user_id": "u"}),
            now=NOW,
            said_at=NOW,
            max_bytes=100,
        ),
    ],
    ids=["top_k", "both", "offset", "threshold", "memory_id", "path", "as_of", "role"],
)
def test_no_value_is_echoed_whole(take: Callable[[Any], object], value: object) -> None:
    with pytest.raises(InvalidInput) as told:
        take(value)
    assert len(str(told.value)) < 500


def test_a_home_that_nobody_has_is_no_place() -> None:
    with pytest.raises(InvalidInput, match="give the name of a file"):
        requests.file_path("~nobody-has-this-name/x")


@pytest.mark.parametrize("wrong", [10**400, 1e300, float("inf"), float("nan"), -1, True, "5", None])
def test_a_time_that_no_clock_counts_is_refused_in_words(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match=r"timeout=.*seconds"):
        requests.seconds(wrong, "timeout")


@pytest.mark.parametrize("wrong", [5, float("nan"), True, print, "01ARZ3NDEKTSV4RRFFQ69G5FAV", {"id": 1}])
def test_ids_of_memories_are_a_list(wrong: Any) -> None:
    with pytest.raises(InvalidInput, match="memory_ids is not a list: give a list"):
        requests.identifiers(wrong)
    with pytest.raises(InvalidInput, match="give the id of a memory"):
        requests.identifiers(["a", 5])
    assert requests.identifiers(["a ", "b"]) == {"a", "b"}
    assert requests.identifiers(None) is None
