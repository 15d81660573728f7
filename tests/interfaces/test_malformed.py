"""Whatever a model answers, over real HTTP: no error reaches the caller, no turn is lost, the receipt is honest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure import Memory
from perdure.testing.models import Answer, Fault, ModelServer

SAID = "My parrot Coco speaks Portuguese and eats mangoes."
MOST_KEPT = 65_536
"""Characters of an unreadable answer that are kept."""
EXAMPLES = 400 if os.environ.get("PERDURE_SOAK") else 40
"""Random answers of each kind."""


def fact(text: str = "Coco speaks Portuguese.", **fields: Any) -> dict[str, Any]:
    """A fact with all its fields, as a good model writes it."""
    return {
        "text": text,
        "turns": [1],
        "subject": "Coco",
        "attribute": text.split(maxsplit=1)[-1] or "x",
        "from": None,
        "to": None,
        "categories": ["misc"],
        "action": "add",
        "memory": None,
    } | fields


def answer(*facts: Any, **fields: Any) -> str:
    return json.dumps({"facts": list(facts), "relations": []} | fields)


SPEAKS, EATS = fact(), fact("Coco eats mangoes.")
RELATION = {"subject": "Coco", "relation": "eats", "object": "mangoes", "fact": 2}
GOOD = answer(SPEAKS, EATS, relations=[RELATION])
BOTH = ["Coco speaks Portuguese.", "Coco eats mangoes."]


class Place:
    """A server of models and a memory that asks it; each use is another user's."""

    def __init__(self, server: ModelServer, path: Path, **options: Any) -> None:
        llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0, "rest": 0.0}
        config = {"path": str(path), "embedder": "hash", "llm": llm | options}
        self.server = server
        self.memory = Memory(config)
        self._users = count(1)

    def told(self, *answers: Answer) -> tuple[list[str] | None, list[str]]:
        """Say one thing, let the model answer like this, and look whether everything is in order.

        Returns:
            the texts of the facts that were learned, None when that is pending; and the reasons in the receipt.
        """
        user, memory = f"user-{next(self._users)}", self.memory
        self.server.answers(answers if len(answers) > 1 else answers[0])
        added = memory.add(SAID, user_id=user)
        receipt = added["receipt"]
        assert (receipt["stored"], receipt["skipped"], receipt["repeated"]) == (1, 0, False)
        hits = memory.search("What does the parrot speak?", user_id=user, threshold=0.0, limit=200)["results"]
        assert SAID in {
            text for hit in hits for text in (hit["memory"], *(s["text"] for s in hit["sources"]))
        }
        left = [job for job in memory.pending() if job["event_id"] == added["event_id"]]
        listed = memory.get_all(user_id=user, limit=1_000)["results"]
        assert len(receipt["pending"]) == len(left)
        learned = [result for result in added["results"] if result["event"] == "ADD"]
        if left:
            assert left[0]["turns"] == receipt["turns"]
            assert left[0]["error"]
            assert left[0]["error"] in receipt["pending"][0]
            assert learned == []
            assert [found["memory"] for found in listed] == [SAID]
            self.kept(answers, left[0]["answer"])
            return None, receipt["pending"]
        assert sorted(found["id"] for found in listed) == sorted(result["id"] for result in learned)
        assert all(found["source_ids"] == receipt["turns"] for found in listed)
        assert all(found["kind"] == "fact" for found in listed)
        reasons = [result["reason"] for result in added["results"] if "reason" in result]
        return [result["memory"] for result in learned], reasons

    @staticmethod
    def kept(answers: tuple[Answer, ...], found: str | None) -> None:
        """What a model said that nobody could read is kept for inspection, as far as any store can hold it."""
        last = answers[-1]
        if isinstance(last, Fault):
            return
        text = last if isinstance(last, str) else json.dumps(last, ensure_ascii=False)
        assert found is not None
        assert found == text[:MOST_KEPT].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ModelServer() as server:
        opened = Place(server, tmp_path_factory.mktemp("malformed") / "memory.db")
        yield opened
        assert opened.memory.doctor()["problems"] == []
        opened.memory.close()


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "place" in request.fixturenames:
        assert request.getfixturevalue("place").memory.doctor()["problems"] == []


