"""What a command says: JSON for programs, compact text for people, progress and errors beside it on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO

import typer

from perdure.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What could move the cursor, colour the terminal or turn the writing round: no memory may do that."""


def out() -> Console:
    """The console of results; without colours when it is no terminal."""
    return _console(stderr=False)


def err() -> Console:
    """The console of errors and progress."""
    return _console(stderr=True)


def line(*parts: str | tuple[str, str]) -> Text:
    """One text of plain and styled parts; nothing in them is taken for markup or sent to the terminal as a command."""
    from rich.text import Text  # loaded when something is said

    return Text.assemble(
        *(safe(part) if isinstance(part, str) else (safe(part[0]), part[1]) for part in parts)
    )


def safe(text: str) -> str:
    """The text without control characters."""
    return _CONTROL.sub("\ufffd", text)


def say(machine: bool, answer: Any, view: Callable[[Any], RenderableType]) -> None:
    """Give the answer: as JSON, or as the view shows it."""
    if machine:
        say_json(answer)
    else:
        show(view(answer))


def show(what: RenderableType) -> None:
    """Print for a person; where no terminal is, lines end with their last letter."""
    console = out()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def say_json(answer: Any) -> None:
    """Give the answer as JSON: indented for a person who looks, in one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(as_json(answer, sys.stdout, indent=indent))


def as_json(answer: Any, stream: TextIO, *, indent: int | None = None) -> str:
    """One JSON text; what the stream's encoding may lack is escaped, so that nothing of it is lost."""
    holds_all = (stream.encoding or "utf-8").lower().startswith("utf")
    return json.dumps(answer, ensure_ascii=not holds_all, indent=indent, default=str) + "\n"


def prepare() -> None:
    """Make sure that there are streams, and that none of them refuses a letter after the work was done."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # until the process ends
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def in_utf8(stream: TextIO) -> TextIO:
    """The stream, for files that are UTF-8 whatever the terminal is."""
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(encoding="utf-8")
    return stream


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if this is meant.

    Raises:
        InvalidInput: there is nobody to ask.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(
            f"{question} Nobody can be asked here: give --yes if it is meant; nothing was changed"
        )
    if not typer.confirm(safe(question), err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(1)


class Report(Protocol):
    """Takes how much is done, of how much (None: nobody knows), and of what, when that has changed."""

    def __call__(self, done: int, total: int | None, what: str | None = None) -> None:
        """Show it."""


@contextmanager
def progress(what: str, *, machine: bool = False) -> Iterator[Report]:
    """A bar on stderr for what may take longer than a second; nothing where stderr is no terminal."""
    from rich.progress import (  # loaded when something is said
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = err()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = machine or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)

        def report(done: int, total: int | None, what: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield report


def _console(*, stderr: bool) -> Console:
    from rich.console import Console  # loaded when something is said

    return Console(stderr=stderr, highlight=False, soft_wrap=False, emoji=False)
