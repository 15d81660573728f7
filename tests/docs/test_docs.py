"""The documentation is run: every example, every command, every link, every generated table."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
)
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TABLES = runpy.run_path(str(ROOT / "docs" / "tables.py"))

LANGUAGES = {"python", "sh", "toml", "json", "jsonl", "text", "sql"}
"""A fence of python, sh, toml or json is tried out; the others are files, written where a `title` says so."""

FENCE = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True)
class Fence:
    """One block of a page."""

    page: Path
    line: int
    language: str
    title: str | None
    code: str


def fences(page: Path) -> list[Fence]:
    text = page.read_text(encoding="utf-8")
    return [
        Fence(page, text.count("\n", 0, found.start()) + 2, found["language"], found["title"], found["code"])
        for found in FENCE.finditer(text)
    ]


def prose(page: Path) -> str:
    """The page without its blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def ids(pages: list[Path]) -> list[str]:
    return [page.relative_to(ROOT).as_posix() for page in pages]


RUNNABLE = [page for page in PAGES if any(fence.language in LANGUAGES for fence in fences(page))]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory to live in: the defaults hold, with the model of this checkout."""
    from perdure.embedders.modelfiles import cache_directory, find_model

    model = find_model()
    for name in [name for name in os.environ if name.startswith(("PERDURE_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (cache := cache_directory()).parent.mkdir(parents=True)
    cache.symlink_to(model)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    monkeypatch.setattr(sys, "path", [*sys.path])
    modules = set(sys.modules)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)  # `export` of a page ends with it
    forget_modules(modules, tmp_path)


def forget_modules(known: set[str], home: Path) -> None:
    """Unload what a page has brought: its own files, and mem0's names in whichever dialect."""
    if compat := sys.modules.get("perdure.compat.mem0"):
        compat.install_as_mem0()
    for name in [name for name in sys.modules if name not in known]:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if name.partition(".")[0] == "mem0" or Path(file).absolute().is_relative_to(home):
            del sys.modules[name]


@pytest.mark.parametrize("page", RUNNABLE, ids=ids(RUNNABLE))
def test_the_examples_of_a_page_run_and_print_what_they_show(
    page: Path, home: Path, request: pytest.FixtureRequest
) -> None:
    if page.name == "postgres.md":
        server = request.getfixturevalue("postgres_server")
        given = {"HOST": "127.0.0.1", "PORT": server.port}
        given |= dict.fromkeys(("USER", "PASSWORD", "DATABASE"), "perdure")
        os.environ.update({f"PG{name}": str(value) for name, value in given.items()})
    names: dict[str, Any] = {"__name__": "example"}
    for fence in fences(page):
        assert fence.language in LANGUAGES, (
            f"{page.name}:{fence.line}: a block says what it is: {sorted(LANGUAGES)}"
        )
        if fence.title:
            (home / fence.title).write_text(fence.code, encoding="utf-8")
        elif fence.language == "python":
            run_python(fence, names)
        elif fence.language == "sh":
            for number, line in enumerate(fence.code.splitlines()):
                run_shell(line, f"{page.name}:{fence.line + number}")
        elif fence.language == "json":
            json.loads(fence.code)
        elif fence.language == "toml":
            tomllib.loads(fence.code)


def run_python(fence: Fence, names: dict[str, Any]) -> None:
    """Run a block; what it prints is what its `# -> ` comments show, `...` standing for anything."""
    source = "\n" * (fence.line - 1) + fence.code
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mem0's names speak up where they block a loop
        exec(compile(ast.parse(source), str(fence.page), "exec"), names)
    shown = [line.partition("# -> ")[2] for line in fence.code.splitlines() if "# -> " in line]
    told = printed.getvalue().splitlines()
    same = len(shown) == len(told) and all(
        like(said, pattern) for said, pattern in zip(told, shown, strict=True)
    )
    assert same, f"{fence.page.name}:{fence.line} shows {shown}, and printed {told}"


def like(text: str, pattern: str) -> bool:
    literal = re.sub(r"([*?\[])", r"[\1]", pattern)
    return fnmatchcase(text.rstrip(), literal.replace("...", "*").rstrip())


def run_shell(line: str, where: str) -> None:
    """Run a line of `perdure`; of others look whether they are what they should be."""
    command, _, shown = line.partition("  # -> ")
    words = shlex.split(command, comments=True)
    match words:
        case []:
            return
        case ["export", assignment]:
            name, _, value = assignment.partition("=")
            os.environ[name] = value
        case ["unset", name]:
            del os.environ[name]
        case ["make", *targets]:
            for target in targets:
                assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), (
                    f"{where}: make {target}"
                )
        case ["perdure", *arguments]:
            code, out, err = run_perdure(arguments)
            wanted = int(found[1]) if (found := re.search(r"exit code (\d+)", shown)) else 0
            assert code == wanted, f"{where}: {command!r} ended with {code}: {out}{err}"
            if shown and not found:
                assert like(" ".join((out + err).split()), f"...{shown}..."), (
                    f"{where}: {command!r} gave {out}{err}"
                )
        case ["python", "-m", "pytest", *arguments]:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{where}: {done.stdout}"
        case [first, *_]:
            assert first in {"pip", "git", "python", ".venv/bin/python", "pg_dump", "pg_restore"}, (
                f"{where}: {command!r} is not looked at"
            )


