"""Recalling before an answer and remembering behind it, on the event loop of the memory."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from perdure.blocking import blocking
from perdure.errors import Closed, InvalidInput, PerdureError, Unavailable
from perdure.ids import new_id
from perdure.memory import AsyncMemory, Memory
from perdure.proxy.calls import Asked, Manner
from perdure.proxy.exchange import text_of

log = logging.getLogger("perdure.proxy")

MOST: Final = 1_000
"""Exchanges that may wait to be stored; who asks for an answer then waits for room, up to the time for recalling."""
ATTEMPTS: Final = 3
"""How often an exchange is stored that a busy store does not take."""
PAUSE: Final = 0.5
"""Seconds before the second attempt, and four times as many before the third."""
LINGER: Final = 10.0
"""Seconds that closing waits for the rest of answers whose readers are gone."""


class Reading:
    """An answer while it comes in: whoever reads it tells here, from any thread, what came and when it is over."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._texts: list[str] = []
        self._failed = False
        self.over = asyncio.Event()
        self.at = datetime.now(UTC)
        """When it was complete."""
        self.ended = False
        self.held = True
        """Whether there is still somebody who could read on."""

    @property
    def text(self) -> str | None:
        """What came; None: the answer failed, and so it is none."""
        return None if self._failed else "".join(self._texts)

    def take(self, text: str) -> None:
        """The next piece."""
        if not self.ended:
            self._texts.append(text)

    def end(self, *, failed: bool = False) -> None:
        """Nothing more comes; what ended once stays as it was. A failure is one if somebody is there to see it."""
        if not self.ended:
            self.ended, self._failed = True, failed and self.held
            self.at = datetime.now(UTC)
            self._on_loop(self.over.set)

    def let_go(self, then: Callable[[], object]) -> None:
        """Nobody reads any more; `then` is called on the memory's loop, once."""
        if self.held:
            self.held = False
            self._on_loop(then)

    def _on_loop(self, call: Callable[[], object]) -> None:
        """Call it on the memory's loop, from wherever this is: also from the garbage collector."""
        with suppress(RuntimeError):  # the loop has ended, and with it all that was on it
            self._loop.call_soon_threadsafe(call)


