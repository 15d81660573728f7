"""A store is opened at first use, by whoever comes first; nobody loses his place by that."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from perdure.engine.memory import Engine
from perdure.errors import StoreError
from perdure.ports import Completion, Prompt, Query, Space
from perdure.stores.memory import InMemoryStore
from perdure.testing.fakes import Clock


class SlowToOpen(InMemoryStore):
    """Takes some rounds of the loop to open, and tells of each; it may fail at first."""

    def __init__(self, rounds: int, tell: Callable[[], object], *, fails: bool = False) -> None:
        super().__init__()
        self._rounds, self._tell, self._fails = rounds, tell, fails
        self.openings = 0

    async def open(self, space: Space | None) -> None:
        """Slowly."""
        self.openings += 1
        for _ in range(self._rounds):
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self._tell)  # the last time just before it is open
        if self._fails:
            self._fails = False
            raise StoreError("not yet")
        await super().open(space)


class Repeats:
    """A model that finds a fact in every turn: its words."""

    model = "scripted"

    async def complete(self, prompt: Prompt) -> Completion:
        """The turn's text as a fact."""
        lines = map(json.loads, prompt.content.splitlines())
        [text] = [line["text"] for line in lines if line["line"] == "T1"]
        return Completion(text=json.dumps({"facts": [{"text": text, "turns": [1]}]}))

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_adds_that_come_while_a_store_is_being_opened_are_finished_in_their_order(rounds: int) -> None:
    async def main() -> list[str]:
        adds: list[asyncio.Task[Any]] = []

        def another() -> None:
            adds.append(asyncio.create_task(memory.add(f"Fact number {len(adds):02}.", user_id="ann")))

        store = SlowToOpen(rounds, another)
        memory = Engine(store=store, llm=Repeats(), clock=Clock())
        for _ in range(20):  # in each round, before, while and after it is opened
            another()
            await asyncio.sleep(0)
        await asyncio.gather(*adds)
        kept = await store.find(Query(tenant="default", now=Clock().now, order="oldest"))
        await memory.close()
        return [one.text for one in sorted(kept, key=lambda one: one.ord) if one.kind == "fact"]

    learned = asyncio.run(main())
    assert len(learned) == 20 + rounds
    assert learned == sorted(learned)


def test_all_who_waited_are_told_why_a_store_could_not_be_opened_and_the_next_one_tries_again() -> None:
    async def main() -> None:
        store = SlowToOpen(3, lambda: None, fails=True)
        memory = Engine(store=store)
        told = await asyncio.gather(
            *(memory.get_all(user_id="ann") for _ in range(5)), return_exceptions=True
        )
        assert [str(one) for one in told] == ["not yet"] * 5
        assert store.openings == 1
        assert (await memory.get_all(user_id="ann"))["results"] == []
        assert store.openings == 2
        await memory.close()

    asyncio.run(main())


def test_who_gives_up_while_a_store_is_being_opened_holds_nobody_up() -> None:
    async def main() -> None:
        memory = Engine(store=SlowToOpen(5, lambda: None))
        calls = [asyncio.create_task(memory.get_all(user_id="ann")) for _ in range(4)]
        await asyncio.sleep(0)
        for call in calls[:2]:
            call.cancel()
        assert [await asyncio.wait_for(call, 10) for call in calls[2:]] == [{"results": []}] * 2
        await memory.close()

    asyncio.run(main())
