"""A process to be killed: it adds without waiting, and tells what was acknowledged, or it works for others."""

import asyncio
import sys

from perdure import AsyncMemory


async def add(memory: AsyncMemory, name: str) -> None:
    for number in range(10_000):
        user = f"user {number % 3}"
        text = f"{name} said {number:05}"
        await memory.add(text, user_id=user, wait=False)
        print(user, text, sep="\t", flush=True)


async def main(role: str, path: str, url: str, name: str) -> None:
    llm = {"provider": "openai", "model": "m", "base_url": url, "retries": 0}
    settings = {"lease": 1.0, "background": role == "both"}
    async with AsyncMemory({"path": path, "embedder": "hash", "llm": llm, "settings": settings}) as memory:
        await (memory.work() if role == "work" else add(memory, name))


asyncio.run(main(*sys.argv[1:]))