@dataclass(eq=False)
class _Lane:
    """What is under way on one event loop."""

    tasks: dict[asyncio.Task[None], Reading] = field(default_factory=dict)
    writing: set[asyncio.Task[None]] = field(default_factory=set)
    locks: WeakValueDictionary[object, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """By partition, so that what was said first is stored first."""


class Behind:
    """What is remembered behind the answers of one client, with the memory that it goes into."""

    def __init__(self, memory: AsyncMemory | Memory, manner: Manner) -> None:
        self.memory = memory
        """Held as long as something is on its way into it."""
        self.manner = manner
        self._lanes: dict[asyncio.AbstractEventLoop, _Lane] = {}

    def lane(self) -> _Lane:
        """The running loop's own: after a fork, or in another `asyncio.run`, it is another one."""
        loop = asyncio.get_running_loop()
        if loop not in self._lanes:
            self._lanes = {other: its for other, its in self._lanes.items() if not other.is_closed()}
            self._lanes[loop] = _Lane()
        return self._lanes[loop]

    def begin(self, memory: AsyncMemory, asked: Asked) -> Reading:
        """Remember an exchange as soon as its answer is over."""
        lane, reading = self.lane(), Reading()
        task = asyncio.get_running_loop().create_task(self._keep(memory, asked, reading, lane))
        lane.tasks[task] = reading
        _BUSY.add(self)

        def done(task: asyncio.Task[None]) -> None:
            del lane.tasks[task]
            if not lane.tasks:
                _BUSY.discard(self)

        task.add_done_callback(done)
        return reading

    def remember(self, memory: AsyncMemory, asked: Asked, answer: str) -> None:
        """Remember an exchange that is complete, behind whoever calls this."""
        reading = self.begin(memory, asked)
        reading.take(answer)
        reading.end()

    async def _keep(self, memory: AsyncMemory, asked: Asked, reading: Reading, lane: _Lane) -> None:
        """Wait for the answer and store the exchange, whatever cancels this.

        Nobody cancels it but the end of `asyncio.run`, which cancels every task, once: then what came until now is
        what there is, and storing it begins again, under the same key.
        """
        with suppress(asyncio.CancelledError):
            await reading.over.wait()
        if not (messages := _exchange(asked, reading)):
            return
        key, task = new_id(), asyncio.current_task()
        assert task is not None
        lane.writing.add(task)
        try:
            try:
                await self._in_turn(memory, asked, messages, key, lane)
            except asyncio.CancelledError:
                await self._in_turn(memory, asked, messages, key, lane)
        finally:
            lane.writing.discard(task)

    async def _in_turn(
        self, memory: AsyncMemory, asked: Asked, messages: list[dict[str, Any]], key: str, lane: _Lane
    ) -> None:
        lock = lane.locks.setdefault(next(iter(asked.ids.items())), asyncio.Lock())
        async with lock:
            try:
                await _stored(memory, asked, messages, key)
            except InvalidInput:  # one of them cannot be stored as it is, and the others shall
                for place, message in enumerate(messages):
                    await self._alone(memory, asked, message, f"{key}.{place}")
            except Exception as error:  # noqa: BLE001  # whatever it is, it is not the chat's
                log.warning("an exchange was not remembered: %s", told(error))

    async def _alone(self, memory: AsyncMemory, asked: Asked, message: dict[str, Any], key: str) -> None:
        """Store the text of a message, without the pictures that it may be too large with."""
        try:
            await _stored(memory, asked, [{**message, "content": text_of(message)}], key)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is not the chat's
            log.warning("a message was not remembered: %s", told(error))


async def recall(memory: AsyncMemory, behind: Behind, asked: Asked) -> str:
    """The memories for a call, as a block; empty when there are none, or they cannot be had.

    Raises:
        InvalidInput: a wrong filter or number: the call has to be mended.
    """
    if not asked.question:
        return ""
    try:
        async with asyncio.timeout(behind.manner.recall_timeout):
            await _room(behind.lane())
            found = await memory.context(
                asked.question,
                **asked.ids,
                budget_tokens=behind.manner.budget_tokens,
                filters=asked.filters,
                top_k=asked.top_k,
                limit=asked.limit,
            )
            return str(found["context"])
    except InvalidInput:
        raise
    except Exception as error:  # noqa: BLE001  # a chat without memories is better than none
        log.warning("nothing was recalled: %s", told(error))
    return ""


async def begin(memory: AsyncMemory, behind: Behind, asked: Asked) -> Reading:
    """Remember an exchange as soon as its answer is over."""
    return behind.begin(memory, asked)


async def remember(memory: AsyncMemory, behind: Behind, asked: Asked, answer: str) -> None:
    """Remember an exchange that is complete, behind whoever calls this."""
    behind.remember(memory, asked, answer)


async def flush(memory: AsyncMemory, behind: Behind) -> None:
    """Wait until every exchange is stored whose answer nobody is still reading."""
    del memory
    if waiting := [
        task for task, reading in behind.lane().tasks.items() if reading.ended or not reading.held
    ]:
        await asyncio.wait(waiting)


async def finish(memory: AsyncMemory, behind: Behind) -> None:
    """Store everything: what somebody still reads as far as it came, after a while also what nobody reads."""
    del memory
    tasks = behind.lane().tasks
    for reading in list(tasks.values()):
        if reading.held:
            reading.end()
    if tasks:
        await asyncio.wait(list(tasks), timeout=LINGER)
    for reading in list(tasks.values()):
        reading.end()
    if tasks:
        await asyncio.wait(list(tasks))


async def _room(lane: _Lane) -> None:
    while len(lane.writing) >= MOST:
        await asyncio.wait(list(lane.writing), return_when=asyncio.FIRST_COMPLETED)


async def _stored(memory: AsyncMemory, asked: Asked, messages: list[dict[str, Any]], key: str) -> None:
    """Make messages durable, once for a key, again where the store was only busy; raises as `add` does.

    Vectors and facts are the business of the memory's own workers.
    """
    for attempt in range(ATTEMPTS):
        try:
            await memory.add(messages, **asked.ids, metadata=asked.metadata, idempotency_key=key, wait=False)
        except Closed:
            raise
        except Unavailable:
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(PAUSE * 4**attempt)
        else:
            return


def _exchange(asked: Asked, reading: Reading) -> list[dict[str, Any]]:
    """The messages to store: none of an answer that failed, as who asks again says all of it again."""
    if reading.text is None:
        return []
    messages: list[dict[str, Any]] = [{**message, "timestamp": asked.at} for message in asked.said]
    if reading.text.strip():
        messages.append({"role": "assistant", "content": reading.text, "timestamp": reading.at})
    return messages


def told(error: Exception) -> str:
    """What a log may say of an error: ours hold no texts of anybody's, of others nobody knows."""
    if isinstance(error, PerdureError):
        return str(error)
    return "it took too long" if isinstance(error, TimeoutError) else type(error).__name__


_BUSY: Final[set[Behind]] = set()
"""Those with something under way: the loops themselves hold their tasks only weakly."""


@atexit.register  # before that of `perdure.threads`, without which nothing can be stored
def _end() -> None:
    """Store what blocking clients have under way; the asynchronous ones did it when their loop ended."""
    for behind in list(_BUSY):
        if isinstance(behind.memory, Memory):
            with suppress(Closed):
                blocking(finish)(behind.memory, behind)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_BUSY.clear)  # what is under way is the parent's
