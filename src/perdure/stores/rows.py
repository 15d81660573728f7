"""Values to rows of a database and back, whichever it is: times as microseconds, lists as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from perdure.errors import InvalidInput
from perdure.moments import EPOCH, micros
from perdure.ports import Job, Key
from perdure.types import Claim, Memory, Mention, Partition, Relation, Scope, Turn

MEMORY: Final = (
    "ord, id, version, scope, retired_at, erased_at, said_at, recorded_at, valid_from, valid_to, expires_at, "
    "place, salience, kind, origin, role, speaker, session, derived_by, claim, relations, sources, categories, mentions, "
    "metadata, text"
)
"""The columns that `memories` reads and `memory_row` makes, which adds the partition."""

TURN: Final = "id, partition, scope, said_at, recorded_at, session, role, speaker, attachments, text"
"""The columns that `turn_row` makes and `turns` reads."""

JOB: Final = (
    "id, kind, made_at, attempts, turns, options, error, answer, due_at, given_up, worker, leased_until"
)
"""The columns that `job` reads."""

KEY: Final = "key, batch, at, first, last, passing"
"""The columns that `key` reads."""

SCOPE_IDS: Final = ("user_id", "agent_id", "app_id", "run_id")


def prefixed(columns: str, alias: str) -> str:
    """The columns of one of several tables."""
    return ", ".join(f"{alias}.{name}" for name in columns.split(", "))


# ---- out


def memory_row(memory: Memory, partition: int, scope: int) -> tuple[Any, ...]:
    """A version as it is stored, current; the partition follows the columns of `MEMORY`."""
    m = memory
    return (
        m.ord, m.id, m.version, scope, None, None, micros(m.said_at), micros(m.recorded_at),
        maybe_micros(m.valid_from), maybe_micros(m.valid_to), maybe_micros(m.expires_at),
        m.place, m.salience, m.kind, m.origin, m.role, m.speaker, m.session, m.derived_by,
        None if m.claim is None else to_json([m.claim.subject, m.claim.attribute, m.claim.confirmed]),
        to_json([[r.subject, r.relation, r.object] for r in m.relations]) if m.relations else None,
        None if m.sources == (m.id,) else to_json(m.sources),
        to_json(m.categories) if m.categories else None,
        to_json([[t.text, micros(t.start), micros(t.end)] for t in m.mentions]) if m.mentions else None,
        to_json(m.metadata) if m.metadata else None,
        m.text, partition,
    )  # fmt: skip


def turn_row(turn: Turn, partition: int, scope: int) -> tuple[Any, ...]:
    """A turn as it is stored."""
    t = turn
    return (
        t.id, partition, scope, micros(t.said_at), micros(t.recorded_at), t.session, t.role, t.speaker,
        to_json(t.attachments) if t.attachments else None, t.text,
    )  # fmt: skip


def maybe_micros(moment: datetime | None) -> int | None:
    """Microseconds, or no time."""
    return None if moment is None else micros(moment)


def to_json(value: Sequence[Any] | Mapping[str, Any]) -> str:
    """JSON that databases read as well: they know no NaN and no infinity.

    Raises:
        InvalidInput: it holds something else than JSON can.
    """
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"metadata and attachments hold what JSON can hold: {error}") from None


def _plain(value: object) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# ---- in


class _Draft:
    """A `Memory` that is being filled.

    A frozen dataclass sets each field by a call of `object.__setattr__` from its `__init__`: more than half of the
    time of listing ten thousand memories. Classes with the same slots may be exchanged, so a draft is filled by plain
    assignments, in a sixth of that time, and then turned into what it is.
    """

    __slots__ = Memory.__slots__
    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...


def memories(rows: Iterable[tuple[Any, ...]], scopes: Mapping[Any, Scope]) -> list[Memory]:
    """The memories in rows of the columns `MEMORY`; `scopes` by what stands in their column."""
    made = []
    for (
        ord_, id_, version, scope, retired_at, erased_at, said_at, recorded_at, valid_from, valid_to, expires_at,
        place, salience, kind, origin, role, speaker, session, derived_by, claim, relations, sources, categories, mentions,
        metadata, text,
    ) in rows:  # fmt: skip
        m = _Draft()
        m.id = id_
        m.text = text
        m.scope = scopes[scope]
        m.said_at = said = EPOCH + timedelta(0, 0, said_at)
        m.recorded_at = said if recorded_at == said_at else EPOCH + timedelta(0, 0, recorded_at)
        m.kind = kind
        m.role = role
        m.speaker = speaker
        m.session = session
        m.sources = (id_,) if sources is None else tuple(json.loads(sources))
        m.categories = () if categories is None else tuple(json.loads(categories))
        m.metadata = {} if metadata is None else json.loads(metadata)
        m.mentions = () if mentions is None else _mentions(mentions)
        m.origin = origin
        m.claim = claim if claim is None else _claim(claim)
        m.relations = () if relations is None else _relations(relations)
        m.derived_by = derived_by
        m.salience = salience
        m.valid_from = said if valid_from == said_at else None if valid_from is None else moment(valid_from)
        m.valid_to = valid_to if valid_to is None else moment(valid_to)
        m.expires_at = expires_at if expires_at is None else moment(expires_at)
        m.retired_at = retired_at if retired_at is None else moment(retired_at)
        m.erased_at = erased_at if erased_at is None else moment(erased_at)
        m.version = version
        m.ord = ord_
        m.place = place
        m.__class__ = Memory  # type: ignore[assignment]  # the same slots
        made.append(m)
    return cast("list[Memory]", made)


def turns(rows: Iterable[tuple[Any, ...]], scopes: Mapping[Any, Scope]) -> list[Turn]:
    """The turns in rows of the columns `TURN`; `scopes` by what stands in their column."""
    return [
        Turn(
            id=id_,
            scope=scopes[scope],
            said_at=EPOCH + timedelta(0, 0, said_at),
            recorded_at=EPOCH + timedelta(0, 0, recorded_at),
            session=session,
            role=role,
            speaker=speaker,
            attachments=() if attachments is None else tuple(json.loads(attachments)),
            text=text,
        )
        for id_, _, scope, said_at, recorded_at, session, role, speaker, attachments, text in rows
    ]


def moment(count: int) -> datetime:
    """The moment so many microseconds after 1970."""
    return EPOCH + timedelta(0, 0, count)


def _mentions(text: str) -> tuple[Mention, ...]:
    return tuple(
        Mention(text=words, start=EPOCH + timedelta(0, 0, start), end=EPOCH + timedelta(0, 0, end))
        for words, start, end in json.loads(text)
    )


def _claim(text: str) -> Claim:
    subject, attribute, confirmed = json.loads(text)
    return Claim(subject=subject, attribute=attribute, confirmed=confirmed)


def _relations(text: str) -> tuple[Relation, ...]:
    return tuple(Relation(subject=s, relation=r, object=o) for s, r, o in json.loads(text))


def job_row(job: Job, partition: int) -> tuple[Any, ...]:
    """A job as it is stored."""
    options = to_json(job.options) if job.options else None
    turns = to_json(list(job.turns))
    fixed = (job.id, partition, job.kind, micros(job.made_at), turns, options)
    return (*fixed, *job_state(job), job.worker, _or_zero(job.leased_until))


def job_state(job: Job) -> tuple[Any, ...]:
    """What attempts change: attempts, error, answer, due_at, given_up."""
    return (job.attempts, job.error, job.answer, _or_zero(job.due_at), job.given_up)


def job(partition: Partition, row: Sequence[Any]) -> Job:
    """The job in a row of the columns `JOB`."""
    id_, kind, made_at, attempts, turns, options, error, answer, due_at, given_up, worker, leased_until = row
    return Job(
        id=id_,
        partition=partition,
        kind=kind,
        made_at=moment(made_at),
        attempts=attempts,
        turns=tuple(json.loads(turns)),
        options={} if options is None else json.loads(options),
        error=error,
        answer=answer,
        due_at=moment(due_at) if due_at else None,
        given_up=bool(given_up),
        worker=worker,
        leased_until=moment(leased_until) if leased_until else None,
    )


def key(row: Sequence[Any]) -> Key:
    """The key in a row of the columns `KEY`."""
    name, batch, at, first, last, passing = row
    return Key(key=name, batch=batch, at=moment(at), first=first, last=last, passing=bool(passing))


def outlasts(new: Key, held: Key) -> bool:
    """Whether a key takes the place of the one that is here: both pass, and it was used later."""
    return new.passing and held.passing and new.at > held.at


def _or_zero(moment_: datetime | None) -> int:
    return 0 if moment_ is None else micros(moment_)
