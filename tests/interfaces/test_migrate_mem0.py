"""Stores that the real mem0 has made are taken over, and tell here what mem0 tells of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.environments import INCUMBENT, interpreter
from typer.testing import CliRunner

from perdure import AsyncMemory, Config, Memory
from perdure.cli.app import app
from perdure.errors import NotFound
from perdure.migrate import take_over
from perdure.migrate.mem0.spool import DELETED, NOBODY
from perdure.testing.models import ModelServer

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".venv-mem0"
PACKAGES = (
    INCUMBENT,
    "chromadb==1.5.9",
    "faiss-cpu==1.15.1",
    "psycopg[binary,pool]==3.3.9",
    "qdrant-client==1.20.0",
)
PROGRAM = Path(__file__).with_name("mem0_program.py")
STORES = ("qdrant", "chroma", "chroma-server", "faiss", "pgvector")
LEARNED = {"memory": [{"id": "0", "text": "Maya sings in a choir", "attributed_to": "user"}]}


@pytest.fixture(scope="session")
def python() -> Path:
    """The interpreter that has mem0."""
    return interpreter(HOME, *PACKAGES)


@pytest.fixture(scope="session")
def stores(python, postgres_server, tmp_path_factory) -> Iterator[dict[str, Any]]:
    """By its name: mem0's configuration of each store, and what mem0 says of what is in it."""
    home = tmp_path_factory.mktemp("mem0")
    with ModelServer(json.dumps(LEARNED), dimensions=64) as models, chroma_server(python, home) as port:
        configurations = {
            name: configuration(home, name, store, models.openai)
            for name, store in {
                "qdrant": {"path": str(home / "qdrant"), "on_disk": True, "embedding_model_dims": 64},
                "chroma": {"path": str(home / "chroma")},
                "chroma-server": {"host": "127.0.0.1", "port": port},
                "faiss": {"path": str(home / "faiss" / "here"), "embedding_model_dims": 64},
                "pgvector": {
                    "connection_string": postgres_server.url("postgres"),
                    "embedding_model_dims": 64,
                    "collection_name": "Mem 0",
                },
            }.items()
        }
        said = run(python, home, json.dumps(configurations))
        yield {name: {"config": config, **said[name]} for name, config in configurations.items()}


def configuration(home: Path, name: str, store: Mapping[str, Any], url: str) -> dict[str, Any]:
    model = {"openai_base_url": url, "api_key": "none"}
    return {
        "vector_store": {"provider": name.partition("-")[0], "config": store},
        "embedder": {"provider": "openai", "config": {**model, "embedding_dims": 64}},
        "llm": {"provider": "openai", "config": model},
        "history_db_path": str(home / f"{name}.db"),
    }


