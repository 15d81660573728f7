"""What becomes of a mem0 memory and its history, whatever is odd about them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure import AsyncMemory
from perdure.engine.records import from_record, to_record
from perdure.migrate.mem0.payloads import Said, plain, said, scope_in
from perdure.migrate.mem0.records import UNTOLD, Step, line, records, steps
from perdure.moments import micros
from perdure.types import Change, Memory, Scope, Turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "4f6a1c3e-0000-4000-8000-000000000001"
MAYA = Scope(user_id="maya")


def at(day: int) -> datetime:
    return datetime(2025, 1, day, 12, tzinfo=UTC)


def row(event: str, old: str | None, new: str | None, day: int | None, **more: Any) -> dict[str, Any]:
    """A line as the database of mem0 2.x has it."""
    times = {"created_at": at(1).isoformat(), "updated_at": at(day).isoformat()} if day else {}
    columns = {
        "id": f"{event}-{day}-{new}",
        "memory_id": ID,
        "event": event,
        "old_memory": old,
        "new_memory": new,
    }
    return {**columns, "is_deleted": int(event == "DELETE"), "near": None, **times, **more}


def course(payload: dict[str, Any], *rows: dict[str, Any]) -> list[Step]:
    return steps(ID, said(plain(payload)), [line(one) for one in rows], now=NOW)


def told(payload: dict[str, Any], *rows: dict[str, Any]) -> list[tuple[str, str | None, int]]:
    return [(step.event, step.text, step.at.day) for step in course(payload, *rows)]


ADDED, CHANGED = row("ADD", None, "tea", 1), row("UPDATE", "tea", "coffee", 2)
DELETED = row("DELETE", "coffee", None, 3)
COFFEE = {"data": "coffee", "created_at": at(1).isoformat(), "updated_at": at(2).isoformat()}


def test_a_history_becomes_versions_with_their_times():
    assert told(COFFEE, ADDED, CHANGED) == [("ADD", "tea", 1), ("UPDATE", "coffee", 2)]


def test_what_is_only_in_the_history_ends_deleted():
    assert told({}, ADDED, CHANGED, DELETED)[2:] == [("DELETE", None, 3)]


def test_without_a_history_the_payload_says_all():
    assert told({"data": "tea", "created_at": at(4).isoformat()}) == [("ADD", "tea", 4)]
    assert told(COFFEE) == [("ADD", "coffee", 1), ("UPDATE", "coffee", 2)]


def test_the_payload_is_right_about_how_it_is_now():
    payload = {"data": "cocoa", "updated_at": at(9).isoformat()}
    assert told(payload, ADDED, CHANGED)[2:] == [("UPDATE", "cocoa", 9)]
    assert told(payload, ADDED, CHANGED, DELETED)[3:] == [("RESTORE", "cocoa", 9)]
    assert course(payload, ADDED)[-1].reason == UNTOLD
    assert told({"data": "cocoa"}, ADDED, CHANGED)[2:] == [("UPDATE", "cocoa", 2)]


def test_a_line_that_stands_twice_happened_once():
    again = {**CHANGED, "id": "another"}
    assert told(COFFEE, ADDED, {**ADDED, "id": "x"}, CHANGED, again) == told(COFFEE, ADDED, CHANGED)
    later = row("DELETE", "coffee", None, 5)
    assert told({}, ADDED, CHANGED, DELETED, later) == told({}, ADDED, CHANGED, DELETED)


def test_a_text_that_is_known_as_the_old_one_alone_is_not_lost():
    assert told(COFFEE, CHANGED) == [("ADD", "tea", 1), ("UPDATE", "coffee", 2)]
    assert told({}, DELETED) == [("ADD", "coffee", 1), ("DELETE", None, 3)]
    assert told({}, ADDED, DELETED) == [("ADD", "tea", 1), ("UPDATE", "coffee", 3), ("DELETE", None, 3)]


def test_a_change_that_is_no_change_is_passed_over():
    assert (
        told({}, row("NONE", "tea", "tea", 2), row("ADD", None, None, 1), row("DELETE", None, None, 1)) == []
    )
    assert told(COFFEE, ADDED, row("UPDATE", "tea", None, 2), CHANGED) == told(COFFEE, ADDED, CHANGED)


def test_a_line_without_a_time_has_that_of_the_lines_before_it():
    timeless = row("DELETE", "tea", None, None, near=micros(at(7)))
    assert told({}, ADDED, timeless) == [("ADD", "tea", 1), ("DELETE", None, 7)]
    assert told({}, ADDED, {**timeless, "near": None}) == [("ADD", "tea", 1), ("DELETE", None, 1)]


def test_without_any_time_it_is_known_since_now():
    [only] = course({"data": "tea"})
    assert only.at == NOW


def test_no_version_is_before_the_one_before_it():
    assert told(COFFEE, row("ADD", None, "tea", 5, created_at=at(5).isoformat()), CHANGED) == [
        ("ADD", "tea", 5),
        ("UPDATE", "coffee", 5),
    ]


def test_columns_of_the_oldest_generation_are_understood():
    oldest = {
        "id": "1",
        "event": "add",
        "prev_value": None,
        "new_value": "tea",
        "timestamp": "2025-01-03 10:00:00",
    }
    assert told(
        {}, oldest, {**oldest, "id": "2", "event": "DELETE", "prev_value": "tea", "new_value": None}
    ) == [
        ("ADD", "tea", 3),
        ("DELETE", None, 3),
    ]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2024-07-20T08:30:36.435221-07:00", datetime(2024, 7, 20, 15, 30, 36, 435221, UTC)),
        ("2024-01-20T08:30:36-08:00", datetime(2024, 1, 20, 16, 30, 36, tzinfo=UTC)),
        ("2024-01-20T08:30:36.123456789Z", datetime(2024, 1, 20, 8, 30, 36, 123456, UTC)),
        ("2024-01-20 08:30:36", datetime(2024, 1, 20, 8, 30, 36, tzinfo=UTC)),
        (1705739436, datetime(2024, 1, 20, 8, 30, 36, tzinfo=UTC)),
        ("some day", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (10**400, None),
    ],
)
def test_times_are_read_as_mem0_wrote_them(written, meant):
    payload = plain({"data": "tea", "created_at": written})
    assert said(payload).created_at == meant
    assert ("created_at" in said(payload).metadata) == (meant is None and written is not None)


def test_what_has_a_place_here_is_put_there_and_the_rest_is_metadata():
    payload = {
        "data": "tea",
        "hash": "1",
        "text_lemmatized": "tea",
        "user_id": "maya",
        "app_id": "kitchen",
        "role": "AI",
        "actor_id": "Bot",
        "attributed_to": "assistant",
        "categories": ["drinks", "drinks", "home"],
        "expiration_date": "2030-01-01",
        "memory_type": "procedural_memory",
        "topic": {"deep": [1, None, {"er": True}]},
        "nothing": None,
    }
    found = said(plain(payload))
    assert (found.role, found.actor, found.categories) == ("assistant", "Bot", ("drinks", "home"))
    assert found.expires_at == datetime(2030, 1, 2, tzinfo=UTC) - timedelta(microseconds=1)
    kept = ("attributed_to", "memory_type", "topic")
    assert found.metadata == {name: payload[name] for name in kept}
    assert scope_in(payload, "t") == Scope(user_id="maya", app_id="kitchen", tenant="t")


def test_what_is_not_what_its_name_says_is_metadata_too():
    payload = {
        "data": "tea",
        "memory": "more",
        "user_id": ["a"],
        "role": "narrator",
        "actor_id": 5,
        "categories": "a",
    }
    found = said(plain(payload))
    assert found.metadata == {name: value for name, value in payload.items() if name != "data"}
    assert (found.role, found.actor, found.categories) == (None, None, ())
    assert scope_in(payload, "t") is None


@pytest.mark.parametrize(
    "nobody", [{}, {"user_id": None}, {"user_id": " "}, {"user_id": "*"}, {"user_id": True}]
)
def test_who_is_not_named_is_nobody(nobody):
    assert scope_in(nobody, "t") is None


def test_a_number_is_an_id():
    assert scope_in({"user_id": 7}, "t") == Scope(user_id="7", tenant="t")


def test_who_spoke_is_known_by_the_history_where_the_payload_does_not_say():
    made = records_of({}, row("ADD", None, "tea", 1, actor_id="Maya", role="assistant"), DELETED)
    turn = made[0]
    assert isinstance(turn, Turn)
    assert (turn.role, turn.speaker, turn.said_at) == ("assistant", "Maya", at(1))
    assert next(record.actor for record in made if isinstance(record, Change)) == "Maya"


def records_of(payload: dict[str, Any], *rows: dict[str, Any]) -> list[Any]:
    found = said(plain(payload))
    made = records(ID, found, course(payload, *rows), scope=MAYA, previous=None)
    return [export.record for export in made]


def test_a_session_goes_on_until_an_hour_of_silence():
    def turn(minute: int, previous: Turn | None) -> Turn:
        found = Said(text="tea", created_at=at(1) + timedelta(minutes=minute))
        name = f"{minute}"
        made = records(name, found, steps(name, found, [], now=NOW), scope=MAYA, previous=previous)
        record = made[0].record
        assert isinstance(record, Turn)
        return record

    first = turn(0, None)
    second = turn(50, first)
    assert [first.session, second.session, turn(120, second).session] == ["0", "0", "120"]


ANY = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=6,
)
TEXTS = st.sampled_from(["tea", "coffee", "", " ", "\0", "\ud83d", "茶"]) | st.none()
TIMES = st.sampled_from(
    [
        "2025-01-02T03:04:05Z",
        "2025-01-01T00:00:00.123456789-08:00",
        "never",
        "",
        None,
        0,
        1e12,
        10**30,
        "2026",
    ]
)
PAYLOADS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("data", "memory"), TEXTS | VALUES),
        **dict.fromkeys(("created_at", "updated_at", "expiration_date"), TIMES | VALUES),
        **dict.fromkeys(("role", "actor_id", "categories", "attributed_to", "other"), VALUES),
    },
)
ROWS = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["1", "2", "3", "", None]),
        "event": st.sampled_from(["ADD", "UPDATE", "DELETE", "NONE", None, "add"]),
        "old_memory": TEXTS,
        "new_memory": TEXTS,
        "created_at": TIMES,
        "updated_at": TIMES,
        "is_deleted": st.sampled_from([0, 1, None]),
        "near": st.none() | st.just(micros(at(5))),
        "actor_id": TEXTS,
        "role": TEXTS,
    }
)


@settings(ANY)
@given(PAYLOADS, st.lists(ROWS, max_size=6))
def test_whatever_stands_there_the_steps_make_sense(payload, rows):
    found = course(payload, *rows)
    text = said(plain(payload)).text
    assert found or text is None
    if found:
        assert (found[0].event, found[0].text is None) == ("ADD", False)
        assert text in (None, found[-1].text)
    assert len({step.write_id for step in found}) == len(found)
    for before, after in pairwise(found):
        assert before.at <= after.at
        assert (after.event == "DELETE") == (after.text is None)
        assert before.text is not None or after.event == "RESTORE"


@settings(ANY)
@given(PAYLOADS, st.lists(ROWS, max_size=6))
def test_whatever_stands_there_it_is_a_record_that_can_be_imported(payload, rows):
    found = course(payload, *rows)
    if not found:
        return
    made = records(ID, said(plain(payload)), found, scope=MAYA, previous=None)
    assert isinstance(made[0].record, Turn)
    for export in made:
        assert from_record(to_record(export), "default", 1) == export


@settings(ANY, max_examples=20)
@given(st.lists(st.tuples(PAYLOADS, st.lists(ROWS, max_size=6)), min_size=1, max_size=10))
def test_whatever_stands_there_a_store_tells_the_same_afterwards(tmp_path_factory, subjects):
    courses = {f"m{n}": course(payload, *rows) for n, (payload, rows) in enumerate(subjects)}
    exports = [
        export
        for (name, steps_), (payload, _) in zip(courses.items(), subjects, strict=True)
        if steps_
        for export in records(name, said(plain(payload)), steps_, scope=MAYA, previous=None)
    ]

    async def compare() -> None:
        path = tmp_path_factory.mktemp("store") / "memory.db"
        async with AsyncMemory({"path": path, "embedder": None}) as memory:
            await memory.import_records([to_record(export) for export in exports])
            assert (await memory.doctor())["problems"] == []
            for name, steps_ in courses.items():
                if steps_:
                    history = await memory.history(name)
                    assert [
                        (
                            one["event"],
                            one["new_memory"],
                            one["event_id"],
                            datetime.fromisoformat(one["updated_at"]),
                        )
                        for one in history
                    ] == [(step.event, step.text, step.write_id, step.at) for step in steps_]
            current = {name for name, steps_ in courses.items() if steps_ and steps_[-1].text is not None}
            listed = await memory.get_all(user_id="maya", show_expired=True)
            assert {one["id"] for one in listed["results"]} == current

    asyncio.run(compare())


def test_versions_end_where_the_next_begins():
    versions = [record for record in records_of({}, ADDED, CHANGED, DELETED) if isinstance(record, Memory)]
    assert [(one.version, one.recorded_at, one.retired_at) for one in versions] == [
        (1, at(1), at(2)),
        (2, at(2), at(3)),
    ]
