"""The honest answer to an `add`: what became of each message, of each fact, and what is still to be done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from perdure.engine.messages import Skipped
from perdure.engine.shape import Added, AddedDict
from perdure.ports import Committed
from perdure.types import Turn

if TYPE_CHECKING:  # loaded by those who learn
    from perdure.engine.learning import Outcome
    from perdure.engine.learning.reconcile import Decision

SAME_ADD: Final = "the same add was stored already"


def kept(
    turns: Sequence[Turn], skipped: Sequence[Skipped], committed: Committed, pending: list[str]
) -> Added:
    """The answer to an add that keeps messages as they are: each in order, and what became of it."""
    reason: dict[str, str] = {"reason": SAME_ADD} if committed.repeated else {}
    results: list[AddedDict] = []
    for turn, memory_id in zip(turns, committed.memory_ids, strict=True):
        result: AddedDict = {
            "id": memory_id,
            "memory": turn.text,
            "event": "NONE" if committed.repeated else "ADD",
            "role": turn.role,
            **reason,  # type: ignore[typeddict-item]  # an optional key of the same TypedDict
        }
        if turn.speaker:
            result["actor_id"] = turn.speaker
        results.append(result)
    for skip in skipped:
        results.insert(skip.index, {"id": None, "memory": "", "event": "NONE", "reason": skip.reason})
    return {
        "results": results,
        "event_id": committed.batch_id,
        "receipt": {
            "stored": 0 if committed.repeated else len(turns),
            "skipped": len(skipped),
            "pending": [] if committed.repeated else pending,
            "repeated": committed.repeated,
        },
    }


def learned(
    turns: Sequence[Turn],
    skipped: Sequence[Skipped],
    committed: Committed,
    outcome: Outcome,
    untold: Sequence[str] = (),
) -> Added:
    """The answer to an add that learns: each fact and what it did; the messages are kept as its sources.

    Args:
        untold: what engines beside the store lack.
    """
    results = [
        result
        for decision, memory_id in zip(outcome.decisions, outcome.ids, strict=True)
        for result in _told(decision, memory_id, turns)
    ]
    results += [{"id": None, "memory": "", "event": "NONE", "reason": reason} for reason in outcome.dropped]
    results += [{"id": None, "memory": "", "event": "NONE", "reason": skip.reason} for skip in skipped]
    if committed.repeated:
        results.append({"id": None, "memory": "", "event": "NONE", "reason": SAME_ADD})
    return {
        "results": results,
        "event_id": committed.batch_id,
        "receipt": {
            "stored": 0 if committed.repeated else len(turns),
            "skipped": len(skipped),
            "pending": [
                *([f"facts, tried again later: {outcome.pending}"] if outcome.pending else []),
                *outcome.lacking,
                *untold,
            ],
            "repeated": committed.repeated,
            "turns": list(committed.memory_ids),
        },
    }


def accepted(turns: Sequence[Turn], skipped: Sequence[Skipped], committed: Committed) -> Added:
    """The answer to an add whose messages are durable, and from which is learned later."""
    return {
        "results": [{"id": None, "memory": "", "event": "NONE", "reason": skip.reason} for skip in skipped],
        "event_id": committed.batch_id,
        "receipt": {
            "stored": len(turns),
            "skipped": len(skipped),
            "pending": ["facts, learned in the background"],
            "repeated": False,
            "turns": list(committed.memory_ids),
        },
    }


def redacted(added: Added, found: Mapping[str, int]) -> Added:
    """The answer, with how much of what must not be stored was replaced; as it is, when nothing was."""
    if found:
        added["receipt"]["redacted"] = dict(found)
    return added


def _told(decision: Decision, memory_id: str | None, turns: Sequence[Turn]) -> list[AddedDict]:
    """What one fact did: it was added (and closed another), confirmed one, or says nothing new."""
    from perdure.engine.learning.reconcile import Add, Confirm

    fact = decision.fact
    result: AddedDict = {"id": memory_id, "memory": fact.text, "event": "NONE"}
    result["source_ids"] = [turns[place].id for place in fact.turns]
    match decision:
        case Confirm():
            return [{**result, "memory": decision.memory.text, "event": "UPDATE", "reason": "confirmed"}]
        case Add(replaces=None):
            result["event"] = "ADD"
            return [result if decision.reason is None else {**result, "reason": decision.reason}]
        case Add(replaces=old) if old is not None:
            closed: AddedDict = {"id": old.id, "memory": old.text, "event": "SUPERSEDE"}
            return [{**closed, "reason": f"replaced by {memory_id}"}, {**result, "event": "ADD"}]
    return [{**result, "reason": decision.reason or ""}]
