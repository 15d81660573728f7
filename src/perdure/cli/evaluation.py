"""Commands that measure how well memories are found."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perdure.cli import output, views
from perdure.cli.options import ConfigFile, Json, text_of
from perdure.cli.service import Where, call
from perdure.errors import InvalidInput

if TYPE_CHECKING:
    from perdure import AsyncMemory, Config
    from perdure.evaluate import Conversation, Question

MAX_TURN_BYTES = 2**24

app = typer.Typer(help="Measure how well memories are found.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure how well memories are found."""


@app.command()
def retrieval(
    *,
    conversations: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Conversations, one JSON object a line.")
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Questions, one JSON object a line.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl (two files) or longmemeval (one).")] = "jsonl",
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The file of --format longmemeval.", show_default=False),
    ] = None,
    depth: Annotated[int, typer.Option(help="How many turns are ranked for each question.", min=10)] = 200,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Tell conversations to an empty memory, ask the questions, and compare with where the answers stand.

    Turn-level recall, NDCG and MRR, session-level any and all, by category; and whether scores tell questions
    about another conversation apart.
    """
    told, asked = _data(form, conversations, questions, file)
    from perdure.evaluate import evaluate  # `--help` measures nothing

    with (
        tempfile.TemporaryDirectory(prefix="perdure-eval-") as folder,
        output.progress("", machine=machine) as report,
    ):
        stages = {"add": "Telling", "ask": "Asking"}

        async def measure(memory: AsyncMemory) -> dict[str, Any]:
            return await evaluate(
                memory,
                told,
                asked,
                depth=depth,
                progress=lambda stage, done, total: report(done, total, stages[stage]),
            )

        measured = call(_roomy(Where(Path(folder) / "eval.db", config).settings()), measure)
    output.say(machine, measured, views.measured)


def _roomy(config: Config) -> Config:
    """The configuration with room for the longest turn of a data set: what is measured is not the bound."""
    return replace(config, settings=replace(config.settings, max_text_bytes=MAX_TURN_BYTES))


def _data(
    form: str, conversations: Path | None, questions: Path | None, file: Path | None
) -> tuple[list[Conversation], list[Question]]:
    from perdure.evaluate import (  # `--help` measures nothing
        read_conversations,
        read_longmemeval,
        read_questions,
    )

    if form == "longmemeval":
        if file is None:
            raise InvalidInput("--format longmemeval needs its FILE")
        return read_longmemeval(text_of(file))
    if form != "jsonl":
        raise InvalidInput(f"--format {form!r}: known are jsonl and longmemeval")
    if conversations is None or questions is None:
        raise InvalidInput("give --conversations FILE and --questions FILE, or --format longmemeval FILE")
    told, asked = (text_of(lines).split("\n") for lines in (conversations, questions))
    return read_conversations(told), read_questions(asked)
