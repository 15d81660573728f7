"""The values that Perdure is about: frozen, without behaviour that does I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

from perdure.errors import MissingScope

Kind: TypeAlias = Literal["turn", "fact", "procedure", "summary"]
Origin: TypeAlias = Literal["user", "assistant", "tool", "web", "import"]
UNTRUSTED: frozenset[Origin] = frozenset({"tool", "web"})
"""Whatever wrote these words, nobody whom the application knows stands behind them."""
Event: TypeAlias = Literal[
    "ADD", "UPDATE", "SUPERSEDE", "DELETE", "EXPIRE", "ARCHIVE", "RESTORE", "ERASE", "REFINE"
]
"""REFINE (more became known of a version that goes on) is a step of the log, and no line of history."""

SESSION_GAP = timedelta(hours=1)
"""A silence longer than this ends a session that has no `run_id`."""

LISTED_SALIENCE = 0.5
"""`get_all` lists what is at least this salient; the rest is kept as context and found by search."""


class Partition(NamedTuple):
    """Where a memory lives: word statistics, caches, locks and order are a partition's own."""

    tenant: str
    owner: str
    """The first present of user, agent, app and run, as in `user:alice`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Whose memory it is; the tenant is set by the server or the configuration, never by a caller."""

    user_id: str | None = None
    agent_id: str | None = None
    app_id: str | None = None
    run_id: str | None = None
    tenant: str = "default"

    @property
    def partition(self) -> Partition:
        """The partition of this scope.

        Raises:
            MissingScope: no id is given.
        """
        for kind in ("user", "agent", "app", "run"):
            if value := getattr(self, f"{kind}_id"):
                return Partition(self.tenant, f"{kind}:{value}")
        raise MissingScope(
            "nobody is named whose memory this is: give user_id=, agent_id=, app_id= or run_id=, as in user_id='alice'"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One message exactly as it was said; it never changes."""

    id: str
    scope: Scope
    role: str
    text: str
    said_at: datetime
    recorded_at: datetime
    speaker: str | None = None
    session: str | None = None
    """`run_id` or the id of the session's first turn; the store fills in the latter when it commits."""
    attachments: tuple[Mapping[str, Any], ...] = ()
    """Parts of the message that are not text (images, files), as they came."""


def session_after(previous: Turn | None, turn: Turn) -> str:
    """The session of `turn` when `previous` is the turn stored before it in the very same scope.

    The session is the one given, else `run_id`, else it goes on until a gap of more than `SESSION_GAP`.
    """
    if turn.session or turn.scope.run_id:
        return turn.session or str(turn.scope.run_id)
    if previous is None or previous.session is None or abs(turn.said_at - previous.said_at) > SESSION_GAP:
        return turn.id
    return previous.session


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A time that a text speaks of, resolved against the moment it was said: `start <= t < end`, UTC."""

    text: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a fact says something about; only a claim about the same can supersede it."""

    subject: str
    """Who or what, as in `Alice`."""
    attribute: str
    """Which side of it, as in `home city`."""
    confirmed: int = 0
    """How often it was said again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """An edge between two named things, true as long as the memory that states it."""

    subject: str
    relation: str
    object: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One version of one retrievable statement; superseding closes a version, it never overwrites it."""

    id: str
    """Stable over all versions. The memory of a turn carries the turn's id."""
    text: str
    scope: Scope
    said_at: datetime
    recorded_at: datetime
    """When this version became known to us; `retired_at` ends that."""
    kind: Kind = "turn"
    role: str = "user"
    speaker: str | None = None
    session: str | None = None
    sources: tuple[str, ...] = ()
    """The ids of the turns that it came from."""
    categories: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    mentions: tuple[Mention, ...] = ()
    origin: Origin = "user"
    claim: Claim | None = None
    """Of a fact, when whoever derived it could tell."""
    relations: tuple[Relation, ...] = ()
    """What it says of who or what has to do with whom."""
    derived_by: str | None = None
    """Extractor and version, when a model or a rule derived it; None for words kept as they were said."""
    salience: float = 1.0
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    expires_at: datetime | None = None
    retired_at: datetime | None = None
    erased_at: datetime | None = None
    version: int = 1
    ord: int = 0
    """Row number within the partition (the sequence of the change that made it); 0 until it is stored."""
    place: int | None = None
    """Where its turn stands in the conversation; None for what has no neighbours (facts, summaries)."""

    @property
    def updated_at(self) -> datetime:
        """When the text or its attributes last changed; at first, when it was said."""
        return self.said_at if self.version == 1 else self.recorded_at


def said(memory: Memory) -> Turn:
    """The turn that the first version of a turn's memory was made of, without attachments."""
    return Turn(
        id=memory.id,
        scope=memory.scope,
        role=memory.role,
        text=memory.text,
        said_at=memory.said_at,
        recorded_at=memory.recorded_at,
        speaker=memory.speaker,
        session=memory.session,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of history: what happened to a memory, when, by whom and why."""

    seq: int
    memory_id: str
    event: Event
    at: datetime
    old_text: str | None = None
    new_text: str | None = None
    actor: str | None = None
    reason: str | None = None
    write_id: str | None = None
    """The id of the call that did it: the `event_id` of its receipt."""


def utc_now() -> datetime:
    """The clock of production; tests give their own."""
    return datetime.now(UTC)
