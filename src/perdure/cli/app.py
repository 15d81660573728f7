"""All commands together, and what becomes of their errors."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

import typer

from perdure import errors
from perdure.cli import care, demo, evaluation, files, graph, jobs, memories, moving, output, prompts

USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""The root of typer's own complaints, which is not exported: BadParameter, UsageError, this."""

WRONG_FILE = {
    errno.ENOENT,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EACCES,
    errno.EPERM,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
"""A file that was named on the command line and cannot be used: another name mends the call."""

WELCOME = """\
[bold]Perdure[/] remembers what was said, and finds it again.

  [cyan]perdure demo[/]                                        see it at work
  [cyan]perdure add[/] "I'm allergic to cashews" -u maya       remember something
  [cyan]perdure search[/] "which nuts are dangerous?" -u maya  find it
  [cyan]perdure import[/] chat.txt -u maya                     learn from a transcript
  [cyan]perdure doctor[/]                                      see whether all is well

Memories are kept in one file: [cyan]--path FILE[/], or as the configuration says
([cyan]--config FILE[/], [cyan]PERDURE_*[/]). Every command explains itself with [cyan]--help[/] and
answers a program with [cyan]--json[/]. All commands: [cyan]perdure --help[/]"""

app = typer.Typer(
    name="perdure",
    help="Long-term memory for AI agents.",
    no_args_is_help=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (demo.app, memories.app, prompts.app, graph.app, files.app, moving.app, jobs.app, care.app):
    app.registered_commands += group.registered_commands
app.add_typer(evaluation.app, name="eval", rich_help_panel="Care")


def _version(wanted: bool) -> None:
    if wanted:
        from perdure import __version__  # after the arguments are known

        typer.echo(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version."
    ),
) -> None:
    del version
    if context.invoked_subcommand is None:
        output.show(WELCOME)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; an error becomes one line on stderr, and its exit code."""
    output.prepare()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        code = typer.main.get_command(app).main(arguments, prog_name="perdure", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has enough, as in `perdure list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        kind, text, status = _told(error)
        if kind == "InternalError" and os.environ.get("PERDURE_DEBUG"):
            raise
        _complain(kind, text, machine="--json" in arguments)
        return status
    return code if isinstance(code, int) else 0


def _told(error: Exception) -> tuple[str, str, int]:
    """An error's kind, what to say of it, and the exit code."""
    if isinstance(error, errors.PerdureError):
        return type(error).__name__, str(error), errors.answer(error).exit
    if isinstance(error, USAGE_ERROR):
        return "InvalidInput", error.format_message(), 2  # type: ignore[attr-defined]  # see USAGE_ERROR
    if isinstance(error, typer.Abort):
        return "Interrupted", "interrupted", 130
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        told = f"{error.filename}: {reason}" if error.filename else reason
        return ("InvalidInput", told, 2) if error.errno in WRONG_FILE else ("OSError", told, 1)
    place = "a fault of Perdure itself; PERDURE_DEBUG=1 shows where"
    return "InternalError", f"{type(error).__name__}: {error} ({place})", 1


def _complain(kind: str, text: str, *, machine: bool) -> None:
    if machine:
        sys.stderr.write(output.as_json({"error": {"type": kind, "message": text}}, sys.stderr))
    else:
        output.err().print(output.line(("error: ", "bold red"), " ".join(text.split())), soft_wrap=True)
