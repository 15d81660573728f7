"""Decisions as writes: new facts, confirmed ones, closed ones, and what becomes known of the turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from perdure.engine import ingest
from perdure.engine.embedding import Vectors, kept
from perdure.engine.learning.answer import Fact
from perdure.engine.learning.reconcile import TRUST, Add, Confirm, Decision, begin
from perdure.engine.words.segment import normalize
from perdure.ids import new_id
from perdure.ports import Entry, Write
from perdure.types import UNTRUSTED, Claim, Kind, Memory, Origin, Relation, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

KEPT: Final = 0.25
"""Salience of a turn that was learned from: it is found, as context and as a source, and not listed beside its facts."""


class Writing:
    """The writes of one answer about some turns."""

    def __init__(
        self,
        turns: Sequence[Turn],
        own: Sequence[Memory],
        *,
        by: str,
        now: datetime,
        kind: Kind = "fact",
    ) -> None:
        self._turns = turns
        self._own = {memory.id: memory for memory in own}
        self._by = by
        self._now = now
        self._kind: Kind = kind

    def of(self, decisions: Sequence[Decision], vectors: Vectors) -> tuple[list[Write], list[str | None]]:
        """The writes, and for each decision the memory that it made or confirmed; one version of a memory at most."""
        writes: list[Write] = []
        ids: list[str | None] = []
        changed: dict[str, Write] = {}
        for place, decision in enumerate(decisions):
            entry_vectors = None if vectors is None else vectors[place]
            made: str | None = None
            if isinstance(decision, Add):
                write = self._added(decision.fact, entry_vectors)
                made = write.memory_id
                writes.append(write)
                if decision.replaces is not None and write.memory is not None:
                    changed[decision.replaces.id] = self._closed(decision.replaces, write.memory)
            elif isinstance(decision, Confirm):
                made = decision.memory.id
                changed[made] = self._confirmed(decision, changed.get(made))
            ids.append(made)
        return [*changed.values(), *writes], ids

    def _added(self, fact: Fact, vectors: NDArray[np.float32] | None) -> Write:
        turns = [self._turns[place] for place in fact.turns]
        last = max(turns, key=lambda turn: turn.said_at)
        source = self._own[last.id]
        memory = Memory(
            id=new_id(),
            text=fact.text,
            scope=last.scope,
            said_at=last.said_at,
            recorded_at=self._now,
            kind=self._kind,
            role=last.role,
            speaker=last.speaker,
            session=source.session,
            sources=tuple(turn.id for turn in turns),
            categories=tuple(dict.fromkeys((*source.categories, *fact.categories))),
            metadata=source.metadata,
            origin=self._origin(turns),
            claim=fact.claim,
            relations=fact.relations,
            derived_by=self._by,
            expires_at=source.expires_at,
            valid_from=begin(fact, last.said_at),
            valid_to=fact.valid_to,
        )
        entry = ingest.analysed(memory)
        memory = replace(memory, mentions=ingest.mentioned(memory, entry))
        if vectors is not None:
            entry = replace(entry, vectors=kept(vectors))
        return Write(event="ADD", memory_id=memory.id, memory=memory, entry=entry)

    def _origin(self, turns: Sequence[Turn]) -> Origin:
        """Where what rests on these turns comes from: it is as trusted as the least of them."""
        return min((self._own[turn.id].origin for turn in turns), key=TRUST.__getitem__)

    def _confirmed(self, decision: Confirm, before: Write | None) -> Write:
        """The memory with one source more; what the same answer has closed stays closed."""
        if before is not None and before.event != "UPDATE":
            return before
        old = (before.memory if before else None) or decision.memory
        turns = [self._turns[place] for place in decision.fact.turns]
        sources = [turn.id for turn in turns]
        if old.origin not in UNTRUSTED:  # or a web page would be quoted as a source of what a user said
            sources = [name for name in sources if self._own[name].origin not in UNTRUSTED]
        claim = old.claim or Claim(subject="", attribute="")
        revised = replace(
            old,
            version=decision.memory.version + 1,
            recorded_at=self._now,
            sources=tuple(dict.fromkeys((*old.sources, *sources))),
            claim=replace(claim, confirmed=claim.confirmed + 1),
        )
        if TRUST[self._origin(turns)] >= TRUST[old.origin]:
            given = self._own[max(turns, key=lambda turn: turn.said_at).id].categories
            revised = enriched(revised, decision.fact, given)
        return Write(event="UPDATE", memory_id=old.id, memory=revised, replaces=old.ord, reason="confirmed")

    def _closed(self, old: Memory, new: Memory) -> Write:
        begins = (
            new.valid_from or new.valid_to or new.said_at
        )  # of "worked there until Friday" the end is known
        end = begins if old.valid_from is None else max(begins, old.valid_from)
        revised = replace(old, version=old.version + 1, recorded_at=self._now, valid_to=end)
        reason = f"replaced by {new.id}"
        return Write(event="SUPERSEDE", memory_id=old.id, memory=revised, replaces=old.ord, reason=reason)


def enriched(memory: Memory, fact: Fact, categories: Sequence[str]) -> Memory:
    """The memory with what a fact that says the same tells besides: relations and categories that it has not."""
    relations: dict[tuple[str, ...], Relation] = {}
    for relation in (*memory.relations, *fact.relations):
        relations.setdefault(_edge(relation), relation)
    return replace(
        memory,
        relations=tuple(relations.values()),
        categories=tuple(dict.fromkeys((*memory.categories, *categories, *fact.categories))),
    )


def _edge(relation: Relation) -> tuple[str, ...]:
    """Equal for one relation, however it is written: `lives_in` and `Lives in`."""
    parts = (relation.subject, relation.relation.replace("_", " "), relation.object)
    return tuple(" ".join(normalize(part).split()) for part in parts)


def refinements(own: Sequence[Memory], vectors: Vectors, *, salience: float | None) -> list[Write]:
    """What becomes known of turns after they were stored: their vectors, and that they were learned from."""
    writes = []
    for place, memory in enumerate(own):
        entry: Entry | None = None
        if vectors is not None:
            entry = replace(ingest.analysed(memory), vectors=kept(vectors[place]))
        if entry is not None or salience is not None:
            writes.append(
                Write(
                    event="REFINE",
                    memory_id=memory.id,
                    refines=memory.ord,
                    entry=entry,
                    salience=None if salience is None else min(memory.salience, salience),
                )
            )
    return writes