def run_perdure(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command in this process; ID stands for the newest memory, `> FILE` and `< FILE` for what they do."""
    from perdure.cli import main

    given, into, out_of = [], None, None
    rest = iter(arguments)
    for word in rest:
        if word == ">":
            into = Path(next(rest))
        elif word == "<":
            out_of = Path(next(rest))
        else:
            given.append(newest_id() if word == "ID" else word)
    out, err = io.StringIO(), io.StringIO()
    stdin = sys.stdin
    try:
        sys.stdin = io.StringIO(out_of.read_text(encoding="utf-8") if out_of else "")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(given)
    finally:
        sys.stdin = stdin
    if into:
        into.write_text(out.getvalue(), encoding="utf-8")
    return code, out.getvalue(), err.getvalue()


def newest_id() -> str:
    code, out, err = run_perdure(["list", "--limit", "1", "--all", "--json"])
    assert code == 0, err
    return str(json.loads(out)["results"][0]["id"])


@pytest.mark.parametrize("example", EXAMPLES, ids=ids(EXAMPLES))
def test_an_example_program_runs_in_an_empty_directory(example: Path, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", example],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert not done.stderr


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(linked), f"{page.name} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        targets = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
        waiting += [(page.parent / target).resolve() for target in targets if "://" not in target]
    assert reached >= set(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_the_generated_sections_are_what_the_code_says(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert TABLES["filled"](text) == text, "run `python docs/tables.py`"


def test_every_generated_section_is_shown_once() -> None:
    shown = re.findall(
        r"<!-- generated: ([a-z0-9-]+) -->", "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    )
    assert sorted(shown) == sorted(TABLES["SECTIONS"])


def test_every_command_named_in_the_documentation_exists() -> None:
    known = {name.split()[0] for name, _ in TABLES["leaves"]()}
    for page in PAGES:
        named = set(re.findall(r"`perdure ([a-z][a-z-]*)", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name} names {named - known}"


def test_every_command_has_help_and_so_has_each_of_its_options() -> None:
    for name, command in TABLES["leaves"]():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_every_variable_of_the_environment_is_told_and_none_is_invented() -> None:
    from perdure.config import ROLES, _from_environment

    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    used = set(re.findall(r"PERDURE_[A-Z][A-Z_]*[A-Z]", code))
    told = set(
        re.findall(
            r"PERDURE_[A-Z][A-Z_]*[A-Z]", "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
        )
    )
    short = {f"PERDURE_{name.upper()}" for name in (*ROLES, "path", "config")}
    assert {name for name in used | short if "__" not in name} <= told
    assert {name for name in told if name not in used and not _from_environment({name: "1"})} == set()


def test_every_operator_of_a_filter_has_a_row() -> None:
    from perdure.filters import OPERATORS, SHORTHANDS

    page = (ROOT / "docs" / "filters.md").read_text(encoding="utf-8")
    assert {name for name in (*OPERATORS, *SHORTHANDS) if f"`{name}`" not in page} == set()


def test_every_public_name_is_told() -> None:
    import perdure

    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in perdure.__all__ if name.strip("_") not in told} == set()


def test_every_verb_is_told_with_every_argument_that_it_takes() -> None:
    import inspect

    from perdure.memory import AsyncMemory, Memory

    told = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    verbs = [
        name
        for name in vars(Memory)
        if not name.startswith("_") and callable(getattr(AsyncMemory, name, None))
    ]
    for verb in [*verbs, "export_records"]:
        assert re.search(rf"\b{verb}\(", told), verb
        arguments = set(inspect.signature(getattr(AsyncMemory, verb)).parameters) - {"self"}
        assert {name for name in arguments if not re.search(rf"\b{name}\b", told)} == set(), verb


def test_the_map_of_rooms_shows_every_room() -> None:
    [rooms] = [fence.code for fence in fences(ROOT / "CONTRIBUTING.md") if "src/perdure/" in fence.code]
    named = set(re.findall(r"\w+", rooms))
    source = ROOT / "src" / "perdure"
    modules = [*source.glob("*.py"), *(source / "engine").glob("*.py"), *source.glob("*/")]
    there = {path.stem for path in modules if path.stem.strip("_") not in ("pycache", "init")}
    assert there - named == set()


def test_every_conformance_class_is_told() -> None:
    from perdure.testing import store

    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    assert {name for name in store.__all__ if f"`{name}`" not in page} == set()
