"""Commands that bring memories in and out: transcripts, exports, backups."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from perdure.cli import output, views
from perdure.cli.options import (
    Agent,
    App,
    ConfigFile,
    Ids,
    Json,
    Run,
    StorePath,
    User,
    Yes,
    given,
    ids,
    text_of,
    zone,
)
from perdure.cli.service import Where, call
from perdure.errors import InvalidInput
from perdure.ids import new_id

if TYPE_CHECKING:
    from perdure import AsyncMemory
    from perdure.transcripts import Session, Transcript

PANEL = "Files"

app = typer.Typer()

Source = Annotated[
    Path, typer.Argument(metavar="FILE", help="- is stdin.", allow_dash=True, show_default=False)
]


@app.command("import", rich_help_panel=PANEL)
def import_(
    file: Source,
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    form: Annotated[
        str, typer.Option("--format", help="auto, messages, openai, text, or records (of `perdure export`).")
    ] = "auto",
    day_first: Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="What 08/05/2024 means.", show_default=False),
    ] = None,
    timezone: Annotated[str, typer.Option(help="The zone of times without one, as Europe/Lisbon.")] = "UTC",
    speaker: Annotated[
        list[str] | None, typer.Option(help="Text: only these names start a message; several times.")
    ] = None,
    assistant: Annotated[
        list[str] | None, typer.Option(help="Text: a speaker who is the assistant; several times.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read it, show who speaks, store nothing.")
    ] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Learn from a transcript, or take in an export.

    The same file imported twice is stored once. A transcript is messages in JSON, ChatGPT's conversations.json, or text in which a name and a colon
    start each message.
    """
    text = text_of(file)
    where, whose = Where(path, config), ids(user, agent, run, app_id)
    if form == "records" or (form == "auto" and _is_export(text)):
        _import_records(text, where, whose, dry_run=dry_run, machine=machine)
        return
    from perdure.transcripts import Reading, parse  # `--help` reads no transcript

    told = {name.lower() for name in assistant or ()}
    reading = Reading(day_first=day_first, zone=zone(timezone), speakers=frozenset(speaker or ()))
    if told:
        reading = Reading(
            day_first=day_first,
            zone=reading.zone,
            speakers=reading.speakers,
            assistants=reading.assistants | told,
        )
    transcript = parse(text, format=None if form == "auto" else form, reading=reading)  # type: ignore[arg-type]  # parse refuses other words
    summary = _summary(transcript)
    if not dry_run:
        if not given(**whose):
            raise InvalidInput(
                "nobody is named whose memories these are: give --user, --agent, --run or --app"
            )
        with output.progress("Importing", machine=machine) as report:
            summary |= call(where, lambda memory: _learn(memory, transcript.sessions, whose, report))
    output.say(machine, summary, views.imported)


@app.command(rich_help_panel=PANEL)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="- is stdout.", allow_dash=True)] = Path("-"),
    *,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    app_id: App = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Write everything, losslessly, as JSON lines.

    With --user, --agent, --run or --app, the part of those named. `perdure import` takes it in again.
    """
    if machine and str(file) == "-":
        raise InvalidInput(
            "--json and an export to stdout exclude each other: the export is JSON lines already"
        )
    where, whose = Where(path, config), ids(user, agent, run, app_id)
    if str(file) != "-":
        _check_target(file, where, force=force)
    with output.progress("Exporting", machine=machine) as report:
        count = call(where, lambda memory: _write(memory, file, whose, report))
    if str(file) != "-":
        output.say(machine, {"path": str(file), "records": count}, views.facts)


@app.command(rich_help_panel=PANEL)
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file.", show_default=False)],
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Copy the whole store to a new file, and check it.

    The store may be in use meanwhile.
    """
    if file.exists():
        raise InvalidInput(f"{file} exists: give the name of a new file")
    output.say(machine, call(Where(path, config), lambda memory: memory.backup(file)), views.facts)


