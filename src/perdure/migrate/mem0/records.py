"""From a payload of mem0's and the lines of its history to the records of a memory, purely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from perdure.engine.ingest import Attributes, remember, revise
from perdure.migrate.mem0.payloads import Said, moment, role, words
from perdure.moments import from_micros
from perdure.ports import Export
from perdure.types import Change, Event, Memory, Origin, Scope, Turn, session_after

UNTOLD: Final = "mem0's history does not tell of this"
"""The reason of a change that only a payload, or the line after it, lets us know."""
_ORIGINS: Final[Mapping[str, Origin]] = {"assistant": "assistant", "tool": "tool"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of mem0's history."""

    id: str
    event: str
    at: datetime | None
    """When it was written."""
    created_at: datetime | None
    """When the memory was made, as the line says."""
    old: str | None
    new: str | None
    actor: str | None
    role: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change of a memory: from here on it has this text, or none any more."""

    event: Event
    at: datetime
    text: str | None
    write_id: str
    actor: str | None = None
    role: str | None = None
    reason: str | None = None


def line(row: Mapping[str, Any]) -> Line:
    """A line from the columns of the history database, of each of its generations.

    Args:
        row: also `near`, microseconds since 1970: when the lines before it were written, for a line without a time
            (mem0 1.x wrote none when it deleted).
    """
    event = str(row.get("event") or "").upper()
    created_at = moment(row.get("created_at")) or moment(row.get("timestamp"))
    written = moment(row.get("updated_at")) or moment(row.get("timestamp"))
    if event == "ADD":
        written = created_at or written
    if written is None and row.get("near") is not None:
        written = from_micros(row["near"])
    return Line(
        id=str(row.get("id") or ""),
        event="DELETE" if row.get("is_deleted") in (1, True) else event,
        at=written,
        created_at=created_at,
        old=words(row.get("old_memory")) or words(row.get("prev_value")),
        new=words(row.get("new_memory")) or words(row.get("new_value")),
        actor=words(row.get("actor_id")),
        role=role(row.get("role")),
    )


def steps(memory_id: str, told: Said, lines: Sequence[Line], *, now: datetime) -> list[Step]:
    """What became of a memory, oldest first; empty when it never had a text.

    - What a line repeats of the line before it is passed over.
    - A text that a line knows only as the old one is a step of its own, just before.
    - The payload is right about how it is now: where the history ends otherwise, that is one more step.

    Args:
        told: what the payload says; without a text when only the history has the memory.
        lines: in the order in which they were written.
        now: stands for times that are not known at all.
    """
    course = _Course(memory_id, begin=told.created_at or told.updated_at, now=now)
    for each in lines:
        if each.event in ("ADD", "UPDATE", "DELETE"):
            course.follow(each)
    course.settle(told)
    return course.steps


@dataclass(slots=True)
class _Course:
    """The steps so far."""

    memory_id: str
    begin: datetime | None = field(kw_only=True)
    now: datetime = field(kw_only=True)
    steps: list[Step] = field(default_factory=list)
    last: Line | None = None
    """The last line, whatever its id."""

    @property
    def text(self) -> str | None:
        """The text at the end; None before the first and after a deletion."""
        return self.steps[-1].text if self.steps else None

    def follow(self, line: Line) -> None:
        """Go on as a line of the history says.

        - A line like the one before it, or a deletion of what is deleted: nothing.
        - It knows another text as the old one: that came first.
        - It ends the memory, or gives it a text.
        """
        same = replace(line, id="")
        ended = bool(self.steps) and self.text is None
        if same == self.last or (ended and line.event == "DELETE"):
            return
        self.last = same
        if line.event != "ADD" and line.old and line.old != self.text:
            self._take(line.old, at=line.at if self.steps else line.created_at, line=line, reason=UNTOLD)
        if line.event == "DELETE":
            if self.steps:
                self._take(None, at=line.at, line=line)
        elif line.new and (line.event == "UPDATE" or line.new != self.text):
            self._take(line.new, at=line.at, line=line)

    def settle(self, told: Said) -> None:
        """End as the payload says that it is."""
        if told.text is None:
            return
        if not self.steps:
            self._take(told.text, at=self.begin)
        if told.text != self.text or (told.updated_at and told.updated_at > self.steps[-1].at):
            self._take(told.text, at=told.updated_at, reason=UNTOLD)

    def _take(
        self, text: str | None, *, at: datetime | None, line: Line | None = None, reason: str | None = None
    ) -> None:
        """One more step, never before the last one, whatever the clocks said."""
        last = self.steps[-1].at if self.steps else None
        moment = at or last or self.begin or self.now
        event: Event = "DELETE" if text is None else "UPDATE" if self.text is not None else "RESTORE"
        given = line.id if line is not None and reason is None else ""
        made = str(uuid5(NAMESPACE_URL, f"mem0:{self.memory_id}:{len(self.steps)}"))
        self.steps.append(
            Step(
                event=event if self.steps else "ADD",
                at=max(moment, last) if last else moment,
                text=text,
                write_id=given if given and given not in {step.write_id for step in self.steps} else made,
                actor=line.actor if line else None,
                role=line.role if line else None,
                reason=reason,
            )
        )


def records(
    memory_id: str, told: Said, course: Sequence[Step], *, scope: Scope, previous: Turn | None
) -> list[Export]:
    """A turn, and each version with the change that made it, as `Exports.restore` takes them.

    mem0 keeps the earlier texts of a memory and not its earlier metadata: every version has those of the payload.

    Args:
        course: its `steps`, at least one.
        previous: the turn before it of the same scope.
    """
    turn = _turn(memory_id, told, course[0], scope, previous)
    attributes = Attributes(
        metadata=told.metadata, categories=told.categories, expires_at=told.expires_at, verbatim=True
    )
    memory, _ = remember(turn, _ORIGINS.get(turn.role, "user"), attributes)
    made: list[Turn | Memory | Change] = [turn]
    old: str | None = None
    for seq, (step, after) in enumerate(pairwise([*course, None]), start=1):
        assert step is not None  # only the last one's `after` is
        if step.text is not None:
            memory = _version(memory, step) if seq > 1 else memory
            made.append(replace(memory, ord=seq, retired_at=after.at if after else None))
        made.append(_change(memory_id, seq, step, old))
        old = step.text
    return [Export(scope.partition, record) for record in made]


def _turn(memory_id: str, told: Said, first: Step, scope: Scope, previous: Turn | None) -> Turn:
    assert first.text is not None  # nothing begins with a deletion
    turn = Turn(
        id=memory_id,
        scope=scope,
        role=told.role or first.role or "user",
        text=first.text,
        said_at=told.created_at or first.at,
        recorded_at=first.at,
        speaker=told.actor or first.actor,
    )
    return replace(turn, session=session_after(previous, turn))


def _version(memory: Memory, step: Step) -> Memory:
    assert step.text is not None
    if step.text == memory.text:
        return replace(memory, version=memory.version + 1, recorded_at=step.at)
    return revise(memory, step.text, now=step.at)[0]


def _change(memory_id: str, seq: int, step: Step, old: str | None) -> Change:
    return Change(
        seq=seq,
        memory_id=memory_id,
        event=step.event,
        at=step.at,
        old_text=old,
        new_text=step.text,
        actor=step.actor,
        reason=step.reason,
        write_id=step.write_id,
    )