def deep(levels: int, inner: str = "1") -> str:
    return "[" * levels + inner + "]" * levels


# Answers from which everything is to be learned, whatever stands in them and around them.

READABLE: Mapping[str, str] = {
    "as it should be": GOOD,
    "with line breaks": json.dumps(json.loads(GOOD), indent=4),
    "prose before": f"Sure! Here are the facts:\n{GOOD}",
    "prose after": f"{GOOD}\nI hope that helps!",
    "prose with brackets before": f"As [1] says (see {{T1}}), {{nothing more}}: {GOOD}",
    "a list before": f"Turns read: [1, 2].\n{GOOD}",
    "a fence": f"```json\n{GOOD}\n```",
    "a fence without a name": f"```\n{GOOD}\n```",
    "a fence that does not end": f"```json\n{GOOD}",
    "a fence in prose": f"Here:\n```JSON\n{GOOD}\n```\nDone.",
    "two fences, the first with something else": f"```python\nprint(1)\n```\n```json\n{GOOD}\n```",
    "a train of thought": f"<think>Is it {{a}} or [b]? {answer()} </think>{GOOD}",
    "a thought as an object": f'{{"thought": "two facts"}}\n{GOOD}',
    "two answers, the first is taken": f"{GOOD}\n{answer(fact('Coco is dead.'))}",
    "wrapped in another object": json.dumps({"answer": json.loads(GOOD)}),
    "a list of facts alone": json.dumps([SPEAKS, EATS]),
    "under the name of memory": json.dumps({"memory": [SPEAKS, EATS]}),
    "a byte order mark": "\ufeff" + GOOD,
    "white space of all kinds around it": f"\u3000\xa0\t\r\n{GOOD}\u2028\u200a",
    "English quotes": GOOD.replace('"', "\u201d"),
    "English quotes, both of them": GOOD.replace('": ', "\u201d: ").replace('"', "\u201c"),
    "German quotes": GOOD.replace('"', "\u201e"),
    "French quotes": GOOD.replace('"', "\u00ab"),
    "Japanese quotes": GOOD.replace('"', "\uff02"),
    "single quotes": GOOD.replace('"', "'"),
    "Python's own words": GOOD.replace("null", "None"),
    "comments": GOOD.replace('{"facts"', '{ // the facts\n "facts" /* all */'),
    "comments of Python": GOOD.replace('{"facts"', '{ # the facts\n "facts"'),
    "commas at the ends": GOOD.replace("}", ",}").replace("]", ",]"),
    "NaN and infinities": GOOD.replace("null", "NaN").replace('"memory": NaN', '"memory": -Infinity'),
    "one bracket too many": GOOD + "}",
    "the last bracket missing": GOOD[:-1],
    "duplicated keys, the last counts": GOOD.replace('{"facts"', '{"facts": "none", "facts"', 1),
    "unknown keys": answer({**SPEAKS, "certainty": 0.9}, {**EATS, "": {}}, model="x", usage={}),
    "no relations": json.dumps({"facts": [SPEAKS, EATS]}),
    "relations that are no list": answer(SPEAKS, EATS, relations="none"),
    "a newline in a string": GOOD.replace("Coco speaks Portuguese.", "Coco speaks\nPortuguese."),
    "texts with much space": GOOD.replace("Coco speaks Portuguese.", "  Coco   speaks \\n Portuguese.  "),
    "escapes for everything": json.dumps(json.loads(GOOD)).replace("Coco", "\\u0043\\u006f\\u0063\\u006f"),
    "turns as texts": answer(fact(turns=["T1"]), fact(BOTH[1], turns="1")),
    "turns as numbers with a point": answer(fact(turns=[1.0]), fact(BOTH[1], turns=1)),
    "no turns, which are all": answer(fact(turns=None), fact(BOTH[1], turns=[])),
    "some turns that there are not": answer(fact(turns=[0, 1, 9]), fact(BOTH[1], turns=[1, -1, 2**70])),
    "subjects that are none": answer(fact(subject=None), fact(BOTH[1], attribute=["x"])),
    "subjects without end": answer(fact(subject="x" * 1_000), fact(BOTH[1], attribute="y" * 1_000)),
    "dates that are none": answer(fact(**{"from": "soon", "to": "0000-00-00"}), fact(BOTH[1], to=20250101)),
    "dates beyond the calendar": answer(
        fact(**{"from": "10000-01-01"}), fact(BOTH[1], **{"from": "0001-01-01"}, to="9999-12-31")
    ),
    "dates of other zones at the edges": answer(
        fact(**{"from": "0001-01-01T00:00:00+14:00"}), fact(BOTH[1], to="9999-12-31T23:59:59-12:00")
    ),
    "dates as objects": answer(fact(**{"from": {"year": 2025}}), fact(BOTH[1], to=[2025, 1, 1])),
    "months that there are not": answer(fact(**{"from": "2025-13"}), fact(BOTH[1], to="2025-00")),
    "categories that are none": answer(fact(categories="misc"), fact(BOTH[1], categories=[1, None, {}, "x"])),
    "categories as an object": answer(fact(categories={"misc": 1}), fact(BOTH[1], categories=None)),
    "actions that are none": answer(fact(action=None), fact(BOTH[1], action={"x": 1})),
    "actions of others": answer(fact(action="DELETE"), fact(BOTH[1], action="ADD")),
    "memories that there are not, to add to": answer(fact(memory=17), fact(BOTH[1], memory="M99")),
    "deep in a field": answer(fact(categories=json.loads(deep(50))), EATS),
}


