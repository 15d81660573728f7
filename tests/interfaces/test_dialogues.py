"""Conversations, from what is said over a model's answer to what is known: SQLite, HTTP, both embedders."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.assemble import parts
from perdure.blocking import Blocking
from perdure.config import Config
from perdure.engine.memory import Engine
from perdure.errors import ConfigurationError
from perdure.testing.dialogues import Dialogue, Expected, Held, play, read_dialogues
from perdure.testing.dialogues.model import shown
from perdure.testing.fakes import Clock
from perdure.testing.models import ModelServer, SeenPrompt

DIALOGUES = read_dialogues(Path(__file__).parents[1] / "dialogues")


class TimedAsync(AsyncMemory):
    """The real thing, but for its clock."""

    def __init__(self, config: Any, clock: Callable[[], Any]) -> None:
        self.config = Config.of(config)
        Engine.__init__(self, **parts(self.config), clock=clock)


class Timed(Memory):
    """Its blocking face."""

    def __init__(self, config: Any, clock: Callable[[], Any]) -> None:
        Blocking.__init__(self, lambda: TimedAsync(config, clock))


def opened(path: Path, embedder: str, url: str, clock: Clock) -> Timed:
    llm = {"provider": "openai", "model": "scripted", "base_url": url, "retries": 0}
    return Timed({"path": str(path / "memory.db"), "embedder": embedder, "llm": llm}, clock)


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: f"{dialogue.theme}: {dialogue.name}")
def test_a_dialogue_leaves_behind_what_it_should(dialogue: Dialogue, tmp_path: Path) -> None:
    play(dialogue, partial(opened, tmp_path, "hash"))


LOCAL = [dialogue for dialogue in DIALOGUES if dialogue.theme in ("changes", "languages")]


@pytest.mark.parametrize("dialogue", LOCAL, ids=lambda dialogue: f"{dialogue.theme}: {dialogue.name}")
def test_a_dialogue_ends_the_same_with_the_local_model(dialogue: Dialogue, tmp_path: Path) -> None:
    play(dialogue, partial(opened, tmp_path, "local"))


def test_a_difference_is_told_line_by_line(tmp_path: Path) -> None:
    """The player itself: what is missing, what is too many, and which receipt is another."""
    [dialogue] = [one for one in DIALOGUES if one.name.startswith("Who moves twice")]
    first = replace(dialogue.steps[0], events=("NONE",), pending=True)
    expected = Expected(
        current=(Held(text="User lives in Tromsø.", since="2025-11-16"),), forbidden=("oslo",)
    )
    wrong = replace(dialogue, steps=(first, *dialogue.steps[1:]), expect=(expected,))
    with pytest.raises(AssertionError) as caught:
        play(wrong, partial(opened, tmp_path, "hash"))
    assert str(caught.value).splitlines() == [
        "moves: Who moves twice has had three homes, one after the other",
        "step 1, events:",
        "step 1,   wanted NONE",
        "step 1,   found  ADD  User lives in Oslo.",
        "step 1, pending: wanted something, found []",
        "current (user_id ann):",
        "  - User lives in Tromsø.  [since='2025-11-16T00:00:00+00:00']",
        "  + User lives in Tromsø.  [since='2025-11-15T00:00:00+00:00']",
        "past (user_id ann):",
        "  + User lives in Bergen.",
        "  + User lives in Oslo.",
        "with 'oslo' (user_id ann):",
        "  + User lives in Oslo.",
    ]


def test_a_slip_in_a_dialogue_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "slips.toml"
    path.write_text('[[dialogue]]\nname = "A slip"\nsteps = [{ sya = "hello" }]\n', encoding="utf-8")
    with pytest.raises(
        ConfigurationError, match="step 1 of 'A slip' has no option 'sya': did you mean 'say'"
    ):
        read_dialogues(path)


# Many at once, and many of the same.


def told(text: str, subject: str, attribute: str, **fields: Any) -> dict[str, Any]:
    return {"text": text, "turns": [1], "subject": subject, "attribute": attribute, "action": "add"} | fields


async def listed(memory: AsyncMemory, user: str) -> list[str]:
    found = await memory.get_all(user_id=user, limit=1_000)
    return [result["memory"] for result in found["results"]]


def config(path: Path, server: ModelServer, embedder: str = "hash") -> dict[str, Any]:
    llm = {"provider": "openai", "model": "scripted", "base_url": server.openai, "retries": 0}
    return {"path": str(path / "memory.db"), "embedder": embedder, "llm": llm}


@pytest.mark.parametrize("dated", [False, True])
def test_five_identical_adds_at_once_make_one_fact(tmp_path: Path, *, dated: bool) -> None:
    """Sent twice by accident they are one add; said at five times, five that confirm one fact."""

    async def scenario(server: ModelServer) -> None:
        async with AsyncMemory(config(tmp_path, server)) as memory:
            times = [f"2026-01-05T12:00:0{n}Z" if dated else None for n in range(5)]
            answers = await asyncio.gather(
                *(memory.add("I keep a tortoise.", user_id="ann", timestamp=time) for time in times)
            )
            assert await listed(memory, "ann") == ["User keeps a tortoise."]
            assert len(server.seen) == (5 if dated else 1)
            assert [answer["receipt"]["repeated"] for answer in answers].count(True) == (0 if dated else 4)
            [fact] = (await memory.get_all(user_id="ann"))["results"]
            assert len(fact["source_ids"]) == (5 if dated else 1)
            assert await memory.pending() == []
            assert (await memory.doctor())["problems"] == []

    answer = {"facts": [told("User keeps a tortoise.", "User", "pet")]}
    with ModelServer(answer, latency=0.05) as server:
        asyncio.run(scenario(server))


def test_adds_of_one_partition_are_reconciled_in_order_however_late_their_answers_come(
    tmp_path: Path,
) -> None:
    """Of eight answers each comes before the one that was asked for earlier; the first adds, the others confirm."""

    def latency(seen: SeenPrompt) -> float:
        return 0.02 * (8 - int(shown(seen)["T1"]["text"][-1]))

    def answer(seen: SeenPrompt) -> dict[str, Any]:
        number = shown(seen)["T1"]["text"][-1]
        return {
            "facts": [told("User plays go.", "User", "game"), told(f"User won game {number}.", "User", "won")]
        }

    async def scenario(server: ModelServer) -> None:
        async with AsyncMemory(config(tmp_path, server)) as memory:
            adds = [memory.add(f"I won at go: game {n}", user_id="ann") for n in range(8)]
            answers = await asyncio.gather(*adds)
            events = [[result["event"] for result in added["results"]] for added in answers]
            assert events == [["ADD", "ADD"], *[["UPDATE", "ADD"]] * 7]
            records = [record async for record in memory.export_records(user_id="ann")]
            facts = {r["ord"]: r["text"] for r in records if r["type"] == "memory" and r["kind"] == "fact"}
            won = [facts[ord_] for ord_ in sorted(facts) if facts[ord_].startswith("User won")]
            assert won == [f"User won game {n}." for n in range(8)]
            [game] = [r for r in (await memory.get_all(user_id="ann"))["results"] if "go" in r["memory"]]
            assert game["source_ids"] == [added["receipt"]["turns"][0] for added in answers]

    with ModelServer(answer, latency=latency) as server:
        asyncio.run(scenario(server))


WORDINGS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("User", "home"): (
        "User lives in Lisbon.",
        "User is living in Lisbon.",
        "The user lives in Lisbon.",
        "User currently lives in Lisbon.",
        "User lives in Lisbon now.",
        "User's home is in Lisbon.",
        "User resides in Lisbon.",
        "User has a home in Lisbon.",
        "Lisbon is where User lives.",
        "User's place of residence is Lisbon.",
    ),
    ("User", "job"): (
        "User works as a nurse.",
        "User is working as a nurse.",
        "The user works as a nurse.",
        "User still works as a nurse.",
        "User currently works as a nurse.",
        "User is a nurse.",
        "User is employed as a nurse.",
        "User's job is nursing.",
        "User is a nurse by profession.",
        "User's profession is nurse.",
    ),
    ("User", "allergy"): (
        "User is allergic to peanuts.",
        "The user is allergic to peanuts.",
        "User is still allergic to peanuts.",
        "User is allergic to peanuts, seriously.",
        "User is also allergic to peanuts.",
        "User has a peanut allergy.",
        "User has an allergy to peanuts.",
        "User suffers from a peanut allergy.",
        "User has been diagnosed with a peanut allergy.",
        "Peanuts cause User an allergic reaction.",
    ),
    ("Biscuit", "name"): (
        "User has a dog called Biscuit.",
        "The user has a dog called Biscuit.",
        "User still has a dog called Biscuit.",
        "User's dog is called Biscuit.",
        "User now has a dog called Biscuit.",
        "User has a dog named Biscuit.",
        "User owns a dog called Biscuit.",
        "The name of User's dog is Biscuit.",
        "User's dog is named Biscuit.",
        "User's dog's name is Biscuit.",
    ),
    ("User", "instrument"): (
        "User plays the cello.",
        "User is playing the cello.",
        "The user plays the cello.",
        "User can play the cello.",
        "User plays cello.",
        "User is a cellist.",
        "The cello is User's instrument.",
        "User makes music on the cello.",
        "User knows how to play the cello.",
        "User's instrument is the cello.",
    ),
    ("User", "diet"): (
        "User does not eat meat.",
        "User doesn't eat meat.",
        "User does not eat any meat.",
        "The user does not eat meat.",
        "User does not eat meat at all.",
        "User is not a meat eater.",
        "User never eats meat.",
        "Meat is not eaten by User.",
        "User will not eat meat.",
        "Meat is not something User eats.",
    ),
    ("User", "car"): (
        "User drives a red Volvo.",
        "User is driving a red Volvo.",
        "The user drives a red Volvo.",
        "User still drives a red Volvo.",
        "User currently drives a red Volvo.",
        "User's car is a red Volvo.",
        "User has a red Volvo.",
        "User owns a red Volvo.",
        "A red Volvo is what User drives.",
        "User goes around in a red Volvo.",
    ),
    ("User", "sister"): (
        "User's sister Mara studies law in Vienna.",
        "The user's sister Mara studies law in Vienna.",
        "User's sister Mara is studying law in Vienna.",
        "User's sister Mara is now studying law in Vienna.",
        "User's sister Mara currently studies law in Vienna.",
        "User's sister Mara is a law student in Vienna.",
        "In Vienna, User's sister Mara studies law.",
        "User's sister Mara reads law in Vienna.",
        "Law is what User's sister Mara studies in Vienna.",
        "User's sister Mara does a law degree in Vienna.",
    ),
    ("User", "marathon"): (
        "User ran the Berlin marathon in 2023.",
        "The user ran the Berlin marathon in 2023.",
        "User ran the Berlin marathon in the year 2023.",
        "User ran in the Berlin marathon in 2023.",
        "User also ran the Berlin marathon in 2023.",
        "User took part in the Berlin marathon in 2023.",
        "User finished the Berlin marathon in 2023.",
        "In 2023, User ran the Berlin marathon.",
        "User completed the Berlin marathon in 2023.",
        "User competed in the Berlin marathon in 2023.",
    ),
    ("User", "seat"): (
        "User prefers a window seat on flights.",
        "The user prefers a window seat on flights.",
        "User prefers the window seat on flights.",
        "User still prefers a window seat on flights.",
        "User also prefers a window seat on flights.",
        "User likes window seats on flights.",
        "On flights User wants a window seat.",
        "User always books a window seat on flights.",
        "User's favourite place on flights is a window seat.",
        "User likes to sit at the window on flights.",
    ),
}
"""Ten facts, each in ten wordings: five in nearly the same words, five in others."""
ADDS = 1_000 if os.environ.get("PERDURE_SOAK") else 300
"""A thousand take about ten seconds."""


def test_many_adds_of_ten_facts_in_ten_wordings_list_at_most_fifteen(tmp_path: Path) -> None:
    """A model repeats itself in nearly the same words without a word of it, and knows other words as a repetition."""
    said = [
        (claim, wording, number)
        for number in range(10)
        for claim, wordings in WORDINGS.items()
        for wording in wordings
    ]
    random.Random(7).shuffle(said)
    said.sort(key=lambda one: one[1] != WORDINGS[one[0]][0] or one[2] > 0)  # each is told plainly first

    def answer(seen: SeenPrompt) -> dict[str, Any]:
        lines = shown(seen)
        claim, wording, _ = said[int(lines["T1"]["text"].rpartition(" ")[2])]
        fact = told(wording, *claim)
        known = [int(n[1:]) for n, line in lines.items() if n[0] == "M" and line["text"] in WORDINGS[claim]]
        if WORDINGS[claim].index(wording) >= 5 and known:
            fact |= {"action": "confirm", "memory": known[0]}
        return {"facts": [fact]}

    async def scenario(server: ModelServer) -> None:
        async with AsyncMemory(config(tmp_path, server, "local")) as memory:
            for number, (_, wording, _) in enumerate(said[:ADDS]):
                await memory.add(f"{wording} As I said, {number}", user_id="ann")
            facts = await listed(memory, "ann")
            assert len(facts) <= 15, facts
            assert {claim for claim, wordings in WORDINGS.items() if set(wordings) & set(facts)} == set(
                WORDINGS
            )
            assert (await memory.doctor())["problems"] == []

    with ModelServer(answer) as server:
        asyncio.run(scenario(server))
