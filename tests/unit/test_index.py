"""The growing index: however rows arrived, it answers as if it had been built from those that are alive."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.columns import Column, Postings
from perdure.engine.index import PartitionIndex
from perdure.engine.rank import rank
from perdure.engine.words import analyze, read_query
from perdure.ports import EntryRow

DIMENSIONS = 4
DAY = datetime(2023, 5, 8, tzinfo=UTC)
TEXTS = (
    "I adopted a puppy named Coco",
    "What did you adopt?",
    "The puppy likes the beach",
    "We moved to Berlin last year",
    "Der Hund ist nicht mit uns nach Berlin gezogen",
    "",
)
QUERIES = ("When did Ann adopt the puppy?", "Berlin", "a dog at the beach")


def entry(
    ord: int,
    text: str,
    *,
    id: str | None = None,
    place: int | None = None,
    session: str = "s",
    speaker: str = "Ann",
    pieces: int = 1,
    expires_at: int | None = None,
) -> EntryRow:
    """A row as a store would give it; vectors are made up, the same for the same text."""
    words = analyze(text, speaker=speaker, said_at=DAY)
    random = np.random.default_rng(len(text))
    vectors = random.normal(size=(pieces, DIMENSIONS))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    return EntryRow(
        ord=ord,
        id=id or f"m{ord}",
        place=place,
        session=session,
        speaker=speaker,
        role="user",
        words=words.words,
        speaker_words=words.speaker,
        date_words=words.date,
        flags=words.flags,
        vectors=vectors.tobytes(),
        valid_from=None,
        valid_to=None,
        expires_at=expires_at,
        said_at=0,
    )


def built(*rows: EntryRow, dead: Sequence[int] = ()) -> PartitionIndex:
    index = PartitionIndex(DIMENSIONS)
    index.apply(rows, dead, head=len(rows))
    return index


def answers(index: PartitionIndex) -> list[dict[str, float]]:
    """How strong the index finds each memory for a few queries, by words alone and with a vector."""
    vectors = (None, np.array([0.5, -0.5, 0.5, 0.5], np.float32))
    found = [rank(index, read_query(query), vector, limit=999) for query in QUERIES for vector in vectors]
    return [
        {index.ids[row]: float(strength) for row, strength in zip(ranked.rows, ranked.strengths, strict=True)}
        for ranked in found
    ]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[list[EntryRow], list[int]]]:
    """Steps of a partition's life: rows that come, with updates of earlier ones, and `ord`s that go."""
    steps: list[tuple[list[EntryRow], list[int]]] = []
    alive: dict[int, EntryRow] = {}
    newest = 0
    for _ in range(draw(st.integers(1, 6))):
        rows: list[EntryRow] = []
        dead: list[int] = []
        for _ in range(draw(st.integers(0, 40))):
            newest += draw(st.integers(1, 3))
            text, speaker = draw(st.sampled_from(TEXTS)), draw(st.sampled_from(("Ann", "Bo")))
            place = draw(st.none() | st.integers(0, 30))
            row = entry(
                newest,
                text,
                place=place,
                session=draw(st.sampled_from("ab")),
                speaker=speaker,
                pieces=draw(st.integers(0, 2)),
            )
            if alive and draw(st.booleans()):
                old = alive.pop(draw(st.sampled_from(sorted(alive))))
                dead.append(old.ord)
                row = row._replace(id=old.id, place=old.place, session=old.session)
            rows.append(row)
            alive[newest] = row
        for gone in draw(st.lists(st.sampled_from(sorted(alive)), max_size=30, unique=True)) if alive else []:
            del alive[gone]
            dead.append(gone)
        steps.append((rows, dead))
    return steps


@given(histories())
def test_a_grown_index_answers_like_one_built_from_the_rows_alive(
    steps: list[tuple[list[EntryRow], list[int]]],
) -> None:
    grown = PartitionIndex(DIMENSIONS)
    alive: dict[int, EntryRow] = {}
    for head, (rows, dead) in enumerate(steps):
        grown.apply(rows, dead, head=head)
        alive |= {row.ord: row for row in rows}
        for gone in dead:
            alive.pop(gone)
    fresh = built(*alive.values())
    assert len(grown) == len(alive)
    for one, other in zip(answers(grown), answers(fresh), strict=True):
        assert one == pytest.approx(other, abs=1e-5), "to the last bits of a product"


