"""SQLite selects exactly the memories that `matches` accepts; PostgreSQL, where it cannot tell, all those and more."""

import json
import sqlite3

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perdure.errors import InvalidFilter
from perdure.filters import FIELDS, SCOPE_FIELDS, matches, parse, required, scopes
from perdure.filters.grammar import MAX_CONDITIONS, MAX_VALUES
from perdure.moments import EPOCH, micros
from perdure.stores import sqlfilters
from perdure.stores.postgres import filters as pgfilters
from perdure.stores.postgres.connection import prepare
from perdure.stores.rows import to_json
from perdure.testing import strategies
from perdure.testing.servers import PostgresServer
from perdure.types import Memory, Scope

TIMES = ("said_at", "recorded_at", "valid_from", "valid_to", "expires_at")
PLAIN = ("id", "text", "kind", "role", "speaker", "session", "origin", "version")
THOROUGH = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


def row(memory: Memory) -> dict[str, object]:
    moments = {name: getattr(memory, name) for name in TIMES}
    return {
        **{name: getattr(memory, name) for name in PLAIN},
        **{name: moment and micros(moment) for name, moment in moments.items()},
        "categories": json.dumps(memory.categories),
        "metadata": json.dumps(memory.metadata),
    }


class Table:
    """The columns that filters read, in a database of their own."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:")
        sqlfilters.register(self.connection)
        columns = ", ".join(f"{name} TEXT" for name in (*PLAIN[:-1], "categories", "metadata"))
        times = ", ".join(f"{name} INTEGER" for name in (*TIMES, "version"))
        self.connection.execute(f"CREATE TABLE memories (ord INTEGER PRIMARY KEY, {columns}, {times})")
        ids = ", ".join(f"{name} TEXT" for name in SCOPE_FIELDS)
        self.connection.execute(f"CREATE TABLE scopes (ord INTEGER PRIMARY KEY, {ids})")

    def fill(self, memories: list[Memory]) -> None:
        self.connection.execute("DELETE FROM memories")
        self.connection.execute("DELETE FROM scopes")
        for ord_, memory in enumerate(memories):
            ids = {name: getattr(memory.scope, name) for name in SCOPE_FIELDS}
            self._insert("memories", {"ord": ord_, **row(memory)})
            self._insert("scopes", {"ord": ord_, **ids})

    def _insert(self, table: str, values: dict[str, object]) -> None:
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*values.values()])

    def select(self, tree) -> list[int]:
        where, parameters = sqlfilters.compile(tree)
        sql = f"SELECT ord FROM memories m JOIN scopes s USING (ord) WHERE {where} ORDER BY ord"
        return [ord_ for (ord_,) in self.connection.execute(sql, parameters)]


class PostgresTable(Table):
    """The same in PostgreSQL, whose texts and numbers travel as the store has them travel."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        prepare(self.connection, kept=True)  # type: ignore[arg-type]  # what it sets up is the same
        columns = ", ".join(f'{name} text COLLATE "C"' for name in (*PLAIN[:-1], "categories", "metadata"))
        times = ", ".join(f"{name} bigint" for name in (*TIMES, "version"))
        self.connection.execute(f"CREATE TEMP TABLE memories (ord bigint, {columns}, {times})")
        ids = ", ".join(f'{name} text COLLATE "C"' for name in SCOPE_FIELDS)
        self.connection.execute(f"CREATE TEMP TABLE scopes (ord bigint, {ids})")

    def _insert(self, table: str, values: dict[str, object]) -> None:
        for name in ("categories", "metadata"):
            if name in values:
                held = json.loads(str(values[name]))
                values[name] = to_json(held) if held else None
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", [*values.values()])

    def find(self, tree) -> tuple[list[int], bool]:
        where, values, exact = pgfilters.compile(tree)
        sql = f"SELECT ord FROM memories m JOIN scopes s USING (ord) WHERE {where} ORDER BY ord"
        answers = self.connection.execute(f"SELECT {where} FROM memories m JOIN scopes s USING (ord)", values)
        assert None not in {answer for (answer,) in answers}
        return [ord_ for (ord_,) in self.connection.execute(sql, values)], exact


@pytest.fixture(scope="module")
def postgres(postgres_server: PostgresServer):
    table = PostgresTable(postgres_server.url())
    yield table
    table.connection.close()


@pytest.fixture(scope="module")
def table():
    table = Table()
    yield table
    table.connection.close()


def test_every_field_of_the_grammar_has_a_column():
    assert set(sqlfilters.COLUMNS) == set(FIELDS)


