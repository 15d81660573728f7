"""Commands that make text for a prompt: what answers a question, and what is known of somebody."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from perdure.cli import output
from perdure.cli.memories import PANEL
from perdure.cli.options import (
    Agent,
    App,
    AsOf,
    Categories,
    ConfigFile,
    Filters,
    Json,
    KnownAt,
    Run,
    StorePath,
    TrustedOnly,
    User,
    given,
    ids,
    json_object,
)
from perdure.cli.service import Where, call

app = typer.Typer()

Budget = Annotated[int | None, typer.Option("--budget", help="The most tokens that the text may have.")]
FullIds = Annotated[bool, typer.Option("--full-ids", help="Show whole ids, not only their last letters.")]


@app.command(rich_help_panel=PANEL)
def context(
    query: Annotated[str, typer.Argument(help="A question or a statement.", show_default=False)],
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    budget: Budget = None,
    form: Annotated[
        str, typer.Option("--format", help="text, xml, or messages (JSON, for chat APIs).")
    ] = "text",
    limit: Annotated[
        int | None, typer.Option("--limit", "-n", help="How many memories are looked at.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="The least score, 0 to 1.")] = None,
    filters: Filters = None,
    category: Categories = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    trusted_only: TrustedOnly = False,
    full_ids: FullIds = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Give what answers a question, as text for a prompt.

    The text is all that stands on stdout.
    """
    options = given(
        budget_tokens=budget,
        top_k=limit,
        threshold=threshold,
        filters=json_object(filters, "--filters"),
        categories=category,
        as_of=as_of,
        known_at=known_at,
    )
    whose = ids(user, agent, run, app_id)
    made = call(
        Where(path, config),
        lambda memory: memory.context(
            query,
            format=form,  # type: ignore[arg-type]  # the verb tells which there are
            trusted_only=trusted_only,
            full_ids=full_ids,
            **whose,
            **options,
        ),
    )
    if machine:
        output.say_json(made)
    else:
        text = made["context"]
        shown = text if isinstance(text, str) else json.dumps(text, ensure_ascii=False) if text else ""
        _give(shown, made["omitted"])


@app.command(rich_help_panel=PANEL)
def profile(
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    category: Categories = None,
    budget: Budget = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", help="How many memories at most.")] = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    trusted_only: TrustedOnly = False,
    full_ids: FullIds = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Give what is known of somebody, by category, as text for a prompt."""
    options = given(categories=category, budget_tokens=budget, top_k=limit, as_of=as_of, known_at=known_at)
    whose = ids(user, agent, run, app_id)
    made = call(
        Where(path, config),
        lambda memory: memory.profile(full_ids=full_ids, trusted_only=trusted_only, **whose, **options),
    )
    if machine:
        output.say_json(made)
    else:
        _give(made["text"], made["omitted"])


def _give(text: str, omitted: int) -> None:
    """The text as it is, in lines of its own: a terminal's width must not break what goes into a prompt."""
    if text:
        sys.stdout.write(f"{text}\n")
    elif omitted:
        told = f"There is no room for any of {omitted} memories: give a larger --budget."
        output.err().print(output.line((told, "dim")))
    else:
        output.err().print(output.line(("Nothing is remembered about that.", "dim")))
