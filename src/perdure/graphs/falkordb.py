"""Relations in FalkorDB: one graph a partition, of names and of what facts state between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from perdure.graphs.rows import row
from perdure.ports.derived import Stated
from perdure.redislink import Command, RedisEngine
from perdure.types import Partition

_INDEXES: Final = (
    "CREATE INDEX FOR (n:Name) ON (n.key)",
    "CREATE INDEX FOR ()-[s:STATES]-() ON (s.ord)",
)
_ENDS: Final = "MATCH (a:Name)-[s:STATES]->(b:Name) WHERE s.ord IN $ords RETURN a.key, b.key"
_REMOVE: Final = "MATCH ()-[s:STATES]->() WHERE s.ord IN $ords DELETE s"
_SWEEP: Final = "MATCH (n:Name) WHERE n.key IN $keys AND NOT (n)--() DELETE n"
_PUT: Final = (
    "UNWIND $rows AS row MERGE (a:Name {key: row[1]}) MERGE (b:Name {key: row[4]}) "
    "CREATE (a)-[:STATES {ord: row[0], subject: row[2], relation: row[3], object: row[5]}]->(b)"
)
_AROUND: Final = (
    "MATCH (a:Name)-[s:STATES]-(b:Name) WHERE a.key IN $keys "
    "RETURN DISTINCT s.ord, b.key ORDER BY s.ord DESC LIMIT $most"
)
_CONTROLS: Final = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
"""FalkorDB reads some of them as something else."""


@dataclass(frozen=True, kw_only=True)
class FalkorGraph(RedisEngine):
    """A name is a node, by its folded spelling; a relation is an edge, by the version of the fact that states it.

    FalkorDB notes the queries that it gets, with their words, in a stream of its own: this is switched off, and what
    was noted is removed, or words would outlive an erasure there.
    """

    TITLE: ClassVar[str] = "FalkorDB"
    MARK: ClassVar[str] = "graphs"

    async def open(self, namespace: str, dimensions: int) -> str:
        """Have queries noted no longer; then as every engine in a Redis."""
        await self._link.ask([("GRAPH.CONFIG", "SET", "MAX_INFO_QUERIES", 0)])
        return await super().open(namespace, dimensions)

    async def put_relations(
        self, partition: Partition, stated: Sequence[Stated], dead: Sequence[int]
    ) -> None:
        """Remove what is replaced or dead, with names that nothing is stated of any more; then take relations in."""
        graph = self._key("graph", partition)
        gone = list(dict.fromkeys([*dead, *(one.ord for one in stated)]))
        if not await self._there(graph):
            if not stated:
                return
            await self._ask([_query(graph, index) for index in _INDEXES])
        commands: list[Command] = []
        if ends := (await self._ask([_query(graph, _ENDS, ords=gone)]))[0][1]:
            keys = list(dict.fromkeys(str(key, "utf-8") for pair in ends for key in pair))
            commands += [_query(graph, _REMOVE, ords=gone), _query(graph, _SWEEP, keys=keys)]
        if stated:
            commands.append(_query(graph, _PUT, rows=[row(one) for one in stated]))
        if dead:
            commands += [("GRAPH.SLOWLOG", graph, "RESET"), ("UNLINK", f"telemetry{{{graph}}}")]
        await self._ask(commands)

    async def around(
        self, partition: Partition, names: Sequence[str], *, depth: int, limit: int
    ) -> list[int]:
        """Step by step from the names; of a step, the latest first."""
        graph, reached, found = self._key("graph", partition), set(names), dict[int, None]()
        ring = list(names)
        while ring and depth and len(found) < limit and await self._there(graph):
            [answer] = await self._ask([_query(graph, _AROUND, keys=ring, most=limit)])
            found |= dict.fromkeys(ord_ for ord_, _ in answer[1])
            ring = list({str(key, "utf-8") for _, key in answer[1]} - reached)
            reached |= set(ring)
            depth -= 1
        return list(found)[:limit]

    async def forget(self, partition: Partition) -> None:
        """Remove the graph."""
        graph = self._key("graph", partition)
        await self._ask([("UNLINK", graph, f"telemetry{{{graph}}}")])

    async def drop(self, namespace: str) -> None:
        """Remove all keys of the namespace, and what was noted of its graphs."""
        await super().drop(namespace)
        await self._link.remove(f"telemetry{{{self.prefix}:{namespace}")

    async def _there(self, graph: str) -> bool:
        return bool((await self._ask([("EXISTS", graph)]))[0])


def _query(graph: str, text: str, **parameters: object) -> Command:
    """A query with its parameters before it, as FalkorDB takes them."""
    given = " ".join(f"{name}={_literal(value)}" for name, value in parameters.items())
    return ("GRAPH.QUERY", graph, f"CYPHER {given} {text}" if given else text)


def _literal(value: object) -> str:
    """A number, a text, or a list of these, in Cypher."""
    if isinstance(value, str):
        escaped = _CONTROLS.sub(" ", value).replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_literal, value))}]"
    return str(value)
