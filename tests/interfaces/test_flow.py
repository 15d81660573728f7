"""Many callers at once: refused beyond the bound, counted where they wait, gone without a trace when they give up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.engine.memory import Engine
from perdure.errors import Overloaded
from perdure.ports import Prompt
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import ServiceEmbedder
from perdure.testing.models import ModelServer
from perdure.threads import Threads

SOON = 20.0
"""Seconds in which what has to happen happens, on however slow a machine."""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer({"facts": [], "relations": []}) as running:
        yield running


def learning(server: ModelServer, path: Path, *, llm: dict[str, Any] | None = None, **settings: Any) -> Any:
    model = {"provider": "openai", "model": "m", "base_url": server.openai, **(llm or {})}
    return {"path": str(path / "m.db"), "embedder": "hash", "llm": model, "settings": settings}


def engine(path: Path, embedder: ServiceEmbedder, **settings: Any) -> Engine:
    return Engine(
        store=SqliteStore(path=path / "m.db"), embedder=embedder, settings=Settings(threshold=0.0, **settings)
    )


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SOON):
        while not true():
            await asyncio.sleep(0.001)


def queue(memory: Engine, name: str) -> tuple[int, int | None]:
    """What is running and what is waiting."""
    told = memory.live_stats()["queues"][name]
    return told["running"], told.get("waiting")


# Back-pressure


def test_beyond_the_bound_calls_are_refused_and_those_in_flight_lose_nothing(tmp_path):
    async def main() -> None:
        embedder = ServiceEmbedder(gate=asyncio.Event())
        async with engine(tmp_path, embedder, calls_at_once=100) as memory:

            def adding(number: int) -> Awaitable[object]:
                return memory.add(f"Number {number} was here.", user_id=f"u{number % 7}", infer=False)

            calls = [asyncio.ensure_future(adding(number)) for number in range(300)]
            await until(lambda: sum(call.done() for call in calls) == 200)
            assert queue(memory, "calls") == (100, 0)
            assert (await memory.stats())["queues"]["calls"]["refused"] == 200  # to look is always allowed
            embedder.gate.set()
            made = await asyncio.gather(*calls, return_exceptions=True)
            refused = [number for number, one in enumerate(made) if isinstance(one, Overloaded)]
            assert (len(refused), sum(isinstance(one, dict) for one in made)) == (200, 100)
            assert all(made[number].retry_after > 0 for number in refused)
            assert (await memory.stats())["memories"] == 100
            for start in range(0, 200, 100):
                await asyncio.gather(*map(adding, refused[start : start + 100]))
            assert (await memory.stats())["memories"] == 300

    asyncio.run(main())


def test_one_search_is_one_call(tmp_path):
    async def main() -> None:
        async with engine(tmp_path, ServiceEmbedder(), calls_at_once=1) as memory:
            await memory.add("I sail on Sundays.", user_id="maya")
            for _ in range(3):
                assert (await memory.search("When do I sail?", user_id="maya"))["results"]
                assert await memory.context("When do I sail?", user_id="maya")
                assert await memory.profile(user_id="maya")
            assert await memory.flush() == {"pending": 0, "failed": 0}

    asyncio.run(main())


def test_the_blocking_face_is_bounded_as_well(server, tmp_path):
    with Memory(learning(server, tmp_path, calls_at_once=1)) as memory, server.held():
        threads = Threads("test", 1)
        first = threads.submit(memory.add, "tea", user_id="ann")
        server.wait_for(1)
        with pytest.raises(Overloaded):
            memory.get_all(user_id="ann")
        assert memory.live_stats()["queues"]["calls"]["running"] == 1
        server.release()
        assert first.result(SOON)["results"] == []
        threads.close()


# Who gives up


async def given_up(call: Awaitable[object], reached: Callable[[], bool]) -> None:
    task = asyncio.ensure_future(call)
    await until(reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("verb", ["add", "search", "update"])
def test_who_gives_up_while_the_embedder_works_leaves_nothing(tmp_path, verb):
    async def main() -> None:
        embedder = ServiceEmbedder()
        async with engine(tmp_path, embedder, batch_wait=0.0) as memory:
            kept = (await memory.add("I sail on Sundays.", user_id="maya", infer=False))["results"][0]["id"]
            before = [record async for record in memory.export_records()]
            embedder.gate = asyncio.Event()
            call = {
                "add": lambda: memory.add("A new thing.", user_id="maya", infer=False),
                "search": lambda: memory.search("A new thing?", user_id="maya"),
                "update": lambda: memory.update(kept, "A new thing."),
            }[verb]
            await given_up(call(), lambda: any("new thing" in text for text in embedder.asked))
            embedder.gate.set()
            assert [record async for record in memory.export_records()] == before
            assert queue(memory, "calls") == (0, 0)
            assert await call()  # what was given up can be done

    asyncio.run(main())


def test_who_gives_up_before_an_add_is_taken_leaves_nothing_and_afterwards_all_of_it(tmp_path):
    async def main() -> None:
        async with engine(tmp_path, ServiceEmbedder()) as memory:
            await memory.stats()  # opened
            for rounds in range(40):
                said = [f"first {rounds}", f"second {rounds}"]
                call = asyncio.ensure_future(memory.add(said, user_id="maya", infer=False))
                for _ in range(rounds // 2):
                    await asyncio.sleep(0)
                call.cancel()
                await asyncio.gather(call, return_exceptions=True)
            await until(lambda: queue(memory, "store.writer") == (0, 0))
            listed = (await memory.get_all(user_id="maya"))["results"]
            said = [result["memory"].split() for result in listed]
            halves = [{number for word, number in said if word == half} for half in ("first", "second")]
            assert halves[0] == halves[1]
            assert queue(memory, "calls") == (0, 0)

    asyncio.run(main())


def test_who_gives_up_while_a_model_works_is_asked_for_no_more_and_what_was_said_is_kept(server, tmp_path):
    async def main() -> None:
        async with AsyncMemory(learning(server, tmp_path, background=False)) as memory:
            with server.held():
                await given_up(memory.add("I drink tea.", user_id="ann"), lambda: len(server.seen) == 1)
                assert queue(memory, "calls") == queue(memory, "llm.requests") == (0, 0)
                [job] = await memory.pending()
                assert [turn["memory"] for turn in (await memory.get_all(user_id="ann"))["results"]] == [
                    "I drink tea."
                ]
            assert await memory.retry(job["event_id"]) == {"done": 1, "pending": 0, "reasons": []}
            assert (await memory.stats())["turns"] == 1

    asyncio.run(main())


# Limits of providers


def test_calls_beyond_a_providers_bound_wait_in_the_order_in_which_they_came(server, tmp_path):
    async def main() -> None:
        async with AsyncMemory(learning(server, tmp_path, llm={"concurrency": 2})) as memory:
            with server.held():
                calls = []
                for number in range(6):
                    calls.append(asyncio.ensure_future(memory.add(f"number {number}", user_id=f"u{number}")))
                    running, waiting = min(number + 1, 2), max(0, number - 1)
                    await until(lambda: queue(memory, "llm.requests") == (running, waiting))  # noqa: B023  # awaited here
                told = (await memory.stats())["queues"]["llm.requests"]
                assert told == {"running": 2, "waiting": 4, "bound": 2, "saturation": 1.0}
                await asyncio.to_thread(server.wait_for, 2)
                assert len(server.seen) == 2
                calls[2].cancel()  # who gives up while waiting makes room for the next
                await until(lambda: queue(memory, "llm.requests") == (2, 3))
            await asyncio.gather(*calls, return_exceptions=True)
            asked = [seen.content.rpartition("number ")[2][0] for seen in server.seen]
            assert [number for number in asked if number != "2"] == ["0", "1", "3", "4", "5"]

    asyncio.run(main())


def test_a_provider_at_its_default_takes_a_hundred_calls_at_once(server):
    from perdure.llms.openai import OpenAIModel

    async def main() -> None:
        model = OpenAIModel(model="m", base_url=server.openai)
        with server.held():
            prompt = Prompt(instructions="", content="hello")
            calls = [asyncio.ensure_future(model.complete(prompt)) for _ in range(101)]
            await asyncio.to_thread(server.wait_for, 100)
            load = model.loads()["requests"]
            assert (load.running, load.waiting, load.saturation) == (100, 1, 1.0)
        await asyncio.gather(*calls)
        await model.aclose()

    asyncio.run(main())


def test_jobs_in_the_background_are_seen_to_run_and_to_wait(server, tmp_path):
    async def main() -> None:
        async with AsyncMemory(learning(server, tmp_path, jobs_at_once=2, close_wait=0)) as memory:
            with server.held():
                for number in range(5):
                    await memory.add(f"number {number}", user_id=f"u{number}", wait=False)
                await asyncio.to_thread(server.wait_for, 2)
                told = (await memory.stats())["queues"]["background.jobs"]
                assert told == {"running": 2, "waiting": 3, "bound": 2, "saturation": 1.0}
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
            told = (await memory.stats())["queues"]["background.jobs"]
            assert (told["running"], told["waiting"]) == (0, 0)

    asyncio.run(main())


def test_a_store_tells_what_waits_for_its_threads(tmp_path):
    async def main() -> None:
        store = SqliteStore(path=tmp_path / "m.db", readers=1)
        async with Engine(store=store) as memory:
            await memory.stats()
            worker = store._use.readers._workers[0]
            with worker.lock:  # the thread takes one job, and cannot begin it
                calls = [asyncio.ensure_future(memory.get_all(user_id=f"u{n}")) for n in range(4)]
                await until(lambda: queue(memory, "store.readers") == (1, 3))
                assert queue(memory, "calls") == (4, 0)
            await asyncio.gather(*calls)
            await until(lambda: queue(memory, "store.readers") == (0, 0))

    asyncio.run(main())