@THOROUGH
@given(
    filters=strategies.filters(max_leaves=20),
    memories=st.lists(strategies.memories(), min_size=1, max_size=6),
)
def test_sql_selects_exactly_what_matches_accepts(table, filters, memories):
    tree = parse(filters)
    table.fill(memories)
    assert table.select(tree) == [ord_ for ord_, memory in enumerate(memories) if matches(tree, memory)]


@THOROUGH
@given(
    filters=strategies.filters(max_leaves=20),
    memories=st.lists(strategies.memories(), min_size=1, max_size=6),
)
def test_postgres_selects_what_matches_accepts_and_says_when_it_may_be_more(postgres, filters, memories):
    tree = parse(filters)
    postgres.fill(memories)
    found, exact = postgres.find(tree)
    wanted = [ord_ for ord_, memory in enumerate(memories) if matches(tree, memory)]
    assert found == wanted if exact else {*found} >= {*wanted}


def test_postgres_decides_alone_what_it_can_and_narrows_what_it_cannot(postgres):
    memories = [
        Memory(
            id=f"m{n}", text=text, scope=Scope(user_id="u"), said_at=EPOCH, recorded_at=EPOCH, metadata=held
        )
        for n, (text, held) in enumerate(
            [("Tea", {"kind": "green"}), ("tea", {"kind": "black"}), ("milk", {})]
        )
    ]
    postgres.fill(memories)
    for filters, found, exact in (
        ({"user_id": "u", "NOT": {"memory": {"contains": "ea"}}}, [2], True),
        ({"metadata": {"kind": "green"}}, [0], False),
        ({"metadata": {"other": {"gt": 1}}}, [], False),
        ({"NOT": {"metadata": {"kind": "green"}}}, [0, 1, 2], False),
        ({"metadata": "*"}, [0, 1], True),
    ):
        assert postgres.find(parse(filters)) == (found, exact)


def test_the_widest_filters_that_parse_are_within_the_limits_of_postgres(postgres):
    postgres.find(parse({"OR": [{"id": str(number)} for number in range(MAX_CONDITIONS)]}))
    postgres.find(parse({"id": {"nin": [str(number) for number in range(MAX_VALUES)]}}))
    postgres.find(parse({"memory": {"contains": [str(number) for number in range(MAX_CONDITIONS - 1)]}}))


@THOROUGH
@given(filters=strategies.filters(), memories=st.lists(strategies.memories(), min_size=1, max_size=6))
def test_sql_answers_nought_or_one_and_never_null(table, filters, memories):
    where, parameters = sqlfilters.compile(parse(filters))
    table.fill(memories)
    answers = table.connection.execute(
        f"SELECT {where} FROM memories m JOIN scopes s USING (ord)", parameters
    )
    assert {answer for (answer,) in answers} <= {0, 1}


@THOROUGH
@given(filters=strategies.filters(), memory=strategies.memories())
def test_a_negation_matches_exactly_the_rest(filters, memory):
    assert matches(parse({"NOT": filters}), memory) is not matches(parse(filters), memory)


@THOROUGH
@given(filters=strategies.filters(), memory=strategies.memories())
def test_required_ids_and_scopes_never_exclude_a_match(filters, memory):
    tree = parse(filters)
    if not matches(tree, memory):
        return
    for field in SCOPE_FIELDS:
        ids = required(tree, field)
        assert ids is None or getattr(memory.scope, field) in ids
    within = scopes(tree)
    assert within is None or any(
        all(getattr(scope, field) in (None, getattr(memory.scope, field)) for field in SCOPE_FIELDS)
        for scope in within
    )


def test_the_widest_filters_that_parse_are_within_the_limits_of_sqlite(table):
    table.select(parse({"OR": [{"id": str(number)} for number in range(MAX_CONDITIONS)]}))
    table.select(parse({"id": {"nin": [str(number) for number in range(MAX_VALUES)]}}))
    table.select(parse({"memory": {"icontains": [str(number) for number in range(MAX_CONDITIONS - 1)]}}))


def test_the_deepest_filter_that_parses_is_within_the_limits_of_sqlite(table):
    filters: dict[str, object] = {"user_id": "u"}
    depth = 0
    while readable(filters):
        table.select(parse(filters))
        filters = {"NOT": {"OR": [filters, {"role": "user", "kind": "fact"}]}, "id": "*"}
        depth += 1
    assert depth > 8


def readable(filters) -> bool:
    try:
        parse(filters)
    except InvalidFilter:
        return False
    return True
