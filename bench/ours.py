"""Perdure's half of every measure."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import count
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import workload
from bench.beside import engines
from bench.caches import cache
from bench.fake_openai import fake_openai
from bench.flow import burst, metrics, over_http, pressure
from bench.harness import (
    Figures,
    Job,
    Measure,
    each_ms,
    elsewhere,
    finish,
    in_waves,
    loop_lag,
    median,
    peak_mb,
    percentile,
    serve,
)
from perdure import AsyncMemory, Config, Memory
from perdure.assemble import parts
from perdure.engine.learning.prompt import ask
from perdure.engine.memory import Engine
from perdure.llms.openai import OpenAIModel
from perdure.proxy import AsyncPerdure, ChatServer
from perdure.proxy.chat import AsyncChatClient
from perdure.types import Scope, Turn

START = """
import json, sys
from time import perf_counter
began = perf_counter()
from perdure import Memory
memory = Memory.from_config({"store": {"provider": "sqlite", "path": sys.argv[1]}})
seconds = perf_counter() - began
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
memory.add("The very first thing to remember.", user_id="alice")
assert memory.search("What is there to remember?", user_id="alice")["results"]
print(json.dumps({"start_s": seconds, "start_mb": peak / 1024, "started_s": perf_counter() - began}))
memory.close()
"""


@dataclass(kw_only=True)
class GivenVectors:
    """An embedder that takes no time worth naming, or exactly `latency` seconds without using the processor."""

    latency: float = 0.0
    spent: float = 0.0
    """Seconds of the processor that making the vectors took so far."""
    model: str = "bench/1"
    dimensions: int = workload.DIMENSIONS

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        began = perf_counter()
        vectors = np.stack([workload.vector(text) for text in texts])
        self.spent += perf_counter() - began
        if self.latency:
            await asyncio.sleep(self.latency)
        return vectors

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass(kw_only=True)
class InProcessVectors(GivenVectors):
    """One that computes in this process, as the engine is told: nothing is kept for it elsewhere."""

    at_once: int = 1


@asynccontextmanager
async def opened(
    job: Job, *, name: str = "memory", embedder: GivenVectors | None = None
) -> AsyncIterator[Engine]:
    """A memory in a file of the job's, with the bench's embedder."""
    made = {**parts(Config.of(plain(job, name))), "embedder": embedder or InProcessVectors()}
    async with Engine(**made) as memory:
        yield memory


def store(job: Job, name: str = "memory") -> dict[str, str]:
    """The configuration of a store in the job's directory."""
    return {"provider": "sqlite", "path": str(job.directory / f"{name}.db")}


def plain(job: Job, name: str = "memory") -> dict[str, Any]:
    """The configuration of a memory without caches: a search is to be a search, also when it is repeated."""
    return {"store": store(job, name), "settings": {"cache_bytes": 0, "vector_cache_bytes": 0}}


async def fill(memory: Engine, rows: Iterable[workload.Row]) -> None:
    """Adds rows, each user's in calls of 1,000."""
    by_user: dict[str, list[workload.Row]] = {}
    for row in rows:
        by_user.setdefault(row.user, []).append(row)
    for user, owned in by_user.items():
        for start in range(0, len(owned), 1000):
            messages = [{"role": "user", "content": row.text} for row in owned[start : start + 1000]]
            await memory.add(messages, user_id=user, infer=False)


