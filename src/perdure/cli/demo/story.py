"""The demonstration's conversations and questions, as they stand in story.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

USERS = ("maya", "tomas")
NAMES = {"maya": "Maya", "tomas": "Tomás"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn, by the id under which questions name it."""

    id: str
    message: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sitting of a user with the assistant."""

    id: str
    user: str
    turns: tuple[Turn, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something asked, and the turn that answers it: none, when nothing was said about it."""

    user: str
    ask: str
    source: str | None = None
    part: str = "now"
    """`now`, `apart` (two users asked the same) or `then` (with `known_at`)."""
    known_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All sessions in the order in which they were held, and the questions."""

    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]


def read_story() -> Story:
    """The story of the package."""
    told = tomllib.loads(files("perdure.cli.demo").joinpath("story.toml").read_text(encoding="utf-8"))
    sessions = [
        _session(user, number, session) for user in USERS for number, session in enumerate(told[user], 1)
    ]
    return Story(
        sessions=tuple(sorted(sessions, key=lambda session: session.start)),
        questions=tuple(Question(**question) for question in told["question"]),
    )


def _session(user: str, number: int, told: dict[str, Any]) -> Session:
    start, name = told["at"], f"{user}-{number}"
    turns = tuple(
        Turn(id=f"{name}.{place}", message=_message(text, start + timedelta(minutes=place - 1)))
        for place, text in enumerate(told["turns"], 1)
    )
    return Session(id=name, user=user, turns=turns, start=start, end=start + timedelta(minutes=len(turns)))


def _message(text: str, at: datetime) -> dict[str, Any]:
    speaker, _, words = text.partition(": ")
    if speaker == "assistant":
        return {"role": "assistant", "content": words, "timestamp": at}
    return {"role": "user", "name": NAMES[speaker], "content": words, "timestamp": at}
