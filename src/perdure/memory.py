"""The two faces of the engine: `AsyncMemory`, and `Memory`, which is derived from it."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, NoReturn, Self

from perdure.assemble import parts
from perdure.blocking import Blocking, blocking, direct, drawing, iterating
from perdure.config import Config
from perdure.engine.memory import Engine
from perdure.errors import InvalidInput
from perdure.ports import Redactor


def _not_pickled(self: object, protocol: object, /) -> NoReturn:
    """Refuse to be pickled or copied.

    Raises:
        InvalidInput: always.
    """
    del protocol
    raise InvalidInput(
        f"{type(self).__name__} cannot be pickled or copied: hand over its configuration, and open one in each process"
    )


class AsyncMemory(Engine):
    """Long-term memory for agents, asynchronous: nothing in it blocks the event loop.

    Nothing is read or written before the first verb, or `async with`.
    """

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | PathLike[str] | None = None,
        *,
        redactor: Redactor | None = None,
    ) -> None:
        """Configured by a `Config`, a dictionary, or a TOML file; then by `PERDURE_*`; then by defaults.

        Args:
            redactor: replaces what must not be stored, before the rules of `settings.redact` do.
        """
        self.config = Config.of(config)
        former = self.config.former
        super().__init__(
            **parts(self.config),
            redactor=redactor,
            former=None if former is None else Engine(**parts(former), redactor=redactor),
        )

    __reduce_ex__ = _not_pickled

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """The same as calling the class: the way, and the name, that mem0's users know."""
        return cls(config_dict)


class Memory(Blocking[AsyncMemory]):
    """Long-term memory for agents: each verb waits for its answer. Usable from any thread, and in Jupyter."""

    def __init__(
        self,
        config: Config | Mapping[str, Any] | str | PathLike[str] | None = None,
        *,
        redactor: Redactor | None = None,
    ) -> None:
        """Configured by a `Config`, a dictionary, or a TOML file; then by `PERDURE_*`; then by defaults.

        Args:
            redactor: replaces what must not be stored, before the rules of `settings.redact` do.
        """
        self.config = Config.of(config)
        for each in filter(None, (self.config, self.config.former)):
            parts(each)  # what is configured wrongly is told here, not at the first verb
        super().__init__(lambda: AsyncMemory(self.config, redactor=redactor))

    __reduce_ex__ = _not_pickled

    @classmethod
    def from_config(cls, config_dict: Mapping[str, Any]) -> Self:
        """The same as calling the class: the way, and the name, that mem0's users know."""
        return cls(config_dict)

    add = blocking(AsyncMemory.add)
    search = blocking(AsyncMemory.search)
    search_many = blocking(AsyncMemory.search_many)
    context = blocking(AsyncMemory.context)
    profile = blocking(AsyncMemory.profile)
    graph = blocking(AsyncMemory.graph)
    categories = blocking(AsyncMemory.categories)
    get = blocking(AsyncMemory.get)
    get_all = blocking(AsyncMemory.get_all)
    update = blocking(AsyncMemory.update)
    delete = blocking(AsyncMemory.delete)
    delete_all = blocking(AsyncMemory.delete_all)
    erase = blocking(AsyncMemory.erase)
    history = blocking(AsyncMemory.history)
    pending = blocking(AsyncMemory.pending)
    retry = blocking(AsyncMemory.retry)
    event = blocking(AsyncMemory.event)
    events = blocking(AsyncMemory.events)
    flush = blocking(AsyncMemory.flush)
    work = blocking(AsyncMemory.work)
    reextract = blocking(AsyncMemory.reextract)
    reset = blocking(AsyncMemory.reset)
    backup = blocking(AsyncMemory.backup)
    stats = blocking(AsyncMemory.stats)
    live_stats = direct(AsyncMemory.live_stats)
    watch = direct(AsyncMemory.watch)
    doctor = blocking(AsyncMemory.doctor)
    clean = blocking(AsyncMemory.clean)
    reindex = blocking(AsyncMemory.reindex)
    export_records = iterating(AsyncMemory.export_records)
    import_records = drawing(AsyncMemory.import_records)
