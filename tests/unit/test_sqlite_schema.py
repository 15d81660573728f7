"""Stores of every released schema version can be opened, with all that is in them."""

import asyncio
import importlib.util
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from perdure.ports import Query
from perdure.stores.sqlite import SqliteStore
from perdure.stores.sqlite.migrations import scripts

FOLDER = Path(__file__).parents[1] / "fixtures" / "schema"
FILES = sorted(FOLDER.glob("*.db"))


@pytest.fixture(scope="module")
def made():
    """The script that made the files: it says what is in them."""
    spec = importlib.util.spec_from_file_location("make", FOLDER / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def opened(path, space, question):
    async def run():
        store = SqliteStore(path=path)
        await store.open(space)
        try:
            return await question(store)
        finally:
            await store.aclose()

    return asyncio.run(run())


def tables(path):
    with closing(sqlite3.connect(path)) as connection:
        return set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))


def test_there_is_a_file_of_every_schema_version():
    assert [int(file.stem) for file in FILES] == list(range(1, len(scripts()) + 1))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_store_of_that_schema_holds_what_was_put_into_it(file, tmp_path, made):
    path = tmp_path / "memory.db"
    shutil.copy(file, path)

    async def look(store):
        assert await store.check() == []
        found = await store.find(Query(tenant="default", now=made.LATER, order="oldest"))
        turns = await store.turns("default", ["turn-1"])
        events = [change.event for change in await store.history("default", "fact-1")]
        rows = (await store.load(made.ALICE.partition)).rows
        return found, turns, events, [(row.ord, row.words, row.vectors) for row in rows]

    found, turns, events, rows = opened(path, made.SPACE, look)
    assert found == [made.KEPT, made.REVISED]
    assert turns == [made.TURN]
    assert events == ["ADD", "UPDATE"]
    assert rows == [(ord_, made.ENTRY.words, made.ENTRY.vectors) for ord_ in (1, 3)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_upgraded_store_has_the_tables_of_a_new_one(file, tmp_path, made):
    upgraded, new = tmp_path / "upgraded.db", tmp_path / "new.db"
    shutil.copy(file, upgraded)
    for path in (upgraded, new):
        opened(path, made.SPACE, lambda store: store.stats("default"))
    assert tables(upgraded) == tables(new)
