"""No part of a password is in what a move says, whatever is wrong with the ends that it was given."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perdure import Memory
from perdure.cli.app import app

PARTS = ("Xk9q", "Wz7p")
SECRETS = [
    sign.join(PARTS) for sign in ("@", "/", "?", "#", ":", "%", "%zz", "[", "]", " ", "\\", "=", "&", "")
]
"""As they are, though some of them would have to be escaped in a URL."""


@pytest.fixture
def closed() -> Iterator[int]:
    """A port at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def refused(tmp_path: Path, caplog: Any) -> Any:
    """Runs the command, which has to fail; what it said, with all causes and what was logged."""
    with Memory({"path": tmp_path / "source.db", "embedder": "hash"}) as memory:
        memory.add("here", user_id="ann")

    def run(*options: str) -> str:
        caplog.set_level(logging.DEBUG)
        ended = CliRunner().invoke(app, ["migrate", *options])
        assert ended.exit_code != 0, options
        assert ended.exception is not None
        told = "".join(traceback.format_exception(ended.exception))
        return told + ended.output + caplog.text

    return run


def hidden(told: str) -> None:
    """See that no part of the secret is told."""
    for part in PARTS:
        assert part not in told, told


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "form",
    [
        "postgresql://maya:{}@127.0.0.1:{}/notes",
        "postgres://maya:{}@127.0.0.1:{}/notes?sslmode=disable",
        "postgresql//maya:{}@127.0.0.1:{}/notes",
        "postgresql:/maya:{}@127.0.0.1:{}/notes",
        "postgresql:maya:{}@127.0.0.1:{}/notes",
        "maya:{}@127.0.0.1:{}/notes",
        "mysql://maya:{}@127.0.0.1:{}/notes",
        "postgresql://127.0.0.1:{1}/notes?user=maya&password={0}",
        "user=maya password={} host=127.0.0.1 port={} dbname=notes",
        "user=maya password='{}' host=127.0.0.1 port={}",
        "host = 127.0.0.1 port = {1} password = {0}",
    ],
)
def test_of_an_end_that_is_an_address(refused, closed, tmp_path, monkeypatch, form, secret):
    monkeypatch.chdir(tmp_path)
    end = form.format(secret, closed)
    hidden(refused("--from", end, "--to", "target.db"))
    hidden(refused("--from", "source.db", "--to", end))
    hidden(refused("--from", end, "--to", end))


@pytest.mark.parametrize("secret", SECRETS)
def test_of_an_end_that_is_a_configuration(refused, closed, tmp_path, secret):
    end = tmp_path / "end.toml"
    for store in (
        {"url": f"postgresql://maya:{secret}@127.0.0.1:{closed}/notes"},
        {"host": "127.0.0.1", "port": closed, "user": "maya", "password": secret},
        {"host": "127.0.0.1", "port": "none", "user": "maya", "password": secret},
        {"host": "127.0.0.1", "port": closed, "pasword": secret},
    ):
        lines = (f"{name} = {json.dumps(value)}" for name, value in store.items())
        end.write_text("\n".join(["[store]", 'provider = "postgres"', *lines]))
        hidden(refused("--from", str(end), "--to", str(tmp_path / "target.db")))
        hidden(refused("--from", str(tmp_path / "source.db"), "--to", str(end)))
    end.write_text(f'store = "postgres {secret}\n')
    hidden(refused("--from", str(end), "--to", str(tmp_path / "target.db")))


@pytest.mark.parametrize("secret", SECRETS)
def test_of_a_server_that_lets_nobody_in(refused, postgres_server, tmp_path, secret):
    end = f"postgresql://nobody:{secret}@127.0.0.1:{postgres_server.port}/perdure"
    hidden(refused("--from", end, "--to", str(tmp_path / "target.db")))


@pytest.mark.parametrize("secret", SECRETS)
def test_of_a_mem0_configuration(refused, closed, tmp_path, secret):
    source = tmp_path / "mem0.json"
    for provider, config in (
        ("pgvector", {"connection_string": f"postgresql://maya:{secret}@127.0.0.1:{closed}/notes"}),
        ("pgvector", {"user": "maya", "password": secret, "host": "127.0.0.1", "port": closed}),
        ("qdrant", {"url": f"http://maya:{secret}@127.0.0.1:{closed}"}),
        ("qdrant", {"url": f"http://127.0.0.1:{closed}", "api_key": secret}),
        ("qdrant", {"host": f"maya:{secret}@127.0.0.1", "port": closed}),
        ("chroma", {"host": f"maya:{secret}@127.0.0.1", "port": closed}),
        ("chroma", {"host": f"http://maya:{secret}@127.0.0.1", "port": closed}),
    ):
        source.write_text(json.dumps({"vector_store": {"provider": provider, "config": config}}))
        hidden(refused("--from", "mem0", "--source-config", str(source), "--to", str(tmp_path / "target.db")))
    source.write_text(f'{{"vector_store": "{PARTS[0]}" "{PARTS[1]}"')
    hidden(refused("--from", "mem0", "--source-config", str(source), "--to", str(tmp_path / "target.db")))


def test_an_address_that_is_clear_is_taken_as_it_is(closed, refused):
    for end in (
        f"postgresql://maya:a%40b@127.0.0.1:{closed}/notes",
        f"postgresql://maya:a#b@127.0.0.1:{closed}/notes",
        f"postgresql://127.0.0.1:{closed}/notes?user=maya@home",
        f"host=127.0.0.1 port={closed} user=maya@home dbname=notes",
    ):
        told = refused("--from", end, "--to", "target.db")
        assert f"the PostgreSQL store notes.perdure at 127.0.0.1:{closed} cannot be reached" in told
