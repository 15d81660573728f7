"""`python -m bench`: runs the measures, both sides in turns, and shows them side by side."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.environments import INCUMBENT, interpreter

from bench import report
from bench.harness import ROOT, Job, Side

NOT_MEASURED = "The incumbent was not measured: that is done with --with-mem0."
INCUMBENT_HOME = ROOT / "bench" / ".mem0env"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One measure at one size."""

    measure: str
    rows: int = 0
    quick_rows: int = 0
    calls: int = 100
    incumbent: bool = True


PLAN = (
    Step(measure="disk", calls=200, incumbent=False),
    Step(measure="start"),
    Step(measure="add", calls=200),
    Step(measure="bulk", rows=10_000, quick_rows=1_000, incumbent=False),
    Step(measure="search", rows=10_000, quick_rows=1_000),
    Step(measure="search", rows=50_000, quick_rows=2_000),
    Step(measure="listing", rows=10_000, quick_rows=1_000),
    Step(measure="deletion", rows=500, quick_rows=100),
    Step(measure="scope", rows=10_000, quick_rows=500, incumbent=False),
    Step(measure="concurrent", rows=400, quick_rows=400, calls=200),
    Step(measure="over_http", rows=400, quick_rows=400, calls=200),
    Step(measure="burst", calls=2_000, incumbent=False),
    Step(measure="pressure", calls=10_000, incumbent=False),
    Step(measure="metrics", rows=10_000, quick_rows=1_000, calls=400, incumbent=False),
    Step(measure="learn", calls=10),
    Step(measure="proxy", rows=10_000, quick_rows=1_000, incumbent=False),
    Step(measure="two_processes"),
    Step(measure="engines", calls=10, incumbent=False),
    Step(measure="cache", rows=5_000, quick_rows=1_000, calls=2_000, incumbent=False),
    Step(measure="vectors", rows=20_000, quick_rows=5_000, incumbent=False),
    Step(measure="postgres", rows=100_000, quick_rows=5_000, incumbent=False),
)


def main() -> int:
    """Measure, print, write; 1 when a measure of Perdure failed."""
    options = _options()
    pythons = {"Perdure": Path(sys.executable)} | ({"mem0ai": _incumbent()} if options.with_mem0 else {})
    results: list[report.Result] = []
    failures: list[str] = []
    for step in PLAN:
        if not options.only or step.measure in options.only:
            rows = step.quick_rows if options.quick else step.rows
            rounds = options.rounds or (3 if options.quick else 5)
            results += _run(step, rows=rows, rounds=rounds, pythons=pythons, failures=failures)
    print(report.table(results, quick=options.quick))
    print("\n".join(failures) if failures or options.with_mem0 else NOT_MEASURED)
    versions = {name: _version(python, name.lower()) for name, python in pythons.items()}
    options.json.write_text(report.to_json(results, versions=versions, quick=options.quick))
    if options.write_docs:
        (ROOT / "docs" / "benchmarks.md").write_text(report.page(results, versions=versions))
    return 1 if any(failure.startswith("Perdure") for failure in failures) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and three rounds, for trying things out"
    )
    parser.add_argument(
        "--with-mem0", action="store_true", help=f"measure {INCUMBENT} too, from bench/.mem0env"
    )
    parser.add_argument("--only", nargs="+", choices=sorted({step.measure for step in PLAN}))
    parser.add_argument(
        "--rounds", type=int, help="how often each measure is taken, after one that does not count"
    )
    parser.add_argument(
        "--json", type=Path, default=ROOT / "bench" / "results.json", help="where every round is kept"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write docs/benchmarks.md, from a whole run only"
    )
    options = parser.parse_args()
    if options.write_docs and (options.quick or options.only):
        parser.error("--write-docs publishes whole runs: leave out --quick and --only")
    return options


def _incumbent() -> Path:
    """The interpreter of an environment that holds the incumbent, made on first use."""
    return interpreter(INCUMBENT_HOME, INCUMBENT, "numpy")


def _version(python: Path, package: str) -> str:
    """The installed version of a package; empty when there is none."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], check=False, capture_output=True, text=True).stdout.strip()


def _run(
    step: Step, *, rows: int, rounds: int, pythons: Mapping[str, Path], failures: list[str]
) -> list[report.Result]:
    """All rounds of one measure, the sides in turns; the first round warms up and is not counted."""
    results: dict[str, report.Result] = {}
    print(f"{step.measure} {rows or ''}", end=" ", file=sys.stderr, flush=True)
    with ExitStack() as stack:
        names = [name for name in pythons if name == "Perdure" or step.incumbent]
        sides = {name: _side(stack, name, pythons[name], step, rows) for name in names}
        for number in range(rounds + 1):
            for name, side in sides.items():
                for figure, value in side.round().items():
                    result = results.setdefault(figure, report.Result(figure=figure, rows=rows))
                    result.add(name, value, counts=number > 0)
            print(".", end="", file=sys.stderr, flush=True)
        failures += [
            f"{name}: {step.measure}: {side.failure}" for name, side in sides.items() if side.failure
        ]
    print(file=sys.stderr)
    return sorted(results.values(), key=lambda result: list(report.LINES).index(result.figure))


def _side(stack: ExitStack, name: str, python: Path, step: Step, rows: int) -> Side:
    """The process of one side, with a directory of its own that goes when it has ended."""
    home = stack.enter_context(tempfile.TemporaryDirectory(prefix=".run-", dir=ROOT / "bench"))
    (directory := Path(home) / "stores").mkdir()
    job = Job(measure=step.measure, directory=directory, rows=rows, calls=step.calls)
    environment = {"HOME": home, "MEM0_DIR": f"{home}/.mem0", "MEM0_TELEMETRY": "False"}
    module = "bench.ours" if name == "Perdure" else "bench.theirs"
    side = Side(python, module, job, environment={} if name == "Perdure" else environment)
    stack.callback(side.close)
    return side


if __name__ == "__main__":
    sys.exit(main())
