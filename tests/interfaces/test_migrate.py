"""A whole memory moves from one store to another, and arrives as it was."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from perdure import AsyncMemory, Config
from perdure.cli.app import app
from perdure.errors import InvalidInput, ModelMismatch, StoreError, StoreUnwritable
from perdure.migrate import migrate
from perdure.stores.sqlite import SqliteStore
from perdure.testing.models import ModelServer

TENANTS = ("default", "other")
USERS = ("ann", "bob", "Zoë", "10", "9")
OWN = ("ord", "seq", "place", "first", "last")
"""What a store numbers itself."""


def config(path: Path, tenant: str = "default", **roles: Any) -> Config:
    settings = {"tenant": tenant, "background": False}
    return Config.of({"path": str(path), "embedder": "hash", "settings": settings, **roles})


async def fill(path: Path, url: str) -> None:
    """A bit of everything: versions, ends, erasures, facts, runs, and a job that is not done."""
    llm = {"provider": "openai", "model": "m", "base_url": url, "api_key": "none", "retries": 0}
    for tenant in TENANTS:
        async with AsyncMemory(config(path, tenant, llm=llm)) as memory:
            for user in USERS:
                for number in range(30):
                    where = {"user_id": user, "run_id": f"r{number % 3}" if number % 2 else None}
                    await memory.add(f"{user} saw film {number} in {tenant}", **where, infer=False)
                held = (await memory.get_all(user_id=user))["results"]
                await memory.update(held[0]["id"], "never saw it", metadata={"mood": ["é", None, 1.5]})
                await memory.delete(held[1]["id"])
                await memory.erase(held[2]["id"])
            await memory.add("I like tea", user_id="ann")
            await memory.add("I like coffee", user_id="ann", wait=False)


def answer(seen: Any) -> dict[str, Any]:
    fact = {
        "text": "Ann likes tea", "turns": [1], "subject": "Ann", "attribute": "tea",
        "from": None, "to": None, "categories": [], "action": "add", "memory": None,
    }  # fmt: skip
    relation = {"fact": 1, "subject": "Ann", "relation": "likes", "object": "tea"}
    return {"facts": [fact], "relations": [relation]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.db"
    with ModelServer(answer) as server:
        asyncio.run(fill(path, server.openai))
    return path


async def everything(path: Path, tenant: str) -> list[Any]:
    """An export without what a store numbers itself."""
    async with AsyncMemory(config(path, tenant)) as memory:
        records = [record async for record in memory.export_records()]
    return [{name: value for name, value in record.items() if name not in OWN} for record in records]


def test_all_that_there_is_arrives_as_it_was(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()

    async def run() -> None:
        target = tmp_path / "target.db"
        told: dict[str, list[tuple[int, int]]] = {}
        made = await migrate(
            config(source),
            config(target),
            progress=lambda done, total, what: told.setdefault(what, []).append((done, total)),
        )
        assert made["sound"]
        assert (made["tenants"], made["jobs"], made["missing"], made["beside"]) == (2, 2, 0, 0)
        assert (made["searches"], made["same"]) == (20, 20)
        assert made["new"] == sum(made[kind] for kind in ("turns", "memories", "changes", "keys", "jobs"))
        assert list(told) == ["Moving", "Comparing", "Searching"]
        for what, all_ in (("Moving", made["new"]), ("Comparing", made["new"]), ("Searching", 20)):
            assert told[what] == sorted(told[what])
            assert told[what][-1][0] == all_
            assert len(told[what]) > 2
        assert {total for _, total in told["Comparing"]} == {made["new"]}
        for tenant in TENANTS:
            assert await everything(target, tenant) == await everything(source, tenant)
            async with AsyncMemory(config(target, tenant)) as memory:
                assert (await memory.doctor())["problems"] == []
                found = await memory.search("Zoë saw film 7", user_id="Zoë")
                assert "film" in found["results"][0]["memory"]
        again = await migrate(config(source), config(target))
        assert (again["new"], again["sound"], again["checksum"]) == (0, True, made["checksum"])

    asyncio.run(run())
    assert source.read_bytes() == before


def test_what_was_added_with_a_key_is_not_added_again_after_the_move(tmp_path: Path) -> None:
    source, moved, imported = (config(tmp_path / name) for name in ("source.db", "moved.db", "imported.db"))
    said = {"user_id": "ann", "infer": False}

    async def run() -> None:
        async with AsyncMemory(source) as memory:
            first = await memory.add("the seats are booked", idempotency_key="order-7", **said)
            await memory.add("the seats are paid", **said)
            erased = await memory.add("my number is 555", idempotency_key="order-8", **said)
            await memory.erase(erased["results"][0]["id"])
            records = [record async for record in memory.export_records()]
        assert (await migrate(source, moved))["sound"]
        async with AsyncMemory(imported) as memory:
            counts = (await memory.import_records(records))["imported"]
            assert counts["keys"] == 2
        for target in (moved, imported):
            async with AsyncMemory(target) as memory:
                again = await memory.add("the seats are booked", idempotency_key="order-7", **said)
                assert again["event_id"] == first["event_id"]
                await memory.add("the seats are paid", **said)
                assert (await memory.stats())["turns"] == 2
                await memory.add("another number", idempotency_key="order-8", **said)
                assert (await memory.stats())["turns"] == 3

    asyncio.run(run())


def test_a_move_that_was_killed_goes_on_where_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"
    code = (
        "import asyncio, os, signal, sys\n"
        "from perdure import Config\n"
        "from perdure.migrate import migrate, moving\n"
        "moving.PAGE = 100\n"
        "ends = [Config.of({'path': path, 'embedder': 'hash'}) for path in sys.argv[1:3]]\n"
        "def told(done, total, what):\n"
        "    if what == sys.argv[4] and done >= int(sys.argv[3]):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(migrate(*ends, progress=told))\n"
    )

    def killed(at: int, what: str) -> None:
        ended = subprocess.run(
            [sys.executable, "-c", code, source, target, str(at), what], check=False, timeout=60
        )
        assert ended.returncode == -9

    def moved() -> dict[str, Any]:
        return asyncio.run(migrate(config(source), config(target)))

    killed(100, "Moving")
    killed(500, "Moving")
    made = moved()
    assert made["sound"]
    assert 0 < made["new"] < made["turns"] + made["memories"] + made["changes"]
    target.unlink()
    killed(500, "Comparing")
    killed(3, "Searching")
    made = moved()
    assert (made["sound"], made["new"]) == (True, 0)
    for tenant in TENANTS:
        assert asyncio.run(everything(target, tenant)) == asyncio.run(everything(source, tenant))


def test_what_differs_is_found(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"

    async def run() -> dict[str, Any]:
        await migrate(config(source), config(target))
        async with AsyncMemory(config(target)) as memory:
            [one] = (await memory.get_all(user_id="bob", limit=1))["results"]
            await memory.update(one["id"], "changed in the target")
            await memory.add("only here", user_id="bob", infer=False)
        return await migrate(config(source), config(target))

    made = asyncio.run(run())
    assert (made["sound"], made["new"], made["differing"]) == (False, 0, ["default/user:bob"])
    assert made["missing"] == 1  # the version that is current in the source
    assert (
        made["beside"]
        == 7  # that version as it ended, its successor, a turn, its version, its key; two changes
    )
    args = ["migrate", "--from", str(source), "--to", str(target)]
    ended = CliRunner().invoke(app, [*args, "--json"])
    assert ended.exit_code == 7
    assert json.loads(ended.stdout)["missing"] == 1
    said = " ".join(CliRunner().invoke(app, args).stdout.split())
    assert "✗ 1 record of the source, of default/user:bob, the target lacks or has otherwise" in said


def test_what_the_target_has_besides_does_not_count_against_a_move(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.db"

    async def run() -> dict[str, Any]:
        for tenant in TENANTS:
            async with AsyncMemory(config(target, tenant)) as memory:
                for user in USERS[1:]:
                    await memory.add(f"{user} saw film 1, 2, 3 and 4", user_id=user, infer=False)
        return await migrate(config(source), config(target))

    made = asyncio.run(run())
    assert (made["missing"], made["beside"], made["sound"]) == (0, 8 * 4, True)
    assert 0 < made["searches"] == made["same"] < 20
    ended = CliRunner().invoke(app, ["migrate", "--from", str(source), "--to", str(target)])
    assert (ended.exit_code, "✓ all that the source has is at the target" in ended.stdout) == (0, True)
    ended = CliRunner().invoke(app, ["migrate", "--from", "nothing.db", "--to", str(target)])
    assert str(ended.exception) == "there is no store at nothing.db: give --from one that is there"


def test_a_target_of_another_model_is_refused_and_left_alone(source: Path, tmp_path: Path) -> None:
    async def run() -> None:
        other = Config.of(
            {"path": str(tmp_path / "target.db"), "embedder": {"provider": "hash", "dimensions": 16}}
        )
        async with AsyncMemory(other) as memory:
            await memory.add("here already", user_id="ann")
        with pytest.raises(ModelMismatch, match="reindex"):
            await migrate(config(source), other)
        async with AsyncMemory(other) as memory:
            assert (await memory.stats())["memories"] == 1

    asyncio.run(run())


def test_ends_that_are_none_are_refused(source: Path, tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(InvalidInput, match="the same store"):
            await migrate(config(source), config(source))
        with pytest.raises(InvalidInput, match="'memory' can neither be read out nor"):
            await migrate(config(source), Config.of({"store": "memory"}))
        with pytest.raises(StoreError, match="there is no store at"):
            await migrate(config(tmp_path / "nothing.db"), config(tmp_path / "target.db"))

    asyncio.run(run())
    assert not (tmp_path / "nothing.db").exists()


def test_a_store_is_not_moved_to_itself_by_another_name(source: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "link.db").symlink_to(source)
    (tmp_path / "folder").symlink_to(tmp_path)
    (tmp_path / "hard.db").hardlink_to(source)
    monkeypatch.chdir(tmp_path)
    before = source.read_bytes()
    for name in (
        tmp_path / "link.db",
        tmp_path / "folder" / "source.db",
        tmp_path / "hard.db",
        Path("source.db"),
    ):
        for ends in ((source, name), (name, source)):
            ended = CliRunner().invoke(app, ["migrate", "--from", str(ends[0]), "--to", str(ends[1])])
            assert isinstance(ended.exception, InvalidInput)
            assert "the same store, by two names: nothing was written" in str(ended.exception)
    assert source.read_bytes() == before


def test_a_copy_of_a_store_is_a_store_of_its_own(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"

    async def run() -> None:
        async with AsyncMemory(config(source)) as memory:
            await memory.backup(copy)
            await memory.add("after the backup", user_id="ann", infer=False)
        assert (await migrate(config(source), config(copy)))["sound"]
        assert await everything(copy, "default") == await everything(source, "default")

    asyncio.run(run())


def test_a_schema_is_not_moved_to_itself_by_another_address(postgres_server, tmp_path: Path) -> None:
    url = postgres_server.url()
    names = {
        "itself": {"url": url},
        "longer": {"url": f"{url}?application_name=other"},
        "apart": conninfo_to_dict(url),
    }
    for address in ("127.0.0.1", "localhost"):
        names[address] = {**names["apart"], "host": address}

    def end(options: dict[str, Any], schema: str) -> Config:
        return Config.of({"store": {"provider": "postgres", **options, "schema": schema}, "embedder": "hash"})

    async def run() -> None:
        async with AsyncMemory(end(names["itself"], "selfsame")) as memory:
            await memory.add("here", user_id="ann", infer=False)
        for name in names.values():
            with pytest.raises(InvalidInput, match="the same store"):
                await migrate(end(names["itself"], "selfsame"), end(name, "selfsame"))
        assert (await migrate(end(names["itself"], "selfsame"), end(names["apart"], "selfother")))["sound"]

    asyncio.run(run())


def test_a_store_that_is_read_only_refuses_what_writes(source: Path) -> None:
    async def run() -> None:
        store = {"provider": "sqlite", "path": str(source), "read_only": True}
        async with AsyncMemory({"store": store, "embedder": "hash"}) as memory:
            assert (await memory.search("film", user_id="bob"))["results"]
            with pytest.raises(StoreUnwritable, match="read only"):
                await memory.add("new", user_id="bob", infer=False)
        old = SqliteStore(path=Path(__file__).parents[1] / "fixtures" / "schema" / "0001.db", read_only=True)
        with pytest.raises(StoreError, match="open it once without read_only"):
            await old.open(None)

    asyncio.run(run())
