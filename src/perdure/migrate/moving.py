"""From one truth store to another: read page by page, put in as it was, begun again wherever it was cut off."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from perdure.config import Config
from perdure.engine.ingest import analysed
from perdure.engine.records import kind_of, none_yet
from perdure.engine.upkeep import pages
from perdure.errors import InvalidInput
from perdure.migrate.catching import Follower
from perdure.migrate.comparing import Sample, Tally, compared
from perdure.migrate.movable import Movable, only_read, opened
from perdure.migrate.searching import agreed
from perdure.ports import Export, StoreStats
from perdure.types import Memory

PAGE: Final = 500
"""So many records are put in in one transaction."""
SAME: Final = "the source and the target are the same store"

Progress: TypeAlias = Callable[[int, int, str], None]
"""How much is done, of how much, and of what: "Moving" and "Comparing" count records, "Searching" searches."""


async def migrate(
    source: Config, target: Config, *, searches: int = 20, progress: Progress = lambda *_: None
) -> dict[str, Any]:
    """Bring all tenants' memories, with their history, vectors and pending jobs, into another store, and compare.

    Begun again, it goes on, and what was changed, deleted, erased or done at the source since then is followed. What
    was changed at the target stays there as it is. What is written to the source meanwhile waits for the next time.

    Args:
        source: where from; it is only read.
        target: where to: empty, or made with the same embedder.
        searches: so many memories are searched for in both.
        progress: is told how far it is, as in `progress(500, 20_000, "Moving")`; "Comparing" and "Searching" follow.

    Returns:
        What there was (`tenants`, `turns`, `memories` with all their versions, `changes`, `keys`, `jobs`), how much of it was
        `new` to the target, what `checksum` all of it has, how many records the target is `missing`, of whom
        (`differing`), how many it has `beside` them, how many `searches` were made, for whom there are none of these,
        and how many of them found the `same`; `sound`: nothing is missing, and searches agree.

    Raises:
        InvalidInput: they are the same store, or one of them can neither be read out nor take anything in.
        ModelMismatch: the target holds memories with vectors of another model.
    """
    if source.store == target.store:
        raise InvalidInput(f"{SAME}: nothing was written")
    source = only_read(source)
    moved, tally = Moved(sample=Sample(searches)), Tally()
    async with opened(source, None) as giver:
        tenants = await giver.tenants()
        stats = [await giver.stats(tenant) for tenant in tenants]
        space = stats[0].space if stats else None
        async with opened(target, space) as taker:
            if await giver.place() == await taker.place():
                raise InvalidInput(f"{SAME}, by two names: nothing was written")
            total = sum(_records(one) for one in stats)
            for tenant in tenants:
                async for done in _moves(giver, taker, tenant, moved):
                    progress(done, max(done, total), "Moving")

            def comparing() -> None:
                progress(tally.done, max(tally.done, moved.total), "Comparing")

            for tenant in tenants:
                await compared(giver, taker, tenant, tally, comparing)
    questions = [one for one in moved.sample.questions if one.scope.partition not in tally.fuller]
    asked, same = await agreed(source, target, space, questions, progress)
    return {
        "tenants": len(tenants),
        **moved.counts,
        "new": moved.new,
        "checksum": f"{tally.checksum:032x}",
        "missing": tally.missing,
        "differing": tally.differing,
        "beside": tally.beside,
        "searches": asked,
        "same": same,
        "sound": not tally.missing and asked == same,
    }


@dataclass(kw_only=True)
class Moved:
    """What was taken over so far."""

    sample: Sample
    counts: dict[str, int] = field(default_factory=none_yet)
    new: int = 0

    def see(self, page: Sequence[Export], new: int) -> int:
        """A page more, so many of which the target did not know; how many records there were by now."""
        for export in page:
            self.counts[kind_of(export)] += 1
            self.sample.see(export)
        self.new += new
        return self.total

    @property
    def total(self) -> int:
        """How many records there were by now."""
        return sum(self.counts.values())


async def _moves(giver: Movable, taker: Movable, tenant: str, moved: Moved) -> AsyncIterator[int]:
    """Take a tenant over; after each page, how many records there were by now."""
    follower = Follower(giver, taker, tenant)
    await follower.begin()
    async for page in pages(giver.export(tenant, with_entries=True), PAGE):
        new = await follower.take([_entered(export) for export in page])
        yield moved.see(page, new)
    await follower.end()


def _entered(export: Export) -> Export:
    """With an entry of words alone for a version that was stored before there were entries of its kind."""
    memory = export.record
    if not isinstance(memory, Memory) or export.entry is not None or memory.erased_at is not None:
        return export
    return export._replace(entry=analysed(memory))


def _records(stats: StoreStats) -> int:
    """About how many records an export has."""
    return stats.turns + stats.memories + stats.retired + stats.changes
