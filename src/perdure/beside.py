"""What engines beside the store have in common, whatever they hold: an owner's key, and what was opened."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from perdure.errors import Unavailable
from perdure.types import Partition


@dataclass
class Opened:
    """What was opened: `place` is where an engine has the namespace's data."""

    place: str = ""
    contents: str = ""
    dimensions: int = 0


def owner(partition: Partition) -> str:
    """A partition as a key, always the same; names of users are no part of it."""
    return blake2b(repr(tuple(partition)).encode(), digest_size=16).hexdigest()


def lost(engine: str) -> Unavailable:
    """What an engine says whose contents are not those that were opened."""
    return Unavailable(f"{engine} has lost what it held: it is told again")
