"""Answers of the verbs as people read them, within 80 columns and without colours where there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from perdure.cli.output import line

DIM, GOOD, BAD = "dim", "green", "red"
_MARKS = {"UPDATE": (("= ", GOOD), "confirmed: "), "SUPERSEDE": (("× ", BAD), "true no more: ")}


def added(answer: Mapping[str, Any]) -> RenderableType:
    """What became of each message."""
    rows = []
    for result in answer["results"]:
        if result["event"] == "NONE":
            rows.append(line(("· ", DIM), f"not stored: {result.get('reason', 'nothing new')}"))
        else:
            rows.append(line(*_MARKS.get(result["event"], (("✓ ", GOOD),)), result["memory"]))
        if result["id"]:
            rows.append(line((f"  {result['id']}", DIM)))
    if hidden := answer["receipt"].get("redacted"):
        counts = ", ".join(f"{kind} {count}" for kind, count in hidden.items())
        rows.append(line(("· ", DIM), f"replaced before it was stored: {counts}"))
    rows += [line(("… ", "yellow"), f"pending: {what}") for what in answer["receipt"]["pending"]]
    return Group(*rows)


def pending(jobs: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What is still to be done, oldest first."""
    if not jobs:
        return line(("Nothing is pending.", DIM))
    rows = []
    for job in jobs:
        whose = next(job[name] for name in ("user_id", "agent_id", "app_id", "run_id") if job[name])
        tried = f"tried {_counted(job['attempts'], 'time')}" if job["attempts"] else "not tried yet"
        tried += {"FAILED": ", given up", "RUNNING": ", being worked on"}.get(job["status"], "")
        rows.append(line(f"{job['event_id']}  {whose}, {_counted(len(job['turns']), 'message')}, {tried}"))
        if job["error"]:
            rows.append(line(("  " + job["error"], "yellow")))
    return Group(*rows)


def event(told: Mapping[str, Any]) -> RenderableType:
    """What has become of an add, and what it made."""
    colour = {"SUCCEEDED": GOOD, "FAILED": BAD}.get(told["status"], "yellow")
    rows = [line((told["status"], colour), f"  {told['event_id']}, {told['made_at']}")]
    if told["error"]:
        rows.append(line(("  " + told["error"], "yellow")))
    rows += [line(f"  {result['event']}  {result['memory']}") for result in told["results"]]
    return Group(*rows)


def flushed(left: Mapping[str, int]) -> RenderableType:
    """How much is left after all was tried."""
    mark = ("… ", "yellow") if left["pending"] else ("✓ ", GOOD)
    return line(mark, f"{left['pending']} pending, {left['failed']} given up")


def reextracted(made: Mapping[str, Any]) -> RenderableType:
    """What comes and what goes, as a difference."""
    rows = [line(("- ", BAD), memory["memory"]) for memory in made["removed"]]
    rows += [line(("+ ", GOOD), memory["memory"]) for memory in made["added"]]
    rows += [line(("… ", "yellow"), reason) for reason in made["failed"]]
    said = "stored" if made["applied"] else "nothing was stored; --apply does it"
    rows.append(
        line((f"{len(made['added'])} more, {len(made['removed'])} less, {made['kept']} kept: {said}", DIM))
    )
    return Group(*rows)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def retried(done: Mapping[str, Any]) -> RenderableType:
    """How much was learned, and why the rest was not."""
    mark = ("… ", "yellow") if done["pending"] else ("✓ ", GOOD)
    rows = [line(mark, f"{done['done']} done, {done['pending']} pending")]
    return Group(*rows, *(line(("  " + reason, "yellow")) for reason in done["reasons"]))


def found(answer: Mapping[str, Any]) -> RenderableType:
    """Results with their scores, best first."""
    notes = [line((note, "yellow")) for note in answer.get("notes", ())]
    if not answer["results"]:
        return Group(line(("Nothing is remembered about that.", DIM)), *notes)
    table = _grid(6)
    for result in answer["results"]:
        table.add_row(score(result["score"]), _entry(result))
        if "explain" in result:
            table.add_row("", _explained(result["explain"]))
    return Group(table, *notes)


def listed(answer: Mapping[str, Any]) -> RenderableType:
    """Memories, one after the other."""
    if not answer["results"]:
        return line(("Nothing is remembered here.", DIM))
    table = _grid(2)
    for result in answer["results"]:
        table.add_row(Text("•", DIM), _entry(result))
    return table


