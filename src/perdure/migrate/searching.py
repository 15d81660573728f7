"""Whether searches find the same in two stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from perdure.assemble import parts
from perdure.config import Config
from perdure.engine.memory import Engine
from perdure.engine.words import ANALYZER_VERSION
from perdure.migrate.comparing import Question
from perdure.ports import Space

CLOSE: Final = 1e-3
"""Scores that differ by less are the same: a product of matrices may be summed up in another order."""
FOUND: Final = 10


async def agreed(
    source: Config,
    target: Config,
    space: Space | None,
    questions: Sequence[Question],
    progress: Callable[[int, int, str], None],
) -> tuple[int, int]:
    """Ask both stores; how many questions were asked, and how many of them had the same answer.

    Both are asked with the target's embedder, or by words alone where the vectors are of another one. Nothing is asked
    where even words were analysed by other rules.
    """
    if space is None or space.analyzer != ANALYZER_VERSION:
        return 0, 0
    now, same, done = datetime.now(UTC), 0, 0
    for tenant in dict.fromkeys(question.scope.tenant for question in questions):
        async with AsyncExitStack() as open_:
            engines = [
                await open_.enter_async_context(_engine(replace(target, store=one.store), space, tenant))
                for one in (source, target)
            ]
            for question in questions:
                if question.scope.tenant == tenant:
                    one, other = [await _found(engine, question, now) for engine in engines]
                    same += _alike(one, other)
                    done += 1
                    progress(done, len(questions), "Searching")
    return len(questions), same


@asynccontextmanager
async def _engine(config: Config, space: Space, tenant: str) -> AsyncIterator[Engine]:
    """An engine that searches, and does nothing else."""
    settings = replace(config.settings, tenant=tenant, background=False, cache_bytes=0, vector_cache_bytes=0)
    alone = replace(config, reranker=None, llm=None, cache=None, vectors=None, graph=None, settings=settings)
    made = parts(alone)
    embedder = made["embedder"]
    if embedder is not None and (embedder.model, embedder.dimensions) != (space.model, space.dimensions):
        await embedder.aclose()
        made["embedder"] = None
    async with Engine(**made) as engine:
        yield engine


async def _found(memory: Engine, question: Question, now: datetime) -> dict[str, float]:
    scope = question.scope
    found = await memory.search(
        question.text,
        user_id=scope.user_id,
        agent_id=scope.agent_id,
        app_id=scope.app_id,
        run_id=scope.run_id,
        top_k=FOUND,
        threshold=0.0,
        reference_date=now,
    )
    return {result["id"]: result["score"] for result in found["results"]}


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """The same memories with the same scores; at the end of a list there may be others that are as good."""
    if len(one) != len(other):
        return False
    last = min(one.values(), default=0.0) + CLOSE
    return all(
        abs(score - other[name]) <= CLOSE if name in other else score <= last for name, score in one.items()
    )
