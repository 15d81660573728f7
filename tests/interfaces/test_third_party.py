"""A provider in a package of its own is found by its name, and tried by the promises that are public."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import perdure

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "letters"
USE = """
from perdure import Memory

with Memory({"path": "memory.db", "embedder": {"provider": "letters", "letters": "aeiou"}}) as memory:
    memory.add("I moved to Lisbon in May.", user_id="maya", infer=False)
    found = memory.search("moved to Lisbon", user_id="maya", explain=True)
    print(found["results"][0]["memory"], memory.stats()["model"], found.get("notes"))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The example, as pip installs it, in a folder of its own."""
    home = tmp_path_factory.mktemp("letters")
    source, target = home / "source", home / "installed"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    target.mkdir()
    pip_install(source, target)
    return target


def pip_install(source: Path, target: Path) -> None:
    """Its wheel is built with what is here already."""
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run(target, *command, "--target", str(target), str(source))


def run(target: Path, *arguments: str, **environment: str) -> str:
    path = os.pathsep.join([str(target), str(Path(perdure.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=target,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


PAGE = ROOT / "docs" / "extending.md"
TITLED = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The package that the page shows, as it is written there, installed in a folder of its own."""
    home = tmp_path_factory.mktemp("page")
    source, target = home / "source", home / "installed"
    source.mkdir()
    target.mkdir()
    for title, code in TITLED.findall(PAGE.read_text(encoding="utf-8")):
        (source / title).write_text(code, encoding="utf-8")
    pip_install(source, target)
    return target


def test_the_engine_that_the_page_shows_is_used_by_its_name(page):
    program = page.parent / "source" / "use.py"
    [shown] = re.findall(r"^# -> (.*)$", program.read_text(encoding="utf-8"), re.MULTILINE)
    assert run(page, "-c", program.read_text(encoding="utf-8")).strip() == shown


def test_it_is_used_by_the_name_of_its_entry_point(installed):
    assert run(installed, "-c", USE).strip() == "I moved to Lisbon in May. letters-aeiou/1 None"


def test_the_environment_names_it_as_well(installed):
    program = "from perdure.config import Config; from perdure.assemble import parts; print(parts(Config.of())['embedder'].dimensions)"
    assert run(installed, "-c", program, PERDURE_EMBEDDER="letters").strip() == "27"


def test_its_own_tests_inherit_the_promises_and_pass(installed):
    source = installed.parent / "source"
    said = run(installed, "-m", "pytest", "-c", str(source / "pyproject.toml"), str(source / "tests"))
    assert int(re.search(r"(\d+) passed", said)[1]) > 20
