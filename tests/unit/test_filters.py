"""What filters mean, and what is said of those that mean nothing."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidFilter
from perdure.filters import EVERYTHING, NOTHING, Condition, conjoin, matches, parse, required, scopes
from perdure.testing import strategies
from perdure.types import Memory, Scope

NOON = datetime(2025, 1, 1, 12, tzinfo=UTC)


def memory(**changes: object) -> Memory:
    scope = changes.pop("scope", Scope(user_id="u1", agent_id="a1"))
    given = {"id": "m1", "text": "Likes Straße", "said_at": NOON, "recorded_at": NOON, **changes}
    return Memory(scope=scope, **given)


def found(filters: object, **changes: object) -> bool:
    return matches(parse(filters), memory(**changes))


def complaint(filters: object) -> str:
    with pytest.raises(InvalidFilter) as caught:
        parse(filters)
    return str(caught.value)


# ---- what they mean


@pytest.mark.parametrize("nothing", [None, {}])
def test_no_filter_matches_everything(nothing):
    assert parse(nothing) == EVERYTHING
    assert found(nothing)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"user_id": "u1"}, True),
        ({"user_id": "u1", "agent_id": "a2"}, False),
        ({"user_id": ["u0", "u1"]}, True),
        ({"user_id": []}, False),
        ({"user_id": {"in": ["u1"], "ne": "u1"}}, False),
        ({"user_id": {"nin": ["u2"]}}, True),
        ({"run_id": "*"}, False),
        ({"agent_id": "*"}, True),
        ({"run_id": {"exists": False}}, True),
        ({"run_id": None}, True),
        ({"run_id": ["r", None]}, True),
        ({"user_id": {"eq": "*"}}, False),
        ({"run_id": {"ne": "r"}}, True),
        ({"run_id": {"gt": ""}}, False),
        ({"AND": [{"user_id": "u1"}, {"agent_id": "a1"}]}, True),
        ({"or": [{"user_id": "u2"}, {"agent_id": "a1"}]}, True),
        ({"$or": [{"user_id": "u2"}, {"agent_id": "a2"}]}, False),
        ({"NOT": {"user_id": "u1", "agent_id": "a2"}}, True),
        ({"NOT": [{"user_id": "u1"}, {"agent_id": "a2"}]}, False),
        ({"$not": [{"user_id": "u2"}]}, True),
    ],
)
def test_scopes_and_junctions(filters, expected):
    assert found(filters) is expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"memory": {"contains": "Straße"}}, True),
        ({"memory": {"contains": "strasse"}}, False),
        ({"memory": {"icontains": "STRASSE"}}, True),
        ({"keywords": {"icontains": ["beer", "likes"]}}, True),
        ({"text": "Likes Straße"}, True),
    ],
)
def test_texts_are_searched_with_or_without_case(filters, expected):
    assert found(filters) is expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"categories": "food"}, True),
        ({"categories": ["work", "food"]}, True),
        ({"categories": {"contains": "food"}}, True),
        ({"categories": {"contains": "foo"}}, False),
        ({"categories": {"icontains": "FOOD"}}, True),
        ({"categories": {"ne": "food"}}, False),
        ({"categories": {"nin": ["work"]}}, True),
        ({"categories": "*"}, True),
    ],
)
def test_categories_are_a_set(filters, expected):
    assert found(filters, categories=("food", "home")) is expected


def test_no_categories_are_no_value():
    assert not found({"categories": "*"})
    assert found({"categories": {"ne": "food"}})


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"priority": {"gt": 3}}, True),
        ({"priority": 5.0}, True),
        ({"priority": "5"}, False),
        ({"priority": {"gt": "3"}}, False),
        ({"done": True}, True),
        ({"done": 1}, False),
        ({"done": {"gte": 0}}, False),
        ({"metadata": {"a": {"b": {"gt": 3, "lt": 5}}}}, True),
        ({"metadata.a.b": 4}, True),
        ({"metadata.a.b.c": "*"}, False),
        ({"metadata": {"a.b": "dotted"}}, True),
        ({"metadata": {"a": {"b": 4}, "priority": 6}}, False),
        ({"tags": "x"}, True),
        ({"tags": {"contains": "x"}}, True),
        ({"tags": {"ne": "x"}}, False),
        ({"tags": {"gt": "a"}}, False),
        ({"void": "*"}, False),
        ({"void": None}, True),
        ({"missing": {"nin": [1]}}, True),
        ({"metadata": "*"}, True),
        ({"metadata": {"contains": "done"}}, True),
        ({"a": {"icontains": "B"}}, True),
        ({"big": 2**63}, True),
        ({"big": {"gt": float(2**63)}}, False),
        ({"near": float(2**53)}, False),
        ({"metadata.in": 7}, True),
    ],
)
def test_metadata_is_compared_by_value_and_type(filters, expected):
    metadata = {
        "priority": 5,
        "done": True,
        "a": {"b": 4},
        "a.b": "dotted",
        "tags": ["x", "y"],
        "void": None,
        "big": 2**63,
        "near": 2**53 + 1,
        "in": 7,
    }
    assert found(filters, metadata=metadata) is expected


@pytest.mark.parametrize("day", ["2025-01-01", date(2025, 1, 1), "20250101"])
def test_a_day_is_the_whole_day(day):
    for operator, expected in {"eq": 1, "ne": 0, "gte": 1, "lte": 1, "gt": 0, "lt": 0}.items():
        assert found({"created_at": {operator: day}}) is bool(expected), operator
    assert found({"created_after": day})
    assert not found({"created_before": day})
    assert found({"created_at": [day, "2024-01-01"]})


@pytest.mark.parametrize(
    "instant", [NOON, "2025-01-01T12:00:00Z", "2025-01-01T13:00:00+01:00", NOON.replace(tzinfo=None)]
)
def test_an_instant_is_that_instant_in_any_zone(instant):
    for operator, expected in {"eq": 1, "gte": 1, "lte": 1, "gt": 0, "lt": 0}.items():
        assert found({"said_at": {operator: instant}}) is bool(expected), operator
    assert not found({"created_after": instant})
    assert not found({"created_before": instant})


def test_the_last_day_that_there_is_can_be_asked_for():
    assert not found({"created_at": "9999-12-31"})
    assert found({"created_at": {"lte": date.max}})


def test_times_without_a_value_fail_every_comparison():
    assert not found({"expires_at": {"lt": "2030-01-01"}})
    assert found({"expiration_date": {"ne": "2030-01-01"}})
    assert found({"expires_at": {"gt": "2030-01-01"}}, expires_at=NOON + timedelta(days=3000))


def test_a_zone_of_ones_own_is_understood():
    local = datetime(2025, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    assert found({"created_at": local})


# ---- what is said of those that mean nothing


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("user", "user_id"),
        ("userid", "user_id"),
        ("userId", "user_id"),
        ("catgories", "categories"),
        ("create_at", "created_at"),
        ("created", "created_at"),
        ("agent", "agent_id"),
        ("session_id", "session"),
        ("sesion", "session"),
        ("metdata", "metadata"),
        ("metdata.project", "metadata"),
        ("expires", "expires_at"),
        ("creatd_after", "created_after"),
    ],
)
def test_a_slip_is_told_the_field_and_the_way_to_the_metadata(name, meant):
    message = complaint({name: "x"})
    assert repr(meant) in message
    assert f"'metadata.{name}'" in message


@pytest.mark.parametrize(
    "name", ["category", "priority", "project", "status", "tags", "type", "name", "version"]
)
def test_a_name_unlike_any_field_is_a_metadata_key(name):
    assert found({name: "x"}, metadata={name: "x"})


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ({"priority": {"gte3": 1}}, "eq, ne, in, nin"),
        ({"priority": {"$gt": 1}}, "eq, ne, in, nin"),
        ({"priority": {}}, "eq, ne, in, nin"),
        ({"user_id": {"like": "u"}}, "eq, ne, in, nin"),
        ({"user_id": {"NOT": "u"}}, "eq, ne, in, nin"),
        ({"project": {"name": "x"}}, "'metadata': {'project'"),
        ({"project.name": "x"}, "metadata.project.name"),
        ({"gt": 3}, "is no field"),
        ({"$gt": 3}, "is no field"),
        ({"$nor": []}, "is no field"),
        ({"": 3}, "is no field"),
        ({"metadata": {"a": {"gt": 1, "b": 2}}}, "metadata.a.gt"),
        ({"metadata": {"a": {"GT": 1}}}, "metadata.a.GT"),
        ({"metadata": {"OR": [{"a": 1}]}}, "stand around fields"),
        ({"metadata": {}}, "empty mapping"),
        ({"metadata": {"a": {}}}, "empty mapping"),
        ({"metadata": {3: 1}}, "keys are texts"),
        ({"metadata": 3}, "name a key of it"),
        ({"metadata": {"eq": "x"}}, "name a key of it"),
        ({"metadata..a": 3}, "empty part"),
        ({"metadata": {"a": {"eq": [[1]]}}}, "key by key"),
        ({"metadata": {"a": {"lt": date(2025, 1, 1)}}}, "a date as the text"),
        ({"metadata": {"a": float("nan")}}, "finite"),
        ({"metadata": {"a": {"gt": float("inf")}}}, "finite"),
        ({"metadata": {"a": 10**2000}}, "4096 bits"),
        ({"metadata": {"a": {"gt": True}}}, "one number or text"),
        ({"metadata": {"a": {"gt": None}}}, "one number or text"),
        ({"metadata": {"a": {"icontains": 3}}}, "a text that is not empty"),
        ({"user_id": {"gt": ["a"]}}, "one number or text"),
        ({"user_id": {"in": "u1"}}, "takes a list"),
        ({"user_id": {"nin": "u1"}}, "takes a list"),
        ({"user_id": {"exists": "yes"}}, "True or False"),
        ({"user_id": 3}, "is a text"),
        ({"memory": {"contains": ""}}, "not empty"),
        ({"categories": {"gt": "a"}}, "no order"),
        ({"kind": "facts"}, "turn, fact, procedure, summary"),
        ({"origin": ["user", "nobody"]}, "user, assistant"),
        ({"created_at": {"contains": "2025"}}, "is a time"),
        ({"created_at": {"gt": "soon"}}, "ISO 8601"),
        ({"created_at": {"gt": None}}, "ISO 8601"),
        ({"created_after": ["2025-01-01"]}, "ISO 8601"),
        ({"created_at": True}, "ISO 8601"),
        ({"AND": {"user_id": "u"}}, "takes a list"),
        ({"AND": []}, "at least one"),
        ({"OR": []}, "at least one"),
        ({"NOT": []}, "at least one"),
        ({"NOT": {}}, "not empty"),
        ({"OR": [{}]}, "not empty"),
        ({"OR": ["user_id"]}, "a condition in OR"),
        ({"NOT": "x"}, "takes a list"),
        ({3: "x"}, "names in a filter are texts"),
        ([{"user_id": "u"}], "filters is a mapping"),
        ("user_id", "filters is a mapping"),
        ({"user_id": "\ud800"}, "valid Unicode"),
        ({"\ud800": "x"}, "valid Unicode"),
        ({"OR": [{"id": str(number)} for number in range(501)]}, "500 conditions"),
        ({"memory": {"contains": [str(number) for number in range(1, 502)]}}, "500 conditions"),
        ({"id": [str(number) for number in range(10_001)]}, "10000 values"),
    ],
)
def test_what_cannot_be_read_is_explained(filters, said):
    assert said in complaint(filters)


def test_a_filter_that_holds_itself_is_refused():
    filters: dict[str, object] = {}
    filters["AND"] = [filters]
    assert "flatter" in complaint(filters)


@given(strategies.filters())
def test_every_generated_filter_can_be_read_shown_and_hashed(filters):
    tree = parse(filters)
    assert repr(tree)
    assert parse(filters) == tree
    assert hash(parse(filters)) == hash(tree)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("AND", "NOT", "user_id", "gt", "in", "created_at", "x")) | st.text(), inner
        )
    ),
)


@given(
    st.dictionaries(st.text(max_size=5) | st.sampled_from(("OR", "metadata", "categories", "id")), json_like)
)
def test_anything_is_either_read_or_refused(filters):
    try:
        tree = parse(filters)
    except InvalidFilter:
        return
    assert isinstance(matches(tree, memory()), bool)


def test_values_of_different_types_make_different_conditions():
    assert parse({"x": True}) != parse({"x": 1})
    assert parse({"x": ["a", "b"]}) == parse({"x": ["b", "a"]})


def test_a_tree_shows_itself():
    shown = repr(parse({"user_id": "u1", "NOT": [{"x": {"gt": 3}}, {"y": "*"}]}))
    assert shown == "(user_id in 'u1' AND NOT (metadata.x gt 3 OR metadata.y exists))"


# ---- what can be known of them


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, None),
        ({"agent_id": "a"}, None),
        ({"user_id": "u"}, {"u"}),
        ({"user_id": ["u", "v"]}, {"u", "v"}),
        ({"user_id": "*"}, None),
        ({"user_id": {"ne": "u"}}, None),
        ({"NOT": {"user_id": "u"}}, None),
        ({"AND": [{"user_id": ["u", "v"]}, {"AND": [{"user_id": "v"}, {"agent_id": "a"}]}]}, {"v"}),
        ({"AND": [{"user_id": "u"}, {"user_id": "v"}]}, set()),
        ({"OR": [{"user_id": "u"}, {"user_id": "v", "agent_id": "a"}]}, {"u", "v"}),
        ({"OR": [{"user_id": "u"}, {"agent_id": "a"}]}, None),
        ({"user_id": ["u", None]}, None),
        ({"user_id": []}, set()),
    ],
)
def test_the_ids_that_every_match_must_have(filters, expected):
    assert required(parse(filters), "user_id") == expected


def test_scopes_are_alternatives_that_cover_every_match():
    assert scopes(parse({})) is None
    assert scopes(parse({"user_id": "u"}), tenant="t") == (Scope(user_id="u", tenant="t"),)
    assert scopes(parse({"OR": [{"user_id": "u"}, {"run_id": "r"}]})) == (
        Scope(user_id="u"),
        Scope(run_id="r"),
    )
    assert scopes(parse({"OR": [{"user_id": "u"}, {"x": 1}]})) is None
    assert scopes(parse({"user_id": "u", "run_id": ["r", "s"]})) == (
        Scope(user_id="u", run_id="r"),
        Scope(user_id="u", run_id="s"),
    )
    assert scopes(parse({"AND": [{"user_id": "u"}, {"user_id": "v"}]})) == ()


def test_scopes_stay_few_when_lists_multiply():
    many = [str(number) for number in range(100)]
    assert len(scopes(parse({"user_id": many, "agent_id": many, "run_id": many})) or ()) == 100


def test_conjoining_restricts_and_never_widens():
    user, agent = parse({"user_id": "u1"}), parse({"agent_id": "a1"})
    assert conjoin() == conjoin(None, EVERYTHING) == EVERYTHING
    assert conjoin(user, None) == user
    assert conjoin(user, conjoin(agent, user)) == parse(
        {"AND": [{"user_id": "u1"}, {"agent_id": "a1"}, {"user_id": "u1"}]}
    )
    assert not matches(conjoin(user, NOTHING), memory())


def test_a_condition_made_by_hand_is_one_that_was_read():
    assert Condition("user_id", "in", ("u1",)) == parse({"user_id": "u1"})