@pytest.mark.parametrize("case", READABLE)
def test_what_can_be_read_is_learned(place: Place, case: str) -> None:
    learned, _ = place.told(READABLE[case])
    assert learned == BOTH


# Answers of which a part is dropped, and the receipt says so: the answer, what is learned, a part of a reason.

PARTLY: Mapping[str, tuple[str, list[str], str]] = {
    "no fact at all in the list": (answer(1, None, True, [], 2.5), [], "neither an object nor a text"),
    "a text missing": (answer({}, EATS), BOTH[1:], "text is missing"),
    "a text that is none": (answer(fact() | {"text": 7}, EATS), BOTH[1:], "text is missing"),
    "a text as an object": (answer(fact() | {"text": {"a": "b"}}, EATS), BOTH[1:], "text is missing"),
    "an empty text": (answer(fact() | {"text": ""}, EATS), BOTH[1:], "text is missing"),
    "a text of white space": (answer(fact() | {"text": " \n\u3000"}, EATS), BOTH[1:], "text is missing"),
    "a huge text": (answer(fact() | {"text": "very " * 50_000}, EATS), BOTH[1:], "longer than"),
    "a NUL": (answer(fact() | {"text": "Coco\0speaks"}, EATS), BOTH[1:], "no text has"),
    "half a surrogate pair": (answer(fact() | {"text": "Coco \ud83d"}, EATS), BOTH[1:], "no text has"),
    "surrogates in the wrong order": (answer(fact() | {"text": "\udc00\ud800"}, EATS), BOTH[1:], "no text"),
    "turns that there are not": (answer(fact(turns=[2]), EATS), BOTH[1:], "turns that there are not"),
    "turns that are none": (answer(fact(turns=["all"]), EATS), BOTH[1:], "turns that there are not"),
    "turns as an object": (answer(fact(turns={"1": 1}), EATS), BOTH[1:], "turns that there are not"),
    "turns of truth": (answer(fact(turns=[True]), EATS), BOTH[1:], "turns that there are not"),
    "turns without end": (answer(fact(turns=["9" * 5_000]), EATS), BOTH[1:], "turns that there are not"),
    "a replacement of nothing": (answer(fact(action="replace", memory=1), EATS), BOTH, "not shown"),
    "a confirmation of nothing": (answer(fact(action="confirm"), EATS), BOTH, "not shown"),
    "a memory by its name": (answer(fact(action="replace", memory="Coco"), EATS), BOTH, "not shown"),
    "a memory less than none": (answer(fact(action="update", memory=-1), EATS), BOTH, "not shown"),
    "a memory as a list": (answer(fact(action="confirm", memory=[1]), EATS), BOTH, "not shown"),
    "the same three times": (answer(SPEAKS, SPEAKS, SPEAKS), BOTH[:1], "says so already"),
    "facts without words": (
        answer(SPEAKS, fact("..."), fact("\u200b"), fact("\x1b[31m\x1b[0m"), fact("\u202e"), EATS),
        BOTH,
        "fact 5: text holds no letter",
    ),
    "a relation of nothing": (answer(SPEAKS, EATS, relations=[{**RELATION, "fact": 3}]), BOTH, "relation 1"),
    "a relation that is none": (answer(SPEAKS, EATS, relations=[1, "x", []]), BOTH, "relation 3"),
    "a relation with half a pair": (
        answer(SPEAKS, EATS, relations=[{**RELATION, "object": "\ud800"}]),
        BOTH,
        "relation 1",
    ),
}


