"""Chat completions that remember: `Perdure`, `AsyncPerdure`, and `remember` for a client that is there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["AsyncPerdure", "ChatServer", "Perdure", "remember"]

if TYPE_CHECKING:
    from perdure.proxy.chat import ChatServer
    from perdure.proxy.client import AsyncPerdure, Perdure, remember


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'perdure.proxy' has no attribute {name!r}")
    from importlib import import_module

    home = "perdure.proxy.chat" if name == "ChatServer" else "perdure.proxy.client"
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
