"""What the figures are called, what they should be, and how they are printed, kept as JSON and published."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench import vectors
from bench.harness import median


@dataclass(frozen=True, kw_only=True)
class Line:
    """How one figure is shown."""

    title: str
    unit: str
    target: float | str | None = None
    """What Perdure means to stay within; stated for the full sizes."""


LINES = {
    "commit_ms": Line(
        title="floor: one row committed by bare SQLite (WAL, synchronous=FULL), p50", unit="ms"
    ),
    "fsync_ms": Line(title="floor: 4 KiB appended to a file and fsynced, p50", unit="ms"),
    "start_s": Line(title="import and first construct", unit="s", target=0.3),
    "start_mb": Line(title="import and first construct: memory", unit="MB", target=75),
    "started_s": Line(title="the same, up to the first memory added and found, local model", unit="s"),
    "add_ms": Line(title="add verbatim, embedder in-process at 0 ms, p50", unit="ms", target=1.5),
    "add_blocking_ms": Line(title="the same through the blocking `Memory`, p50", unit="ms"),
    "add_http_ms": Line(title="add verbatim, embedder over HTTP at 0 ms, p50", unit="ms", target=3),
    "adds_per_s": Line(title="verbatim adds one after another, in-process embedder", unit="/s", target=800),
    "bulk_per_s": Line(title="bulk ingest of {rows:,}, embedding apart", unit="/s", target=5000),
    "search_ms": Line(
        title="scoped search of {rows:,} rows over 100 users, engine only, p50", unit="ms", target=1
    ),
    "recall": Line(title="its recall of the exact nearest by vector", unit="", target=1.0),
    "recall_words": Line(title="its recall of the rows that share a rare word", unit="", target=1.0),
    "first": Line(title="the row that was asked for comes first", unit=""),
    "peak_mb": Line(title="peak memory of a process serving {rows:,} rows", unit="MB", target=250),
    "get_all_ms": Line(title="get_all of {rows:,}", unit="ms", target=60),
    "delete_all_ms": Line(title="delete_all of {rows:,}", unit="ms", target=15),
    "warm_ms": Line(title="one scope of {rows:,}, local model: warm search, p50", unit="ms", target=3),
    "touch_ms": Line(
        title="one scope of {rows:,}: first search of a new process, model loaded", unit="ms", target=150
    ),
    "touch_model_ms": Line(title="one scope of {rows:,}: the same, the model's loading included", unit="ms"),
    "after_add_ms": Line(
        title="one scope of {rows:,}: an add and the search after it, p50", unit="ms", target=6
    ),
    "beside_writer_ms": Line(
        title="one scope of {rows:,}: search while a second process writes, p50", unit="ms"
    ),
    "beside_writer_seen": Line(title="of the second process's writes, seen by the first", unit=""),
    "concurrent_s": Line(
        title="200 concurrent searches, embedder 20 ms, {rows:,} rows", unit="s", target=0.15
    ),
    "lag_p99_ms": Line(title="event-loop lag meanwhile, p99", unit="ms", target=10),
    "lag_max_ms": Line(title="event-loop lag meanwhile, greatest", unit="ms", target=50),
    "http_concurrent_s": Line(
        title="200 concurrent searches, embedder 20 ms over HTTP, {rows:,} rows", unit="s", target=0.3
    ),
    "http_lag_p99_ms": Line(title="event-loop lag meanwhile, p99", unit="ms", target=10),
    "http_lag_max_ms": Line(title="event-loop lag meanwhile, greatest", unit="ms", target=50),
    "burst_s": Line(title="2,000 concurrent verbatim adds, of 100 users", unit="s"),
    "burst_kept": Line(
        title="of them there after closing and opening again", unit="", target="2,000 of 2,000"
    ),
    "burst_lag_p99_ms": Line(title="event-loop lag meanwhile, p99", unit="ms", target=10),
    "burst_lag_max_ms": Line(title="event-loop lag meanwhile, greatest", unit="ms", target=50),
    "waiting_mb": Line(title="10,000 searches waiting for an embedder: memory that they hold", unit="MB"),
    "refused_us": Line(title="one more search, refused, p50", unit="us", target=10),
    "metrics_times": Line(
        title="search of {rows:,} rows over 100 users with metrics, in times of one without",
        unit="",
        target=1.03,
    ),
    "metrics_collect_ms": Line(title="all figures collected, as text", unit="ms"),
    "learn_ms": Line(
        title="add with facts, LLM 300 ms, embedder 20 ms: overhead for 1 message, p50", unit="ms", target=4
    ),
    "learn_ten_ms": Line(title="the same for 10 messages, 10 facts", unit="ms", target=8),
    "learn_at_once_s": Line(title="200 such adds at once, of 200 users", unit="s", target=0.8),
    "learn_kept": Line(title="of them answered with what was learned", unit="", target="200 of 200"),
    "learn_lag_p99_ms": Line(title="event-loop lag meanwhile, p99", unit="ms", target=10),
    "learn_lag_max_ms": Line(title="event-loop lag meanwhile, greatest", unit="ms", target=50),
    "engines_ms": Line(
        title="add beside a vector engine of 200 ms and a graph engine of 150 ms, p50", unit="ms", target=210
    ),
    "engines_more_ms": Line(title="what that is more than with neither", unit="ms", target=205),
    "cache_hit_rate": Line(
        title="1,000 users by Zipf's law, 3 questions each, 5 % writes: searches answered from a cache",
        unit="",
        target=0.7,
    ),
    "cache_hit_ms": Line(title="such a search, from this process, p50", unit="ms", target=0.2),
    "cache_miss_times": Line(
        title="any other search, in times of what it takes without caches", unit="", target=1.2
    ),
    "cache_redis_hit_ms": Line(title="a search answered from Redis, p50", unit="ms"),
    "cache_redis_miss_times": Line(
        title="any other search beside a Redis, in times of what it takes without", unit=""
    ),
    "postgres_raw_ms": Line(
        title="floor: the rows of one add sent raw to PostgreSQL, pipelined, one transaction, p50", unit="ms"
    ),
    "postgres_add_ms": Line(title="one add committed by the PostgreSQL store, p50", unit="ms"),
    "postgres_add_times": Line(title="the same in times of the floor", unit="", target=2),
    "postgres_adds_ms": Line(title="200 adds at once, of one user or of 200", unit="ms"),
    "postgres_adds_times": Line(
        title="the same in times of all their rows sent raw in one transaction", unit="", target=2
    ),
    "postgres_search_ms": Line(
        title="PostgreSQL: scoped search of {rows:,} rows over 100 users, warm, p50", unit="ms", target=4
    ),
    "postgres_scope_ms": Line(title="PostgreSQL: search in one scope of {rows:,}, warm, p50", unit="ms"),
    "postgres_touch_ms": Line(title="PostgreSQL: first search in one scope of {rows:,}", unit="ms"),
    "first_word_ms": Line(
        title="floor: first word of a streamed answer from a server at 0 ms, p50", unit="ms"
    ),
    "proxy_ms": Line(
        title="the same with memories of {rows:,} rows over 100 users: later by, p50", unit="ms", target=5
    ),
    "proxy_p90_ms": Line(title="the same, p90 after p90", unit="ms"),
    "second_process": Line(title="a second process opens the same store", unit="", target="opens"),
    **vectors.lines(Line),
}


@dataclass(kw_only=True)
class Result:
    """All rounds of one figure, of both sides."""

    figure: str
    rows: int
    ours: list[float | str] = field(default_factory=list)
    theirs: list[float | str] = field(default_factory=list)

    def add(self, side: str, value: float | str, *, counts: bool) -> None:
        """One round's value of a side; the round that warms up does not count."""
        if counts:
            (self.ours if side == "Perdure" else self.theirs).append(value)

    @property
    def title(self) -> str:
        return LINES[self.figure].title.format(rows=self.rows)

    def cells(self, *, quick: bool) -> list[str]:
        """Title, ours, theirs, how much better, and target (which is for the full sizes), as they are printed."""
        line = LINES[self.figure]
        mine, other = middle(self.ours), middle(self.theirs)
        target = "" if quick else shown(line.target, line.unit)
        return [
            self.title,
            shown(mine, line.unit),
            shown(other, line.unit),
            better_by(mine, other, line.unit),
            target,
        ]


