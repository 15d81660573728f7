"""The measures agree with values computed by hand, and files that cannot be read are refused by line."""

import asyncio
import json
from datetime import UTC, datetime
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidInput
from perdure.evaluate import Question, evaluate, read_conversations, read_longmemeval, read_questions
from perdure.evaluate.datasets import read_date
from perdure.evaluate.metrics import auc, ndcg, percentile, recall, reciprocal_rank
from perdure.evaluate.retrieval import Foreign, Searched, report

# --- measures ------------------------------------------------------------------------------------------------


def test_measures_of_a_ranking_agree_with_values_computed_by_hand():
    ranked, gold = ["x", "a", "y", "b", "z"], {"a", "b", "c"}
    assert recall(ranked, gold, 2) == pytest.approx(1 / 3)
    assert recall(ranked, gold, 10) == pytest.approx(2 / 3)
    ideal = 1 + 1 / log2(3) + 1 / 2
    assert ndcg(ranked, gold, 10) == pytest.approx((1 / log2(3) + 1 / log2(5)) / ideal)
    assert ndcg(ranked, gold, 2) == pytest.approx((1 / log2(3)) / (1 + 1 / log2(3)))
    assert reciprocal_rank(ranked, gold) == 0.5
    assert reciprocal_rank(["x"], gold) == 0.0


def test_the_area_under_the_curve_counts_ties_half():
    assert auc([3, 2], [1, 0]) == 1.0
    assert auc([1], [1]) == 0.5
    assert auc([2, 0], [1, 1]) == 0.5
    assert auc([], [1]) is None


def test_a_percentile_is_one_of_the_values():
    assert percentile([4, 1, 3, 2], 0.5) == 3
    assert percentile([1], 0.95) == 1
    assert percentile([], 0.5) is None


@given(st.lists(st.integers(0, 30), unique=True), st.sets(st.integers(0, 30), min_size=1))
def test_a_ranking_with_all_gold_first_is_perfect(others, gold):
    ranked = [*map(str, gold), *(str(item) for item in others if item not in gold)]
    wanted = set(map(str, gold))
    assert ndcg(ranked, wanted, 10) == pytest.approx(1)
    assert recall(ranked, wanted, 31) == 1
    assert reciprocal_rank(ranked, wanted) == 1


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_the_area_is_the_share_of_pairs_in_order(right, wrong):
    pairs = [(r > w) + 0.5 * (r == w) for r in right for w in wrong]
    assert auc(right, wrong) == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


def searched(category, gold, turns, *, kept=(), score=1.0):
    sessions = frozenset(turn[0] for turn in gold)
    return Searched(
        question=Question(
            id="q", conversation="c", text="?", category=category, turns=frozenset(gold), sessions=sessions
        ),
        scores={turn: score / rank for rank, turn in enumerate(turns, 1)},
        sessions=tuple(dict.fromkeys(turn[0] for turn in turns)),
        kept=frozenset(kept),
        top_score=score,
        seconds=0.002,
    )


def test_a_report_has_all_categories_and_leaves_out_what_has_no_answer():
    found = [
        searched("single", {"a1"}, ["a1", "b1"], kept=["a1"], score=0.9),
        searched("multi", {"a1", "b2"}, ["b1", "a1"], score=0.4),
        searched("adversarial", {"c1"}, ["a1"], score=0.2),
        searched("none", (), ["a1"], score=0.8),
    ]
    measured = report(found, [Foreign(top_score=0.3, answered=False), Foreign(top_score=0.1, answered=True)])
    assert (measured["questions"], measured["abstention"]) == (4, 1)
    assert measured["turn"]["all"]["n"] == 3
    assert measured["turn"]["all"]["R@10"] == pytest.approx((1 + 0.5 + 0) / 3, abs=1e-4)
    assert measured["turn"]["no_adversarial"]["R@10"] == 0.75
    assert measured["turn"]["multi"]["MRR"] == 0.5
    assert measured["session"]["multi"] == {"n": 1, "any@10": 1.0, "all@10": 1.0, "R@10": 1.0}
    assert measured["session"]["all"]["any@10"] == pytest.approx(2 / 3, abs=1e-4)
    assert "none" not in measured["turn"]
    assert measured["latency_ms"] == {"p50": 2.0, "p95": 2.0, "mean": 2.0}
    assert measured["foreign"] == {
        "n": 2,
        "auc": pytest.approx(5 / 6, abs=1e-4),
        "foreign_without_result": 0.5,
        "right_hits_kept": 0.5,
        "threshold_keeping_95": 0.2,  # the right hits score .9 and .2
        "foreign_below_it": 0.5,
    }