@pytest.mark.parametrize("case", PARTLY)
def test_what_is_dropped_is_told(place: Place, case: str) -> None:
    written, wanted, part = PARTLY[case]
    learned, reasons = place.told(written)
    assert learned == wanted
    assert any(part in reason for reason in reasons)
    assert not any("Coco" in reason for reason in reasons)


# Answers that nobody can read: the job stays, with the answer.

UNREADABLE: Mapping[str, Answer] = {
    "nothing": "",
    "white space": " \n\t\u3000 ",
    "prose": "I could not find any facts, sorry.",
    "HTML": "<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "XML": "<facts><fact>Coco speaks</fact></facts>",
    "YAML": "facts:\n  - text: Coco speaks Portuguese\n    turns: [one]\n",
    "a number": "42",
    "a text": '"Coco speaks Portuguese."',
    "nothing in JSON": "null",
    "truth": "true",
    "an empty object": "{}",
    "facts as an object": '{"facts": {}}',
    "facts as a text": '{"facts": "Coco speaks Portuguese."}',
    "facts as a number": '{"facts": 2}',
    "facts as nothing": '{"facts": null}',
    "another name": '{"results": [{"fact": "Coco speaks Portuguese."}]}',
    "an error of theirs": '{"error": {"message": "overloaded", "text": "try again"}}',
    "an opening bracket": "{",
    "closing brackets": "}}]]",
    "brackets without end": "[" * 100_000,
    "objects without end": '{"facts":' * 20_000,
    "quotes without end": '"' * 50_001,
    "comments without end": '{"facts": [' + "/*" * 20_000,
    "backslashes without end": '{"facts": ["' + "\\" * 50_000,
    "NUL": "\0\0\0",
    "a NUL in prose": "no\0facts",
    "half a surrogate pair": "no \ud83d facts",
    "surrogates and brackets": '{"facts": \udfff}',
    "much prose": "no facts here. " * 20_000,
    "numbers without end": '{"facts": ' + "9" * 100_000 + "}",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_pending_with_the_answer_and_learned_later(place: Place, case: str) -> None:
    learned, reasons = place.told(UNREADABLE[case])
    assert learned is None
    assert "cannot be read" in reasons[0]
    place.server.answers(GOOD)
    assert place.memory.retry() == {"done": 1, "pending": 0, "reasons": []}
    assert place.memory.pending() == []


def test_an_answer_that_can_be_read_at_the_second_time_is_enough(place: Place) -> None:
    learned, _ = place.told("Let me think.", GOOD)
    assert learned == BOTH


@pytest.mark.parametrize("end", range(0, len(GOOD), 10))
def test_of_an_answer_that_is_cut_off_what_was_whole_is_learned(place: Place, end: int) -> None:
    learned, reasons = place.told(GOOD[:end])
    whole = [text for text, mark in zip(BOTH, ('"action": "add", "memory": null}',) * 2, strict=True)]
    ends = [i + len(mark) for mark in ['"memory": null}'] for i in _places(GOOD, mark)]
    complete = [text for text, place_ in zip(whole, ends, strict=True) if place_ <= end]
    if learned is None:
        assert complete == []
        place.server.answers(GOOD)
        place.memory.retry()
    else:
        assert learned[: len(complete)] == complete
        assert any("cut off" in reason for reason in reasons)


def _places(text: str, part: str) -> list[int]:
    return [i for i in range(len(text)) if text.startswith(part, i)]


def test_of_a_thousand_facts_those_over_the_bound_are_told(place: Place) -> None:
    learned, reasons = place.told(answer(*(fact(f"Coco knows word {n}.") for n in range(1_000))))
    assert learned == [f"Coco knows word {n}." for n in range(50)]
    assert reasons == ["950 facts over the bound of 50"]


def test_lists_of_texts_as_mem0_had_them_are_facts(place: Place) -> None:
    assert place.told('{"facts": ["Speaks Portuguese", "Eats mangoes", ""]}')[0] == [
        "Speaks Portuguese",
        "Eats mangoes",
    ]
    assert place.told('["Speaks Portuguese"]')[0] == ["Speaks Portuguese"]
    assert place.told('{"facts": []}')[0] == []


# Anything.

KEYS = st.sampled_from(["facts", "relations", "text", "turns", "memory", "action", "from", "to", "subject"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)
ODD_FACT = st.dictionaries(KEYS, ANY_JSON, max_size=9).map(lambda odd: SPEAKS | odd)
RANDOM = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def survived(place: Place, written: str) -> None:
    """Whatever was answered, it is in order, and what is pending can be learned."""
    if place.told(written)[0] is None:
        place.server.answers(GOOD)
        assert place.memory.retry()["pending"] == 0
    assert place.memory.doctor()["problems"] == []


@RANDOM
@given(value=ANY_JSON)
def test_any_json_is_survived(place: Place, value: object) -> None:
    survived(place, json.dumps(value))


@RANDOM
@given(odd=st.lists(ODD_FACT, max_size=3), relations=st.lists(ANY_JSON, max_size=2))
def test_facts_with_anything_in_their_fields_are_survived(
    place: Place, odd: list[Any], relations: Any
) -> None:
    survived(place, answer(*odd, relations=relations))


@RANDOM
@given(text=st.text(max_size=200))
def test_any_text_is_survived(place: Place, text: str) -> None:
    survived(place, text)


@RANDOM
@given(data=st.data())
def test_any_slip_in_a_good_answer_is_survived(place: Place, data: st.DataObject) -> None:
    written = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(written)))
        end = data.draw(st.integers(start, min(len(written), start + 30)))
        put = data.draw(
            st.sampled_from(['"', "{", "}", "[", "]", ",", ":", "\\", "'", "null", "\0", "\ud800", ""])
        )
        written = written[:start] + put + written[end:]
    survived(place, written)


