"""What a store could do without: decided purely, for each memory by the first rule that fits, with the reason."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from perdure.engine.learning.reconcile import SAME_CLAIM, says_the_same
from perdure.engine.salience import echoes, salience
from perdure.engine.words.segment import normalize, segment
from perdure.moments import iso
from perdure.types import LISTED_SALIENCE, Memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

Flaw: TypeAlias = Literal["expired", "orphan", "empty", "duplicate", "echo"]
Likeness: TypeAlias = Mapping[tuple[str, str], float]
"""Cosines of facts, by their ids."""

_PARTIES: Final = re.compile(
    r"\b(?:the )?(?:user|assistant|speaker|human|ai|agent|bot|conversation|message|chat)(?:['’]s)?\b"
    r"|\b(?:said|says|greet(?:ed|s)|thank(?:ed|s)|ask(?:ed|s)|repl(?:ied|ies)|respond(?:ed|s)|acknowledge[ds]?"
    r"|agree[ds]?|express(?:ed|es)?|gratitude|mention(?:ed|s))\b",
    re.IGNORECASE,
)
"""What sentences about a conversation are made of that say nothing about anything else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Junk:
    """A memory that a store could do without."""

    memory: Memory
    flaw: Flaw
    reason: str
    same_as: Memory | None = None
    """Of a duplicate: the one that says the same, and stays."""


def junk(
    memories: Sequence[Memory], *, now: datetime, left: Collection[str], likeness: Likeness | None = None
) -> list[Junk]:
    """The junk among these memories, in their order.

    - expired: it is hidden, since its time is over.
    - orphan: a fact whose sources are all gone, deleted or erased.
    - empty: a fact without a word of content, as "The user said hello."
    - duplicate: a fact that says what another current fact of the same scope, with the same metadata, says.
    - echo: what an assistant said that only repeats the user before it.

    Args:
        memories: current versions, also expired ones.
        left: ids of turns that are neither deleted nor erased.
        likeness: cosines of facts that are near each other; without it, words decide alone.
    """
    found: dict[str, Junk] = {}
    for memory in memories:
        if (told := _alone(memory, now, left)) is not None:
            found[memory.id] = Junk(memory=memory, flaw=told[0], reason=told[1])
    rest = [memory for memory in memories if memory.id not in found]
    for one in (*_duplicates([m for m in rest if m.kind == "fact"], likeness or {}), *_echoes(memories)):
        found.setdefault(one.memory.id, one)
    return [found[memory.id] for memory in memories if memory.id in found]


def counts(found: Iterable[Junk]) -> dict[str, int]:
    """How many there are of each kind, the most first."""
    return dict(Counter(one.flaw for one in found).most_common())


def likeness(ids: Sequence[str], vectors: NDArray[np.float32]) -> Likeness:
    """The cosines of those that may say the same.

    Args:
        vectors: `(len(ids), dimensions)`, of unit length.
    """
    products = np.triu(vectors @ vectors.T, 1)
    return {(ids[i], ids[j]): float(products[i, j]) for i, j in np.argwhere(products >= SAME_CLAIM)}


def _alone(memory: Memory, now: datetime, left: Collection[str]) -> tuple[Flaw, str] | None:
    """What is wrong with a memory, whatever others there are."""
    if memory.expires_at is not None and memory.expires_at <= now:
        return "expired", f"it expired at {iso(memory.expires_at)}"
    if memory.kind != "fact":
        return None
    if memory.sources and not any(source in left for source in memory.sources):
        return "orphan", "everything that it came from was deleted"
    if _is_empty(memory.text):
        return "empty", "it says nothing"
    return None


def _is_empty(text: str) -> bool:
    """Whether rules find no word of content, in English or in any other language."""
    rest = _PARTIES.sub(" ", text)
    return not salience(rest, "user", language="en") or not any(map(str.isalnum, rest))


def _duplicates(facts: Sequence[Memory], likeness: Likeness) -> list[Junk]:
    """All but the one that holds longest and is oldest, of those that say the same."""
    order = sorted(facts, key=lambda m: (m.expires_at is not None, -_ends(m), m.ord))
    near: dict[str, list[str]] = {}
    for one, other in likeness:
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    kept: dict[str, Memory] = {}
    by_words: dict[object, list[Memory]] = {}
    found = []
    for fact in order:
        words = (_group(fact), frozenset(segment(normalize(fact.text))))
        rivals = [*by_words.get(words, ()), *(kept[id_] for id_ in near.get(fact.id, ()) if id_ in kept)]
        twin = next((rival for rival in rivals if _twins(rival, fact, likeness)), None)
        if twin is None:
            kept[fact.id] = fact
            by_words.setdefault(words, []).append(fact)
        else:
            reason = f"{twin.id} says the same"
            found.append(Junk(memory=fact, flaw="duplicate", reason=reason, same_as=twin))
    return found


def _twins(one: Memory, other: Memory, likeness: Likeness) -> bool:
    if _group(one) != _group(other):
        return False
    cosine = likeness.get((one.id, other.id), likeness.get((other.id, one.id)))
    return says_the_same(one, other, cosine)


def _ends(memory: Memory) -> float:
    return 0.0 if memory.expires_at is None else memory.expires_at.timestamp()


def _group(memory: Memory) -> object:
    """Only within one of these can one fact stand for another: whose it is, how it is filtered, until when it is true."""
    return memory.scope, memory.origin, memory.valid_to, json.dumps(dict(memory.metadata), sort_keys=True)


def _echoes(memories: Iterable[Memory]) -> list[Junk]:
    turns = [memory for memory in memories if memory.place is not None]
    turns.sort(key=lambda m: (m.scope.partition, m.session or "", m.place or 0))
    found = []
    for before, turn in pairwise(turns):
        together = (turn.scope.partition, turn.session) == (before.scope.partition, before.session)
        judged = LISTED_SALIENCE <= turn.salience < 1  # 1: somebody wants it kept as it is
        answered = together and judged and (before.role, turn.role) == ("user", "assistant")
        if answered and echoes(turn.text, before.text):
            found.append(Junk(memory=turn, flaw="echo", reason=f"it repeats {before.id}"))
    return found
