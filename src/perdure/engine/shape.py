"""What callers get: plain dictionaries, in mem0's shapes with more in them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from hashlib import md5
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from perdure.moments import iso
from perdure.ports import Job
from perdure.types import Change, Memory, Turn


class SourceDict(TypedDict):
    """The words that a memory came from."""

    id: str
    text: str
    role: str
    speaker: str | None
    said_at: str
    session: str | None


class MentionDict(TypedDict):
    """A time that a memory speaks of, resolved against the moment it was said: `start <= t < end`."""

    text: str
    start: str
    end: str


class MemoryDict(TypedDict):
    """One memory. Times are ISO 8601 with an offset."""

    id: str
    memory: str
    hash: str
    kind: str
    metadata: dict[str, Any]
    categories: list[str]
    created_at: str
    """When it was said."""
    updated_at: str
    recorded_at: str
    """When this version became known to the store."""
    valid_from: str | None
    valid_to: str | None
    expiration_date: str | None
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    actor_id: str | None
    role: str
    session: str | None
    origin: str
    mentions: list[MentionDict]
    source_ids: list[str]
    relations: NotRequired[list[RelationDict]]
    """Those that it states, where there are any."""
    score: NotRequired[float]
    """0 to 1, on absolute evidence: it means the same for every query."""
    sources: NotRequired[list[SourceDict]]
    explain: NotRequired[dict[str, Any]]


class RelationDict(TypedDict):
    """Two named things and what is between them, in mem0's words."""

    source: str
    relationship: str
    destination: str


class Results(TypedDict):
    """Memories, best first."""

    results: list[MemoryDict]
    relations: NotRequired[list[RelationDict]]
    """All that the memories found state, each once, where there are any."""
    notes: NotRequired[list[str]]
    """What the caller should know of how this was found, as that a leg was missing."""


class EntityDict(TypedDict):
    """Somebody or something with a name."""

    name: str
    kind: str
    """person, place, organisation or thing."""
    aliases: list[str]
    merged: dict[str, str]
    """For each alias, why it is the same."""
    count: int
    """How many memories name it, or were said by it."""
    memory_ids: list[str]


class EdgeDict(RelationDict):
    """A relation, and where it comes from."""

    stated: bool
    """A fact says so; False: the two are only mentioned together."""
    memory_ids: list[str]
    valid_from: str | None
    valid_to: str | None


class GraphDict(TypedDict):
    """Entities, the most mentioned or the nearest first, and what is between them."""

    entities: list[EntityDict]
    relations: list[EdgeDict]


class ChatMessage(TypedDict):
    """One message, as chat APIs take it."""

    role: str
    content: str


class Context(TypedDict):
    """A block of memories that is ready for a prompt."""

    context: str | list[ChatMessage]
    """Empty when there is nothing to show."""
    results: list[MemoryDict]
    """What stands in it, in its order; what was not found itself, but stands beside it, has no score."""
    tokens: int
    """Of the block, as they were counted."""
    omitted: int
    """How many were found for which there was no room."""
    notes: NotRequired[list[str]]
    """As those of a search."""


class Profile(TypedDict):
    """What is known of somebody."""

    profile: dict[str, list[MemoryDict]]
    """By category, facts before turns, newest first; each memory once, with its sources."""
    text: str
    """The same as a block that is ready for a prompt; empty when there is nothing to show."""
    tokens: int
    """Of the text, as they were counted."""
    omitted: int
    """How many there was no room for."""


class AddedDict(TypedDict):
    """What became of one message, or of one fact that was learned from them."""

    id: str | None
    memory: str
    event: str
    """ADD, UPDATE (it was there already, and is confirmed), SUPERSEDE (it is true no more), or NONE with a reason."""
    role: NotRequired[str]
    actor_id: NotRequired[str]
    source_ids: NotRequired[list[str]]
    """Of a fact: the turns that it came from."""
    reason: NotRequired[str]


class ReceiptDict(TypedDict):
    """The honest account of one `add`."""

    stored: int
    skipped: int
    pending: list[str]
    """What is still to be done; empty when everything is."""
    repeated: bool
    """True when the same add was there already, and nothing was stored again."""
    redacted: NotRequired[dict[str, int]]
    """How many of each kind were replaced before anything was stored, where there were any."""
    turns: NotRequired[list[str]]
    """The messages as they were kept, when facts were learned from them."""


class Added(TypedDict):
    """The answer to `add`."""

    results: list[AddedDict]
    event_id: str
    receipt: ReceiptDict


Status: TypeAlias = Literal["PENDING", "RUNNING", "FAILED", "SUCCEEDED"]
"""Of an add: waiting, worked on, given up, or done."""


class EventDict(TypedDict):
    """What has become of an add."""

    event_id: str
    status: Status
    made_at: str
    attempts: int
    error: str | None
    """Why the last attempt failed."""
    due_at: str | None
    """When it is tried again."""
    results: list[AddedDict]
    """What it made, when it is done: facts, or the messages where nothing was learned."""


