"""Learning over real HTTP: images, procedures, learning again, and what erasing and deleting do to facts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import Memory
from perdure.errors import ConfigurationError, InvalidInput, NotFound
from perdure.testing.models import Fault, ModelServer

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}


def fact(text: str, attribute: str = "home", **more: Any) -> dict[str, Any]:
    about = {"turns": [1], "subject": "Ann", "attribute": attribute, "from": None, "to": None}
    return {"text": text, **about, "categories": [], "action": "add", "memory": None, **more}


def facts(*found: dict[str, Any], relations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"facts": list(found), "relations": relations or []}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(facts()) as running:
        yield running


@pytest.fixture
def make(server: ModelServer, tmp_path: Path) -> Iterator[Callable[..., Memory]]:
    made: list[Memory] = []

    def memory(**settings: Any) -> Memory:
        llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}
        config = {"path": str(tmp_path / "m.db"), "embedder": "hash", "llm": llm, "settings": settings}
        made.append(Memory(config))
        return made[-1]

    yield memory
    for each in made:
        each.close()


def listed(memory: Memory, **options: Any) -> list[str]:
    return [result["memory"] for result in memory.get_all(user_id="ann", **options)["results"]]


def test_a_model_that_sees_is_shown_images_and_an_image_alone_is_kept(server, make):
    memory = make()
    server.answers(facts(fact("Ann has a red bicycle.", "bicycle")))
    added = memory.add([{"role": "user", "content": [IMAGE]}], user_id="ann")
    assert [result["event"] for result in added["results"]] == ["ADD"]
    assert len(server.seen[-1].images) == 1
    [line] = [json.loads(line) for line in server.seen[-1].content.split("\n")]
    assert (line["images"], line["text"]) == (1, "[image]")
    assert listed(memory) == ["Ann has a red bicycle."]


def test_a_model_that_does_not_see_is_asked_without_images_from_then_on(server, make):
    memory = make()
    server.answers(
        lambda seen: (
            Fault(status=400, message="no images here") if seen.images else facts(fact("Ann is well."))
        )
    )
    for _ in range(2):
        added = memory.add([{"role": "user", "content": ["Look!", IMAGE]}], user_id="ann")
        assert added["receipt"]["pending"] == []
        memory.delete_all(user_id="ann")
    assert [len(seen.images) for seen in server.seen] == [1, 0, 0]


def test_a_filter_that_refuses_an_image_makes_no_model_blind(server, make):
    memory = make()
    declined = Fault(status=400, code="content_filter")
    server.answers(
        lambda seen: declined if seen.images and len(server.seen) == 1 else facts(fact("Ann is well."))
    )
    for _ in range(2):
        assert (
            memory.add(["Look!", {"role": "user", "content": [IMAGE]}], user_id="ann")["receipt"]["pending"]
            == []
        )
        memory.delete_all(user_id="ann")
    assert [len(seen.images) for seen in server.seen] == [1, 0, 1]


def test_what_a_model_declines_and_what_is_configured_wrongly_are_told_apart_in_what_is_pending(server, make):
    memory = make(background=False)
    server.answers(
        [
            Fault(status=400, code="content_filter", message="filtered"),
            Fault("refusal"),
            Fault(status=401, message="Incorrect API key"),
            Fault(status=404, code="model_not_found", message="no m"),
        ]
    )
    for number in range(4):
        memory.add(f"I have {number} cats.", user_id="ann")
    told = [pending["error"] for pending in memory.pending()]
    assert ["the configuration is fine: try another model" in reason for reason in told] == [True] * 2 + [
        False
    ] * 2
    assert "its content filter declines this" in told[0]
    assert "declines to answer this (refusal)" in told[1]
    assert told[2].endswith("(Incorrect API key): look at `api_key`")
    assert told[3].endswith("(no m): look at `model`")
    # What no model takes is dropped with the message.
    memory.delete(memory.pending()[0]["turns"][0])
    server.answers(facts(fact("Ann has cats.")))
    assert memory.retry()["pending"] == 0
    assert memory.pending() == []


def test_a_procedure_is_written_down_as_one_memory_with_its_sources(server, make):
    memory = make()
    server.answers("Goal: tea.\n1. Boiled water.")
    steps = [{"role": "user", "content": "Make tea"}, {"role": "assistant", "content": "Water is boiling"}]
    added = memory.add(steps, agent_id="cook", memory_type="procedural_memory")
    [result] = added["results"]
    assert (result["event"], result["memory"]) == ("ADD", "Goal: tea.\n1. Boiled water.")
    [held] = memory.get_all(agent_id="cook")["results"]
    assert held["kind"] == "procedure"
    assert held["source_ids"] == added["receipt"]["turns"]
    server.answers(Fault(status=500))
    added = memory.add("Make coffee", agent_id="cook", memory_type="procedural_memory")
    assert added["receipt"]["pending"]
    server.answers("Goal: coffee.")
    assert memory.retry(added["event_id"])["done"] == 1
    assert {m["memory"] for m in memory.get_all(agent_id="cook")["results"]} == {
        "Goal: tea.\n1. Boiled water.",
        "Goal: coffee.",
    }


def test_a_type_of_memory_that_there_is_not_is_refused(make, tmp_path):
    with pytest.raises(InvalidInput, match="procedural_memory"):
        make().add("x", user_id="ann", memory_type="semantic")
    with Memory({"path": str(tmp_path / "n.db"), "embedder": "hash"}) as plain:
        with pytest.raises(ConfigurationError, match="configure llm"):
            plain.add("x", user_id="ann", memory_type="procedural_memory")
        with pytest.raises(ConfigurationError, match="configure llm"):
            plain.reextract(user_id="ann")
        assert plain.pending() == []


def test_learning_again_shows_the_difference_and_stores_it_on_request(server, make):
    memory = make()
    server.answers(facts(fact("Ann lives in Bonn.")))
    memory.add("I live in Bonn and like tea", user_id="ann")
    server.answers(facts(fact("Ann lives in Bonn."), fact("Ann likes tea.", "drink")))
    before = listed(memory)
    shown = memory.reextract(user_id="ann", prompt="Drinks, too.")
    assert "Drinks, too." in server.seen[-1].instructions
    assert ([m["memory"] for m in shown["added"]], shown["removed"], shown["kept"]) == (
        ["Ann likes tea."],
        [],
        1,
    )
    assert listed(memory) == before
    memory.reextract(user_id="ann", apply=True)
    assert sorted(listed(memory)) == ["Ann likes tea.", "Ann lives in Bonn."]
    server.answers(facts(fact("Ann likes tea.", "drink")))
    gone = memory.reextract(user_id="ann", apply=True)["removed"]
    assert listed(memory) == ["Ann likes tea."]
    assert [change["event"] for change in memory.history(gone[0]["id"])] == ["ADD", "DELETE"]
    server.answers(Fault(status=500))
    failed = memory.reextract(user_id="ann", apply=True)
    assert failed["failed"]
    assert listed(memory) == ["Ann likes tea."]


def test_messages_kept_without_a_model_are_not_listed_beside_what_is_learned_from_them(
    make, server, tmp_path
):
    with Memory({"path": str(tmp_path / "m.db"), "embedder": "hash"}) as plain:
        said = plain.add(["I live in Bonn by the river", "I like tea in the morning"], user_id="ann")
        plain.add("Note: Bonn has a zoo", user_id="ann", infer=False)
        plain.update(said["results"][1]["id"], "I like tea at noon")
    memory = make()
    kept = ["Note: Bonn has a zoo", "I like tea at noon", "I live in Bonn by the river"]
    assert listed(memory) == kept
    server.answers(Fault(status=500))
    memory.reextract(user_id="ann", apply=True)
    assert listed(memory) == kept
    server.answers(facts(fact("Ann lives in Bonn.")))
    memory.reextract(user_id="ann")
    assert listed(memory) == kept
    for _ in range(2):
        memory.reextract(user_id="ann", apply=True)
        assert sorted(listed(memory)) == sorted(["Ann lives in Bonn.", *kept[:2]])
    assert kept[2] in listed(memory, show_all=True)


def test_what_somebody_wrote_stays_when_it_is_learned_again(server, make):
    memory = make()
    server.answers(facts(fact("Ann lives in Bonn.")))
    added = memory.add("I live in Bonn", user_id="ann")
    memory.update(added["results"][0]["id"], "Ann lives in Köln.")
    assert memory.reextract(user_id="ann", apply=True)["removed"] == []
    assert "Ann lives in Köln." in listed(memory)


def test_what_confirms_a_fact_adds_the_relations_and_categories_that_it_has_not(server, make):
    memory = make()
    lives = {"subject": "Ann", "relation": "lives_in", "object": "Bonn", "fact": 1}
    works = {"subject": "Ann", "relation": "works_in", "object": "Bonn", "fact": 1}
    home = "Ann lives and works in Bonn."
    server.answers(
        [
            facts(fact(home, categories=["travel"]), relations=[lives]),
            facts(
                fact(home, categories=["professional_details", "travel"]),
                relations=[{**lives, "relation": "Lives in"}, works],
            ),
            facts(fact(home, categories=["food"]), relations=[{**works, "relation": "hates"}]),
        ]
    )
    [added] = memory.add("Bonn is where I am.", user_id="ann")["results"]
    [confirmed] = memory.add("I work in Bonn, too.", user_id="ann", categories=["mine"])["results"]
    assert (confirmed["id"], confirmed["reason"]) == (added["id"], "confirmed")
    # What an assistant says adds nothing to what a user said.
    memory.add({"role": "assistant", "content": "You hate working there!"}, user_id="ann")
    known = memory.get(added["id"])
    assert known["categories"] == ["travel", "mine", "professional_details"]
    assert [(r["source"], r["relationship"], r["destination"]) for r in known["relations"]] == [
        ("Ann", "lives_in", "Bonn"),
        ("Ann", "works_in", "Bonn"),
    ]
    assert len(known["sources"]) == 3
    stated = {edge["relationship"] for edge in memory.graph(user_id="ann")["relations"] if edge["stated"]}
    assert stated == {"lives in", "works in"}


def test_relations_come_with_their_fact_and_go_with_it(server, make):
    memory = make()
    edge = {"subject": "Ann", "relation": "lives in", "object": "Bonn", "fact": 1}
    server.answers(
        facts(fact("Ann lives in Bonn."), relations=[edge, {**edge, "fact": 7}, {**edge, "object": 5}])
    )
    added = memory.add("I live in Bonn", user_id="ann")
    [stated] = memory.get(added["results"][0]["id"])["relations"]
    assert stated == {"source": "Ann", "relationship": "lives in", "destination": "Bonn"}
    assert [r["reason"] for r in added["results"][1:]] == [
        "relation 2: it cites a fact that there is not",
        "relation 3: object is missing",
    ]


def test_deleting_a_fact_silences_the_message_that_only_it_came_from(server, make):
    memory = make()
    server.answers(facts(fact("Ann has a cat.", "pet")))
    added = memory.add("I have a cat", user_id="ann")
    memory.delete(added["results"][0]["id"])
    assert memory.search("cat", user_id="ann", threshold=0)["results"] == []
    with pytest.raises(NotFound):
        memory.get(added["receipt"]["turns"][0])


def test_erasing_a_message_erases_what_was_learned_from_it(server, make, tmp_path):
    memory = make()
    server.answers(facts(fact("Ann's pin is 4711.", "pin")))
    added = memory.add("My pin is 4711", user_id="ann")
    memory.erase(added["receipt"]["turns"][0])
    assert listed(memory, show_all=True, show_superseded=True) == []
    memory.close()
    assert not [f.name for f in tmp_path.iterdir() if f.is_file() and b"4711" in f.read_bytes()]


def test_the_answer_of_a_model_is_erased_with_the_message_it_is_about(server, make, tmp_path):
    memory = make()
    server.answers("It seems that the pin is 4711?")
    added = memory.add("My pin is four seven", user_id="ann")
    assert "4711" in memory.pending()[0]["answer"]
    memory.erase(added["receipt"]["turns"][0])
    assert memory.pending() == []
    memory.close()
    assert not [f.name for f in tmp_path.iterdir() if f.is_file() and b"4711" in f.read_bytes()]


def test_a_fact_and_its_message_are_one_result(server, make):
    memory = make()
    server.answers(facts(fact("Ann lives in Bonn.")))
    memory.add("I live in Bonn", user_id="ann")
    found = memory.search("Who lives in Bonn?", user_id="ann", threshold=0)["results"]
    assert [(result["kind"], [source["text"] for source in result["sources"]]) for result in found] == [
        ("fact", ["I live in Bonn"])
    ]


def test_the_same_add_again_is_no_new_job(server, make):
    memory = make()
    server.answers("?")
    first = memory.add("I live in Bonn", user_id="ann")
    again = memory.add("I live in Bonn", user_id="ann")
    assert again["receipt"]["repeated"]
    assert again["receipt"]["pending"]
    assert [job["event_id"] for job in memory.pending()] == [first["event_id"]]
    with pytest.raises(NotFound, match="pending"):
        memory.retry("unknown")


def test_facts_of_other_runs_do_not_crowd_out_those_that_a_model_is_shown(server, make):
    memory = make()
    for number in range(42):
        boat = f"Ann owns boat number {number}."
        server.answers(facts(fact(boat, f"boat {number}")))
        memory.add(boat, user_id="ann", run_id="mine" if number == 21 else "other")
    server.answers(facts())
    memory.add("Yes, exactly.", user_id="ann", run_id="mine")
    shown = [json.loads(line) for line in server.seen[-1].content.split("\n")]
    assert [line["text"] for line in shown if line["line"].startswith("M")] == ["Ann owns boat number 21."]


def test_a_store_that_was_moved_still_learns_what_it_owes(server, make, tmp_path):
    old = make(background=False)
    server.answers("I would rather not say.")
    owed = old.add("I live in Bonn.", user_id="ann", prompt="Only homes.")
    exported = list(old.export_records())
    llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}
    config = {"embedder": "hash", "llm": llm, "settings": {"background": False}}
    with Memory({"path": str(tmp_path / "new.db"), **config}) as new:
        counts = new.import_records(exported)["imported"]
        assert (counts["jobs"], counts["new"]) == (1, len(exported))
        assert new.pending() == old.pending()
        job = next(record for record in exported if record["type"] == "job")
        left_out = {**job, "id": "elsewhere", "turns": ["nowhere"]}
        assert new.import_records([left_out])["imported"] == dict.fromkeys(counts, 0)
        assert new.import_records(exported)["imported"]["new"] == 0
        server.answers(facts(fact("Ann lives in Bonn.")))
        for memory in (new, old):
            assert memory.retry(owed["event_id"])["done"] == 1
            assert server.seen[-1].instructions.endswith("Only homes.")
            assert memory.import_records(exported)["imported"]["new"] == 0
            assert memory.pending() == []
            assert listed(memory) == ["Ann lives in Bonn."]


def test_what_an_import_brings_is_learned_without_being_asked_for(server, make, tmp_path):
    old = make()
    server.answers("I would rather not say.")
    old.add("I live in Bonn.", user_id="ann")
    exported = list(old.export_records())
    old.close()  # it would try again
    exported[-1].pop("due_at")  # or it would be left alone for some seconds
    server.answers(facts(fact("Ann lives in Bonn.")))
    before = len(server.seen)
    llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}
    with Memory({"path": str(tmp_path / "new.db"), "embedder": "hash", "llm": llm}) as new:
        new.import_records(exported)
        server.wait_for(before + 1)
        assert new.flush() == {"pending": 0, "failed": 0}
        assert listed(new) == ["Ann lives in Bonn."]


def test_what_failed_here_too_is_owed_once(server, make):
    old = make(background=False)
    server.answers("I would rather not say.")
    old.add("I live in Bonn.", user_id="ann")
    exported = list(old.export_records())
    old.retry()
    old.import_records(exported)
    [pending] = old.pending()
    assert pending["attempts"] == 2
