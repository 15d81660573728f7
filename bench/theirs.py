"""The incumbent's half, mem0ai as it installs itself: run in an environment of its own, never in the project's."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import subprocess
import sys
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from bench import workload
from bench.fake_openai import fake_openai
from bench.harness import (
    Figures,
    Job,
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

START = """
import json, sys
from time import perf_counter
began = perf_counter()
from mem0 import Memory
memory = Memory.from_config(json.loads(sys.argv[1]))
seconds = perf_counter() - began
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({"start_s": seconds, "start_mb": peak / 1024}))
"""
SECOND = """
import json, sys
from mem0 import Memory
memory = Memory.from_config(json.loads(sys.argv[1]))
"""


def config(directory: Path, *, url: str = "http://127.0.0.1:9/v1", llm: str = "") -> dict[str, Any]:
    """The default configuration (Qdrant in-process), with its files and its embedder at hand."""
    store = {"path": str(directory / "qdrant"), "embedding_model_dims": workload.DIMENSIONS}
    embedder = {"openai_base_url": url, "api_key": "none", "embedding_dims": workload.DIMENSIONS}
    return {
        "vector_store": {"provider": "qdrant", "config": store},
        "embedder": {"provider": "openai", "config": embedder},
        "llm": {"provider": "openai", "config": {"openai_base_url": llm or url, "api_key": "none"}},
        "history_db_path": str(directory / "history.db"),
    }


def open_memory(directory: Path, *, url: str | None = None, llm: str = "", face: str = "Memory") -> Any:
    """A memory; without a `url` its embedder is replaced by a call in this process, to measure the engine alone."""
    cls = getattr(importlib.import_module("mem0"), face)
    memory = cls.from_config(config(directory, **({"url": url, "llm": llm} if url else {})))
    if url is None:
        memory.embedding_model.embed = lambda text, _=None: workload.vector(text).tolist()
    return memory


def fill(memory: Any, rows: Sequence[workload.Row]) -> None:
    """Puts rows straight into its vector store, as `add` would one at a time (which takes minutes)."""
    now = datetime.now(UTC).isoformat()
    for start in range(0, len(rows), 1000):
        some = rows[start : start + 1000]
        payloads = [
            {"user_id": row.user, "role": "user", "data": row.text, "created_at": now, "updated_at": now}
            for row in some
        ]
        vectors = [workload.vector(row.text).tolist() for row in some]
        memory.vector_store.insert(vectors=vectors, payloads=payloads, ids=[str(uuid.uuid4()) for _ in some])


async def fill_here(job: Job) -> None:
    """Fills the job's store, in a process of its own: the memory of serving it is then that of serving alone."""
    with closing(open_memory(job.directory)) as memory:
        fill(memory, workload.rows(job.rows, users=job.users))


async def start(job: Job) -> AsyncGenerator[Figures, None]:
    yield {}
    for number in count():
        directory = job.directory / str(number)
        directory.mkdir()
        arguments = [sys.executable, "-c", START, json.dumps(config(directory))]
        said = await asyncio.to_thread(
            subprocess.check_output, arguments, stderr=subprocess.DEVNULL, text=True
        )
        yield json.loads(said.splitlines()[-1])


async def add(job: Job) -> AsyncGenerator[Figures, None]:
    with fake_openai() as url:
        remote = open_memory(job.directory / "remote", url=url)
        local = open_memory(job.directory / "local")
        for memory in (remote, local):
            memory.add("A first one.", user_id="warm", infer=False)
        yield {}
        for number in count():
            texts = list(workload.texts(job.calls, seed=1000 + number))
            over_http = await each_ms(_adding(remote, text) for text in texts)
            in_process = await each_ms(_adding(local, text) for text in texts)
            yield {
                "add_http_ms": median(over_http),
                "add_ms": median(in_process),
                "adds_per_s": 1000 * len(in_process) / sum(in_process),
            }


def _adding(memory: Any, text: str) -> Any:
    async def call() -> None:
        memory.add(text, user_id="alice", infer=False)

    return call


async def search(job: Job) -> AsyncGenerator[Figures, None]:
    finish(elsewhere("bench.theirs", "fill_here", job))
    rows = workload.rows(job.rows, users=job.users)
    memory = open_memory(job.directory)
    _search(memory, rows[0].text, rows[0].user)
    yield {}
    for number in count():
        asked = workload.questions(rows, job.calls, seed=number)
        took = await each_ms(_searching(memory, question, row.user) for row, question in asked)
        recalls = [_recall(memory, rows, row, question) for row, question in asked[:10]]
        yield {
            "search_ms": median(took),
            "recall": sum(recalls) / len(recalls),
            "peak_mb": peak_mb(),
        }


