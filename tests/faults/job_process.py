"""A process that lives a job's life as often as it is told to, each time in a fork, and dies where it is told to."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
from pathlib import Path
from typing import Any

from perdure.engine.memory import Engine
from perdure.graphs.falkordb import FalkorGraph
from perdure.llms.openai import OpenAIModel
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import HashEmbedder
from perdure.vectors.redis import RedisVectors

DIMENSIONS = 48


class Fate:
    """Counts the moments at which a process could die, and kills it at one of them."""

    def __init__(self, at: int) -> None:
        self.left = at

    def passes(self) -> None:
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def meets(self, kind: type[Any]) -> type[Any]:
        """The same provider, at each of whose calls it may die: all before it are done, and this one is not begun."""
        calls = [
            name
            for name, what in inspect.getmembers(kind, inspect.iscoroutinefunction)
            if not name.startswith("_")
        ]
        return type(kind.__name__, (kind,), {name: self._mortal(getattr(kind, name)) for name in calls})

    def _mortal(self, call: Any) -> Any:
        @functools.wraps(call)
        async def mortal(*args: Any, **kwargs: Any) -> Any:
            self.passes()
            return await call(*args, **kwargs)

        return mortal


def engine(path: str, model: str, redis: str, fate: Fate, **more: Any) -> Engine:
    """A memory with all that can stand beside it."""
    return Engine(
        store=fate.meets(SqliteStore)(path=path),
        embedder=fate.meets(HashEmbedder)(dimensions=DIMENSIONS),
        llm=fate.meets(OpenAIModel)(model="m", base_url=model, api_key="none", retries=0, rest_after=100),
        vectors=fate.meets(RedisVectors)(url=redis),
        graph=fate.meets(FalkorGraph)(url=redis),
        settings=Settings(background=False, repeat_window=0),
        **more,
    )


async def live(path: str, model: str, redis: str, told: str, fate: Fate) -> None:
    """Two messages of one user, the second of which fails to be understood at first; then the first is erased."""
    memory = engine(path, model, redis, fate)

    def tell(what: str) -> None:
        fate.passes()
        with Path(told).open("a") as file:
            file.write(f"{what}\n")

    for number in range(2):
        await memory.add(f"word{number} was said", user_id="ann", wait=False)
        tell(f"added {number}")
    while (await memory.flush())["pending"]:
        await memory.retry()
    tell("learned")
    found = await memory.get_all(user_id="ann")
    first = next(one for one in found["results"] if "word0" in one["memory"])
    await memory.erase(memory_id=first["id"])
    tell("erased")
    await memory.close()


def main() -> None:
    for line in sys.stdin:
        *where, at = line.split("\t")
        child = os.fork()
        if not child:
            asyncio.run(live(*where, Fate(int(at))))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
