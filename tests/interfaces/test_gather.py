"""Programs that call many verbs at once with `asyncio.gather`, as written for mem0 and for Perdure: all run at once."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import perdure
from perdure.http import HttpProvider, Part
from perdure.registry import EMBEDDERS
from perdure.testing.models import ModelServer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SOON = 20.0


@dataclass(frozen=True, kw_only=True)
class OverHttp(HttpProvider):
    """An embedder in OpenAI's dialect."""

    dimensions: int = 64
    model: str = "words/1"

    TITLE: ClassVar[str] = "A server"
    HOME: ClassVar[str] = ""
    KEYS: ClassVar[tuple[str, ...]] = ()

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        import numpy as np

        parts: list[Part] = []
        body = {"model": "words", "input": list(texts), "dimensions": self.dimensions}
        reply = await self._ask("/embeddings", {}, lambda: (body, parts), private=texts)
        return np.array([row["embedding"] for row in reply.body["data"]], np.float32)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer({"facts": [], "relations": []}) as running:
        yield running


@pytest.fixture
def environment(server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a program finds that configures nothing itself: a model and an embedder behind HTTP."""
    monkeypatch.setitem(EMBEDDERS.built_in, "over-http", f"{__name__}:OverHttp")  # type: ignore[attr-defined]  # a dict
    for name, value in {
        "PATH": str(tmp_path / "memory.db"),
        "EMBEDDER": "over-http",
        "EMBEDDER__BASE_URL": server.openai,
        "LLM": "openai",
        "LLM__MODEL": "m",
        "LLM__BASE_URL": server.openai,
    }.items():
        monkeypatch.setenv(f"PERDURE_{name}", value)


@pytest.fixture
def mem0(environment: None) -> Iterator[None]:
    """`mem0` is Perdure, for one test."""
    perdure.install_as_mem0()
    yield
    for name in [name for name in sys.modules if name == "mem0" or name.startswith("mem0.")]:
        del sys.modules[name]


async def all_at_once(call: Awaitable[Any], arrived: Callable[[], int], number: int) -> Any:
    """What the call gives; while nothing is answered, so much of it arrives at the server."""
    task = asyncio.ensure_future(call)
    async with asyncio.timeout(SOON):
        while arrived() < number:
            assert not task.done()
            await asyncio.sleep(0.001)
    assert not task.done()
    return task


def texts(server: ModelServer) -> list[str]:
    return [text for asked in server.embedded for text in asked.texts]


QUERIES = ["preferences", "recent activity", "goals"]


def test_searches_of_mem0s_asynchronous_class_run_at_once(server, mem0):
    from mem0 import AsyncMemory

    async def get_user_context(user_id: str, queries: list[str]) -> list[Any]:
        memory = AsyncMemory()
        return await asyncio.gather(*[memory.search(q, user_id=user_id, limit=3) for q in queries])

    async def main() -> None:
        with server.held():
            contexts = await all_at_once(
                get_user_context("user_123", QUERIES),
                lambda: len(set(texts(server)) & set(QUERIES)),
                len(QUERIES),
            )
            server.release()
            assert [context["results"] for context in await contexts] == [[], [], []]

    asyncio.run(main())


def test_adds_of_mem0s_asynchronous_class_run_at_once(server, mem0):
    from mem0 import AsyncMemory

    async def main() -> None:
        memory = AsyncMemory()

        async def remember(said: Sequence[str]) -> list[Any]:
            return await asyncio.gather(
                *[
                    memory.add(messages=[{"role": "user", "content": text}], user_id="u123", agent_id="a456")
                    for text in said
                ]
            )

        said = [f"I was in country number {number}." for number in range(20)]
        with server.held():
            # of one user, facts are learned in the order in which they were said: the turns are durable meanwhile
            adding = await all_at_once(
                remember(said), lambda: memory.live_stats()["queues"]["calls"]["running"], len(said)
            )
            server.release()
            assert all(made["receipt"]["pending"] == [] for made in await adding)
        assert (await memory.stats())["turns"] == len(said)
        await memory.close()

    asyncio.run(main())


def test_adds_for_many_users_ask_the_model_at_once(server, environment):
    async def main() -> None:
        async with perdure.AsyncMemory() as memory:

            async def batch_add(said: dict[str, str]) -> list[Any]:
                return await asyncio.gather(
                    *(memory.add(text, user_id=user_id) for user_id, text in said.items())
                )

            said = {f"user_{number}": f"I like dish number {number}." for number in range(50)}
            with server.held():
                adding = await all_at_once(batch_add(said), lambda: len(server.seen), len(said))
                server.release()
                assert len(await adding) == 50

    asyncio.run(main())


def test_searches_of_many_users_and_adds_beside_them_run_at_once(server, environment):
    async def main() -> None:
        async with perdure.AsyncMemory() as memory:
            await asyncio.gather(
                *(memory.add(f"I sail boat {n}.", user_id=f"u{n}", infer=False) for n in range(20))
            )
            with server.held():
                asked = len(texts(server))
                calls = asyncio.gather(
                    *(memory.search(f"What about boat {n}?", user_id=f"u{n}") for n in range(20)),
                    *(memory.add(f"I row canoe {n}.", user_id=f"u{n}", infer=False) for n in range(20)),
                )
                waiting = await all_at_once(calls, lambda: len(texts(server)) - asked, 40)
                server.release()
                made = await waiting
            assert [answer["results"][0]["memory"] for answer in made[:20]] == [
                f"I sail boat {n}." for n in range(20)
            ]

    asyncio.run(main())


def test_one_call_of_many_searches_answers_as_many_calls_do(server, environment):
    async def main() -> None:
        async with perdure.AsyncMemory() as memory:
            await memory.add("My goals are to sail and to sing.", user_id="user_123", infer=False)
            one = await memory.search_many(QUERIES, user_id="user_123", limit=5)
            many = await asyncio.gather(*[memory.search(q, user_id="user_123", limit=5) for q in QUERIES])
            assert one == many
            assert many[2]["results"]

    asyncio.run(main())


def test_answers_of_mem0s_blocking_class_may_be_awaited_and_gathered(server, mem0, monkeypatch):
    from mem0 import Memory

    async def demo() -> list[dict[str, Any]]:
        mem = Memory()
        await mem.add(
            messages=[{"role": "user", "content": "What's the weather?"}], user_id="u123", agent_id="a456"
        )
        queries = ("the weather", "the weather", "goals")
        return await asyncio.gather(*[mem.search(query=q, user_id="u123", limit=5) for q in queries])

    for name in ("LLM", "LLM__MODEL", "LLM__BASE_URL"):
        monkeypatch.delenv(f"PERDURE_{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says once that it blocks the loop
        found = asyncio.run(demo())
    assert [[result["memory"] for result in answer["results"]] for answer in found[:2]] == [
        ["What's the weather?"]
    ] * 2
