"""What every verb shows of any moment, held to an oracle that replays what happened up to it."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.engine.ingest import analysed
from perdure.engine.memory import Engine
from perdure.moments import iso
from perdure.ports import Batch, Completion, Prompt, Store, Write
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock, HashEmbedder
from perdure.testing.store.scenes import ALICE, NOW
from perdure.types import Memory, Relation, Turn

PEOPLE = ("Alba", "Bruno", "Celia")
PLACES = ("Quito", "Riga", "Tunis")
WORD = "memo"
"""Stands in every text, so that a question finds all that it may."""
ALL = 100

Edge = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Something that happens, so many minutes after what happened before."""

    does: Literal["say", "learn", "update", "supersede", "delete", "restore"]
    after: int
    pick: int
    """Which of the memories that are there, for what concerns one."""
    edge: Edge
    since: int | None
    """Days from the tests' now, like the next two."""
    until: int | None
    expires: int | None
    role: Literal["user", "assistant"]
    asks: bool


days = st.none() | st.integers(-3, 3)
steps = st.builds(
    Step,
    does=st.sampled_from(("say", "say", "learn", "learn", "update", "supersede", "delete", "restore")),
    after=st.integers(0, 2),
    pick=st.integers(0, 99),
    edge=st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PLACES)),
    since=days,
    until=days,
    expires=st.none() | st.none() | days,
    role=st.sampled_from(("user", "assistant")),
    asks=st.booleans(),
)
lives = st.lists(steps, min_size=1, max_size=10)


class Oracle:
    """The memories as they were after each step, by plain replay."""

    def __init__(self) -> None:
        self.states: list[tuple[datetime, dict[str, Memory]]] = []

    def note(self, at: datetime, changed: Memory | None, gone: str | None = None) -> None:
        now = dict(self.states[-1][1]) if self.states else {}
        if gone is not None:
            del now[gone]
        if changed is not None:
            now[changed.id] = changed
        self.states.append((at, now))

    def shown(self, now: datetime, as_of: datetime | None, known_at: datetime | None) -> list[Memory]:
        """What may be shown, by the sentences of the page on time."""
        moment = known_at or now
        known = [state for at, state in self.states if known_at is None or at <= known_at]
        return [
            memory
            for memory in (known[-1] if known else {}).values()
            if memory.expires_at is None or memory.expires_at > moment
            if as_of is None or memory.valid_from is None or memory.valid_from <= as_of
            if memory.valid_to is None or memory.valid_to > (as_of or moment)
        ]


async def happen(store: Store, life: Sequence[Step], clock: Clock) -> Oracle:
    """Let all of it happen to a store, and note it."""
    oracle = Oracle()
    ended: dict[str, Memory] = {}
    for number, step in enumerate(life):
        at = clock.advance(minutes=step.after)
        held = list(oracle.states[-1][1].values()) if oracle.states else []
        pool = list(ended.values()) if step.does == "restore" else held
        picked = pool[step.pick % len(pool)] if pool else None
        write, turn = _write(step, number, at, picked)
        if write is None:
            continue
        batch = Batch(id=f"b{number}", partition=ALICE.partition, at=at, turns=turn, writes=(write,))
        await store.commit(batch)
        if write.memory is None:
            ended[write.memory_id] = await _stored(store, write.memory_id)
            oracle.note(at, None, gone=write.memory_id)
        else:
            ended.pop(write.memory_id, None)
            oracle.note(at, await _stored(store, write.memory_id))
    return oracle


def _write(
    step: Step, number: int, at: datetime, old: Memory | None
) -> tuple[Write | None, tuple[Turn, ...]]:
    """What a step writes, and the turn that comes with it; nothing where it has nothing to change."""
    if step.does in ("say", "learn"):
        made = _made(step, number, at)
        turn = Turn(
            id=made.id, scope=ALICE, role=made.role, text=made.text, said_at=at, recorded_at=at, session="s"
        )
        write = Write(event="ADD", memory_id=made.id, memory=made, entry=analysed(made))
        return write, (turn,) if step.does == "say" else ()
    if old is None:
        return None, ()
    new = replace(old, version=old.version + 1, recorded_at=at, retired_at=None)
    if step.does == "delete":
        return Write(event="DELETE", memory_id=old.id, replaces=old.ord), ()
    if step.does == "supersede":
        end = _day(step.until) or at
        new = replace(new, valid_to=end if old.valid_from is None else max(end, old.valid_from))
        return Write(event="SUPERSEDE", memory_id=old.id, memory=new, replaces=old.ord), ()
    new = _worded(new, step, number)
    if step.does == "restore":
        return Write(event="RESTORE", memory_id=old.id, memory=new, entry=analysed(new)), ()
    return Write(event="UPDATE", memory_id=old.id, memory=new, entry=analysed(new), replaces=old.ord), ()


