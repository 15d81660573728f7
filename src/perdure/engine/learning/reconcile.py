"""What new facts do to the memories near them: pure, narrow, and nothing is deleted on a model's word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from perdure.engine.learning.answer import Fact
from perdure.engine.learning.told import stems, told
from perdure.engine.words.segment import normalize
from perdure.types import Claim, Memory, Origin

SAME_MEANING: Final = 0.95
"""Cosine from which two sentences say the same, if one holds the words of the other, and nothing that they name or
count differs. Of all-MiniLM-L6-v2: paraphrases are mostly above .91, but so are many contrasts."""
SAME_CLAIM: Final = 0.92
"""The same, when both are told to be about the same subject and attribute."""
ALIKE_AT_ALL: Final = 0.3
"""Below this, a model that says that two sentences are the same is mistaken."""

TRUST: Final[Mapping[Origin, int]] = {"user": 2, "import": 2, "assistant": 1, "tool": 0, "web": 0}
"""What comes from further down never supersedes what comes from further up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A memory that a new fact may be about, and how like each new fact is to it."""

    memory: Memory
    cosines: Mapping[int, float] = field(default_factory=dict)
    """By the fact's place; empty without vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """A new memory."""

    fact: Fact
    replaces: Memory | None = None
    """It is closed when this begins."""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """A memory was said again."""

    fact: Fact
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A fact that another of the same answer says already."""

    fact: Fact
    reason: str


Decision: TypeAlias = Add | Confirm | Nothing


def reconcile(
    facts: Sequence[Fact],
    near: Sequence[Near],
    *,
    shown: Sequence[str],
    origins: Sequence[Origin],
    said_at: Sequence[datetime],
    alike: Mapping[tuple[int, int], float] | None = None,
) -> list[Decision]:
    """One decision for each fact, in order.

    - The same as a current memory, by its words or by its meaning: that one is confirmed, whatever the model says.
    - Confirming or replacing what the model was shown: if it is about the same subject and attribute, and not less
      trusted; else it is added, with the reason.
    - A memory is confirmed and replaced at most once by one answer.

    Args:
        near: current memories.
        shown: the ids of the memories that the model saw, by their places.
        origins: by the new turns' places, where each came from; a fact is as trusted as its least trusted source.
        said_at: by the new turns' places.
        alike: cosines between new facts, by their places.
    """
    held = {one.memory.id: one for one in near}
    decided: list[Decision] = []
    closed: set[str] = set()
    for place, fact in enumerate(facts):
        earlier = (p for p in range(place) if isinstance(decided[p], Add))
        if any(_same(fact, facts[p], (alike or {}).get((p, place))) for p in earlier):
            decided.append(Nothing(fact=fact, reason="the same answer says so already"))
            continue
        decision = _decision(place, fact, held, shown, origins)
        if isinstance(decision, Add) and decision.replaces is not None:
            decision = _dated(decision, decision.replaces, said_at, closed)
        decided.append(decision)
    return decided


def _decision(
    place: int, fact: Fact, held: Mapping[str, Near], shown: Sequence[str], origins: Sequence[Origin]
) -> Decision:
    named = held.get(shown[fact.near]) if fact.near is not None else None
    doubt = None if named is None else _doubt(place, fact, named, origins)
    if named is not None and doubt is None:
        if fact.action == "confirm":
            return Confirm(fact=fact, memory=named.memory)
        return Add(fact=fact, replaces=named.memory)
    twin = next((one.memory for one in held.values() if _says(fact, one, place)), None)
    if twin is not None:
        return Confirm(fact=fact, memory=twin)
    if fact.action != "add" and named is None:
        what = "was not shown" if fact.near is None else "is not current any more"
        doubt = f"the memory that it was about {what}"
    return Add(fact=fact, reason=doubt)


def _doubt(place: int, fact: Fact, named: Near, origins: Sequence[Origin]) -> str | None:
    """Why a fact does not do to a memory what the model says; None when it does."""
    if fact.action == "replace":
        return _no_successor(fact, named.memory, origins)
    return None if _may_confirm(fact, named, place) else f"it does not say what {named.memory.id} says"


def _dated(decision: Add, old: Memory, said_at: Sequence[datetime], closed: set[str]) -> Add:
    """A successor begins when the old one ends; what was true before it, or is over, closes nothing."""
    fact, said = decision.fact, max(said_at[turn] for turn in decision.fact.turns)
    if old.id in closed:
        return Add(fact=fact, reason=f"{old.id} was replaced by an earlier fact of the same answer")
    if old.valid_from is not None and fact.valid_to is not None and fact.valid_to <= old.valid_from:
        return Add(fact=fact, reason=f"it was true before {old.id} was")
    if fact.valid_from is not None and fact.valid_to is not None and fact.valid_to <= said:
        return Add(fact=fact, reason=f"it is over, and {old.id} is not")
    if old.valid_from is not None and said < old.valid_from and fact.valid_from is None:
        return Add(fact=fact, reason=f"{old.id} was said later")
    closed.add(old.id)
    return decision


def begin(fact: Fact, said: datetime) -> datetime | None:
    """Since when a fact is true: as it says, else since it was said; nobody knows, when it was over by then."""
    if fact.valid_from is None and fact.valid_to is not None and fact.valid_to <= said:
        return None
    return fact.valid_from or said


def _no_successor(fact: Fact, old: Memory, origins: Sequence[Origin]) -> str | None:
    """Why a fact may not supersede a memory; None when it may."""
    if old.kind != "fact":
        return "only facts are superseded"
    if min(TRUST[origins[turn]] for turn in fact.turns) < TRUST[old.origin]:
        return f"{old.id} comes from a more trusted source"
    if fact.claim is None or old.claim is None or not about_the_same(fact.claim, old.claim):
        return f"it is not about the same as {old.id}"
    if normalize(fact.text) == normalize(old.text):
        return f"{old.id} says the same"
    return None


def says_the_same(one: Memory, other: Memory, cosine: float | None = None) -> bool:
    """Whether two facts say the same, by their words, or by their cosine when nothing contradicts it."""
    return _alike(one.text, other.text, one.claim, other.claim, cosine)


def about_the_same(one: Claim, other: Claim) -> bool:
    """Whether two claims are about one subject and one side of it: one name's words hold the other's."""
    return _names_meet(one.subject, other.subject) and _names_meet(one.attribute, other.attribute)


def _names_meet(one: str, other: str) -> bool:
    first, second = set(stems(one)), set(stems(other))
    return (
        bool(first and second)
        and (first == second or _in_brackets(one) == _in_brackets(other))
        and (first <= second or second <= first)
    )


def _in_brackets(name: str) -> str:
    """What tells two of one name apart: "Ann (sister)"."""
    match = re.search(r"\(([^)]*)\)", name)
    return normalize(match[1]).strip() if match else ""


def _may_confirm(fact: Fact, named: Near, place: int) -> bool:
    said, held = told(fact.text), told(named.memory.text)
    if said.contradicts(held):
        return False
    cosine = named.cosines.get(place)
    claimed = fact.claim and named.memory.claim and about_the_same(fact.claim, named.memory.claim)
    return bool(claimed) or max(said.overlap(held), cosine or 0.0) >= ALIKE_AT_ALL


def _says(fact: Fact, near: Near, place: int) -> bool:
    """Whether a memory, a fact or more, says what the fact says."""
    memory = near.memory
    return memory.kind == "fact" and _alike(
        fact.text, memory.text, fact.claim, memory.claim, near.cosines.get(place)
    )


def _same(one: Fact, other: Fact, cosine: float | None) -> bool:
    return _alike(one.text, other.text, one.claim, other.claim, cosine)


def _alike(one: str, other: str, first: Claim | None, second: Claim | None, cosine: float | None) -> bool:
    """Whether two sentences say the same; in doubt not, for of two that do, the second is not kept.

    Where each has a word that the other has not, no vector tells a synonym from its opposite (of all-MiniLM-L6-v2,
    "lives" and "resides" are as near as "older" and "younger"): one has to hold the words of the other, in order.
    """
    mine, theirs = told(one), told(other)
    if mine.plain == theirs.plain:
        return True
    claimed = first is not None and second is not None
    near = cosine is not None and cosine >= (SAME_CLAIM if claimed else SAME_MEANING)
    if not near and mine.words != theirs.words:
        return False
    if not mine.holds(theirs) and not theirs.holds(mine):
        return False
    if first is not None and second is not None and not about_the_same(first, second):
        return False
    return mine.agrees_with(theirs)
