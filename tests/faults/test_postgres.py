"""PostgreSQL that restarts, hangs or drops connections, and processes over it that are killed: nothing is lost or twice."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from tests.faults.killing import SETTLED, Line, Process, running

from perdure import AsyncMemory, Memory
from perdure.errors import Unavailable
from perdure.stores.postgres import PostgresStore
from perdure.testing import servers
from perdure.testing.models import ModelServer
from perdure.testing.servers import PostgresServer
from perdure.testing.store.scenes import ALICE, NOW, SPACE, add, batch, query, revision, said, texts

SOAK = bool(os.environ.get("PERDURE_SOAK"))
PROCESS = Path(__file__).with_name("postgres_process.py")
KILLS = 60 if SOAK else 6
RESTARTS = 30 if SOAK else 3
PIECE = 256
"""Bytes of a request that are passed on at once."""
NAMES = count(1)


@pytest.fixture(scope="module")
def server():
    """One that may be stopped: not the one of all other tests."""
    with PostgresServer() as server:
        yield server


def config(server: PostgresServer, **options: Any) -> dict[str, Any]:
    store = {"provider": "postgres", "url": server.url(), "schema": f"own{next(NAMES)}", **options}
    return {"store": store, "embedder": "hash"}


class Load:
    """Adds and searches without end, and what became of them."""

    def __init__(self, memory: AsyncMemory) -> None:
        self.memory = memory
        self.acknowledged: list[tuple[str, str]] = []
        self.tried: set[tuple[str, str]] = set()
        self.refused: list[Unavailable] = []

    async def run(self, trouble: Callable[[], Awaitable[None]]) -> None:
        """As long as the trouble lasts, and a while after it."""
        tasks = [asyncio.create_task(self._caller(n)) for n in range(8)]
        try:
            await trouble()
            before = len(self.acknowledged)
            async with asyncio.timeout(SETTLED):
                while len(self.acknowledged) < before + 50:
                    await asyncio.sleep(0.01)
        finally:
            for task in tasks:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in done), done

    async def _caller(self, caller: int) -> None:
        for number in count():
            user, text = f"user {number % 2}", f"caller {caller} said {number:05}"
            self.tried.add((user, text))
            try:
                await self.memory.add(text, user_id=user)
            except Unavailable as error:
                self.refused.append(error)
                continue
            self.acknowledged.append((user, text))
            with suppress(Unavailable):
                found = await self.memory.search(text, user_id=user, top_k=2)
                assert text in [one["memory"] for one in found["results"]]

    async def held(self) -> Counter[tuple[str, str]]:
        """What is stored now."""
        store = self.memory._store
        found = await store.find(query())
        return Counter((str(memory.scope.user_id), memory.text) for memory in found)

    async def check(self) -> None:
        """All that was acknowledged is there, once; nothing is there that nobody said."""
        held = await self.held()
        assert set(self.acknowledged) <= set(held) <= self.tried
        assert max(held.values()) == 1
        assert (await self.memory.doctor())["problems"] == []


def test_nothing_acknowledged_is_lost_when_the_server_restarts_in_the_middle_of_a_load(server):
    async def scenario() -> None:
        async with AsyncMemory(config(server)) as memory:
            load = Load(memory)

            async def trouble() -> None:
                for _ in range(RESTARTS):
                    await asyncio.sleep(0.3)
                    await asyncio.to_thread(server.restart)

            await load.run(trouble)
            await load.check()
            assert load.refused == []  # it was back within `connect_timeout`: callers have only waited

    asyncio.run(scenario())


def test_nothing_acknowledged_is_lost_when_connections_end_all_the_time(server):
    async def scenario() -> None:
        async with AsyncMemory(config(server, max_connections=4)) as memory:
            load = Load(memory)
            end = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'perdure' AND random() < 0.5"
            )

            async def trouble() -> None:
                for _ in range(10 * RESTARTS):
                    await asyncio.sleep(random.uniform(0.01, 0.1))
                    await asyncio.to_thread(server.sql, end)

            await load.run(trouble)
            await load.check()
            assert len(load.refused) < len(load.acknowledged)  # most callers have noticed nothing

    asyncio.run(scenario())


def test_a_server_that_is_gone_or_hangs_is_an_error_in_time_and_no_harm_after(server):
    async def scenario() -> None:
        options = {"timeout": 1.0, "connect_timeout": 0.5}
        async with AsyncMemory(config(server, **options)) as memory:
            await memory.add("said before", user_id="maya")
            server.stop()
            with pytest.raises(Unavailable, match="cannot be reached"):
                await memory.add("said to nobody", user_id="maya")
            server.start()
            async with asyncio.timeout(SETTLED):
                while not await answers(memory):
                    await asyncio.sleep(0.05)
            server.hang()
            try:
                with pytest.raises(Unavailable):
                    await memory.add("said to one who sleeps", user_id="maya")
            finally:
                server.go_on()
            async with asyncio.timeout(SETTLED):
                while not await answers(memory):
                    await asyncio.sleep(0.05)
            await memory.add("said after", user_id="maya")
            held = texts(await memory._store.find(query()))
            assert {"said before", "said after"} <= {*held}
            assert len(held) == len({*held})

    async def answers(memory: AsyncMemory) -> bool:
        try:
            return bool((await memory.search("said", user_id="maya"))["results"])
        except Unavailable:
            return False

    asyncio.run(scenario())


def test_background_work_goes_on_by_itself_after_an_outage(server, caplog):
    own = config(server, timeout=1.0, connect_timeout=0.5)
    jobs = f"SELECT count(*) FROM {own['store']['schema']}.jobs"

    async def scenario() -> None:
        with ModelServer(learned) as model, model.held():
            own["llm"] = {"provider": "openai", "model": "m", "base_url": model.openai, "retries": 0}
            async with AsyncMemory({**own, "settings": {"lease": 1.0}}) as memory:
                await memory.add("said before", user_id="maya", wait=False)
                await asyncio.to_thread(server.stop)
                model.release()
                async with asyncio.timeout(SETTLED):
                    while "background work" not in caplog.text:
                        await asyncio.sleep(0.05)
                    await asyncio.to_thread(server.start)
                    while await asyncio.to_thread(server.sql, jobs) != [(0,)]:  # nobody calls the memory
                        await asyncio.sleep(0.05)

    asyncio.run(scenario())


# ---- a server that lost commits


class Standby(PostgresServer):
    """A server that follows another."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__()
        self._primary = primary

    def __enter__(self) -> Self:
        self._make()
        shutil.rmtree(data := Path(self._home.name) / "data")
        program = str(self._bin / "pg_basebackup")
        command = [
            program,
            "-D",
            str(data),
            "-d",
            self._primary.url("postgres", "postgres"),
            "-R",
            "-c",
            "fast",
        ]
        subprocess.run(command, check=True, **servers._unprivileged())
        self.start()
        return self