def _made(step: Step, number: int, at: datetime) -> Memory:
    since, until = _day(step.since), _day(step.until)
    said = step.does == "say"
    made = Memory(
        id=f"m{number}",
        text="",
        scope=ALICE,
        said_at=at,
        recorded_at=at,
        kind="turn" if said else "fact",
        role=step.role if said else "user",
        session="s",
        sources=(f"m{number}",) if said else (),
        valid_from=since,
        valid_to=None if until is None or (since is not None and until <= since) else until,
        expires_at=_day(step.expires),
    )
    return _worded(made, step, number)


def _worded(memory: Memory, step: Step, number: int) -> Memory:
    """With words of this step: a fact states its relation, a turn names nobody."""
    if memory.kind == "turn":
        return replace(memory, text=f"{WORD} number {number}{'?' if step.asks else '.'}")
    person, place = step.edge
    relation = Relation(subject=person, relation="likes", object=place)
    return replace(memory, text=f"{WORD} {number}: {person} likes {place}.", relations=(relation,))


def _day(days: int | None) -> datetime | None:
    return None if days is None else NOW + timedelta(days=days)


async def _stored(store: Store, memory_id: str) -> Memory:
    memory = await store.get("default", memory_id)
    assert memory is not None
    return memory


def told(results: Iterable[Any]) -> list[tuple[str, str]]:
    return sorted((result["id"], result["memory"]) for result in results)


def edges(graph: Any) -> set[tuple[str, str, str | None, str]]:
    """The relations that are stated, one for each memory that states them."""
    return {
        (edge["source"], edge["destination"], edge["valid_to"], memory_id)
        for edge in graph["relations"]
        if edge["stated"]
        for memory_id in edge["memory_ids"]
    }


async def compare(memory: Engine, wanted: Sequence[Memory], **times: Any) -> None:
    """Every verb that takes both times shows what the oracle does, and nothing else."""
    whose: dict[str, Any] = {"user_id": "alice", **times}
    expected = sorted((one.id, one.text) for one in wanted)
    everything: dict[str, Any] = {"top_k": ALL, "threshold": 0.0, **whose}
    assert told((await memory.get_all(top_k=ALL, **whose))["results"]) == expected
    assert told((await memory.search(WORD, **everything))["results"]) == expected
    context = await memory.context(WORD, budget_tokens=10**6, **everything)
    assert told(context["results"]) == expected
    assert all(text in context["context"] for _, text in expected)
    for _, text in expected:
        best = await memory.context(text, **{**everything, "top_k": 1})  # with what stands beside it
        assert set(told(best["results"])) <= set(expected)
    profile = await memory.profile(top_k=ALL, **whose)
    assert told(one for group in profile["profile"].values() for one in group) == expected
    graph = await memory.graph(**whose)
    stating = [(one, relation) for one in wanted for relation in one.relations]
    assert edges(graph) == {
        (relation.subject, relation.object, one.valid_to and iso(one.valid_to), one.id)
        for one, relation in stating
    }
    assert {entity["name"]: set(entity["memory_ids"]) for entity in graph["entities"]} == {
        name: {one.id for one, relation in stating if name in (relation.subject, relation.object)}
        for relation in {relation for _, relation in stating}
        for name in (relation.subject, relation.object)
    }


def in_memory(_: Path) -> Store:
    return InMemoryStore()


def in_a_file(folder: Path) -> Store:
    return SqliteStore(path=folder / "memory.db", synchronous="NORMAL")


over_each_store = pytest.mark.parametrize("make", [in_memory, in_a_file])


