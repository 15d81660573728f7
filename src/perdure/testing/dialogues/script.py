"""A dialogue as it is written down: who says what, what a model makes of it, what is known in the end."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from perdure.moments import in_utc, parse_moment
from perdure.options import checked

BEGIN: Final = "2025-03-03 09:00"
"""A Monday: when a dialogue begins that does not say so."""
PAUSE: Final = timedelta(minutes=10)
"""Between two steps, where the second names no time."""
RECALLED: Final = "{recalled}"
"""In a message: the block of memories that the step recalls."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """A fact as a model would tell it."""

    text: str
    about: str = ""
    """Subject and attribute, as in `User: home`; empty: the model names none."""
    turns: tuple[int, ...] = (1,)
    """Numbers of the step's messages, from 1; those that are never shown to a model (system) do not count."""
    since: str | None = None
    until: str | None = None
    categories: tuple[str, ...] = ()
    confirms: str | None = None
    """The text of a memory; the model adds when it is not shown that one."""
    replaces: str | None = None
    """The text of a memory; the model adds when it is not shown that one."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One call of `add`, or something that is done between two of them."""

    at: datetime
    say: str = ""
    """One message of the user."""
    times: int = 1
    """How often `say` stands in that message, for one that is very long."""
    messages: tuple[Mapping[str, Any], ...] = ()
    """More than that: role, content, and perhaps name and timestamp."""
    recall: str = ""
    """A question: its context stands in the messages where they have `{recalled}`."""
    delete: str = ""
    """The text of a memory to delete, instead of saying anything."""
    erase: str = ""
    """The text of a memory to erase, instead of saying anything."""
    scope: Mapping[str, str] = field(default_factory=dict)
    """Such as `{user_id = "ann"}`; left out, the dialogue's."""
    expires: str | None = None
    categories: tuple[str, ...] = ()
    facts: tuple[Stated, ...] = ()
    """What a model answers."""
    answer: str = "{facts}"
    """How it writes that: `{facts}` is JSON for the facts, `{memory: some text}` the number of that memory."""
    events: tuple[str, ...] | None = None
    """What became of facts and messages, in the order of the receipt."""
    reasons: tuple[str, ...] = ()
    """Parts of reasons that the receipt gives."""
    pending: bool = False
    """Whether something is still to be learned afterwards."""

    @property
    def said(self) -> tuple[Mapping[str, Any], ...]:
        """The messages, whichever way they are written."""
        return ({"role": "user", "content": self.say * self.times},) if self.say else self.messages


@dataclass(frozen=True, kw_only=True)
class Held:
    """A memory that is expected; what is left out is not looked at."""

    text: str
    said: tuple[str, ...] | None = None
    """Of each message that it came from some words, in order."""
    since: str | None = None
    until: str | None = None
    """When it begins and ends to be true; `never` for an end that is open."""
    expires: str | None = None
    speaker: str | None = None
    origin: str | None = None
    categories: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What is known at the end, by whom, and perhaps as it was at some time."""

    scope: Mapping[str, str] = field(default_factory=dict)
    """Left out, the dialogue's."""
    as_of: str | None = None
    known_at: str | None = None
    current: tuple[Held, ...] = ()
    """All that is listed."""
    past: tuple[Held, ...] = ()
    """All that is listed besides when what is true no more is asked for; not looked at with `as_of`."""
    forbidden: tuple[str, ...] = ()
    """Words that nothing listed may hold, be it true or not."""
    finds: Mapping[str, str] = field(default_factory=dict)
    """Questions, and for each a memory that must be among its answers."""


@dataclass(frozen=True, kw_only=True)
class Dialogue:
    """Steps and what is expected after the last one."""

    name: str
    """A sentence that says what it shows."""
    steps: tuple[Step, ...]
    expect: tuple[Expected, ...]
    scope: Mapping[str, str] = field(default_factory=lambda: {"user_id": "ann"})
    theme: str = ""
    """The file that it stands in."""


def read_dialogues(path: str | os.PathLike[str]) -> list[Dialogue]:
    """The dialogues of a TOML file, or of all such files in a folder.

    Raises:
        ConfigurationError: a dialogue has something that none can have, and which.
    """
    place = Path(path)
    files = sorted(place.glob("*.toml")) if place.is_dir() else [place]
    return [
        replace(_dialogue(table), theme=file.stem)
        for file in files
        for table in tomllib.loads(file.read_text(encoding="utf-8"))["dialogue"]
    ]


def _dialogue(table: Mapping[str, Any]) -> Dialogue:
    name = str(table.get("name", "a dialogue without a name"))
    at, steps = in_utc(parse_moment(BEGIN)) - PAUSE, []
    for number, step in enumerate(table.get("steps", ()), 1):
        at = in_utc(parse_moment(step["at"])) if "at" in step else at + PAUSE
        steps.append(_step({**step, "at": at}, f"step {number} of {name!r}"))
    expect = _each(table.get("expect", ()), _expected, f"an expectation of {name!r}")
    return checked(Dialogue, {**table, "steps": tuple(steps), "expect": expect}, f"the dialogue {name!r}")


def _step(table: Mapping[str, Any], subject: str) -> Step:
    facts = _each(
        table.get("facts", ()), lambda fact, its: checked(Stated, fact, its), f"a fact of {subject}"
    )
    return checked(Step, {**table, "facts": facts}, subject)


def _expected(table: Mapping[str, Any], subject: str) -> Expected:
    held = {name: _each(table.get(name, ()), _held, f"a memory of {subject}") for name in ("current", "past")}
    return checked(Expected, {**table, **held}, subject)


def _held(written: str | Mapping[str, Any], subject: str) -> Held:
    return checked(Held, {"text": written} if isinstance(written, str) else written, subject)


def _each(tables: Sequence[Any], make: Callable[[Any, str], Any], subject: str) -> tuple[Any, ...]:
    return tuple(make(table, subject) for table in tables)
