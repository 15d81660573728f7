"""Perdure: long-term memory for agents. Names are loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "AsyncMemory",
    "Config",
    "Memory",
    "PerdureError",
    "Settings",
    "__version__",
    "install_as_mem0",
]

_HOMES = {
    "AsyncMemory": "perdure.memory",
    "Config": "perdure.config",
    "Memory": "perdure.memory",
    "PerdureError": "perdure.errors",
    "Settings": "perdure.settings",
    "install_as_mem0": "perdure.compat.mem0",
}

if TYPE_CHECKING:
    from perdure.compat.mem0 import install_as_mem0
    from perdure.config import Config
    from perdure.errors import PerdureError
    from perdure.memory import AsyncMemory, Memory
    from perdure.settings import Settings


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'perdure' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