# What goes wrong before there is an answer.


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


FAULTS: Mapping[str, tuple[Fault, str]] = {
    "a fault of the server": (Fault(status=500), "500"),
    "a gateway": (Fault(status=502), "502"),
    "overloaded": (Fault(status=529), "529"),
    "too many requests": (Fault(status=429, headers={"Retry-After": "0"}), "429"),
    "no money": (Fault(status=402, message="pay"), "402"),
    "a wrong key": (Fault(status=401), "401"),
    "an unknown model": (Fault(status=404), "404"),
    "a request that is refused": (Fault(status=400), "400"),
    "an error with half a surrogate pair": (Fault(status=400, message="no \ud83d \0"), "400"),
    "a hang": (Fault("hang"), "0.2"),
    "a connection that drops": (Fault("drop"), ""),
    "half of an answer": (Fault("cut"), ""),
    "no JSON": (Fault("garbage"), ""),
    "no content": (Fault("empty"), "content"),
    "a model that declines": (Fault("refusal", text="I will not"), "declines"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_leaves_what_was_said_and_it_is_learned_when_it_is_over(
    server: ModelServer, tmp_path: Path, case: str
) -> None:
    fault, part = FAULTS[case]
    here = Place(server, tmp_path / "memory.db", timeout=0.2)
    learned, reasons = here.told(fault)
    assert learned is None
    assert part in reasons[0]
    assert here.memory.retry()["pending"] == 1  # it lasts
    assert here.memory.pending()[0]["attempts"] == 2
    server.answers(GOOD)
    assert here.memory.retry()["done"] == 1
    assert sorted(r["memory"] for r in here.memory.get_all(user_id="user-1")["results"]) == sorted(BOTH)
    assert here.memory.doctor()["problems"] == []
    here.memory.close()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429, headers={"Retry-After": "0"})])
