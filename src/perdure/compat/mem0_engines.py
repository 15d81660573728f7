"""mem0's vector stores and graph stores with their options, translated into Perdure's engines beside the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from perdure.compat.mem0_servers import Options, Part, named
from perdure.errors import ConfigurationError

_IGNORED: Final = ("embedding_model_dims", "metric_type", "index_measure", "diskann", "minconn")
"""Options of mem0 that change nothing here: dimensions are the embedder's, and nearness is the cosine."""
_QDRANT: Final = (
    *("host", "port", "grpc_port", "url", "path", "api_key", "https", "prefer_grpc", "timeout"),
    *("connection_pool_size", "on_disk", "hnsw_config", "quantization_config"),
)
_CHROMA: Final = ("host", "port", "path", "api_key", "tenant")
_PGVECTOR: Final = ("dbname", "user", "password", "host", "port", "sslmode", "hnsw")
_MILVUS: Final = ("token", "db_name")
_CLOUD: Final = "https://api.trychroma.com"
_OWN: Final = {"client": "host, port or url", "connection_pool": "connection_string"}
"""What mem0 takes as an object, and what is given here in its place."""


def vectors(part: Part) -> Part:
    """mem0's options of a vector store as those of a vector engine.

    The truth stays in Perdure's own store: a vector store of mem0's holds what is made from it.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = named(part, "qdrant")
    if name not in _VECTORS:
        raise ConfigurationError(
            f"vector_store {name!r} is not available here: leave it out, and vectors are searched in the store's own "
            f"file, or name one of {', '.join(_VECTORS)}"
        )
    ours, known, more = _VECTORS[name]
    for option, instead in _OWN.items():
        if given.pop(option, None) is not None:
            raise ConfigurationError(
                f"vector_store.config has {option!r}, an object of your own: give {instead} instead"
            )
    made = _taken(given, known)
    more(made, given)
    if prefix := given.pop("collection_name", None):
        made["prefix"] = prefix
    _nothing_left("vector_store", given)
    return {"provider": ours, "config": made}


def dimensions(part: Part | None) -> int | None:
    """How many numbers a vector has, by what a vector store is told; mem0's users tell it what their model gives."""
    size = named(part or {}, "qdrant")[1].get("embedding_model_dims")
    return None if size is None else int(size)


def graph(part: Part) -> Part:
    """mem0's options of a graph store as those of a graph engine.

    Raises:
        ConfigurationError: a provider or an option that has no counterpart.
    """
    name, given = named(part, "neo4j")
    for option in ("llm", "custom_prompt", "threshold"):
        if part.get(option) is not None:
            raise ConfigurationError(
                f"graph_store has {option!r}, which has no counterpart here: relations come from the facts that `llm` "
                "learns; leave it out"
            )
    given.pop("base_label", None)  # nodes have a label of their own here
    if name == "neo4j":
        made = _taken(given, ("url", "username", "password", "database"))
    elif name == "falkordb":
        made = _falkordb(given)
    else:
        raise ConfigurationError(
            f"graph_store {name!r} is not available here: leave it out, and relations are kept in the store's own file, "
            "or name neo4j or falkordb"
        )
    _nothing_left("graph_store", given)
    return {"provider": name, "config": made}


def _qdrant(made: Options, _given: Options) -> None:
    """A server, where one is named; else a folder."""
    if made.get("url") or made.get("host"):
        made.pop("path", None)
    else:
        made.setdefault("path", "/tmp/qdrant")  # noqa: S108  # mem0's own


def _chroma(made: Options, _given: Options) -> None:
    """A server, where one is named; Chroma's cloud, for a tenant with a key; else a folder."""
    if made.get("host"):
        made.pop("path", None)
    elif made.get("tenant") and made.get("api_key"):
        made.pop("path", None)
        made.update(url=_CLOUD, database="mem0")
    else:
        made.setdefault("path", "/tmp/chroma")  # noqa: S108  # mem0's own


def _pgvector(made: Options, given: Options) -> None:
    """A connection string, or the parts of one, in which mem0 has a database of its own; and how many connections."""
    for theirs, ours in (("connection_string", "url"), ("maxconn", "connections")):
        if theirs in given:
            made[ours] = given.pop(theirs)
    if "url" not in made:
        made.setdefault("dbname", "postgres")


def _supabase(made: Options, given: Options) -> None:
    """A PostgreSQL with pgvector; an index where one is named."""
    _pgvector(made, given)
    made["hnsw"] = given.pop("index_method", "auto") == "hnsw"


def _milvus(made: Options, given: Options) -> None:
    """A server, by a URL or by its name alone; what looks like a file is a folder with Milvus Lite."""
    url, host, port = (given.pop(name, None) for name in ("url", "host", "port"))
    if url and "://" not in url and (url.endswith(".db") or "/" in url or "\\" in url):
        made["path"] = url
    elif url and "://" in url:
        made["url"] = url
    elif place := url or host or (port and "localhost"):
        made["url"] = f"http://{place}" if ":" in place else f"http://{place}:{port or 19530}"


def _redis(made: Options, given: Options) -> None:
    """Where it is."""
    if url := given.pop("redis_url", None):
        made["url"] = url


def _falkordb(given: Options) -> Options:
    host, port, database = (given.pop(name, None) for name in ("host", "port", "database"))
    user, made = given.pop("username", None), _taken(given, ("url", "password"))
    if host or port or user:
        name = f"{user}@" if user else ""
        made["url"] = f"redis://{name}{host or 'localhost'}:{port or 6379}/0"
    return made | ({"prefix": database} if database else {})


_VECTORS: Final[Mapping[str, tuple[str, tuple[str, ...], Callable[[Options, Options], None]]]] = {
    "qdrant": ("qdrant", _QDRANT, _qdrant),
    "chroma": ("chroma", _CHROMA, _chroma),
    "pgvector": ("pgvector", _PGVECTOR, _pgvector),
    "supabase": ("pgvector", (), _supabase),
    "milvus": ("milvus", _MILVUS, _milvus),
    "redis": ("redis", (), _redis),
}
"""Ours, the options that are called the same, and how the others are read."""


def _taken(given: Options, names: tuple[str, ...]) -> Options:
    return {name: given.pop(name) for name in names if name in given}


def _nothing_left(part: str, given: Options) -> None:
    if left := given.keys() - set(_IGNORED):
        raise ConfigurationError(
            f"{part}.config has {min(left)!r}, which has no counterpart here: leave it out"
        )