async def disk(job: Job) -> AsyncGenerator[Figures, None]:
    """What this disk and bare SQLite take: nothing durable can be faster."""
    connection = sqlite3.connect(job.directory / "floor.db", isolation_level=None)
    connection.executescript(
        "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (b);"
    )
    descriptor = os.open(job.directory / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield {}
    while True:
        commits = await each_ms(
            _call(connection.execute, "INSERT INTO t VALUES (?)", (b"x" * 2048,)) for _ in range(job.calls)
        )
        syncs = await each_ms(_call(_append, descriptor) for _ in range(job.calls))
        yield {"commit_ms": median(commits), "fsync_ms": median(syncs)}


def _append(descriptor: int) -> None:
    os.write(descriptor, b"x" * 4096)
    os.fsync(descriptor)


def _call(function: Callable[..., object], *arguments: object) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        return function(*arguments)

    return call


async def start(job: Job) -> AsyncGenerator[Figures, None]:
    yield {}
    for number in count():
        arguments = [sys.executable, "-c", START, str(job.directory / f"{number}.db")]
        yield json.loads(await asyncio.to_thread(subprocess.check_output, arguments))


async def add(job: Job) -> AsyncGenerator[Figures, None]:
    hashes = {"store": store(job, "blocking"), "embedder": {"provider": "hash"}}
    async with opened(job) as memory:
        with Memory.from_config(hashes) as blocking:
            yield {}
            for number in count():
                texts = list(workload.texts(job.calls, seed=1000 + number))
                took = await each_ms(_adding(memory, text) for text in texts)
                waited = await each_ms(
                    _call(functools.partial(blocking.add, text, user_id="alice", infer=False))
                    for text in texts
                )
                yield {
                    "add_ms": median(took),
                    "add_blocking_ms": median(waited),
                    "adds_per_s": 1000 * len(took) / sum(took),
                }


def _adding(memory: Engine, text: str, user: str = "alice") -> Callable[[], Awaitable[object]]:
    return lambda: memory.add(text, user_id=user, infer=False)


async def bulk(job: Job) -> AsyncGenerator[Figures, None]:
    yield {}
    for number in count():
        embedder = InProcessVectors()
        async with opened(job, name=f"bulk-{number}", embedder=embedder) as memory:
            rows = workload.rows(job.rows, users=10, seed=number)
            await memory.add("A first one.", user_id="warm", infer=False)
            embedder.spent, began = 0.0, perf_counter()
            await fill(memory, rows)
            yield {"bulk_per_s": job.rows / (perf_counter() - began - embedder.spent)}


async def fill_here(job: Job) -> None:
    """Fills the job's store, in a process of its own: the memory of serving it is then that of serving alone."""
    async with opened(job) as memory:
        await fill(memory, workload.rows(job.rows, users=job.users))
        for hours, row in enumerate(apart()):
            said = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(hours=2 * hours)
            await memory.add(row.text, user_id=row.user, timestamp=said, infer=False)


def apart() -> list[workload.Row]:
    """Rows of one more user, said so far apart that none lends another any evidence: for the recall of each leg.

    Many more than are asked for, as a search leaves out what is less like the question than the average.
    """
    return [workload.Row(user="apart", text=text) for text in workload.texts(500, seed=3)]


async def search(job: Job) -> AsyncGenerator[Figures, None]:
    finish(elsewhere("bench.ours", "fill_here", job))
    rows, alone = workload.rows(job.rows, users=job.users), apart()
    async with opened(job) as memory:
        for row in rows[: job.users]:
            await memory.search(row.text, user_id=row.user)
        yield {}
        for number in count():
            asked = workload.questions(rows, job.calls, seed=number)
            took = await each_ms(_searching(memory, question, row.user) for row, question in asked)
            peak = peak_mb()
            recalls = [
                await _recalls(memory, alone, text) for _, text in workload.questions(alone, 10, seed=number)
            ]
            first = [await _is_first(memory, row, question) for row, question in asked]
            yield {
                "search_ms": median(took),
                "peak_mb": peak,
                "recall": sum(recall for recall, _ in recalls) / len(recalls),
                "recall_words": sum(recall for _, recall in recalls) / len(recalls),
                "first": f"{sum(first)} of {len(first)}",
            }


def _searching(memory: Engine, question: str, user: str) -> Callable[[], Awaitable[object]]:
    return lambda: memory.search(question, user_id=user, limit=10)


async def _is_first(memory: Engine, row: workload.Row, question: str) -> bool:
    found = (await memory.search(question, user_id=row.user, limit=1))["results"]
    return bool(found) and found[0]["memory"] == row.text


async def _recalls(memory: Engine, rows: Sequence[workload.Row], question: str) -> tuple[float, float]:
    """Of the ten rows nearest by vector, and of those that hold the question's rarest word: the share found as such.

    Vectors are kept as float16: a row that is as near as the tenth, but for rounding, counts as one of the ten.
    """
    found = (await memory.search(question, user_id="apart", limit=len(rows), threshold=0.0, explain=True))[
        "results"
    ]
    cosines = {row.text: float(workload.vector(row.text) @ workload.vector(question)) for row in rows}
    least = sorted(cosines.values())[-10] - 0.0005
    nearest = sorted(found, key=lambda result: -result["explain"]["meaning"])[:10]
    word = question.split()[2].rstrip("?")
    holders = {row.text for row in rows if word in row.text.lower().rstrip(".").split()}
    by_word = {result["memory"] for result in found if any(result["explain"]["words"].values())}
    return sum(cosines[result["memory"]] >= least for result in nearest) / 10, len(holders & by_word) / len(
        holders
    )


async def listing(job: Job) -> AsyncGenerator[Figures, None]:
    async with opened(job) as memory:
        await fill(memory, workload.rows(job.rows, users=1))
        yield {}
        while True:
            began = perf_counter()
            found = await memory.get_all(user_id="user-0", top_k=job.rows)
            assert len(found["results"]) == job.rows
            yield {"get_all_ms": (perf_counter() - began) * 1000}


async def deletion(job: Job) -> AsyncGenerator[Figures, None]:
    others = [workload.Row(user="other", text=text) for text in workload.texts(job.rows, seed=2)]
    yield {}
    for number in count():
        async with opened(job, name=str(number)) as memory:
            await fill(memory, [*others, *workload.rows(job.rows, users=1)])
            began = perf_counter()
            await memory.delete_all(user_id="user-0")
            took = (perf_counter() - began) * 1000
            assert not (await memory.get_all(user_id="user-0"))["results"]
            assert len((await memory.get_all(user_id="other", top_k=job.rows))["results"]) == job.rows
            yield {"delete_all_ms": took}


async def concurrent(job: Job) -> AsyncGenerator[Figures, None]:
    rows = workload.rows(job.rows, users=job.users)
    async with opened(job, embedder=GivenVectors(latency=0.02)) as memory:
        await fill(memory, rows)
        yield {}
        for number in count():
            asked = workload.questions(rows, job.calls, seed=number)
            for _, text in asked:
                workload.vector(text)  # made beforehand: the embedder is to wait, not to work on the loop
            yield await in_waves(functools.partial(_searching_all, memory, asked))


async def _searching_all(memory: Engine, asked: Sequence[tuple[workload.Row, str]]) -> None:
    await asyncio.gather(*(memory.search(text, user_id=row.user, limit=10) for row, text in asked))


LLM_SECONDS, EMBED_SECONDS = 0.3, 0.02


async def learn(job: Job) -> AsyncGenerator[Figures, None]:
    """What learning facts takes above the time of the model and of the embedder, for one message and for ten."""
    embedder = GivenVectors(latency=EMBED_SECONDS)
    with fake_openai(latency=LLM_SECONDS) as url:
        llm = OpenAIModel(model="fake", base_url=url, concurrency=200)
        made = {**parts(Config.of(plain(job))), "embedder": embedder, "llm": llm}
        async with Engine(**made) as memory:
            await memory.add("A first one.", user_id="warm")
            yield {}
            for number in count():
                texts = workload.texts(11 * job.calls + 200, seed=number)
                prompt = ask([Turn(id="t", scope=Scope(user_id="u"), role="user", text="Hello", **NOW)])
                bare = median(await each_ms([functools.partial(llm.complete, prompt)] * job.calls))
                floor = bare + 1000 * EMBED_SECONDS
                one = await _spent(embedder, [_learning(memory, texts, 1) for _ in range(job.calls)])
                ten = await _spent(embedder, [_learning(memory, texts, 10) for _ in range(job.calls)])
                async with loop_lag() as late:
                    began = perf_counter()
                    made = await asyncio.gather(
                        *(memory.add(text, user_id=f"at-once-{n}") for n, text in enumerate(texts))
                    )
                    took = perf_counter() - began
                kept = sum(bool(one["results"]) for one in made)
                yield {
                    "learn_ms": one - floor,
                    "learn_ten_ms": ten - floor,
                    "learn_at_once_s": took,
                    "learn_kept": f"{kept} of {len(made)}",
                    "learn_lag_p99_ms": percentile(late, 0.99),
                    "learn_lag_max_ms": max(late),
                }


NOW = dict.fromkeys(("said_at", "recorded_at"), datetime(2025, 1, 1, tzinfo=UTC))


def _learning(memory: Engine, texts: Iterator[str], messages: int) -> Callable[[], Awaitable[object]]:
    said = [next(texts) for _ in range(messages)]
    return lambda: memory.add([{"role": "user", "content": text} for text in said], user_id="alice")


async def _spent(embedder: GivenVectors, calls: Iterable[Callable[[], Awaitable[object]]]) -> float:
    """The median of what the calls took, in milliseconds, without what the bench's embedder takes to make vectors."""
    took = []
    for call in calls:
        before = embedder.spent
        [spent] = await each_ms([call])
        took.append(spent - 1000 * (embedder.spent - before))
    return median(took)


async def proxy(job: Job) -> AsyncGenerator[Figures, None]:
    """How much later the first word of an answer comes when memories go before it, with the model of every installation."""
    rows = workload.rows(job.rows, users=job.users)
    with fake_openai() as url:
        plain, server = AsyncChatClient(ChatServer(base_url=url)), ChatServer(base_url=url)
        async with (
            AsyncMemory.from_config({"store": store(job)}) as memory,
            AsyncPerdure(client=server, memory=memory) as remembering,
            plain,
        ):
            await fill(memory, rows)
            yield {}
            for number in count():
                asked = workload.questions(rows, job.calls, seed=number)
                without, with_memories = [], []
                for row, question in asked:  # in turns, so that both see the same machine
                    without += await each_ms([_first_word(plain, question)])
                    with_memories += await each_ms([_first_word(remembering, question, user_id=row.user)])
                    await remembering.flush()
                    await memory.flush()  # people read before they write again
                yield {
                    "first_word_ms": median(without),
                    "proxy_ms": median(with_memories) - median(without),
                    "proxy_p90_ms": percentile(with_memories, 0.9) - percentile(without, 0.9),
                }


def _first_word(client: Any, question: str, **ids: str) -> Callable[[], Awaitable[object]]:
    messages = [{"role": "user", "content": question}]

    async def call() -> None:
        stream = await client.chat.completions.create(model="fake", messages=messages, stream=True, **ids)
        async for chunk in stream:
            assert chunk.choices[0].delta.content
            break
        await stream.close()

    return call


async def two_processes(job: Job) -> AsyncGenerator[Figures, None]:
    async with opened(job) as memory:
        await memory.add("A first one.", user_id="alice", infer=False)
        yield {}
        for number in count():
            finish(
                elsewhere("bench.ours", "write_once", job, f"Number {number} came from the second process.")
            )
            found = await memory.search(f"number {number} second process", user_id="alice", limit=1)
            assert found["results"][0]["memory"].startswith(f"Number {number} ")
            yield {"second_process": "opens"}


async def write_once(job: Job, text: str) -> None:
    """The second process of `two_processes`."""
    async with opened(job) as memory:
        await memory.add(text, user_id="alice", infer=False)


SCOPE = "user-0"
WRITES = 50


async def scope(job: Job) -> AsyncGenerator[Figures, None]:
    """One user with very many memories, and the model that every installation has."""
    rows = workload.rows(job.rows, users=1)
    async with AsyncMemory.from_config(plain(job)) as memory:
        await fill(memory, rows)
        yield {}
        for number in count():
            questions = workload.questions(rows, job.calls, seed=number)
            warm = await each_ms(_searching(memory, question, SCOPE) for _, question in questions)
            texts = workload.texts(job.calls, seed=1000 + number)
            turns = zip(texts, questions, strict=True)
            after = await each_ms(
                _adding_then_searching(memory, text, question) for text, (_, question) in turns
            )
            beside, seen = await _beside_a_writer(
                memory, job, [question for _, question in questions], 2000 + number
            )
            yield {
                "warm_ms": median(warm),
                "after_add_ms": median(after),
                "beside_writer_ms": median(beside),
                "beside_writer_seen": f"{seen} of {WRITES}",
                **await _first_touches(job),
            }


def _adding_then_searching(memory: Engine, text: str, question: str) -> Callable[[], Awaitable[object]]:
    async def call() -> None:
        await memory.add(text, user_id=SCOPE, infer=False)
        await memory.search(question, user_id=SCOPE, limit=10)

    return call


async def _beside_a_writer(
    memory: Engine, job: Job, questions: list[str], seed: int
) -> tuple[list[float], int]:
    """Searches, one after another, as long as another process writes; then, how many of its writes are found."""
    writer = elsewhere("bench.ours", "write_many", job, str(seed))
    assert writer.stdout is not None
    assert writer.stdin is not None
    await asyncio.to_thread(writer.stdout.readline)
    writer.stdin.write("go\n")
    writer.stdin.flush()
    ended = asyncio.create_task(asyncio.to_thread(finish, writer))
    took: list[float] = []
    while not ended.done():
        took += await each_ms([_searching(memory, questions[len(took) % len(questions)], SCOPE)])
    await ended
    rows = [workload.Row(user=SCOPE, text=text) for text in workload.texts(WRITES, seed=seed)]
    return took, sum([await _is_first(memory, row, row.text) for row in rows])


async def write_many(job: Job, seed: str) -> None:
    """The writer beside: ready when its model is loaded, then one memory every 10 ms at most."""
    async with AsyncMemory.from_config(plain(job)) as memory:
        await memory.add(f"Writer {seed} is ready.", user_id="another", infer=False)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        for text in workload.texts(WRITES, seed=int(seed)):
            await memory.add(text, user_id=SCOPE, infer=False)
            await asyncio.sleep(0.01)


async def _first_touches(job: Job) -> Figures:
    """The first search of a new process, after one elsewhere that loads the model, and without."""
    figures: Figures = {}
    for figure, user in (("touch_ms", "another"), ("touch_model_ms", "")):
        said = await asyncio.to_thread(finish, elsewhere("bench.ours", "touch", job, user))
        figures[figure] = float(said)
    return figures


async def touch(job: Job, before: str) -> None:
    """A new process that searches the big scope, after another one if `before` names it, and tells the milliseconds."""
    async with AsyncMemory.from_config(plain(job)) as memory:
        if before:
            await memory.search("What was said?", user_id=before)
        [took] = await each_ms([_searching(memory, "Where did the trip to the mountains start?", SCOPE)])
        print(took)


def elsewhere_defined(module: str, name: str) -> Measure:
    """A measure whose module is loaded by those who take it: what others load would weigh on their garbage collection."""

    def measure(job: Job) -> AsyncGenerator[Figures, None]:
        made: AsyncGenerator[Figures, None] = getattr(import_module(module), name)(job)
        return made

    return measure


if __name__ == "__main__":
    serve(
        {
            "disk": disk,
            "start": start,
            "add": add,
            "bulk": bulk,
            "search": search,
            "listing": listing,
            "deletion": deletion,
            "scope": scope,
            "concurrent": concurrent,
            "over_http": over_http,
            "burst": burst,
            "pressure": pressure,
            "metrics": metrics,
            "learn": learn,
            "proxy": proxy,
            "two_processes": two_processes,
            "cache": cache,
            "vectors": elsewhere_defined("bench.vectors", "vectors"),
            "postgres": elsewhere_defined("bench.postgres", "postgres"),
            "engines": engines,
        }
    )