class PendingDict(TypedDict):
    """What is still to be done after an add, and why."""

    event_id: str
    kind: str
    """facts, procedure, or vectors."""
    status: Status
    turns: list[str]
    user_id: str | None
    agent_id: str | None
    app_id: str | None
    run_id: str | None
    made_at: str
    attempts: int
    error: str | None
    answer: str | None
    """What a model said that could not be read."""


class ChangeDict(TypedDict):
    """One line of a memory's history."""

    id: str
    memory_id: str
    event: str
    old_memory: str | None
    new_memory: str | None
    created_at: str
    updated_at: str
    is_deleted: bool
    actor_id: str | None
    reason: str | None
    event_id: str | None


def memory_dict(memory: Memory, *, sources: Sequence[Turn] | None = None) -> MemoryDict:
    """A memory as callers see it; with `sources`, also the words that it came from."""
    said_at, scope = iso(memory.said_at), memory.scope
    recorded_at = said_at if memory.recorded_at is memory.said_at else iso(memory.recorded_at)
    shape: MemoryDict = {
        "id": memory.id,
        "memory": memory.text,
        "hash": md5(memory.text.encode(), usedforsecurity=False).hexdigest(),
        "kind": memory.kind,
        "metadata": dict(memory.metadata),
        "categories": list(memory.categories),
        "created_at": said_at,
        "updated_at": said_at if memory.version == 1 else recorded_at,
        "recorded_at": recorded_at,
        "valid_from": said_at if memory.valid_from is memory.said_at else moment(memory.valid_from),
        "valid_to": moment(memory.valid_to),
        "expiration_date": moment(memory.expires_at),
        "user_id": scope.user_id,
        "agent_id": scope.agent_id,
        "app_id": scope.app_id,
        "run_id": scope.run_id,
        "actor_id": memory.speaker,
        "role": memory.role,
        "session": memory.session,
        "origin": memory.origin,
        "mentions": [{"text": m.text, "start": iso(m.start), "end": iso(m.end)} for m in memory.mentions],
        "source_ids": list(memory.sources),
    }
    if memory.relations:
        shape["relations"] = relation_dicts([memory])
    if sources is not None:
        shape["sources"] = [source_dict(turn) for turn in sources]
    return shape


def relation_dicts(memories: Iterable[Memory]) -> list[RelationDict]:
    """What memories state of who has to do with whom, each once, in their order."""
    return [
        {"source": r.subject, "relationship": r.relation, "destination": r.object}
        for r in dict.fromkeys(relation for memory in memories for relation in memory.relations)
    ]


def source_dict(turn: Turn) -> SourceDict:
    """A turn, as the source of a memory."""
    return {
        "id": turn.id,
        "text": turn.text,
        "role": turn.role,
        "speaker": turn.speaker,
        "said_at": iso(turn.said_at),
        "session": turn.session,
    }


def change_dict(change: Change) -> ChangeDict:
    """A line of history as callers see it."""
    at = iso(change.at)
    return {
        "id": f"{change.memory_id}/{change.seq}",
        "memory_id": change.memory_id,
        "event": change.event,
        "old_memory": change.old_text,
        "new_memory": change.new_text,
        "created_at": at,
        "updated_at": at,
        "is_deleted": change.event in ("DELETE", "ERASE", "EXPIRE"),
        "actor_id": change.actor,
        "reason": change.reason,
        "event_id": change.write_id,
    }


def event_dict(job: Job, now: datetime) -> EventDict:
    """An add that is not done, by its job."""
    return {
        "event_id": job.id,
        "status": status(job, now),
        "made_at": iso(job.made_at),
        "attempts": job.attempts,
        "error": job.error,
        "due_at": None if job.due_at is None or job.given_up else iso(job.due_at),
        "results": [],
    }


def done_dict(event_id: str, written: Sequence[Change], *, turns: Collection[str]) -> EventDict:
    """An add that is done, by what it wrote; `turns` are the ids of its messages."""
    learned = [change for change in written if change.memory_id not in turns]
    return {
        "event_id": event_id,
        "status": "SUCCEEDED",
        "made_at": iso(written[0].at),
        "attempts": 0,
        "error": None,
        "due_at": None,
        "results": [
            {"id": c.memory_id, "memory": c.new_text or c.old_text or "", "event": c.event}
            for c in learned or written
        ],
    }


def status(job: Job, now: datetime) -> Status:
    """How far a job is."""
    return "FAILED" if job.given_up else "RUNNING" if job.leased(now) else "PENDING"


def pending_dict(job: Job, now: datetime) -> PendingDict:
    """A job as callers see it."""
    ids: dict[str, str | None] = dict.fromkeys(("user_id", "agent_id", "app_id", "run_id"))
    kind, _, name = job.partition.owner.partition(":")
    ids[f"{kind}_id"] = name
    return {
        "event_id": job.id,
        "kind": job.kind,
        "status": status(job, now),
        "turns": list(job.turns),
        "user_id": ids["user_id"],
        "agent_id": ids["agent_id"],
        "app_id": ids["app_id"],
        "run_id": ids["run_id"],
        "made_at": iso(job.made_at),
        "attempts": job.attempts,
        "error": job.error,
        "answer": job.answer,
    }


def moment(value: datetime | None) -> str | None:
    """ISO 8601, or None for an end that is open."""
    return None if value is None else iso(value)
