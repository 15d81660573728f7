"""PostgreSQL as the truth, as users meet it: every face, answers like SQLite's, each tenant to itself."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import traceback
import warnings
from itertools import count
from typing import Any

import psycopg
import pytest

from perdure import AsyncMemory, Config, Memory
from perdure.cli import main
from perdure.errors import (
    ConfigurationError,
    InvalidInput,
    ModelMismatch,
    NotAStore,
    NotFound,
    StoreError,
    StoreUnwritable,
    Unavailable,
)
from perdure.filters import parse
from perdure.migrate import migrate
from perdure.testing.servers import PostgresServer
from perdure.testing.store.scenes import query
from perdure.types import Partition

NAMES = count(1)
USERS = ("maya", "tomas")
SUBJECTS = ("Biscuit", "my sister", "the old boat", "Lisbon", "our neighbour", "the choir", "café Zürich")
VERBS = ("needs", "likes", "forgot", "moved to", "painted", "sold", "waited for")
OBJECTS = ("a green door", "the harbour", "two tickets", "tea at noon", "a dentist", "犬の散歩", "new shoes")


@pytest.fixture
def store(postgres_server: PostgresServer) -> dict[str, Any]:
    """The role of a store that nobody has used yet."""
    return {"provider": "postgres", "url": postgres_server.url(), "schema": f"own{next(NAMES)}"}


def config(store: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"store": store, "embedder": "hash", **more}


def said(seed: int, number: int) -> list[str]:
    pick = random.Random(seed)
    return [
        f"{pick.choice(SUBJECTS)} {pick.choice(VERBS)} {pick.choice(OBJECTS)} on May {pick.randint(1, 28)}, 2024"
        for _ in range(number)
    ]


# ---- the faces


def test_both_faces_remember_in_postgres(store):
    async def later() -> list[str]:
        async with AsyncMemory(config(store)) as memory:
            await asyncio.gather(*[memory.add(f"Biscuit ate shoe {n}", user_id="maya") for n in range(20)])
            found = await memory.search("who ate shoe 7", user_id="maya", top_k=1)
            return [one["memory"] for one in found["results"]]

    with Memory.from_config(config(store)) as memory:
        memory.add("Biscuit is a beagle", user_id="maya")
    assert asyncio.run(later()) == ["Biscuit ate shoe 7"]
    with Memory(config(store)) as memory:
        assert memory.search("a beagle", user_id="maya")["results"][0]["memory"] == "Biscuit is a beagle"
        assert memory.stats()["memories"] == 21
        assert memory.doctor()["sound"]
        with pytest.raises(InvalidInput, match="use its own tools"):
            memory.backup("copy.db")


def test_the_command_line_uses_it(store, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PERDURE_EMBEDDER", "hash")
    file = tmp_path / "perdure.toml"
    file.write_text("[store]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in store.items()))

    def answer(*arguments: str) -> Any:
        code = main([*arguments, "--json", "--config", str(file)])
        out, err = capsys.readouterr()
        assert code == 0, err
        return json.loads(out)

    answer("add", "Biscuit is a beagle", "--user", "maya")
    [found] = answer("search", "a beagle", "--user", "maya")["results"]
    assert found["memory"] == "Biscuit is a beagle"
    assert answer("doctor")["sound"]
    answer("export", str(tmp_path / "all.jsonl"))
    answer("reset", "--yes")
    assert answer("list", "--user", "maya")["results"] == []
    answer("import", str(tmp_path / "all.jsonl"))
    assert answer("show", found["id"])["memory"] == found["memory"]
    answer("erase", found["id"], "--yes")
    assert answer("stats")["memories"] == 0


def test_the_environment_is_enough(store, monkeypatch):
    monkeypatch.setenv("PERDURE_STORE", "postgres")
    monkeypatch.setenv("PERDURE_STORE__URL", store["url"])
    monkeypatch.setenv("PERDURE_STORE__SCHEMA", store["schema"])
    monkeypatch.setenv("PERDURE_EMBEDDER", "none")
    with Memory() as memory:
        memory.add("Biscuit is a beagle", user_id="maya")
        assert memory.stats()["memories"] == 1


def test_a_forked_child_has_connections_of_its_own(store):
    with Memory(config(store)) as memory:
        memory.add("said before", user_id="maya")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            child = os.fork()
        if child == 0:
            try:
                memory.add("said by the child", user_id="maya")
                os._exit(0)
            except BaseException:  # noqa: BLE001  # whatever it was, the parent's tests are not to go on here
                os._exit(1)
        memory.add("said by the parent", user_id="maya")
        assert os.waitpid(child, 0)[1] == 0
        told = {one["memory"] for one in memory.search("who said what", user_id="maya")["results"]}
        assert told == {"said before", "said by the child", "said by the parent"}


def test_without_its_package_the_extra_is_named():
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from perdure import Memory\nfrom perdure.errors import MissingExtra\n"
        "try: Memory({'store': 'postgres'}).stats()\nexcept MissingExtra as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'perdure[postgres]'" in done.stdout


# ---- what it says when it cannot


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        ({"password": "SECRET"}, ConfigurationError, "does not let us in"),
        ({"dbname": "nowhere"}, ConfigurationError, "dbname"),
        ({"port": 1}, Unavailable, "cannot be reached"),
        ({"schema": "information_schema"}, NotAStore, "another `schema`"),
    ],
)
def test_what_is_wrong_is_said_without_secrets(store, wrong, error, words):
    memory = Memory(config({**store, **wrong}))
    with pytest.raises(error, match=words) as caught, memory:
        memory.add("tea", user_id="maya")
    assert "SECRET" not in f"{caught.value!r} {caught.value}"


UNESCAPED = (
    "LION@TIGER", "LION/TIGER", "LION@T/TIGER", "L/LION@TIGER", "1/TIGER", "@TIGER", "TIGER@", "LION:TIGER@", "LION%TIGER",
    "L?LION@TIGER",
)  # fmt: skip


@pytest.mark.parametrize("password", UNESCAPED)
def test_a_password_that_is_not_escaped_is_shown_nowhere(password, caplog, capsys, monkeypatch):
    url = f"postgresql://perdure:{password}@127.0.0.1:1/perdure"
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ConfigurationError, match="url") as caught:
        Memory({"store": {"provider": "postgres", "url": url, "connect_timeout": 0.1}}).stats()
    monkeypatch.setenv("PERDURE_STORE", "postgres")
    monkeypatch.setenv("PERDURE_STORE__URL", url)
    assert main(["stats"]) > 0
    for told in ("".join(traceback.format_exception(caught.value)), caplog.text, *capsys.readouterr()):
        assert "LION" not in told
        assert "TIGER" not in told


def test_another_model_is_refused_before_anything_is_written(store):
    with Memory(config(store)) as memory:
        memory.add("tea", user_id="maya")
    other = {"provider": "hash", "dimensions": 64}
    with Memory(config(store, embedder=other)) as memory:
        with pytest.raises(ModelMismatch, match="perdure reindex"):
            memory.add("milk", user_id="maya")
        memory.reindex()
        memory.add("milk", user_id="maya")
        assert memory.stats()["memories"] == 2


# ---- the same answers


def test_what_was_moved_to_postgres_is_ranked_told_and_dated_as_in_sqlite(store, tmp_path):
    sqlite = {"provider": "sqlite", "path": str(tmp_path / "memory.db"), "synchronous": "NORMAL"}
    with Memory(config(sqlite)) as old, Memory(config(store)) as new:
        for seed, user in enumerate(USERS):
            for n, text in enumerate(said(seed, 150)):
                old.add(text, user_id=user, metadata={"n": n, "even": n % 2 == 0}, infer=False)
        listed = old.get_all(user_id="maya", top_k=1_000)["results"]
        old.update(listed[3]["id"], "Biscuit moved to the harbour for good")
        old.delete(listed[5]["id"])
        new.import_records(old.export_records())
        alike(old, new)
        for both in (old, new):  # each goes on by itself
            both.update(listed[8]["id"], "The choir painted the old boat")
            both.delete(listed[9]["id"])
        alike(old, new, changing=True)


def alike(old: Memory, new: Memory, *, changing: bool = False) -> None:
    """All that both answer is the same, to the last digit of a score."""
    questions = [
        *said(9, 12),
        "Who likes tea?",
        "what happened on May 7, 2024",
        "犬",
        "nothing of the kind xyzzy",
    ]
    for question in questions:
        for user in USERS:
            for more in (
                {"explain": True},
                {"filters": {"metadata": {"even": True}}},
                {"filters": {"memory": {"icontains": "BISCUIT"}}, "top_k": 3},
            ):
                mine, theirs = (
                    m.search(question, user_id=user, top_k=20, **more)  # type: ignore[misc]
                    if "top_k" not in more
                    else m.search(question, user_id=user, **more)
                    for m in (old, new)
                )
                assert plain(mine, changing=changing) == plain(theirs, changing=changing)
    for user in USERS:
        listed = old.get_all(user_id=user, top_k=1_000)["results"]
        told = new.get_all(user_id=user, top_k=1_000)["results"]
        assert plain(listed, changing=changing) == plain(told, changing=changing)
        for one in listed[:12]:
            history = [
                [(line["event"], line["old_memory"], line["new_memory"]) for line in m.history(one["id"])]
                for m in (old, new)
            ]
            assert history[0] == history[1]


def plain(answer: Any, *, changing: bool) -> Any:
    """An answer, without the moments at which each store itself was changed."""
    if isinstance(answer, dict):
        mine = {"updated_at", "recorded_at"} if changing else set()
        return {key: plain(value, changing=changing) for key, value in answer.items() if key not in mine}
    return [plain(one, changing=changing) for one in answer] if isinstance(answer, list) else answer


def test_a_whole_memory_moves_to_postgres_and_back_and_is_what_it_was(store, postgres_server, tmp_path):
    start, there, back = (
        Config.of(config(where))
        for where in (
            {"provider": "sqlite", "path": str(tmp_path / "start.db")},
            store,
            {"provider": "sqlite", "path": str(tmp_path / "back.db")},
        )
    )
    with Memory(start) as memory:
        for seed, user in enumerate(USERS):
            ids = [memory.add(text, user_id=user)["results"][0]["id"] for text in said(seed, 30)]
            memory.update(ids[0], "Biscuit moved to the harbour for good")
            memory.delete(ids[1])
            memory.erase(ids[2])
    moved = asyncio.run(migrate(start, there))
    again = asyncio.run(migrate(start, there))
    returned = asyncio.run(migrate(there, back))
    assert moved["sound"]
    assert (moved["new"] > 0, again["new"], again["beside"]) == (True, 0, 0)
    assert returned["sound"]
    assert moved["checksum"] == returned["checksum"]


def test_a_store_that_is_only_read_refuses_every_write_and_makes_none(store, postgres_server):
    only_read = config({**store, "read_only": True})
    with pytest.raises(StoreError, match="there is no store"), Memory(only_read) as memory:
        memory.stats()
    schemas = f"SELECT FROM pg_namespace WHERE nspname = '{store['schema']}'"
    assert postgres_server.sql(schemas) == []
    with Memory(config(store)) as memory:
        kept = memory.add("Biscuit is a beagle", user_id="maya")["results"][0]["id"]
    with Memory(only_read) as memory:
        assert memory.search("a beagle", user_id="maya")["results"][0]["id"] == kept
        for write in (lambda: memory.add("tea", user_id="maya"), lambda: memory.erase(kept), memory.reset):
            with pytest.raises(StoreUnwritable, match="read only"):
                write()


# ---- each tenant to itself


def test_a_tenant_sees_and_changes_nothing_of_another_whatever_it_asks(store):
    async def scenario() -> None:
        here, there = (
            AsyncMemory(config(store, settings={"tenant": name, "background": False}))
            for name in ("here", "there")
        )
        async with here, there:
            [own] = (await here.add("my own secret", user_id="maya"))["results"]
            [theirs] = (await there.add("their secret", user_id="maya"))["results"]
            assert [r["memory"] for r in (await here.search("secret"))["results"]] == ["my own secret"]
            with pytest.raises(NotFound):
                await here.get(theirs["id"])
            raw = here._store
            assert await raw.get("here", theirs["id"]) is None
            assert await raw.find(query(tenant="here", filter=parse({"id": theirs["id"]}))) == []
            assert await raw.read(Partition("here", "user:maya"), range(10)) != []
            assert (await here.stats())["memories"] == 1
            await here.reset()
            assert (await there.get(theirs["id"]))["memory"] == "their secret"
            with pytest.raises(NotFound):
                await here.get(own["id"])

    asyncio.run(scenario())


def test_the_database_itself_keeps_tenants_apart_from_the_role_that_owns_the_tables(store):
    for name in ("here", "there"):
        with Memory(config(store, settings={"tenant": name})) as memory:
            memory.add(f"the secret of {name}", user_id="maya")
    with psycopg.connect(store["url"], autocommit=True) as connection:
        connection.execute(f"SET search_path TO {store['schema']}")
        texts = "SELECT text FROM memories"
        assert connection.execute(texts).fetchall() == []
        connection.execute("SET perdure.tenant TO 'here'")
        assert connection.execute(texts).fetchall() == [("the secret of here",)]
        assert connection.execute("UPDATE memories SET text = '' WHERE tenant = 'there'").rowcount == 0
        assert connection.execute("DELETE FROM turns WHERE tenant = 'there'").rowcount == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("INSERT INTO vectors (tenant, name, vector) VALUES ('there', 'n', '')")
    with Memory(config(store, settings={"tenant": "there"})) as memory:
        assert memory.search("secret", user_id="maya")["results"][0]["memory"] == "the secret of there"


def test_every_table_with_a_tenant_is_guarded(store, postgres_server):
    with Memory(config(store)) as memory:
        memory.add("tea", user_id="maya")
    guarded = postgres_server.sql(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AND EXISTS "
        "(SELECT 1 FROM pg_policy WHERE polrelid = c.oid) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
        f"WHERE a.attname = 'tenant' AND c.relkind = 'r' AND c.relnamespace = '{store['schema']}'::regnamespace"
    )
    assert len(guarded) == 10
    assert all(held for _, held in guarded)


# ---- many at once


def test_two_hundred_adds_at_once_in_each_of_two_pools_are_stored_each_once(store):
    async def scenario() -> None:
        async with AsyncMemory(config(store)) as memory, AsyncMemory(config(store)) as other:
            adds = [m.add(f"shoe {n}", user_id=f"u{n % 7}") for n in range(200) for m in (memory, other)]
            done = await asyncio.gather(*adds)
            stored = [answer["receipt"]["stored"] for answer in done]
            assert [first + again for first, again in zip(stored[::2], stored[1::2], strict=True)] == [
                1
            ] * 200
            assert (await memory.stats())["memories"] == 200
            assert (await memory.doctor())["sound"]
            for n in (0, 99, 199):
                found = await memory.search(f"shoe {n}", user_id=f"u{n % 7}", top_k=5)
                assert f"shoe {n}" in [one["memory"] for one in found["results"]]

    asyncio.run(scenario())


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_what_the_database_has_for_a_default_isolation_makes_no_call_fail(postgres_server, level):
    database = level.replace(" ", "_")
    postgres_server.sql(f"CREATE DATABASE {database} OWNER perdure", database="postgres")
    postgres_server.sql(f"ALTER DATABASE {database} SET default_transaction_isolation = '{level}'")
    own = config({"provider": "postgres", "url": postgres_server.url(database=database)})

    async def caller(memory: AsyncMemory, name: str) -> None:
        for number in range(10):
            added = await memory.add(f"{name} said {number}", user_id="maya")
            await memory.search("Who said what?", user_id="maya")
            if number % 3 == 0:
                await memory.delete(added["results"][0]["id"])

    async def scenario() -> int:
        async with AsyncMemory(own) as one, AsyncMemory(own) as two:
            await asyncio.gather(*(caller(memory, f"caller {n}") for n, memory in enumerate([one, two] * 3)))
            return (await one.stats())["memories"]

    assert asyncio.run(scenario()) == 6 * 6
