"""Learning once more from the turns that were kept, with another model or prompt: a draft first, then the difference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from perdure.engine.embedding import Vectors
from perdure.engine.learning.answer import Fact
from perdure.engine.learning.reconcile import Near, reconcile
from perdure.engine.learning.surroundings import EARLIER, SHOWN, alike
from perdure.engine.learning.writing import KEPT, Writing, refinements
from perdure.engine.salience import AS_IT_IS
from perdure.engine.words.segment import normalize
from perdure.ports import Entry, Write
from perdure.types import Memory, Turn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE: Final = 10
"""Turns in one question."""


@dataclass(slots=True)
class Draft:
    """The facts of one scope as they would be, had the model been there from the beginning."""

    by: str
    now: datetime
    facts: dict[str, tuple[Memory, Entry]] = field(default_factory=dict)
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    missed: dict[str, str] = field(default_factory=dict)
    """Turns from which nothing could be learned, and why."""

    @property
    def shown(self) -> list[Memory]:
        """What the model is shown: the newest that are still true."""
        return self._current()[-SHOWN:]

    def take_in(
        self,
        turns: Sequence[Turn],
        own: Sequence[Memory],
        shown: Sequence[Memory],
        facts: Sequence[Fact],
        made: Vectors,
    ) -> None:
        """Decide on the facts of the next turns."""
        near = [Near(memory=memory, cosines=self._cosines(memory.id, made)) for memory in self._current()]
        decisions = reconcile(
            facts,
            near,
            shown=[memory.id for memory in shown],
            origins=[memory.origin for memory in own],
            said_at=[turn.said_at for turn in turns],
            alike=alike(made),
        )
        writes, ids = Writing(turns, own, by=self.by, now=self.now).of(decisions, made)
        for write in writes:
            self._take(write)
        for place, memory_id in enumerate(ids):
            if made is not None and memory_id is not None:
                self.vectors.setdefault(memory_id, made[place])

    def difference(
        self, held: Sequence[Memory], own: Sequence[Memory]
    ) -> tuple[list[Write], list[Memory], list[Memory]]:
        """The writes that make what is held what it would be; the facts that come, and those that go.

        A fact stays when the draft says it, too, and when it came from a turn that the model missed, or from elsewhere.
        Turns are not listed beside what was learned from them, but for those whose words somebody wanted listed.

        Args:
            held: the facts that there are.
            own: the turns' memories.
        """
        processed = {memory.id for memory in own} - self.missed.keys()
        drafted = {_key(memory): (memory, entry) for memory, entry in self.facts.values()}
        known = {_key(memory) for memory in held}
        gone = [m for m in held if _key(m) not in drafted and m.sources and set(m.sources) <= processed]
        new = [(memory, entry) for key, (memory, entry) in drafted.items() if key not in known]
        reason = f"learned again by {self.by}"
        writes = [Write(event="DELETE", memory_id=m.id, replaces=m.ord, reason=reason) for m in gone]
        writes += [
            Write(event="ADD", memory_id=m.id, memory=m, entry=entry, reason=reason) for m, entry in new
        ]
        listed = [m for m in own if m.id in processed and KEPT < m.salience < AS_IT_IS]
        writes += refinements(listed, None, salience=KEPT)
        return writes, [memory for memory, _ in new], gone

    def _current(self) -> list[Memory]:
        """What is true now, oldest first."""
        facts = (memory for memory, _ in self.facts.values())
        return [memory for memory in facts if memory.valid_to is None or memory.valid_to > self.now]

    def _take(self, write: Write) -> None:
        if write.memory is None:
            return
        entry = write.entry or self.facts[write.memory_id][1]
        self.facts[write.memory_id] = (replace(write.memory, version=1), entry)

    def _cosines(self, memory_id: str, made: Vectors) -> dict[int, float]:
        held = self.vectors.get(memory_id)
        if held is None or made is None:
            return {}
        return {place: float(vector[0] @ held[0]) for place, vector in enumerate(made)}


def portions(turns: Sequence[Turn]) -> Iterator[tuple[list[Turn], list[Turn]]]:
    """Turns in the order in which they were said, a few of one session at a time, each with those before them."""
    ordered = sorted(turns, key=lambda turn: (turn.said_at, turn.id))
    sessions: dict[str, list[Turn]] = {}
    for turn in ordered:
        sessions.setdefault(turn.session or turn.id, []).append(turn)
    for session in sessions.values():
        for start in range(0, len(session), AT_ONCE):
            yield session[start : start + AT_ONCE], session[max(0, start - EARLIER) : start]


def _key(memory: Memory) -> tuple[str, bool]:
    return normalize(memory.text).strip(" .!"), memory.valid_to is None
