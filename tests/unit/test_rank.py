"""Ranking: what comes first and why, and that the arrays compute what the recipe says."""

from __future__ import annotations

from datetime import UTC, datetime
from math import log1p
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.index import PartitionIndex
from perdure.engine.rank import DEFAULT_THRESHOLD, WITH_VECTORS, WORDS_ONLY, Ranked, Ranking, Recipe, rank
from perdure.engine.words import analyze, read_query
from perdure.engine.words.analysis import SHORT_QUESTION, STANDING, TELLS_TIME
from perdure.ports import EntryRow

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = datetime(2023, 5, 8, tzinfo=UTC)
TEXTS = (
    "I adopted a puppy named Coco yesterday",
    "What did you adopt?",
    "The puppy likes the beach, always",
    "So nice!",
    "Ann moved to Berlin last year",
)
QUERIES = (
    "When did Ann adopt the puppy?",
    "Berlin 2023",
    "I am so happy that the dog is at the beach",
    "zebra",
)


def row(ord: int, text: str, *, speaker: str = "Ann", role: str = "user", session: str = "s") -> EntryRow:
    words = analyze(text, speaker=speaker, said_at=DAY)
    vector = np.array([len(text) % 3 - 1, len(text) % 5 - 2], "<f2") / 4
    return EntryRow(
        ord=ord,
        id=f"m{ord}",
        place=ord,
        session=session,
        speaker=speaker,
        role=role,
        words=words.words,
        speaker_words=words.speaker,
        date_words=words.date,
        flags=words.flags,
        vectors=vector.tobytes(),
        valid_from=None,
        valid_to=None,
        expires_at=None,
        said_at=int(DAY.timestamp() * 1e6),
    )


def indexed(*rows: EntryRow, dimensions: int | None = None) -> PartitionIndex:
    index = PartitionIndex(dimensions)
    index.apply(rows, head=len(rows))
    return index


def conversation(*texts: str) -> PartitionIndex:
    return indexed(*(row(number, text, speaker="AB"[number % 2]) for number, text in enumerate(texts, 1)))


def order(ranked: Ranked, index: PartitionIndex) -> list[str]:
    return [index.ids[found] for found in ranked.rows]