def test_after_a_failover_that_lost_commits_nothing_of_them_is_seen_and_all_goes_on():
    with PostgresServer() as primary, Standby(primary) as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = f"postgresql://perdure:perdure@{hosts}/perdure?target_session_attrs=read-write"
        own = {"store": {"provider": "postgres", "url": url, "connect_timeout": 2.0}, "embedder": "hash"}
        theirs = {**own, "store": {"provider": "postgres", "url": standby.url(), "read_only": True}}

        async def scenario() -> None:
            async with AsyncMemory(own) as memory:
                await say(memory, "kept")
                await asyncio.to_thread(follow)
                async with AsyncMemory(theirs) as reader:
                    assert await found(reader) == await found(memory)
                standby.stop()
                await say(memory, "lost")
                await found(memory)
                primary.stop()
                await asyncio.to_thread(standby.start)
                await asyncio.to_thread(standby.sql, "SELECT pg_promote()")
                async with AsyncMemory(own) as other:
                    await say(other, "other")
                    assert await found(memory) == await found(other)
                await say(memory, "after")

        def follow() -> None:
            [[there]] = primary.sql("SELECT pg_current_wal_insert_lsn()::text")
            end = time.monotonic() + SETTLED
            while standby.sql(f"SELECT pg_last_wal_replay_lsn() < '{there}'") != [(False,)]:
                assert time.monotonic() < end
                time.sleep(0.01)

        async def say(memory: AsyncMemory, what: str) -> None:
            for number in range(4):
                await memory.add(f"{what} {number}", user_id="maya")

        async def found(memory: AsyncMemory) -> list[Any]:
            return [await memory.search(word, user_id="maya") for word in ("kept", "lost", "other")]

        asyncio.run(scenario())


def test_an_index_is_loaded_anew_when_the_store_went_back_and_on_with_other_changes(server):
    """As after a failover to a replica that had not got all, or when a backup was put back."""

    async def scenario() -> None:
        own = config(server)
        async with AsyncMemory(own) as memory:
            for others in (2, 3, 5):  # less, as much and more than was lost
                user = f"user {others}"
                for number in range(4):
                    await memory.add(f"kept {number}", user_id=user)
                with gone_back(server):
                    for number in range(3):
                        await memory.add(f"lost {number}", user_id=user)
                    await found(memory, user)
                async with AsyncMemory(own) as other:
                    for number in range(others):
                        await other.add(f"other {number}", user_id=user)
                    assert await found(memory, user) == await found(other, user)
                assert (await memory.doctor())["problems"] == []

    async def found(memory: AsyncMemory, user: str) -> list[Any]:
        return [await memory.search(word, user_id=user) for word in ("kept", "lost", "other")]

    asyncio.run(scenario())


