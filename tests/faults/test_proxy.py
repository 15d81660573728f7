"""A chat goes on whatever becomes of the memory; and what was said is stored however a process ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import OpenAI

from perdure import AsyncMemory, Memory
from perdure.engine.memory import Engine
from perdure.errors import ModelUnavailable, StoreBusy
from perdure.proxy import AsyncPerdure, ChatServer, Perdure, remember
from perdure.proxy import behind as behind_module
from perdure.stores.memory import InMemoryStore
from perdure.testing.models import ModelServer, Said

SECRET = "My password is swordfish."


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer("I will remember that.") as running:
        yield running


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


class Broken:
    """An embedder that fails, or never answers."""

    model = "broken/1"
    dimensions = 3

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    async def embed(self, texts: Sequence[str]) -> np.ndarray:
        if self.failure is None:
            await asyncio.sleep(3600)
        raise self.failure or AssertionError

    async def aclose(self) -> None:
        pass


async def asked(client: Any, content: str = SECRET, **arguments: Any) -> str:
    given = {"model": "m", "messages": [user(content)], "user_id": "maya", **arguments}
    return (await client.chat.completions.create(**given)).choices[0].message.content


def told(path: Path, name: str = "maya") -> list[str]:
    """What a fresh process would find, in the order in which it was said."""
    with Memory({"path": str(path), "embedder": "none"}) as memory:
        found = memory.get_all(user_id=name, show_all=True)["results"]
    return [one["memory"] for one in reversed(found)]


# A memory that fails


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("how", ["own", "wrapped"])
def test_a_store_that_cannot_be_written_leaves_the_chat_as_it_is(server, tmp_path, caplog, how, stream):
    (tmp_path / "file").write_text("no directory")
    config = {"path": str(tmp_path / "file" / "memory.db"), "embedder": "none"}
    client: Any = (
        Perdure(config, base_url=server.openai)
        if how == "own"
        else remember(OpenAI(base_url=server.openai, api_key="k"), config=config)
    )
    with client:
        answer = client.chat.completions.create(
            model="m", messages=[user(SECRET)], user_id="maya", stream=stream
        )
        whole = (
            "".join(chunk.choices[0].delta.content or "" for chunk in answer)
            if stream
            else answer.choices[0].message.content
        )
    assert whole == "I will remember that."
    assert server.seen[0].content == SECRET
    assert {
        record.getMessage().split(":")[0] for record in caplog.records if record.name == "perdure.proxy"
    } == {
        "nothing was recalled",
        "an exchange was not remembered",
    }
    assert "swordfish" not in caplog.text
    assert "remember that" not in caplog.text


def test_a_store_that_is_damaged_leaves_the_chat_as_it_is(server, tmp_path, caplog):
    (tmp_path / "memory.db").write_bytes(b"no database at all" * 1000)

    async def run() -> None:
        config = {"path": str(tmp_path / "memory.db"), "embedder": "none"}
        async with AsyncPerdure(config, base_url=server.openai) as client:
            assert await asked(client) == "I will remember that."

    asyncio.run(run())
    assert "nothing was recalled" in caplog.text


def test_without_its_embedder_a_memory_goes_by_words(server):
    async def run() -> list[str]:
        broken = Broken(ModelUnavailable("no such model"))
        async with (
            Engine(store=InMemoryStore(), embedder=broken) as memory,
            AsyncPerdure(client=ChatServer(base_url=server.openai), memory=memory) as client,
        ):
            await asked(client, "I live in the town of Lisbon.")
            await client.flush()
            await asked(client, "In which town do I live?")
            await client.flush()
            return [seen.content for seen in server.seen]

    [_, second] = asyncio.run(run())
    assert "the town of Lisbon" in second


def test_a_memory_that_hangs_is_waited_for_only_so_long_and_remembers(server, caplog):
    async def run() -> int:
        async with (
            Engine(store=InMemoryStore(), embedder=Broken(None)) as memory,
            AsyncPerdure(
                client=ChatServer(base_url=server.openai), memory=memory, recall_timeout=0.05
            ) as client,
        ):
            assert await asked(client) == "I will remember that."
            await client.flush()
            return len((await memory.get_all(user_id="maya", show_all=True))["results"])

    assert asyncio.run(run()) == 2
    assert server.seen[0].content == SECRET
    assert "nothing was recalled: it took too long" in caplog.text


def test_of_an_error_that_is_not_ours_only_its_name_is_told(server, caplog):
    class Confused(InMemoryStore):
        async def commit(self, batch: Any) -> Any:
            raise RuntimeError(f"cannot store {batch.turns[0].text}")

    async def run() -> None:
        broken = Broken(RuntimeError(f"cannot embed {SECRET}"))
        async with (
            Engine(store=Confused(), embedder=broken) as memory,
            AsyncPerdure(client=ChatServer(base_url=server.openai), memory=memory) as client,
        ):
            assert await asked(client) == "I will remember that."

    asyncio.run(run())
    assert "nothing was recalled: RuntimeError" in caplog.text
    assert "an exchange was not remembered: RuntimeError" in caplog.text
    assert "swordfish" not in caplog.text


def test_a_model_that_learns_slowly_holds_up_neither_the_chat_nor_what_is_stored(server, tmp_path):
    with ModelServer({"facts": [], "relations": []}) as learning, learning.held():
        config = {
            "path": str(tmp_path / "memory.db"),
            "embedder": "none",
            "llm": {"provider": "openai", "model": "m", "base_url": learning.openai},
        }
        with Memory(config) as memory, Perdure(base_url=server.openai, memory=memory) as client:
            client.chat.completions.create("m", [user("I live in Lisbon.")], user_id="maya")
            client.flush()
            assert len(memory.get_all(user_id="maya", show_all=True)["results"]) == 2
            learning.wait_for(1)
            learning.release()
            assert memory.flush() == {"pending": 0, "failed": 0}
    assert "I live in Lisbon." in learning.seen[0].content
    assert "I will remember that." in learning.seen[0].content


def test_a_memory_that_was_closed_leaves_the_chat_as_it_is(server, tmp_path, caplog):
    memory = Memory({"path": str(tmp_path / "memory.db"), "embedder": "none"})
    client = Perdure(base_url=server.openai, memory=memory)
    memory.close()
    for stream in (False, True):
        answer = client.chat.completions.create("m", [user(SECRET)], user_id="maya", stream=stream)
        assert list(answer)
    client.close()
    assert "this memory was closed" in caplog.text


def test_a_store_that_is_only_busy_is_asked_again(server, monkeypatch):
    monkeypatch.setattr(behind_module, "PAUSE", 0.0)
    failures = [StoreBusy("locked"), StoreBusy("locked")]

    class Busy(InMemoryStore):
        async def commit(self, batch: Any) -> Any:
            if failures:
                raise failures.pop()
            return await super().commit(batch)

    async def run() -> int:
        async with (
            Engine(store=Busy()) as memory,
            AsyncPerdure(client=ChatServer(base_url=server.openai), memory=memory) as client,
        ):
            await asked(client)
            await client.flush()
            return len((await memory.get_all(user_id="maya", show_all=True))["results"])

    assert asyncio.run(run()) == 2


def test_a_message_that_cannot_be_stored_does_not_take_the_others_along(server, tmp_path, caplog):
    config = {"path": str(tmp_path / "memory.db"), "embedder": "none", "settings": {"max_text_bytes": 2_000}}
    messages = [user("This one is short."), user("x" * 3_000), user("And a NUL \0 is in this.")]
    with Perdure(config, base_url=server.openai) as client:
        client.chat.completions.create("m", messages, user_id="maya")
    assert told(tmp_path / "memory.db") == ["This one is short.", "I will remember that."]
    assert caplog.text.count("a message was not remembered") == 2


def test_who_asks_faster_than_can_be_stored_waits(server, monkeypatch):
    monkeypatch.setattr(behind_module, "MOST", 2)
    waiting: list[int] = []

    class Slow(InMemoryStore):
        async def commit(self, batch: Any) -> Any:
            waiting.append(1)
            await asyncio.sleep(0.01)
            committed = await super().commit(batch)
            waiting.pop()
            return committed

    async def run() -> tuple[int, int]:
        most = 0
        async with (
            Engine(store=Slow()) as memory,
            AsyncPerdure(client=ChatServer(base_url=server.openai), memory=memory) as client,
        ):
            for n in range(12):
                await asked(client, f"Note number {n} is here.", user_id=f"u{n}")
                most = max(most, len(waiting))
            await client.flush()
            stored = [len((await memory.get_all(user_id=f"u{n}"))["results"]) for n in range(12)]
        return most, sum(stored)

    most, stored = asyncio.run(run())
    assert most <= 2
    assert stored == 24


def test_what_was_said_first_is_stored_first_however_long_it_takes(server):
    stored: list[str] = []

    class Unsteady(InMemoryStore):
        async def commit(self, batch: Any) -> Any:
            await asyncio.sleep(0.02 if "number 0" in batch.turns[0].text else 0.0)
            stored.append(batch.turns[0].text)
            return await super().commit(batch)

    async def run() -> None:
        async with (
            Engine(store=Unsteady()) as memory,
            AsyncPerdure(client=ChatServer(base_url=server.openai), memory=memory) as client,
        ):
            for n in range(3):
                await asked(client, f"Note number {n} is here.", agent_id=f"agent-{n}")

    asyncio.run(run())
    assert stored == [f"Note number {n} is here." for n in range(3)]


# How it ends


def run(code: str, server: ModelServer, path: Path, *, status: int = 0) -> str:
    program = textwrap.dedent(f"""
        import asyncio, os, sys
        from perdure import AsyncMemory, Memory
        from perdure.proxy import AsyncPerdure, Perdure, remember
        config = {{"path": {str(path)!r}, "embedder": "none"}}
        def asked(content, **more):
            return {{"model": "m", "messages": [{{"role": "user", "content": content}}], "user_id": "maya", **more}}
    """) + textwrap.dedent(code).replace("URL", repr(server.openai))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stderr


WAYS = {
    "blocking": """
        client = Perdure(config, base_url=URL)
        client.chat.completions.create(**asked("I live in Lisbon."))
    """,
    "blocking, of which nothing is kept": """
        Perdure(config, base_url=URL).chat.completions.create(**asked("I live in Lisbon."))
    """,
    "wrapped": """
        from openai import OpenAI
        client = remember(OpenAI(base_url=URL, api_key="k"), config=config)
        client.chat.completions.create(**asked("I live in Lisbon."))
    """,
    "in a thread": """
        import threading
        client = Perdure(config, base_url=URL)
        thread = threading.Thread(target=lambda: client.chat.completions.create(**asked("I live in Lisbon.")))
        thread.start()
    """,
    "in an atexit handler": """
        import atexit
        client = Perdure(config, base_url=URL)
        atexit.register(lambda: client.chat.completions.create(**asked("I live in Lisbon.")))
    """,
    "asynchronous": """
        async def main():
            client = AsyncPerdure(config, base_url=URL)
            await client.chat.completions.create(**asked("I live in Lisbon."))
        asyncio.run(main())
    """,
    "asynchronous, with a client that was given": """
        from openai import AsyncOpenAI
        async def main():
            client = remember(AsyncOpenAI(base_url=URL, api_key="k"), config=config)
            await client.chat.completions.create(**asked("I live in Lisbon."))
        asyncio.run(main())
    """,
    "in a running loop": """
        async def main():
            Perdure(config, base_url=URL).chat.completions.create(**asked("I live in Lisbon."))
        asyncio.run(main())
    """,
    "an error": """
        client = Perdure(config, base_url=URL)
        client.chat.completions.create(**asked("I live in Lisbon."))
        sys.exit(0)
    """,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_process_loses_nothing(server, tmp_path, way):
    run(WAYS[way], server, tmp_path / "memory.db")
    assert told(tmp_path / "memory.db") == ["I live in Lisbon.", "I will remember that."]


STREAMS = {
    "blocking": """
        stream = Perdure(config, base_url=URL).chat.completions.create(**asked("Count, please.", stream=True))
        print(next(stream), next(stream), next(stream))
    """,
    "wrapped": """
        from openai import OpenAI
        client = remember(OpenAI(base_url=URL, api_key="k"), config=config)
        stream = client.chat.completions.create(**asked("Count, please.", stream=True))
        print(next(stream), next(stream), next(stream))
    """,
    "asynchronous": """
        async def main():
            client = AsyncPerdure(config, base_url=URL)
            stream = await client.chat.completions.create(**asked("Count, please.", stream=True))
            for _ in range(3):
                print(await anext(stream))
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("way", STREAMS)
def test_the_end_of_a_process_stores_what_came_of_a_stream_that_is_being_read(server, tmp_path, way):
    server.answers(Said("one two " + "more " * 2_000, latency=0.02))
    run(STREAMS[way], server, tmp_path / "memory.db")
    [said, heard] = told(tmp_path / "memory.db")
    assert said == "Count, please."
    assert heard.startswith("one two")
    assert len(heard.split()) < 100


