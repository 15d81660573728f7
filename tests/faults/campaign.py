"""Random verbs, many at once, while everything around the engine fails; held to what was acknowledged."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Coroutine, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from tests.faults.agreement import engines_agree

from perdure.caches.memory import MemoryCache
from perdure.caches.redis import RedisCache
from perdure.engine.memory import Engine
from perdure.errors import Conflict, NotFound, Unavailable
from perdure.graphs.falkordb import FalkorGraph
from perdure.llms.openai import OpenAIModel
from perdure.ports.caches import Caches
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder
from perdure.testing.models import Fault, ModelServer, SeenPrompt
from perdure.testing.servers import RedisServer
from perdure.vectors.redis import RedisVectors

TENANTS: Final = ("north", "south")
USERS: Final = ("ann", "bob", "kim")
FAULTS: Final = (
    Fault("status", status=500),
    Fault("status", status=429, headers={"Retry-After": "0"}),
    Fault("drop"),
    Fault("cut"),
    Fault("garbage"),
    Fault("empty"),
    Fault("refusal"),
)
DIMENSIONS: Final = 48
PATIENCE: Final = 60.0
ALIVE, GONE = "alive", "gone"


@dataclass(kw_only=True)
class Item:
    """One message, as far as it is known what has become of it."""

    tenant: str
    user: str
    words: list[str]
    """All that it ever said, each a word of its own; the last one that is sure to be said is the present one."""
    may_be: set[str]
    """ALIVE, GONE, or both, when a verb failed and nobody knows whether it was done."""
    said: set[str] = field(default_factory=set)
    """The words one of which it says now."""
    learns: bool
    erased: bool = False
    busy: bool = False


class FlakyEmbedder(HashEmbedder):
    """A service that is not always there."""

    model = "flaky/1"

    def __init__(self, weather: Weather) -> None:
        super().__init__(dimensions=DIMENSIONS)
        object.__setattr__(self, "weather", weather)

    async def embed(self, texts: Sequence[str]) -> Any:
        await asyncio.sleep(self.weather.random.random() * 0.004)
        if self.weather.strikes():
            raise Unavailable("the embedder is away")
        return await super().embed(texts)


@dataclass(kw_only=True)
class Weather:
    """How likely it is that something fails just now."""

    random: random.Random
    storm: float = 0.0

    def strikes(self) -> bool:
        return self.random.random() < self.storm


class Campaign:
    """A store with all that can stand beside it, and the oracle."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.path = folder / "m.db"
        self.weather = Weather(random=random.Random(seed + 1))
        self.items: list[Item] = []
        self.engines: dict[str, Engine] = {}
        self.done: dict[str, int] = {}
        self.failed: dict[str, int] = {}

    # ---- the world

    def __enter__(self) -> Self:
        self.model = ModelServer(self.answer).__enter__()
        self.redis = RedisServer(falkordb=True).__enter__()
        self.cache = RedisServer().__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        for server in (self.model, self.redis, self.cache):
            server.__exit__(None, None, None)

    def answer(self, seen: SeenPrompt) -> dict[str, Any] | Fault:
        """Of each message one fact with the same word, and a relation; or something else."""
        if self.weather.strikes():
            return self.weather.random.choice(FAULTS)
        lines = [json.loads(line) for line in seen.content.split("\n")]
        said = [line["text"] for line in lines if line["line"].startswith("T")]
        facts, relations = [], []
        for place, text in enumerate(said, 1):
            about = {"turns": [place], "subject": "Ann", "attribute": text, "from": None, "to": None}
            facts.append(
                {"text": f"Known is {text}", **about, "categories": [], "action": "add", "memory": None}
            )
            relations.append({"fact": place, "subject": "Ann", "relation": "said", "object": text})
        return {"facts": facts, "relations": relations}

    def engine(self, tenant: str) -> Engine:
        beside = {"url": self.redis.url, "timeout": 0.3}
        return Engine(
            store=SqliteStore(path=self.path, synchronous="NORMAL", busy_timeout=0.2),
            embedder=FlakyEmbedder(self.weather),
            llm=OpenAIModel(model="m", base_url=self.model.openai, api_key="none", retries=0, rest=0.05),
            vectors=RedisVectors(**beside),
            graph=FalkorGraph(**beside),
            caches=Caches(
                answers=MemoryCache(),
                vectors=MemoryCache(),
                shared=RedisCache(url=self.cache.url, timeout=0.1, rest=0.05),
            ),
            settings=Settings(tenant=tenant, engine_wait=0.5, repeat_window=0, lease=2.0, close_wait=0.2),
        )

    async def run(self, steps: int) -> None:
        """So many rounds of verbs, in changing weather; then all is well again, and everything is looked at."""
        self.engines = {tenant: self.engine(tenant) for tenant in TENANTS}
        try:
            for _ in range(steps):
                await self.change_weather()
                await asyncio.gather(*[self.verb() for _ in range(self.random.randint(1, 6))])
            await self.heal()
            await self.settle()
            for item in self.items:
                await self.check(item)
            await engines_agree(
                self.path,
                url=self.redis.url,
                tenants=TENANTS,
                model=FlakyEmbedder.model,
                dimensions=DIMENSIONS,
            )
        finally:
            for engine in self.engines.values():
                await engine.close()
        self.nothing_erased_is_left()

    async def change_weather(self) -> None:
        self.weather.storm = self.random.choice((0, 0, 0.1, 0.5, 1.0))
        trouble = self.random.choice(
            ("", "", "", "", "reopen", "abandon", "flush", "cache", "hang", "go on", "lock")
        )
        if trouble in ("reopen", "abandon"):
            tenant = self.random.choice(TENANTS)
            old, self.engines[tenant] = self.engines[tenant], self.engine(tenant)
            if trouble == "abandon":  # the new one is at work before the old one is told to end
                await self.search(tenant, "nothing", "ann")
            await old.close()
        elif trouble == "flush":
            self.redis.go_on()
            self.redis.ask("FLUSHALL")
        elif trouble == "cache":
            self.cache.stop()
            self.cache.start()
        elif trouble == "hang":
            self.redis.hang()
        elif trouble == "go on":
            self.redis.go_on()
        elif trouble == "lock":
            await asyncio.to_thread(self.hold_the_lock, self.random.random() * 0.5)

    def hold_the_lock(self, seconds: float) -> None:
        """As another process would."""
        with (
            closing(sqlite3.connect(self.path, isolation_level=None)) as other,
            suppress(sqlite3.OperationalError),
        ):
            other.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            other.execute("ROLLBACK")

    async def heal(self) -> None:
        """All is well from now on."""
        self.weather.storm = 0.0
        self.redis.go_on()

    async def settle(self) -> None:
        """Wait until nothing is left to be done."""
        for engine in self.engines.values():
            async with asyncio.timeout(PATIENCE):
                while (await engine.retry())["pending"] or (await engine.flush())["pending"]:
                    await asyncio.sleep(0.1)
            assert await engine.events() == []

    # ---- verbs

    async def verb(self) -> None:
        free = [item for item in self.items if not item.busy]
        kind = self.random.choices(("add", "look", "update", "delete", "erase"), (8, 6, 2, 2, 1))[0]
        if kind == "add" or not free:
            await self.add()
            return
        item = self.random.choice(free)
        item.busy = True
        try:
            await getattr(self, kind)(item)
        finally:
            item.busy = False

    async def tried(self, kind: str, call: Coroutine[Any, Any, Any]) -> bool:
        """Whether a verb was acknowledged; one that was not may have been done all the same."""
        try:
            async with asyncio.timeout(
                self.random.random() * 0.1 if self.random.random() < 0.15 else PATIENCE
            ):
                await call
        except (Unavailable, Conflict, NotFound, TimeoutError):
            self.failed[kind] = self.failed.get(kind, 0) + 1
            return False
        self.done[kind] = self.done.get(kind, 0) + 1
        return True

    async def add(self) -> None:
        word, learns = self.word(), self.random.random() < 0.5
        item = Item(
            tenant=self.random.choice(TENANTS),
            user=self.random.choice(USERS),
            words=[word],
            said={word},
            may_be={ALIVE, GONE},
            learns=learns,
            busy=True,
        )
        self.items.append(item)
        call = self.of(item).add(
            f"{word} is what I said",
            user_id=item.user,
            metadata={"item": word},
            infer=learns,
            wait=self.random.random() < 0.7,
        )
        if await self.tried("add", call):
            item.may_be = {ALIVE}
        item.busy = False

    async def look(self, item: Item) -> None:
        """What is found is what was acknowledged, and nobody else's."""
        results: list[str] = []

        async def search() -> None:
            found = await self.search(item.tenant, next(iter(item.said)), item.user)
            results.extend(found)

        async def listed() -> None:
            results.extend(await self.listed(item))

        if await self.tried("look", self.random.choice((search, listed))()):
            self.compare(item, results)

    async def update(self, item: Item) -> None:
        if item.learns or item.may_be != {ALIVE}:
            return
        word = self.word()

        async def update() -> None:
            [memory] = (await self.of(item).get_all(**self.only(item)))["results"]
            item.words.append(word)
            item.said.add(word)
            await self.of(item).update(memory["id"], f"{word} is what I say now")
            item.said = {word}

        await self.tried("update", update())

    async def delete(self, item: Item) -> None:
        before, item.may_be = item.may_be, {ALIVE, GONE}
        if await self.tried("delete", self.of(item).delete_all(**self.only(item))) and before == {ALIVE}:
            item.may_be = {GONE}

    async def erase(self, item: Item) -> None:
        before, item.may_be = item.may_be, {ALIVE, GONE}
        if await self.tried("erase", self.of(item).erase(**self.only(item))) and len(before) == 1:
            item.may_be, item.erased = {GONE}, True

    def of(self, item: Item) -> Engine:
        return self.engines[item.tenant]

    def only(self, item: Item) -> dict[str, Any]:
        return {"user_id": item.user, "filters": {"metadata": {"item": item.words[0]}}}

    def word(self) -> str:
        """A word that nobody has said before."""
        return "q" + "".join(self.random.choices("bcdfghjkmnpqrtvwxz", k=12))

    async def search(self, tenant: str, text: str, user: str) -> list[str]:
        found = await self.engines[tenant].search(text, user_id=user, top_k=20)
        return [result["memory"] for result in found["results"]]

    async def listed(self, item: Item) -> list[str]:
        found = await self.of(item).get_all(**self.only(item), top_k=100)
        return [result["memory"] for result in found["results"]]

    # ---- the oracle

    def compare(self, item: Item, results: Sequence[str]) -> None:
        said = {word for result in results for word in result.split() if word.startswith("q")}
        theirs = {
            word for i in self.items if (i.tenant, i.user) == (item.tenant, item.user) for word in i.words
        }
        assert said <= theirs, "somebody else's memories"
        own = said & set(item.words)
        if item.may_be == {GONE}:
            assert not own, f"what was deleted is found: {item}"
        elif item.may_be == {ALIVE} and len(item.said) == 1:
            assert own == item.said, f"what was acknowledged is not found: {item}, {results}"
        else:
            assert own <= set(item.words)

    async def check(self, item: Item) -> None:
        listed = await self.listed(item)
        self.compare(item, listed)
        self.compare(item, await self.search(item.tenant, next(iter(item.said)), item.user) if listed else [])
        if item.learns and item.may_be == {ALIVE}:
            assert any(text.startswith("Known is") for text in listed), f"nothing was learned: {item}"

    def nothing_erased_is_left(self) -> None:
        """No file and no server holds a word of it."""
        held = b"".join(file.read_bytes() for file in self.folder.iterdir())
        for server in (self.redis, self.cache):
            keys = [line for line in server.ask("KEYS", "*").split(b"\r\n")[1:] if line and line[:1] != b"$"]
            held += b"".join(server.ask("DUMP", key) for key in keys)
        for item in self.items:
            for word in item.words if item.erased else ():
                assert word.encode() not in held, f"an erased word is left: {item}"
