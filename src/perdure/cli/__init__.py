"""`perdure` on the command line: each command one call of a memory."""

from __future__ import annotations

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and answer its exit code.

    0: done; 1: something else went wrong, or the answer to a confirmation was no; 2: mend the call; 3: there is no
    such memory; 4: mend the configuration; 5: try again later; 6: somebody else changed it; 7: look after the store;
    130: interrupted.

    Args:
        argv: the arguments; None: those of the process.
    """
    from perdure.cli.app import run  # typer is loaded by those who use the command line

    return run(argv)
