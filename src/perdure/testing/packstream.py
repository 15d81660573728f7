"""PackStream, in which Bolt writes its values, as far as tests need it."""

from __future__ import annotations

import struct
from typing import Any, Final

_PLAIN: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_SMALL: Final = {0x80: "text", 0x90: "list", 0xA0: "map"}
_WIDTHS: Final = {0xC8: "int", 0xD0: "text", 0xD4: "list", 0xD8: "map"}
_SIZED: Final = {
    first + power: (kind, 1 << power)
    for first, kind in _WIDTHS.items()
    for power in range(4 if kind == "int" else 3)
}
"""Marks of what has its size, or its value, in so many bytes after them."""


def packed(value: Any) -> bytes:
    """A number, a text, a list or a map of these; anything else is null."""
    if isinstance(value, int):
        return b"\xcb" + struct.pack("!q", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xd2" + struct.pack("!I", len(data)) + data
    if isinstance(value, list):
        return b"\xd6" + struct.pack("!I", len(value)) + b"".join(map(packed, value))
    if isinstance(value, dict):
        pairs = b"".join(packed(key) + packed(one) for key, one in value.items())
        return b"\xda" + struct.pack("!I", len(value)) + pairs
    return b"\xc0"


def read(message: bytes) -> tuple[int, list[Any]]:
    """A message: its kind and its fields."""
    reader = _Reader(message[2:])
    return message[1], [reader.value() for _ in range(message[0] & 0x0F)]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def value(self) -> Any:
        mark = self._take(1)[0]
        if mark < 0x80 or mark >= 0xF0:
            return mark if mark < 0x80 else mark - 0x100
        if mark in _PLAIN:
            return _PLAIN[mark]
        if mark == 0xC1:
            return struct.unpack("!d", self._take(8))[0]
        if mark not in _SIZED:
            return self._collected(_SMALL[mark & 0xF0], mark & 0x0F)
        kind, width = _SIZED[mark]
        return self._collected(kind, int.from_bytes(self._take(width), "big", signed=kind == "int"))

    def _collected(self, kind: str, size: int) -> Any:
        if kind == "int":
            return size
        if kind == "text":
            return self._take(size).decode()
        if kind == "list":
            return [self.value() for _ in range(size)]
        return {self.value(): self.value() for _ in range(size)}

    def _take(self, count: int) -> bytes:
        self._place += count
        return self._data[self._place - count : self._place]
