"""Answers of searches that were made before, as long as they are what would be found now."""

from __future__ import annotations

import asyncio
import json
import marshal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from typing import Any, TypeAlias

from perdure.engine.caching.keys import digest
from perdure.engine.caching.layers import Found, Layered
from perdure.engine.caching.tally import Tally
from perdure.engine.dates import question_interval
from perdure.engine.indexes import Indexes
from perdure.engine.recall import Recall, Seen
from perdure.engine.scoping import Reach
from perdure.errors import PerdureError
from perdure.moments import micros
from perdure.ports import Stand, Standing, Store
from perdure.ports.caches import Key
from perdure.settings import CACHE_TTL
from perdure.types import Mention, Partition

MOST_PARTITIONS = 16
"""An answer from more partitions is not kept: to look whether one of them has changed costs as much as a search."""

Result: TypeAlias = Any
"""A dictionary as callers get it, made of what JSON knows."""
Make: TypeAlias = Callable[[Sequence[str], Sequence[Seen]], Awaitable[Sequence[Result]]]
"""Searches for texts, and notes for each what its answer rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of which memories, but for the text."""

    reach: Reach
    wishes: tuple[object, ...]
    """All else that the answer depends on."""
    fixed: bool
    """Its "now" is given, and no clock has a say."""


@dataclass(slots=True, kw_only=True)
class Answer:
    """A result, and when it is right."""

    payload: bytes
    """The result, marshalled: half the bytes of the objects, and a copy of its own for each caller in half the time."""
    stands: dict[Partition, Stand]
    since: int
    """Before this moment (microseconds), and from `until` on, other memories were or will be to be seen."""
    until: int
    language: str | None
    when: Mention | None
    """The time that the question asks about: of "last week" another one, a week later."""
    right_at: float
    """When it was last known to be right, in seconds since 1970."""
    ttl: float


@dataclass(slots=True)
class _Call:
    """One call, and what it has found out."""

    asked: Asked
    make: Make
    began: float = field(default_factory=perf_counter)
    stands: dict[Partition, Stand] | None = None
    """How far the partitions have come: looked up once for all texts, when it is needed."""

    @property
    def seconds(self) -> float:
        """So far."""
        return perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """An answer as JSON; only the newest edition of a partition is kept."""

    editions: bool = True

    def pack(self, value: Answer) -> bytes:
        """Everything but the marks, which mean something in this process only."""
        stands = [
            [*partition, stand.head, stand.generation, stand.token, stand.erasures]
            for partition, stand in value.stands.items()
        ]
        when = value.when and [value.when.text, value.when.start.isoformat(), value.when.end.isoformat()]
        times = [value.since, value.until, value.right_at, value.ttl, value.language, when]
        return json.dumps([stands, times, marshal.loads(value.payload)]).encode()  # noqa: S302  # our own

    def unpack(self, data: bytes) -> Answer | None:
        """None for what cannot be read."""
        try:
            stands, [since, until, right_at, ttl, language, when], result = json.loads(data)
            return Answer(
                payload=marshal.dumps(result),
                stands={
                    Partition(tenant, owner): Stand(
                        head=head, generation=generation, token=token, erasures=erasures
                    )
                    for tenant, owner, head, generation, token, erasures in stands
                },
                since=since,
                until=until,
                language=language,
                when=when and _mention(*when),
                right_at=right_at,
                ttl=ttl,
            )
        except (ValueError, TypeError):
            return None

    def size(self, value: Answer) -> int:
        """The result, and what is kept with it."""
        return len(value.payload) + 300 * (1 + len(value.stands))

    def ttl(self, value: Answer) -> float:
        """As long as answers from such partitions are kept."""
        return value.ttl

    def edition(self, value: Answer) -> str:
        """Of the one partition that it is from: with its next change, all answers of before can go."""
        if not self.editions or len(value.stands) != 1:
            return ""
        [stand] = value.stands.values()
        return f"{stand.generation}/{stand.head}/{stand.token}"


def groups_of(tenant: str, partitions: Sequence[Partition]) -> list[str]:
    """Where answers are that may hold words from these partitions."""
    wide = f"answers/{digest(tenant)}"
    return [wide, *(f"answers/{digest(*partition)}" for partition in partitions)]


