"""The command that moves a whole memory from one store to another."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli import output, views
from perdure.cli.options import Json, text_of
from perdure.cli.service import Where
from perdure.errors import InvalidInput

if TYPE_CHECKING:
    from perdure import Config

app = typer.Typer()

_ADDRESS = re.compile(r"://|^\s*\w+\s*=")
"""A URL, or what libpq calls a connection string: `host=... dbname=...`."""
_MISSPELT = re.compile(r":.*@")
_END = "A store's file, a configuration in TOML, or the URL of a PostgreSQL database."


@app.command(rich_help_panel="Files")
def migrate(
    source: Annotated[str, typer.Option("--from", metavar="STORE", help=f"{_END} Or mem0. It is only read.")],
    target: Annotated[str, typer.Option("--to", metavar="STORE", help=_END)],
    *,
    source_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="With --from mem0: mem0's configuration, in JSON.", show_default=False
        ),
    ] = None,
    searches: Annotated[int, typer.Option(min=0, help="So many searches are compared at the end.")] = 20,
    machine: Json = False,
) -> None:
    """Move everything to another store, and compare the two; or take over what a mem0 holds.

    Run it again after it was cut off: it goes on. Run it again later: it catches up with what happened at the source.
    The exit code is 7 when the two differ in the end.
    """
    if source == "mem0":
        _take_over(source_config, target, machine=machine)
        return
    if source_config is not None:
        raise InvalidInput("--source-config goes with --from mem0")
    from perdure.migrate import migrate as move  # `--help` loads no engine

    ends = _end(source, "--from"), _end(target, "--to")
    with output.progress("Moving", machine=machine) as report:
        made = asyncio.run(move(*ends, searches=searches, progress=report))
    output.say(machine, made, views.moved)
    if not made["sound"]:
        raise typer.Exit(7)


def _take_over(source_config: Path | None, target: str, *, machine: bool) -> None:
    from perdure.migrate import take_over

    if source_config is None:
        raise InvalidInput("--from mem0 needs mem0's configuration: give --source-config mem0.json")
    try:
        mem0 = json.loads(text_of(source_config))
    except ValueError as error:
        raise InvalidInput(f"{source_config} is no JSON: {error}") from error
    if not isinstance(mem0, dict):
        raise InvalidInput(
            f"{source_config} holds no object: it has to be the dictionary that mem0 was given"
        )
    with output.progress("Taking over", machine=machine) as report:
        made = asyncio.run(take_over(mem0, _end(target, "--to"), progress=report))
    output.say(machine, made, views.taken_over)


def _end(named: str, option: str) -> Config:
    """The configuration that a text means.

    Raises:
        InvalidInput: there is no such store, where there has to be one.
    """
    from perdure.config import Config, Role

    path = Path(named)
    if _ADDRESS.search(named) and not path.exists():
        return replace(Config.of(), store=Role(provider="postgres", options={"url": named}))
    if _MISSPELT.search(named) and not path.exists():  # not to be repeated: there may be a password in it
        raise InvalidInput(
            f"{option} is neither a file nor an address like postgresql://user@host:5432/dbname"
        )
    where = Where(config=path) if path.suffix == ".toml" else Where(path=path)
    settings = where.settings()
    if option == "--from" and settings.store.provider == "sqlite" and not where.file().exists():
        raise InvalidInput(f"there is no store at {where.file()}: give --from one that is there")
    return settings
