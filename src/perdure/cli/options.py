"""Options that several commands share."""

from __future__ import annotations

import sys
from datetime import tzinfo
from pathlib import Path
from typing import Annotated, Any, TypedDict

import typer

from perdure.cli import output
from perdure.errors import InvalidInput

_WHERE, _WHOSE = "Where", "Whose"

StorePath = Annotated[
    Path | None,
    typer.Option(
        "--path", metavar="FILE", help="The store's file.", rich_help_panel=_WHERE, show_default=False
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="A configuration in TOML. Without it, and without --path, PERDURE_* and the defaults hold.",
        rich_help_panel=_WHERE,
        show_default=False,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Answer with JSON and nothing else; errors too, on stderr.")
]
User = Annotated[str | None, typer.Option("--user", "-u", help="The user's id.", rich_help_panel=_WHOSE)]
Agent = Annotated[str | None, typer.Option("--agent", help="The agent's id.", rich_help_panel=_WHOSE)]
Run = Annotated[str | None, typer.Option("--run", help="The run's id: one session.", rich_help_panel=_WHOSE)]
App = Annotated[str | None, typer.Option("--app", help="The application's id.", rich_help_panel=_WHOSE)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether this is meant.")]
Categories = Annotated[
    list[str] | None, typer.Option("--category", "-c", help="A category; may be given several times.")
]
Metadata = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON", help="An object, kept with the memory.")
]
Filters = Annotated[
    str | None, typer.Option("--filters", metavar="JSON", help="Conditions on metadata and dates.")
]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="DATE", help="Hide it after this day or moment.")
]
TrustedOnly = Annotated[
    bool, typer.Option("--trusted-only", help="Nothing that came from a tool or from the web.")
]
AsOf = Annotated[str | None, typer.Option("--as-of", metavar="DATE", help="What was true at that moment.")]
KnownAt = Annotated[
    str | None, typer.Option("--known-at", metavar="DATE", help="What was known at that moment.")
]


class Ids(TypedDict):
    """Whose memories, as the verbs call it."""

    user_id: str | None
    agent_id: str | None
    run_id: str | None
    app_id: str | None


def ids(user: str | None, agent: str | None, run: str | None, app: str | None) -> Ids:
    """The four options as the verbs' arguments."""
    return {"user_id": user, "agent_id": agent, "run_id": run, "app_id": app}


def given(**options: Any) -> dict[str, Any]:
    """The options that were given, so that a verb's own defaults hold for the others."""
    return {name: value for name, value in options.items() if value is not None}


def json_object(text: str | None, option: str) -> dict[str, Any] | None:
    """An option's JSON object.

    Raises:
        InvalidInput: it is something else.
    """
    import json  # only by those who give one

    if text is None:
        return None
    try:
        value = json.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # also a number of thousands of digits, or nested too deeply
        raise InvalidInput(
            f'{option} is not JSON ({error}): give an object like \'{{"key": "value"}}\''
        ) from error
    if not isinstance(value, dict):
        raise InvalidInput(f'{option} is no JSON object: give one like \'{{"key": "value"}}\'')
    return value


def zone(name: str) -> tzinfo:
    """A time zone by its name, as `Europe/Lisbon`.

    Raises:
        InvalidInput: there is none of that name here.
    """
    from zoneinfo import ZoneInfo  # only by those who name one

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise InvalidInput(
            f"--timezone {name!r} is not known: give a name like Europe/Lisbon or UTC"
        ) from error


def text_of(file: Path) -> str:
    """What a file holds, or stdin.

    Raises:
        InvalidInput: it is not UTF-8.
    """
    try:
        if str(file) == "-":
            return output.in_utf8(sys.stdin).read().removeprefix("\ufeff")
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file} is not UTF-8 (byte {error.start}): convert it first") from error
