"""mem0's files and servers, read as they are: missing, damaged, hostile and odd ones."""

from __future__ import annotations

import asyncio
import json
import pickle
import sqlite3
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from perdure.errors import ConfigurationError, MissingExtra, PerdureError, StoreDamaged, Unavailable
from perdure.migrate.mem0 import NO_TEXT, read
from perdure.migrate.mem0.spool import DELETED, NOBODY, ODD_ID, TWICE
from perdure.ports import Export
from perdure.types import Change, Memory, Turn

COLUMNS = "id, memory_id, old_memory, new_memory, event, created_at, updated_at, is_deleted, actor_id, role"


async def all_of(config: Mapping[str, Any], left_out: Counter[str] | None = None) -> list[Export]:
    return [export async for export in read(config, tenant="default", left_out=left_out)]


def taken(config: Mapping[str, Any], left_out: Counter[str] | None = None) -> list[Export]:
    return asyncio.run(all_of(config, left_out))


def texts(exports: list[Export]) -> list[tuple[str, str]]:
    """Owner and text of each turn."""
    return [(e.partition.owner, e.record.text) for e in exports if isinstance(e.record, Turn)]


def faiss(home: Path, docstore: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """mem0's configuration of a FAISS store that holds these payloads."""
    (home / "mem0.json").write_text(json.dumps({"docstore": docstore, "index_to_id": {}}))
    store = {"provider": "faiss", "config": {"path": str(home)}}
    return {"vector_store": store, "history_db_path": None, **more}


def history(path: Path, *rows: tuple[Any, ...], columns: str = COLUMNS) -> str:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE history ({columns})")
        marks = ", ".join("?" * len(columns.split(", ")))
        connection.executemany(f"INSERT INTO history VALUES ({marks})", rows)
    return str(path)


@pytest.mark.parametrize("provider", ["qdrant", "chroma", "faiss"])
def test_a_folder_that_is_missing_is_told_and_not_made(provider, tmp_path):
    folder = tmp_path / "missing"
    config = {
        "vector_store": {"provider": provider, "config": {"path": str(folder)}},
        "history_db_path": None,
    }
    with pytest.raises(ConfigurationError, match=r"there is no file .*missing.*look at vector_store"):
        taken(config)
    assert not list(tmp_path.iterdir())


def test_options_may_stand_beside_the_provider(tmp_path):
    beside = {
        "vector_store": {"provider": "qdrant", "path": str(tmp_path / "elsewhere")},
        "history_db_path": None,
    }
    with pytest.raises(ConfigurationError, match=r"there is no file .*elsewhere"):
        taken(beside)


def test_a_history_that_is_missing_is_told_and_not_made(tmp_path):
    config = faiss(tmp_path, {}, history_db_path=str(tmp_path / "gone.db"))
    with pytest.raises(ConfigurationError, match=r"there is no file .*gone\.db: look at history_db_path"):
        taken(config)
    assert not (tmp_path / "gone.db").exists()


def test_the_history_is_looked_for_where_mem0_puts_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "own"))
    config = faiss(tmp_path, {"a": {"data": "now", "user_id": "maya"}})
    del config["history_db_path"]
    assert texts(taken(config)) == [("user:maya", "now")]
    (tmp_path / "own").mkdir()
    line = ("1", "a", None, "before", "ADD", "2025-01-01", None, 0, None, None)
    history(tmp_path / "own" / "history.db", line)
    assert texts(taken(config)) == [("user:maya", "before")]


@pytest.mark.parametrize("provider", ["pinecone", "neptune", 5])
def test_another_store_is_told_by_its_name(provider):
    with pytest.raises(ConfigurationError, match="has to be qdrant, chroma, pgvector, faiss"):
        taken({"vector_store": {"provider": provider, "config": {}}})


@pytest.mark.parametrize("content", [b"no database at all " * 100, b""])
def test_a_file_that_is_no_history_is_told(content, tmp_path):
    (tmp_path / "history.db").write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"history\.db"):
        taken(faiss(tmp_path, {}, history_db_path=str(tmp_path / "history.db")))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"docstore": {"a": 1}}', b"\xff"])
def test_a_docstore_that_is_none_is_told(content, tmp_path):
    config = faiss(tmp_path, {})
    (tmp_path / "mem0.json").write_bytes(content)
    with pytest.raises(StoreDamaged, match=r"mem0\.json"):
        taken(config)


