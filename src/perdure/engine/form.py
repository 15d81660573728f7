"""How memories are written into a prompt: one line each, dated and sourced, as text or as XML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from perdure.engine.recalled import NOTICE, framed, label, quoted, xml_text
from perdure.moments import iso
from perdure.types import UNTRUSTED, Memory, Partition

Place: TypeAlias = tuple[Partition, int]
"""A version of a memory, by its partition and `ord`."""

SHORT_ID: Final = 8
"""So many letters of an id tell memories apart, unless two end alike; a whole id costs twenty tokens."""

_DAYS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One memory as it may stand in a prompt."""

    memory: Memory
    text: str
    """Its words, or as many of the first as there is room for."""
    score: float | None = None
    before: int | None = None
    """`ord` of the turn before it in its session; likewise `after`."""
    after: int | None = None
    also: tuple[str, ...] = ()
    """Other days on which the same was said."""

    @property
    def place(self) -> Place:
        """Which version it is."""
        return self.memory.scope.partition, self.memory.ord

    @property
    def derived(self) -> bool:
        """Whether somebody made it of what was said."""
        return self.memory.kind != "turn"

    @property
    def cut(self) -> bool:
        """Whether there was no room for all of its words."""
        return self.text != self.memory.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How lines and blocks are written."""

    xml: bool = False
    names: Mapping[str, str]
    """What stands for each id."""

    def block(self, passages: Iterable[Sequence[Line]]) -> str:
        """Passages between marks; in each the lines of what was said in one go."""
        body = [f"<note>{xml_text(NOTICE)}</note>" if self.xml else NOTICE]
        for passage in passages:
            lines = [self.line(line) for line in passage]
            if not self.xml:
                body += [f"{'  ' if place else '- '}{line}" for place, line in enumerate(lines)]
            else:
                body += lines if len(lines) == 1 else ["<passage>", *lines, "</passage>"]
        return framed("\n".join(body))

    def sheet(self, groups: Mapping[str, Iterable[Line]]) -> str:
        """Lines under headings, between marks; as text only."""
        body = [NOTICE]
        for name, lines in groups.items():
            body += [self.heading(name), *(f"- {self.line(line)}" for line in lines)]
        return framed("\n".join(body))

    def heading(self, name: str) -> str:
        """A name over lines; in quotes, so that none reads as somebody's part in the talk."""
        return f"{quoted(name)}:"

    def line(self, line: Line) -> str:
        """One memory, without what leads the line in."""
        return self._xml_line(line) if self.xml else self._text_line(line)

    def _text_line(self, line: Line) -> str:
        memory = line.memory
        times = "".join(f", {name} {value}" for name, value in _times(line))
        kind = f"{memory.kind}, " if line.derived else ""
        role = label(memory.role)
        who = f"{label(memory.speaker)} ({role})" if memory.speaker else role
        head = f"[{label(self.names[memory.id])}] {day(memory)}{times}, {kind}{who}{_doubt(memory)}"
        return f"{head}: {quoted(line.text)}{' (cut)' if line.cut else ''}"

    def _xml_line(self, line: Line) -> str:
        memory = line.memory
        told = {
            "id": self.names[memory.id],
            "day": day(memory),
            **dict(_times(line)),
            "kind": memory.kind if line.derived else None,
            "speaker": memory.speaker,
            "role": memory.role,
            "origin": memory.origin if memory.origin in UNTRUSTED else None,
            "cut": "yes" if line.cut else None,
        }
        attributes = " ".join(f'{name}="{xml_text(value)}"' for name, value in told.items() if value)
        return f"<memory {attributes}>{xml_text(line.text)}</memory>"


def day(memory: Memory) -> str:
    """The day on which it was said, in UTC, as in `2025-03-01`."""
    return iso(memory.said_at)[:10]


def short(ids: Iterable[str]) -> dict[str, str]:
    """For each id its end, long enough that no other of them ends so."""
    wanted = set(ids)
    size, longest = SHORT_ID, max(map(len, wanted), default=0)
    while size < longest and len({name[-size:] for name in wanted}) < len(wanted):
        size += 4
    return {name: name[-size:] for name in wanted}


def _doubt(memory: Memory) -> str:
    """Where it comes from, when nobody known stands behind it and its role does not say so."""
    if memory.origin not in UNTRUSTED or memory.origin == memory.role:
        return ""
    return ", from the web" if memory.origin == "web" else ", from a tool"


def _times(line: Line) -> list[tuple[str, str]]:
    """Days beside the one on which it was said: when else, and since when and until when it is true."""
    memory, told = line.memory, []
    if line.also:
        more = ["…"] if len(line.also) > _DAYS_SHOWN else []
        told.append(("also", " ".join([*line.also[:_DAYS_SHOWN], *more])))
    if memory.valid_from is not None and iso(memory.valid_from)[:10] != day(memory):
        told.append(("since", iso(memory.valid_from)[:10]))
    if memory.valid_to is not None:
        told.append(("until", iso(memory.valid_to)[:10]))
    return told