def run(python: Path, home: Path, argument: str) -> dict[str, Any]:
    environment = {"HOME": str(home), "MEM0_DIR": str(home / ".mem0"), "MEM0_TELEMETRY": "False"}
    done = subprocess.run(
        [python, PROGRAM, argument],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def chroma_server(python: Path, home: Path) -> Iterator[int]:
    """A Chroma on a free port, until it is not needed any more."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    command = [python.with_name("chroma"), "run", "--path", home / "served", "--port", str(port)]
    with (home / "chroma.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=home, env={**os.environ, "HOME": str(home)}
        )
    try:
        end = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}/api/v2/heartbeat"):
            ended = process.poll() is not None or time.monotonic() > end
            assert not ended, (home / "chroma.log").read_text()
            time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def taken_over(config: Mapping[str, Any], path: Path) -> tuple[AsyncMemory, Counter[str]]:
    """A store with all that was read, which is to be opened, and what was left out."""
    target = Config.of({"path": path, "embedder": None})
    made = asyncio.run(take_over(config, target))
    assert made["new"] == made["turns"] + made["memories"] + made["changes"]
    with Memory(target) as memory:
        assert memory.doctor()["problems"] == []
    return AsyncMemory(target), Counter(made["left_out"])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("name", STORES)
def test_everything_that_mem0_tells_is_told_here(stores, name, tmp_path):
    store = stores[name]
    opened, left_out = taken_over(store["config"], tmp_path / "memory.db")

    async def compare() -> None:
        async with opened as memory:
            assert (await memory.stats())["memories"] == len(store["memories"])
            for told in store["memories"]:
                assert_same(await memory.get(told["id"]), told)
                history = await memory.history(told["id"])
                assert_same_history(history, store["histories"][told["id"]], told)

    asyncio.run(compare())
    assert left_out == {NOBODY: 1, DELETED: 1}


def assert_same(held: Any, told: Mapping[str, Any]) -> None:
    assert held["memory"] == (
        told["memory"] or "Plays the cello"
    )  # mem0 does not know its own oldest key any more
    for name in ("user_id", "agent_id", "run_id", "actor_id"):
        assert held[name] == told.get(name)
    assert held["role"] == told.get("role", "user")
    assert moment(held["created_at"]) == moment(told["created_at"])
    if told["updated_at"]:
        assert moment(held["updated_at"]) == moment(told["updated_at"])
    expected = dict(told.get("metadata") or {})
    expected.pop("memory", None)  # as above
    if told.get("attributed_to"):
        expected["attributed_to"] = told["attributed_to"]
    if expires := expected.pop("expiration_date", None):
        end = moment(expires + "T00:00:00+00:00") + timedelta(days=1, microseconds=-1)
        assert moment(held["expiration_date"]) == end
    assert held["metadata"] == expected


def assert_same_history(held: Any, told: list[dict[str, Any]], memory: Mapping[str, Any]) -> None:
    if not told:  # it came without: what the payload says is all
        changed = memory["updated_at"] not in (None, memory["created_at"])
        assert [change["event"] for change in held] == ["ADD", "UPDATE"][: 1 + changed]
        return
    assert [
        (change["event"], change["old_memory"], change["new_memory"], change["actor_id"], change["event_id"])
        for change in held
    ] == [
        (line["event"], line["old_memory"], line["new_memory"], line["actor_id"], line["id"]) for line in told
    ]
    for change, line in zip(held, told, strict=True):
        assert moment(change["updated_at"]) == moment(line["updated_at"] or line["created_at"])


def test_all_stores_are_read_alike(stores, tmp_path):
    def shapes(name: str) -> list[Any]:
        opened, _ = taken_over(stores[name]["config"], tmp_path / f"{name}.db")

        async def listed() -> list[Any]:
            async with opened as memory:
                found = await memory.get_all(user_id="maya", top_k=10_000, show_expired=True)
                return [(one["memory"], one["metadata"], one["role"]) for one in found["results"]]

        return asyncio.run(listed())

    first = shapes("qdrant")
    assert len(first) == 607
    for name in STORES[1:]:
        assert shapes(name) == first


def test_what_was_deleted_is_taken_over_when_it_is_said_whose_it_was(stores, tmp_path):
    store = stores["qdrant"]
    config = {**store["config"], "unowned": {"user_id": "house"}}
    opened, left_out = taken_over(config, tmp_path / "memory.db")
    [gone] = store["deleted"]

    async def compare() -> None:
        async with opened as memory:
            with pytest.raises(NotFound, match="was deleted"):
                await memory.get(gone)
            history = await memory.history(gone)
            assert [change["event"] for change in history] == ["ADD", "UPDATE", "DELETE"]
            assert_same_history(history, store["histories"][gone], {})
            before = history[1]["updated_at"]
            then = await memory.search("know this", user_id="house", known_at=before)
            assert then["results"][0]["memory"] == "Nobody is to know this"
            listed = (await memory.get_all(user_id="house"))["results"]
            assert [found["memory"] for found in listed] == ["The office is on the third floor"]

    asyncio.run(compare())
    assert not left_out


@pytest.mark.parametrize("name", ["qdrant", "chroma", "faiss"])
def test_reading_changes_nothing_and_twice_is_once(stores, name, tmp_path):
    config = stores[name]["config"]
    home = Path(config["history_db_path"]).parent

    def files() -> dict[Path, bytes]:
        places = [Path(config["history_db_path"]), *(home / name).rglob("*")]
        return {path: path.read_bytes() for path in places if path.is_file()}

    before = files()
    opened, _ = taken_over(config, tmp_path / "memory.db")
    assert asyncio.run(take_over(config, opened.config))["new"] == 0
    assert files() == before


def test_the_command_takes_a_store_over_and_says_what_it_left_out(stores, tmp_path):
    source, target = tmp_path / "mem0.json", tmp_path / "memory.db"
    source.write_text(json.dumps(stores["qdrant"]["config"]))

    def migrate(*options: str) -> Any:
        return CliRunner().invoke(app, ["migrate", "--from", "mem0", "--to", str(target), "--json", *options])

    done = migrate("--source-config", str(source))
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["new"] > said["memories"] >= len(stores["qdrant"]["memories"])
    assert set(said) == {"turns", "memories", "changes", "new", "left_out", "history"}
    assert said["history"] == stores["qdrant"]["config"]["history_db_path"]
    with Memory({"path": target}) as memory:
        [found] = memory.search("Does she play the cello?", user_id="maya", limit=1)["results"]
    assert found["memory"] == "Plays the cello"
    target = tmp_path / "none.db"
    for options, words in (
        ((), "--source-config"),
        (("--source-config", str(tmp_path / "none.json")), "none.json"),
        (("--source-config", str(PROGRAM)), "is no JSON"),
    ):
        refused = migrate(*options)
        assert refused.exit_code != 0
        assert words in str(refused.exception)
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({"vector_store": {"provider": "qdrant", "config": {"path": str(tmp_path)}}}))
    assert "there is no file" in str(migrate("--source-config", str(empty)).exception)
    assert not target.exists()


def test_it_is_said_when_there_is_no_history_to_take_over(stores, tmp_path, monkeypatch):
    monkeypatch.setenv("MEM0_DIR", str(tmp_path / "mem0"))
    source = tmp_path / "mem0.json"
    unnamed = {name: part for name, part in stores["qdrant"]["config"].items() if name != "history_db_path"}

    def migrate(config: Mapping[str, Any], *options: str) -> Any:
        source.write_text(json.dumps(config))
        command = [
            "migrate",
            "--from",
            "mem0",
            "--source-config",
            str(source),
            "--to",
            str(tmp_path / "here.db"),
        ]
        return CliRunner().invoke(app, [*command, *options])

    for config, words in (
        (
            unnamed,
            f"no history: there is no file {tmp_path / 'mem0' / 'history.db'}; name it in history_db_path",
        ),
        ({**unnamed, "history_db_path": None}, "no history: history_db_path names none"),
    ):
        assert json.loads(migrate(config, "--json").stdout)["history"].startswith(words)
        told = "".join(migrate(config).stdout.split())  # wherever its lines were broken
        assert "".join(f"history {words}".split()) in told
    damaged, other = tmp_path / "damaged.db", tmp_path / "other.db"
    damaged.write_bytes(b"SQLite format 3\0" + b"?" * 5_000)
    sqlite3.connect(other).execute("CREATE TABLE notes (text)").connection.close()
    for place, words in (
        (tmp_path / "none.db", "there is no file"),
        (damaged, "cannot be read as mem0's"),
        (other, "has no history of mem0's"),
    ):
        (tmp_path / "here.db").unlink(missing_ok=True)
        refused = str(migrate({**unnamed, "history_db_path": str(place)}).exception)
        assert words in refused
        assert "look at history_db_path (null takes over no history)" in refused
        assert not (tmp_path / "here.db").exists()
