"""Names in caches: hashes of everything that a value depends on, and of nothing else."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from hashlib import blake2b

NAME_BYTES = 16


def digest(*parts: object) -> str:
    """A name for these parts: numbers, texts, moments, None, tuples of them and frozen values made of them.

    Different parts have different names, as far as 128 bits go (BLAKE2b, RFC 7693).
    """
    return blake2b(repr(tuple(map(plain, parts))).encode(), digest_size=NAME_BYTES).hexdigest()


def plain(value: object) -> object:
    """A frozen value as a tuple of its class and fields, whose representation says all that is in it."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, *(plain(getattr(value, f.name)) for f in fields(value) if f.init))
    return value


def identity(provider: object) -> str:
    """A provider with its options, as far as they show: secrets do not."""
    kind = type(provider)
    return f"{kind.__module__}.{kind.__qualname__}/{getattr(provider, 'model', '')}/{provider!r}"
