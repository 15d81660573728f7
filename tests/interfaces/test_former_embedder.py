"""Both embedders in one configuration: calls go to the one whose vectors are in use, before, during and after the switch."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.errors import ConfigurationError, ModelMismatch
from perdure.testing.models import ModelServer

OLD = {"provider": "hash", "dimensions": 48}
NEW = {"provider": "hash", "dimensions": 32}
SOON = 30
TEXTS = [f"note {number} of the long winter" for number in range(600)]


def config(path: Path, embedder: dict[str, Any], **more: Any) -> dict[str, Any]:
    settings = {"repeat_window": 0, **more.pop("settings", {})}
    return {"path": str(path / "m.db"), "embedder": embedder, "settings": settings, **more}


def both(path: Path, **more: Any) -> dict[str, Any]:
    return config(path, NEW, former_embedder=OLD, **more)


async def fill(path: Path) -> None:
    async with AsyncMemory(config(path, OLD)) as memory:
        await memory.add([{"role": "user", "content": text} for text in TEXTS], user_id="ann", infer=False)


async def until(true: Callable[[], Awaitable[Any]]) -> None:
    async with asyncio.timeout(SOON):
        while not await true():
            await asyncio.sleep(0.02)


def learned(seen: Any) -> dict[str, Any]:
    """Of each message one fact: what it says."""
    lines = [json.loads(line) for line in seen.content.split("\n")]
    said = [line["text"] for line in lines if line["line"].startswith("T")]
    about = {"turns": [1], "subject": "Ann", "from": None, "to": None, "categories": [], "action": "add"}
    facts = [{"text": f"Ann: {text}", "attribute": text, "memory": None, **about} for text in said]
    return {"facts": facts, "relations": []}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(learned) as running:
        yield running


def llm(server: ModelServer) -> dict[str, Any]:
    return {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}


def test_nobody_is_refused_while_another_process_changes_the_embedder(tmp_path):
    kept: list[str] = []

    async def write(memory: AsyncMemory, *, until: asyncio.Task[Any]) -> None:
        after = 0
        while after < 3:
            after += until.done()
            text = f"meanwhile came {len(kept)}"
            await memory.add(text, user_id="ann", infer=False)
            found = await memory.search(text, user_id="ann")
            assert found["results"][0]["memory"] == text
            assert "notes" not in found
            kept.append(text)

    async def run() -> None:
        await fill(tmp_path)
        async with AsyncMemory(both(tmp_path)) as serving, AsyncMemory(config(tmp_path, NEW)) as new:
            assert (await serving.search(TEXTS[7], user_id="ann"))["results"][0]["memory"] == TEXTS[7]
            with pytest.raises(ModelMismatch):
                await new.search("winter", user_id="ann")
            remaking = asyncio.create_task(new.reindex())
            await asyncio.gather(remaking, write(serving, until=remaking))
            held = {one["memory"] for one in (await new.get_all(user_id="ann", limit=10_000))["results"]}
            assert held == {*TEXTS, *kept}
            assert (await serving.stats())["dimensions"] == NEW["dimensions"]
            assert serving.live_stats()["index_bytes"] > 0
            looked = await serving.doctor()
            assert (looked["problems"], looked["advice"]) == ([], [])

    asyncio.run(run())


def test_a_reindex_here_makes_vectors_with_the_configured_one_and_goes_over_to_it(tmp_path):
    asyncio.run(fill(tmp_path))
    with Memory(both(tmp_path)) as memory:
        assert memory.search(TEXTS[3], user_id="ann")["results"][0]["memory"] == TEXTS[3]
        [advice] = memory.doctor()["advice"]
        assert "perdure reindex" in advice
        assert memory.reindex()["reindexed"] == len(TEXTS)
        assert memory.search(TEXTS[3], user_id="ann")["results"][0]["memory"] == TEXTS[3]
        memory.add("the ice is gone", user_id="ann", infer=False)
        assert memory.doctor()["advice"] == []
        assert memory.live_stats()["queues"]["calls"]["running"] == 0
    with Memory(config(tmp_path, NEW)) as memory:
        assert memory.search("the ice is gone", user_id="ann")["results"][0]["memory"] == "the ice is gone"


def test_where_neither_fits_the_configured_one_is_named(tmp_path):
    asyncio.run(fill(tmp_path))
    third = config(tmp_path, NEW, former_embedder={"provider": "hash", "dimensions": 8})
    with Memory(third) as memory:
        for _ in range(2):
            with pytest.raises(ModelMismatch, match=r"48 dimensions.*computes them with.*32 dimensions"):
                memory.search("winter", user_id="ann")


def test_a_former_embedder_that_is_configured_wrongly_is_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError, match="dimension"):
        Memory(config(tmp_path, NEW, former_embedder={"provider": "hash", "dimension": 8}))


def test_an_add_that_is_overtaken_while_the_model_answers_is_stored_and_learned_from(tmp_path, server):
    async def run() -> None:
        await fill(tmp_path)
        async with AsyncMemory(both(tmp_path, llm=llm(server))) as memory:
            with server.held():
                adding = asyncio.create_task(memory.add("tea is good", user_id="bob"))
                await until(lambda: asyncio.to_thread(lambda: server.seen))
                async with AsyncMemory(config(tmp_path, NEW)) as other:
                    await other.reindex()
                server.release()
            added = await adding
            assert (added["receipt"]["stored"], added["receipt"]["repeated"]) == (1, False)
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
            event = await memory.event(added["event_id"])
            assert [one["memory"] for one in event["results"]] == ["Ann: tea is good"]
            [fact] = (await memory.search("tea", user_id="bob", threshold=0.0, top_k=1))["results"]
            assert fact["memory"] == "Ann: tea is good"

    asyncio.run(run())


def test_who_has_only_the_former_one_leaves_jobs_to_others_and_wears_none_out(tmp_path):
    async def run() -> None:
        await fill(tmp_path)
        async with (
            AsyncMemory(config(tmp_path, OLD, settings={"background": False})) as old,
            AsyncMemory(config(tmp_path, NEW)) as new,
        ):
            added = await old.add("the ice is gone", user_id="ann", infer=False, wait=False)
            await new.reindex()
            for _ in range(3):
                with pytest.raises(ModelMismatch):
                    await old.work()
                with pytest.raises(ModelMismatch):
                    await old.flush(timeout=SOON)
            await until_done(new, added["event_id"])
            found = await new.search("the ice is gone", user_id="ann")
            assert found["results"][0]["memory"] == "the ice is gone"

    async def until_done(memory: AsyncMemory, event_id: str) -> None:
        [job] = [event for event in await memory.events() if event["event_id"] == event_id]
        assert (job["status"], job["attempts"]) == ("PENDING", 0)
        assert (await memory.flush(timeout=SOON)) == {"pending": 0, "failed": 0}

    asyncio.run(run())


def test_a_worker_with_both_goes_on_after_the_switch(tmp_path):
    async def run() -> None:
        await fill(tmp_path)
        writing = config(tmp_path, NEW, former_embedder=OLD, settings={"background": False})
        async with AsyncMemory(both(tmp_path)) as worker, AsyncMemory(writing) as writer:
            working = asyncio.create_task(worker.work())
            first = await writer.add("before the switch", user_id="ann", infer=False, wait=False)
            await until(lambda: succeeded(writer, first["event_id"]))
            async with AsyncMemory(config(tmp_path, NEW)) as other:
                await other.reindex()
            for text in ("after the switch", "and later"):
                told = await writer.add(text, user_id="ann", infer=False, wait=False)
                await until(lambda told=told: succeeded(writer, told["event_id"]))
                assert not working.done()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working

    async def succeeded(memory: AsyncMemory, event_id: str) -> bool:
        return (await memory.event(event_id))["status"] == "SUCCEEDED"

    asyncio.run(run())


def test_an_import_that_is_overtaken_takes_in_every_record(tmp_path):
    async def run() -> None:
        await fill(tmp_path)
        async with AsyncMemory(config(tmp_path, OLD)) as memory:
            records = [record async for record in memory.export_records()]
        target = tmp_path / "target"
        target.mkdir()
        async with AsyncMemory(config(target, OLD)) as memory:
            await memory.add("here before", user_id="bob", infer=False)

        async def coming() -> AsyncIterator[dict[str, Any]]:
            for place, record in enumerate(records):
                if place == len(records) // 2:
                    async with AsyncMemory(config(target, NEW)) as other:
                        await other.reindex()
                yield record

        async with AsyncMemory(both(target)) as memory:
            counts = (await memory.import_records(coming()))["imported"]
            assert counts["new"] == len(records)
            assert (await memory.doctor())["problems"] == []
            assert (await memory.search(TEXTS[7], user_id="ann"))["results"][0]["memory"] == TEXTS[7]

    asyncio.run(run())
