"""Connections to a Redis, or to what speaks its protocol, for all providers that do."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

from pydantic import SecretStr
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    NoPermissionError,
    RedisError,
    ResponseError,
)

from perdure.beside import Opened, lost, owner
from perdure.errors import ConfigurationError, PerdureError, Unavailable
from perdure.lanes import Lanes
from perdure.options import at_least, hide
from perdure.types import Partition

Command: TypeAlias = tuple[str | bytes | int | float, ...]

SCHEMES = ("redis://", "rediss://", "unix://")
_AT_ONCE = 1_000
"""Keys that are looked at, or removed, in one command."""
REFUSALS = (AuthenticationError, AuthorizationError, NoPermissionError)
"""Trying again does not help."""


@dataclass(kw_only=True)
class RedisLink:
    """Sends commands together; connections belong to an event loop, and are closed when it ends.

    A call raises `RedisError`, `OSError` or `TimeoutError` (the built-in one) when it cannot be answered.
    """

    url: str = field(repr=False)
    password: str | None = field(default=None, repr=False)
    timeout: float
    """Seconds that one call may take, connecting included."""
    connections: int
    """At once, of one event loop."""

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """The answers; in the place of one that was refused, the error."""
        async with asyncio.timeout(self.timeout):
            pipe = (await self._lanes.client()).pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            return list(await pipe.execute(raise_on_error=False))

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands none of which may fail.

        Raises:
            Unavailable: not now.
            ConfigurationError: not with this configuration.
        """
        try:
            answers = await self.send(commands)
        except (RedisError, OSError, TimeoutError) as error:
            raise explained(error) from error
        for answer in answers:
            if isinstance(answer, RedisError):
                raise explained(answer) from answer
        return answers

    async def remove(self, start: str) -> None:
        """Remove all keys that begin with a text and a colon."""
        pattern, cursor = f"{literal(start)}:*", 0
        while True:
            [[cursor, keys]] = await self.ask([("SCAN", cursor, "MATCH", pattern, "COUNT", _AT_ONCE)])
            if keys:
                await self.ask([("UNLINK", *keys)])
            if not int(cursor):
                return

    async def aclose(self) -> None:
        """Close the connections, each on its own event loop."""
        await self._lanes.aclose()

    @cached_property
    def _lanes(self) -> Lanes[Redis]:
        return Lanes(self._client, Redis.aclose, subject="Redis")

    def _client(self) -> Redis:
        secret = {} if self.password is None else {"password": self.password}
        pool = BlockingConnectionPool.from_url(
            self.url,
            max_connections=self.connections,
            timeout=self.timeout,
            socket_timeout=self.timeout,
            socket_connect_timeout=self.timeout,
            retry=Retry(NoBackoff(), 1),  # once: a connection that was idle may have been cut meanwhile
            **secret,
        )
        return Redis.from_pool(pool)


@dataclass(frozen=True, kw_only=True)
class RedisProvider:
    """The options of whatever is kept in a Redis, and its connections."""

    url: str = field(default="redis://localhost:6379/0", repr=False)
    """Where it is: `redis://`, `rediss://` (TLS) or `unix://`; it may hold a user and a password."""
    password: SecretStr | None = field(default=None, repr=False)
    """The password, where the URL is not to hold it."""
    prefix: str = "perdure"
    """What all keys begin with."""
    timeout: float = 2.0
    """Seconds that one call may take, connecting included."""
    connections: int = 10
    """At once, of one event loop."""

    def __post_init__(self) -> None:
        """Refuse what could not work; a password that is a plain text is hidden.

        Raises:
            ValueError: an option is out of its range.
        """
        if not self.url.startswith(SCHEMES):
            raise ValueError("url has to begin with redis://, rediss:// or unix://")
        at_least(self, timeout=0.001, connections=1)
        hide(self, "password")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()

    @cached_property
    def _link(self) -> RedisLink:
        return RedisLink(
            url=self.url,
            password=None if self.password is None else self.password.get_secret_value(),
            timeout=self.timeout,
            connections=self.connections,
        )


@dataclass(frozen=True, kw_only=True)
class RedisEngine(RedisProvider):
    """An engine beside the store: a mark tells whether its keys are those that it was told, as it goes when they go."""

    TITLE: ClassVar[str]
    """Whose keys these are, for messages."""
    MARK: ClassVar[str]
    """What the mark is called; engines of one namespace have marks of their own."""

    @property
    def name(self) -> str:
        """Where it is, without secrets."""
        return f"{self.TITLE} at {address(self.url)}"

    async def open(self, namespace: str, dimensions: int) -> str:
        """Find the mark that tells contents apart, or leave one."""
        place, new = f"{self.prefix}:{namespace}", secrets.token_hex(8)
        mark = f"{place}:{self.MARK}"
        held = await self._link.ask([("SET", mark, new, "NX"), ("GET", mark)])
        self._open.place, self._open.contents = place, str(held[1], "utf-8")
        self._open.dimensions = dimensions
        return self._open.contents

    async def drop(self, namespace: str) -> None:
        """Remove all keys of the namespace."""
        await self._link.remove(f"{self.prefix}:{namespace}")

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        """The answers, if what was told is still there.

        Raises:
            Unavailable: it is lost; or as `RedisLink.ask`.
        """
        held, *answers = await self._link.ask([("GET", f"{self._open.place}:{self.MARK}"), *commands])
        if held is None or str(held, "utf-8") != self._open.contents:
            raise lost("Redis")
        return answers

    def _key(self, kind: str, partition: Partition) -> str:
        return f"{self._open.place}:{kind}:{owner(partition)}"

    @cached_property
    def _open(self) -> Opened:
        return Opened()


def explained(error: Exception) -> PerdureError:
    """What an error of Redis means; its text is Redis's own, and holds no value of ours."""
    kind, said = type(error).__name__, str(error)[:200]
    if isinstance(error, REFUSALS):
        return ConfigurationError(f"Redis refuses us ({said}): mend the url, the password or its rights")
    if isinstance(error, ResponseError) and "unknown command" in said.lower():
        return ConfigurationError(f"this Redis cannot do it ({said}): it needs a newer version or a module")
    return Unavailable(f"Redis cannot be had ({kind}: {said})" if said else f"Redis cannot be had ({kind})")


def literal(text: str) -> str:
    """A text for a pattern of Redis."""
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in text)


def address(url: str) -> str:
    """Where a URL leads, without user and password."""
    scheme, _, rest = url.partition("://")
    where = rest.rpartition("@")[2].partition("?")[0]
    return f"{scheme}://{where}" if scheme == "unix" else where
