"""Categories by nearness, measured with the local model on sentences that were written for this."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from perdure.embedders.local import LocalEmbedder
from perdure.engine.categories import LEFTOVER, MOST, Categories
from perdure.engine.embedding import vectors_of
from perdure.engine.memory import Engine
from perdure.settings import CATEGORIES, Settings
from perdure.stores.memory import InMemoryStore

CHOSEN_ON: dict[str, str] = {
    "My name is Jonas and I was born in Riga in 1988.": "personal_details",
    "I am 34 years old and I come from Peru.": "personal_details",
    "My birthday is on the third of March.": "personal_details",
    "My sister Ines studies law.": "family",
    "My parents are visiting us with my little brother.": "family",
    "Our daughter lost her first tooth.": "family",
    "I work as a nurse at the harbour clinic.": "professional_details health",
    "My boss wants the quarterly report by Monday.": "professional_details",
    "I got promoted to lead engineer at my company.": "professional_details milestones",
    "I play football with my team every Thursday.": "sports",
    "She trains for the marathon in October.": "sports health",
    "Our club lost the basketball final.": "sports",
    "We flew to Lisbon and stayed near the river.": "travel",
    "I plan a trip to Japan in spring.": "travel",
    "The hotel in Rome was lovely.": "travel",
    "I cooked lentil soup with carrots tonight.": "food",
    "I am vegetarian and avoid cheese.": "food health user_preferences",
    "That Thai restaurant has the best noodles.": "food",
    "I take my coffee black.": "food user_preferences",
    "I play the cello in an orchestra.": "music",
    "We went to a jazz concert last night.": "music entertainment",
    "He listens to punk records all day.": "music",
    "I am allergic to peanuts.": "health food",
    "The doctor gave me pills for my blood pressure.": "health",
    "I sleep badly and have headaches.": "health",
    "My laptop runs Linux and I write Rust.": "technology",
    "The new phone has a broken screen.": "technology",
    "We deploy the service with Docker.": "technology professional_details",
    "I collect stamps and build model ships.": "hobbies",
    "On Sundays we play board games.": "hobbies",
    "Knitting scarves keeps me calm.": "hobbies fashion",
    "I bought a green silk dress and leather boots.": "fashion",
    "She wears only black clothes.": "fashion",
    "We watched a horror film yesterday.": "entertainment",
    "I am reading a novel by Le Guin.": "entertainment hobbies",
    "That series has four seasons.": "entertainment",
    "We got married in June.": "milestones family",
    "I graduated from university last week.": "milestones",
    "We moved into our first own house.": "milestones personal_details",
    "I prefer short answers without emojis.": "user_preferences",
    "I hate loud rooms and love quiet mornings.": "user_preferences",
    "Please call me by my first name.": "user_preferences personal_details",
    "Ok, thanks!": "",
    "See you tomorrow then.": "",
    "The gate code is 4711.": "",
    "It rained all afternoon.": "",
    "That makes sense to me.": "",
    "What do you think about it?": "",
    "The river is wide and slow here.": "",
    "Let me know if you need anything else.": "",
    "I left the umbrella on the bus.": "",
    "Taxes are due at the end of the month.": "",
    "The paint on the fence is peeling.": "",
    "Wow, that is amazing news!": "",
    "Our neighbour's roof was damaged by the storm.": "",
    "I forgot where I put it.": "",
    "Prime numbers have two divisors.": "",
    "He said it was a long story.": "",
    "The bill came to forty euros.": "",
    "Can you repeat that, please?": "",
}
"""Sentences and every category that is right for them; the bounds were chosen on these."""

HELD_OUT: dict[str, str] = {
    "I was born in Oslo and my passport says Norwegian.": "personal_details",
    "My grandmother turns ninety, all cousins will come.": "family milestones",
    "My wife and I have twin boys.": "family",
    "I was a teacher before I became a lawyer.": "professional_details",
    "My colleagues at the bank are kind.": "professional_details",
    "I swim forty lengths every morning.": "sports health",
    "The goalkeeper of our hockey team broke his arm.": "sports health",
    "We drove through Morocco in a van.": "travel",
    "My flight to Berlin leaves on Friday.": "travel",
    "I bake sourdough bread on Saturdays.": "food hobbies",
    "We had sushi for dinner.": "food",
    "I learn to play the guitar.": "music hobbies",
    "Her band records a second album.": "music",
    "I have asthma and carry an inhaler.": "health",
    "The dentist pulled a tooth.": "health",
    "I reinstalled Windows on my computer.": "technology",
    "Our app is written in Python.": "technology",
    "I grow tomatoes and paint watercolours.": "hobbies",
    "I like chess puzzles in the evening.": "hobbies user_preferences",
    "I wear silver earrings and a red scarf.": "fashion",
    "The new jeans are too tight.": "fashion",
    "The cinema showed an old comedy.": "entertainment",
    "I finished the third book of the trilogy.": "entertainment hobbies",
    "Our baby was born on Sunday.": "milestones family",
    "She passed her final exam with honours.": "milestones",
    "I dislike long emails.": "user_preferences",
    "Do you see what I mean?": "",
    "No problem at all.": "",
    "The key is under the flowerpot.": "",
    "The train was eleven minutes late.": "travel",
    "There are seven chairs in the hall.": "",
    "The lamp flickers when it is cold.": "",
    "Sure, go ahead.": "",
    "I will think it over and come back to you.": "",
    "The letter arrived on Tuesday.": "",
    "The bridge is closed until noon.": "travel",
    "It costs twelve euros a month.": "",
    "The dog barked all night.": "",
}
"""Written after the bounds were chosen."""


@pytest.fixture(scope="module")
def local() -> LocalEmbedder:
    return LocalEmbedder()


async def learned(embedder: LocalEmbedder, described: dict[str, str] | None = None) -> Categories:
    categories = Categories(described, near=embedder.nearness)
    categories.learn(await vectors_of(embedder, categories.unknown))
    return categories


@pytest.mark.parametrize("sentences", [CHOSEN_ON, HELD_OUT], ids=["chosen on", "held out"])
def test_most_that_is_told_is_right_and_nothing_is_told_of_nothing(
    local: LocalEmbedder, sentences: dict[str, str]
) -> None:
    async def main() -> list[tuple[str, ...]]:
        categories = await learned(local)
        vectors = await local.embed(list(sentences))
        return [categories.of(vector[None]) for vector in vectors]

    told = asyncio.run(main())
    right = [set(names.split()) for names in sentences.values()]
    given_right = sum(len(set(got) & of) for got, of in zip(told, right, strict=True))
    precision = given_right / sum(map(len, told))
    about = [bool(set(got) & of) for got, of in zip(told, right, strict=True) if of]
    quiet = [not got for got, of in zip(told, right, strict=True) if not of]
    print(f"precision {precision:.2f}, found {np.mean(about):.2f}, quiet {np.mean(quiet):.2f}")
    assert precision >= 0.8
    assert np.mean(about) >= 0.7
    assert np.mean(quiet) >= 0.8


def test_categories_of_ones_own_are_told_apart_even_when_there_is_only_one(local: LocalEmbedder) -> None:
    async def main() -> None:
        boats = await learned(local, {"boats": "ships, sailing, harbours, boats"})
        texts = ["We sailed our boat into the harbour.", "My sister studies law."]
        vectors = await local.embed(texts)
        assert [boats.of(vector[None]) for vector in vectors] == [("boats",), ()]

    asyncio.run(main())


VECTORS = arrays.arrays(np.float32, (3, 8), elements=st.floats(-1, 1, width=32))


@given(VECTORS)
def test_two_at_most_are_told_and_never_the_leftover(vectors: NDArray[np.float32]) -> None:
    categories = Categories(None, near=0.12)
    categories.learn(list(np.eye(len(categories.unknown), 8, dtype=np.float32)[:, None]))
    told = categories.of(vectors)
    assert len(told) <= MOST
    assert set(told) <= CATEGORIES.keys() - {LEFTOVER}


def test_nothing_is_told_before_the_descriptions_are_known_and_by_models_that_were_not_measured() -> None:
    assert Categories(None, near=0.12).of(np.ones((1, 8), np.float32)) == ()
    assert Categories(None, near=None).unknown == ()
    assert Categories({}, near=0.12).unknown == ()
    assert Categories({LEFTOVER: "anything else"}, near=0.12).unknown == ()


# --- in the engine -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Counting:
    """The local model, and how many texts each call had."""

    inner: LocalEmbedder = field(default_factory=LocalEmbedder)
    calls: list[int] = field(default_factory=list)

    @property
    def model(self) -> str:
        return self.inner.model

    @property
    def dimensions(self) -> int:
        return self.inner.dimensions

    @property
    def nearness(self) -> float:
        return self.inner.nearness

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(len(texts))
        return await self.inner.embed(texts)

    async def aclose(self) -> None:
        await self.inner.aclose()


def run(scenario: Callable[[Engine, Counting], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        embedder = Counting()
        async with Engine(store=InMemoryStore(), embedder=embedder, settings=Settings(**settings)) as memory:
            await scenario(memory, embedder)

    asyncio.run(main())


async def sorted_into(memory: Engine, **options: Any) -> list[list[str]]:
    listed = await memory.get_all(user_id="maya", show_all=True, **options)
    return [result["categories"] for result in listed["results"]]


SOUP = "I cooked lentil soup with carrots tonight."


def test_what_nobody_sorted_is_sorted_and_can_be_filtered_and_the_caller_has_the_last_word() -> None:
    async def scenario(memory: Engine, _: Counting) -> None:
        await memory.add(SOUP, user_id="maya")
        await memory.add("We had noodles for dinner.", user_id="maya", categories=["evenings"])
        await memory.add("Ok, thanks!", user_id="maya")
        assert await sorted_into(memory) == [[], ["evenings"], ["food"]]
        hits = (await memory.search("soup", user_id="maya", categories=["food"]))["results"]
        assert [hit["memory"] for hit in hits] == [SOUP]

    run(scenario)


def test_messages_kept_as_they_are_are_not_sorted() -> None:
    async def scenario(memory: Engine, _: Counting) -> None:
        await memory.add(SOUP, user_id="maya", infer=False)
        assert await sorted_into(memory) == [[]]

    run(scenario)


def test_the_switch_turns_it_off_and_costs_nothing_then() -> None:
    async def scenario(memory: Engine, embedder: Counting) -> None:
        await memory.add(SOUP, user_id="maya")
        assert await sorted_into(memory) == [[]]
        assert embedder.calls == [1]

    run(scenario, categorize=False)


def test_an_add_is_one_call_of_the_embedder_and_the_descriptions_go_with_the_first() -> None:
    async def scenario(memory: Engine, embedder: Counting) -> None:
        for n in range(3):
            await memory.add([f"Apple pie number {n}.", "The gate is blue."], user_id="maya")
        described = len(CATEGORIES) - 1
        assert embedder.calls == [2 + described, 2, 2]

    run(scenario)


def test_categories_are_counted_of_what_is_listed() -> None:
    async def scenario(memory: Engine, _: Counting) -> None:
        await memory.add([SOUP, "We had noodles.", "We fly to Rome."], user_id="maya", categories=["a"])
        await memory.add("We fly to Oslo.", user_id="maya", categories=["b", "c"])
        await memory.add("Ok!", user_id="maya", categories=["b"])
        await memory.add(SOUP, user_id="rui", categories=["b"])
        assert list((await memory.categories(user_id="maya")).items()) == [("a", 3), ("b", 1), ("c", 1)]
        assert await memory.categories() == {"a": 3, "b": 2, "c": 1}
        assert await memory.categories(user_id="maya", filters={"categories": "c"}) == {"b": 1, "c": 1}

    run(scenario)