def play(
    make: Callable[[Path], Store], scenario: Callable[[Engine, Store, Clock], Any], **parts: Any
) -> None:
    """Run a scenario with an engine of its own."""

    async def main(folder: str) -> None:
        store, clock = make(Path(folder)), Clock(now=NOW)
        engine = Engine(store=store, clock=clock, settings=Settings(threshold=0.0), **parts)
        async with engine as memory:
            await scenario(memory, store, clock)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(folder))


@over_each_store
@settings(max_examples=100, deadline=None)
@given(life=lives, data=st.data())
def test_every_verb_shows_what_was_true_and_known_at_any_moment(
    make: Any, life: list[Step], data: st.DataObject
):
    async def scenario(memory: Engine, store: Store, clock: Clock) -> None:
        oracle = await happen(store, life, clock)
        clock.advance(days=2)
        for _ in range(4):
            as_of = data.draw(st.none() | st.integers(-4, 4).map(_day), label="as_of")
            minutes = data.draw(st.none() | st.integers(-1, 21), label="known_at, in minutes")
            known_at = None if minutes is None else NOW + timedelta(minutes=minutes)
            wanted = oracle.shown(clock.now, as_of, known_at)
            await compare(memory, wanted, as_of=as_of, known_at=known_at)

    play(make, scenario, embedder=HashEmbedder(dimensions=16))


class Scripted:
    """A model that says of each message what the test has decided, as long as it was shown what that is about."""

    model = "scripted"

    def __init__(self) -> None:
        self.next: Step | None = None

    async def complete(self, prompt: Prompt) -> Completion:
        """One fact, new or in place of one of those shown."""
        step = self.next
        assert step is not None
        person, place = step.edge
        shown = sum('"line": "M' in line for line in prompt.content.splitlines())
        replaces = 1 + step.pick % shown if shown and step.does == "supersede" else None
        fact = {
            "text": f"{WORD}: {person} likes {place}, said {step.pick} times.",
            "turns": [1],
            "subject": person,
            "attribute": "favourite place",
            "from": step.since and f"{_day(step.since):%Y-%m-%d}",
            "to": None,
            "action": "replace" if replaces else "add",
            "memory": replaces,
        }
        relation = {"subject": person, "relation": "likes", "object": place, "fact": 1}
        return Completion(text=json.dumps({"facts": [fact], "relations": [relation]}))

    async def aclose(self) -> None:
        """Nothing is open."""


async def do(memory: Engine, model: Scripted, step: Step, number: int) -> None:
    """A step by the verbs of a memory that learns."""
    model.next = step
    if step.does in ("say", "learn", "supersede"):
        message = {"role": step.role, "content": f"{WORD} number {number}{'?' if step.asks else '.'}"}
        expires = _day(step.expires)
        await memory.add(message, user_id="alice", infer=step.does != "say", expiration_date=expires)
        return
    listed = (await memory.get_all(user_id="alice", show_all=True))["results"]
    if listed and step.does == "update":
        await memory.update(listed[step.pick % len(listed)]["id"], f"{WORD} again, {number}.")
    elif listed:
        await memory.delete(listed[step.pick % len(listed)]["id"])


async def everything(memory: Engine, **times: Any) -> dict[str, Any]:
    """All that the verbs show, to the last field."""
    whose: dict[str, Any] = {"user_id": "alice", **times}
    return {
        "search": await memory.search(WORD, top_k=ALL, **whose),
        "get_all": await memory.get_all(show_all=True, **whose),
        "context": await memory.context(f"Which place does {PEOPLE[0]} like?", top_k=2, **whose),
        "profile": await memory.profile(**whose),
        "graph": await memory.graph(**whose),
    }


@over_each_store
@settings(max_examples=100, deadline=None)
@given(life=lives, as_of=days)
def test_what_was_shown_at_a_moment_is_shown_of_it_ever_after(make: Any, life: list[Step], as_of: int | None):
    model = Scripted()

    async def scenario(memory: Engine, _: Store, clock: Clock) -> None:
        seen: dict[datetime, dict[str, Any]] = {}
        for number, step in enumerate(life):
            at = clock.advance(minutes=step.after)
            await do(memory, model, step, number)
            seen[at] = await everything(memory, as_of=_day(as_of))
        clock.advance(days=2)
        for at, shown in seen.items():
            assert await everything(memory, as_of=_day(as_of), known_at=at) == shown

    # Without vectors: the last bit of a product of matrices depends on what else stands in them.
    play(make, scenario, llm=model)
