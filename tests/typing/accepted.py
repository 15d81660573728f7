"""Read by type checkers only: what callers write, and the exact types that they get."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Any, Literal, Protocol, Self, assert_type

from openai import AsyncOpenAI, OpenAI

from perdure import AsyncMemory, Config, Memory, Settings
from perdure.arguments import verb
from perdure.blocking import Blocking, blocking
from perdure.engine.shape import Added, ChangeDict, Context, MemoryDict, Profile, Results
from perdure.ports import Embedder, Store
from perdure.proxy import AsyncPerdure, Perdure, remember
from perdure.registry import EMBEDDERS, STORES
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder


class AsyncShelf:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    @verb
    async def take(
        self, title: str, /, *, copies: int = 1, mode: Literal["keep", "lend"] = "keep"
    ) -> list[str]:
        return [title] * copies

    async def count(self) -> int:
        return 0


class Shelf(Blocking[AsyncShelf]):
    take = blocking(AsyncShelf.take)
    count = blocking(AsyncShelf.count)


class Takes(Protocol):
    """A method with exactly these names, kinds and types."""

    def __call__(
        self, title: str, /, *, copies: int = 1, mode: Literal["keep", "lend"] = "keep"
    ) -> list[str]: ...


class TakesLater(Protocol):
    def __call__(
        self, title: str, /, *, copies: int = 1, mode: Literal["keep", "lend"] = "keep"
    ) -> Coroutine[Any, Any, list[str]]: ...


def a_blocking_verb_has_the_same_arguments_and_gives_what_is_awaited(shelf: Shelf, slow: AsyncShelf) -> None:
    exactly: Takes = shelf.take
    later: TakesLater = slow.take
    counts: Callable[[], int] = shelf.count
    assert_type(shelf.take("x", copies=2, mode="lend"), list[str])
    assert_type(shelf.count(), int)
    assert_type(Shelf.count(shelf), int)
    assert_type(asyncio.run(slow.take("x")), list[str])
    del exactly, later, counts


def a_blocking_object_opens_as_itself() -> None:
    with Shelf(AsyncShelf) as shelf:
        assert_type(shelf, Shelf)
    with Memory() as memory:
        assert_type(memory, Memory)


def the_verbs_of_the_blocking_face_are_typed(memory: Memory, when: datetime) -> None:
    assert_type(memory.add("I moved to Oslo", user_id="sam", metadata={"a": 1}, timestamp=when), Added)
    assert_type(memory.add([{"role": "user", "content": "hello"}], run_id="r"), Added)
    assert_type(memory.search("where?", user_id="sam", top_k=3, filters={"categories": ["home"]}), Results)
    assert_type(memory.search_many(["where?", "when?"], user_id="sam"), list[Results])
    assert_type(memory.context("where?", user_id="sam", format="xml", count_tokens=len), Context)
    assert_type(memory.profile(user_id="sam", budget_tokens=500), Profile)
    assert_type(memory.get("id"), MemoryDict)
    assert_type(memory.get_all(user_id="sam"), Results)
    assert_type(memory.history("id"), list[ChangeDict])
    assert_type(memory.close(), None)


async def the_verbs_of_the_asynchronous_face_are_typed(when: datetime) -> None:
    async with AsyncMemory() as memory:
        assert_type(memory, AsyncMemory)
        assert_type(await memory.add("I moved to Oslo", user_id="sam", timestamp=when), Added)
        assert_type(await memory.search("where?", user_id="sam", threshold=0.2), Results)
        assert_type(await memory.get("id"), MemoryDict)


def results_say_what_is_in_them(found: Results) -> None:
    for result in found["results"]:
        assert_type(result["id"], str)
        assert_type(result["memory"], str)


def configurations_and_registries_are_typed() -> None:
    assert_type(Config.of({"path": "x.db"}).settings, Settings)
    assert_type(STORES.create("memory", {}), Store)
    assert_type(EMBEDDERS.create("hash", {}), Embedder)


def providers_are_what_their_ports_ask_for() -> None:
    stores: list[Store] = [SqliteStore(path="x.db"), InMemoryStore()]
    embedder: Embedder = HashEmbedder()
    del stores, embedder


def a_client_that_remembers_is_of_the_same_type(memory: Memory, other: AsyncMemory) -> None:
    assert_type(remember(OpenAI(), user_id="sam"), OpenAI)
    assert_type(remember(AsyncOpenAI(), memory=other, user_id="sam", finish_streams=False), AsyncOpenAI)
    assert_type(Perdure(client=OpenAI(), memory=memory).memory, Memory)
    with Perdure({"path": "memory.db"}, base_url="http://localhost:11434/v1", top_k=5) as client:
        assert_type(client, Perdure)
        client.chat.completions.create(model="m", messages=[], user_id="sam", temperature=0.0, limit=3)


async def likewise_asynchronous(memory: AsyncMemory) -> None:
    async with AsyncPerdure(memory=memory) as client:
        await client.chat.completions.create("m", [], user_id="sam", metadata={"a": 1}, stream=True)