# --- files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-05-08", datetime(2024, 5, 8, tzinfo=UTC)),
        ("2024-05-08T14:03:00", datetime(2024, 5, 8, 14, 3, tzinfo=UTC)),
        ("2024-05-08T14:03:00+00:00", datetime(2024, 5, 8, 14, 3, tzinfo=UTC)),
        ("2024年05月08日", datetime(2024, 5, 8, tzinfo=UTC)),
        ("2024年05月08日 周三 14:03", datetime(2024, 5, 8, 14, 3, tzinfo=UTC)),
        ("2024/05/08 (Wed) 14:03", datetime(2024, 5, 8, 14, 3, tzinfo=UTC)),
        (None, None),
    ],
)
def test_dates_of_all_data_sets_are_read(text, expected):
    assert read_date(text) == expected


@pytest.mark.parametrize("text", ["soon", "2024-13-01", "2024年02月30日"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(InvalidInput):
        read_date(text)


CONVERSATION = {
    "conversation_id": "pond",
    "sessions": [
        {
            "session_id": "S1",
            "date": "2024-05-08",
            "turns": [
                {"turn_id": 1, "speaker": "Ida", "text": "The heron came back to the pond."},
                {"turn_id": 2, "speaker": "assistant", "text": "Lovely!", "time": "2024-05-08T09:00"},
            ],
        },
        {
            "session_id": "S2",
            "date": None,
            "turns": [{"turn_id": 3, "speaker": "Ida", "text": "I sold my bicycle."}],
        },
    ],
}
QUESTION = {
    "conversation_id": "pond",
    "question_id": "q1",
    "question": "Which bird was at the pond?",
    "category": "single",
    "evidence_turn_ids": [1],
    "evidence_session_ids": ["S1"],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conversation_id": None, "sessions": None}, "line 2: not of the form expected"),
        (
            {"sessions": [{"session_id": "S", "turns": [{"turn_id": 1, "speaker": "a"}]}]},
            "line 2: 'text' is missing",
        ),
        ({"sessions": [{"session_id": "S", "date": "soon", "turns": []}]}, "line 2: date='soon'"),
        ({"sessions": [CONVERSATION["sessions"][0]] * 2}, "line 2: two turns have one turn_id"),
    ],
)
def test_a_conversation_of_another_form_is_refused_with_its_line(change, message):
    with pytest.raises(InvalidInput, match=message):
        read_conversations([json.dumps(CONVERSATION), json.dumps(CONVERSATION | change)])


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5_000])
def test_json_that_no_parser_takes_is_refused_in_words(text):
    with pytest.raises(InvalidInput, match="line 2: not JSON"):
        read_conversations(["", text])
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_longmemeval(text)


def test_a_line_that_is_not_json_is_named():
    with pytest.raises(InvalidInput, match="line 3: not JSON"):
        read_questions([json.dumps(QUESTION), "", "{"])


