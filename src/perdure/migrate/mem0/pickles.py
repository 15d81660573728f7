"""Pickles of which only the data are taken: no code of theirs is run."""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from perdure.errors import StoreDamaged

_PLAIN: Final = {
    **{(module, name): (module, name) for module in ("builtins",) for name in ("set", "frozenset")},
    **{("__builtin__", name): ("builtins", name) for name in ("set", "frozenset")},
    **{("datetime", name): ("datetime", name) for name in ("date", "datetime", "timedelta", "timezone")},
    ("uuid", "UUID"): ("uuid", "UUID"),
}
"""Classes of the standard library that are nothing but data; in Python 2's protocols under another name."""
_STOOD_IN_FOR: Final = ("qdrant_client.", "numpy.", "pydantic.")
"""Whose objects a point of Qdrant's is made of."""


class Held:
    """Stands in for an object of a library's class: what it holds, without the class."""

    def __init__(self, *_: object) -> None:
        """Take what the class would have been made with."""
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def fields(self) -> dict[str, Any]:
        """The fields of an object of pydantic's."""
        inside = self.state.get("__dict__", self.state) if isinstance(self.state, dict) else None
        return inside if isinstance(inside, dict) else {}


class _Reader(pickle.Unpickler):
    """Refuses whatever is no data."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return super().find_class(*_PLAIN[module, name])
        if f"{module}.".startswith(_STOOD_IN_FOR):
            return Held
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")


def loads(data: bytes, where: object) -> Any:
    """What a pickle holds.

    Args:
        where: names it in the error.

    Raises:
        StoreDamaged: it holds something else than data, or is broken.
    """
    try:
        return _Reader(io.BytesIO(data)).load()
    except Exception as error:  # a broken pickle fails in whichever way its bytes happen to lead
        raise StoreDamaged(f"{where} cannot be read: {error}") from error
