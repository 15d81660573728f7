"""The demonstration as a person sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from perdure.cli.demo.story import NAMES
from perdure.cli.output import line
from perdure.cli.views import score, span, when

_HEADINGS = {
    "now": ("Maya asks", "in her own words, weeks later"),
    "apart": ("Two people, one question", "what belongs to one is never shown to the other"),
    "then": ("Back in time", "what was known before she changed her mind"),
}


def shown(played: Mapping[str, Any], keep: Path | None) -> RenderableType:
    """All of it, within 80 columns."""
    told = played["told"]
    rows: list[RenderableType] = [
        line(
            ("Remembered ", "bold"),
            f"{told['turns']} turns of {told['users']} people in {told['sessions']} sessions, ",
            f"{_day(told['from'])} to {_day(told['to'])}",
        )
    ]
    for part, (title, under) in _HEADINGS.items():
        heading = line((title, "bold cyan"), (f"  {under}", "dim"))
        rows += ["", Rule(heading, align="left", style="cyan", characters="─")]
        asked = [answer for answer in played["answers"] if answer["part"] == part]
        rows.append(_answers(asked, named=part == "apart"))
    rows += ["", *_ending(played, keep)]
    return Group(*rows)


def _answers(asked: list[Mapping[str, Any]], *, named: bool) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=4, no_wrap=True)
    table.add_column(ratio=1, overflow="fold")
    table.add_column(justify="right", no_wrap=True, style="dim")
    for answer in asked:
        told = f"{NAMES[answer['user']]}: {answer['question']}" if named else answer["question"]
        question = line(("› ", "cyan"), (told, "bold"))
        if answer["known_at"]:
            question.append_text(line((f"  (as known on {_day(answer['known_at'])})", "dim")))
        table.add_row("", question, f"{answer['ms']:.1f} ms")
        table.add_row(*_answer(answer))
    return table


def _answer(answer: Mapping[str, Any]) -> tuple[RenderableType, RenderableType, str]:
    """What was found: its score, its words and where they come from; or that there is nothing, which may be right."""
    best = answer["answer"]
    if best is None:
        return Text("–", "dim"), line(("Nothing was ever said about that.", "italic")), ""
    source = best["sources"][0] if best["sources"] else best
    said = f"{source.get('speaker') or source['role']}, {when(source['said_at'])}, turn {answer['turn']}"
    dates = ", ".join(f"{m['text']} = {span(m)}" for m in best["mentions"])
    rows = [line(best["memory"]), line((" · ".join(part for part in (said, dates) if part), "dim"))]
    if not answer["right"]:
        wanted = (
            f"turn {answer['expected']} answers it" if answer["expected"] else "nothing was said about it"
        )
        rows.append(line((f"not as hoped: {wanted}", "yellow")))
    return score(best["score"]), Group(*rows), ""


def _ending(played: Mapping[str, Any], keep: Path | None) -> Iterator[RenderableType]:
    speed, right, asked = played["speed"], played["right"], len(played["answers"])
    yield line(
        (f"{right} of {asked} as hoped. ", "bold green" if right == asked else "bold yellow"),
        f"{speed['adds_per_second']:,} turns remembered a second, ",
        f"{speed['search_p50_ms']:.1f} ms a search (median), on this machine, without a network.",
    )
    if keep is None:
        yield line(("Nothing was kept. With --keep demo.db you can go on asking:", "dim"))
        keep = Path("demo.db")
    else:
        yield line(("It is kept. Go on asking:", "dim"))
    command = f'perdure search "where will I live?" --user maya --path {keep}'
    yield Padding(line((command, "cyan")), (0, 0, 0, 2))


def _day(moment: str) -> str:
    return when(f"{moment[:10]}T00:00:00+00:00")