def oracle(
    rows: Sequence[EntryRow], text: str, vector: Sequence[float] | None, recipe: Recipe
) -> dict[str, float]:
    """The recipe, row by row and word by word, as it would be written on paper."""
    query = read_query(text)
    words = [np.frombuffer(r.words, "<u8").tolist() for r in rows]
    names = [np.frombuffer(r.speaker_words, "<u8").tolist() for r in rows]
    dates = [np.frombuffer(r.date_words, "<u8").tolist() for r in rows]

    def neighbour(i: int, offset: int) -> int | None:
        same = [j for j, other in enumerate(rows) if other.session == rows[i].session]
        at = same.index(i) + offset
        return same[at] if 0 <= at < len(same) else None

    def saturated(times: float, i: int) -> float:
        k = recipe.k1 * (1 - recipe.b + recipe.b * (len(words[i]) + 1) / recipe.usual_length)
        return times * (1 + recipe.k1) / (times + k) + recipe.presence if times else 0.0

    def credit(term: int, i: int, *, is_name: bool) -> float:
        times = words[i].count(term) + recipe.speaker * (term in names[i]) + recipe.date * (term in dates[i])
        found = [saturated(times, i)]
        for offset, share in recipe.offsets:
            j = neighbour(i, offset)
            if j is None or is_name:
                continue
            asked = offset == -1 and rows[j].flags & SHORT_QUESTION and rows[j].speaker != rows[i].speaker
            found.append((share + (recipe.answered if asked else 0)) * saturated(words[j].count(term), j))
        return max(found)

    terms = [hashes[0] for hashes in query.hashes([1])]
    holders = [sum(t in words[i] + names[i] + dates[i] for i in range(len(rows))) for t in terms]
    idf = [log1p((len(rows) - n + 0.5) / (n + 0.5)) for n in holders]
    weights = [value**recipe.idf_power for value in idf]
    weights = [weight * sum(idf) / sum(weights) for weight in weights]
    lexical = []
    for i in range(len(rows)):
        got = sum(
            weight * credit(t, i, is_name=any(t in name for name in names))
            for t, weight in zip(terms, weights, strict=True)
        )
        got *= 1 + recipe.named if any(t in names[i] for t in terms) else 1
        lexical.append(got / ((1 + recipe.k1) * sum(weights)))
    scores = list(lexical)
    if vector is not None:
        cosines = [float(np.dot(np.frombuffer(r.vectors, "<f2").astype(float), vector)) for r in rows]
        topic = recipe.topic_of_statement if query.is_statement else recipe.topic
        sessions = [[cosines[j] for j, o in enumerate(rows) if o.session == r.session] for r in rows]
        held = [c + topic * sum(group) / len(group) for c, group in zip(cosines, sessions, strict=True)]
        usual = sum(held) / len(held)
        own = [(h - usual) / max(max(held) - usual, recipe.spread) for h in held]
        weight = (
            recipe.meaning * (recipe.statement if query.is_statement else 1) * (1 + max(0, 1 - max(lexical)))
        )
        for i in range(len(rows)):
            previous, following = neighbour(i, -1), neighbour(i, 1)
            peak = max(0.0, *(own[j] for j, other in enumerate(rows) if other.session == rows[i].session))
            likeness = own[i] + recipe.meaning_session * peak
            likeness += recipe.meaning_previous * own[previous] if previous is not None else 0
            likeness += recipe.meaning_next * own[following] if following is not None else 0
            scores[i] += weight * likeness
    scores = [
        s - recipe.question * abs(s) if r.flags & SHORT_QUESTION else s
        for s, r in zip(scores, rows, strict=True)
    ]
    if query.asks_when:
        best = max(0.0, *scores)
        scores = [
            s + recipe.when * best if r.flags & TELLS_TIME and found > 0 else s
            for s, r, found in zip(scores, rows, lexical, strict=True)
        ]
    if query.first_person:
        scores = [
            s * (1 + recipe.own_words) if r.role == "user" else s for s, r in zip(scores, rows, strict=True)
        ]
        best = max(0.0, *scores)
        scores = [
            s + recipe.standing * best if r.role == "user" and r.flags & STANDING else s
            for s, r in zip(scores, rows, strict=True)
        ]
    return {r.id: s for r, s in zip(rows, scores, strict=True)}


@given(
    turns=st.lists(
        st.tuples(
            st.sampled_from(TEXTS),
            st.sampled_from(("Ann", "Bo")),
            st.sampled_from(("user", "assistant")),
            st.sampled_from("ab"),
        ),
        min_size=1,
        max_size=12,
    ),
    query=st.sampled_from(QUERIES),
    meant=st.booleans(),
)
def test_the_arrays_compute_the_recipe(
    turns: list[tuple[str, str, str, str]], query: str, *, meant: bool
) -> None:
    rows = [
        row(number, text, speaker=speaker, role=role, session=session)
        for number, (text, speaker, role, session) in enumerate(turns, 1)
    ]
    vector = [0.6, 0.8] if meant else None
    index = indexed(*rows, dimensions=2)
    ranked = rank(index, read_query(query), np.array(vector, np.float32) if vector else None, limit=99)
    expected = oracle(rows, query, vector, WITH_VECTORS if meant else WORDS_ONLY)
    found = dict(zip(order(ranked, index), ranked.strengths.tolist(), strict=True))
    assert found == pytest.approx(expected, abs=5e-4), "to the 16 bits of a vector's numbers"


def test_an_answer_is_found_by_the_words_of_the_question_before_it() -> None:
    index = conversation(
        "Hello there", "What did you name the puppy?", "Coco, after the singer", "That is lovely"
    )
    assert order(rank(index, read_query("What is the puppy called by name?")), index)[0] == "m3"


def test_a_named_speaker_is_preferred() -> None:
    index = indexed(
        row(1, "I love sailing", speaker="Bo"), row(2, "I love sailing", speaker="Ann", session="t")
    )
    assert order(rank(index, read_query("What does Bo love?")), index) == ["m1", "m2"]


def test_the_day_after_tells_of_the_day_that_is_asked_for() -> None:
    early = int(datetime(2023, 3, 1, tzinfo=UTC).timestamp() * 1e6)
    index = indexed(row(1, "We went sailing"), row(2, "We went sailing", session="t")._replace(said_at=early))
    assert order(rank(index, read_query("Who went sailing on 7.5.2023?")), index) == ["m1", "m2"]
    assert order(rank(index, read_query("Who went sailing on 28 Feb. 2023?")), index) == ["m2", "m1"]


