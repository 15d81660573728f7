"""Chroma's own server for tests, on a free port of the loopback."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType
from typing import Final, Self

START: Final = 60.0
"""Seconds in which it has to be there."""
_RUN: Final = "from chromadb.cli.cli import app; app()"


class ChromaServer:
    """The server of the package `chromadb`, empty at first.

    Raises:
        RuntimeError: it does not start; the message has what it said.
    """

    def __init__(self) -> None:
        """Nothing is opened before `start`."""
        self._home = tempfile.TemporaryDirectory(prefix="perdure-chroma-")
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as found:
            self.port = int(found.getsockname()[1])
        self._held = 0

    @property
    def url(self) -> str:
        """The same after `stop` and `start`."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._home.cleanup()

    def start(self, *, empty: bool = False) -> None:
        """Start it with what it holds, or `empty`, and wait until it answers."""
        self._held += empty
        command = [sys.executable, "-c", _RUN, "run", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--path", f"{self._home.name}/{self._held}"]
        with open(f"{self._home.name}/log", "wb") as log:  # noqa: PTH123  # a file for a process
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # noqa: S603
        end = time.monotonic() + START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                with open(f"{self._home.name}/log", errors="replace") as said:  # noqa: PTH123  # likewise
                    raise RuntimeError(f"Chroma does not start: {said.read()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Let it accept connections and answer nothing, until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End what `hang` began."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        request = b"GET /api/v2/heartbeat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=START) as connection:
                connection.sendall(request)
                return b" 200 " in connection.recv(64)
        except OSError:
            return False