def test_owners_come_in_order_and_what_they_said_by_time(tmp_path):
    docstore = {
        "1": {"data": "late", "user_id": "b", "created_at": "2025-01-03"},
        "2": {"data": "early", "user_id": "b", "created_at": "2025-01-01"},
        "3": {"data": "of the agent", "agent_id": "bot", "created_at": "2025-01-02"},
        "4": {"data": "between", "user_id": "b"},
        "5": {"data": "other", "user_id": "a", "created_at": "2025-01-09"},
    }
    lines = ("1", "4", None, "between", "ADD", "2025-01-02", None, 0, None, None)
    config = faiss(tmp_path, docstore, history_db_path=history(tmp_path / "h.db", lines))
    assert texts(taken(config)) == [
        ("agent:bot", "of the agent"),
        ("user:a", "other"),
        ("user:b", "early"),
        ("user:b", "between"),
        ("user:b", "late"),
    ]


def test_what_is_left_out_is_counted(tmp_path):
    docstore = {
        "1": {"data": "nobody's"},
        "2": {"data": "odd", "user_id": "a\nb"},
        "x" * 257: {"data": "long", "user_id": "maya"},
        "4": {"data": "  ", "user_id": "maya"},
        "5": {"user_id": "maya"},
        "6": {"data": "tea", "user_id": "maya"},
        "7": None,
    }
    lines = ("1", "8", "tea", None, "DELETE", None, None, 1, None, None)
    config = faiss(tmp_path, docstore, history_db_path=history(tmp_path / "h.db", lines))
    left_out: Counter[str] = Counter()
    assert texts(taken(config, left_out)) == [("user:maya", "tea")]
    assert left_out == {NOBODY: 2, ODD_ID: 2, NO_TEXT: 2, DELETED: 1}
    left_out.clear()
    named = taken({**config, "unowned": {"agent_id": "house"}}, left_out)
    assert texts(named) == [("agent:house", "nobody's"), ("agent:house", "tea"), ("user:maya", "tea")]
    assert left_out == {ODD_ID: 2, NO_TEXT: 3}


@pytest.mark.parametrize(
    "unowned", [{"user": "maya"}, {"user_id": ""}, {"user_id": "a\nb"}, "maya", ["user_id"]]
)
def test_who_gets_what_is_nobodys_has_to_be_named(unowned, tmp_path):
    with pytest.raises(ConfigurationError, match="unowned names nobody"):
        taken(faiss(tmp_path, {}, unowned=unowned))


def test_a_history_that_says_whose_a_deleted_memory_was_is_believed(tmp_path):
    columns = f"{COLUMNS}, user_id, agent_id"
    lines = (
        ("1", "a", None, "tea", "ADD", "2025-01-01", None, 0, None, None, "maya", None),
        ("2", "a", "tea", None, "DELETE", None, None, 1, None, None, "maya", None),
    )
    config = faiss(tmp_path, {}, history_db_path=history(tmp_path / "h.db", *lines, columns=columns))
    _, version, _, end = [export.record for export in taken(config)]
    assert isinstance(version, Memory)
    assert isinstance(end, Change)
    assert (version.text, version.scope.user_id, version.retired_at) == ("tea", "maya", end.at)
    assert (end.event, end.at) == ("DELETE", datetime(2025, 1, 1, tzinfo=UTC))


def test_texts_that_no_database_takes_are_repaired(tmp_path):
    docstore = {"1": {"data": "a\0b\ud83dc", "user_id": "maya", "n": 2**70, "f": float("nan")}}
    found = taken(faiss(tmp_path, docstore))
    assert texts(found) == [("user:maya", "a\ufffdb\ufffdc")]
    version = found[1].record
    assert isinstance(version, Memory)
    assert version.metadata == {"n": str(2**70), "f": "nan"}