def one(memory: Mapping[str, Any]) -> RenderableType:
    """One memory with all that is known of it."""
    shown = {
        "id": memory["id"],
        "kind": memory["kind"],
        "said": _said(memory),
        "whose": _whose(memory),
        "updated": when(memory["updated_at"]) if memory["updated_at"] != memory["created_at"] else None,
        "valid": _interval(memory),
        "expires": when(memory["expiration_date"]),
        "categories": ", ".join(memory["categories"]),
        "metadata": ", ".join(f"{key}: {value}" for key, value in memory["metadata"].items()),
        "dates": ", ".join(f"{m['text']} = {span(m)}" for m in memory["mentions"]),
    }
    sources = [source for source in memory.get("sources", ()) if source["text"] != memory["memory"]]
    rows: list[RenderableType] = [line((memory["memory"], "bold")), Padding(facts(shown), (0, 0, 0, 2))]
    rows += [
        line(("  from ", DIM), f"“{s['text']}” ", (f"({s['speaker'] or s['role']})", DIM)) for s in sources
    ]
    return Group(*rows)


def history(changes: Sequence[Mapping[str, Any]]) -> RenderableType:
    """What happened to a memory, oldest first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for change in changes:
        text = change["new_memory"] if change["new_memory"] is not None else change["old_memory"]
        words = line(text) if text is not None else line(("(the words are gone)", DIM))
        if change["reason"]:
            words = line(words.plain, (f"  {change['reason']}", DIM))
        table.add_row(line((when(change["created_at"]), DIM)), line(change["event"]), words)
    return table


def done(answer: Mapping[str, Any]) -> RenderableType:
    """That it is done, and how often."""
    count = answer.get("deleted")
    return line(
        ("✓ ", GOOD), answer["message"], (f"  ({_many(count, 'memory')})" if count is not None else "", DIM)
    )


def erased(answer: Mapping[str, Any]) -> RenderableType:
    """What was removed where."""
    rows = [line(("✓ ", GOOD), f"{_many(answer['erased'], 'memory')} erased")]
    rows += [
        line(f"  {table}: ", (_many(count, "row"), DIM))
        for table, count in answer["removed"].items()
        if count
    ]
    if not answer["log_truncated"]:
        rows.append(line(("  The log still holds the words until another reader is done: erase again, or run ", "yellow"),
                         "perdure doctor"))  # fmt: skip
    if not answer["caches_cleared"]:
        rows.append(
            line(
                (
                    "  The shared cache cannot be reached: it has the words until their time there is over",
                    "yellow",
                )
            )
        )
    return Group(*rows)


def examined(answer: Mapping[str, Any]) -> RenderableType:
    """What is wrong, and what could be better."""
    rows = [line(("✗ ", BAD), problem) for problem in answer["problems"]]
    rows += [line(("! ", "yellow"), advice) for advice in answer.get("advice", ())]
    if not answer["problems"]:
        rows.insert(0, line(("✓ ", GOOD), "The store is sound."))
    if held := answer.get("junk"):
        rows.append(line(("· ", DIM), _junk(held)))
    return Group(*rows)


def planned(answer: Mapping[str, Any]) -> RenderableType:
    """What would be retired, by kind, and why."""
    table = _grid(11)
    for one in answer["found"]:
        table.add_row(line((one["kind"], "yellow")), Group(line(one["memory"]), line((one["reason"], DIM))))
    return Group(table, line(("· ", DIM), _junk(answer)))


def cleaned(answer: Mapping[str, Any]) -> RenderableType:
    """How much was retired."""
    if not answer["found"]:
        return line(("✓ ", GOOD), _junk(answer))
    return line(("✓ ", GOOD), f"{_many(answer['retired'], 'memory')} retired")


def _junk(told: Mapping[str, Any]) -> str:
    """The rate of junk, and what it is; `perdure doctor --clean` retires it."""
    looked = f"{_many(told['examined'], 'memory')} examined{'' if told['all'] else ', the newest'}"
    if not told["kinds"]:
        return f"No junk ({looked})."
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in told["kinds"].items())
    return f"Junk: {_percent(told['rate'])} of {looked} ({kinds}). `perdure doctor --clean` retires it."


def reindexed(answer: Mapping[str, Any]) -> RenderableType:
    """What was made again."""
    with_what = answer["model"] or "words alone"
    if not answer["reindexed"]:
        return line(("✓ ", GOOD), f"All memories are made with {with_what} already.")
    made = line(("✓ ", GOOD), f"{_many(answer['reindexed'], 'memory')} made again with {with_what}")
    if not (declined := answer.get("declined")):
        return made
    told = f"The model's content filter declines {_many(declined, 'memory')}: words alone find them."
    return Group(made, line(("! ", "yellow"), told))


def facts(values: Mapping[str, Any]) -> RenderableType:
    """Names and values, those that have one."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=DIM)
    table.add_column(overflow="fold")
    for name, value in _flat(values):
        table.add_row(line(name.replace("_", " ")), line(_value(name, value)))
    return table


