"""The verbs that keep a memory in order: what it is about, what is wrong with it, and what it could do without."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

import numpy as np

from perdure.engine import requests, upkeep
from perdure.engine.calls import verb
from perdure.engine.embedding import declined, read
from perdure.engine.junk import Flaw, Junk, Likeness, counts, junk, likeness
from perdure.engine.prompting import Prompting
from perdure.engine.scoping import Reach, ids
from perdure.errors import Conflict, InvalidInput
from perdure.ids import new_id
from perdure.ports import Batch, Write
from perdure.ports.derived import Followed
from perdure.types import LISTED_SALIENCE, Memory, Partition

EXAMINED = 20_000
"""So many memories are examined for junk at once, the newest; they are held in memory meanwhile."""
COMPARED = 2_000
"""So many facts of one partition are compared by their meaning, each with each (about 20 milliseconds)."""
RETIRED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found by looking through memories."""

    junk: Sequence[Junk]
    examined: int
    memories: int
    """How many there are in reach, or more than were examined."""

    @property
    def told(self) -> dict[str, Any]:
        """As callers see it, without the memories."""
        return {
            "examined": self.examined,
            "all": self.examined >= self.memories,
            "rate": round(len(self.junk) / self.examined, 4) if self.examined else 0.0,
            "kinds": counts(self.junk),
        }


