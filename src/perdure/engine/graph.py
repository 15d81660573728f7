"""The verb that shows entities and relations: who and what is remembered, and what is between them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from perdure.engine import requests
from perdure.engine.calls import verb
from perdure.engine.core import Core
from perdure.engine.requests import When
from perdure.engine.scoping import ids, insist
from perdure.engine.shape import EdgeDict, EntityDict, GraphDict, moment
from perdure.errors import InvalidInput
from perdure.types import Memory

if TYPE_CHECKING:  # its many patterns are loaded by those who ask for a graph
    from perdure.engine.entities import Edge, Entity, Graph

MOST = 50
"""So many entities are given when the caller says nothing."""
DEEPEST = 10
"""Steps from one entity to another, at most."""
INLINE_MEMORIES = 50
"""So many memories are read for names on the event loop (about 25 milliseconds); more of them in a thread."""


class Graphing(Core):
    """Entities and relations."""

    @verb
    async def graph(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        entity: str | None = None,
        depth: int = 1,
        top_k: int | None = None,
        limit: int | None = None,
        as_of: When | None = None,
        known_at: When | None = None,
        show_superseded: bool = False,
        apart: Sequence[tuple[str, str]] | None = None,
    ) -> GraphDict:
        """Who and what is remembered, and what is between them.

        Relations are those that facts state, which takes a language model; between others that are mentioned together
        more than once stands a weak one, "mentioned with", whose `stated` is False.

        Args:
            user_id: whose memories; at least one of the four ids is needed.
            entity: only this one and those around it, by its name or an alias; nothing when nobody is called so.
            depth: how many relations away from it the farthest may be.
            top_k: how many entities at most, 50 when left out, the most mentioned first; `limit` is the same.
            as_of: what was true in the world at that moment; likewise `known_at`, what was known.
            show_superseded: also relations that are true no more, with their times.
            apart: pairs of names that are two entities, though they look like one.

        Raises:
            MissingScope: nobody is named.
        """
        asked = insist(self._reach(ids(user_id, agent_id, app_id, run_id)), "graph")
        name, pairs = _name(entity), _pairs(apart)
        steps = requests.count(depth, "depth", most=DEEPEST)
        most = requests.limit(top_k, limit, MOST)
        await self._open()
        memories = await self._find(
            asked,
            as_of=requests.moment(as_of, "as_of"),
            known_at=requests.moment(known_at, "known_at"),
            show_superseded=show_superseded,
        )
        work = partial(_part, memories, name, apart=pairs, depth=steps, most=most)
        return graph_dict(await self._work(work) if len(memories) > INLINE_MEMORIES else work())


def graph_dict(shown: Graph) -> GraphDict:
    """A graph as callers see it."""
    names = {key: entity.name for key, entity in shown.entities.items()}
    return {
        "entities": [_entity_dict(entity) for entity in shown.entities.values()],
        "relations": [_edge_dict(edge, names) for edge in shown.edges],
    }


def _part(
    memories: Sequence[Memory],
    name: str | None,
    *,
    apart: Sequence[tuple[str, str]],
    depth: int,
    most: int,
) -> Graph:
    from perdure.engine.entities import chosen, graph

    return chosen(graph(memories, apart=apart), name, depth=depth, most=most)


def _entity_dict(entity: Entity) -> EntityDict:
    return {
        "name": entity.name,
        "kind": entity.kind,
        "aliases": list(entity.aliases),
        "merged": dict(entity.merged),
        "count": len(entity.memory_ids),
        "memory_ids": list(entity.memory_ids),
    }


def _edge_dict(edge: Edge, names: dict[str, str]) -> EdgeDict:
    return {
        "source": names[edge.source],
        "relationship": edge.relationship,
        "destination": names[edge.destination],
        "stated": edge.stated,
        "memory_ids": list(edge.memory_ids),
        "valid_from": moment(edge.valid_from),
        "valid_to": moment(edge.valid_to),
    }


def _name(value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise InvalidInput("entity is blank or no text: give a name, or leave it out for all of them")
    return value


def _pairs(values: object) -> list[tuple[str, str]]:
    """Pairs of names."""
    if values is None:
        return []
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InvalidInput("apart is not a list: give pairs of names, as in [('Ann', 'Ann Smith')]")
    for pair in values:
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise InvalidInput("apart holds something that is no pair: give [('Ann', 'Ann Smith')]")
        if not all(isinstance(name, str) and name.strip() for name in pair):
            raise InvalidInput("apart holds a name that is blank or no text: give [('Ann', 'Ann Smith')]")
    return [(one, other) for one, other in values]