@dataclass(kw_only=True)
class Answers:
    """Gives an answer again while nothing has changed that it rests on, and makes each only once at a time.

    Exact: it depends on the partitions' heads (a write by any process changes them), on the moments at which memories
    expire or cease to be true, and on everything that was asked; all of that is compared, nothing is guessed.
    """

    cache: Layered[Answer]
    store: Store
    indexes: Indexes
    recall: Recall
    maker: str
    """A name for what makes the answers: models, analysis, version."""
    clock: Callable[[], datetime]
    ttl: Mapping[str, float]
    stale_while: float
    tally: Tally
    erased: Callable[[int], Awaitable[None]]
    """Is told the number of erasures that was seen."""
    flights: dict[Key, asyncio.Future[bytes | None]] = field(default_factory=dict)
    refreshing: dict[Key, asyncio.Task[None]] = field(default_factory=dict)

    async def of(self, asked: Asked, texts: Sequence[str], make: Make) -> list[Result]:
        """The answer to each text."""
        call = _Call(asked, make)
        keys = self._keys(asked, texts)
        if len(texts) == 1:
            return [await self._one(call, keys[0], texts[0])]
        found = await self.cache.get(keys)
        told = [
            await self._told(call, key, text, one) for key, text, one in zip(keys, texts, found, strict=True)
        ]
        missing = [place for place, result in enumerate(told) if result is None]
        if missing:
            made = await self._make(
                call, [keys[p] for p in missing], [texts[p] for p in missing], [found[p] for p in missing]
            )
            for place, (result, _) in zip(missing, made, strict=True):
                told[place] = result
        return told

    async def aclose(self) -> None:
        """Give up what is being made anew."""
        for task in self.refreshing.values():
            task.cancel()
        await asyncio.gather(*self.refreshing.values(), return_exceptions=True)

    async def _one(self, call: _Call, key: Key, text: str) -> Result:
        """The answer to one text; those who ask the same at the same time share it.

        A search that is under way may have read the store before this call began, so that what was written in between
        is not in it: it is waited for, and looked at like any answer. One that began later can be taken as it is.
        """
        [found] = await self.cache.get([key])
        if (told := await self._told(call, key, text, found)) is not None:
            return told
        if (flight := self.flights.get(key)) is not None:
            await asyncio.wait([flight])
            [found] = await self.cache.get([key])
            if (told := await self._told(call, key, text, found)) is not None:
                return told
            if (flight := self.flights.get(key)) is not None:
                await asyncio.wait([flight])
                if (payload := flight.result()) is not None:
                    self.tally.hit("memory", call.seconds)
                    return marshal.loads(payload)  # noqa: S302  # our own
        return await self._fly(call, key, text, found)

    async def _fly(self, call: _Call, key: Key, text: str, found: Found[Answer]) -> Result:
        """Make the answer, so that others know it is being made."""
        flight = self.flights[key] = asyncio.get_running_loop().create_future()
        payload = None
        try:
            [(result, payload)] = await self._make(call, [key], [text], [found])
        finally:
            if self.flights.get(key) is flight:
                del self.flights[key]
            flight.set_result(payload)
        return result

    async def _told(self, call: _Call, key: Key, text: str, found: Found[Answer]) -> Result | None:
        """What was found, if it is right, or may be given all the same."""
        answer, layer = found.value, found.layer
        if answer is None or layer is None:
            return None
        if not await self._is_right(call, text, answer):
            if not self._may_be_stale(call, text, answer):
                self.tally.outdated += 1
                return None
            self.tally.stale += 1
            self._refresh(call, key, text, found)
        self.tally.hit(layer, call.seconds)
        return marshal.loads(answer.payload)  # noqa: S302  # our own

    async def _is_right(self, call: _Call, text: str, answer: Answer) -> bool:
        """Whether a search would find the same now."""
        asked = call.asked
        if not self._is_in_time(asked, text, answer):
            return False
        named = asked.reach.partitions is not None
        if named and all(self.store.stands(stand.mark) for stand in answer.stands.values()):
            return True
        if call.stands is None:
            call.stands = await self._standing(await self.recall.partitions(asked.reach))
        if call.stands != answer.stands:
            return False
        answer.stands, answer.right_at = call.stands, time.time()
        return self._is_in_time(asked, text, answer)

    def _is_in_time(self, asked: Asked, text: str, answer: Answer) -> bool:
        """Whether the same memories are to be seen, and the question asks about the same time."""
        if asked.fixed:
            return True
        now = self.clock()
        if not answer.since <= micros(now) < answer.until:
            return False
        return question_interval(text, now, answer.language) == answer.when

    def _may_be_stale(self, call: _Call, text: str, answer: Answer) -> bool:
        """Whether it was right a short while ago, and no words had to go since."""
        if not self.stale_while or call.stands is None or call.stands.keys() != answer.stands.keys():
            return False
        if _erasures(call.stands) != _erasures(answer.stands):
            return False
        if time.time() - answer.right_at > self.stale_while:
            return False
        return self._is_in_time(call.asked, text, answer)

    async def _standing(self, partitions: Sequence[Partition]) -> dict[Partition, Stand]:
        """How far partitions have come; an index that is in memory takes in what came, and none is loaded."""
        if len(partitions) > MOST_PARTITIONS:
            return {}
        if all(map(self.indexes.holds, partitions)):
            stands = [(await self.indexes.current(partition)).stand for partition in partitions]
        else:
            assert isinstance(self.store, Standing)
            stands = await self.store.standing(partitions)
        told = dict(zip(partitions, stands, strict=True))
        await self.erased(_erasures(told))
        return told

    def _refresh(self, call: _Call, key: Key, text: str, found: Found[Answer]) -> None:
        """Make an answer anew, behind the one who is given the old."""
        if key not in self.refreshing:
            task = asyncio.create_task(self._remake(call, key, text, found))
            self.refreshing[key] = task
            task.add_done_callback(lambda _: self.refreshing.pop(key, None))

    async def _remake(self, call: _Call, key: Key, text: str, found: Found[Answer]) -> None:
        with suppress(PerdureError):  # those who ask when it is too old will be told
            await self._make(_Call(call.asked, call.make), [key], [text], [found])

    async def _make(
        self, call: _Call, keys: Sequence[Key], texts: Sequence[str], found: Sequence[Found[Answer]]
    ) -> list[tuple[Result, bytes | None]]:
        """Results, and the same as payloads; those that can be kept are kept."""
        seen = [Seen() for _ in texts]
        results = await call.make(texts, seen)
        made = [_payload(result) for result in results]
        kept = [
            (key, self._answer(one, payload), before)
            for key, one, payload, result, before in zip(keys, seen, made, results, found, strict=True)
            if payload is not None and 0 < len(one.stands) <= MOST_PARTITIONS and "notes" not in result
        ]
        for one in seen:
            await self.erased(_erasures(one.stands))
        if kept:
            await self.cache.put(*map(list, zip(*kept, strict=True)))
        self.tally.missed(call.seconds, times=len(texts))
        return list(zip(results, made, strict=True))

    def _answer(self, seen: Seen, payload: bytes) -> Answer:
        kinds = {partition.owner.partition(":")[0] for partition in seen.stands}
        return Answer(
            payload=payload,
            stands=seen.stands,
            since=seen.since,
            until=seen.until,
            language=seen.language,
            when=seen.when,
            right_at=time.time(),
            ttl=min(self.ttl.get(kind, CACHE_TTL["user"]) for kind in kinds),
        )

    def _keys(self, asked: Asked, texts: Sequence[str]) -> list[Key]:
        reach = asked.reach
        wide, *named = groups_of(reach.tenant, reach.partitions or ())
        group = named[0] if len(named) == 1 else wide
        rest = (reach.tenant, reach.filter, reach.partitions, reach.within, asked.wishes, self.maker)
        return [Key(group, digest(text, *rest)) for text in texts]


def _erasures(stands: Mapping[Partition, Stand]) -> int:
    return max((stand.erasures for stand in stands.values()), default=0)


def _mention(text: str, start: str, end: str) -> Mention:
    return Mention(text=text, start=datetime.fromisoformat(start), end=datetime.fromisoformat(end))


def _payload(result: Result) -> bytes | None:
    """None for a result that holds something of a class of its own, or nests too deeply."""
    try:
        return marshal.dumps(result)
    except ValueError:
        return None