def moved(told: Mapping[str, Any]) -> RenderableType:
    """What was moved, and whether it has arrived."""
    counts = {name: value for name, value in told.items() if name not in ("differing", "sound")}
    if told["sound"]:
        return Group(facts(counts), line(("✓ ", GOOD), "all that the source has is at the target"))
    problems = []
    if told["missing"]:
        whose = ", ".join(told["differing"])
        records = _many(told["missing"], "record")
        problems.append(
            f"{records} of the source, of {whose}, the target lacks or has otherwise: changed there meanwhile?"
        )
    if told["same"] < told["searches"]:
        problems.append(f"{told['same']} of {told['searches']} searches find the same")
    return Group(facts(counts), *(line(("✗ ", BAD), problem) for problem in problems))


def taken_over(told: Mapping[str, Any]) -> RenderableType:
    """What came from another memory, what was left there, and whether its history came too."""
    counts = {name: value for name, value in told.items() if name not in ("left_out", "history")}
    left = [line(("left out  ", DIM), f"{count:,}: {why}") for why, count in told["left_out"].items()]
    return Group(facts(counts), *left, line(("history  ", DIM), told["history"]))


def stats(told: Mapping[str, Any]) -> RenderableType:
    """Sizes, and how full each queue is."""
    return facts({**told, "queues": {name: _queue(queue) for name, queue in told["queues"].items()}})


def score(value: float) -> Text:
    """A score, the brighter the better."""
    style = "bold green" if value >= 0.6 else "green" if value >= 0.3 else "yellow"
    return Text(f"{value:.2f}", style)


def when(moment: str | None) -> str:
    """A moment as people write it, as in `8 May 2024 14:03`; midnight is the day alone."""
    if moment is None:
        return ""
    at = datetime.fromisoformat(moment)
    clock = "" if (at.hour, at.minute, at.second) == (0, 0, 0) else f" {at:%H:%M}"
    return f"{at.day} {at:%b %Y}{clock}"


def span(mention: Mapping[str, str]) -> str:
    """The time that a mention means, as in `8 May 2024`, `15-16 Mar 2025`, `May 2024` or `2024`."""
    start, end = (datetime.fromisoformat(mention[side]) for side in ("start", "end"))
    last = end - timedelta(microseconds=1)
    if end - start < timedelta(days=1):
        return when(mention["start"])
    if (start.day, start.month, end.day, end.month) == (1, 1, 1, 1) and last.year == start.year:
        return str(start.year)
    if start.day == end.day == 1 and (last.month, last.year) == (start.month, start.year):
        return f"{start:%b %Y}"
    if last.date() == start.date():
        return f"{start.day} {start:%b %Y}"
    if (last.month, last.year) == (start.month, start.year):
        return f"{start.day}-{last.day} {start:%b %Y}"
    return f"{start.day} {start:%b %Y} to {last.day} {last:%b %Y}"


