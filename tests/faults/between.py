"""A connection that goes through somebody who can spoil it, in five ways, whatever protocol it speaks."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Final, Literal, Self, TypeAlias

Trouble: TypeAlias = Literal["refuses", "fails", "too many", "hangs", "cuts"]
TROUBLES: Final[tuple[Trouble, ...]] = ("refuses", "fails", "too many", "hangs", "cuts")
HTTP: Final = {
    "fails": b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
    "too many": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n",
}
REDIS: Final = {
    "fails": b"-LOADING Redis is loading the dataset in memory\r\n",
    "too many": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
}
"""The answers that a server would give, by protocol."""


class Between:
    """Listens on a port of its own and passes everything on, until it is told to spoil it.

    - refuses: nobody listens, and connections end
    - fails, too many: every message is answered with an error of the server, and the connection ends
    - hangs: nothing is passed on, and nothing answered
    - cuts: of every answer a few bytes are passed on, and the connection ends
    """

    def __init__(self, port: int, errors: dict[str, bytes]) -> None:
        self._port = port
        self._errors = errors
        self._trouble: Trouble | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.met = 0
        """Messages that were spoiled."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = 0
        self._do(self._listen())
        return self

    def __exit__(self, *ended: object) -> None:
        self._do(self._deafen())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def spoil(self, trouble: Trouble | None) -> None:
        """Begin it, or end it."""
        self._trouble = trouble
        self._do(self._deafen())
        if trouble != "refuses":
            self._do(self._listen())

    def _do(self, work: object) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)  # type: ignore[arg-type]

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _deafen(self) -> None:
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            theirs, there = await asyncio.open_connection("127.0.0.1", self._port)
            self._open.add(there)
            await asyncio.gather(self._ask(reader, there, writer), self._answer(theirs, writer))
        self._open -= {writer}
        writer.transport.abort()

    async def _ask(
        self, reader: asyncio.StreamReader, there: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(65_536):
            if self._trouble is not None:
                self.met += 1
            if self._trouble == "hangs":
                continue
            if self._trouble in self._errors:
                back.write(self._errors[self._trouble])
                await back.drain()
                break
            there.write(data)
            await there.drain()
        there.close()

    async def _answer(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self._trouble == "cuts":
                back.write(data[: min(3, len(data) // 2)])
                await back.drain()
                break
            back.write(data)
            await back.drain()
        back.close()
