"""Commands for what adds have left to be done."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from perdure.cli import output, views
from perdure.cli.options import ConfigFile, Json, StorePath
from perdure.cli.service import Where, call

if TYPE_CHECKING:
    from perdure import AsyncMemory

PANEL = "Background"

app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def pending(path: StorePath = None, config: ConfigFile = None, machine: Json = False) -> None:
    """Show what is still to be done after adds, and why it was not."""
    output.say(machine, call(Where(path, config).existing(), lambda memory: memory.pending()), views.pending)


@app.command(rich_help_panel=PANEL)
def retry(
    event_id: Annotated[
        str | None,
        typer.Argument(metavar="EVENT_ID", help="Of one add; all, when left out.", show_default=False),
    ] = None,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Do now what is pending, and what was given up.

    The exit code is 5 when some of it is pending still.
    """
    with output.progress("Learning", machine=machine):
        done = call(Where(path, config).existing(), lambda memory: memory.retry(event_id))
    output.say(machine, done, views.retried)
    if done["pending"]:
        raise typer.Exit(5)


@app.command(rich_help_panel=PANEL)
def event(
    event_id: Annotated[str, typer.Argument(metavar="EVENT_ID", help="What `add` answered with.")],
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Show what has become of an add."""
    output.say(
        machine, call(Where(path, config).existing(), lambda memory: memory.event(event_id)), views.event
    )


@app.command(rich_help_panel=PANEL)
def worker(
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what there is, and end.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Do what other processes have left, until it is stopped.

    It ends with Ctrl-C or SIGTERM, and leaves what it has not done to others. With --once the exit code is 5 when
    something is pending still.
    """
    where = Where(path, config).existing()
    if once:
        left = call(where, lambda memory: memory.flush())
        output.say(machine, left, views.flushed)
        if left["pending"]:
            raise typer.Exit(5)
        return
    if not machine:
        output.err().print("Working. Ctrl-C ends it.")
    call(where, _until_stopped)


async def _until_stopped(memory: AsyncMemory) -> None:
    """Work until a signal comes."""
    working = asyncio.ensure_future(memory.work())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C cancels as it always does
            loop.add_signal_handler(name, working.cancel)
    with suppress(asyncio.CancelledError):
        await working
