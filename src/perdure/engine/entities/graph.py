"""What is between entities: what facts state, and what is mentioned together; and the part of it around one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from typing import Final

from perdure.engine.entities.spelling import fold
from perdure.engine.entities.survey import Entity, Survey, survey
from perdure.types import Memory

MENTIONED_WITH: Final = "mentioned with"
TOGETHER: Final = 2
"""So often two have to be mentioned together."""
CROWD: Final = 10
"""A memory that names more than this lists them: it says nothing of any two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """What is between two entities, by their keys."""

    source: str
    relationship: str
    destination: str
    stated: bool
    """A fact says so; else the two are only mentioned together."""
    memory_ids: tuple[str, ...]
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Entities by key, and their edges."""

    entities: Mapping[str, Entity]
    edges: tuple[Edge, ...]

    def around(self, keys: Iterable[str], depth: int) -> dict[str, int]:
        """How far what is not farther than `depth` is from these, nearest first."""
        beside: dict[str, set[str]] = defaultdict(set)
        for edge in self.edges:
            beside[edge.source].add(edge.destination)
            beside[edge.destination].add(edge.source)
        reached = dict.fromkeys(sorted(keys), 0)
        ring = set(reached)
        for distance in range(1, depth + 1):
            ring = {other for one in ring for other in beside[one]} - reached.keys()
            reached |= dict.fromkeys(sorted(ring), distance)
        return reached

    def part(self, keys: Iterable[str]) -> Graph:
        """These, in this order, and the edges between them."""
        chosen = {name: self.entities[name] for name in keys}
        edges = tuple(e for e in self.edges if e.source in chosen and e.destination in chosen)
        return Graph(entities=chosen, edges=edges)


def graph(memories: Sequence[Memory], *, apart: Iterable[tuple[str, str]] = ()) -> Graph:
    """Entities and relations of memories, the most mentioned first, the same whatever the order of these."""
    found = survey(memories, apart=apart)
    stated = _stated(memories, found)
    known = {frozenset((edge.source, edge.destination)) for edge in stated}
    weak = [e for e in _together(memories, found) if frozenset((e.source, e.destination)) not in known]
    ordered = sorted(found.entities.items(), key=lambda item: (-len(item[1].memory_ids), item[0]))
    return Graph(entities=dict(ordered), edges=(*stated, *weak))


def chosen(whole: Graph, name: str | None, *, depth: int, most: int) -> Graph:
    """The most mentioned; or those around a name: the nearest, and of these the most mentioned.

    A name that is nobody's means all that begin with it.
    """
    if name is None:
        return whole.part(list(whole.entities)[:most])
    wanted = fold(name)
    exact = [k for k, e in whole.entities.items() if wanted in map(fold, (e.name, *e.aliases))]
    begun = [k for k, e in whole.entities.items() if fold(e.name).startswith(f"{wanted} ")]
    distances = whole.around(exact or begun, depth)
    nearest = sorted(distances, key=lambda k: (distances[k], -len(whole.entities[k].memory_ids), k))
    return whole.part(nearest[:most])


def _stated(memories: Sequence[Memory], found: Survey) -> list[Edge]:
    """What facts state: one edge for all that state it now, and one for each time that is over."""
    stating: dict[tuple[str, str, str, datetime | None, datetime | None], list[Memory]] = defaultdict(list)
    for memory in memories:
        since = memory.valid_from if memory.valid_to is not None else None
        for r in memory.relations:
            relation = " ".join(r.relation.replace("_", " ").split()).lower()
            stating[found.key(r.subject), relation, found.key(r.object), since, memory.valid_to].append(
                memory
            )
    edges = [
        Edge(
            source=source,
            relationship=relation,
            destination=destination,
            stated=True,
            memory_ids=tuple(sorted({memory.id for memory in those})),
            valid_from=min((m.valid_from for m in those if m.valid_from is not None), default=None),
            valid_to=ended,
        )
        for (source, relation, destination, _, ended), those in stating.items()
    ]
    return sorted(
        edges, key=lambda e: (e.source, e.relationship, e.destination, str(e.valid_to), e.memory_ids)
    )


def _together(memories: Sequence[Memory], found: Survey) -> list[Edge]:
    """Who is mentioned with whom, in one memory or in turns that follow each other, most often first."""
    spots: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    naming = {memory.id: names for memory in memories if 0 < len(names := found.named[memory.id]) <= CROWD}
    for memory in memories:
        spot = min(memory.sources, default=memory.id)  # a fact and its turn say one thing
        for one, other in combinations(sorted(naming.get(memory.id, ())), 2):
            spots[one, other][spot].add(memory.id)
    for memory, after in _neighbours(memories):
        for one in naming.get(memory.id, ()):
            for other in naming.get(after.id, ()):
                if one != other:
                    pair = (min(one, other), max(one, other))
                    spots[pair][memory.id] |= {memory.id, after.id}
    return [
        Edge(
            source=one,
            relationship=MENTIONED_WITH,
            destination=other,
            stated=False,
            memory_ids=tuple(sorted({id_ for ids in where.values() for id_ in ids})),
        )
        for (one, other), where in sorted(spots.items(), key=lambda spot: (-len(spot[1]), spot[0]))
        if len(where) >= TOGETHER
    ]


def _neighbours(memories: Sequence[Memory]) -> Iterable[tuple[Memory, Memory]]:
    """Turns with the next one of the same session."""
    sessions: dict[tuple[object, str | None], list[Memory]] = defaultdict(list)
    for memory in memories:
        if memory.place is not None:
            sessions[memory.scope, memory.session].append(memory)
    for turns in sessions.values():
        ordered = sorted(turns, key=lambda memory: memory.place or 0)
        yield from ((one, other) for one, other in pairwise(ordered) if other.place == (one.place or 0) + 1)
