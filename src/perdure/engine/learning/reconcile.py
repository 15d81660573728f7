"""What new facts do to the memories near them: pure, narrow, and nothing is deleted on a model's word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from perdure.engine.learning.answer import Fact
from perdure.engine.words.language import token
from perdure.engine.words.segment import normalize, segment
from perdure.types import Claim, Memory, Origin

SAME_MEANING: Final = 0.95
"""Cosine from which two sentences say the same, if nothing that they name or count differs. Of all-MiniLM-L6-v2:
"runs in the morning" and "runs in the evening" are at .90, paraphrases mostly above .91."""
SAME_CLAIM: Final = 0.92
"""The same, when both are told to be about the same subject and attribute."""
ALIKE_AT_ALL: Final = 0.3
"""Below this, a model that says that two sentences are the same is mistaken."""

TRUST: Final[Mapping[Origin, int]] = {"user": 2, "import": 2, "assistant": 1, "tool": 0, "web": 0}
"""What comes from further down never supersedes what comes from further up."""

_NEGATIONS: Final = frozenset(
    """not no never n't nobody nothing neither nor without kein keine keinen nicht nie ne pas jamais sans no nunca sin
    non mai senza não nunca sem не нет никогда ไม่ नहीं لا ليس 不 没 沒 無 ない""".split()  # noqa: SIM905  # readable
)
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_CONTRACTED: Final = re.compile(r"n['’]t\b", re.IGNORECASE)


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
        doubt = "the memory that it was about is not current any more"
    return Add(fact=fact, reason=doubt)


def _doubt(place: int, fact: Fact, named: Near, origins: Sequence[Origin]) -> str | None:
    """Why a fact does not do to a memory what the model says; None when it does."""
    if fact.action == "replace":
        return _no_successor(fact, named.memory, origins)
    return None if _may_confirm(fact, named, place) else f"it does not say what {named.memory.id} says"


def _dated(decision: Add, old: Memory, said_at: Sequence[datetime], closed: set[str]) -> Add:
    """A successor begins when the old one ends; what was true before it closes nothing."""
    fact = decision.fact
    begins = fact.valid_from or max(said_at[turn] for turn in fact.turns)
    if old.id in closed:
        return Add(fact=fact, reason=f"{old.id} was replaced by an earlier fact of the same answer")
    if old.valid_from is not None and fact.valid_to is not None and fact.valid_to <= old.valid_from:
        return Add(fact=fact, reason=f"it was true before {old.id} was")
    if old.valid_from is not None and begins < old.valid_from and fact.valid_from is None:
        return Add(fact=fact, reason=f"{old.id} was said later")
    closed.add(old.id)
    return decision


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
    first, second = _stems(one), _stems(other)
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
    if not _no_contradiction(fact.text, named.memory.text):
        return False
    cosine = named.cosines.get(place)
    words = _overlap(fact.text, named.memory.text)
    claimed = fact.claim and named.memory.claim and about_the_same(fact.claim, named.memory.claim)
    return bool(claimed) or max(words, cosine or 0.0) >= ALIKE_AT_ALL


def _says(fact: Fact, near: Near, place: int) -> bool:
    """Whether a memory, a fact or more, says what the fact says."""
    memory = near.memory
    return memory.kind == "fact" and _alike(
        fact.text, memory.text, fact.claim, memory.claim, near.cosines.get(place)
    )


def _same(one: Fact, other: Fact, cosine: float | None) -> bool:
    return _alike(one.text, other.text, one.claim, other.claim, cosine)


def _alike(one: str, other: str, first: Claim | None, second: Claim | None, cosine: float | None) -> bool:
    if normalize(one).strip(" .!") == normalize(other).strip(" .!"):
        return True
    if not _no_contradiction(one, other):
        return False
    if first is not None and second is not None and not about_the_same(first, second):
        return False
    if _stems(one) == _stems(other):
        return True
    bound = SAME_CLAIM if first is not None and second is not None else SAME_MEANING
    return cosine is not None and cosine >= bound


def _no_contradiction(one: str, other: str) -> bool:
    """Whether two sentences have the same numbers, the same names and as many negations."""
    return all(tell(one) == tell(other) for tell in (_numbers, _negations, _capitals))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_NUMBER.findall(text))


def _negations(text: str) -> bool:
    words = segment(normalize(text))
    return (sum(word in _NEGATIONS for word in words) + len(_CONTRACTED.findall(text))) % 2 == 1


def _capitals(text: str) -> frozenset[str]:
    """Names, by their capitals, but for the first word, which always has one."""
    words = re.findall(r"[^\W\d_]+", text)
    return frozenset(word.casefold() for word in words[1:] if word[0].isupper())


def _overlap(one: str, other: str) -> float:
    first, second = _stems(one), _stems(other)
    return len(first & second) / len(first | second) if first or second else 0.0


def _stems(text: str) -> frozenset[int]:
    found = (token(word, "english") for word in segment(normalize(text)))
    return frozenset(key for key in found if key is not None)
