"""What every engine beside the store promises, as tests: inherit `VectorEngineConformance` or `GraphEngineConformance`.

class TestMyVectors(VectorEngineConformance):
    def make(self) -> MyVectors:
        return MyVectors(url=...)
"""

# ruff: noqa: D102 -- the name of a test is its sentence

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import pytest

from perdure.ids import new_id
from perdure.ports.derived import Counts, Derived, GraphEngine, Point, Stated, VectorEngine
from perdure.types import Partition, Relation

if TYPE_CHECKING:
    from numpy.typing import NDArray

E = TypeVar("E", bound=Derived)

ALICE = Partition("default", "user:alice")
BOB = Partition("default", "user:bob")
THEIRS = Partition("other", "user:alice")
DIMENSIONS = 16
TOLERANCE = 1e-5


class DerivedConformance(Generic[E]):
    """What vector engines and graph engines have in common."""

    def make(self) -> E:
        """An engine; each that is made sees what the others hold."""
        raise NotImplementedError

    def play(self, scenario: Callable[[E], Awaitable[None]]) -> None:
        """Run a scenario on an engine that is opened in an empty namespace, and dropped after it."""

        async def run() -> None:
            engine, namespace = self.make(), new_id()
            try:
                await engine.open(namespace, DIMENSIONS)
                await scenario(engine)
            finally:
                await engine.drop(namespace)
                await engine.aclose()

        asyncio.run(run())

    def test_the_name_of_its_contents_stays_until_they_are_dropped(self) -> None:
        async def run() -> None:
            namespace = new_id()
            one, other = self.make(), self.make()
            try:
                contents = await one.open(namespace, DIMENSIONS)
                assert await one.open(namespace, DIMENSIONS) == contents
                assert await other.open(namespace, DIMENSIONS) == contents
                assert await other.open(new_id(), DIMENSIONS) != contents
                await one.drop(namespace)
                assert await one.open(namespace, DIMENSIONS) != contents
            finally:
                await one.drop(namespace)
                await one.aclose()
                await other.aclose()

        asyncio.run(run())

    def test_its_name_tells_no_secrets(self) -> None:
        assert self.make().name
        assert "hunter2" not in self.make().name + repr(self.make())


def unit(seed: int) -> NDArray[np.float32]:
    """A direction, always the same for a seed."""
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def point(ord_: int, *seeds: int) -> Point:
    """A version with a piece for each seed; its own number, when none is given."""
    return Point(ord=ord_, vectors=np.stack([unit(seed) for seed in seeds or (ord_,)]))


