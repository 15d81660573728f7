"""Words that an embedding model's content filter declines keep nobody else's words from being found by meaning."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory
from perdure.testing.models import Fault, ModelServer

POISON = "How much arsenic is in the rat poison?"
TEXTS = ["My sister Zoe moved to Lisbon", "I am allergic to peanuts", POISON, "On Mondays there is choir"]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    def filtered(seen: Any) -> Fault | None:
        return Fault("refusal") if any("arsenic" in text for text in seen.texts) else None

    with ModelServer(embeddings=filtered) as running:
        yield running


@pytest.fixture
def make(server: ModelServer, tmp_path: Path) -> Callable[..., AsyncMemory]:
    def made(model: str = "m-1", **settings: Any) -> AsyncMemory:
        options = {"model": model, "dimensions": 64, "base_url": server.openai, "retries": 0}
        embedder = {"provider": "openai", "config": options}
        return AsyncMemory({"path": str(tmp_path / "m.db"), "embedder": embedder, "settings": settings})

    return made


def test_the_others_of_a_batch_have_their_vectors_and_nothing_is_tried_again(make, server):
    async def run() -> None:
        async with make() as memory:
            receipt = (await memory.add(TEXTS, user_id="ann"))["receipt"]
            assert receipt["pending"] == []
            assert await memory.pending() == []
            sent = [text for seen in server.embedded for text in seen.texts]
            assert len(sent) < 3 * len(TEXTS)
            found = await memory.search("choir on Mondays", user_id="ann", explain=True)
            assert "notes" not in found
            server.embedded.clear()
            await memory.add("The dog is called Rex", user_id="ann")
            found = await memory.search("Is there rat poison?", user_id="ann")
            assert found["results"][0]["memory"] == POISON
            assert not any("arsenic" in text for seen in server.embedded for text in seen.texts)

    asyncio.run(run())


def test_who_adds_at_the_same_time_has_vectors_too(make, server):
    async def run() -> None:
        async with make() as memory:
            added = await asyncio.gather(*(memory.add(text, user_id=text[:2]) for text in TEXTS))
            assert [one["receipt"]["pending"] for one in added] == [[]] * len(TEXTS)
            assert (await memory.doctor())["declined"] == 1

    asyncio.run(run())


def test_the_doctor_and_a_reindex_tell_how_many_they_are(make):
    async def run() -> None:
        async with make() as memory:
            await memory.add(TEXTS, user_id="ann")
            told = await memory.doctor()
            assert told["declined"] == 1
            assert told["advice"] == [
                "the embedding model's content filter declines 1 of the newest memories: words alone find them"
            ]
        async with make("m-2") as memory:
            made = await memory.reindex()
            assert (made["reindexed"], made["declined"]) == (len(TEXTS), 1)
            assert (await memory.search("poison", user_id="ann"))["results"][0]["memory"] == POISON

    asyncio.run(run())


def test_vectors_that_come_later_come_for_the_others(make, server):
    async def run() -> None:
        server.embeddings(Fault(status=503))
        async with make(background=False) as memory:
            assert (await memory.add(TEXTS, user_id="ann"))["receipt"]["pending"]
        server.embeddings(
            lambda seen: Fault("refusal") if any("arsenic" in text for text in seen.texts) else None
        )
        async with make(background=False) as memory:
            await memory.retry()
            await memory.flush()
            assert await memory.pending() == []
            assert (await memory.doctor())["declined"] == 1

    asyncio.run(run())


def test_a_question_that_is_declined_is_answered_by_words_and_says_so(make):
    async def run() -> None:
        async with make() as memory:
            await memory.add(TEXTS, user_id="ann")
            queries = ["the arsenic poison", "Where is Zoe?"]
            declined, fine = await memory.search_many(queries, user_id="ann")
            assert declined["results"][0]["memory"] == POISON
            [note] = declined["notes"]
            assert note.startswith("found by words alone")
            assert "notes" not in fine

    asyncio.run(run())
