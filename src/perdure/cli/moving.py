"""The command that moves a whole memory from one store to another."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli import output, views
from perdure.cli.options import Json
from perdure.cli.service import Where

if TYPE_CHECKING:
    from perdure import Config

app = typer.Typer()

_END = "A store's file, a configuration in TOML, or the URL of a PostgreSQL database."


@app.command(rich_help_panel="Files")
def migrate(
    source: Annotated[str, typer.Option("--from", metavar="STORE", help=f"{_END} It is only read.")],
    target: Annotated[str, typer.Option("--to", metavar="STORE", help=_END)],
    *,
    searches: Annotated[int, typer.Option(min=0, help="So many searches are compared at the end.")] = 20,
    machine: Json = False,
) -> None:
    """Move everything to another store, and compare the two.

    Run it again after it was cut off: what is there already is left alone. Let nobody write to the source meanwhile.
    The exit code is 7 when the two differ in the end.
    """
    from perdure.migrate import migrate as move  # `--help` loads no engine

    ends = _end(source, existing=True), _end(target, existing=False)
    with output.progress("Moving", machine=machine) as report:
        made = asyncio.run(move(*ends, searches=searches, progress=report))
    output.say(machine, made, views.facts)
    if not made["sound"]:
        raise typer.Exit(7)


def _end(named: str, *, existing: bool) -> Config:
    """The configuration that a text means.

    Raises:
        InvalidInput: there is no such store, where there has to be one.
    """
    from perdure.config import Config, Role

    if "://" in named:
        return replace(Config.of(), store=Role(provider="postgres", options={"url": named}))
    path = Path(named)
    where = Where(config=path) if path.suffix == ".toml" else Where(path=path)
    return (where.existing() if existing else where).settings()
