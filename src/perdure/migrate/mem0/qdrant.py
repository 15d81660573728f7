"""mem0's memories in Qdrant: in a folder, or in a server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from perdure.errors import ConfigurationError, StoreDamaged, Unavailable
from perdure.migrate.mem0 import pickles
from perdure.migrate.mem0.files import PAGE, database, in_thread
from perdure.migrate.mem0.payloads import Point
from perdure.migrate.mem0.web import checked, server

PORT = 6333
"""Qdrant's own, where neither the URL nor `port` names one."""


def points(options: Mapping[str, Any]) -> AsyncIterator[list[Point]]:
    """All of a collection, page by page.

    Args:
        options: mem0's of this store: `url`, or `host` and `port`, else `path`; `api_key`, `collection_name`.

    Raises:
        ConfigurationError: there is no such collection.
        StoreDamaged: a folder cannot be read.
        Unavailable: a server does not answer.
    """
    collection = options["collection_name"]
    if url := _url(options):
        return _scrolled(url, options.get("api_key"), collection)
    return in_thread(_in_folder(Path(options.get("path") or "/tmp/qdrant"), collection))  # noqa: S108  # mem0's place


def _url(options: Mapping[str, Any]) -> str | None:
    """Where the server is, as Qdrant's own client understands it; None for a folder."""
    host, port = options.get("host"), options.get("port")
    if not options.get("url") and not (host and port):
        return None
    secure = options["https"] if options.get("https") is not None else bool(options.get("api_key"))
    url = str(options.get("url") or f"{host}:{port}")
    url = url if "://" in url else f"{'https' if secure else 'http'}://{url}"
    checked("Qdrant", url)
    parts = urlsplit(url)
    place = parts.netloc if parts.port else f"{parts.netloc}:{PORT}"
    return f"{parts.scheme}://{place}{parts.path}".rstrip("/")


async def _scrolled(url: str, key: str | None, collection: str) -> AsyncIterator[list[Point]]:
    path = f"/collections/{quote(collection, safe='')}/points/scroll"
    body: dict[str, Any] = {"limit": PAGE, "with_payload": True, "with_vector": False}
    async with server("Qdrant", url, {"api-key": key} if key else {}) as asked:
        while True:
            answer = await asked.ask("POST", path, body)
            try:
                held = answer["result"]
                page = [Point(str(point["id"]), point.get("payload") or {}) for point in held["points"]]
            except (LookupError, TypeError, AttributeError) as error:
                raise Unavailable(
                    f"what answers at {asked.place} is no Qdrant: look at the address"
                ) from error
            yield page
            if held.get("next_page_offset") is None:
                return
            body["offset"] = held["next_page_offset"]


def _in_folder(folder: Path, collection: str) -> Iterator[list[Point]]:
    """What Qdrant's client keeps in a folder: a row for each point, the latest last where one has two."""
    place = folder / "collection" / collection
    if (place / "storage.dbm").exists() and not (place / "storage.sqlite").exists():
        raise ConfigurationError(
            f"{place} was written by qdrant-client before 1.1.7: open it once with a newer one"
        )
    with database(place / "storage.sqlite", "vector_store.config.path and collection_name") as connection:
        found = connection.execute("SELECT point FROM points ORDER BY rowid DESC")
        while rows := found.fetchmany(PAGE):
            yield [_point(data, place) for [data] in rows]


def _point(data: bytes, place: Path) -> Point:
    held = pickles.loads(data, place)
    fields = held.fields() if isinstance(held, pickles.Held) else {}
    payload = fields.get("payload") or {}
    if "id" not in fields or not isinstance(payload, dict):
        raise StoreDamaged(f"{place} holds something that is no point of Qdrant's")
    return Point(str(fields["id"]), payload)
