"""mem0's memories in FAISS: the file of payloads beside the index, which is not needed for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from perdure.errors import StoreDamaged
from perdure.migrate.mem0 import pickles
from perdure.migrate.mem0.files import PAGE, existing, in_thread
from perdure.migrate.mem0.payloads import Point


def points(options: Mapping[str, Any]) -> AsyncIterator[list[Point]]:
    """All of a collection, page by page.

    Args:
        options: mem0's of this store: `path`, `collection_name`.

    Raises:
        ConfigurationError: there is no such collection.
        StoreDamaged: it cannot be read, or a pickle holds something else than data.
    """
    return in_thread(_pages(Path(options.get("path") or "/tmp/faiss"), options["collection_name"]))  # noqa: S108  # mem0's place


def _pages(folder: Path, collection: str) -> Iterator[list[Point]]:
    held = list(_docstore(folder / collection).items())
    for start in range(0, len(held), PAGE):
        yield [Point(str(name), payload or {}) for name, payload in held[start : start + PAGE]]


def _docstore(stem: Path) -> dict[Any, Any]:
    """Payloads by ids: mem0 2.x writes JSON, mem0 1.x wrote a pickle of a pair."""
    new, old = stem.with_name(f"{stem.name}.json"), stem.with_name(f"{stem.name}.pkl")
    place = existing(old if old.exists() and not new.exists() else new, "vector_store.config.path")
    try:
        held = json.loads(place.read_bytes()) if place == new else pickles.loads(place.read_bytes(), place)
    except ValueError as error:
        raise StoreDamaged(f"{place} cannot be read: {error}") from error
    if isinstance(held, tuple) and held:
        docstore = held[0]
    else:
        docstore = held.get("docstore") if isinstance(held, dict) else None
    if not isinstance(docstore, dict) or not all(
        isinstance(payload, dict | None) for payload in docstore.values()
    ):
        raise StoreDamaged(f"{place} does not hold mem0's memories")
    return docstore
