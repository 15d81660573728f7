"""Processes to be killed, each a fork of one that has all modules loaded: they add without waiting, or work for others."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from perdure import AsyncMemory
from perdure.engine.learning import Learner  # noqa: F401 -- loaded once, before anybody forks
from perdure.llms.openai import OpenAIModel  # noqa: F401


async def add(memory: AsyncMemory, name: str, told: Path) -> None:
    """Tell of each message that was acknowledged, in one write."""
    for number in range(10_000):
        user = f"user {number % 3}"
        text = f"{name} said {number:05}"
        await memory.add(text, user_id=user, wait=False)
        with told.open("a") as file:
            file.write(f"{user}\t{text}\n")


async def main(role: str, path: str, url: str, told: str) -> None:
    llm = {"provider": "openai", "model": "m", "base_url": url, "retries": 0}
    settings = {"lease": 1.0, "background": role == "both"}
    async with AsyncMemory({"path": path, "embedder": "hash", "llm": llm, "settings": settings}) as memory:
        await (memory.work() if role == "work" else add(memory, Path(told).name, Path(told)))


def serve() -> None:
    """For each line of arguments a process; its number is the answer."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who were killed
    for line in sys.stdin:
        child = os.fork()
        if not child:
            asyncio.run(main(*line.rstrip("\n").split("\t")))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    serve()
