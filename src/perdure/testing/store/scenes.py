"""What the tests of stores are made of: turns, facts, revisions, and a stage to play them on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from perdure.ids import new_id
from perdure.ports import Batch, Committed, Delta, Entry, EntryRow, Query, Space, Store, Write
from perdure.types import Memory, Scope, Turn

R = TypeVar("R")
Opened = TypeVar("Opened", bound=Store)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
SPACE = Space(analyzer=1, model="small/1", dimensions=4)
ALICE = Scope(user_id="alice")
BOB = Scope(user_id="bob")

Scenario = Callable[[Store], Awaitable[None]]


def moment(**after: float) -> datetime:
    """A moment so many `seconds`, `hours` or `days` after the tests' now."""
    return NOW + timedelta(**after)


def entry(text: str = "", *, vectors: bytes = b"\x00\x3c" * 4) -> Entry:
    """What ranking reads, recognisable by the text."""
    return Entry(words=text.encode()[:8].ljust(8), flags=len(text), vectors=vectors)


def said(text: str, *, scope: Scope = ALICE, at: datetime = NOW, **fields: Any) -> tuple[Turn, Write]:
    """A turn and the write of its memory; `fields` are the memory's."""
    turn_id = fields.pop("id", None) or new_id()
    speaker = fields.get("speaker")
    turn = Turn(id=turn_id, scope=scope, role="user", text=text, said_at=at, recorded_at=NOW, speaker=speaker)
    memory = Memory(
        id=turn_id, text=text, scope=scope, said_at=at, recorded_at=NOW, sources=(turn_id,), **fields
    )
    return turn, Write(event="ADD", memory_id=turn_id, memory=memory, entry=entry(text))


def fact(text: str, *, scope: Scope = ALICE, at: datetime = NOW, **fields: Any) -> Write:
    """The write of a memory that is no turn's own."""
    memory = Memory(id=new_id(), kind="fact", text=text, scope=scope, said_at=at, recorded_at=NOW, **fields)
    return Write(event="ADD", memory_id=memory.id, memory=memory, entry=entry(text))


def batch(*parts: tuple[Turn, Write] | Write, at: datetime = NOW, **fields: Any) -> Batch:
    """Turns and writes as one call; the partition is that of the first memory."""
    turns = tuple(part[0] for part in parts if not isinstance(part, Write))
    writes = tuple(part if isinstance(part, Write) else part[1] for part in parts)
    scopes = [turn.scope for turn in turns] + [w.memory.scope for w in writes if w.memory is not None]
    partition = fields.pop("partition", None) or scopes[0].partition
    return Batch(id=new_id(), partition=partition, at=at, turns=turns, writes=writes, **fields)


def revision(memory: Memory, text: str | None = None, *, at: datetime, **fields: Any) -> Write:
    """The next version of a memory; with a new text, a new entry."""
    revised = replace(
        memory,
        text=memory.text if text is None else text,
        version=memory.version + 1,
        recorded_at=at,
        **fields,
    )
    made = None if text is None else entry(text)
    return Write(event="UPDATE", memory_id=memory.id, memory=revised, entry=made, replaces=memory.ord)


def end(memory: Memory, **fields: Any) -> Write:
    """The end of a memory."""
    return Write(event="DELETE", memory_id=memory.id, replaces=memory.ord, **fields)


def query(**fields: Any) -> Query:
    """A query of the default tenant at the tests' now."""
    return Query(**{"tenant": "default", "now": NOW, **fields})


async def add(store: Store, text: str, **fields: Any) -> Memory:
    """Commit one turn and answer its memory as the store has it."""
    pair = said(text, **fields)
    await store.commit(batch(pair, at=fields.get("at", NOW)))
    return await got(store, pair[0].id, tenant=pair[0].scope.tenant)


async def got(store: Store, memory_id: str, *, tenant: str = "default") -> Memory:
    """A memory that has to be there."""
    memory = await store.get(tenant, memory_id)
    assert memory is not None
    return memory


async def change(store: Store, write: Write, *, scope: Scope = ALICE, at: datetime = NOW) -> Committed:
    """Commit one write."""
    return await store.commit(batch(write, at=at, partition=scope.partition))


def texts(memories: Iterable[Memory]) -> list[str]:
    """Their texts, in order."""
    return [memory.text for memory in memories]


class Replica:
    """An index that is kept up to date by deltas alone."""

    def __init__(self) -> None:
        self.head = 0
        self.rows: dict[int, EntryRow] = {}

    def apply(self, delta: Delta) -> None:
        """Take in what came after `head`."""
        for row in delta.rows:
            self.rows[row.ord] = row
        for ord_ in delta.dead:
            self.rows.pop(ord_, None)
        self.head = delta.head


def played(store: Opened, scenario: Callable[[Opened], Awaitable[R]], *, space: Space | None = SPACE) -> R:
    """What a scenario gives, on a store that is opened for it and closed after it."""

    async def run() -> R:
        try:
            await store.open(space)
            return await scenario(store)
        finally:
            await store.aclose()

    return asyncio.run(run())


class Play:
    """Runs scenarios on the store of a test class."""

    def make(self, folder: Path) -> Store:
        """A store, not opened, in a folder of the test's own; the same folder means the same contents."""
        raise NotImplementedError

    def play(self, folder: Path, *scenarios: Scenario, space: Space | None = SPACE) -> None:
        """Run scenarios one after another on one open store."""

        async def whole(store: Store) -> None:
            for scenario in scenarios:
                await scenario(store)

        played(self.make(folder), whole, space=space)

    def hand_over(self, folder: Path, fill: Scenario, take: Scenario) -> None:
        """Run a scenario on one store, then another on one of its own, which takes in what the first has left."""
        for name, scenario in (("from", fill), ("to", take)):
            (folder / name).mkdir()
            self.play(folder / name, scenario)
