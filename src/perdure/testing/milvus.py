"""Milvus's own server for longer tests, of the package `milvus`, on free ports of the loopback."""

from __future__ import annotations

import tempfile
from types import TracebackType
from typing import Any, Self


class MilvusServer:
    """Milvus 2.3.5, which takes some ten seconds to start; empty at first.

    Raises:
        RuntimeError: the package is not installed, or the server does not start.
    """

    def __init__(self) -> None:
        """Nothing is started before it is entered."""
        try:
            import milvus
        except ModuleNotFoundError as error:
            raise RuntimeError("Milvus is not there: pip install milvus==2.3.5") from error
        self._home = tempfile.TemporaryDirectory(prefix="perdure-milvus-")
        self._server: Any = milvus.MilvusServer()
        self._server.config.configs["data_dir"] = self._home.name

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.listen_port}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.stop()
        self._home.cleanup()
