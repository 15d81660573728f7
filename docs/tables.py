"""Write the generated sections of the documentation: `python docs/tables.py`, or `--check` to compare only."""

# ruff: noqa: INP001, T201  # a script that stands beside the pages and answers people

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

DOCS: Final = Path(__file__).resolve().parent
SECTION: Final = re.compile(r"(<!-- generated: ([a-z0-9-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
COMMON: Final = ("--user", "--agent", "--run", "--app", "--path", "--config", "--json")
"""Options told once for all commands that have them."""


def main(arguments: Sequence[str] = ()) -> int:
    """Bring every page up to date; with `--check` name those that are not, and exit with 1."""
    stale = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        fresh = filled(text)
        if fresh != text:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(fresh, encoding="utf-8")
    print("\n".join(stale) or "up to date")
    return 1 if stale and "--check" in arguments else 0


def filled(text: str) -> str:
    """A page with its generated sections as the code has them now."""
    return SECTION.sub(lambda found: f"{found[1]}\n{SECTIONS[found[2]]()}\n\n{found[4]}", text)


def settings() -> str:
    """The engine's own settings, with the name of each in the environment."""
    from perdure.settings import Settings

    described = _described(Settings)
    rows = [
        (f"`{field.name}`", f"`{_default(field)}`", described.get(field.name, ""))
        for field in dataclasses.fields(Settings)
    ]
    return _table(("setting", "default", "what it does"), rows)


def sqlite() -> str:
    """The options of the SQLite store."""
    from perdure.stores.sqlite import SqliteStore

    return _options(SqliteStore)


def postgres() -> str:
    """The options of the PostgreSQL store."""
    from perdure.stores.postgres import PostgresStore

    return _options(PostgresStore)


def local() -> str:
    """The options of the local embedder."""
    from perdure.embedders.local import LocalEmbedder

    return _options(LocalEmbedder)


def redis() -> str:
    """The options of the cache in Redis."""
    from perdure.caches.redis import RedisCache

    return _options(RedisCache)


def redis_vectors() -> str:
    """The options of vectors in Redis."""
    from perdure.vectors.redis import RedisVectors

    return _options(RedisVectors)


def qdrant() -> str:
    """The options of vectors in Qdrant."""
    from perdure.vectors.qdrant import QdrantVectors

    return _options(QdrantVectors)


def chroma() -> str:
    """The options of vectors in Chroma."""
    from perdure.vectors.chroma import ChromaVectors

    return _options(ChromaVectors)


def pgvector() -> str:
    """The options of vectors in PostgreSQL."""
    from perdure.vectors.pgvector import PostgresVectors

    return _options(PostgresVectors)


def milvus() -> str:
    """The options of vectors in Milvus."""
    from perdure.vectors.milvus import MilvusVectors

    return _options(MilvusVectors)


def neo4j() -> str:
    """The options of the graph in Neo4j."""
    from perdure.graphs.neo4j import Neo4jGraph

    return _options(Neo4jGraph)


def falkordb() -> str:
    """The options of the graph in FalkorDB."""
    from perdure.graphs.falkordb import FalkorGraph

    return _options(FalkorGraph)


def models() -> str:
    """The options of a language model: those of the vendor that has them all."""
    from perdure.llms.openai import OpenAIModel

    return _options(OpenAIModel)


def embedders() -> str:
    """The options of an embedding model over HTTP: those of the vendor that has them all."""
    from perdure.embedders.openai import OpenAIEmbedder

    return _options(OpenAIEmbedder)


def rerankers() -> str:
    """The options of a reranker over HTTP."""
    from perdure.rerankers.cohere import CohereReranker

    return _options(CohereReranker)


def errors() -> str:
    """Every error, where it stands in the tree, and how it is told outside Python."""
    from perdure import errors as tree

    rows = []
    for depth, kind in _walk(tree.PerdureError):
        told = next(tree.ANSWERS[base] for base in kind.__mro__ if base in tree.ANSWERS)
        name = f"{'&nbsp;' * 4 * depth}`{kind.__name__}`"
        rows.append((name, _summary(kind), str(told.http), str(told.exit), str(told.mcp)))
    return _table(("error", "what happened", "HTTP", "exit code", "MCP"), rows)


def fields() -> str:
    """Every field that a filter can name."""
    from perdure.filters import ALIASES, FIELDS

    others: dict[str, list[str]] = {}
    for alias, name in ALIASES.items():
        others.setdefault(name, []).append(f"`{alias}`")
    rows = [
        (f"`{name}`", field.type, ", ".join(f"`{c}`" for c in field.choices), ", ".join(others.get(name, ())))
        for name, field in FIELDS.items()
    ]
    return _table(("field", "type", "one of", "also written"), rows)


def common() -> str:
    """The options that many commands share."""
    found = {_label(parameter): parameter for _, command in leaves() for parameter in command.params}
    return _parameters(found[name] for name in COMMON)


def commands() -> str:
    """Every command with its arguments and options, as `--help` tells them."""
    return "\n\n".join(_command(name, command) for name, command in leaves())


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command of the command line with its full name, as in `eval retrieval`."""
    import typer

    from perdure.cli.app import app

    def below(prefix: str, group: Any) -> Iterator[tuple[str, Any]]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from below(f"{prefix}{name} ", command)
            elif not command.hidden:
                yield f"{prefix}{name}", command

    return below("", typer.main.get_command(app))


SECTIONS: Final[Mapping[str, Callable[[], str]]] = {
    "settings": settings,
    "sqlite": sqlite,
    "postgres": postgres,
    "local": local,
    "models": models,
    "embedders": embedders,
    "rerankers": rerankers,
    "redis": redis,
    "redis-vectors": redis_vectors,
    "qdrant": qdrant,
    "chroma": chroma,
    "pgvector": pgvector,
    "milvus": milvus,
    "falkordb": falkordb,
    "neo4j": neo4j,
    "errors": errors,
    "fields": fields,
    "common": common,
    "commands": commands,
}


def _options(provider: type[Any]) -> str:
    described: dict[str, str] = {}
    for kind in reversed(provider.__mro__):  # a field may be inherited, and told anew
        if dataclasses.is_dataclass(kind):
            described |= _described(kind)
    rows = [
        (f"`{field.name}`", _shown_default(field), described.get(field.name, ""))
        for field in dataclasses.fields(provider)
        if field.init
    ]
    return _table(("option", "default", "what it does"), rows)


def _described(kind: type[Any]) -> dict[str, str]:
    """The docstrings below the fields of a class, in one line each."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(after):
            texts[field.target.id] = " ".join(ast.literal_eval(after.value).split())  # type: ignore[attr-defined]  # `_is_text` looked
    return texts


def _is_text(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _shown_default(field: dataclasses.Field[Any]) -> str:
    missing = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return "" if missing else f"`{_default(field)}`"


def _default(field: dataclasses.Field[Any]) -> str:
    return f"{field.default:_}" if type(field.default) is int else repr(field.default)


def _walk(kind: type[Exception], depth: int = 0) -> Iterator[tuple[int, type[Exception]]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == kind.__module__:
            yield from _walk(child, depth + 1)


def _summary(kind: type[Any]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


def _command(name: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "").replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n")
    own = [parameter for parameter in command.params if _label(parameter) not in COMMON]
    table = f"\n\n{_parameters(own)}" if own else ""
    also = ", ".join(f"`{_label(parameter)}`" for parameter in command.params if parameter not in own)
    return f"### perdure {name}\n\n{text}{table}\n\nAlso takes: {also}."


def _parameters(parameters: Iterable[Any]) -> str:
    return _table(("argument or option", "what it does"), map(_parameter, parameters))


def _parameter(parameter: Any) -> tuple[str, str]:
    told = parameter.help or ""
    if parameter.param_type_name == "argument":
        return f"`{_label(parameter)}`", told
    if isinstance(parameter.default, str | int | float) and not isinstance(parameter.default, bool):
        told += f" Default: `{parameter.default}`."
    return ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)), told


def _label(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(parameter.opts[0])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
