"""The seam to engines that derive from the truth: what they are told, and how far a store knows them to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from perdure.types import Partition, Relation

if TYPE_CHECKING:  # numpy is loaded by those who use it
    import numpy as np
    from numpy.typing import NDArray


class Cursor(NamedTuple):
    """How far an engine has followed a partition."""

    partition: Partition
    seq: int
    """The last change that the engine has taken in; 0: none."""
    head: int
    """The partition's last change; 0: there is no such partition any more, and the engine is to forget it."""

    @property
    def lag(self) -> int:
        """Changes that the engine lacks; of a partition that is gone, one."""
        return max(self.head - self.seq, 0) if self.head else 1


@runtime_checkable
class Followed(Protocol):
    """A store that engines derive from: its change log can be followed, by one worker at a time.

    `engine` names an engine with its contents: one that lost them has another name, and begins anew.
    """

    async def take_cursor(
        self, engine: str, partition: Partition, *, worker: str, now: datetime, until: datetime
    ) -> int | None:
        """Lease an engine's cursor in a partition: how far it is; None while another worker has it."""
        ...

    async def move_cursor(self, engine: str, partition: Partition, seq: int, *, worker: str) -> bool:
        """Note how far the engine is, and give the lease back; False when somebody else has it by now.

        The cursor of a partition that is gone goes as well.
        """
        ...

    async def cursors(
        self, tenant: str, engine: str, *, partition: Partition | None = None, limit: int | None = None
    ) -> list[Cursor]:
        """Where the engine is behind, the farthest first; with `partition`, only there."""
        ...

    async def drop_cursors(self, tenant: str, engine: str) -> None:
        """Begin anew: the engine is behind with everything."""

    async def vectors(self, partition: Partition, ords: Sequence[int]) -> list[bytes]:
        """The entries' vectors of these versions, in the order asked; empty for what has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The vectors of one version of a memory."""

    ord: int
    vectors: NDArray[np.float32]
    """`(pieces, dimensions)`, of unit length: a long text has several."""


class Near(NamedTuple):
    """A version that is near a question."""

    ord: int
    cosine: float
    """Of its nearest piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A relation, and the version of a fact that states it."""

    ord: int
    relation: Relation
    subject_key: str
    """The name of the subject without what may differ: case, accents."""
    object_key: str


class Derived(Protocol):
    """An engine that holds what it is told of the truth, and can be made again from it.

    Partitions are told to it in order, each by one caller at a time; the same may come twice. What it cannot do just
    now it refuses with `Unavailable`, and with `ConfigurationError` what it cannot do as it is configured.
    """

    @property
    def name(self) -> str:
        """How users know it, without secrets."""
        ...

    async def open(self, namespace: str, dimensions: int) -> str:
        """Make a place for a store's data, where there is none yet; the random name of its contents.

        Emptied, however that came about, it has another name.

        Args:
            namespace: letters, digits and `-`; different for what must not be mixed.
            dimensions: of vectors; 0 for what holds none.
        """
        ...

    async def forget(self, partition: Partition) -> None:
        """Remove all of a partition."""

    async def drop(self, namespace: str) -> None:
        """Remove everything in a namespace; it is opened again before it is used."""

    async def aclose(self) -> None:
        """Give connections back."""


@runtime_checkable
class VectorEngine(Derived, Protocol):
    """Holds vectors, and finds the nearest."""

    async def put_vectors(self, partition: Partition, points: Sequence[Point], dead: Sequence[int]) -> None:
        """Take vectors in, in place of those of the same `ord`, and remove the dead."""

    async def nearest(
        self, partition: Partition, vector: NDArray[np.float32], *, limit: int, among: Sequence[int] | None
    ) -> list[Near]:
        """The nearest versions of a partition, each once, nearest first; only `among` these `ord`s, if given."""
        ...


@runtime_checkable
class Counts(Protocol):
    """A vector engine that tells how much it holds, so that what it lost without a word is noticed."""

    async def held(self, partition: Partition) -> int:
        """How many vectors it holds of a partition, exactly."""
        ...


@runtime_checkable
class GraphEngine(Derived, Protocol):
    """Holds relations, and finds what is around names."""

    async def put_relations(
        self, partition: Partition, stated: Sequence[Stated], dead: Sequence[int]
    ) -> None:
        """Take relations in, in place of those of the same `ord`, and remove those that only the dead state."""

    async def around(
        self, partition: Partition, names: Sequence[str], *, depth: int, limit: int
    ) -> list[int]:
        """The `ord`s of what is stated within so many steps of these names, the nearest first, then the latest.

        Args:
            names: as keys.
        """
        ...