def _search(memory: Any, question: str, user: str) -> list[str]:
    found = memory.search(question, filters={"user_id": user}, top_k=10, threshold=0.0)
    return [result["memory"] for result in found["results"]]


def _searching(memory: Any, question: str, user: str) -> Any:
    async def call() -> None:
        _search(memory, question, user)

    return call


def _recall(memory: Any, rows: Sequence[workload.Row], row: workload.Row, question: str) -> float:
    exact = workload.nearest(question, [other.text for other in rows if other.user == row.user], 10)
    return len(set(exact) & set(_search(memory, question, row.user))) / len(exact)


async def listing(job: Job) -> AsyncGenerator[Figures, None]:
    memory = open_memory(job.directory)
    fill(memory, workload.rows(job.rows, users=1))
    yield {}
    while True:
        began = perf_counter()
        found = memory.get_all(filters={"user_id": "user-0"}, top_k=job.rows)
        assert len(found["results"]) == job.rows
        yield {"get_all_ms": (perf_counter() - began) * 1000}


async def deletion(job: Job) -> AsyncGenerator[Figures, None]:
    others = [workload.Row(user="other", text=row.text) for row in workload.rows(job.rows, users=1, seed=2)]
    yield {}
    for number in count():
        memory = open_memory(job.directory / str(number))  # afresh: what Qdrant deletes goes on costing time
        fill(memory, [*others, *workload.rows(job.rows, users=1)])
        began = perf_counter()
        memory.delete_all(user_id="user-0")
        took = (perf_counter() - began) * 1000
        assert len(memory.get_all(filters={"user_id": "other"}, top_k=job.rows)["results"]) == job.rows
        yield {"delete_all_ms": took}


async def concurrent(job: Job, prefix: str = "") -> AsyncGenerator[Figures, None]:
    with fake_openai(latency=0.02) as url:
        rows = workload.rows(job.rows, users=job.users)
        memory = open_memory(job.directory, url=url, face="AsyncMemory")
        fill(memory, rows)
        await memory.search("A first one?", filters={"user_id": "user-0"})
        yield {}
        for number in count():
            asked = workload.questions(rows, job.calls, seed=number)
            yield await in_waves(functools.partial(_searching_all, memory, asked), prefix=prefix)


async def _searching_all(memory: Any, asked: Sequence[tuple[workload.Row, str]]) -> None:
    await asyncio.gather(
        *(memory.search(text, filters={"user_id": row.user}, top_k=10) for row, text in asked)
    )


async def learn(job: Job) -> AsyncGenerator[Figures, None]:
    """As many adds at once as on the other side, with the same latencies."""
    with fake_openai(latency=0.02) as url, fake_openai(latency=0.3) as llm:
        memory = open_memory(job.directory, url=url, llm=llm, face="AsyncMemory")
        await memory.add("A first one.", user_id="warm")
        yield {}
        for number in count():
            texts = list(workload.texts(200, seed=number))
            async with loop_lag() as late:
                began = perf_counter()
                adds = (memory.add(text, user_id=f"at-once-{n}") for n, text in enumerate(texts))
                made = await asyncio.gather(*adds, return_exceptions=True)
                took = perf_counter() - began
            kept = sum(not isinstance(one, BaseException) and bool(one["results"]) for one in made)
            yield {
                "learn_at_once_s": took,
                "learn_kept": f"{kept} of {len(made)}",
                "learn_lag_p99_ms": percentile(late, 0.99),
                "learn_lag_max_ms": max(late),
            }


async def two_processes(job: Job) -> AsyncGenerator[Figures, None]:
    memory = open_memory(job.directory)
    memory.add("A first one.", user_id="alice", infer=False)
    yield {}
    while True:
        arguments = [sys.executable, "-c", SECOND, json.dumps(config(job.directory))]
        second = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True)
        last = second.stderr.strip().splitlines()[-1:] or [""]
        yield {"second_process": "opens" if second.returncode == 0 else f"refused ({last[0].split(':')[0]})"}


if __name__ == "__main__":
    serve(
        {
            "start": start,
            "add": add,
            "search": search,
            "listing": listing,
            "deletion": deletion,
            "concurrent": concurrent,
            "learn": learn,
            "over_http": functools.partial(concurrent, prefix="http_"),
            "two_processes": two_processes,
        }
    )