def middle(values: Sequence[float | str]) -> float | str | None:
    """The median of the rounds; of words, the last."""
    numbers = [value for value in values if not isinstance(value, str)]
    return median(numbers) if numbers else (values[-1] if values else None)


def shown(value: float | str | None, unit: str) -> str:
    """Three significant digits, and the unit."""
    if value is None or isinstance(value, str):
        return value or "-"
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".replace(" /s", "/s").strip()


def better_by(mine: float | str | None, other: float | str | None, unit: str) -> str:
    """How many times better ours is: below 1 where it is worse; of speeds more is better, of all else less."""
    if not (unit and isinstance(mine, float | int) and isinstance(other, float | int) and mine and other):
        return "-"
    return f"{mine / other if unit == '/s' else other / mine:.3g}x"


HEADINGS = ("", "Perdure", "mem0ai", "better by", "target")


def table(results: Sequence[Result], *, quick: bool) -> str:
    """A Markdown table, aligned so that it can be read as plain text too."""
    cells = [list(HEADINGS), *(result.cells(quick=quick) for result in results)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]) + "|"
    return "\n".join([lines[0], rule, *lines[1:]]) + "\n"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    total = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "processor": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "memory": f"{total / 1024**2:.0f} GiB",
        "system": platform.system(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def to_json(results: Sequence[Result], *, versions: dict[str, str], quick: bool) -> str:
    """Every round of every figure, for comparisons over time."""
    return json.dumps(
        {
            "date": datetime.now(UTC).date().isoformat(),
            "quick": quick,
            "machine": machine(),
            "versions": versions,
            "results": [{"title": result.title, **asdict(result)} for result in results],
        },
        indent=1,
    )


PAGE = """\
# Benchmarks

Generated by `python -m bench --with-mem0 --write-docs`; do not edit. Judge the ratios: milliseconds are this machine's.

{where}

{table}
How it is measured. Each side runs in a process of its own, for each measure a fresh one; the rounds of the two sides
take turns, and the median of the rounds is shown. Texts are generated: 8 to 30 words with natural (Zipf) frequencies,
384-dimensional vectors. Both sides store durably and verbatim (`infer=False`), without a language model. Perdure is
called through `AsyncMemory` unless said otherwise; mem0ai through `Memory`, its faster face, or for concurrent calls
through `AsyncMemory`, with Qdrant in-process as it installs itself (words are then not searched) and its telemetry
off. "Engine only" and "in-process" mean that the embedder is a function that takes no time worth naming; for mem0ai its
OpenAI client is replaced by such a function. Its stores for searching are filled straight through its vector store.
Perdure's caches are off but for the lines that are about them: there every user has three
questions of their own, the first of which is asked most. "Serving" is a process that opens a filled store and searches all of it. A new process finds the file in the
operating system's cache.
"""


def page(results: Sequence[Result], *, versions: dict[str, str]) -> str:
    """The text of docs/benchmarks.md."""
    facts = {**machine(), **versions, "date": datetime.now(UTC).date().isoformat()}
    return PAGE.format(
        where=" · ".join(f"{name} {value}" for name, value in facts.items()),
        table=table(results, quick=False),
    )
