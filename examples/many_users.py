"""Many users at once, asynchronously: each finds their own words and nobody else's."""

from __future__ import annotations

import asyncio
from time import perf_counter

from perdure import AsyncMemory

USERS = 50


async def main() -> None:
    async with AsyncMemory({"path": "many_users.db"}) as memory:
        started = perf_counter()
        await asyncio.gather(
            *(memory.add(f"My locker has the number {100 + n}.", user_id=f"user-{n}") for n in range(USERS))
        )
        found = await asyncio.gather(
            *(memory.search("Which locker is mine?", user_id=f"user-{n}") for n in range(USERS))
        )
        right = sum(
            [result["memory"] for result in answer["results"]] == [f"My locker has the number {100 + n}."]
            for n, answer in enumerate(found)
        )
        print(f"{right} of {USERS} users found their own locker, in {perf_counter() - started:.2f} s")


if __name__ == "__main__":
    asyncio.run(main())
