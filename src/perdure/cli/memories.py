"""Commands on memories: remember, find, look at, change and forget."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from perdure.cli import output, views
from perdure.cli.options import (
    Agent,
    App,
    AsOf,
    Categories,
    ConfigFile,
    Expires,
    Filters,
    Ids,
    Json,
    KnownAt,
    Metadata,
    Run,
    StorePath,
    TrustedOnly,
    User,
    Yes,
    given,
    ids,
    json_object,
)
from perdure.cli.service import Where, call
from perdure.errors import InvalidInput

PANEL = "Memories"

app = typer.Typer()

MemoryId = Annotated[
    str, typer.Argument(metavar="ID", help="The memory's id, as results show it.", show_default=False)
]


@app.command(rich_help_panel=PANEL)
def add(
    text: Annotated[str, typer.Argument(help="What was said; - reads it from stdin.", show_default=False)],
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    role: Annotated[str, typer.Option(help="Who said it: user, assistant or tool.")] = "user",
    name: Annotated[str | None, typer.Option(help="The speaker's name.")] = None,
    origin: Annotated[
        str | None, typer.Option(help="Where it comes from, if not from the role: web, import, tool.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="DATE", help="When it was said; now, when left out.")
    ] = None,
    metadata: Metadata = None,
    category: Categories = None,
    expires: Expires = None,
    verbatim: Annotated[bool, typer.Option("--verbatim", help="List it as it is, whatever it says.")] = False,
    key: Annotated[
        str | None, typer.Option(help="Stored once, however often it is sent with this key.")
    ] = None,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Remember what was said."""
    message = given(role=role, content=sys.stdin.read() if text == "-" else text, name=name, origin=origin)
    options = given(
        metadata=json_object(metadata, "--metadata"),
        categories=category,
        timestamp=at,
        expiration_date=expires,
        idempotency_key=key,
    )
    whose = ids(user, agent, run, app_id)
    added = call(
        Where(path, config), lambda memory: memory.add([message], infer=not verbatim, **whose, **options)
    )
    output.say(machine, added, views.added)


@app.command(rich_help_panel=PANEL)
def search(
    query: Annotated[str, typer.Argument(help="A question or a statement.", show_default=False)],
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="How many results; 10, if not configured otherwise.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="The least score, 0 to 1.")] = None,
    filters: Filters = None,
    category: Categories = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    show_expired: Annotated[bool, typer.Option("--show-expired", help="Also what has expired.")] = False,
    trusted_only: TrustedOnly = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show what gave each result its score.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Find what answers a question, best first."""
    options = given(
        top_k=limit,
        threshold=threshold,
        filters=json_object(filters, "--filters"),
        categories=category,
        as_of=as_of,
        known_at=known_at,
    )
    whose = ids(user, agent, run, app_id)
    found = call(
        Where(path, config),
        lambda memory: memory.search(
            query, explain=explain, trusted_only=trusted_only, show_expired=show_expired, **whose, **options
        ),
    )
    output.say(machine, found, views.found)


@app.command("list", rich_help_panel=PANEL)
def list_(
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 50,
    offset: Annotated[int, typer.Option(help="How many to pass over.")] = 0,
    filters: Filters = None,
    category: Categories = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    show_all: Annotated[bool, typer.Option("--all", help="Also small talk, as 'ok, thanks'.")] = False,
    show_expired: Annotated[bool, typer.Option("--show-expired", help="Also what has expired.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """List memories, newest first."""
    options = given(
        filters=json_object(filters, "--filters"), categories=category, as_of=as_of, known_at=known_at
    )
    whose = ids(user, agent, run, app_id)
    listed = call(
        Where(path, config),
        lambda memory: memory.get_all(
            top_k=limit, offset=offset, show_all=show_all, show_expired=show_expired, **whose, **options
        ),
    )
    output.say(machine, listed, views.listed)


@app.command(rich_help_panel=PANEL)
def show(
    memory_id: MemoryId, path: StorePath = None, config: ConfigFile = None, machine: Json = False
) -> None:
    """Show one memory, and the words that it came from."""
    output.say(machine, call(Where(path, config), lambda memory: memory.get(memory_id)), views.one)


@app.command(rich_help_panel=PANEL)
def history(
    memory_id: MemoryId, path: StorePath = None, config: ConfigFile = None, machine: Json = False
) -> None:
    """Show all that happened to a memory, oldest first."""
    output.say(machine, call(Where(path, config), lambda memory: memory.history(memory_id)), views.history)


@app.command(rich_help_panel=PANEL)
def update(
    memory_id: MemoryId,
    *,
    text: Annotated[str | None, typer.Argument(help="The new text.", show_default=False)] = None,
    metadata: Metadata = None,
    category: Categories = None,
    expires: Expires = None,
    never_expires: Annotated[bool, typer.Option("--never-expires", help="Take its expiry away.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Change a memory; its history keeps the earlier versions."""
    if expires and never_expires:
        raise InvalidInput("--expires and --never-expires exclude each other: give one of them")
    options: dict[str, Any] = given(
        metadata=json_object(metadata, "--metadata"), categories=category, expiration_date=expires
    )
    if never_expires:
        options["expiration_date"] = None
    changed = call(Where(path, config), lambda memory: memory.update(memory_id, text, **options))
    output.say(machine, changed, views.one)


@app.command(rich_help_panel=PANEL)
def delete(
    memory_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The memory's id.", show_default=False)
    ] = None,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="All memories of the user, agent, run or app named.")
    ] = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    yes: Yes = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Retire a memory; its history keeps the words.

    With --all, everything of the user, agent, run or app that is named.
    """
    whose = ids(user, agent, run, app_id)
    where = Where(path, config)
    if (memory_id is None) == (not all_):
        raise InvalidInput("give the id of one memory, or --all with --user, --agent, --run or --app")
    if memory_id is not None:
        output.say(machine, call(where, lambda memory: memory.delete(memory_id)), views.done)
        return
    _named(whose)
    output.confirm(f"Delete all memories of {_shown(whose)}?", yes=yes)
    output.say(machine, call(where, lambda memory: memory.delete_all(**whose)), views.done)


@app.command(rich_help_panel=PANEL)
def erase(
    memory_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="The memory's id.", show_default=False)
    ] = None,
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    yes: Yes = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Remove the words themselves, for good.

    Of one memory, or of all that the user, agent, run or app has that is named.
    """
    whose = ids(user, agent, run, app_id)
    if memory_id is None:
        _named(whose)
    elif given(**whose):
        raise InvalidInput("give the id of one memory, or --user, --agent, --run or --app, not both")
    what = f"the memory {memory_id}" if memory_id else f"all memories of {_shown(whose)}"
    output.confirm(f"Erase {what}? The words cannot be brought back.", yes=yes)
    options = given(reason=reason)
    erased = call(Where(path, config), lambda memory: memory.erase(memory_id, **whose, **options))
    output.say(machine, erased, views.erased)


def _named(whose: Ids) -> None:
    """Insist on somebody before anybody is asked to confirm."""
    if not given(**whose):
        raise InvalidInput("nobody is named whose memories: give --user, --agent, --run or --app")


def _shown(whose: Ids) -> str:
    return ", ".join(
        f"{name.removesuffix('_id')} {value!r}" for name, value in whose.items() if value is not None
    )