class Keeping(Prompting):
    """A memory that is looked after."""

    @verb
    async def categories(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> dict[str, int]:
        """How many memories each category has, of those that `get_all` lists, the largest first.

        All of them are read: within one user that takes milliseconds, over a large project seconds.

        Args:
            user_id: only memories with this id; likewise the other three. None given: the whole project.
            filters: as for `search`.
        """
        asked = self._reach(ids(user_id, agent_id, app_id, run_id), filters)
        await self._open()
        memories = await self._find(asked, min_salience=LISTED_SALIENCE)
        counted = Counter(name for memory in memories for name in memory.categories)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    @verb(configured=True)
    async def doctor(self, *, repair: bool = False) -> dict[str, Any]:
        """Examine the store: `problems` is empty when it is sound; `advice` says what could be better.

        `junk` says how many of the newest 20,000 memories it could do without; `clean` retires them. `engines` says of
        each engine beside the store how many changes it lacks. `declined` says how many of these memories the
        embedding model's content filter declines.

        Args:
            repair: tell engines beside the store what they lack, before it is examined; `reindex` lets them begin anew.
        """
        await self._open(check_space=repair)
        if repair:
            await self._following.settle()
        told = await upkeep.examine(
            self._store, self._space, self._caching.bare_embedder, self._settings.tenant
        )
        if engines := await self._following.told():
            told = {**told, "engines": engines, "advice": [*told["advice"], *upkeep.advised(engines)]}
        if told["problems"]:
            return told
        memories = await self._find(self._reach({}), limit=EXAMINED + 1, show_expired=True)
        if without := await self._declined(memories[:EXAMINED]):
            advice = f"the embedding model's content filter declines {without} of the newest memories: words alone find them"
            told = {**told, "declined": without, "advice": [*told["advice"], advice]}
        return {**told, "junk": (await self._judged(memories)).told}

    @verb
    async def clean(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        kinds: Sequence[str] | None = None,
        memory_ids: Sequence[str] | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Retire what a memory could do without: expired, orphaned, empty and duplicate facts, and echoes.

        Nothing is erased, and the history of each says why. The newest 20,000 memories are examined.

        Args:
            user_id: only memories with this id; likewise the other three. None given: the whole project.
            filters: as for `search`.
            kinds: only these of "expired", "orphan", "empty", "duplicate", "echo".
            memory_ids: of what is found, only these; so that what was shown is what is done.
            dry_run: only tell what would be retired.
        """
        wanted = _flaws(kinds)
        chosen = requests.identifiers(memory_ids)
        asked = self._reach(ids(user_id, agent_id, app_id, run_id), filters)
        await self._open()
        look = await self._look(asked)
        found = [
            one for one in look.junk if one.flaw in wanted and (chosen is None or one.memory.id in chosen)
        ]
        retired = 0 if dry_run else await self._retired(found)
        return {**replace(look, junk=found).told, "found": list(map(_told, found)), "retired": retired}

    async def _look(self, asked: Reach) -> Look:
        return await self._judged(await self._find(asked, limit=EXAMINED + 1, show_expired=True))

    async def _judged(self, memories: Sequence[Memory]) -> Look:
        examined = memories[:EXAMINED]
        judge = partial(
            junk,
            examined,
            now=self._clock(),
            left=await self._left(examined),
            likeness=await self._likeness(examined),
        )
        found = await self._work(judge)  # half a second for the most that are examined
        return Look(junk=found, examined=len(examined), memories=len(memories))

    async def _declined(self, memories: Sequence[Memory]) -> int:
        """Of how many the embedding model would make no vectors."""
        if not isinstance(self._store, Followed):
            return 0
        homes: dict[Partition, list[int]] = {}
        for memory in memories:
            homes.setdefault(memory.scope.partition, []).append(memory.ord)
        held = [await self._store.vectors(partition, ords) for partition, ords in homes.items()]
        return sum(declined(data) for some in held for data in some)

    async def _left(self, memories: Sequence[Memory]) -> set[str]:
        """The turns that facts came from and that are there still; of each fact one is enough."""
        left = {memory.id for memory in memories if memory.kind == "turn"}
        for fact in memories:
            if fact.kind == "fact" and left.isdisjoint(fact.sources):
                for source in fact.sources:
                    turn = await self._store.get(fact.scope.tenant, source)
                    if turn is not None and turn.retired_at is None:
                        left.add(source)
                        break
        return left

    async def _likeness(self, memories: Sequence[Memory]) -> Likeness:
        """Cosines of facts that are near each other, where the store's vectors are those of this model."""
        held = (await self._store.stats(self._settings.tenant)).space
        if held is None or not held.dimensions or held.model != self._space.model:
            return {}
        homes: dict[Partition, dict[int, str]] = {}
        for memory in memories:
            if memory.kind == "fact":
                homes.setdefault(memory.scope.partition, {})[memory.ord] = memory.id
        near: dict[tuple[str, str], float] = {}
        for partition, facts in homes.items():
            if len(facts) > 1:
                delta = await self._store.load(partition)
                rows = [(row.id, row.vectors) for row in delta.rows if row.ord in facts and row.vectors]
                if rows := rows[-COMPARED:]:
                    vectors = np.stack([read(data, held.dimensions)[0] for _, data in rows])
                    near |= await self._work(likeness, [id_ for id_, _ in rows], vectors)
        return near

    async def _retired(self, found: Sequence[Junk]) -> int:
        """Retire it; a fact that stays takes over the sources of those that said the same."""
        homes: dict[Partition, list[Junk]] = {}
        for one in found:
            homes.setdefault(one.memory.scope.partition, []).append(one)
        retired = 0
        for partition, held in homes.items():
            held.sort(key=lambda one: one.same_as.id if one.same_as else "")  # one version of what stays
            for start in range(0, len(held), RETIRED_AT_ONCE):
                page = held[start : start + RETIRED_AT_ONCE]
                if await self._committed(partition, page):
                    retired += len(page)
                else:  # somebody changed one of them meanwhile: the others go one by one
                    retired += sum([await self._committed(partition, [one]) for one in page])
        return retired

    async def _committed(self, partition: Partition, page: Sequence[Junk]) -> bool:
        now = self._clock()
        merged = [
            replace(kept, version=kept.version + 1, recorded_at=now, sources=tuple(sources))
            for kept, sources in _taken_over(page)
        ]
        writes = [
            Write(event="UPDATE", memory_id=m.id, memory=m, replaces=m.ord, reason="it was there twice")
            for m in merged
        ]
        writes += [
            Write(
                event="EXPIRE" if one.flaw == "expired" else "DELETE",
                memory_id=one.memory.id,
                replaces=one.memory.ord,
                reason=f"{one.flaw}: {one.reason}",
            )
            for one in page
        ]
        try:
            await self._commit(Batch(id=new_id(), partition=partition, at=now, writes=tuple(writes)))
        except Conflict:
            return False
        return True


def _taken_over(page: Iterable[Junk]) -> list[tuple[Memory, list[str]]]:
    """The facts that stay, each with all sources of those that said the same, where these have others."""
    kept: dict[str, Memory] = {}
    sources: dict[str, dict[str, None]] = {}
    for one in page:
        if one.same_as is not None:
            kept[one.same_as.id] = one.same_as
            held = sources.setdefault(one.same_as.id, dict.fromkeys(one.same_as.sources))
            held.update(dict.fromkeys(one.memory.sources))
    return [(m, list(sources[m.id])) for m in kept.values() if len(sources[m.id]) > len(m.sources)]


def _flaws(kinds: Sequence[str] | None) -> frozenset[str]:
    known = get_args(Flaw)
    wanted = known if kinds is None else requests.categories(kinds)
    if unknown := [name for name in wanted if name not in known]:
        raise InvalidInput(f"kinds has {unknown[0]!r}: give any of {', '.join(known)}")
    return frozenset(wanted)


def _told(one: Junk) -> dict[str, Any]:
    scope = one.memory.scope
    return {
        "id": one.memory.id,
        "memory": one.memory.text,
        "kind": one.flaw,
        "reason": one.reason,
        **ids(scope.user_id, scope.agent_id, scope.app_id, scope.run_id),
    }