@contextmanager
def gone_back(server: PostgresServer) -> Iterator[None]:
    """Forget what happens meanwhile."""
    data = Path(server._home.name) / "data"
    copy = data.with_name("copy")
    server.stop()
    subprocess.run(["cp", "-a", data, copy], check=True)
    server.start()
    yield
    server.stop()
    shutil.rmtree(data)
    copy.rename(data)
    server.start()


# ---- a connection that ends at any point of a commit


class Cutting:
    """A way to a server that ends one connection after so many answers from it, or requests to it, and keeps the next back."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._serving: set[asyncio.Task[None]] = set()
        self.left = -1
        """Answers that are let through before; -1: all."""
        self.requests = -1
        """Likewise, pieces of requests."""
        self.lets_in = True
        """Whether new connections are taken; one that is cut with `for_good` is the last."""
        self.for_good = False
        self.hangs = False
        """Whether it says no more instead of ending."""
        self.port = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Cutting]:
        server = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._serving:  # whoever still waits for an answer gets none
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.lets_in:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        up = asyncio.create_task(self._pass(reader, forth))
        try:
            with suppress(OSError):
                while (data := await back.read(65_536)) and await self._may_pass():
                    writer.write(data)
                    await writer.drain()
            writer.transport.abort()
            await up  # what was sent is with the server
        finally:
            up.cancel()
            writer.transport.abort()
            forth.transport.abort()

    async def _may_pass(self) -> bool:
        if self.left != 0:
            self.left -= self.left > 0
            return True
        if self.hangs:
            await asyncio.Event().wait()  # until it is ended
        self.left = -1
        self.lets_in = not self.for_good
        return False

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(PIECE):
                if self.requests == 0:
                    self.requests = -1
                    break
                self.requests -= self.requests > 0
                writer.write(data)
                await writer.drain()
        writer.close()


def test_a_commit_is_stored_once_wherever_in_it_the_connection_ends(server):
    """The answer that was lost may be that to `COMMIT`: then nobody knows, until it is looked up."""

    async def scenario() -> int:
        async with Cutting(server.port).open() as way:
            url = f"postgresql://perdure:perdure@127.0.0.1:{way.port}/perdure"
            store = PostgresStore(url=url, schema=f"own{next(NAMES)}", max_connections=1)
            await store.open(SPACE)
            for point in count():
                old = await add(store, f"old {point}")
                made = batch(said(f"new {point}"), revision(old, f"newer {point}", at=NOW))
                way.left = point
                committed = await store.commit(made)
                uncut, way.left = way.left >= 0, -1
                assert not committed.repeated
                held = texts(await store.find(query()))
                assert sorted(held) == sorted(
                    f"{word} {n}" for n in range(point + 1) for word in ("new", "newer")
                )
                assert len((await store.load(ALICE.partition)).rows) == len(held)
                if uncut:  # there were fewer answers than that
                    break
            assert await store.check() == []
            await store.aclose()
            return point

    assert asyncio.run(scenario()) >= 2


@pytest.mark.parametrize(("lost", "parts"), [("left", 1), ("requests", 2)])
def test_a_commit_in_one_round_trip_is_stored_once_wherever_in_it_the_connection_ends(server, lost, parts):
    async def scenario() -> int:
        async with Cutting(server.port).open() as way:
            url = f"postgresql://perdure:perdure@127.0.0.1:{way.port}/perdure"
            store = PostgresStore(url=url, schema=f"own{next(NAMES)}", max_connections=1)
            await store.open(SPACE)
            for point in count():
                for n in range(3):  # until it is known again what the next commit meets
                    await add(store, f"before {point} {n}")
                setattr(way, lost, point)
                committed = await store.commit(batch(said(f"new {point}")))
                uncut = getattr(way, lost) >= 0
                setattr(way, lost, -1)
                assert (committed.repeated, committed.head) == (False, 4 * point + 4)
                held = texts(await store.find(query()))
                assert len(held) == len({*held}) == committed.head
                if uncut:
                    break
            assert await store.check() == []
            await store.aclose()
            return point

    assert asyncio.run(scenario()) >= parts


def test_a_change_of_which_nobody_knows_whether_it_was_kept_is_told_as_that_and_may_be_repeated(server):
    async def scenario() -> set[tuple[bool, bool]]:
        seen = set()
        async with Cutting(server.port).open() as way:
            url = f"postgresql://perdure:perdure@127.0.0.1:{way.port}/perdure"
            patience = {"timeout": 1.0, "connect_timeout": 0.3}
            store = PostgresStore(url=url, schema=f"own{next(NAMES)}", max_connections=1, **patience)
            await store.open(SPACE)
            await add(store, "the scope is there")
            for point in count():
                way.left, way.for_good = point, True
                made = batch(said(f"new {point}"), key=f"key {point}")
                try:
                    await store.commit(made)
                except Unavailable as error:
                    in_doubt = "is not known" in str(error)
                else:  # there were fewer answers than that
                    break
                finally:
                    way.left, way.for_good, way.lets_in = -1, False, True
                kept = f"new {point}" in texts(await until(lambda: store.find(query())))
                assert in_doubt or not kept
                seen.add((in_doubt, kept))
                again = await store.commit(replace(made, id=f"again {point}"))
                assert again.repeated is kept
                assert texts(await store.find(query())).count(f"new {point}") == 1
            await store.aclose()
        return seen

    async def until(work: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(SETTLED):
            while True:
                with suppress(Unavailable):
                    return await work()

    assert (True, True) in asyncio.run(scenario())


def test_opening_a_store_on_a_server_that_says_no_more_is_an_error_in_time(server):
    """Whether it accepts a connection and hangs, or hangs in the middle of what opening asks."""

    async def opened(point: int) -> bool:
        async with Cutting(server.port).open() as way:
            url = f"postgresql://perdure:perdure@127.0.0.1:{way.port}/perdure"
            way.left, way.hangs = point, True
            store = PostgresStore(url=url, schema=f"own{next(NAMES)}", timeout=1.0, connect_timeout=2.0)
            try:
                await store.open(SPACE)
            except Unavailable:
                return False
            finally:
                await store.aclose()
            return True

    async def scenario() -> list[bool]:
        async with asyncio.timeout(SETTLED):
            return await asyncio.gather(*map(opened, range(10)))

    assert not any(asyncio.run(scenario()))


# ---- several processes


def learned(seen: Any) -> dict[str, Any]:
    """One fact of each message."""
    lines = [json.loads(line) for line in seen.content.split("\n")]
    return {
        "facts": [
            {
                "text": f"Known: {line['text']}", "turns": [1], "subject": "Ann", "attribute": line["text"],
                "from": None, "to": None, "categories": [], "action": "add", "memory": None,
            }
            for line in lines
            if line["line"].startswith("T")
        ],
        "relations": [],
    }  # fmt: skip


def test_three_processes_that_are_killed_in_turn_lose_nothing_and_do_nothing_twice(server):
    pick = random.Random(KILLS)
    database = "many"
    server.sql(f"CREATE DATABASE {database} OWNER perdure", database="postgres")
    url = server.url(database=database)
    with ModelServer(learned, latency=0.02) as model:
        llm = {"provider": "openai", "model": "m", "base_url": model.openai, "retries": 0}
        mine = {"store": {"provider": "postgres", "url": url}, "embedder": "hash", "llm": llm}
        with Memory({**mine, "settings": {"lease": 1.0}}) as memory:
            memory.stats()  # the schema is there
            told = kill_in_turn(memory, url, model.openai, pick)
            end = time.monotonic() + SETTLED
            while memory.flush(timeout=5)["pending"] and time.monotonic() < end:
                time.sleep(0.1)
            assert memory.events() == []
            assert memory.doctor()["problems"] == []
            held = {
                user: memory.get_all(user_id=user, limit=100_000)["results"]
                for user in ("user 0", "user 1", "user 2")
            }
    known = Counter((user, one["memory"]) for user, found in held.items() for one in found)
    acknowledged = {(user, f"Known: {text}") for user, text in told}
    assert len(acknowledged) > KILLS  # there was something to lose
    assert acknowledged <= set(known)
    assert max(known.values()) == 1


def kill_in_turn(memory: Memory, url: str, model: str, pick: random.Random) -> list[Line]:
    """Three at work, one after the other killed and started again; whatever any acknowledges is found here at once."""
    names = (f"p{n}" for n in count(1))
    with running(lambda: Process(PROCESS, url, model, next(names)), 3) as three:
        for turn in range(KILLS):
            three.alive[turn % 3].wait(pick.randrange(1, 8))
            for one in three.alive:
                if one.acknowledged:
                    user, text = one.acknowledged[-1]
                    found = memory.search(text, user_id=user, top_k=3)["results"]
                    assert text in [result["memory"].removeprefix("Known: ") for result in found]
            three.replace(turn)
    return three.acknowledged
