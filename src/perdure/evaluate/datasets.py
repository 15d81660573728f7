"""Conversations with questions, read from files; a line that cannot be read is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from perdure.errors import InvalidInput
from perdure.moments import parse_moment

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One turn of a conversation."""

    id: str
    speaker: str
    text: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Turns said at one sitting."""

    id: str
    turns: tuple[Utterance, ...]
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """All that one memory is told."""

    id: str
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something asked of one conversation, and where its answer stands; nowhere, for questions to abstain from."""

    id: str
    conversation: str
    text: str
    category: str
    turns: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    asked_at: datetime | None = None


def read_conversations(lines: Iterable[str]) -> list[Conversation]:
    """Conversations, one JSON object a line.

    `{"conversation_id", "sessions": [{"session_id", "date", "turns": [{"turn_id", "speaker", "text", "time"?}]}]}`

    Raises:
        InvalidInput: a line of another form, and its number.
    """
    return [_read(_conversation, value, where) for where, value in _objects(lines)]


def read_questions(lines: Iterable[str]) -> list[Question]:
    """Questions, one JSON object a line.

    `{"conversation_id", "question_id", "question", "question_date"?, "category", "evidence_turn_ids",
    "evidence_session_ids"}`

    Raises:
        InvalidInput: a line of another form, and its number.
    """
    return [_read(_question, value, where) for where, value in _objects(lines)]


def read_longmemeval(text: str) -> tuple[list[Conversation], list[Question]]:
    """LongMemEval's JSON (Wu et al. 2024): each question brings the sessions that it is asked of.

    Raises:
        InvalidInput: something of another form, and its place in the list.
    """
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"line {error.lineno}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or nested too deeply
        raise InvalidInput(f"this JSON cannot be read: {error}") from error
    if not isinstance(items, list):
        raise InvalidInput(
            "expected LongMemEval's JSON: a list of questions, each with its haystack_sessions"
        )
    pairs = [_read(_longmemeval, item, f"item {number}") for number, item in enumerate(items, 1)]
    return [conversation for conversation, _ in pairs], [question for _, question in pairs]


_DATE = re.compile(
    r"(\d{4})[-/年](\d{1,2})[-/月](\d{1,2})日?"  # 2024-05-08, 2024/05/08, 2024年05月08日
    r"(?:[T ]+(?:\S+ )?(\d{1,2}):(\d{2})(?::(\d{2}))?)?$"  # 14:03, with a weekday before it: (Sat) or 周一
)


def read_date(value: object) -> datetime | None:
    """A date of a data set, UTC where no offset is given; None where there is none.

    Raises:
        InvalidInput: no date that is known here.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str) and (parts := _DATE.match(value.strip())):
        year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups())
        try:
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            raise InvalidInput(f"there is no date {value!r}") from None
    return parse_moment(value, name="date")


def _objects(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else error
                raise InvalidInput(
                    f"line {number}: not JSON ({reason}); expected one object a line"
                ) from error


def _read(read: Callable[[Any], Read], value: object, where: str) -> Read:
    """What `read` makes of a value, its complaints with the place added."""
    try:
        return read(value)
    except KeyError as error:
        raise InvalidInput(f"{where}: {error.args[0]!r} is missing") from error
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    except (TypeError, AttributeError) as error:
        raise InvalidInput(f"{where}: not of the form expected ({error})") from error


def _conversation(value: Mapping[str, Any]) -> Conversation:
    sessions = tuple(_session(session) for session in value["sessions"])
    ids = [turn.id for session in sessions for turn in session.turns]
    if len(set(ids)) < len(ids):
        raise InvalidInput("two turns have one turn_id; expected each to be its conversation's own")
    return Conversation(id=str(value["conversation_id"]), sessions=sessions)


def _session(value: Mapping[str, Any]) -> Session:
    at = read_date(value.get("date"))
    turns = tuple(
        Utterance(
            id=str(t["turn_id"]), speaker=t["speaker"], text=t["text"], at=read_date(t.get("time")) or at
        )
        for t in value["turns"]
    )
    return Session(id=str(value["session_id"]), turns=turns, at=at)


def _question(value: Mapping[str, Any]) -> Question:
    return Question(
        id=str(value["question_id"]),
        conversation=str(value["conversation_id"]),
        text=value["question"],
        category=value["category"],
        turns=frozenset(map(str, value["evidence_turn_ids"])),
        sessions=frozenset(map(str, value["evidence_session_ids"])),
        asked_at=read_date(value.get("question_date")),
    )


def _longmemeval(value: Mapping[str, Any]) -> tuple[Conversation, Question]:
    names, dates, sittings = (value[f"haystack_{part}"] for part in ("session_ids", "dates", "sessions"))
    if not len(names) == len(dates) == len(sittings):
        raise InvalidInput("haystack_session_ids, haystack_dates and haystack_sessions differ in length")
    haystack = enumerate(zip(names, dates, sittings, strict=True))  # a session's id may stand there twice
    told = [(f"{place}:{name}", name, read_date(date), turns) for place, (name, date, turns) in haystack]
    sessions = tuple(
        Session(
            id=name,
            at=at,
            turns=tuple(
                Utterance(id=f"{key}:{number}", speaker=turn["role"], text=turn["content"], at=at)
                for number, turn in enumerate(turns)
            ),
        )
        for key, name, at, turns in told
    )
    abstain = str(value["question_id"]).endswith("_abs")
    marked = (
        f"{key}:{n}" for key, _, _, turns in told for n, turn in enumerate(turns) if turn.get("has_answer")
    )
    question = Question(
        id=str(value["question_id"]),
        conversation=str(value["question_id"]),
        text=value["question"],
        category=value["question_type"],
        turns=frozenset(() if abstain else marked),
        sessions=frozenset(() if abstain else map(str, value["answer_session_ids"])),
        asked_at=read_date(value.get("question_date")),
    )
    return Conversation(id=question.id, sessions=sessions), question
