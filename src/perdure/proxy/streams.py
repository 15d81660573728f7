"""Streamed answers that are remembered whole, also when their readers stop half-way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, Self
from weakref import finalize

from perdure.proxy.behind import Reading
from perdure.proxy.delegate import Delegate
from perdure.proxy.exchange import piece


class Stream(Delegate):
    """A client's stream: each piece goes to the reader as it is, and its text to the memory."""

    def __init__(self, source: Any, reading: Reading, *, read_on: bool) -> None:
        super().__init__(source)
        chunks = _Chunks(source, reading)
        let_go = finalize(self, chunks.let_go, read_on=read_on)
        let_go.atexit = False  # then everything is finished anyway
        self.__dict__.update(_chunks=chunks, _let_go=let_go)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._let_go.alive:  # it was closed; what comes is not for this reader
            raise StopIteration
        return self._chunks.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Read no more. What the model still says is read and remembered behind, unless that is switched off."""
        self._let_go()

    @property
    def response(self) -> Any:
        """The client's own, by which helpers of OpenAI's client close a stream."""
        return Delegate(self._inner.response, close=self.close, aclose=self.close)


class AsyncStream(Delegate):
    """The same, asynchronous."""

    def __init__(self, source: Any, reading: Reading, *, read_on: bool) -> None:
        super().__init__(source)
        chunks = _AsyncChunks(source, reading)
        let_go = finalize(self, chunks.let_go, read_on=read_on)
        let_go.atexit = False
        self.__dict__.update(_chunks=chunks, _let_go=let_go)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self._let_go.alive:
            raise StopAsyncIteration
        return await self._chunks.next()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Read no more. What the model still says is read and remembered behind, unless that is switched off."""
        self._let_go()
        await self._chunks.closed()

    aclose = close

    @property
    def response(self) -> Any:
        """The client's own, by which helpers of OpenAI's client close a stream."""
        return Delegate(self._inner.response, close=self.close, aclose=self.close)


class _Chunks:
    """The pieces of a stream, which outlive its reader."""

    def __init__(self, source: Any, reading: Reading) -> None:
        self._source = source
        self._pieces = iter(source)
        self._reading = reading
        self._exhausted = False
        self._lock = threading.Lock()
        """A stream may be closed by another thread than that which is waiting for its next piece."""

    def next(self) -> Any:
        """The next piece.

        Raises:
            StopIteration: there is none.
        """
        with self._lock:
            try:
                chunk = next(self._pieces)
            except Exception as error:
                self._exhausted = True
                self._reading.end(failed=not isinstance(error, StopIteration))
                raise
            except BaseException:  # Ctrl-C: the reader has read enough
                self._reading.end()
                raise
            self._reading.take(piece(chunk))
            return chunk

    def let_go(self, *, read_on: bool) -> None:
        """There is no reader any more; this runs wherever the garbage collector strikes."""
        if self._exhausted:
            return
        if not read_on:
            self._reading.end()
        self._reading.let_go(self._start)

    def _start(self) -> None:
        """A thread that may be left alone: what hangs in a socket does not hold up the end of the process."""
        threading.Thread(target=self._finish, name="perdure-stream", daemon=True).start()

    def _finish(self) -> None:
        with suppress(Exception):  # what came until then was said
            while not self._reading.ended:
                self.next()
        self._close()

    def _close(self) -> None:
        with suppress(Exception):
            self._source.close()


class _AsyncChunks:
    """The pieces of a stream, which outlive its reader; a task fetches each, as the reader may be cancelled."""

    def __init__(self, source: Any, reading: Reading) -> None:
        self._source = source
        self._pieces = aiter(source)
        self._reading = reading
        self._exhausted = False
        self._step: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def next(self) -> Any:
        """The next piece; who was cancelled meanwhile, and asks again, gets the same one.

        Raises:
            StopAsyncIteration: there is none.
        """
        step = self._step = self._step or asyncio.create_task(self._fetched())
        try:
            chunk = await asyncio.shield(step)
        except asyncio.CancelledError:
            if step.cancelled():  # else the reader was, and what it waited for is kept for the next time
                self._step = None
            raise
        except Exception:
            self._step = None
            raise
        self._step = None
        return chunk

    def let_go(self, *, read_on: bool) -> None:
        """There is no reader any more; this runs wherever the garbage collector strikes."""
        if self._exhausted:
            return
        if not read_on:
            self._reading.end()
        self._reading.let_go(self._start if read_on else self._close)

    def _start(self) -> None:
        _spawned(self._finish())

    async def closed(self) -> None:
        """Wait until the stream is closed, if that is what happens to it now."""
        await asyncio.sleep(0)  # what `let_go` has put on the loop comes first
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _fetched(self) -> Any:
        try:
            chunk = await anext(self._pieces)
        except Exception as error:
            self._exhausted = True
            self._reading.end(failed=not isinstance(error, StopAsyncIteration))
            raise
        self._reading.take(piece(chunk))
        return chunk

    async def _finish(self) -> None:
        try:
            with suppress(Exception):  # what came until then was said
                while True:
                    await self.next()
        finally:
            self._reading.end()
            await self._closed()

    def _close(self) -> None:
        if self._step is not None:
            self._step.cancel()
        self._closing = _spawned(self._closed())

    async def _closed(self) -> None:
        close = getattr(self._source, "close", None) or self._source.aclose
        with suppress(Exception):
            await close()


def _spawned(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(coroutine)
    _TASKS.add(task)
    task.add_done_callback(_TASKS.discard)
    return task


_TASKS: Final[set[asyncio.Task[None]]] = set()
"""Under way: the loops themselves hold their tasks only weakly."""