def _grid(width: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=width - 1, no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _entry(result: Mapping[str, Any]) -> RenderableType:
    """A memory's words over who said them, when, and its id."""
    told = " · ".join(part for part in (_said(result), ", ".join(result["categories"]), result["id"]) if part)
    return Group(line(result["memory"]), line((told, DIM)))


def _explained(why: Mapping[str, Any]) -> RenderableType:
    """What gave a result its score, the parts that gave something."""
    parts = (
        (name, value) for name, value in why.items() if value and name != "score"
    )  # it stands before the text
    told = ((name.replace("_", " "), _part(value)) for name, value in parts)
    return line(("  ".join(f"{name} {part}".rstrip() for name, part in told), "cyan"))


def _part(value: object) -> str:
    if isinstance(value, Mapping):
        return "(" + ", ".join(f"{name} {_part(part)}".rstrip() for name, part in value.items()) + ")"
    if value is True:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _said(memory: Mapping[str, Any]) -> str:
    return f"{memory['actor_id'] or memory['role']}, {when(memory['created_at'])}"


def _whose(memory: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{kind} {memory[f'{kind}_id']}" for kind in ("user", "agent", "app", "run") if memory[f"{kind}_id"]
    )


def _interval(memory: Mapping[str, Any]) -> str | None:
    start, end = memory["valid_from"], memory["valid_to"]
    if end is None:
        return None if start in (None, memory["created_at"]) else f"since {when(start)}"
    return f"{when(start) or '…'} to {when(end)}"


def _queue(queue: Mapping[str, Any]) -> str:
    """As in `3 of 16, 40 waiting`."""
    waiting = f", {queue['waiting']:,} waiting" if queue.get("waiting") else ""
    refused = f", {queue['refused']:,} refused" if queue.get("refused") else ""
    return f"{queue['running']:,} of {queue['bound']:,}{waiting}{refused}"


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Those that say something; of what is inside another, not what is nothing."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from ((f"{name}: {inner}", held) for inner, held in _flat(value) if held)
        elif value not in (None, "", []):
            yield name, value


def _value(name: str, value: Any) -> str:
    if isinstance(value, int) and name.endswith("bytes"):
        return _size(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _many(count: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def imported(answer: Mapping[str, Any]) -> RenderableType:
    """What a transcript held and what became of it."""
    speakers = ", ".join(f"{who} {count:,}" for who, count in answer["speakers"].items())
    shown = {
        "format": answer["format"],
        "sessions": answer["sessions"],
        "messages": answer["messages"],
        "speakers": speakers,
        "left out": ", ".join(f"{reason} ({count:,})" for reason, count in answer["left_out"].items()),
    }
    rows: list[RenderableType] = [facts(shown)]
    if "stored" not in answer:
        rows.append(line(("A dry run: nothing was stored.", "yellow")))
    elif answer["stored"] or not answer["known_before"]:
        rows.append(line(("✓ ", GOOD), f"{_many(answer['stored'], 'message')} stored"))
    if answer.get("known_before"):
        rows.append(
            line(("· ", DIM), f"{_many(answer['known_before'], 'message')} stored by an earlier import")
        )
    return Group(*rows)


def measured(answer: Mapping[str, Any]) -> RenderableType:
    """How well memories were found: turns and sessions by category, speed, and strangers told apart."""
    tables = [_measures(kind, answer[kind]) for kind in ("turn", "session") if answer[kind]["all"]["n"]]
    apart, spent, told = answer["foreign"], answer["latency_ms"], answer["add"]
    shown = {
        "told": f"{_many(told['turns'], 'turn')} in {told['seconds']:.1f} s ({told['per_second'] or 0:,.0f} a second)",
        "asked": f"{_many(answer['questions'], 'question')}, p50 {spent['p50']:.1f} ms, p95 {spent['p95']:.1f} ms"
        if answer["questions"]
        else "nothing",
        "without answer": f"{answer['abstention']:,}, left out of the means"
        if answer["abstention"]
        else None,
        "not asked": f"{answer['not_asked']:,} of other conversations" if answer["not_asked"] else None,
    }
    if apart["n"]:
        shown["foreign"] = (
            f"AUC {_share(apart['auc'])}; {_percent(apart['foreign_without_result'])} of {apart['n']:,} questions about "
            f"others get nothing, {_percent(apart['right_hits_kept'])} of right hits are kept"
        )
        shown["at 95 % kept"] = (
            f"threshold {_share(apart['threshold_keeping_95'])}: {_percent(apart['foreign_below_it'])} get nothing"
        )
    return Group(*tables, facts(shown))


def _measures(kind: str, groups: Mapping[str, Mapping[str, float | None]]) -> Table:
    names = list(groups["all"])
    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=None)
    table.add_column(kind, no_wrap=True)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for group, row in groups.items():
        if row["n"] and (group != "no_adversarial" or "adversarial" in groups):
            cells = [f"{row[name]:,}" if name == "n" else _share(row[name]) for name in names]
            table.add_row(line((group, "bold" if group == "all" else "")), *cells)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"
