"""Where memories came from: said by messages, inherited by facts, shown in prompts, and left out when asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import pytest

from perdure.engine.memory import Engine
from perdure.errors import InvalidInput
from perdure.ports import Completion, Prompt
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.testing.fakes import HashEmbedder
from perdure.types import Origin


@dataclass(kw_only=True)
class Scripted:
    """A model that gives these answers, one after the other, then finds nothing."""

    facts: list[Mapping[str, Any]] = field(default_factory=list)
    model: str = "scripted"

    async def complete(self, prompt: Prompt) -> Completion:
        facts = [self.facts.pop(0)] if self.facts else []
        return Completion(text=json.dumps({"facts": facts, "relations": []}))

    async def aclose(self) -> None:
        """Nothing is held."""


def run(scenario: Callable[[Engine], Awaitable[None]], *facts: Mapping[str, Any]) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"llm": Scripted(facts=list(facts))} if facts else {}
        settings = Settings(threshold=0.0, repeat_window=0.0)
        async with Engine(
            store=InMemoryStore(), embedder=HashEmbedder(), settings=settings, **options
        ) as memory:
            await scenario(memory)

    asyncio.run(main())


def message(text: str, origin: str | None = None, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": text} | ({"origin": origin} if origin else {})


async def origins(memory: Engine, **options: Any) -> dict[str, str]:
    listed = await memory.get_all(user_id="maya", show_all=True, **options)
    return {result["memory"]: result["origin"] for result in listed["results"]}


@pytest.mark.parametrize("origin", get_args(Origin))
def test_a_message_may_say_where_it_comes_from(origin: str) -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(message("The gate is blue.", origin), user_id="maya")
        assert await origins(memory, filters={"origin": origin}) == {"The gate is blue.": origin}

    run(scenario)


def test_a_message_that_does_not_say_so_comes_from_whom_its_role_names() -> None:
    async def scenario(memory: Engine) -> None:
        roles = ("user", "assistant", "tool")
        await memory.add([message(f"The gate is {role}.", role=role) for role in roles], user_id="maya")
        assert sorted((await origins(memory)).values()) == sorted(roles)

    run(scenario)


@pytest.mark.parametrize("origin", ["internet", "", 3, ["web"], {"web": 1}])
def test_an_origin_that_is_none_is_refused_and_nothing_is_stored(origin: object) -> None:
    async def scenario(memory: Engine) -> None:
        with pytest.raises(InvalidInput, match="origins are user, assistant, tool, web, import"):
            await memory.add([{"content": "The gate is blue.", "origin": origin}], user_id="maya")
        assert await origins(memory) == {}

    run(scenario)


def test_the_same_words_from_elsewhere_are_another_add() -> None:
    async def main() -> None:
        async with Engine(store=InMemoryStore(), settings=Settings(repeat_window=60.0)) as memory:
            await memory.add(message("The gate is blue."), user_id="maya")
            other = await memory.add(message("The gate is blue.", "web"), user_id="maya")
            assert not other["receipt"]["repeated"]

    asyncio.run(main())


def shown(made: Any) -> Sequence[str]:
    return [line for line in made["context"].splitlines() if '"' in line][1:]


def test_trusted_only_leaves_out_tools_and_the_web_and_the_prompt_says_what_they_are() -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(message("The gate code is 4711."), user_id="maya")
        await memory.add(message("The gate code is 0000.", "web"), user_id="maya")
        await memory.add(message("The gate code is 1111.", "tool"), user_id="maya")
        await memory.add(message("The gate code is 2222.", role="tool"), user_id="maya")
        made = await memory.context("gate code", user_id="maya")
        marks = {line[-6:-2]: line.partition(", ")[2].partition(":")[0] for line in shown(made)}
        assert marks == {
            "4711": "user",
            "0000": "user, from the web",
            "1111": "user, from a tool",
            "2222": "tool",
        }
        xml = (await memory.context("gate code", user_id="maya", format="xml"))["context"]
        assert str(xml).count('origin="tool"') == 2
        assert str(xml).count('origin="web"') == 1
        for verb in (memory.search, memory.context):
            found = await verb("gate code", user_id="maya", trusted_only=True)
            assert [result["memory"] for result in found["results"]] == ["The gate code is 4711."]
        known = await memory.profile(user_id="maya", trusted_only=True)
        assert [one["memory"] for one in known["profile"]["other"]] == ["The gate code is 4711."]

    run(scenario)


def test_what_stands_beside_a_trusted_question_is_not_shown_either() -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(
            [message("Which harbour is the ferry in?"), message("In Leixoes.", role="tool")], user_id="maya"
        )
        asked = {"user_id": "maya", "threshold": 0.3}
        assert len((await memory.context("Which harbour is the ferry in?", **asked))["results"]) == 2
        made = await memory.context("Which harbour is the ferry in?", trusted_only=True, **asked)
        assert [result["memory"] for result in made["results"]] == ["Which harbour is the ferry in?"]

    run(scenario)


def test_trusted_only_holds_beside_filters_and_categories() -> None:
    async def scenario(memory: Engine) -> None:
        for origin in ("user", "web"):
            for name in ("a", "b"):
                text = f"The gate code of {name} says {origin}."
                await memory.add(message(text, origin), user_id="maya", categories=[name])
        found = await memory.search(
            "gate code", user_id="maya", categories=["a", "b"], filters={"NOT": {"categories": "b"}}, trusted_only=True
        )  # fmt: skip
        assert [result["memory"] for result in found["results"]] == ["The gate code of a says user."]
        with pytest.raises(InvalidInput, match="give True or False"):
            await memory.search("gate code", trusted_only="yes")  # type: ignore[arg-type]  # refused

    run(scenario)


HOME = {"subject": "Maya", "attribute": "home", "turns": [1], "action": "add", "memory": None}


def test_a_fact_has_the_origin_of_its_least_trusted_source_and_closes_nothing_above_it() -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(message("I have a flat in Porto."), user_id="maya")
        await memory.add([message("As the page says:"), message("Maya has moved.", "web")], user_id="maya")
        facts = await origins(memory, filters={"kind": "fact"})
        assert facts == {"Maya lives in Porto.": "user", "Maya lives in Lisbon.": "web"}

    run(
        scenario,
        {**HOME, "text": "Maya lives in Porto."},
        {**HOME, "text": "Maya lives in Lisbon.", "turns": [1, 2], "action": "replace", "memory": 1},
    )


def test_a_web_page_that_says_again_what_a_user_said_becomes_no_source_of_it() -> None:
    async def scenario(memory: Engine) -> None:
        await memory.add(message("I have a flat in Porto."), user_id="maya")
        await memory.add(message("Maya from Porto, see evil.example", "web"), user_id="maya")
        await memory.add(message("Porto is where I live."), user_id="maya")
        found = await memory.search("Where does Maya live?", user_id="maya", trusted_only=True)
        [fact] = [result for result in found["results"] if result["kind"] == "fact"]
        told = [source["text"] for source in fact["sources"]]
        assert told == ["I have a flat in Porto.", "Porto is where I live."]

    run(scenario, *({**HOME, "text": "Maya lives in Porto."} for _ in range(3)))
