"""The rooms of the house: imports point inwards, nothing is too long, nothing heavy is loaded too early."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

import perdure

SOURCE = Path(perdure.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))

VALUES = {"arguments", "errors", "filters", "ids", "load", "moments", "options", "settings", "types"}
"""Frozen values and pure functions: these import nothing but each other."""

ALLOWED: dict[str, set[str]] = {
    # a room: the rooms that it may import, from the innermost outwards
    **dict.fromkeys(VALUES, VALUES),
    "ports": VALUES,
    "lanes": {"errors"},  # a client an event loop
    "beside": {"errors", "types"},  # what engines beside the store share
    "threads": {"errors", "load"},
    "onnx": set(),
    "engine": VALUES | {"ports", "threads"},  # never a provider
    "stores": VALUES
    | {"lanes", "ports", "threads"},  # a provider: never the engine, never another kind of provider
    "embedders": VALUES | {"ports", "threads", "http", "onnx"},
    "rerankers": VALUES | {"ports", "threads", "http", "onnx"},
    "llms": VALUES | {"ports", "http"},
    "caches": VALUES | {"ports", "http", "redislink"},  # of http, how to leave alone what fails
    "vectors": VALUES | {"beside", "ports", "http", "lanes", "redislink", "threads"},
    "graphs": VALUES | {"beside", "ports", "http", "lanes", "redislink"},
    "redislink": {
        "beside",
        "errors",
        "lanes",
        "options",
        "types",
    },  # connections, for all providers that speak the protocol of Redis
    "http": VALUES | {"lanes"},  # JSON over HTTP, for all providers that speak it
    "config": VALUES,  # names providers, knows none
    "registry": VALUES | {"ports"},  # knows providers as texts, and imports them when they are used
    "assemble": VALUES | {"config", "ports", "registry"},
    "blocking": {"errors"},
    "memory": VALUES | {"assemble", "blocking", "config", "engine", "ports"},
    "testing": VALUES | {"ports", "stores"},
    "evaluate": VALUES,
    "migrate": VALUES | {"assemble", "config", "engine", "options", "ports", "registry", "threads"},
    "observe": VALUES,  # sees an engine by what it tells of itself
    "transcripts": VALUES | {"engine"},
    "proxy": VALUES | {"blocking", "config", "engine", "http", "memory"},
    # of the engine, how memories in a prompt are recognised; all else by the verbs
    "compat": VALUES | {"config", "memory", "proxy", "registry"},
    "__main__": {"cli"},
    "cli": VALUES
    | {"assemble", "config", "engine", "evaluate", "memory", "migrate", "perdure", "stores", "transcripts"},
    # of the stores, what is done to a file that no memory has open: putting a backup in its place
    "perdure": VALUES | {"compat", "config", "memory"},  # the package itself: public names, loaded lazily
}

HEAVY = {"aiohttp", "numpy", "onnxruntime", "pydantic", "rich", "sqlite3", "tokenizers", "typer"}


class Arrow(NamedTuple):
    """One import of one of our rooms by another."""

    module: str
    line: int
    room: str
    target: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.room} imports {self.target}"


def room_of(dotted: str) -> str:
    """`perdure.stores.sqlite` is in `stores`; the package itself is `perdure`."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "perdure"


def dotted(path: Path) -> str:
    parts = ("perdure", *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import hides where it points"
            names = [alias.name for alias in node.names] if node.module == "perdure" else [""]
            # a public name of the package is an import of the module that it comes from
            yield from ((node.lineno, perdure._HOMES.get(name, f"{node.module}")) for name in names)


ARROWS = [
    Arrow(dotted(path), line, room_of(dotted(path)), room_of(target))
    for path in MODULES
    for line, target in imports(path)
    if target.split(".")[0] == "perdure" and room_of(target) != room_of(dotted(path))
]


def test_every_room_is_in_the_table():
    assert {room_of(dotted(path)) for path in MODULES} <= ALLOWED.keys()


def test_imports_point_inwards():
    assert [str(arrow) for arrow in ARROWS if arrow.target not in ALLOWED.get(arrow.room, set())] == []


def test_no_rooms_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {}
    for arrow in ARROWS:
        graph.setdefault(arrow.room, set()).add(arrow.target)
    TopologicalSorter(graph).prepare()  # raises with the circle


def test_the_proxy_knows_of_the_engine_only_how_its_blocks_are_recognised():
    known = {
        target
        for path in MODULES
        if room_of(dotted(path)) == "proxy"
        for _, target in imports(path)
        if room_of(target) == "engine"
    }
    assert known == {"perdure.engine.recalled"}


def test_the_table_itself_keeps_engine_and_providers_apart():
    providers = {"stores", "embedders", "llms", "rerankers", "caches", "vectors", "graphs"}
    assert not ALLOWED["engine"] & providers
    for provider in providers:
        assert not ALLOWED[provider] & (providers | {"engine"})


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_a_module_is_short_and_says_in_one_sentence_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    sentence = (ast.get_docstring(tree) or "").split("\n\n", maxsplit=1)[0]
    assert len(text.splitlines()) <= 600
    assert len(sentence) > 10
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [f.name for f in functions if (f.end_lineno or 0) - f.lineno + 1 > 80] == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import perdure", HEAVY | {"asyncio"}),
        ("from perdure import Memory, AsyncMemory", HEAVY - {"numpy"}),
        ("from perdure.compat import mem0", HEAVY - {"numpy"}),
        ("from perdure.proxy import Perdure, AsyncPerdure, remember", (HEAVY - {"numpy"}) | {"openai"}),
        ("import perdure.cli", HEAVY - {"typer", "rich"}),
    ],
)
def test_an_import_loads_nothing_heavy(statement, absent):
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60
    )
    assert absent & set(done.stdout.split()) == set()


def test_how_long_the_import_takes_is_shown(capsys):
    code = "from time import perf_counter as t; s = t(); import perdure; print(t() - s)"
    taken = [
        float(
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60).stdout
        )
        for _ in range(5)
    ]
    with capsys.disabled():
        print(f"\nimport perdure: {median(taken) * 1000:.1f} ms (median of {len(taken)})")
