"""A new embedder makes its vectors beside the old ones, while others search and write, and takes over in one step."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from perdure.engine import upkeep
from perdure.engine.memory import Engine
from perdure.errors import ModelMismatch
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder

OLD, NEW = 48, 32
TEXTS = [f"note {number} of the long winter" for number in range(600)]


@dataclass(frozen=True)
class Slow(HashEmbedder):
    """It is on its way for long enough to be overtaken, and can be stopped in the middle."""

    begun: asyncio.Event = field(default_factory=asyncio.Event, compare=False)

    async def embed(self, texts: Sequence[str]) -> Any:
        if len(texts) > 1:
            self.begun.set()
            await asyncio.sleep(0.05)
        return await super().embed(texts)


def engine(path: Path, dimensions: int) -> Engine:
    return Engine(
        store=SqliteStore(path=path),
        embedder=Slow(dimensions=dimensions),
        settings=Settings(repeat_window=0),
    )


async def fill(path: Path) -> None:
    async with engine(path, OLD) as memory:
        await memory.add([{"role": "user", "content": text} for text in TEXTS], user_id="ann", infer=False)


def test_searches_and_writes_go_on_until_the_switch_and_nothing_acknowledged_is_left_behind(tmp_path):
    path = tmp_path / "m.db"
    kept: list[str] = []
    refused: list[Exception] = []

    async def write(memory: Engine, *, until: asyncio.Task[Any]) -> None:
        while not until.done():
            text = f"meanwhile came {len(kept)}"
            try:
                await memory.add(text, user_id="ann", infer=False)
                kept.append(text)  # whatever becomes of the search, which may come after the switch
                found = await memory.search(text, user_id="ann")
            except ModelMismatch as error:
                refused.append(error)
                return
            assert found["results"][0]["memory"] == text
            assert "notes" not in found

    async def run() -> None:
        await fill(path)
        async with engine(path, OLD) as old, engine(path, NEW) as new:
            with pytest.raises(ModelMismatch, match="perdure reindex"):
                await new.search("winter", user_id="ann")
            remaking = asyncio.create_task(new.reindex())
            await asyncio.gather(remaking, write(old, until=remaking))
            assert remaking.result()["reindexed"] >= len(TEXTS) + len(kept)
            assert kept
            for _ in range(2):  # whoever has the old one is told so, and has changed nothing
                with pytest.raises(ModelMismatch, match="this process computes them with"):
                    await old.add("too late", user_id="ann", infer=False)
            held = {one["memory"] for one in (await new.get_all(user_id="ann", limit=10_000))["results"]}
            assert held == {*TEXTS, *kept}
            looked = await new.doctor()
            assert (looked["problems"], looked["advice"]) == ([], [])
            found = await new.search(kept[0], user_id="ann")
            assert found["results"][0]["memory"] == kept[0]
            assert (await new.stats())["dimensions"] == NEW

    asyncio.run(run())
    assert len(refused) <= 1


def test_each_page_begins_where_the_one_before_it_ended(tmp_path, monkeypatch):
    """Else each would look at all that was made before, and a large store would take for ever."""
    path, begun = tmp_path / "m.db", []
    missing = SqliteStore.missing

    async def noted(store, space, *, limit, after=None):
        begun.append(after and after[1])
        return await missing(store, space, limit=limit, after=after)

    async def scenario():
        await fill(path)
        async with engine(path, NEW) as memory:
            await memory.reindex()

    monkeypatch.setattr(SqliteStore, "missing", noted)
    monkeypatch.setattr(upkeep, "PAGE", 200)
    asyncio.run(scenario())
    assert begun == [None, 200, 400, 600, None]  # and once more, after the switch


def test_it_goes_on_where_it_was_stopped_and_the_old_one_serves_meanwhile(tmp_path):
    path = tmp_path / "m.db"

    async def run() -> None:
        await fill(path)
        async with engine(path, NEW) as new:
            told: list[int] = []
            stopped = asyncio.create_task(new.reindex(lambda done, _: told.append(done)))
            while not told:
                await asyncio.sleep(0.005)
            stopped.cancel()
            await asyncio.gather(stopped, return_exceptions=True)
        async with engine(path, OLD) as old:
            found = await old.search(TEXTS[7], user_id="ann")
            assert found["results"][0]["memory"] == TEXTS[7]
            assert "notes" not in found
        async with engine(path, NEW) as new:
            assert (await new.reindex())["reindexed"] <= len(TEXTS) - told[0]
            assert (await new.search(TEXTS[7], user_id="ann"))["results"][0]["memory"] == TEXTS[7]

    asyncio.run(run())


def test_a_reindex_that_is_killed_leaves_the_old_vectors_in_use(tmp_path):
    path = tmp_path / "m.db"
    asyncio.run(fill(path))
    code = (
        "import asyncio, os, signal, sys\n"
        "from perdure import AsyncMemory\n"
        "def told(done, total):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "async def main():\n"
        "    embedder = {'provider': 'hash', 'dimensions': 32}\n"
        "    async with AsyncMemory({'path': sys.argv[1], 'embedder': embedder}) as memory:\n"
        "        await memory.reindex(told)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], check=False, timeout=60)
    assert ended.returncode == -9

    async def look() -> None:
        async with engine(path, OLD) as old:
            assert (await old.search(TEXTS[7], user_id="ann"))["results"][0]["memory"] == TEXTS[7]
            assert (await old.doctor())["problems"] == []
        async with engine(path, NEW) as new:
            assert 0 < (await new.reindex())["reindexed"] < len(TEXTS)

    asyncio.run(look())
