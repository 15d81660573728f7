"""Build the local embedding model: `python model/build.py [--into DIR]`."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
# It runs where nothing is installed: in a fresh checkout, in a build hook.
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "src")]

from model import checkpoint, graph  # noqa: E402 (needs the path)
from perdure.embedders import modelfiles  # noqa: E402 (likewise)

LEGAL: Final = ("LICENSE", "NOTICE")
FILES: Final = (modelfiles.GRAPH, modelfiles.TOKENIZER, *LEGAL, modelfiles.MANIFEST)
"""What a build makes. The manifest comes last: as long as it is missing, there is no model."""


def main() -> int:
    """Build as the command line says; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, metavar="DIR", help="default: where Perdure looks for it")
    into: Path = parser.parse_args().into or modelfiles.cache_directory()
    try:
        with _progress() as report:
            build(into, report=report)
    except (checkpoint.NoSource, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(into: Path, *, report: checkpoint.Report = print) -> None:
    """Make the model in a directory, unless it is there, whole; other files in it are left alone.

    Raises:
        NoSource: the weights cannot be had.
        OSError: the directory cannot be written.
    """
    fault = modelfiles.fault_of(into)
    if fault is None:
        report(f"{modelfiles.MODEL} is whole in {into}")
        return
    report(f"Building {modelfiles.MODEL} in {into} ({fault})")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=into) as workshop:
        _make(Path(workshop), report)
        for name in FILES:
            (Path(workshop) / name).replace(into / name)
    report(f"{modelfiles.MODEL} is ready, {(into / modelfiles.GRAPH).stat().st_size / 1e6:.0f} MB")


def _make(directory: Path, report: checkpoint.Report) -> None:
    files = checkpoint.fetch(report)
    report("Turning the weights into integers")
    model = graph.quantised(checkpoint.tensors(files[checkpoint.WEIGHTS]))
    (directory / modelfiles.GRAPH).write_bytes(model)
    (directory / modelfiles.TOKENIZER).write_bytes(files[checkpoint.TOKENIZER])
    for name in LEGAL:
        shutil.copyfile(HERE / name, directory / name)
    modelfiles.write_manifest(directory)


@contextmanager
def _progress() -> Iterator[checkpoint.Report]:
    """A line for each step, and on a terminal a sign of life; without rich, lines alone."""
    try:
        from rich.console import Console  # a build environment has none
    except ImportError:
        yield print
        return
    console = Console(highlight=False, soft_wrap=True)
    with console.status("Building the embedding model"):
        yield console.print


if __name__ == "__main__":
    sys.exit(main())
