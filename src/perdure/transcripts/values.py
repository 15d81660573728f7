"""What a transcript is when it has been read, and what a reader has to be told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict, get_args

Format: TypeAlias = Literal["messages", "openai", "text"]
FORMATS: tuple[Format, ...] = get_args(Format)


class Message(TypedDict):
    """What `add` takes; `timestamp` is ISO 8601 with an offset."""

    role: str
    content: str | list[dict[str, Any]]
    name: NotRequired[str]
    timestamp: NotRequired[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Messages that belong together, in order."""

    messages: tuple[Message, ...]
    id: str | None = None
    """The conversation's own id, where the transcript gives one."""
    title: str | None = None


class LeftOut(NamedTuple):
    """Something in a transcript that is not part of the talk, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A transcript as it was read."""

    format: Format
    sessions: tuple[Session, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def speakers(self) -> dict[str, int]:
        """How many messages each speaker has (by name, else by role): worth a look before importing."""
        counts: dict[str, int] = {}
        for message in (message for session in self.sessions for message in session.messages):
            who = message.get("name") or message["role"]
            counts[who] = counts.get(who, 0) + 1
        return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a transcript does not say of itself."""

    day_first: bool | None = None
    """Whether 08/05/2024 is the 8th of May; None: as the file's other dates show, an error when they do not."""
    zone: tzinfo = UTC
    """The zone of times that are written without one."""
    speakers: frozenset[str] = frozenset()
    """Text only: the names that start a message; empty: whatever stands before a colon."""
    assistants: frozenset[str] = frozenset(
        {"assistant", "ai", "bot", "chatgpt", "claude", "copilot", "gemini"}
    )
    """Text only, in lower case: speakers whose role is `assistant`; everybody else's is `user`."""
