"""The cache that several processes share, in a Redis or whatever speaks its protocol and runs its scripts."""

from __future__ import annotations

import logging
import secrets
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from redis.exceptions import RedisError

from perdure.http.retries import Breaker
from perdure.options import at_least
from perdure.ports.caches import CacheSizes, Held, Item, Key
from perdure.redislink import Command, RedisProvider, literal

log = logging.getLogger(__name__)

VERSION, EDITION = b"#version", b"#edition"
"""Fields of a group that are no values; names of values have no `#`."""
DROPPED = 86_400.0
"""Seconds for which it is known that a group was dropped: longer than anything that was begun before takes."""
AT_ONCE = 1_000
"""Values in one command."""

PUT = """
local held = redis.call('HMGET', KEYS[1], '#version', '#edition')
if (held[1] or '') ~= ARGV[1] then return 0 end
if (held[2] or '') ~= ARGV[2] or redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3]) then
  redis.call('DEL', KEYS[1])
  if held[1] then redis.call('HSET', KEYS[1], '#version', held[1]) end
end
redis.call('HSET', KEYS[1], '#edition', ARGV[2], unpack(ARGV, 5))
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 1
"""
DROP = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], '#version', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, kw_only=True)
class RedisCache(RedisProvider):
    """A group is a Redis hash, so that dropping it is one command, however much is in it.

    Redis down, slow or full means misses, at most one time-out long; then it is left alone for a while.
    """

    timeout: float = 0.25
    """Seconds that one call may take, connecting included."""
    rest: float = 5.0
    """Seconds for which it is left alone after a failure."""
    max_group: int = 512
    """Values in one group; with more, the group begins anew."""

    def __post_init__(self) -> None:
        """As for all that is in a Redis."""
        super().__post_init__()
        at_least(self, rest=0, max_group=1)

    async def get(self, keys: Sequence[Key]) -> list[Held[bytes]]:
        """What there is for each key; nothing while Redis cannot be had."""
        groups: dict[str, list[str]] = {}
        for key in keys:
            groups.setdefault(key.group, []).append(key.name)
        answers = await self._ask([("HMGET", self._hash(g), VERSION, *names) for g, names in groups.items()])
        now, found = time.time(), {}
        for (group, names), answer in zip(groups.items(), answers or (), strict=False):
            if isinstance(answer, list) and len(answer) == len(names) + 1:
                version = answer[0] or b""
                for name, value in zip(names, answer[1:], strict=True):
                    found[Key(group, name)] = Held(_fresh(value, now), version)
        return [found.get(key, _NOTHING) for key in keys]

    async def put(self, items: Sequence[Item[bytes]]) -> None:
        """Put values in, those of a group in one command."""
        groups: dict[tuple[str, object, str], list[Item[bytes]]] = {}
        for item in items:
            if item.version is not None and item.ttl > 0:
                groups.setdefault((item.key.group, item.version, item.edition), []).append(item)
        await self._ask(
            [
                self._put(group, version, edition, some[start : start + AT_ONCE])
                for (group, version, edition), some in groups.items()
                for start in range(0, len(some), AT_ONCE)
            ]
        )

    async def drop(self, groups: Sequence[str] | None) -> bool:
        """Remove these groups and leave a mark, or remove everything under the prefix, looking at all keys there are."""
        if groups is None:
            return await self._drop_all()
        version, kept = secrets.token_hex(8), int(DROPPED * 1000)
        commands: list[Command] = [("EVAL", DROP, 1, self._hash(group), version, kept) for group in groups]
        answers = await self._ask(commands)
        return answers is not None and not any(isinstance(answer, Exception) for answer in answers)

    def sizes(self) -> CacheSizes:
        """What is known here: Redis itself tells the rest."""
        return CacheSizes(failures=self._state.failures)

    async def _drop_all(self) -> bool:
        pattern, cursor = f"{literal(self.prefix)}:*", 0
        while True:
            answers = await self._ask([("SCAN", cursor, "MATCH", pattern, "COUNT", AT_ONCE)])
            if answers is None or not isinstance(answers[0], (list, tuple)):
                return False
            cursor, keys = int(answers[0][0]), answers[0][1]
            if keys and await self._ask([("UNLINK", *keys)]) is None:
                return False
            if cursor == 0:
                return True

    def _put(self, group: str, version: object, edition: str, items: Sequence[Item[bytes]]) -> Command:
        now = time.time()
        longest = int(max(item.ttl for item in items) * 1000) + 1
        pairs = [part for item in items for part in (item.key.name, _dated(item.value, now + item.ttl))]
        assert isinstance(version, bytes)
        return ("EVAL", PUT, 1, self._hash(group), version, edition, self.max_group, longest, *pairs)

    def _hash(self, group: str) -> str:
        return f"{self.prefix}:{group}"

    async def _ask(self, commands: Sequence[Command]) -> list[Any] | None:
        """The answers to commands that are sent together; None when Redis cannot be had just now."""
        state = self._state
        if not commands:
            return []
        if state.breaker.remaining(time.monotonic()):
            state.failures += 1
            return None
        try:
            answers = await self._link.send(commands)
        except (RedisError, OSError, TimeoutError) as error:
            state.failed(error, f"it is left alone for {self.rest:g} seconds")
            return None
        refused = next((answer for answer in answers if isinstance(answer, RedisError)), None)
        if refused is None:
            state.worked()
        else:  # it is there, and says no: it is full, or the key is somebody else's
            state.refused(refused)
        return answers

    @cached_property
    def _state(self) -> _State:
        return _State(Breaker(rest=self.rest, after=1))


_NOTHING: Held[Any] = Held(None, None)
"""Also no version: what is made now is not put there."""


@dataclass
class _State:
    """What has become of the way to Redis."""

    breaker: Breaker
    failures: int = 0
    troubled: bool = False

    def failed(self, error: Exception, what_now: str) -> None:
        self.breaker.failed(time.monotonic())
        self._tell(error, what_now)

    def refused(self, error: Exception) -> None:
        self.breaker.worked()
        self._tell(error, "what was refused is not cached")

    def worked(self) -> None:
        self.breaker.worked()
        if self.troubled:
            self.troubled = False
            log.info("the Redis cache works again")

    def _tell(self, error: Exception, what_now: str) -> None:
        """Log the first failure of a series; its text is Redis's own and holds no value."""
        self.failures += 1
        if not self.troubled:
            self.troubled = True
            log.warning(
                "the Redis cache fails (%s: %s): %s",
                type(error).__name__,
                str(error)[:200] or "no words",
                what_now,
            )


_END = struct.Struct("<d")


def _dated(value: bytes, end: float) -> bytes:
    """A value with the moment until which it may be used: a hash expires as a whole."""
    return _END.pack(end) + value


def _fresh(data: object, now: float) -> bytes | None:
    """The value, if it has not had its time; None for what is no value of ours."""
    if not isinstance(data, bytes) or len(data) < _END.size or not _END.unpack_from(data)[0] > now:
        return None
    return data[_END.size :]
