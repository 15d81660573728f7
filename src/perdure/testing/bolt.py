"""A server that speaks Neo4j's Bolt, for tests: its answers are those of a FalkorDB, which knows the same Cypher."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from perdure.testing.packstream import packed, read

if TYPE_CHECKING:
    from redis.asyncio import Redis

START: Final = 20.0
"""Seconds in which it has to be there."""
_VERSION: Final = (4, 4)
_HELLO, _GOODBYE, _RESET, _RUN = 0x01, 0x02, 0x0F, 0x10
_DISCARD, _PULL = 0x2F, 0x3F
_SUCCESS, _RECORD, _IGNORED, _FAILURE = 0x70, 0x71, 0x7E, 0x7F
_PRIVATE: Final = 0xE000
"""Control characters travel to FalkorDB as these: it reads some of them as something else."""


class BoltServer:
    """A server in a thread of its own, on loopback, before a FalkorDB; each statement is done at once, for good."""

    def __init__(self, *, redis_url: str, graph: str, password: str | None = None) -> None:
        """Nothing is opened before `start`.

        Args:
            redis_url: of the FalkorDB.
            graph: what holds the data there.
            password: the one that it wants.
        """
        self.statements: list[tuple[str, Mapping[str, Any]]] = []
        """What it was asked, with parameters."""
        self.failure: str | None = None
        """The code with which it fails whatever it is asked, as `Neo.TransientError.General.X`."""
        self._redis_url = redis_url
        self.graph = graph
        self._password = password
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Of the server, the same after `stop` and `start`."""
        return f"bolt://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Take connections."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        if not ready.wait(START):
            raise RuntimeError("the server does not start")

    def stop(self) -> None:
        """End it, and all its connections."""
        if self._thread is not None and self._loop is not None and self._ended is not None:
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        from redis.asyncio import Redis

        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        tasks: set[asyncio.Task[None]] = set()
        async with Redis.from_url(self._redis_url) as redis:

            def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.ensure_future(_Talk(self, redis, reader, writer).go())
                tasks.add(task)
                task.add_done_callback(tasks.discard)

            server = await asyncio.start_server(connected, "127.0.0.1", self._port)
            self._port = server.sockets[0].getsockname()[1]
            ready.set()
            await self._ended.wait()
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def refusal(self, hello: Mapping[str, Any]) -> str | None:
        """The code for one who may not come in."""
        if self._password not in {None, hello.get("credentials")}:
            return "Neo.ClientError.Security.Unauthorized"
        return None


@dataclass
class _Talk:
    """One connection."""

    server: BoltServer
    redis: Redis
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    rows: list[list[Any]] = field(default_factory=list)
    failed: bool = False

    async def go(self) -> None:
        """Until one of both ends it."""
        try:
            await self.reader.readexactly(20)  # a magic number, and the versions that the client speaks
            self.writer.write(bytes((0, 0, *_VERSION[::-1])))
            while True:
                kind, fields = read(await self._message())
                if kind == _GOODBYE:
                    return
                for answer in await self._answers(kind, fields):
                    body = bytes((0xB1, answer[0])) + packed(answer[1])
                    for start in range(0, len(body), 0xFFFF):
                        chunk = body[start : start + 0xFFFF]
                        self.writer.write(struct.pack("!H", len(chunk)) + chunk)
                    self.writer.write(b"\x00\x00")
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.writer.close()

    async def _message(self) -> bytes:
        parts = bytearray()
        while True:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
            if not size and parts:
                return bytes(parts)
            parts += await self.reader.readexactly(size)

    async def _answers(self, kind: int, fields: list[Any]) -> list[tuple[int, Any]]:
        if kind == _RESET:
            self.failed, self.rows = False, []
        elif self.failed:
            return [(_IGNORED, {})]
        elif kind == _HELLO:
            about = {"server": "Neo4j/4.4.0", "connection_id": "bolt-1"}
            code = self.server.refusal(fields[0])
            return self._fails(code) if code else [(_SUCCESS, about)]
        elif kind == _RUN:
            return await self._run(str(fields[0]), fields[1])
        elif kind in (_PULL, _DISCARD):
            rows, self.rows = self.rows, []
            told: list[tuple[int, Any]] = [(_RECORD, row) for row in rows if kind == _PULL]
            return [*told, (_SUCCESS, {"has_more": False})]
        return [(_SUCCESS, {})]  # a transaction begins or ends

    async def _run(self, text: str, values: Mapping[str, Any]) -> list[tuple[int, Any]]:
        self.server.statements.append((text, values))
        if self.server.failure:
            return self._fails(self.server.failure)
        if text.startswith(("CREATE CONSTRAINT", "CREATE INDEX")):  # in words of Neo4j's own
            return [(_SUCCESS, {"fields": []})]
        given = " ".join(f"{name}={_literal(value)}" for name, value in values.items())
        redis: Any = self.redis
        answer = await redis.execute_command("GRAPH.QUERY", self.server.graph, f"CYPHER {given} {text}")
        self.rows = [[_back(cell) for cell in row] for row in answer[1]] if len(answer) > 1 else []
        return [(_SUCCESS, {"fields": [f"c{n}" for n in range(len(answer[0]))] if len(answer) > 1 else []})]

    def _fails(self, code: str) -> list[tuple[int, Any]]:
        self.failed = True
        return [(_FAILURE, {"code": code, "message": "told to fail"})]


def _literal(value: object) -> str:
    """A number, a text, or a list of these, in FalkorDB's Cypher."""
    if isinstance(value, str):
        plain = "".join(
            chr(_PRIVATE + ord(letter)) if letter < " " or letter == "\x7f" else letter for letter in value
        )
        escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"[{','.join(map(_literal, value))}]" if isinstance(value, list) else str(value)


def _back(cell: Any) -> Any:
    if not isinstance(cell, bytes):
        return cell
    return "".join(
        chr(ord(letter) - _PRIVATE) if _PRIVATE <= ord(letter) < _PRIVATE + 128 else letter
        for letter in cell.decode()
    )