class Evil:
    """Unpickled, it would leave a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return exec, (f"open({str(self.path)!r}, 'w')",)


def test_a_docstore_of_mem0_1_is_read(tmp_path):
    payload = {
        "data": "tea",
        "user_id": "maya",
        "created_at": datetime(2025, 1, 1, tzinfo=UTC),
        "of": {"a"},
    }
    config = faiss(tmp_path, {})
    (tmp_path / "mem0.json").unlink()
    (tmp_path / "mem0.pkl").write_bytes(pickle.dumps(({"1": payload}, {0: "1"})))
    found = taken(config)
    version = found[1].record
    assert isinstance(version, Memory)
    assert (version.text, version.said_at, version.metadata) == ("tea", payload["created_at"], {"of": ["a"]})


@pytest.mark.parametrize("protocol", range(6))
def test_code_in_a_pickle_is_not_run(protocol, tmp_path):
    config = faiss(tmp_path, {})
    (tmp_path / "mem0.json").unlink()
    evil = {"1": {"data": "tea", "user_id": "maya", "evil": Evil(tmp_path / "was here")}}
    (tmp_path / "mem0.pkl").write_bytes(pickle.dumps((evil, {}), protocol=protocol))
    with pytest.raises(StoreDamaged, match="is no plain data"):
        taken(config)
    assert not (tmp_path / "was here").exists()


@pytest.mark.parametrize(
    "name", ["builtins.eval", "builtins.getattr", "numpy.f2py.diagnose.run", "qdrant_client.x"]
)
def test_no_function_is_reached_by_a_pickle(name, tmp_path):
    module, _, function = name.rpartition(".")
    called = f'c{module}\n{function}\n(S\'open("{tmp_path}/was here", "w")\'\ntR.'.encode()
    with pytest.raises(StoreDamaged):
        taken(qdrant_folder(tmp_path, called))
    assert not (tmp_path / "was here").exists()


def qdrant_folder(home: Path, *points: bytes) -> dict[str, Any]:
    place = home / "collection" / "mem0"
    place.mkdir(parents=True)
    with closing(sqlite3.connect(place / "storage.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE points (id TEXT PRIMARY KEY, point BLOB)")
        connection.executemany("INSERT INTO points VALUES (?, ?)", enumerate(points))
    return {"vector_store": {"config": {"path": str(home)}}, "history_db_path": None}


class PointStruct:
    """Pickled as pydantic's objects are, under the name of Qdrant's."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getstate__(self) -> dict[str, Any]:
        return {"__dict__": self.__dict__, "__pydantic_fields_set__": {"id"}, "__pydantic_extra__": None}


def test_a_point_is_read_whatever_its_vector_is_made_of(tmp_path, monkeypatch):
    models = ModuleType("qdrant_client.http.models.models")
    models.PointStruct = PointStruct  # type: ignore[attr-defined]  # a module made here
    for parent in accumulate(models.__name__.split("."), "{}.{}".format):
        monkeypatch.setitem(sys.modules, parent, models)
    monkeypatch.setattr(PointStruct, "__module__", models.__name__)
    same = uuid.UUID(int=5)
    written = [
        PointStruct(id=id_, vector=vector, payload={"data": text, "user_id": "maya"})
        for id_, vector, text in (
            (str(same), [1.0], "an older copy"),
            (same, np.ones(3, np.float32), "tea"),
            (7, {"bm25": PointStruct(indices=[1], values=[1.0])}, "coffee"),
            ("8", [np.float64(1)], "cocoa"),
        )
    ]
    left_out: Counter[str] = Counter()
    config = qdrant_folder(tmp_path, *(pickle.dumps(point) for point in written))
    found = texts(taken(config, left_out))
    assert sorted(text for _, text in found) == ["cocoa", "coffee", "tea"]
    assert left_out == {TWICE: 1}


def test_a_folder_of_an_old_qdrant_is_told(tmp_path):
    place = tmp_path / "collection" / "mem0"
    place.mkdir(parents=True)
    (place / "storage.dbm").touch()
    with pytest.raises(ConfigurationError, match="open it once with a newer one"):
        taken(
            {
                "vector_store": {"provider": "qdrant", "config": {"path": str(tmp_path)}},
                "history_db_path": None,
            }
        )


