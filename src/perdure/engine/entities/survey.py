"""From memories to the people, places and things that they are about, and to what is between these."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from perdure.engine.entities.merging import Apart, Merge, in_brackets, key, merges, pairs_apart
from perdure.engine.entities.names import Found, Names
from perdure.engine.entities.phrases import (
    PERSONAL,
    PLACE_BEFORE,
    PLACE_WEAK,
    RELATED,
    WORK_BEFORE,
    EntityKind,
)
from perdure.engine.entities.spelling import fold
from perdure.engine.entities.tokens import read
from perdure.types import Memory

_KINDS: Final[tuple[EntityKind, ...]] = ("person", "organisation", "place", "thing")
"""Of equal evidence, the first."""
_SPELLING: Final = "differs by case or accents only"
_SURE: Final = 5
"""What is worth that a name is a speaker's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Somebody or something with a name."""

    name: str
    kind: EntityKind
    aliases: tuple[str, ...]
    memory_ids: tuple[str, ...]
    """What names it or was said by it, in the order of the memories."""
    merged: Mapping[str, str]
    """For each alias, why it is the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """The entities of some memories, and where they stand."""

    entities: Mapping[str, Entity]
    """By key."""
    named: Mapping[str, tuple[str, ...]]
    """By memory id: the keys of what its words name, in order."""
    keys: Mapping[str, str]
    """For the key of each name met: the key of its entity."""
    apart: Apart

    def key(self, name: str) -> str:
        """The key of the entity that a name means."""
        found = key(name, self.apart)
        return self.keys.get(found, found)


@dataclass(slots=True)
class _Sightings:
    """All that was seen of one key."""

    spellings: Counter[str] = field(default_factory=Counter)
    votes: Counter[EntityKind] = field(default_factory=Counter)
    memories: dict[str, None] = field(default_factory=dict)

    def add(self, other: _Sightings) -> None:
        self.spellings += other.spellings
        self.votes += other.votes
        self.memories |= other.memories


def survey(memories: Sequence[Memory], *, apart: Iterable[tuple[str, str]] = ()) -> Survey:
    """The entities of memories, the same whatever the order of these.

    Names come from speakers, from what facts state, and from the texts: there by how the partition writes the same
    words elsewhere, and by the words around them.

    Args:
        apart: pairs of names that are not to be merged.
    """
    unwanted = pairs_apart(apart)
    memories = sorted(memories, key=lambda memory: (memory.said_at, memory.id, memory.ord))
    passages = [read(memory.text) for memory in memories]
    known = {name for memory in memories for name in (*stated_names(memory), memory.speaker) if name}
    names = Names(passages, known)
    seen: dict[str, _Sightings] = defaultdict(_Sightings)
    told: dict[str, list[str]] = {}
    for memory, passage in zip(memories, passages, strict=True):
        told[memory.id] = _sight(memory, names.find(passage), seen, unwanted)
    joined = merges(
        {name: sightings.votes for name, sightings in seen.items()},
        stated={key(name, unwanted) for name in known},
        apart=unwanted,
    )
    keys = {name: joined[name].target if name in joined else name for name in seen}
    return Survey(
        entities=_entities(seen, joined, [memory.id for memory in memories]),
        named={id_: tuple(dict.fromkeys(keys[name] for name in found)) for id_, found in told.items()},
        keys=keys,
        apart=unwanted,
    )


def stated_names(memory: Memory) -> list[str]:
    """The names that a fact gives as such."""
    names = [name for relation in memory.relations for name in (relation.subject, relation.object)]
    return [*names, *([memory.claim.subject] if memory.claim else [])]


def _sight(memory: Memory, found: Sequence[Found], seen: dict[str, _Sightings], apart: Apart) -> list[str]:
    """Note what a memory names; returns the keys, without its speaker's."""
    keys: list[str] = []
    stated = {key(name, apart): name for name in stated_names(memory)}
    for name, signs in found:
        meant = _meant(key(name, apart), stated)
        keys.append(meant)
        if meant == key(name, apart):
            seen[meant].spellings[name] += 1
        for sign in signs:
            if sign.kind is not None:
                seen[meant].votes[sign.kind] += sign.weight
    for meant, name in stated.items():
        keys.append(meant)
        seen[meant].spellings[" ".join(name.split())] += 1
    for name, kind in _told_kinds(memory):
        seen[key(name, apart)].votes[kind] += 3
    for meant in keys:
        seen[meant].memories[memory.id] = None
    if memory.speaker:
        spoken = seen[key(memory.speaker, apart)]
        spoken.spellings[" ".join(memory.speaker.split())] += 1
        spoken.votes["person"] += _SURE
        spoken.memories[memory.id] = None
    return keys


def _meant(found: str, stated: Mapping[str, str]) -> str:
    """The name that a fact states in full, where its text has only the beginning of it."""
    if found in stated:
        return found
    full = [name for name in stated if name.split()[:1] == [found] and (in_brackets(name) or " " in name)]
    return full[0] if len(full) == 1 else found


def _told_kinds(memory: Memory) -> Iterable[tuple[str, EntityKind]]:
    """What the form of a fact says of the kinds of its names."""
    if memory.claim and fold(memory.claim.attribute) in PERSONAL:
        yield memory.claim.subject, "person"
    for relation in memory.relations:
        words = fold(relation.relation.replace("_", " ")).split()
        phrases = {" ".join(words[start:]) for start in range(len(words))}
        if phrases & WORK_BEFORE:
            yield relation.subject, "person"
            yield relation.object, "organisation"
        elif phrases & PLACE_BEFORE:
            yield relation.subject, "person"
            yield relation.object, "place"
        elif not RELATED.isdisjoint(words):
            yield relation.subject, "person"
            yield relation.object, "person"
        elif words and words[-1] in PLACE_WEAK:
            yield relation.object, "place"


def _entities(
    seen: Mapping[str, _Sightings], joined: Mapping[str, Merge], order: Sequence[str]
) -> dict[str, Entity]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(seen):
        groups[joined[name].target if name in joined else name].append(name)
    place = {id_: number for number, id_ in enumerate(order)}
    made: dict[str, Entity] = {}
    for target, members in groups.items():
        whole = _Sightings()
        for member in members:
            whole.add(seen[member])
        name = _best(seen[target].spellings)
        merged = {
            spelling: joined[member].reason if member in joined else _SPELLING
            for member in members
            for spelling in sorted(seen[member].spellings)
            if spelling != name
        }
        made[target] = Entity(
            name=name,
            kind=_kind(whole),
            aliases=tuple(merged),
            memory_ids=tuple(sorted(whole.memories, key=place.__getitem__)),
            merged=merged,
        )
    return made


def _kind(seen: _Sightings) -> EntityKind:
    """What most speaks for, if it is said as often as every second time; a strong sign counts for more than one."""
    kind = max(_KINDS, key=lambda kind: (seen.votes[kind], -_KINDS.index(kind)))
    return kind if 2 * seen.votes[kind] >= len(seen.memories) and seen.votes[kind] else "thing"


def _best(spellings: Counter[str]) -> str:
    """With a capital, most often, first in the alphabet."""
    return min(spellings, key=lambda name: (name == name.lower(), name.isupper(), -spellings[name], name))
