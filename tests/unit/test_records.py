"""Records of an export: they come back as they were, and none is believed that says something else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from perdure.engine.records import MAX_BYTES, from_record, from_records, to_record
from perdure.errors import InvalidInput
from perdure.ports import Export, Job
from perdure.types import Change, Claim, Memory, Mention, Partition, Relation, Scope, Turn

WHEN = datetime(2025, 5, 1, 9, tzinfo=UTC)
ALICE = Partition("t", "user:alice")
SCOPE = Scope(user_id="alice", run_id="r", tenant="t")
TURN = Turn(
    id="m1",
    scope=SCOPE,
    role="user",
    text="I like figs",
    said_at=WHEN,
    recorded_at=WHEN,
    speaker="Alice",
    session="r",
    attachments=({"type": "image", "sizes": [1, None]},),
)
MEMORY = Memory(
    id="m1",
    text="I like figs since May",
    scope=SCOPE,
    said_at=WHEN,
    recorded_at=WHEN,
    kind="fact",
    role="assistant",
    speaker="Alice",
    session="r",
    sources=("m1",),
    categories=("food",),
    metadata={"x": [1, {"y": None}], "big": 2**63 - 1},
    mentions=(Mention(text="May", start=WHEN, end=WHEN),),
    origin="import",
    derived_by="rules 1",
    relations=(Relation(subject="Alice", relation="drinks", object="tea"),),
    claim=Claim(subject="Alice", attribute="drink", confirmed=2),
    salience=0.5,
    valid_from=WHEN,
    valid_to=WHEN,
    expires_at=WHEN,
    retired_at=WHEN,
    version=2,
    ord=7,
    place=3,
)
CHANGE = Change(
    seq=7,
    memory_id="m1",
    event="UPDATE",
    at=WHEN,
    old_text="a",
    new_text="b",
    actor="ann",
    reason="asked",
    write_id="w1",
)
JOB = Job(
    id="w1",
    partition=ALICE,
    kind="facts",
    turns=("m1", "m2"),
    made_at=WHEN,
    options={"prompt": "Only food."},
    attempts=2,
    error="no answer",
    answer="{",
    due_at=WHEN,
    given_up=True,
)
RECORDS = (TURN, MEMORY, CHANGE, JOB)
NOT_TOLD = {(Job, "partition"), (Job, "worker"), (Job, "leased_until")}


def record_of(record: Turn | Memory | Change | Job, **changed: object) -> dict[str, Any]:
    return {**to_record(Export(ALICE, record)), **changed}


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_comes_back_from_json_as_it_was(record: Turn | Memory | Change | Job) -> None:
    text = json.dumps(record_of(record))
    assert from_record(json.loads(text), "t", 1) == Export(ALICE, record)


def test_the_reader_decides_the_tenant() -> None:
    there = from_record(record_of(MEMORY), "other", 1)
    assert there.partition == Partition("other", "user:alice")
    assert isinstance(there.record, Memory)
    assert there.record.scope.tenant == "other"


def test_an_erased_turn_without_words_is_a_record() -> None:
    erased = replace(MEMORY, text="", erased_at=WHEN)
    assert from_record(record_of(erased), "t", 1).record == erased


@pytest.mark.parametrize("record", [TURN, MEMORY])
@pytest.mark.parametrize("owner", ["user:bob", "run:r", "alice", "", None, 5, "user:alice "])
def test_a_record_goes_to_nobody_but_the_owner_whom_its_scope_names(
    record: Turn | Memory, owner: object
) -> None:
    with pytest.raises(InvalidInput, match="line 3: owner"):
        from_record(record_of(record, owner=owner), "t", 3)


@pytest.mark.parametrize(
    "owner", ["alice", "", None, 5, "user:", "user: a", "user:a\n", "team:x", "user:" + "x" * 257]
)
@pytest.mark.parametrize("record", [CHANGE, JOB])
def test_a_change_and_a_job_name_an_owner_that_can_be(record: Change | Job, owner: object) -> None:
    with pytest.raises(InvalidInput, match="line 3: owner"):
        from_record(record_of(record, owner=owner), "t", 3)


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)
NO_TEXT = (5, ["a"], "a\0", "\ud800", "x" * (MAX_BYTES + 1))
NO_ID = (5, "", "a\nb", "x" * 257, "\ud800")
NO_MOMENT: tuple[object, ...] = (5, [], "soon", "2025-13-01")
NO_WHOLE = (0, -1, "x", 1.0, True, 10**30)
NO_CHOICE: tuple[object, ...] = ("zz", 5, [], "")
NO_OBJECT = (5, [1], {1: 2}, {"a": CIRCLE}, {"a": 2**64}, {"a": float("nan")})
REFUSED: list[tuple[Turn | Memory | Change | Job, str, tuple[object, ...]]] = [
    *((TURN, name, NO_TEXT) for name in ("text", "speaker")),
    *((TURN, name, NO_ID) for name in ("id", "session")),
    *((TURN, name, NO_MOMENT) for name in ("said_at", "recorded_at")),
    (TURN, "role", NO_CHOICE),
    (TURN, "attachments", (5, "abc", ["a"], *([value] for value in NO_OBJECT))),
    *((MEMORY, name, NO_TEXT) for name in ("text", "speaker", "derived_by")),
    *((MEMORY, name, NO_ID) for name in ("id", "session")),
    *((MEMORY, name, NO_MOMENT) for name in ("said_at", "recorded_at", "valid_from", "valid_to")),
    *((MEMORY, name, NO_MOMENT) for name in ("expires_at", "retired_at", "erased_at")),
    *((MEMORY, name, NO_CHOICE) for name in ("kind", "role", "origin")),
    *((MEMORY, name, NO_WHOLE) for name in ("version", "ord", "place")),
    (MEMORY, "metadata", NO_OBJECT),
    (MEMORY, "categories", (5, "abc", [5], ["\0"])),
    (MEMORY, "sources", (5, "abc", [5], [""])),
    (MEMORY, "mentions", (5, [5], [{}], [{"text": 5, "start": "2025", "end": "2025"}])),
    (MEMORY, "relations", (5, [5], [{}], [{"subject": 5, "relation": "b", "object": "c"}])),
    (MEMORY, "claim", (5, "a", {}, {"subject": "a", "attribute": "b", "confirmed": -1})),
    (MEMORY, "claim", ({"subject": 5, "attribute": "b", "confirmed": 0},)),
    (MEMORY, "salience", ("x", None, -0.1, 1.1, float("nan"), True)),
    (MEMORY, "scope", (5, {}, {"user_id": 5}, {"user_id": ""}, {"user_id": None}, {"user_id": "*"})),
    (MEMORY, "scope", ({"user_id": " alice"}, {"tenant": "zz", "user_id": "alice"}, {"team_id": "a"})),
    (CHANGE, "seq", NO_WHOLE),
    (CHANGE, "event", NO_CHOICE),
    (CHANGE, "at", NO_MOMENT),
    *((CHANGE, name, NO_ID) for name in ("memory_id", "write_id")),
    *((CHANGE, name, NO_TEXT) for name in ("old_text", "new_text", "actor", "reason")),
    *((JOB, name, NO_ID) for name in ("id", "kind")),
    *((JOB, name, NO_TEXT) for name in ("error", "answer")),
    *((JOB, name, NO_MOMENT) for name in ("made_at", "due_at")),
    (JOB, "turns", (5, "abc", [5], [""])),
    (JOB, "options", NO_OBJECT),
    (JOB, "attempts", (-1, "x", 1.0, True, 10**30)),
    (JOB, "given_up", (0, 1, "true", None, [])),
]


def test_every_field_is_examined() -> None:
    examined = {(type(record), name) for record, name, _ in REFUSED} | {(Turn, "scope")}
    known = {(type(record), field.name) for record in RECORDS for field in fields(record)}
    assert examined == known - NOT_TOLD


@pytest.mark.parametrize("kind", ["mine", "", 5, None, "FACTS"])
def test_a_job_that_nobody_can_do_is_refused_by_line(kind: object) -> None:
    with pytest.raises(InvalidInput, match="line 3: kind"):
        from_record(record_of(JOB, kind=kind), "t", 3)


def test_a_job_is_told_without_who_works_on_it() -> None:
    leased = replace(JOB, worker="one", leased_until=WHEN)
    assert record_of(leased) == record_of(JOB)
    assert record_of(JOB)["owner"] == "user:alice"


@pytest.mark.parametrize(
    ("record", "name", "values"), REFUSED, ids=lambda part: part if isinstance(part, str) else ""
)
def test_what_a_field_cannot_hold_is_refused_by_line_and_field(
    record: Turn | Memory | Change | Job, name: str, values: tuple[object, ...]
) -> None:
    for value in values:
        with pytest.raises(InvalidInput, match=f"line 3: {name}: "):
            from_record(record_of(record, **{name: value}), "t", 3)


def test_what_may_be_absent_may_be_null() -> None:
    loose = replace(MEMORY, place=None, speaker=None)
    assert from_record(record_of(loose, place=None, speaker=None), "t", 1).record == loose


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_needed_may_not_be_missing(record: Turn | Memory | Change | Job) -> None:
    plain = record_of(record)
    needed = {Change: "memory_id", Job: "turns"}.get(type(record), "text")
    del plain[needed]
    with pytest.raises(InvalidInput, match=f"line 3: {needed} is missing"):
        from_record(plain, "t", 3)


@pytest.mark.parametrize(
    "record", [None, 5, "x", [], {}, {"perdure": 2}, {"perdure": 1}, {"perdure": 1, "type": []}]
)
def test_what_is_no_record_is_refused_by_line(record: object) -> None:
    with pytest.raises(InvalidInput, match="line 3"):
        from_record(record, "t", 3)


def test_records_are_something_that_can_be_gone_through() -> None:
    given = [record_of(record) for record in RECORDS]

    async def later() -> AsyncIterator[object]:
        for record in given:
            yield record

    async def read(records: Any) -> list[object]:
        return [made.record async for made in from_records(records, "t")]

    for value in (None, 5):
        with pytest.raises(InvalidInput, match="records is a "):
            asyncio.run(read(value))
    for records in (given, iter(given), later()):
        assert asyncio.run(read(records)) == list(RECORDS)
