"""`python -m bench.scale`: one store as it grows, searched as users come back: some often, most seldom (Zipf)."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from bench import workload
from bench.harness import each_ms, median, peak_mb, percentile, resident_mb
from perdure import Config
from perdure.assemble import parts
from perdure.engine.memory import Engine
from perdure.testing.fakes import HashEmbedder
from perdure.testing.servers import PostgresServer

EACH = 100
"""Memories of a user."""
INDEX_BYTES = 400 * 10**6
DURABLE = {"fsync": "on", "shared_buffers": "512MB", "max_wal_size": "4GB"}
AT_ONCE = 8
"""Users who are filled in at the same time."""


def engine(store: dict[str, Any]) -> Engine:
    """A memory without caches of answers: each search is made."""
    settings = {"cache_bytes": 0, "vector_cache_bytes": 0, "index_bytes": INDEX_BYTES, "repeat_window": 0}
    made = parts(Config.of({"store": store, "embedder": "hash", "settings": settings}))
    return Engine(**{**made, "embedder": HashEmbedder(dimensions=workload.DIMENSIONS)})


async def fill(store: dict[str, Any], rows: int) -> float:
    """Give each user so many memories; seconds."""
    texts = workload.texts(rows, seed=1)
    portions = [[{"role": "user", "content": next(texts)} for _ in range(EACH)] for _ in range(rows // EACH)]
    began = perf_counter()
    async with engine(store) as memory:
        users = iter(enumerate(portions))

        async def some() -> None:
            for number, said in users:
                await memory.add(said, user_id=f"user-{number}", infer=False)

        await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return perf_counter() - began


def visits(users: int, count: int) -> Sequence[int]:
    """Users by Zipf's law (s = 1), in an order of their own."""
    rng = np.random.default_rng(3)
    chances = 1 / np.arange(1, users + 1)
    return [
        int(user) for user in rng.permutation(users)[rng.choice(users, size=count, p=chances / chances.sum())]
    ]


async def measure(store: dict[str, Any], rows: int, searches: int) -> dict[str, Any]:
    """Open it, and search."""
    users = rows // EACH
    words = workload.vocabulary()
    rng = np.random.default_rng(4)
    asked = [
        (f"user-{user}", f"What about {' '.join(rng.choice(words, 3))}?") for user in visits(users, searches)
    ]
    before = resident_mb()
    began = perf_counter()
    memory = engine(store)
    await memory.search(asked[0][1], user_id=asked[0][0])
    opened = perf_counter() - began

    async def search(user: str, text: str) -> None:
        await memory.search(text, user_id=user, threshold=0.0)

    first = await each_ms([lambda one=one: search(*one) for one in asked])
    held = memory.live_stats()["index_bytes"]
    again = await each_ms([lambda one=asked[-1]: search(*one)] * 200)
    stats = await memory.stats()
    await memory.close()
    return {
        "rows": rows,
        "users": users,
        "store_gb": stats["store_bytes"] / 1e9,
        "first_search_s": opened,
        "p50_ms": median(first),
        "p99_ms": percentile(first, 0.99),
        "max_ms": max(first),
        "warm_p50_ms": median(again),
        "index_mb": held / 1e6,
        "process_mb": peak_mb() - before,
    }


@contextmanager
def place(home: Path | None) -> Iterator[Path]:
    """A directory: the one that is named, which stays, or one that goes."""
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        yield home
    else:
        with tempfile.TemporaryDirectory(prefix=".scale-", dir=Path(__file__).parent) as folder:
            yield Path(folder)


MOVE = """
import asyncio, json, sys
from perdure import Config
from perdure.migrate import migrate
ends = [Config.of({"store": json.loads(end), "embedder": "hash"}) for end in sys.argv[1:3]]
print(json.dumps(asyncio.run(migrate(*ends, progress=lambda done, *_: print(done, flush=True)))))
"""


def move(source: dict[str, Any], target: dict[str, Any], rows: int) -> dict[str, Any]:
    """Move a store, in a process that is killed half-way, and in one that goes on."""
    command = [sys.executable, "-c", MOVE, json.dumps(source), json.dumps(target)]
    began = perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        while int(first.stdout.readline()) < 3 * rows // 2:  # a turn, a version and a change for each
            pass
        first.kill()
    half = perf_counter() - began
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    made = json.loads(said.splitlines()[-1])
    whole = perf_counter() - began
    return {"moved_s": whole, "killed_after_s": half, "equal": made["sound"], "taken_over": made["memories"]}


def sqlite(home: Path, rows: int) -> dict[str, Any]:
    """The store of that size, filled if it is not there yet; and how long that took."""
    store = {"provider": "sqlite", "path": str(home / f"{rows}.db")}
    if not Path(store["path"]).exists():
        print(json.dumps({"rows": rows, "filled_s": asyncio.run(fill(store, rows))}), flush=True)
    return store


def main() -> None:
    """Fill and measure each size; a line of figures for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--searches", type=int, default=5_000)
    parser.add_argument("--home", type=Path, help="where filled stores are, and stay")
    parser.add_argument("--postgres", action="store_true", help="move each to a PostgreSQL, and measure that")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = stack.enter_context(place(options.home))
        server = stack.enter_context(PostgresServer(options=DURABLE)) if options.postgres else None
        for rows in options.rows:
            store, moved = sqlite(home, rows), {}
            if server is not None:
                target = {"provider": "postgres", "url": server.url(), "schema": f"rows_{rows}"}
                moved = move(store, target, rows)
                store = target
            figures = asyncio.run(measure(store, rows, options.searches))
            print(json.dumps({"store": store["provider"], **figures, **moved}), flush=True)


if __name__ == "__main__":
    main()