def test_the_user_s_own_words_answer_the_user_s_own_question() -> None:
    index = indexed(row(1, "I use Flask", role="user"), row(2, "I use Flask", role="assistant", session="t"))
    assert order(rank(index, read_query("Do I use Flask?")), index) == ["m1", "m2"]


def test_of_equals_the_newer_comes_first() -> None:
    index = indexed(row(1, "Tea please", session="a"), row(2, "Tea please", session="b"))
    assert order(rank(index, read_query("tea")), index) == ["m2", "m1"]


def test_what_may_not_be_seen_lends_no_evidence_and_is_not_returned() -> None:
    index = conversation("We met Coco", "So nice", "Bye now")
    hidden = index.alive.values & (index.ords.values != 1)
    ranked = rank(index, read_query("Coco"), visible=hidden)
    assert sorted(order(ranked, index)) == ["m2", "m3"]
    assert ranked.strengths.tolist() == [0, 0]


def test_what_is_not_wanted_lends_evidence_but_is_not_returned() -> None:
    index = conversation("We met Coco", "So nice", "Bye now")
    ranked = rank(index, read_query("Coco"), wanted=index.mask([2]))
    assert order(ranked, index) == ["m2"]
    assert ranked.strengths[0] > 0


def test_what_is_meant_is_found_without_a_common_word() -> None:
    here, there = (np.array(vector, "<f2").tobytes() for vector in ((1, 0), (0, 1)))
    rows = row(1, "abc")._replace(vectors=here), row(2, "abcd", session="t")._replace(vectors=there)
    index = indexed(*rows, dimensions=2)
    assert order(rank(index, read_query("something else"), np.array([1, 0], np.float32)), index) == [
        "m1",
        "m2",
    ]
    assert order(rank(index, read_query("something else"), np.array([0, 1], np.float32)), index) == [
        "m2",
        "m1",
    ]


def test_a_question_about_nothing_in_the_store_scores_low() -> None:
    index = conversation(*TEXTS, *TEXTS)
    nothing = rank(index, read_query("Which zebra escaped from the circus?"))
    something = rank(index, read_query("When did he adopt the puppy Coco?"))
    assert nothing.scores[0] < DEFAULT_THRESHOLD < 0.5 < something.scores[0]


def test_scores_fall_along_the_ranking_within_0_and_1() -> None:
    ranked = rank(
        conversation(*TEXTS, *TEXTS), read_query("Did the puppy move to the beach at Berlin?"), limit=9
    )
    assert all(
        0 <= later <= earlier <= 1 for earlier, later in zip(ranked.scores, ranked.scores[1:], strict=False)
    )


def test_an_explanation_names_the_words_that_were_found() -> None:
    ranked = rank(conversation(*TEXTS), read_query("Coco in Berlin"))
    explained = ranked.explain(0)
    assert set(explained["words"]) == {"coco", "berlin"}
    assert explained["meaning"] is None
    assert explained["strength"] == pytest.approx(float(ranked.strengths[0]), abs=1e-3)


@pytest.mark.parametrize("query", ["", "the of", "?"])
def test_a_query_without_words_finds_nothing_in_particular(query: str) -> None:
    ranked = rank(conversation(*TEXTS), read_query(query), limit=2)
    assert len(ranked.rows) == 2
    assert ranked.strengths.tolist() == [0, 0]


def test_an_empty_index_has_no_answers() -> None:
    assert rank(PartitionIndex(2), read_query("puppy"), np.ones(2, np.float32)).rows.tolist() == []


def test_a_ranking_stands_until_its_index_changes_or_the_vector_is_not_what_was_expected():
    index = indexed(*(row(number, text) for number, text in enumerate(TEXTS, 1)), dimensions=2)
    rankings = {kind: Ranking(index, read_query(QUERIES[0]), with_vectors=kind) for kind in (True, False)}
    for kind, ranking in rankings.items():
        assert (ranking.stands(with_vectors=kind), ranking.stands(with_vectors=not kind)) == (True, False)
    index.apply([], [1], head=len(TEXTS) + 1)
    assert not any(ranking.stands(with_vectors=kind) for kind, ranking in rankings.items())