class VectorEngineConformance(DerivedConformance[VectorEngine]):
    """The promises of a vector engine."""

    tolerance: float = TOLERANCE
    """How much a cosine may be off; more where numbers are held with less precision."""

    def test_the_nearest_come_first_with_their_cosines(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            await engine.put_vectors(ALICE, [point(n) for n in range(1, 41)], [])
            question = unit(99)
            true = sorted(((float(unit(n) @ question), n) for n in range(1, 41)), reverse=True)
            found = await engine.nearest(ALICE, question, limit=10, among=None)
            assert [cosine for _, cosine in found] == pytest.approx(
                [cosine for cosine, _ in true[:10]], abs=self.tolerance
            )
            assert {ord_ for ord_, _ in found[:5]} <= {n for _, n in true[:10]}
            [itself, *_] = await engine.nearest(ALICE, unit(7), limit=1, among=None)
            assert itself.ord == 7
            assert itself.cosine == pytest.approx(1, abs=self.tolerance)

        self.play(scenario)

    def test_partitions_never_mix(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            await engine.put_vectors(ALICE, [point(1, 5)], [])
            await engine.put_vectors(BOB, [point(2, 5)], [])
            await engine.put_vectors(THEIRS, [point(3, 5)], [])
            for partition, ord_ in ((ALICE, 1), (BOB, 2), (THEIRS, 3)):
                found = await engine.nearest(partition, unit(5), limit=9, among=None)
                assert [near.ord for near in found] == [ord_]
            await engine.forget(ALICE)
            assert await engine.nearest(ALICE, unit(5), limit=9, among=None) == []
            assert len(await engine.nearest(BOB, unit(5), limit=9, among=None)) == 1

        self.play(scenario)

    def test_a_long_text_is_as_near_as_its_nearest_piece_and_found_once(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            await engine.put_vectors(ALICE, [point(1, 10, 11, 12), point(2, 13)], [])
            found = await engine.nearest(ALICE, unit(12), limit=9, among=None)
            assert sorted(near.ord for near in found) == [1, 2]
            assert found[0].ord == 1
            assert found[0].cosine == pytest.approx(1, abs=self.tolerance)
            await engine.put_vectors(ALICE, [], [1])
            assert [near.ord for near in await engine.nearest(ALICE, unit(12), limit=9, among=None)] == [2]

        self.play(scenario)

    def test_a_vector_without_a_direction_is_near_nothing(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            nowhere = Point(ord=1, vectors=np.zeros((1, DIMENSIONS), np.float32))
            await engine.put_vectors(ALICE, [nowhere, point(2)], [])
            first, last = await engine.nearest(ALICE, unit(2), limit=9, among=None)
            assert (first.ord, last.ord) == (2, 1)
            assert last.cosine == pytest.approx(0, abs=self.tolerance)

        self.play(scenario)

    def test_what_it_says_to_hold_it_holds(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            if not isinstance(engine, Counts):
                return
            assert await engine.held(ALICE) == 0
            await engine.put_vectors(ALICE, [point(1, 10, 11, 12), point(2)], [])
            await engine.put_vectors(BOB, [point(1)], [])
            assert await engine.held(ALICE) == 4
            await engine.put_vectors(ALICE, [point(1)], [2])
            assert await engine.held(ALICE) == 1
            await engine.forget(ALICE)
            assert (await engine.held(ALICE), await engine.held(BOB)) == (0, 1)

        self.play(scenario)

    def test_what_comes_again_takes_the_place_of_what_was_there(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            for pieces in ((20, 21, 22), (23,), (23,), (24, 25)):
                await engine.put_vectors(ALICE, [point(1, *pieces)], [])
                for seed in range(20, 26):
                    [near] = await engine.nearest(ALICE, unit(seed), limit=9, among=None)
                    assert (near.cosine > 1 - max(self.tolerance, 1e-4)) == (seed in pieces)

        self.play(scenario)

    def test_the_dead_are_gone_also_those_that_never_were(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            await engine.put_vectors(ALICE, [point(1), point(2)], [])
            await engine.put_vectors(ALICE, [point(3)], [1, 77])
            found = await engine.nearest(ALICE, unit(1), limit=9, among=None)
            assert sorted(near.ord for near in found) == [2, 3]
            await engine.put_vectors(ALICE, [], [2, 3])
            assert await engine.nearest(ALICE, unit(1), limit=9, among=None) == []

        self.play(scenario)

    def test_a_search_can_be_among_some_only(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            await engine.put_vectors(ALICE, [point(n) for n in range(1, 301)], [])
            wanted = list(range(3, 300, 37))
            found = await engine.nearest(ALICE, unit(4), limit=50, among=wanted)
            assert sorted(near.ord for near in found) == wanted
            many = list(range(1, 251))
            found = await engine.nearest(ALICE, unit(4), limit=300, among=many)
            assert sorted(near.ord for near in found) == many
            assert await engine.nearest(ALICE, unit(4), limit=5, among=[999]) == []

        self.play(scenario)

    def test_a_wide_filter_that_lets_none_of_the_nearest_through_finds_those_behind_them(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            near = [point(n, 0) for n in range(1, 61)]
            await engine.put_vectors(ALICE, [*near, *(point(n) for n in range(61, 121))], [])
            wanted = list(range(61, 121))
            true = sorted(wanted, key=lambda n: -float(unit(n) @ unit(0)))[:10]
            found = await engine.nearest(ALICE, unit(0), limit=10, among=wanted)
            assert len({ord_ for ord_, _ in found} & set(true)) >= 10 * self.least_recall
            assert {ord_ for ord_, _ in found} <= set(wanted)

        self.play(scenario)

    def test_within_a_partition_nothing_near_is_missed(self) -> None:
        async def scenario(engine: VectorEngine) -> None:
            everybody = [point(n) for n in range(1, 1_001)]
            await engine.put_vectors(ALICE, everybody, [])
            matrix = np.stack([one.vectors[0] for one in everybody])
            for seed in range(2_000, 2_010):
                true = set((np.argsort(-(matrix @ unit(seed)))[:50] + 1).tolist())
                found = {near.ord for near in await engine.nearest(ALICE, unit(seed), limit=50, among=None)}
                assert len(found & true) >= 50 * self.least_recall

        self.play(scenario)

    least_recall: float = 1.0
    """Share of the truly nearest that is found; less where numbers are held with less precision."""


def stated(ord_: int, subject: str, relation: str, object_: str) -> Stated:
    """A relation; the key of a name is its lower case."""
    return Stated(
        ord=ord_,
        relation=Relation(subject=subject, relation=relation, object=object_),
        subject_key=subject.lower(),
        object_key=object_.lower(),
    )


class GraphEngineConformance(DerivedConformance[GraphEngine]):
    """The promises of a graph engine."""

    def test_what_is_stated_around_a_name_is_found_the_nearest_first(self) -> None:
        async def scenario(engine: GraphEngine) -> None:
            chain = [
                stated(1, "Ann", "knows", "Bob"),
                stated(2, "Bob", "owns", "Rex"),
                stated(3, "Rex", "chases", "Tom"),
                stated(4, "Kim", "likes", "tea"),
            ]
            await engine.put_relations(ALICE, chain, [])
            assert await engine.around(ALICE, ["ann"], depth=1, limit=9) == [1]
            assert await engine.around(ALICE, ["ann"], depth=2, limit=9) == [1, 2]
            assert await engine.around(ALICE, ["ann"], depth=9, limit=9) == [1, 2, 3]
            assert await engine.around(ALICE, ["rex"], depth=1, limit=9) == [3, 2]
            assert await engine.around(ALICE, ["rex", "kim"], depth=1, limit=9) == [4, 3, 2]
            assert await engine.around(ALICE, ["nobody"], depth=3, limit=9) == []
            assert await engine.around(ALICE, [], depth=3, limit=9) == []

        self.play(scenario)

    def test_the_latest_come_first_and_no_more_than_wanted(self) -> None:
        async def scenario(engine: GraphEngine) -> None:
            await engine.put_relations(
                ALICE, [stated(n, "Ann", "saw", f"film {n}") for n in range(1, 31)], []
            )
            assert await engine.around(ALICE, ["ann"], depth=2, limit=5) == [30, 29, 28, 27, 26]

        self.play(scenario)

    def test_partitions_never_mix_in_a_graph(self) -> None:
        async def scenario(engine: GraphEngine) -> None:
            for ord_, partition in enumerate((ALICE, BOB, THEIRS), 1):
                await engine.put_relations(partition, [stated(ord_, "Ann", "knows", f"No. {ord_}")], [])
            for ord_, partition in enumerate((ALICE, BOB, THEIRS), 1):
                assert await engine.around(partition, ["ann"], depth=2, limit=9) == [ord_]
            await engine.forget(BOB)
            assert await engine.around(BOB, ["ann"], depth=2, limit=9) == []
            assert await engine.around(ALICE, ["ann"], depth=2, limit=9) == [1]

        self.play(scenario)

    def test_a_version_that_comes_again_states_what_it_states_now(self) -> None:
        async def scenario(engine: GraphEngine) -> None:
            await engine.put_relations(
                ALICE, [stated(1, "Ann", "knows", "Bob"), stated(1, "Bob", "knows", "Kim")], []
            )
            for _ in range(2):
                await engine.put_relations(ALICE, [stated(1, "Ann", "knows", "Tom")], [])
                assert await engine.around(ALICE, ["tom"], depth=1, limit=9) == [1]
                assert await engine.around(ALICE, ["bob"], depth=1, limit=9) == []

        self.play(scenario)

    def test_what_only_the_dead_state_is_gone(self) -> None:
        async def scenario(engine: GraphEngine) -> None:
            both = [stated(1, "Ann", "knows", "Bob"), stated(2, "Ann", "knows", "Bob")]
            await engine.put_relations(ALICE, both, [])
            await engine.put_relations(ALICE, [], [1, 55])
            assert await engine.around(ALICE, ["bob"], depth=1, limit=9) == [2]
            await engine.put_relations(ALICE, [stated(3, "Kim", "likes", "Ann")], [2])
            assert await engine.around(ALICE, ["bob"], depth=1, limit=9) == []
            assert await engine.around(ALICE, ["ann"], depth=1, limit=9) == [3]

        self.play(scenario)

    @pytest.mark.parametrize(
        "name",
        [
            'quo"ted',
            "back\\slash",
            "new\nline",
            "O'Neil",
            "日本語",
            "$param } {",
            "RETURN 1 //",
            "ünï",
            "a\x01b\x7fc",
        ],
    )
    def test_names_may_hold_anything(self, name: str) -> None:
        async def scenario(engine: GraphEngine) -> None:
            await engine.put_relations(
                ALICE, [stated(1, name, f"{name} at", "Bob"), stated(2, "Bob", "is", name)], []
            )
            assert await engine.around(ALICE, [name.lower()], depth=1, limit=9) == [2, 1]

        self.play(scenario)
