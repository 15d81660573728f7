"""How a store's file is opened, and what its errors say."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from perdure.errors import InvalidInput, StoreError, StoreUnwritable
from perdure.ports import Query
from perdure.stores.sqlite import SqliteStore, connection, read
from perdure.stores.sqlite.connection import explained, network_file_system
from perdure.testing.store.scenes import ALICE, SPACE, add, batch, played, query, said

MOUNTS = [
    "/dev/sda1 / ext4 rw 0 0",
    "server:/home /home nfs4 rw 0 0",
    "tmpfs /home/ann/ram tmpfs rw 0 0",
    r"//nas/share /mnt/my\040share cifs rw 0 0",
]


def play(path, scenario, **options):
    return played(SqliteStore(path=path, **options), scenario)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/memory.db", None),
        ("/home/ann/memory.db", "nfs4"),
        ("/home/ann/ram/memory.db", None),
        ("/homestead/memory.db", None),
        ("/mnt/my share/memory.db", "cifs"),
    ],
)
def test_a_network_file_system_is_told_by_the_nearest_mount(path, kind):
    assert network_file_system(Path(path), MOUNTS) == kind


def test_a_store_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_mounts", lambda: ["server:/ / nfs rw 0 0"])

    async def run():
        store = SqliteStore(path=tmp_path / "memory.db")
        with pytest.raises(StoreUnwritable, match="local disk"):
            await store.open(SPACE)
        await store.aclose()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_a_new_file_says_what_it_is(tmp_path):
    path = tmp_path / "memory.db"
    play(path, lambda store: store.stats("default"))
    with closing(sqlite3.connect(path)) as opened:
        told = [opened.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "page_size")]
    assert told == [0x50455244, 8192]


@pytest.mark.parametrize(("synchronous", "number"), [("FULL", 2), ("NORMAL", 1)])
def test_every_connection_is_set_up_alike(tmp_path, synchronous, number):
    async def look(store):
        def told(c):
            names = ("journal_mode", "synchronous", "secure_delete", "temp_store", "page_size")
            return [c.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

        return [await crew.do(told, alone=True) for crew in (store._use.writer, store._use.readers)]

    found = play(tmp_path / "memory.db", look, synchronous=synchronous, page_size=4096)
    assert found == [["wal", number, 1, 2, 4096]] * 2


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("readers", 0),
        ("readers", 10_000),
        ("busy_timeout", -1),
        ("busy_timeout", float("inf")),
        ("busy_timeout", float("nan")),
        ("page_size", 0),
        ("page_size", 1_000),
        ("page_size", 131_072),
        ("group", 0),
        ("synchronous", "OFF"),
    ],
)
def test_an_option_out_of_its_range_is_refused_at_once(tmp_path, option, value):
    with pytest.raises(ValueError, match=option):
        SqliteStore(path=tmp_path / "memory.db", **{option: value})


def test_readers_cannot_write(tmp_path):
    async def scenario(store):
        with pytest.raises(StoreError):
            await store._use.readers.do(lambda c: c.execute("DELETE FROM meta"))

    play(tmp_path / "memory.db", scenario)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"text": "x", "speaker": "half a pair \ud83d"}, "surrogate"),
        ({"text": "x", "metadata": {"a": "half a pair \ud83d"}}, "surrogate"),
        ({"text": "x", "metadata": {"a": float("nan")}}, "JSON"),
        ({"text": "x", "metadata": {"a": object()}}, "JSON"),
        ({"text": "x", "salience": 2**70}, "64 bits"),
    ],
)
def test_what_cannot_be_stored_is_the_callers_mistake_and_changes_nothing(tmp_path, fields, match):
    async def scenario(store):
        with pytest.raises(InvalidInput, match=match):
            await store.commit(batch(said(fields.pop("text"), **fields)))
        assert await store.find(query()) == []
        await add(store, "x")

    play(tmp_path / "memory.db", scenario)


def test_an_unknown_error_is_still_a_store_error():
    assert type(explained(sqlite3.OperationalError("?"), Path("memory.db"))) is StoreError


@pytest.mark.parametrize("with_vectors", [True, False])
def test_a_partition_is_loaded_by_its_keys_alone(tmp_path, with_vectors):
    """No scan and no sorting: the rows of a partition lie side by side, in order."""

    async def scenario(store):
        await add(store, "x")

        def plans(c):
            asked = []
            c.set_trace_callback(asked.append)
            read.load(c, ALICE.partition, since=0, known_at=None, space=SPACE, with_vectors=with_vectors)
            c.set_trace_callback(None)
            return [[step[3] for step in c.execute(f"EXPLAIN QUERY PLAN {sql}")] for sql in asked]

        return await store._use.readers.do(plans)

    *_, rows = play(tmp_path / "memory.db", scenario)
    assert [step.partition(" USING ")[2].removesuffix(" LEFT-JOIN") for step in rows] == [
        "PRIMARY KEY (partition=? AND ord>?)",
        "PRIMARY KEY (space=? AND partition=? AND ord=?)",
    ]


def test_a_part_is_listed_in_the_order_of_the_whole(tmp_path):
    async def scenario(store):
        for n in range(5):
            await add(store, str(n))
        listed = [
            await store.find(Query(tenant="default", now=query().now, limit=limit, order=order))
            for limit in (None, 5)
            for order in ("newest", "oldest")
        ]
        assert listed[0] == listed[2] == listed[1][::-1] == listed[3][::-1]

    play(tmp_path / "memory.db", scenario)
