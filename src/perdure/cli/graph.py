"""The command that shows entities and relations, to read, as JSON or as a drawing for Graphviz."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perdure.cli import output
from perdure.cli.memories import PANEL
from perdure.cli.options import (
    Agent,
    App,
    AsOf,
    ConfigFile,
    Json,
    KnownAt,
    Run,
    StorePath,
    User,
    given,
    ids,
)
from perdure.cli.service import Where, call
from perdure.errors import InvalidInput

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from perdure.engine.shape import EdgeDict

app = typer.Typer()

WEAK_SHOWN = 5
"""So many of the weak relations of one entity stand in the readable view, the strongest first."""


@app.command(rich_help_panel=PANEL)
def graph(
    entity: Annotated[
        str | None,
        typer.Argument(metavar="[ENTITY]", help="Only this one and what is around it.", show_default=False),
    ] = None,
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    depth: Annotated[int, typer.Option(help="How many relations away the farthest may be.")] = 1,
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="How many entities at most; 50, when left out.")
    ] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    show_superseded: Annotated[
        bool, typer.Option("--show-superseded", help="Also relations that are true no more.")
    ] = False,
    apart: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=NAME", help="Two names that are two entities; may be given several times."
        ),
    ] = None,
    dot: Annotated[bool, typer.Option("--dot", help="Answer in the language of Graphviz.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Show who and what is remembered, and what is between them."""
    if dot and machine:
        raise InvalidInput("--dot and --json exclude each other: give one of them")
    whose = ids(user, agent, run, app_id)
    options = given(
        entity=entity,
        top_k=limit,
        as_of=as_of,
        known_at=known_at,
        apart=[_pair(pair) for pair in apart or ()],
    )
    shown = call(
        Where(path, config),
        lambda memory: memory.graph(depth=depth, show_superseded=show_superseded, **whose, **options),
    )
    if dot:
        sys.stdout.write(drawing(shown))
    else:
        output.say(machine, shown, view)


def view(shown: Mapping[str, Any]) -> RenderableType:
    """Each entity with how often it is met and its other names, and below it what it has to do with others."""
    from rich.console import Group  # loaded when something is shown

    if not shown["entities"]:
        return output.line(("Nobody and nothing of that name is remembered.", "dim"))
    places = {entity["name"]: place for place, entity in enumerate(shown["entities"])}
    leaving: dict[str, list[EdgeDict]] = defaultdict(list)
    for edge in shown["relations"]:
        leaving[edge["source"] if edge["stated"] else min(_ends(edge), key=places.__getitem__)].append(edge)
    rows = []
    for name, entity in zip(places, shown["entities"], strict=True):
        also = f", also {', '.join(entity['aliases'])}" if entity["aliases"] else ""
        rows.append(output.line((name, "bold"), (f"  {entity['kind']}, {entity['count']}{also}", "dim")))
        stated = [edge for edge in leaving[name] if edge["stated"]]
        weak = [edge for edge in leaving[name] if not edge["stated"]]
        rows.extend(_row(edge, name) for edge in [*stated, *weak[:WEAK_SHOWN]])
        if len(weak) > WEAK_SHOWN:
            rows.append(output.line((f"  … {len(weak) - WEAK_SHOWN} more", "dim")))
    return Group(*rows)


def drawing(shown: Mapping[str, Any]) -> str:
    """The graph for `dot`: what facts state as arrows, what is only mentioned together as dotted lines."""
    lines = ["digraph memory {"]
    lines += [
        f"  {_quoted(e['name'])} [tooltip={_quoted(', '.join([e['kind'], *e['aliases']]))}];"
        for e in shown["entities"]
    ]
    for edge in shown["relations"]:
        style = f"label={_quoted(edge['relationship'])}" if edge["stated"] else "style=dotted, arrowhead=none"
        lines.append(f"  {_quoted(edge['source'])} -> {_quoted(edge['destination'])} [{style}];")
    return "\n".join([*lines, "}"]) + "\n"


def _ends(edge: EdgeDict) -> tuple[str, str]:
    return edge["source"], edge["destination"]


def _row(edge: EdgeDict, under: str) -> Text:
    """A relation, as it stands below one of its ends."""
    other = edge["destination"] if edge["source"] == under else edge["source"]
    if not edge["stated"]:
        return output.line((f"  {edge['relationship']} {other}", "dim"))
    ended = f" until {edge['valid_to'][:10]}" if edge["valid_to"] else ""
    return output.line("  ", (edge["relationship"], "cyan"), f" {other}", (ended, "dim"))


def _quoted(text: str) -> str:
    """A text as Graphviz quotes it; a backslash would begin an escape, and no text may command a terminal."""
    return json.dumps(output.safe(text).replace("\n", " "), ensure_ascii=False)


def _pair(text: str) -> tuple[str, str]:
    """Two names with `=` between them.

    Raises:
        InvalidInput: there are not two.
    """
    one, equals, other = text.partition("=")
    if not equals or not one.strip() or not other.strip():
        raise InvalidInput(f"--apart {text!r}: give two names, as in --apart 'Ann=Ann Smith'")
    return one.strip(), other.strip()
