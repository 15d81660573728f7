"""Objects that stand for others."""

from __future__ import annotations

from typing import Any


class Delegate:
    """Stands for another object: has all that the other has, but for `own`, and passes for an instance of its class."""

    def __init__(self, inner: Any, **own: Any) -> None:
        self.__dict__.update(own, _inner=inner)

    @property  # type: ignore[misc]  # `isinstance` looks here, and that is meant
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]  # likewise
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_inner"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, value)

    def __repr__(self) -> str:
        return repr(self._inner)
