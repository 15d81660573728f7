"""What engines are told of a partition's changes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Generic, Protocol, TypeVar

from perdure.engine.embedding import read
from perdure.ports import Delta, Space, Store
from perdure.ports.derived import Derived, GraphEngine, Point, Stated, VectorEngine
from perdure.types import Memory, Partition, Relation

T = TypeVar("T")

AT_ONCE: Final = 256
"""So many versions are told in one call."""


class Teller(Protocol):
    """Tells an engine of one kind what came to a partition."""

    @property
    def role(self) -> str:
        """What the engine is for, as in a configuration."""
        ...

    @property
    def engine(self) -> Derived:
        """Whom it tells."""
        ...

    @property
    def with_vectors(self) -> bool:
        """Whether it needs the entries' vectors."""
        ...

    async def open(self, identity: str) -> str:
        """Open the engine for the store with this identity; the name of its contents."""
        ...

    def namespaces(self, identity: str, before: Space | None) -> list[str]:
        """Where the engine holds something of this store, also of the time when its entries were of another space."""
        ...

    def tell(self, partition: Partition, since: int, delta: Delta) -> AsyncIterator[int]:
        """Tell it what came after `since`; gives, time and again, up to which change it knows all."""
        ...


@dataclass(frozen=True, kw_only=True)
class VectorTeller:
    """Tells a vector engine."""

    engine: VectorEngine
    model: str
    dimensions: int
    role: str = "vectors"
    with_vectors: bool = True

    async def open(self, identity: str) -> str:
        """Vectors of different models are never in one place."""
        return await self.engine.open(vector_namespace(identity, self.model), self.dimensions)

    def namespaces(self, identity: str, before: Space | None) -> list[str]:
        """Those of the present model, and of the one before."""
        models = [self.model, *([before.model] if before is not None and before.model else [])]
        return [vector_namespace(identity, model) for model in dict.fromkeys(models)]

    async def tell(self, partition: Partition, since: int, delta: Delta) -> AsyncIterator[int]:
        """The versions' vectors."""
        rows = [(row.ord, row.vectors) for row in delta.rows if row.vectors]
        dead = await _forgotten(self.engine, partition, since, delta)
        for page in _pages(rows, dead, lambda row: row[0], delta.head):
            points = [Point(ord=ord_, vectors=read(data, self.dimensions)) for ord_, data in page.items]
            if points or page.dead:
                await self.engine.put_vectors(partition, points, page.dead)
            yield max(since, page.upto)


@dataclass(frozen=True, kw_only=True)
class GraphTeller:
    """Tells a graph engine."""

    engine: GraphEngine
    store: Store
    role: str = "graph"
    with_vectors: bool = False

    async def open(self, identity: str) -> str:
        """One graph for a store's relations."""
        return await self.engine.open(identity, 0)

    def namespaces(self, identity: str, before: Space | None) -> list[str]:  # noqa: ARG002  # of a `Teller`
        """One, whatever the model."""
        return [identity]

    async def tell(self, partition: Partition, since: int, delta: Delta) -> AsyncIterator[int]:
        """What the facts among the versions state."""
        facts = [row.ord for row in delta.rows if row.place is None]
        dead = await _forgotten(self.engine, partition, since, delta)
        for page in _pages(facts, dead, int, delta.head):
            held = await self.store.read(partition, page.items)
            stated = [_stated(fact, relation) for fact in held for relation in fact.relations]
            if stated or page.dead:
                await self.engine.put_relations(partition, stated, page.dead)
            yield max(since, page.upto)


def _stated(fact: Memory, relation: Relation) -> Stated:
    from perdure.engine.entities.spelling import fold  # with its neighbours, many patterns

    return Stated(
        ord=fact.ord,
        relation=relation,
        subject_key=fold(relation.subject),
        object_key=fold(relation.object),
    )


def vector_namespace(identity: str, model: str) -> str:
    """Where the vectors of a model are."""
    return f"{identity}-{blake2b(model.encode(), digest_size=6).hexdigest()}"


@dataclass(frozen=True, slots=True)
class _Page(Generic[T]):
    items: Sequence[T]
    dead: Sequence[int]
    upto: int
    """When this is told, every change up to this one is."""


async def _forgotten(engine: Derived, partition: Partition, since: int, delta: Delta) -> list[int]:
    """What is not there any more and is to be told.

    Somebody may have told more than was noted, before the process ended: what began after `since` and is not current
    is dead as well, and an engine of which nothing was noted forgets the partition.
    """
    if since == 0 or len(delta.dead) >= since:  # or the partition has begun anew
        await engine.forget(partition)
        return []
    alive = {row.ord for row in delta.rows}
    return [*delta.dead, *(ord_ for ord_ in range(since + 1, delta.head + 1) if ord_ not in alive)]


def _pages(items: Sequence[T], dead: list[int], ord_of: Callable[[T], int], upto: int) -> Iterator[_Page[T]]:
    """What to tell, page by page, first of all what is dead; small changes are one page."""
    for start in range(0, max(len(items), 1), AT_ONCE):
        page = items[start : start + AT_ONCE]
        is_last = start + AT_ONCE >= len(items)
        yield _Page(page, [] if start else dead, upto if is_last else ord_of(page[-1]))
