"""An embedder that embeds questions in another way is asked so by searches, and by nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import numpy as np
import pytest

from perdure.caches.memory import MemoryCache
from perdure.engine.memory import Engine
from perdure.errors import Unavailable
from perdure.ports.caches import Caches
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Embeds a question as what answers it: nothing but its meaning finds it."""

    dimensions: int = 384
    model: str = "asking/1"
    texts: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    down: list[bool] = field(default_factory=list)

    async def embed(self, texts):
        self.texts.extend(texts)
        return await HashEmbedder().embed(texts)

    async def embed_queries(self, texts):
        self.questions.extend(texts)
        if self.down:
            raise Unavailable("told to fail")
        return await HashEmbedder().embed([text.replace("Where", "Maya moved to Lisbon") for text in texts])

    async def aclose(self):
        pass


class AskingHere(Asking):
    """The same in this process."""

    at_once = 1


@pytest.fixture(params=["bare", "cached", "stored"])
def engine(request, tmp_path):
    def make(embedder) -> Engine:
        cached = Caches(vectors=MemoryCache(max_bytes=1 << 20))
        store = SqliteStore(path=tmp_path / "m.db") if request.param == "stored" else InMemoryStore()
        return Engine(store=store, embedder=embedder, caches=cached if request.param == "cached" else None)

    return make


@pytest.mark.parametrize("kind", [Asking, AskingHere])
def test_questions_and_texts_go_their_own_ways(engine, kind):
    asking = kind()

    async def run() -> None:
        async with engine(asking) as memory:
            await memory.add("Maya moved to Lisbon", user_id="maya", infer=False)
            before = list(asking.texts)
            found = await memory.search("Where", user_id="maya", threshold=0.0, explain=True)
            assert found["results"][0]["memory"] == "Maya moved to Lisbon"
            assert asking.texts == before
            assert asking.questions == ["Where"]

    asyncio.run(run())


def test_the_same_words_as_a_question_and_as_a_text_have_vectors_of_their_own(engine):
    asking = Asking()

    async def run() -> None:
        async with engine(asking) as memory:
            await memory.add("Where", user_id="maya", infer=False)
            for _ in range(2):
                await memory.search("Where", user_id="maya", threshold=0.0)
                [asked] = await memory._caching.questions.embed(["Where"])
                [told] = await memory._caching.embedder.embed(["Where"])
                assert np.abs(asked - told).max() > 0.01

    asyncio.run(run())


def test_a_question_that_cannot_be_embedded_is_answered_by_words(engine):
    asking = Asking(down=[True])

    async def run() -> None:
        async with engine(asking) as memory:
            await memory.add("Maya moved to Lisbon", user_id="maya", infer=False)
            found = await memory.search("Lisbon", user_id="maya")
            assert (len(found["results"]), found["notes"]) == (1, ["found by words alone: told to fail"])

    asyncio.run(run())