@asynccontextmanager
async def qdrant_server(
    points: list[dict[str, Any]], *, status: int = 200, key: str = ""
) -> AsyncIterator[int]:
    """Answers to `scroll` as Qdrant's documentation has them."""

    async def scroll(request: web.Request) -> web.Response:
        if status != 200 or request.headers.get("api-key", "") != key:
            return web.json_response({"status": {"error": "no"}}, status=status if status != 200 else 401)
        if request.match_info["name"] != "my mem0":
            return web.json_response({"status": {"error": "Not found"}}, status=404)
        asked = await request.json()
        assert asked["with_payload"] is True
        assert asked["with_vector"] is False
        begin = next((n for n, point in enumerate(points) if point["id"] == asked.get("offset")), 0)
        page = points[begin : begin + asked["limit"]]
        following = points[begin + len(page) :]
        result = {"points": page, "next_page_offset": following[0]["id"] if following else None}
        return web.json_response({"result": result, "status": "ok", "time": 0.001})

    app = web.Application()
    app.router.add_post("/collections/{name}/points/scroll", scroll)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def test_a_qdrant_server_is_read_page_by_page():
    payloads = [{"data": f"number {n}", "user_id": "maya"} for n in range(1_201)]
    points = [{"id": n, "payload": payload, "vector": None} for n, payload in enumerate(payloads)]

    async def run() -> list[Export]:
        async with qdrant_server(points, key="secret") as port:
            store = {"collection_name": "my mem0", "host": "127.0.0.1", "port": port, "api_key": "secret"}
            config = {"vector_store": {"config": {**store, "https": False}}, "history_db_path": None}
            return await all_of(config)

    assert sorted(text for _, text in texts(asyncio.run(run()))) == sorted(p["data"] for p in payloads)


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({"api_key": "wrong key"}, 200, ConfigurationError),
        ({"collection_name": "other"}, 200, ConfigurationError),
        ({}, 503, Unavailable),
        ({}, 429, Unavailable),
    ],
)
def test_a_server_that_refuses_is_told_without_the_key(more, status, error):
    async def run() -> None:
        async with qdrant_server([], status=status) as port:
            store = {"collection_name": "my mem0", "url": f"http://127.0.0.1:{port}", **more}
            await all_of({"vector_store": {"config": store}, "history_db_path": None})

    with pytest.raises(error, match=r"127\.0\.0\.1") as told:
        asyncio.run(run())
    assert "wrong key" not in str(told.value)


@pytest.mark.parametrize(
    ("provider", "store"),
    [
        ("qdrant", {"url": "http://127.0.0.1:9"}),
        ("chroma", {"host": "127.0.0.1", "port": 9}),
        ("pgvector", {"user": "maya", "password": "pass-word", "host": "127.0.0.1", "port": 9}),
    ],
)
def test_a_server_that_is_not_there_is_told(provider, store):
    with pytest.raises(Unavailable) as told:
        taken({"vector_store": {"provider": provider, "config": store}, "history_db_path": None})
    assert "pass-word" not in f"{told.value!r} {told.value.__cause__!r}"


def chroma_folder(home: Path) -> sqlite3.Connection:
    """The tables of Chroma 0.4 that matter, with one memory."""
    connection = sqlite3.connect(home / "chroma.sqlite3", isolation_level=None)
    connection.executescript("""
        CREATE TABLE collections (id TEXT, name TEXT);
        CREATE TABLE segments (id TEXT, type TEXT, scope TEXT, collection TEXT);
        CREATE TABLE embeddings (id INTEGER PRIMARY KEY, segment_id TEXT, embedding_id TEXT, seq_id BLOB);
        CREATE TABLE embedding_metadata (id INTEGER, key TEXT, string_value TEXT, int_value INTEGER,
            float_value REAL, bool_value INTEGER);
        CREATE TABLE embeddings_queue (seq_id INTEGER PRIMARY KEY, topic TEXT);
        CREATE TABLE max_seq_id (segment_id TEXT, seq_id BLOB);
        INSERT INTO collections VALUES ('c', 'mem0');
        INSERT INTO segments VALUES ('v', 'hnsw', 'VECTOR', 'c'), ('m', 'sqlite', 'METADATA', 'c');
        INSERT INTO embeddings VALUES (1, 'm', 'one', x'01');
        INSERT INTO embedding_metadata VALUES (1, 'data', 'tea', NULL, NULL, NULL),
            (1, 'user_id', 'maya', NULL, NULL, NULL), (1, 'sure', NULL, NULL, NULL, 0);
        INSERT INTO embeddings_queue VALUES (1, 'persistent://default/default/c');
        INSERT INTO max_seq_id VALUES ('m', x'0000000000000001');
    """)
    return connection


