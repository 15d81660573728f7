"""Two embedders of one memory: while a store's vectors go over from one to the other, calls go to the one in use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Concatenate, Final, Generic, ParamSpec, TypeVar, cast

from perdure.errors import ModelMismatch

E = TypeVar("E")
P = ParamSpec("P")
R = TypeVar("R")

TURNS: Final = 3
"""Of the engines, in one call."""


class Succession(Generic[E]):
    """An engine, and perhaps the same one with the former embedder.

    Which of them serves is found out by being told that the vectors in use are another model's: before a store was
    reindexed, and again when another process has just done it. A step that is told so has changed nothing; a call of
    several steps is made again, and finds what the earlier ones have done.
    """

    def __init__(self, configured: E, former: E | None = None) -> None:
        self.configured = configured
        self.former = former
        self.serving = configured

    def after(self, engine: E) -> E | None:
        """Who serves after an engine whose model is not in use; None where there is nobody else."""
        if self.former is None:
            return None
        if self.serving is engine:
            self.serving = self.former if engine is self.configured else self.configured
        return self.serving

    async def call(
        self, function: Callable[Concatenate[E, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """The answer of the engine that serves, or of the other one.

        What lasts may be told so by both: before a reindex, and after it. So the first has another turn.

        Raises:
            ModelMismatch: neither of their models is in use; as the configured one says it.
        """
        engine, said = self.serving, None
        for _ in range(TURNS):
            try:
                return await function(engine, *args, **kwargs)
            except ModelMismatch as mismatch:
                if said is None or engine is self.configured:
                    said = mismatch
                if (other := self.after(engine)) is None:
                    break
                engine = other
        raise cast("ModelMismatch", said) from None
