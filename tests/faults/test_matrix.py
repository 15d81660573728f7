"""Each part that a memory rests on, in each kind of trouble: what is said is kept, and made good when all is well."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from tests.faults.between import HTTP, REDIS, TROUBLES, Between, Trouble

from perdure.caches.memory import MemoryCache
from perdure.caches.redis import RedisCache
from perdure.embedders.openai import OpenAIEmbedder
from perdure.engine.memory import Engine
from perdure.graphs.falkordb import FalkorGraph
from perdure.llms.openai import OpenAIModel
from perdure.ports.caches import Caches
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.models import ModelServer, SeenPrompt
from perdure.testing.servers import RedisServer
from perdure.vectors.redis import RedisVectors

PARTS = ("llm", "embedder", "vectors", "graph", "cache")
SHORT = 0.4
"""Seconds that a part in trouble is waited for; time enough for one that is well, but on a very busy machine."""
PATIENCE = 60.0
PENDING = {
    "llm": "facts",
    "embedder": "vectors, tried again later",
    "vectors": "vectors in Redis",
    "graph": "graph in FalkorDB",
    "cache": "",
}
"""What a receipt says is still to come."""


def answer(seen: SeenPrompt) -> dict[str, Any]:
    """Of each message one fact, and a relation."""
    lines = [json.loads(line) for line in seen.content.split("\n")]
    said = [line["text"] for line in lines if line["line"].startswith("T")]
    facts = [
        {
            "text": f"Known is {text}", "turns": [number], "subject": "Ann", "attribute": text,
            "from": None, "to": None, "categories": [], "action": "add", "memory": None,
        }
        for number, text in enumerate(said, 1)
    ]  # fmt: skip
    relations = [
        {"fact": number, "subject": "Ann", "relation": "said", "object": text}
        for number, text in enumerate(said, 1)
    ]
    return {"facts": facts, "relations": relations}


class World:
    """All that a memory can rest on, each part reached through somebody who can spoil it."""

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            model = stack.enter_context(ModelServer(answer, dimensions=48))
            http, redis = urlsplit(model.openai).port, urlsplit(self._redis.url).port
            assert http is not None
            assert redis is not None
            self.ways = {
                part: stack.enter_context(Between(http, HTTP) if part in PARTS[:2] else Between(redis, REDIS))
                for part in PARTS
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *ended: object) -> None:
        self._stack.close()

    def memory(self, path: Path, troubled: str) -> Engine:
        """An engine that does not wait long for the part that will be in trouble."""

        def wait(part: str) -> float:
            return SHORT if part == troubled else PATIENCE

        def http(part: str) -> dict[str, Any]:
            url = f"http://127.0.0.1:{self.ways[part].port}/v1"
            return {
                "model": "m",
                "base_url": url,
                "api_key": "none",
                "retries": 0,
                "rest": 0.05,
                "timeout": wait(part),
            }

        def redis(part: str) -> dict[str, Any]:
            return {"url": f"redis://127.0.0.1:{self.ways[part].port}/0", "timeout": wait(part)}

        return Engine(
            store=SqliteStore(path=path, synchronous="NORMAL"),
            llm=OpenAIModel(**http("llm")),
            embedder=OpenAIEmbedder(**http("embedder"), dimensions=48),
            vectors=RedisVectors(**redis("vectors")),
            graph=FalkorGraph(**redis("graph")),
            caches=Caches(
                answers=MemoryCache(), vectors=MemoryCache(), shared=RedisCache(**redis("cache"), rest=0.05)
            ),
            settings=Settings(engine_wait=PATIENCE, repeat_window=0),
        )


@pytest.fixture
def world(falkordb_server: RedisServer) -> Iterator[World]:
    with World(falkordb_server) as made:
        yield made


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("part", PARTS)
def test_in_any_trouble_what_is_said_is_kept_and_found_and_made_good_later(
    world: World, tmp_path: Path, part: str, trouble: Trouble
) -> None:
    async def run() -> None:
        way, memory = world.ways[part], world.memory(tmp_path / "m.db", part)
        await memory.add("before came rain", user_id="ann")
        assert await found(memory, "before rain") == ({SAID[0]}, [])

        await asyncio.to_thread(way.spoil, trouble)
        added = await memory.add("meanwhile came snow", user_id="ann")
        assert added["receipt"]["stored"] == 1
        pending = added["receipt"]["pending"]
        assert bool(pending) == bool(PENDING[part])
        assert all(one.startswith(PENDING[part]) for one in pending), pending
        texts, notes = await found(memory, "meanwhile snow")
        assert texts == set(SAID[:2])
        assert bool(notes) == (part in ("embedder", "vectors", "graph"))
        async with asyncio.timeout(PATIENCE):  # a part that is left alone is asked again some time later
            for number in itertools.count():
                if way.met or trouble == "refuses":
                    break
                assert (await found(memory, f"snow and rain {number}"))[0] == set(SAID[:2])

        await asyncio.to_thread(way.spoil, None)
        async with asyncio.timeout(PATIENCE):
            while (await memory.flush())["pending"]:
                await memory.retry()
        assert [one["behind"] for one in (await memory.doctor())["engines"]] == [0, 0]
        await memory.add("after came sun", user_id="ann")
        assert await found(memory, "what came after?") == (set(SAID), [])
        held = (await memory.get_all(user_id="ann"))["results"]
        assert sorted(one["memory"] for one in held) == sorted(f"Known is {text}" for text in SAID)
        await memory.close()

    asyncio.run(run())


SAID = ("before came rain", "meanwhile came snow", "after came sun")


async def found(memory: Engine, query: str) -> tuple[set[str], list[str]]:
    """What a search finds, as it was said or as a fact, and what it says it lacked."""
    told = await memory.search(query, user_id="ann", threshold=0.0, top_k=20)
    return {one["memory"].removeprefix("Known is ") for one in told["results"]}, told.get("notes", [])
