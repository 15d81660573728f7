"""mem0's names for Perdure: `install_as_mem0()` lets code that imports mem0 run on this engine."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Callable, Generator, Mapping
from functools import cache, wraps
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from typing import Any, Literal, TypeAlias

import perdure.memory
from perdure.compat.mem0_config import MemoryConfig, translated
from perdure.compat.mem0_strict import refuse
from perdure.config import Config
from perdure.errors import ConfigurationError, InvalidInput, NotFound
from perdure.proxy.client import Perdure

Dialect: TypeAlias = Literal["mem0", "mem0-2"]
"""`mem0` takes the arguments of both generations; `mem0-2` refuses what mem0 2.x refuses."""

_MODULES = (
    "mem0",
    "mem0.memory",
    "mem0.memory.main",
    "mem0.configs",
    "mem0.configs.base",
    "mem0.proxy",
    "mem0.proxy.main",
)
_VERBS = ("add", "search", "get", "get_all", "update", "delete", "delete_all", "history", "reset")
_LLM_ONLY = ("memory_type", "prompt")

_dialect: Dialect = "mem0"


class MissingMemory(NotFound, ValueError):
    """Nothing has that id; mem0 says so with a `ValueError`."""


class Answer(dict[str, Any]):
    """A dictionary that can be awaited: the answer is there already."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # `asyncio.gather` keeps what it waits for as keys

    def __await__(self) -> Generator[None, None, Answer]:
        yield from ()
        return self


class Answers(list[Any]):
    """A list that can be awaited."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # likewise

    def __await__(self) -> Generator[None, None, Answers]:
        yield from ()
        return self


def _blocking(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of the blocking face, in mem0's dialect."""

    @wraps(verb)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _prepare(name, args, kwargs)
        if _inside_loop():
            _mention_async()
        try:
            return _answer(verb(self, *args, **kwargs))
        except NotFound as error:
            return _missing(name, error)

    return call


def _asynchronous(name: str, verb: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of the asynchronous face, in mem0's dialect."""

    @wraps(verb)
    async def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        _prepare(name, args, kwargs)
        try:
            return await verb(self, *args, **kwargs)
        except NotFound as error:
            return _missing(name, error)

    return call


def _speaking(
    dialect: Callable[[str, Callable[..., Any]], Callable[..., Any]],
) -> Callable[[type[Any]], type[Any]]:
    """Give a class mem0's verbs: its own, in a dialect."""

    def decorate(cls: type[Any]) -> type[Any]:
        for name in _VERBS:
            setattr(cls, name, dialect(name, getattr(cls, name)))
        return cls

    return decorate


@_speaking(_blocking)
class Memory(perdure.memory.Memory):
    """mem0's `Memory`: blocking, and yet its answers may be awaited, as some of its documentation does.

    Only what `get` says of an unknown id is None, as in mem0, which cannot be both: code asks `is None`.
    """

    def __init__(self, config: MemoryConfig | Config | Mapping[str, Any] | None = None) -> None:
        """From mem0's configuration, or Perdure's."""
        super().__init__(translated(config))


@_speaking(_asynchronous)
class AsyncMemory(perdure.memory.AsyncMemory):
    """mem0's `AsyncMemory`; in some versions `from_config` is awaited, so that one that is made may be."""

    def __init__(self, config: MemoryConfig | Config | Mapping[str, Any] | None = None) -> None:
        """From mem0's configuration, or Perdure's."""
        super().__init__(translated(config))

    def __await__(self) -> Generator[None, None, AsyncMemory]:
        yield from ()
        return self


class Mem0(Perdure):
    """mem0's proxy client: chat completions that remember."""

    def __init__(
        self,
        config: MemoryConfig | Config | Mapping[str, Any] | None = None,
        api_key: str | None = None,
        host: str | None = None,
    ) -> None:
        """From mem0's configuration, or Perdure's; the chat is where `OPENAI_BASE_URL` says, or OpenAI."""
        super().__init__(translated(config), api_key, host)


def install_as_mem0(compat: Dialect = "mem0") -> None:
    """Make `from mem0 import Memory, AsyncMemory` mean Perdure, and `mem0.proxy.main.Mem0` too, in this process.

    Args:
        compat: `mem0` takes both generations' arguments; `mem0-2` raises where mem0 2.x raises.

    Raises:
        ConfigurationError: mem0 itself was imported already.
    """
    global _dialect  # noqa: PLW0603  # it replaces modules of the whole process
    if compat not in ("mem0", "mem0-2"):
        raise InvalidInput(f"compat={compat!r}: give 'mem0' or 'mem0-2'")
    if "mem0" in sys.modules and not hasattr(sys.modules["mem0"], "__perdure__"):
        raise ConfigurationError(
            "mem0 itself is imported already: call install_as_mem0() before importing it"
        )
    _dialect = compat
    for name in _MODULES:
        spec = ModuleSpec(name, loader=None, origin=__file__, is_package=True)
        module = module_from_spec(spec)
        module.__doc__ = "Perdure, under mem0's name."
        vars(module).update(
            __perdure__=True,
            Memory=Memory,
            AsyncMemory=AsyncMemory,
            MemoryConfig=MemoryConfig,
            Mem0=Mem0,
        )
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def _prepare(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Refuse or rewrite arguments, in place, into those of our own verb."""
    if _dialect == "mem0-2":
        refuse(name, args, kwargs)
        if name in ("search", "get_all"):
            kwargs.pop("limit", None)  # mem0 2.x takes it, and takes no notice of it
            kwargs.setdefault("top_k", 20)
    for argument in _LLM_ONLY:
        if kwargs.pop(argument, None) is not None:
            raise ConfigurationError(
                f"{name}({argument}=...) needs an LLM, and none is configured: leave it out"
            )


def _answer(value: Any) -> Any:
    if isinstance(value, dict):
        return Answer(value)
    return Answers(value) if isinstance(value, list) else value


def _missing(name: str, error: NotFound) -> Any:
    """What mem0 does where nothing has that id."""
    if name == "get":
        return None
    if name == "history":
        return Answers()
    raise MissingMemory(str(error)) from error


@cache
def _mention_async() -> None:
    """Say once that a blocking verb was called inside a running loop."""
    warnings.warn(
        "Memory blocks the event loop while it works; AsyncMemory is the class that does not", stacklevel=3
    )


def _inside_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
