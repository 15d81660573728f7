"""Read by type checkers only: each line that ends in `# refused` has to be an error, and no other may be."""

from __future__ import annotations

from typing import Self

from perdure import AsyncMemory, Memory
from perdure.blocking import Blocking, blocking
from perdure.registry import EMBEDDERS
from perdure.stores.sqlite import SqliteStore


class AsyncShelf:
    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None: ...

    async def take(self, title: str, *, copies: int = 1) -> list[str]:
        return [title] * copies

    def now(self) -> int:
        return 0


class Shelf(Blocking[AsyncShelf]):
    take = blocking(AsyncShelf.take)
    now = blocking(AsyncShelf.now)  # refused: it is not asynchronous


def a_blocking_verb_refuses_what_the_asynchronous_one_refuses(shelf: Shelf) -> None:
    shelf.take()  # refused
    shelf.take("x", 2)  # refused
    shelf.take("x", copies="2")  # refused
    shelf.take("x", copie=2)  # refused
    shelf.take(title=3)  # refused
    number: int = shelf.take("x")  # refused
    del number


def a_verb_belongs_to_its_own_class(memory: Memory) -> None:
    Shelf.take(memory, "x")  # refused
    Shelf(AsyncMemory)  # refused


def the_memory_refuses_wrong_arguments(memory: Memory) -> None:
    memory.search("where?", usr_id="sam")  # refused
    memory.search("where?", "sam")  # refused
    memory.search("where?", user_id=3)  # refused
    memory.search(["where?"])  # refused
    memory.add("x", user_id="sam", metadata="y")  # refused
    memory.add(3, user_id="sam")  # refused
    memory.get()  # refused
    print(memory.get("id").memory)  # refused: it is a dictionary
    print(memory.get("id")["mem"])  # refused


async def an_asynchronous_answer_has_to_be_awaited(memory: AsyncMemory) -> None:
    memory.search("where?")["results"]  # refused
    (await memory.search("where?", user_id="sam"))["result"]  # refused
    await memory.search("where?", usr_id="sam")  # refused


def options_have_names_and_types() -> None:
    SqliteStore("x.db")  # refused
    SqliteStore(path="x.db", synchronous="OFF")  # refused
    SqliteStore(path="x.db").path = "y.db"  # refused
    EMBEDDERS.create("local")  # refused
