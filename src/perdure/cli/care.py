"""Commands that look after a store."""

from __future__ import annotations

import platform
from typing import Annotated

import typer

from perdure.cli import output, views
from perdure.cli.options import Agent, App, ConfigFile, Json, Run, StorePath, User, Yes, ids
from perdure.cli.service import Where, call

PANEL = "Care"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def stats(path: StorePath = None, config: ConfigFile = None, machine: Json = False) -> None:
    """Show how much is kept, what it was made with, and how full the queues are."""
    output.say(machine, call(Where(path, config), lambda memory: memory.stats()), views.stats)


@app.command(rich_help_panel=PANEL)
def categories(
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Show how many memories each category has."""
    whose = ids(user, agent, run, app_id)
    counted = call(Where(path, config), lambda memory: memory.categories(**whose))
    output.say(machine, counted, views.facts)


@app.command(rich_help_panel=PANEL)
def doctor(
    *,
    clean: Annotated[
        bool,
        typer.Option("--clean", help="Retire what it could do without: shows it first, and asks."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Tell engines beside the store what they lack.")
    ] = False,
    yes: Yes = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Examine the store, and the engines beside it.

    The exit code is 7 when something is wrong with it.
    """
    where = Where(path, config)
    if clean:
        _clean(where, yes=yes, machine=machine)
        return
    found = call(where, lambda memory: memory.doctor(repair=repair))
    output.say(machine, found, views.examined)
    if found["problems"]:
        raise typer.Exit(7)


@app.command(rich_help_panel=PANEL)
def reindex(path: StorePath = None, config: ConfigFile = None, machine: Json = False) -> None:
    """Make the words and vectors again that are missing, or of another model than the present one.

    They are made beside those in use, then switched: the memory stays usable.
    """
    with output.progress("Reindexing", machine=machine) as report:
        made = call(Where(path, config), lambda memory: memory.reindex(report))
    output.say(machine, made, views.reindexed)


@app.command("re-extract", rich_help_panel=PANEL)
def re_extract(
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    prompt: Annotated[str | None, typer.Option(help="What the model is told besides.")] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Store the difference.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Learn again from the messages that are kept, with the present model.

    Shows what would come and what would go; --apply does it.
    """
    whose = ids(user, agent, run, app_id)
    with output.progress("Learning again", machine=machine):
        made = call(Where(path, config), lambda memory: memory.reextract(**whose, prompt=prompt, apply=apply))
    output.say(machine, made, views.reextracted)


@app.command(rich_help_panel=PANEL)
def reset(yes: Yes = False, path: StorePath = None, config: ConfigFile = None, machine: Json = False) -> None:
    """Remove everything, of all users."""
    output.confirm("Remove everything, of all users? It cannot be brought back.", yes=yes)
    output.say(machine, call(Where(path, config), lambda memory: memory.reset()), views.done)


@app.command(rich_help_panel=PANEL)
def version(machine: Json = False) -> None:
    """Show the version."""
    from perdure import __version__  # `--help` loads no engine

    shown = {"version": __version__, "python": platform.python_version(), "system": platform.platform()}
    output.say(machine, shown, views.facts)


def _clean(where: Where, *, yes: bool, machine: bool) -> None:
    """Show what would be retired, ask, and retire exactly that."""
    plan = call(where, lambda memory: memory.clean(dry_run=True))
    if not plan["found"]:
        output.say(machine, plan, views.cleaned)
        return
    if not machine:
        output.say(machine, plan, views.planned)
    output.confirm(f"Retire {len(plan['found'])} memories? Their history keeps the words.", yes=yes)
    shown = [one["id"] for one in plan["found"]]
    output.say(machine, call(where, lambda memory: memory.clean(memory_ids=shown)), views.cleaned)
