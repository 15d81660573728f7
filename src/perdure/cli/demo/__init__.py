"""`perdure demo`: two people's six weeks are remembered, and asked about."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from perdure.cli import output
from perdure.cli.options import ConfigFile, Json
from perdure.cli.service import Where
from perdure.errors import InvalidInput

app = typer.Typer()


@app.command(rich_help_panel="Start here")
def demo(
    keep: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Keep the store in a new file.", show_default=False)
    ] = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """See it at work: two people's six weeks, and questions."""
    if keep is not None and keep.exists():
        raise InvalidInput(f"--keep {keep} exists: give the name of a new file")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="perdure-demo-"))
        report = stack.enter_context(output.progress("Remembering", machine=machine))
        played = asyncio.run(_play(Where(keep or Path(folder) / "demo.db", config), report))
    if machine:
        output.say_json(played)
        return
    from perdure.cli.demo.view import shown  # for people only

    output.show(shown(played, keep))


async def _play(where: Where, report: output.Report) -> dict[str, Any]:
    """Play the story on a memory of its own, whose clock is the story's."""
    from perdure.assemble import parts  # `--help` loads no engine
    from perdure.cli.demo.play import Clock, play
    from perdure.cli.demo.story import read_story
    from perdure.engine.memory import Engine

    story = read_story()
    clock = Clock(story.sessions[0].start)
    async with Engine(**parts(where.settings()), clock=clock) as memory:
        return await play(memory, clock, story, report)