def test_a_folder_of_an_older_chroma_is_read(tmp_path):
    config = {
        "vector_store": {"provider": "chroma", "config": {"path": str(tmp_path)}},
        "history_db_path": None,
    }
    with closing(chroma_folder(tmp_path)) as connection:
        _, version, _ = [export.record for export in taken(config)]
        assert isinstance(version, Memory)
        assert (version.id, version.text, version.metadata) == ("one", "tea", {"sure": False})
        connection.execute("INSERT INTO embeddings_queue VALUES (2, 'persistent://default/default/c')")
        with pytest.raises(ConfigurationError, match="not taken in yet"):
            taken(config)
        config["vector_store"]["config"]["collection_name"] = "other"
        with pytest.raises(ConfigurationError, match="no collection 'other'"):
            taken(config)


def test_chromas_cloud_is_told():
    store = {"provider": "chroma", "config": {"api_key": "secret", "tenant": "t"}}
    with pytest.raises(ConfigurationError, match="cloud"):
        taken({"vector_store": store, "history_db_path": None})


def test_a_database_that_somebody_writes_to_is_waited_for(tmp_path):
    path = history(tmp_path / "h.db", ("1", "a", None, "tea", "ADD", "2025-01-01", None, 0, None, None))
    config = faiss(tmp_path, {"a": {"data": "tea", "user_id": "maya"}}, history_db_path=path)

    async def run() -> list[Export]:
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            await asyncio.to_thread(connection.execute, "BEGIN EXCLUSIVE")
            reading = asyncio.create_task(all_of(config))
            await asyncio.sleep(0.2)
            assert not reading.done()
            await asyncio.to_thread(connection.execute, "COMMIT")
            return await reading

    assert texts(asyncio.run(run())) == [("user:maya", "tea")]


def test_psycopg_that_is_missing_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"pip install 'perdure\[pgvector\]'"):
        taken({"vector_store": {"provider": "pgvector", "config": {}}, "history_db_path": None})


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ({"collection_name": "other"}, "no table 'other'"),
        ({"connection_string": "secret without sense"}, "cannot be read"),
        ({"collection_name": "locked"}, "may not read"),
    ],
)
def test_a_table_that_cannot_be_read_is_told(store, message, postgres_server):
    postgres_server.sql("CREATE TABLE IF NOT EXISTS locked (id uuid, payload jsonb)")
    config = {"connection_string": postgres_server.url(), **store}
    with pytest.raises(ConfigurationError, match=message) as told:
        taken({"vector_store": {"provider": "pgvector", "config": config}, "history_db_path": None})
    assert "secret" not in f"{told.value!r} {told.value.__cause__!r}"


def test_a_table_is_read_by_the_parts_of_an_address(postgres_server):
    postgres_server.sql(
        "CREATE TABLE IF NOT EXISTS parts (id uuid, payload jsonb); TRUNCATE parts; GRANT SELECT ON parts TO perdure;"
        'INSERT INTO parts SELECT gen_random_uuid(), \'{"data": "tea", "user_id": "maya"}\''
    )
    parts = {"user": "perdure", "password": "perdure", "host": "127.0.0.1", "port": postgres_server.port}
    store = {**parts, "dbname": "perdure", "sslmode": "prefer", "collection_name": "parts"}
    found = taken({"vector_store": {"provider": "pgvector", "config": store}, "history_db_path": None})
    assert texts(found) == [("user:maya", "tea")]


def test_a_reader_that_stops_early_leaves_nothing_open(tmp_path):
    docstore = {f"{n}": {"data": f"number {n}", "user_id": "maya"} for n in range(1_000)}
    config = faiss(tmp_path, docstore)

    async def run() -> None:
        exports = read(config, tenant="default")
        await anext(exports)
        await exports.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(exports)

    asyncio.run(run())


def test_a_reader_that_is_cancelled_ends_after_what_it_was_reading(tmp_path):
    docstore = {f"{n}": {"data": f"number {n}", "user_id": "maya"} for n in range(5_000)}
    config = faiss(tmp_path, docstore)

    async def run() -> None:
        reading = asyncio.create_task(all_of(config))
        for _ in range(5):  # somewhere in the middle
            await asyncio.sleep(0.01)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(run())


def test_nothing_at_all_is_nothing(tmp_path):
    assert taken(faiss(tmp_path, {})) == []
    with pytest.raises(PerdureError):
        taken({})
