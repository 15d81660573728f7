"""What a memory could do without: decided purely, shown first, and retired with a reason."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.junk import junk
from perdure.engine.memory import Engine
from perdure.engine.salience import echoes
from perdure.errors import InvalidInput
from perdure.ports import Completion, Prompt
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock, HashEmbedder
from perdure.types import Claim, Memory, Scope

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MAYA = Scope(user_id="maya")


def fact(text: str, ord_: int = 1, **more: Any) -> Memory:
    held: dict[str, Any] = {"kind": "fact", "scope": MAYA, "ord": ord_, "sources": ("t",), **more}
    return Memory(id=f"{text}/{ord_}", text=text, said_at=NOW, recorded_at=NOW, **held)


def turn(text: str, place: int, role: str = "user", **more: Any) -> Memory:
    held: dict[str, Any] = {"scope": MAYA, "session": "s", "salience": 0.6, "ord": place, **more}
    return Memory(id=f"t{place}", text=text, place=place, role=role, said_at=NOW, recorded_at=NOW, **held)


def flaws(*memories: Memory, **more: Any) -> dict[str, str]:
    found = junk(memories, now=NOW, left=more.pop("left", {"t"}), **more)
    return {one.memory.id: one.flaw for one in found}


def test_what_is_sound_is_no_junk() -> None:
    assert flaws(fact("Maya lives in Porto."), fact("Maya is a nurse.", 2), turn("Ok, thanks!", 3)) == {}


def test_what_has_expired_is_junk_and_what_will_is_not() -> None:
    past, future = fact("Maya is in Rome.", expires_at=NOW), turn("Hi", 2, expires_at=NOW + timedelta(1))
    assert flaws(past, future) == {past.id: "expired"}


def test_a_fact_is_an_orphan_when_all_of_its_sources_are_gone_and_not_when_it_never_had_any() -> None:
    orphan, half, given_ = (
        fact("Maya lives in Porto.", sources=("a", "b")),
        fact("Maya is a nurse.", 2, sources=("a", "t")),
        fact("Maya has a cat.", 3, sources=()),
    )
    assert flaws(orphan, half, given_) == {orphan.id: "orphan"}


@pytest.mark.parametrize(
    "text",
    [
        "The user said hello.",
        "User thanked the assistant.",
        "The assistant is happy to help.",
        "Ok.",
        "!?",
        "Yes",
    ],
)
def test_a_fact_about_nothing_but_the_talk_is_empty(text: str) -> None:
    assert flaws(fact(text)) == {f"{text}/1": "empty"}


@pytest.mark.parametrize(
    "text", ["Likes tea.", "The user said that Ines is ill.", "他喜欢猫", "User is 34.", "Мая врач"]
)
def test_a_short_fact_with_content_is_not_empty(text: str) -> None:
    assert flaws(fact(text)) == {}


def test_of_facts_with_the_same_words_the_oldest_stays() -> None:
    some = [
        fact("Maya lives in Porto.", 3),
        fact("maya lives in  Porto", 1),
        fact("Maya lives in Lisbon.", 2),
    ]
    assert flaws(*some) == {some[0].id: "duplicate"}


def test_the_fact_that_holds_longest_stays() -> None:
    soon, for_ever = fact("Maya has a cat.", 1, expires_at=NOW + timedelta(1)), fact("Maya has a cat.", 2)
    assert flaws(soon, for_ever) == {soon.id: "duplicate"}


@pytest.mark.parametrize(
    "other",
    [
        {"scope": Scope(user_id="rui")},
        {"scope": Scope(user_id="maya", agent_id="a")},
        {"metadata": {"project": "x"}},
        {"valid_to": NOW + timedelta(1)},
        {"origin": "web"},
        {"kind": "procedure"},
    ],
)
def test_the_same_words_about_something_else_are_no_duplicate(other: Mapping[str, Any]) -> None:
    assert flaws(fact("Maya has a cat."), fact("Maya has a cat.", 2, **other)) == {}


def test_meaning_decides_only_where_nothing_contradicts_it() -> None:
    one, other = fact("Maya lives in Porto."), fact("Maya really lives in Porto.", 2)
    near = {(one.id, other.id): 0.96}
    assert flaws(one, other, likeness=near) == {other.id: "duplicate"}
    assert flaws(one, other, likeness={(one.id, other.id): 0.93}) == {}
    denied = fact("Maya does not live in Porto.", 2)
    assert flaws(one, denied, likeness={(one.id, denied.id): 0.99}) == {}
    job = replace(one, claim=Claim(subject="Maya", attribute="home"))
    pet = replace(other, claim=Claim(subject="Maya", attribute="pet"))
    assert flaws(job, pet, likeness=near) == {}


def test_what_an_assistant_repeats_at_once_is_an_echo() -> None:
    said, echo, later = (
        turn("I moved to Porto in March with my two cats.", 1),
        turn("So you moved to Porto in March!", 2, "assistant"),
        turn("You moved to Porto in March.", 3, "assistant"),
    )
    assert flaws(said, echo, later) == {echo.id: "echo"}
    assert flaws(said, replace(echo, session="other")) == {}
    assert flaws(said, replace(echo, salience=1.0)) == {}
    assert flaws(said, replace(echo, role="user")) == {}
    assert flaws(said, turn("Gone.", 2, expires_at=NOW), replace(echo, place=3)) == {"t2": "expired"}


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        ("You like tea, great!", "I like tea.", True),
        ("You have 3 cats.", "I have 2 cats.", False),
        ("You don't like tea.", "I like tea.", False),
        ("Noted, no sugar for you.", "I take no sugar.", False),
        ("Porto has a famous bridge.", "I live in Porto.", False),
        ("Ok, great!", "I live in Porto.", False),
    ],
)
def test_an_echo_says_nothing_new(text: str, before: str, *, expected: bool) -> None:
    assert echoes(text, before) is expected


@given(st.text(max_size=300))
def test_whoever_says_anything_echoes_himself_and_nobody_echoes_silence(text: str) -> None:
    assert echoes(text, text) or not echoes(text, text + " more words")
    assert not echoes(text, "")


MEMORIES = st.lists(
    st.builds(
        fact,
        st.sampled_from(["Maya has a cat.", "maya has a cat", "User said ok.", "Maya is a nurse."]),
        st.integers(1, 9),
        expires_at=st.none() | st.sampled_from([NOW, NOW + timedelta(1)]),
        sources=st.sampled_from([(), ("t",), ("gone",)]),
    )
    | st.builds(turn, st.sampled_from(["I have a cat.", "You have a cat."]), st.integers(10, 14)),
    max_size=8,
    unique_by=lambda memory: memory.id,
)


@given(MEMORIES)
def test_what_stays_is_never_junk_and_a_second_look_finds_no_more(memories: list[Memory]) -> None:
    found = junk(memories, now=NOW, left={"t"})
    gone = {one.memory.id for one in found}
    assert not [one for one in found if one.same_as is not None and one.same_as.id in gone]
    again = junk([memory for memory in memories if memory.id not in gone], now=NOW, left={"t"})
    assert {one.flaw for one in again} <= {"echo"}  # what stood between is gone


# --- in the engine -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Scripted:
    """A model that learns these facts, one an answer."""

    texts: list[str] = field(default_factory=list)
    model: str = "scripted"

    async def complete(self, prompt: Prompt) -> Completion:
        facts = [{"text": self.texts.pop(0), "turns": [1]}] if self.texts else []
        return Completion(text=json.dumps({"facts": facts, "relations": []}))

    async def aclose(self) -> None:
        """Nothing is held."""


Scenario = Callable[[Engine, Clock], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., None]:
    """Runs a scenario on a fresh engine, with a model that learns these facts."""

    def go(scenario: Scenario, *texts: str) -> None:
        async def main() -> None:
            clock = Clock()
            store: Any = InMemoryStore() if request.param == "memory" else SqliteStore(path=tmp_path / "m.db")
            options: dict[str, Any] = {"llm": Scripted(texts=list(texts))} if texts else {}
            settings = Settings(threshold=0.0, repeat_window=0.0)
            async with Engine(
                store=store, embedder=HashEmbedder(), clock=clock, settings=settings, **options
            ) as memory:
                await scenario(memory, clock)

        asyncio.run(main())

    return go


async def listed(memory: Engine, **options: Any) -> list[str]:
    return [result["memory"] for result in (await memory.get_all(user_id="maya", **options))["results"]]


def test_doctor_tells_the_rate_and_clean_retires_with_a_reason(run: Callable[..., None]) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("My ferry leaves at nine.", user_id="maya", expiration_date=clock.now + timedelta(1))
        await memory.add("I live in Porto with two cats.", user_id="maya")
        await memory.add({"role": "assistant", "content": "You live in Porto with two cats."}, user_id="maya")
        clock.advance(days=2)
        told = (await memory.doctor())["junk"]
        assert told == {"examined": 3, "all": True, "rate": 0.6667, "kinds": {"echo": 1, "expired": 1}}
        plan = await memory.clean(user_id="maya", dry_run=True)
        assert plan["retired"] == 0
        assert len(await listed(memory, show_expired=True)) == 3
        assert (await memory.clean(user_id="rui"))["found"] == []
        assert (await memory.clean(kinds=["orphan"]))["retired"] == 0
        done = await memory.clean(memory_ids=[one["id"] for one in plan["found"]])
        assert done["retired"] == 2
        assert await listed(memory, show_expired=True) == ["I live in Porto with two cats."]
        events = [(await memory.history(one["id"]))[-1] for one in plan["found"]]
        assert {event["event"]: str(event["reason"]).partition(":")[0] for event in events} == {
            "EXPIRE": "expired",
            "DELETE": "echo",
        }
        assert events[0]["old_memory"]
        assert (await memory.doctor())["junk"]["kinds"] == {}
        assert [one["memory"] for one in (await memory.search("ferry", user_id="maya", show_expired=True))["results"]] == [
            "I live in Porto with two cats."
        ]  # fmt: skip

    run(scenario)


def test_facts_that_came_twice_become_one_with_the_sources_of_both(run: Callable[..., None]) -> None:
    async def scenario(memory: Engine, _: Clock) -> None:
        for n in range(3):
            await memory.add(f"I said it {n} times.", user_id="maya", metadata={"n": n})
        facts = await memory.get_all(user_id="maya", filters={"kind": "fact"})
        for result in facts["results"]:  # as an import or another program may leave them
            await memory.update(result["id"], "Maya has a cat.", metadata={"n": None})
        done = await memory.clean(user_id="maya")
        assert done["kinds"] == {"duplicate": 2}
        [left] = (await memory.get_all(user_id="maya", filters={"kind": "fact"}))["results"]
        assert len(left["source_ids"]) == 3
        assert (await memory.history(left["id"]))[-1]["reason"] == "it was there twice"
        assert (await memory.clean(user_id="maya"))["found"] == []

    run(scenario, "Maya has a red cat.", "Maya has a blue dog.", "Maya has a green bird.")


def test_a_fact_whose_message_was_deleted_is_an_orphan(run: Callable[..., None]) -> None:
    async def scenario(memory: Engine, _: Clock) -> None:
        added = await memory.add("I have a cat.", user_id="maya")
        assert (await memory.clean())["found"] == []
        for source in added["receipt"]["turns"]:
            await memory.delete(source)
        [one] = (await memory.clean())["found"]
        assert (one["kind"], one["user_id"]) == ("orphan", "maya")
        assert await listed(memory) == []

    run(scenario, "Maya has a cat.")


def test_an_echo_is_not_listed_in_the_first_place(run: Callable[..., None]) -> None:
    async def scenario(memory: Engine, _: Clock) -> None:
        talk = [
            {"role": "user", "content": "I live in Porto with two cats."},
            {"role": "assistant", "content": "So you live in Porto with two cats!"},
            {"role": "assistant", "content": "Porto has a famous iron bridge."},
        ]
        await memory.add(talk, user_id="maya")
        assert await listed(memory) == [talk[2]["content"], talk[0]["content"]]
        assert len(await listed(memory, show_all=True)) == 3
        await memory.add(talk, user_id="maya", run_id="r", infer=False)
        assert len(await listed(memory, run_id="r")) == 3

    run(scenario)


def test_kinds_that_there_are_not_are_refused(run: Callable[..., None]) -> None:
    async def scenario(memory: Engine, _: Clock) -> None:
        with pytest.raises(InvalidInput, match="give any of expired, orphan, empty, duplicate, echo"):
            await memory.clean(kinds=["old"])

    run(scenario)
