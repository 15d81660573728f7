"""What the page about PostgreSQL tells an administrator to do is done, and does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perdure import Memory
from perdure.errors import StoreUnwritable
from perdure.testing.servers import PostgresServer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "postgres.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One of its own: roles are a whole server's."""
    with PostgresServer() as server:
        run("roles.sql", server, role="postgres", database="postgres")
        for role in ("perdure_owner", "perdure_app"):  # as everybody's here
            server.sql(f"ALTER ROLE {role} PASSWORD '{role}'")
        with Memory(config(server, "perdure_owner")) as memory:
            memory.stats()
        yield server


def run(title: str, server: PostgresServer, *, role: str, database: str) -> None:
    """The statements of a block, one by one."""
    [block] = re.findall(rf'^```sql title="{title}"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)
    for statement in re.sub(r"^--.*$", "", block, flags=re.MULTILINE).split(";"):
        if statement.strip():
            server.sql(statement, role=role, database=database)


def shell(server: PostgresServer, home: Path) -> None:
    """The lines about dumps, as the owner."""
    given = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port)}
    environment = {**os.environ, **given, "PGUSER": "perdure_owner", "PGPASSWORD": "perdure_owner"}
    [block] = [
        block
        for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
        if "pg_dump" in block
    ]
    for line in block.splitlines():
        match shlex.split(line):
            case ["export", assignment]:
                environment.update([assignment.split("=", 1)])
            case ["unset", name]:
                del environment[name]
            case [command, *arguments]:
                program = str(server._bin / command)
                subprocess.run([program, *arguments], env=environment, cwd=home, check=True)


def dumped(server: PostgresServer, *options: str) -> str | None:
    """What the owner dumps who says no more; None when that fails."""
    command = [str(server._bin / "pg_dump"), *options, "--dbname", server.url("perdure_owner", "memories")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else done.stdout


def config(server: PostgresServer, role: str, database: str = "memories", **options: Any) -> dict[str, Any]:
    store = {"provider": "postgres", "url": server.url(role, database), **options}
    return {"store": store, "embedder": "hash"}


def test_the_roles_of_the_page_can_do_what_it_says_and_its_backups_hold_all(server, tmp_path):
    with pytest.raises(StoreUnwritable, match="GRANT"), Memory(config(server, "perdure_app")) as memory:
        memory.stats()
    run("grants.sql", server, role="perdure_owner", database="memories")
    with Memory(config(server, "perdure_app")) as memory:
        kept = memory.add("The key is under the red pot.", user_id="maya")["results"][0]["id"]
        memory.update(kept, "The key is under the blue pot.")
        assert erased(memory)["log_truncated"] is False
        run("maintain.sql", server, role="perdure_owner", database="memories")
        assert erased(memory)["log_truncated"] is True
        memory.delete(memory.add("Gone.", user_id="maya")["results"][0]["id"])
        memory.reindex()
        assert memory.doctor()["problems"] == []
        server.sql("CREATE DATABASE restored OWNER perdure_owner", database="postgres")
        assert dumped(server) is None
        assert "red pot" not in str(dumped(server, "--enable-row-security"))
        shell(server, tmp_path)
        with Memory(config(server, "perdure_app", "restored")) as restored:
            assert list(restored.export_records()) == list(memory.export_records())
            assert restored.doctor()["problems"] == []
            assert restored.search("blue pot", user_id="maya") == memory.search("blue pot", user_id="maya")


def erased(memory: Memory) -> dict[str, Any]:
    told: dict[str, Any] = memory.erase(memory.add("A secret.", user_id="maya")["results"][0]["id"])
    return told


def test_a_store_that_is_only_read_needs_no_more_than_the_page_says(server):
    with Memory(config(server, "perdure_owner")) as memory:
        memory.add("Biscuit is a beagle.", user_id="tomas")
    server.sql("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    server.sql("GRANT USAGE ON SCHEMA perdure TO reader", database="memories")
    server.sql("GRANT SELECT ON ALL TABLES IN SCHEMA perdure TO reader", database="memories")
    with Memory(config(server, "reader", read_only=True)) as memory:
        assert len(memory.search("a beagle", user_id="tomas")["results"]) == 1
