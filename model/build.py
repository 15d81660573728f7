"""Build the local embedding model: `python model/build.py [--into DIR]`."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "src")]  # both this folder and a build hook run without installing

import checkpoint  # noqa: E402  (they need the path above)
import graph  # noqa: E402

from perdure.embedders.modelfiles import (  # noqa: E402
    GRAPH,
    NAME,
    TOKENIZER,
    VERSION,
    cache_directory,
    fault_of,
    write_manifest,
)

LEGAL = ("LICENSE", "NOTICE")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="directory for the model; default: where Perdure looks for it")
    into = parser.parse_args().into or cache_directory()
    try:
        build(into)
    except (checkpoint.NoSource, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def build(into: Path, *, report: checkpoint.Report = print) -> None:
    """Make the model in a directory, unless it is there, whole.

    Raises:
        checkpoint.NoSource: the weights cannot be had.
    """
    fault = fault_of(into)
    if fault is None:
        report(f"{NAME}/{VERSION} is whole in {into}")
        return
    report(f"building {NAME}/{VERSION} in {into} ({fault})")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as workshop:
        made = Path(workshop) / "new"
        _make(made, report)
        _replace(into, made, Path(workshop) / "old")
    report(f"{NAME}/{VERSION} is ready in {into}")


def _make(directory: Path, report: checkpoint.Report) -> None:
    directory.mkdir()
    files = checkpoint.fetch(report)
    report("quantising")
    (directory / GRAPH).write_bytes(graph.quantised(checkpoint.tensors(files[checkpoint.WEIGHTS])))
    (directory / TOKENIZER).write_bytes(files[checkpoint.TOKENIZER])
    for name in LEGAL:
        shutil.copyfile(HERE / name, directory / name)
    write_manifest(directory)


def _replace(into: Path, made: Path, old: Path) -> None:
    """Put a finished directory in its place: whoever looks sees the old one, none, or the new one, all whole."""
    if into.exists():
        os.replace(into, old)
    os.replace(made, into)


if __name__ == "__main__":
    sys.exit(main())
