"""From turns to the batch that makes them durable, purely; embedding comes in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from perdure.engine.dates import mentions
from perdure.engine.salience import AS_IT_IS, ECHOED, echoes, salience
from perdure.engine.words import analyze
from perdure.engine.words.analysis import language_of
from perdure.engine.words.language import CODES, LANGUAGES
from perdure.ids import new_id
from perdure.ports import Batch, Entry, Job, Write
from perdure.types import Memory, Mention, Origin, Turn

FACTS: Final = "facts"
"""The kind of a job that learns facts with a language model."""
PROCEDURE: Final = "procedure"
"""The kind of a job that writes down how work went, instead of learning facts."""
VECTORS: Final = "vectors"
"""The kind of a job that makes the vectors of what was stored without."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be done with turns after they were stored."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    worker: str | None = None
    """Who does it at once, and has it until then."""
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What the caller says about everything in one `add`."""

    metadata: Mapping[str, Any]
    categories: tuple[str, ...] = ()
    expires_at: datetime | None = None
    verbatim: bool = False
    """`infer=False`: each message is listed as a memory, whatever it says."""


def remember(turn: Turn, origin: Origin, attributes: Attributes) -> tuple[Memory, Entry]:
    """The memory of a turn and its entry, without vectors: what rules can tell of the words."""
    found = analyze(turn.text, speaker=turn.speaker, said_at=turn.said_at)
    language = _code(found.flags)
    memory = Memory(
        id=turn.id,
        text=turn.text,
        scope=turn.scope,
        said_at=turn.said_at,
        recorded_at=turn.recorded_at,
        kind="turn",
        role=turn.role,
        speaker=turn.speaker,
        session=turn.session,
        sources=(turn.id,),
        categories=attributes.categories,
        metadata=attributes.metadata,
        mentions=mentions(turn.text, turn.said_at, language),
        origin=origin,
        salience=AS_IT_IS if attributes.verbatim else salience(turn.text, turn.role, language=language),
        expires_at=attributes.expires_at,
        valid_from=turn.said_at,
    )
    return memory, Entry(
        words=found.words, speaker_words=found.speaker, date_words=found.date, flags=found.flags
    )


def conversed(
    turns: Sequence[Turn], attributes: Attributes, origins: Sequence[Origin]
) -> list[tuple[Memory, Entry]]:
    """The memories of turns that follow each other, with their entries; what only repeats the user is not listed."""
    pairs = [remember(*said, attributes) for said in zip(turns, origins, strict=True)]
    for place, (before, turn) in enumerate(pairwise(turns), 1):
        answered = not attributes.verbatim and (before.role, turn.role) == ("user", "assistant")
        if answered and echoes(turn.text, before.text):
            memory, entry = pairs[place]
            pairs[place] = replace(memory, salience=min(memory.salience, ECHOED)), entry
    return pairs


def revise(memory: Memory, text: str, *, now: datetime) -> tuple[Memory, Entry]:
    """The next version of a memory, with another text, and its entry, without vectors."""
    entry = analysed(memory, text)
    language = _code(entry.flags)
    revised = replace(
        memory,
        text=text,
        mentions=mentions(text, memory.said_at, language),
        version=memory.version + 1,
        recorded_at=now,
        salience=AS_IT_IS,  # somebody took the trouble to write it
        relations=(),  # the old words stated them
        derived_by=None,
    )
    return revised, entry


def analysed(memory: Memory, text: str | None = None) -> Entry:
    """The entry, without vectors, of a memory (with another text)."""
    found = analyze(memory.text if text is None else text, speaker=memory.speaker, said_at=memory.said_at)
    return Entry(words=found.words, speaker_words=found.speaker, date_words=found.date, flags=found.flags)


def mentioned(memory: Memory, entry: Entry) -> tuple[Mention, ...]:
    """The times that a memory's text speaks of."""
    return mentions(memory.text, memory.said_at, _code(entry.flags))


def batch(
    pairs: Sequence[tuple[Memory, Entry]],
    turns: Sequence[Turn],
    *,
    key: str,
    key_since: datetime | None,
    task: Task | None = None,
) -> Batch:
    """All that an `add` makes durable, in one piece, with what is to be done afterwards."""
    batch_id = new_id()
    return Batch(
        id=batch_id,
        partition=turns[0].scope.partition,
        at=turns[0].recorded_at,
        turns=tuple(turns),
        writes=tuple(
            Write(event="ADD", memory_id=memory.id, memory=memory, entry=entry) for memory, entry in pairs
        ),
        jobs=() if task is None else (_job(batch_id, turns, task),),
        key=key,
        key_since=key_since,
    )


def _job(job_id: str, turns: Sequence[Turn], task: Task) -> Job:
    return Job(
        id=job_id,
        partition=turns[0].scope.partition,
        kind=task.kind,
        turns=tuple(turn.id for turn in turns),
        made_at=turns[0].recorded_at,
        options=task.options,
        worker=task.worker,
        leased_until=task.leased_until,
    )


def fingerprint(
    turns: Sequence[Turn], attributes: Attributes, *, origins: Sequence[Origin], dated: bool
) -> str:
    """A key that is equal when the same add is sent again; `dated` when the caller gave the times."""
    scope = turns[0].scope
    about = [
        [scope.user_id, scope.agent_id, scope.app_id, scope.run_id],
        [[turn.role, turn.speaker, turn.text, list(turn.attachments)] for turn in turns],
        origins,
        [str(turn.said_at) for turn in turns] if dated else None,
        [attributes.categories, str(attributes.expires_at), dict(attributes.metadata), attributes.verbatim],
    ]
    return "same:" + hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def _code(flags: int) -> str | None:
    """The ISO code of a text's language, for the rules that are made for one; None where it is not known."""
    return CODES.get(LANGUAGES[language_of(flags)])
