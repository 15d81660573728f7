"""Turns on the event loop."""

import asyncio

from perdure.engine.turns import Turns


async def rounds(passed, callers):
    """How many have passed after each round of the loop."""
    seen = []
    while len(passed) < callers:
        await asyncio.sleep(0)
        seen.append(len(passed))
    return seen


def test_of_many_who_come_together_one_passes_in_a_round_in_order():
    async def scenario():
        turns, passed = Turns(), []

        async def caller(number):
            await turns.take()
            passed.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(caller(number))
            seen = await rounds(passed, 20)
        assert passed == list(range(20))
        assert max(after - before for before, after in zip([0, *seen], seen, strict=False)) == 1

    asyncio.run(scenario())


def test_each_loop_has_turns_of_its_own():
    turns = Turns()

    async def scenario():
        await asyncio.gather(*(turns.take() for _ in range(5)))

    for _ in range(2):
        asyncio.run(scenario())


def test_who_comes_alone_does_not_wait():
    async def scenario():
        turns = Turns()
        waiting = turns.take()
        try:
            waiting.send(None)
        except StopIteration:
            return
        raise AssertionError("it waited")

    asyncio.run(scenario())


def test_a_turn_is_not_lost_with_a_caller_who_gives_up():
    async def scenario():
        turns = Turns()
        callers = [asyncio.create_task(turns.take()) for _ in range(5)]
        await asyncio.sleep(0)
        for caller in callers[1:4]:
            caller.cancel()
        await asyncio.wait_for(callers[4], 5)

    asyncio.run(scenario())