LONG = {
    "question_id": "q7",
    "question_type": "single-session-user",
    "question": "Which bird was at the pond?",
    "answer": "a heron",
    "question_date": "2024/06/01 (Sat) 02:21",
    "haystack_session_ids": ["answer_1", "noise"],
    "haystack_dates": ["2024/05/08 (Wed) 09:00", "2024/05/09 (Thu) 09:00"],
    "haystack_sessions": [
        [
            {"role": "user", "content": "The heron came back.", "has_answer": True},
            {"role": "assistant", "content": "Oh."},
        ],
        [{"role": "user", "content": "I sold my bicycle."}],
    ],
    "answer_session_ids": ["answer_1"],
}


def test_longmemeval_gives_each_question_its_own_conversation():
    conversations, questions = read_longmemeval(json.dumps([LONG, LONG | {"question_id": "q8_abs"}]))
    assert [c.id for c in conversations] == ["q7", "q8_abs"]
    first, second = conversations[0].sessions
    assert (first.id, second.id, first.at) == ("answer_1", "noise", datetime(2024, 5, 8, 9, tzinfo=UTC))
    assert questions[0].turns == {first.turns[0].id}
    assert questions[0].sessions == {"answer_1"}
    assert questions[0].asked_at == datetime(2024, 6, 1, 2, 21, tzinfo=UTC)
    assert not questions[1].turns
    assert not questions[1].sessions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected LongMemEval's JSON"),
        ("[", "line 1: not JSON"),
        (json.dumps([LONG, {}]), "item 2: 'haystack_session_ids' is missing"),
        (json.dumps([LONG | {"haystack_dates": []}]), "item 1: .*differ in length"),
    ],
)
def test_longmemeval_of_another_form_is_refused(text, message):
    with pytest.raises(InvalidInput, match=message):
        read_longmemeval(text)


# --- the whole -----------------------------------------------------------------------------------------------


class Parrot:
    """Finds, of one user, whatever shares words with the query: newest first, scored by the share."""

    def __init__(self):
        self.held = []

    async def add(self, messages, *, user_id, run_id):
        results = []
        for message in messages:
            self.held.append((f"m{len(self.held)}", user_id, run_id, message))
            results.append({"id": self.held[-1][0]})
        return {"results": results}

    async def search(self, query, *, user_id, top_k, threshold, reference_date):
        words = set(query.lower().strip("?").split())
        found = []
        for memory_id, owner, _, message in self.held:
            shared = words & set(message["content"].lower().strip(".").split())
            if owner == user_id and len(shared) / len(words) >= (0.3 if threshold is None else threshold):
                found.append({"source_ids": [memory_id], "score": len(shared) / len(words)})
        return {"results": sorted(found, key=lambda one: -one["score"])[:top_k]}


def test_conversations_are_told_and_questions_asked_of_the_right_one():
    other = CONVERSATION | {"conversation_id": "hill", "sessions": CONVERSATION["sessions"][1:]}
    conversations = read_conversations([json.dumps(CONVERSATION), json.dumps(other)])
    questions = read_questions(
        [json.dumps(QUESTION), json.dumps(QUESTION | {"conversation_id": "elsewhere"})]
    )
    memory, seen = Parrot(), []
    measured = asyncio.run(
        evaluate(memory, conversations, questions, progress=lambda *step: seen.append(step))
    )
    assert measured["turn"]["all"] == {"n": 1, "R@5": 1.0, "R@10": 1.0, "NDCG@10": 1.0, "MRR": 1.0}
    assert measured["session"]["single"]["all@10"] == 1.0
    assert measured["not_asked"] == 1
    assert measured["add"]["turns"] == 4
    assert (measured["foreign"]["auc"], measured["foreign"]["foreign_without_result"]) == (1.0, 1.0)
    assert seen == [("add", 1, 3), ("add", 2, 3), ("add", 3, 3), ("ask", 1, 2), ("ask", 2, 2)]
    assert memory.held[0][3] == {
        "role": "user",
        "name": "Ida",
        "content": "The heron came back to the pond.",
        "timestamp": datetime(2024, 5, 8, tzinfo=UTC),
    }
    assert memory.held[1][3]["role"] == "assistant"
