"""The verb that shows entities and relations, over every store that is built in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from perdure import errors
from perdure.engine.graph import INLINE_MEMORIES
from perdure.engine.memory import Engine
from perdure.ports import Completion, Prompt
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock

Scenario = Callable[[Engine], Awaitable[None]]


class Answers:
    """A model that says one after the other what it was given to say."""

    model = "scripted"

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = list(answers)

    async def complete(self, prompt: Prompt) -> Completion:
        del prompt
        return Completion(text=json.dumps(self._answers.pop(0)))

    async def aclose(self) -> None:
        """Nothing is open."""


def answer(home: str, *, replaces: int | None = None) -> dict[str, Any]:
    fact = {
        "text": f"Maya lives in {home}.",
        "turns": [1],
        "subject": "Maya",
        "attribute": "home",
        "action": "replace" if replaces else "add",
        "memory": replaces,
    }
    relation = {"subject": "Maya", "relation": "lives_in", "object": home, "fact": 1}
    return {"facts": [fact], "relations": [relation]}


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario on a fresh engine, without an embedder."""

    def go(scenario: Scenario, **options: Any) -> None:
        async def main() -> None:
            store: Any = InMemoryStore()
            if request.param == "sqlite":
                store = SqliteStore(path=tmp_path / "memory.db")
            settings = Settings(threshold=0.0)
            async with Engine(store=store, clock=Clock(), settings=settings, **options) as memory:
                await scenario(memory)

        asyncio.run(main())

    return go


TALK = [
    "My sister Ann lives in Porto.",
    "Ann Smith and I went to the market with Bob.",
    "Bob said that he would visit Ann in Porto.",
]


def test_entities_and_what_is_mentioned_together_need_no_model(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        added = await memory.add(TALK, user_id="maya")
        ids = [result["id"] for result in added["results"]]
        shown = await memory.graph(user_id="maya")
        assert shown["entities"][0] == {
            "name": "Ann Smith",
            "kind": "person",
            "aliases": ["Ann"],
            "merged": {"Ann": "the only name that begins with it"},
            "count": 3,
            "memory_ids": ids,
        }
        assert [entity["name"] for entity in shown["entities"]] == ["Ann Smith", "Bob", "Porto"]
        assert {
            "source": "Ann Smith",
            "relationship": "mentioned with",
            "destination": "Bob",
            "stated": False,
            "memory_ids": ids,
            "valid_from": None,
            "valid_to": None,
        } in shown["relations"]
        assert "relations" not in await memory.search("Ann", user_id="maya")

    run(scenario)


def test_nobody_elses_memories_are_in_a_graph_and_nothing_that_was_deleted(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(TALK, user_id="maya")
        added = await memory.add("My brother Cy lives in Oslo.", user_id="noor")
        assert {e["name"] for e in (await memory.graph(user_id="noor"))["entities"]} == {"Cy", "Oslo"}
        await memory.delete(added["results"][0]["id"])
        assert await memory.graph(user_id="noor") == {"entities": [], "relations": []}

    run(scenario)


def test_one_entity_is_shown_with_those_around_it(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add([*TALK, "My boss Zoe called."], user_id="maya")

        async def named(**options: Any) -> list[str]:
            return [e["name"] for e in (await memory.graph(user_id="maya", **options))["entities"]]

        assert await named(entity="ann") == ["Ann Smith", "Bob", "Porto"]
        assert await named(entity="ann", depth=0) == ["Ann Smith"]
        assert await named(entity="ann", top_k=2) == ["Ann Smith", "Bob"]
        assert await named(entity="Zoe") == ["Zoe"]
        assert await named(entity="nobody") == []
        assert await named(limit=1) == ["Ann Smith"]
        assert set(await named(apart=[("Ann", "Ann Smith")])) == {"Ann", "Ann Smith", "Bob", "Porto", "Zoe"}

    run(scenario)


def test_many_memories_are_read_as_few_are(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(["My sister Ann lives in Porto."] * (INLINE_MEMORIES + 1), user_id="maya")
        shown = await memory.graph(user_id="maya")
        assert {(e["name"], e["count"]) for e in shown["entities"]} == {
            ("Ann", INLINE_MEMORIES + 1),
            ("Porto", INLINE_MEMORIES + 1),
        }

    run(scenario)


def test_relations_that_facts_state_end_with_them(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add("I have a flat in Porto now!", user_id="maya", timestamp="2025-01-10")
        await memory.add("We moved to Lisbon.", user_id="maya", timestamp="2025-05-10")

        async def homes(**options: Any) -> list[tuple[str, str | None]]:
            edges = (await memory.graph(user_id="maya", entity="Maya", **options))["relations"]
            return [
                (edge["destination"], edge["valid_to"] and edge["valid_to"][:10])
                for edge in edges
                if edge["stated"] and (edge["source"], edge["relationship"]) == ("Maya", "lives in")
            ]

        assert await homes() == [("Lisbon", None)]
        assert await homes(show_superseded=True) == [("Lisbon", None), ("Porto", "2025-05-10")]
        assert await homes(as_of="2025-03-01") == [("Porto", "2025-05-10")]
        assert await homes(known_at="2020-01-01") == []

    run(scenario, llm=Answers(answer("Porto"), answer("Lisbon", replaces=1)))


def test_a_fact_with_other_words_states_no_more_what_the_old_ones_did(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        added = await memory.add("I have a flat in Porto now!", user_id="maya")
        await memory.update(added["results"][0]["id"], "Maya lives in Faro.")
        edges = (await memory.graph(user_id="maya", entity="Maya"))["relations"]
        assert not any(edge["stated"] for edge in edges)

    run(scenario, llm=Answers(answer("Porto")))


def test_a_search_tells_the_relations_of_what_it_found_each_once(run: Any) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add("I have a flat in Porto now!", user_id="maya")
        found = await memory.search("Where does Maya live?", user_id="maya")
        assert found["relations"] == [{"source": "Maya", "relationship": "lives_in", "destination": "Porto"}]
        [many] = await memory.search_many(["Porto"], user_id="maya")
        assert many["relations"] == found["relations"]

    run(scenario, llm=Answers(answer("Porto")))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"entity": " "}, "entity"),
        ({"entity": 5}, "entity"),
        ({"depth": 11}, "depth=11"),
        ({"depth": True}, "depth"),
        ({"apart": "Ann"}, "apart"),
        ({"apart": ["Ann"]}, "no pair"),
        ({"apart": [("Ann", "")]}, "blank"),
        ({"top_k": 1, "limit": 2}, "two names"),
    ],
)
def test_what_cannot_be_meant_is_refused(run: Any, options: dict[str, Any], told: str) -> None:
    async def scenario(memory: Engine) -> None:
        with pytest.raises(errors.InvalidInput, match=told):
            await memory.graph(user_id="maya", **options)
        with pytest.raises(errors.MissingScope, match="graph"):
            await memory.graph()

    run(scenario)
