"""From the options of a command to an open memory, for the time of one call."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from perdure.errors import InvalidInput

if TYPE_CHECKING:
    from perdure import AsyncMemory, Config

R = TypeVar("R")

DRIVERS = ("neo4j", "psycopg")
"""Libraries that log on the terminal what the command tells by itself."""


@dataclass(frozen=True, slots=True)
class Where:
    """Which store a command means: a file, a configuration, both, or whatever the environment says."""

    path: Path | None = None
    config: Path | None = None

    def settings(self) -> Config:
        """The configuration that is meant; a path goes over the store that it names."""
        from perdure.config import Config, Role  # `--help` loads no engine

        config = Config.of(self.config)
        if self.path is None:
            return config
        options = config.store.options if config.store.provider == "sqlite" else {}
        return replace(config, store=Role(provider="sqlite", options={**options, "path": str(self.path)}))

    def file(self) -> Path:
        """The file of the store.

        Raises:
            InvalidInput: it is not kept in one.
        """
        store = self.settings().store
        if store.provider != "sqlite":
            raise InvalidInput(
                f"a store of the kind {store.provider!r} is not kept in one file: use its own tools"
            )
        return Path(store.options["path"]).expanduser()

    def files(self) -> list[Path]:
        """All files in which the store is kept, as far as we know them."""
        if self.settings().store.provider != "sqlite":
            return []
        return [Path(f"{self.file()}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]

    def existing(self) -> Self:
        """The same, for commands that have nothing to do where nothing was ever stored.

        Raises:
            InvalidInput: there is no such file, and none is made.
        """
        if self.settings().store.provider == "sqlite" and not self.file().exists():
            raise InvalidInput(
                f"there is no store at {self.file()}: give the --path or --config of one that is there"
            )
        return self


def call(where: Where | Config, verb: Callable[[AsyncMemory], Awaitable[R]]) -> R:
    """Open the memory, call one verb, close it again."""
    from perdure import AsyncMemory  # `--help` loads no engine

    config = where.settings() if isinstance(where, Where) else where
    for driver in DRIVERS:
        logging.getLogger(driver).setLevel(logging.CRITICAL)

    async def opened() -> R:
        async with AsyncMemory(config) as memory:
            return await verb(memory)

    return asyncio.run(opened())
