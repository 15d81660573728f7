"""Many requests for vectors in few calls: who comes while a call is under way waits for others, and never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from perdure.engine.caching.wrapping import Wrapping
from perdure.ports import Embedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARS = 200_000
"""Characters in one call, about 50,000 tokens: services refuse more than some hundred thousand."""


class CoalescedEmbedder(Wrapping[Embedder]):
    """An embedder whose concurrent requests share calls, and whose identical texts in flight are embedded once.

    - Nothing is under way: the call is made at once, by the caller itself.
    - Fewer calls are under way than the embedder computes at the same time: likewise.
    - Else a text waits until a call ends, until there are enough texts for one, or `wait` seconds.

    An error reaches all who have a text in that call, and nobody else. Who gives up takes nothing from the others: if
    it made the call, one of them makes it again. A call that nobody waits for any more is given up.
    """

    def __init__(self, embedder: Embedder, *, most: int = 64, wait: float = 0.002, at_once: int = 1) -> None:
        """`most` texts in one call; a request that has as many is a call of its own."""
        super().__init__(embedder)
        self._most = most
        self._wait = wait
        self._at_once = at_once
        self._desks: WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = WeakKeyDictionary()

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(len(texts), dimensions)`, rows of unit length, in the order given; raises what the embedder raises."""
        if not texts or len(texts) >= self._most:
            return await self._embedder.embed(texts)
        desk = self._desk()
        while (vectors := await desk.embed(texts)) is None:
            continue  # who made the call for all gave up: it is made again
        return vectors

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        if (desk := self._desks.get(loop)) is None:
            desk = _Desk(self._embedder, self._most, self._wait, self._at_once)
            self._desks[loop] = desk
        return desk


@dataclass(slots=True, eq=False)
class _Call:
    """Texts that are embedded together."""

    vectors: asyncio.Future[NDArray[np.float32]]
    texts: list[str] = field(default_factory=list)
    chars: int = 0
    waiting: int = 0
    task: asyncio.Task[None] | None = None


class _Desk:
    """Takes the requests of one event loop."""

    def __init__(self, embedder: Embedder, most: int, wait: float, at_once: int) -> None:
        self._embedder = embedder
        self._most = most
        self._wait = wait
        self._at_once = at_once
        self._places: dict[str, tuple[_Call, int]] = {}
        """Of all texts that are gathered or in flight."""
        self._gathering: _Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._flying = 0

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """A row for each text; None when somebody who made a call for them was cancelled."""
        places = [self._place(text) for text in texts]
        calls = dict.fromkeys(call for call, _ in places)
        for call in calls:
            call.waiting += 1
        try:
            if self._flying < self._at_once and (own := self._take()) is not None:
                await self._fly(own)
            else:
                self._consider()
            for call in calls:
                if not call.vectors.done():
                    await asyncio.wait([call.vectors])
            if any(call.vectors.cancelled() for call in calls):
                return None
            return _rows(places)
        finally:
            for call in calls:
                self._leave(call)

    def _place(self, text: str) -> tuple[_Call, int]:
        """The call that this text is in, and its row."""
        if (known := self._places.get(text)) is not None:
            return known
        call = self._gathering
        if call is not None and call.chars + len(text) > MAX_CHARS:
            self._send()
            call = None
        if call is None:
            call = self._gathering = _Call(asyncio.get_running_loop().create_future())
        found = self._places[text] = (call, len(call.texts))
        call.texts.append(text)
        call.chars += len(text)
        if len(call.texts) >= self._most:
            self._send()
        return found

    def _leave(self, call: _Call) -> None:
        """One who waited has an answer, or has given up."""
        call.waiting -= 1
        if call.waiting or call.vectors.done():
            return
        self._forget(call)
        if call is self._gathering:
            self._gathering = None
        if call.task is not None:
            call.task.cancel()

    def _consider(self) -> None:
        """Send what is gathered if there is nothing to wait for, else after a while."""
        if self._flying < self._at_once:
            self._send()
        elif self._gathering is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._wait, self._send)

    def _take(self) -> _Call | None:
        """What is gathered, to be sent now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        call, self._gathering = self._gathering, None
        if call is not None:
            self._flying += 1
        return call

    def _send(self) -> None:
        """Send what is gathered, in a task of its own: nobody in particular makes this call."""
        if (call := self._take()) is not None:
            call.task = asyncio.get_running_loop().create_task(self._embedded(call))
            call.task.add_done_callback(lambda _: self._landed(call))

    async def _fly(self, call: _Call) -> None:
        try:
            await self._embedded(call)
        finally:
            self._landed(call)

    async def _embedded(self, call: _Call) -> None:
        try:
            call.vectors.set_result(await self._embedder.embed(call.texts))
        except Exception as error:  # noqa: BLE001  # it belongs to those who wait
            call.vectors.set_exception(error)
            call.vectors.exception()  # looked at, also when nobody waits any more

    def _landed(self, call: _Call) -> None:
        call.vectors.cancel()  # unless it has an answer: those who wait are not to wait for ever
        self._forget(call)
        self._flying -= 1
        if self._gathering is not None:
            self._consider()

    def _forget(self, call: _Call) -> None:
        for text in call.texts:
            if self._places.get(text, (None,))[0] is call:
                del self._places[text]


def _rows(places: Sequence[tuple[_Call, int]]) -> NDArray[np.float32]:
    """The vectors at these places; of a call that has just these, in this order, all as they are."""
    first = places[0][0]
    if len(first.texts) == len(places) and all(p == (first, row) for row, p in enumerate(places)):
        return first.vectors.result()
    import numpy as np

    return np.stack([call.vectors.result()[row] for call, row in places])