def test_the_end_of_a_process_waits_for_a_stream_that_was_left(server, tmp_path):
    server.answers(Said("one two three four five six", latency=0.02))
    run(STREAMS["blocking"] + "\n        del stream\n", server, tmp_path / "memory.db")
    assert told(tmp_path / "memory.db") == ["Count, please.", "one two three four five six"]


def test_what_was_flushed_survives_a_kill(server, tmp_path):
    code = """
        client = Perdure(config, base_url=URL)
        client.chat.completions.create(**asked("I live in Lisbon."))
        client.flush()
        os.kill(os.getpid(), 9)
    """
    run(code, server, tmp_path / "memory.db", status=-signal.SIGKILL)
    assert told(tmp_path / "memory.db") == ["I live in Lisbon.", "I will remember that."]


def test_a_forked_child_has_its_own(server, tmp_path):
    code = """
        client = Perdure(config, base_url=URL)
        client.chat.completions.create(**asked("The parent was here."))
        if (child := os.fork()) == 0:
            client.chat.completions.create(**asked("The child was here."))
            client.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """
    run(code, server, tmp_path / "memory.db")
    assert set(told(tmp_path / "memory.db")) == {
        "The parent was here.",
        "The child was here.",
        "I will remember that.",
    }


def test_a_client_that_is_forgotten_leaves_nothing_behind(server, tmp_path):
    config = {"path": str(tmp_path / "memory.db"), "embedder": "none"}
    Perdure(config, base_url=server.openai).chat.completions.create("m", [user("hello")], user_id="maya")
    behind_module._end()  # as at the end of a process
    gc.collect()
    assert not [one for one in behind_module._BUSY if str(tmp_path) in str(one.memory.config.store.options)]
    assert told(tmp_path / "memory.db") == ["hello", "I will remember that."]


def test_one_memory_serves_a_chat_and_its_application(server, tmp_path):
    async def main() -> list[str]:
        config = {"path": str(tmp_path / "memory.db"), "embedder": "none"}
        async with (
            AsyncMemory(config) as memory,
            AsyncPerdure(base_url=server.openai, memory=memory) as client,
        ):
            await memory.add("I live in the town of Lisbon.", user_id="maya")
            await asked(client, "In which town do I live?")
        return [server.seen[0].content]

    assert "the town of Lisbon" in asyncio.run(main())[0]
    assert len(told(tmp_path / "memory.db")) == 3