@app.command(rich_help_panel=PANEL)
def restore(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `perdure backup` wrote.", show_default=False)
    ],
    yes: Yes = False,
    path: StorePath = None,
    config: ConfigFile = None,
    machine: Json = False,
) -> None:
    """Put a backup in the place of the store.

    The store's own file is set aside, not deleted. Nobody else may be using it.
    """
    if not file.is_file():
        raise InvalidInput(f"{file}: there is no such file")
    target = Where(path, config).file()
    output.confirm(f"Replace {target} by {file}?", yes=yes)
    from perdure.stores.sqlite import restore_backup  # `--help` loads no store

    aside = target.with_name(f"{target.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    restore_backup(file, target, keep=aside)
    kept = str(aside) if aside.exists() else None
    output.say(machine, {"restored": str(target), "from": str(file), "set_aside": kept}, views.facts)


def _is_export(text: str) -> bool:
    """Whether the first line is a record of `perdure export`."""
    try:
        first = json.loads(text.partition("\n")[0])
    except (ValueError, RecursionError):  # also a number of thousands of digits, or nested too deeply
        return False
    return isinstance(first, dict) and "perdure" in first


def _import_records(text: str, where: Where, whose: Ids, *, dry_run: bool, machine: bool) -> None:
    if given(**whose):
        raise InvalidInput("an export says itself whose memories it holds: leave --user and the others out")
    lines = text.removesuffix("\n").split("\n")  # a text may hold what Unicode calls the end of a line
    if dry_run:
        output.say(machine, {"records": sum(1 for _ in _records(lines))}, views.facts)
        return
    with output.progress("Importing", machine=machine) as report:
        taken = call(where, lambda memory: memory.import_records(_records(lines, report)))
    output.say(machine, taken, lambda answer: views.facts(answer["imported"]))


def _records(lines: list[str], report: output.Report | None = None) -> Iterator[Mapping[str, Any]]:
    for number, text in enumerate(lines, 1):
        try:
            yield json.loads(text)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise InvalidInput(
                f"line {number}: not JSON ({reason}); expected a record of an export"
            ) from error
        if report is not None:
            report(number, len(lines))


def _summary(transcript: Transcript) -> dict[str, Any]:
    reasons: dict[str, int] = {}
    for left in transcript.left_out:
        reasons[left.reason] = reasons.get(left.reason, 0) + 1
    return {
        "format": transcript.format,
        "sessions": len(transcript.sessions),
        "messages": sum(len(session.messages) for session in transcript.sessions),
        "speakers": transcript.speakers,
        "left_out": reasons,
    }


async def _learn(
    memory: AsyncMemory,
    sessions: Iterable[Session],
    whose: Ids,
    report: output.Report,
) -> dict[str, int]:
    """Add session by session, each with a key of its own, so that an import that was cut off can be repeated."""
    sessions = tuple(sessions)
    stored = repeated = 0
    for done, session in enumerate(sessions, 1):
        mine = (
            whose
            if whose["run_id"]
            else Ids(
                user_id=whose["user_id"],
                agent_id=whose["agent_id"],
                run_id=session.id,
                app_id=whose["app_id"],
            )
        )
        key = _key(done, session)
        added = await memory.add(list(session.messages), idempotency_key=key, **mine)
        stored += added["receipt"]["stored"]
        repeated += len(session.messages) if added["receipt"]["repeated"] else 0
        report(done, len(sessions))
    return {"stored": stored, "known_before": repeated}


def _key(number: int, session: Session) -> str:
    """What tells this session of a transcript from all others, and is the same the next time."""
    try:
        content = json.dumps([number, session.id, session.messages], sort_keys=True)
    except RecursionError as error:  # what can only just be read cannot be written
        raise InvalidInput(f"session {number}: an attachment nests lists and objects too deeply") from error
    return f"import:{hashlib.sha256(content.encode()).hexdigest()}"


def _check_target(file: Path, where: Where, *, force: bool) -> None:
    """Refuse an export that would take the place of something that was not meant.

    Raises:
        InvalidInput: a directory, no directory around it, the store itself, or a file, unless it may be replaced.
    """
    if file.is_dir():
        raise InvalidInput(f"{file} is a directory: give the name of a file in it")
    if not file.parent.is_dir():
        raise InvalidInput(f"{file.parent}: there is no such directory; create it first")
    if any(_same(file, own) for own in where.files()):
        raise InvalidInput(f"{file} is a file of the store itself: give another name")
    if file.is_file() and not force:
        raise InvalidInput(f"{file} exists: give the name of a new file, or --force to replace it")


def _same(file: Path, other: Path) -> bool:
    """Whether both names mean one file, which need not be there yet."""
    if file.exists() and other.exists():
        return file.samefile(other)
    return file.resolve() == other.resolve()


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """Where an export goes; a regular file is there whole or not at all, anything else is written into."""
    if str(file) == "-":
        yield output.in_utf8(sys.stdout)
    elif file.exists() and not file.is_file():  # a pipe or a device
        with file.open("w", encoding="utf-8") as lines:
            yield lines
    else:
        whole = file.resolve()  # a link stays one
        part = whole.with_name(f".{new_id()}.partial")
        try:
            with part.open("w", encoding="utf-8") as lines:
                yield lines
            part.replace(whole)
        finally:
            part.unlink(missing_ok=True)


async def _write(memory: AsyncMemory, file: Path, whose: Ids, report: output.Report) -> int:
    count = 0
    with _opened(file) as lines:
        async for record in memory.export_records(**whose):
            lines.write(json.dumps(record, ensure_ascii=False) + "\n")
            count += 1
            report(count, None)
    return count
