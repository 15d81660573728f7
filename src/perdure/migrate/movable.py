"""Either end of a move: a store that can be read out, and that takes in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol, cast

from perdure.config import Config, Role
from perdure.errors import InvalidInput
from perdure.options import options_of
from perdure.ports import Exports, Space, Store
from perdure.registry import STORES

READ_ONLY: Final = "read_only"


class Movable(Store, Exports, Protocol):
    """A store that can be either end."""


@asynccontextmanager
async def opened(config: Config, space: Space | None) -> AsyncIterator[Movable]:
    """The store of a configuration, for a while.

    Raises:
        InvalidInput: it can neither be read out nor take anything in.
    """
    store = STORES.create(config.store.provider, config.store.options)
    if not isinstance(store, Exports):
        raise InvalidInput(
            f"a store of the kind {config.store.provider!r} can neither be read out nor take anything in"
        )
    try:
        await store.open(space)
        yield cast("Movable", store)
    finally:
        await store.aclose()


def only_read(config: Config) -> Config:
    """The same, with a store that refuses to write, if it knows how."""
    store = config.store
    if READ_ONLY not in options_of(STORES.load(store.provider)):
        return config
    return replace(config, store=Role(provider=store.provider, options={**store.options, READ_ONLY: True}))
