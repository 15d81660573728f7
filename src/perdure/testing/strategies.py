"""Hypothesis strategies for filters and memories, awkward on purpose and small enough to meet each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from hypothesis import strategies as st

from perdure.filters import FIELDS, OPERATORS
from perdure.types import Kind, Memory, Origin, Scope

IDS: Final = ("u1", "u2", "é", "u1'; --", "日本")
WORDS: Final = (
    *(
        "a",
        "b",
        "A",
        "ß",
        "ss",
        "SS",
        "İ",
        "i̇",
        "Σ",
        "ς",
        "é",
        "e\u0301",
        "日本",
        "🙂",
        "\U0010ffff",
        "\uffff",
    ),
    *(
        '"',
        "'",
        "$",
        "%",
        "_",
        "\\",
        "\x00",
        "a\x00b",
        "x.y",
        "10",
        "9",
        "1",
        "true",
        "null",
        "2025-01-01",
        " ",
    ),
)
KEYS: Final = ("p", "q", "x.y", '"', "'", "$", "$.p", "[0]", "", "\x00", "é", "gt", "AND", "🙂")
NUMBERS: Final = (
    0,
    1,
    -1,
    1.0,
    0.1,
    -0.0,
    10,
    9,
    2**53,
    2**53 + 1,
    float(2**53),
    2**63,
    -(2**63) - 1,
    10**30,
    1e300,
)
MIDNIGHT: Final = datetime(2025, 1, 1, tzinfo=UTC)

FORMS: Final = ("AND", "OR", "NOT", "$and", "$or", "$not", "and", "or", "not")


def words() -> st.SearchStrategy[str]:
    """Texts that differ by case, composition, script and quoting."""
    return st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


def moments() -> st.SearchStrategy[datetime]:
    """Moments on and around the borders of a few days."""
    steps = st.sampled_from((-86_400_000_001, -1, 0, 1, 3_600_000_000, 86_399_999_999, 86_400_000_000))
    return steps.map(lambda step: MIDNIGHT + timedelta(microseconds=step))


def scalars() -> st.SearchStrategy[Any]:
    """Texts, numbers and booleans that are nearly each other."""
    return (
        words()
        | st.sampled_from(NUMBERS)
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
    )


def metadata() -> st.SearchStrategy[dict[str, Any]]:
    """JSON objects: nested, with lists, nulls, and keys that paths have trouble with."""
    keys = st.sampled_from(KEYS)
    values = st.recursive(
        st.none() | scalars(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=6,
    )
    return st.dictionaries(keys, values, max_size=4)


def scopes() -> st.SearchStrategy[Scope]:
    """Scopes with at least one id."""
    ids = st.none() | st.sampled_from(IDS)
    made = st.builds(Scope, user_id=ids, agent_id=ids, app_id=ids, run_id=ids)
    return made.filter(lambda scope: any((scope.user_id, scope.agent_id, scope.app_id, scope.run_id)))


def memories() -> st.SearchStrategy[Memory]:
    """Memories of any kind, in any state of completeness."""
    optional = st.none() | moments()
    return st.builds(
        Memory,
        id=st.uuids(version=4).map(str) | st.sampled_from(IDS),
        text=st.lists(words(), min_size=1, max_size=4).map("".join),
        scope=scopes(),
        said_at=moments(),
        recorded_at=moments(),
        kind=st.sampled_from(get_args(Kind)),
        role=st.sampled_from(("user", "assistant", "tool")),
        speaker=st.none() | words(),
        session=st.none() | words(),
        categories=st.lists(words(), max_size=3, unique=True).map(tuple),
        metadata=metadata(),
        origin=st.sampled_from(get_args(Origin)),
        valid_from=optional,
        valid_to=optional,
        expires_at=optional,
        version=st.integers(1, 2),
    )


def filters(*, max_leaves: int = 12) -> st.SearchStrategy[dict[str, Any]]:
    """Mappings that `perdure.filters.parse` accepts."""
    return st.recursive(_conditions(), _junctions, max_leaves=max_leaves)


def _junctions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.dictionaries(
        st.sampled_from(FORMS), st.lists(inner, min_size=1, max_size=4), min_size=1, max_size=2
    )
    negations = st.sampled_from(("NOT", "$not")).flatmap(lambda name: st.fixed_dictionaries({name: inner}))
    return lists | negations | st.tuples(inner, inner).map(lambda pair: pair[0] | pair[1])


def _conditions() -> st.SearchStrategy[dict[str, Any]]:
    of_fields = [
        st.fixed_dictionaries({name: _tests(_values(name), _operators(name))})
        for name in FIELDS
        if name != "metadata"
    ]
    days = st.sampled_from(("created_after", "created_before"))
    shorthands = days.flatmap(lambda name: st.fixed_dictionaries({name: _times()}))
    return st.one_of(*of_fields, shorthands, _of_metadata(), _of_metadata())


def _of_metadata() -> st.SearchStrategy[dict[str, Any]]:
    tests = _tests(scalars(), OPERATORS)
    plain = st.sampled_from([key for key in KEYS if key not in ("gt", "AND", "$", "$.p")])
    bare = st.sampled_from(("p", "q", "é", "🙂")).flatmap(lambda key: st.fixed_dictionaries({key: tests}))
    dotted = st.sampled_from(("p", "p.q", "gt", "AND", "$", "q.gt.p")).flatmap(
        lambda path: st.fixed_dictionaries({f"metadata.{path}": tests})
    )
    nested = st.recursive(
        tests, lambda inner: st.dictionaries(plain, inner, min_size=1, max_size=2), max_leaves=3
    )
    whole = st.just("*") | st.fixed_dictionaries({"contains": st.sampled_from([key for key in KEYS if key])})
    objects = st.dictionaries(plain, nested, min_size=1, max_size=2) | whole
    return bare | dotted | st.fixed_dictionaries({"metadata": objects})


def _tests(values: st.SearchStrategy[Any], operators: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """What stands behind a field's name: a value, a list, `*`, or operators."""
    options = st.lists(st.none() | values, max_size=3)
    by_operator = {
        **dict.fromkeys(("eq", "ne"), values | options | st.none()),
        **dict.fromkeys(("in", "nin"), options),
        **dict.fromkeys(("gt", "gte", "lt", "lte"), values.filter(lambda value: not isinstance(value, bool))),
        **dict.fromkeys(("contains", "icontains"), _parts()),
        "exists": st.booleans(),
    }
    mappings = st.fixed_dictionaries({}, optional={name: by_operator[name] for name in operators})
    return values | options | st.none() | st.just("*") | mappings.filter(bool)


def _parts() -> st.SearchStrategy[Any]:
    part = words().filter(bool)
    return part | st.lists(part, max_size=2)


def _operators(name: str) -> tuple[str, ...]:
    left_out = {"time": ("contains", "icontains"), "set": ("gt", "gte", "lt", "lte")}.get(
        FIELDS[name].type, ()
    )
    return tuple(operator for operator in OPERATORS if operator not in left_out)


def _values(name: str) -> st.SearchStrategy[Any]:
    field = FIELDS[name]
    if field.type == "time":
        return _times()
    if field.choices:
        return st.sampled_from(field.choices)
    return st.sampled_from(IDS) if name.endswith("id") else words()


def _times() -> st.SearchStrategy[Any]:
    """The forms in which callers give a time: moments, days, and both as text."""
    days = moments().map(lambda moment: moment.date())
    return moments() | days | st.one_of(moments(), days).map(lambda time: time.isoformat())
