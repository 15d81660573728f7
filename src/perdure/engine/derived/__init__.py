"""Engines that derive from the truth: kept up with its change log, asked for what they find faster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from perdure.engine.derived.follower import Follower
from perdure.engine.derived.following import Following
from perdure.engine.derived.legs import GraphLeg, Legs, VectorLeg
from perdure.engine.derived.telling import GraphTeller, Teller, VectorTeller
from perdure.errors import ConfigurationError
from perdure.ports import Embedder, Store
from perdure.ports.derived import GraphEngine, VectorEngine
from perdure.settings import Settings

__all__ = ["Following", "Legs", "derive"]


def derive(
    store: Store,
    *,
    embedder: Embedder | None,
    vectors: VectorEngine | None,
    graph: GraphEngine | None,
    settings: Settings,
    clock: Callable[[], datetime],
) -> tuple[Following, Legs]:
    """What keeps the engines up with a store, and what searches ask of them.

    Raises:
        ConfigurationError: the store cannot be followed, or there is nothing to make vectors with.
    """

    def follower(teller: Teller) -> Follower:
        return Follower(teller, store, settings.tenant, clock)

    followers: list[Follower] = []
    vector_leg, graph_leg = None, None
    if vectors is not None:
        if embedder is None:
            raise ConfigurationError(
                "vectors is configured, and no embedder: configure one, or leave vectors out"
            )
        teller = VectorTeller(engine=vectors, model=embedder.model, dimensions=embedder.dimensions)
        followers.append(follower(teller))
        vector_leg = VectorLeg(followers[-1], vectors, store)
    if graph is not None:
        followers.append(follower(GraphTeller(engine=graph, store=store)))
        graph_leg = GraphLeg(followers[-1], graph)
    return Following(followers, wait=settings.engine_wait), Legs(vectors=vector_leg, graph=graph_leg)