def test_a_passing_fault_is_not_noticed(server: ModelServer, tmp_path: Path, fault: Fault) -> None:
    here = Place(server, tmp_path / "memory.db", retries=2, backoff=0.0)
    assert here.told(fault, GOOD)[0] == BOTH
    assert len(server.seen) == 2
    here.memory.close()


def test_an_answer_that_was_too_long_is_good_for_what_is_whole_and_says_so(place: Place) -> None:
    cut = GOOD[: GOOD.index('"Coco eats') + 3]
    learned, reasons = place.told(Fault("length", text=cut))
    assert learned == BOTH[:1]
    assert any("cut off" in reason for reason in reasons)
    learned, reasons = place.told(Fault("length", text=answer(SPEAKS)))
    assert learned == BOTH[:1]
    assert any("cut off" in reason for reason in reasons)


@pytest.mark.parametrize("verb", ["delete", "erase"])
@pytest.mark.parametrize("written", [GOOD, "no facts here", Fault(status=500)])
def test_what_is_forgotten_while_the_model_thinks_is_not_learned(
    server: ModelServer, tmp_path: Path, verb: str, written: Answer
) -> None:
    here = Place(server, tmp_path / "memory.db")
    server.answers(written)
    server.latency = 0.1
    with ThreadPoolExecutor(1) as thread:
        adding = thread.submit(here.memory.add, SAID, user_id="ann")
        server.wait_for(1)
        [turn] = here.memory.get_all(user_id="ann", show_all=True)["results"]
        getattr(here.memory, verb)(turn["id"])
        added = adding.result()
    assert [result for result in added["results"] if result["event"] != "NONE"] == []
    server.answers(GOOD)
    here.memory.retry()
    assert here.memory.pending() == []
    assert here.memory.get_all(user_id="ann", show_all=True, show_superseded=True)["results"] == []
    assert here.memory.doctor()["problems"] == []
    here.memory.close()


def test_of_two_messages_one_of_which_is_forgotten_the_other_is_learned(
    server: ModelServer, tmp_path: Path
) -> None:
    here = Place(server, tmp_path / "memory.db")
    server.answers(answer(fact(turns=[1]), fact(BOTH[1], turns=[2]), fact("Coco is loud.", turns=[1, 2])))
    server.latency = 0.1
    with ThreadPoolExecutor(1) as thread:
        adding = thread.submit(here.memory.add, ["It speaks Portuguese.", "Coco eats."], user_id="ann")
        server.wait_for(1)
        kept = here.memory.get_all(user_id="ann", show_all=True)["results"]
        here.memory.delete(next(turn["id"] for turn in kept if "speaks" in turn["memory"]))
        added = adding.result()
    assert [r["memory"] for r in added["results"] if r["event"] == "ADD"] == BOTH[1:]
    assert [r["reason"] for r in added["results"] if r["event"] == "NONE"] == [
        "facts of messages that were deleted meanwhile"
    ]
    assert [r["memory"] for r in here.memory.get_all(user_id="ann")["results"]] == BOTH[1:]
    assert here.memory.doctor()["problems"] == []
    here.memory.close()


def test_a_procedure_with_characters_that_no_text_has_is_written_down_without_them(place: Place) -> None:
    place.server.answers("Goal: feed Coco\0.\nSteps: mangoes \ud83d.")
    added = place.memory.add(SAID, agent_id="keeper", memory_type="procedural_memory")
    assert added["receipt"]["pending"] == []
    assert [result["memory"] for result in added["results"]] == ["Goal: feed Coco.\nSteps: mangoes ?."]