@given(st.lists(st.lists(st.integers(0, 5), max_size=8), max_size=12), st.sampled_from((0, 3, 8192)))
def test_postings_find_each_row_with_its_count(rows: list[list[int]], tail: int) -> None:
    postings = Postings(tail=(tail, tail))
    for number, tokens in enumerate(rows):
        postings.extend(np.array(tokens, np.uint64), np.full(len(tokens), number, np.int32))
    for token in range(6):
        _, found, times = postings.find(np.array([token], np.uint64))
        expected = {number: tokens.count(token) for number, tokens in enumerate(rows) if token in tokens}
        assert dict(zip(found.tolist(), times.tolist(), strict=True)) == expected


@given(st.lists(st.lists(st.integers(-9, 9))))
def test_a_column_is_the_concatenation_of_what_it_got(parts: list[list[int]]) -> None:
    column: Column[np.int32] = Column(np.int32)
    for part in parts:
        column.extend(np.array(part, np.int32))
    assert column.values.tolist() == [value for part in parts for value in part]


def test_rows_that_are_known_already_are_passed_over() -> None:
    index = built(entry(1, "puppy"), entry(2, "beach"))
    index.apply([entry(2, "beach"), entry(3, "Berlin")], head=3)
    assert index.ids == ["", "m1", "m2", "m3"]
    assert index.head == 3


def test_unknown_ords_among_the_dead_are_passed_over() -> None:
    index = built(entry(4, "puppy"), dead=[0, 3, 9])
    assert len(index) == 1


def test_a_new_version_takes_the_place_of_the_old_one_between_its_neighbours() -> None:
    index = built(*(entry(n, "puppy", place=n) for n in (1, 2, 3)))
    index.apply([entry(4, "beach", id="m2", place=2)], [2], head=4)
    assert (index.next.values[1], index.next.values[4], index.next.values[3]) == (4, 3, 0)
    assert (index.previous.values[3], index.previous.values[4], index.previous.values[1]) == (4, 1, 0)


def test_a_retired_row_lends_no_evidence_to_its_neighbours() -> None:
    index = built(entry(1, "We met Coco", place=1), entry(2, "So nice", place=2))
    assert rank(index, read_query("Coco")).strengths.tolist()[1] > 0
    index.apply([], [1], head=3)
    assert rank(index, read_query("Coco")).strengths.tolist() == [0]


def test_an_expired_row_is_visible_only_when_asked_for() -> None:
    index = built(entry(1, "puppy", expires_at=10), entry(2, "beach"))
    assert index.visible(10).tolist() == [False, False, True]
    assert index.visible(9).tolist() == [False, True, True]
    assert index.visible(10, expired=True).tolist() == [False, True, True]


@pytest.mark.parametrize(("as_of", "seen"), [(4, False), (5, True), (7, True), (8, False)])
def test_as_of_sees_what_was_true_then(as_of: int, *, seen: bool) -> None:
    index = built(entry(1, "puppy")._replace(valid_from=5, valid_to=8))
    assert index.visible(100, as_of=as_of).tolist() == [False, seen]
    assert index.visible(100).tolist() == [False, False]
    assert index.visible(100, superseded=True).tolist() == [False, True]


def test_a_row_has_the_best_cosine_of_its_pieces_and_none_without_vectors() -> None:
    index = PartitionIndex(2)
    pieces = np.array([[1, 0], [0, 1]], "<f2").tobytes()
    index.apply([entry(1, "a")._replace(vectors=pieces), entry(2, "b")._replace(vectors=b"")], head=2)
    assert index.cosines(np.array([0.6, 0.8], np.float32))[1] == pytest.approx(0.8)
    assert np.isnan(index.cosines(np.array([0.6, 0.8], np.float32))[2])


def test_vectors_are_not_kept_without_a_model() -> None:
    index = PartitionIndex(None)
    index.apply([entry(1, "puppy")], head=1)
    assert not index.has_vectors
    assert len(rank(index, read_query("puppy"), np.ones(4, np.float32)).rows) == 1
