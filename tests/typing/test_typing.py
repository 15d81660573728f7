"""Both type checkers see exactly what callers may write: no error where it is right, one where it is wrong."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ACCEPTED, REFUSED = HERE / "accepted.py", HERE / "refused.py"

Errors: TypeAlias = dict[int, str]
Checker: TypeAlias = Callable[[Path], Errors]


def mypy(file: Path) -> Errors:
    """Line to message."""
    lines = told("mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file)).splitlines()
    found = [re.fullmatch(r".*?:(\d+): error: (.*)", line) for line in lines]
    return {int(match[1]): match[2] for match in found if match}


def pyright(file: Path) -> Errors:
    """Line to message."""
    report = json.loads(told("pyright", "--outputjson", "--pythonpath", sys.executable, str(file)))
    assert report["summary"]["filesAnalyzed"] == 1
    return {error["range"]["start"]["line"] + 1: error["message"] for error in report["generalDiagnostics"]}


def told(checker: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", checker, *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr + done.stdout  # 1: there are errors; more: it did not work
    return done.stdout


def marked(file: Path) -> Sequence[int]:
    """The lines that say of themselves that they are wrong."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if "  # refused" in line]


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_right_is_accepted(checker: Checker) -> None:
    assert checker(ACCEPTED) == {}


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_wrong_is_refused_and_nothing_else(checker: Checker) -> None:
    found = checker(REFUSED)
    assert sorted(found) == marked(REFUSED), found
