"""The one filter grammar: a mapping, read once into a frozen tree that `matches` and every store obey.

    {"user_id": "u1"}                       equal; several entries of one mapping must all hold
    {"user_id": ["u1", "u2"]}               any of them
    {"user_id": "*"}                        has a value; `*` is a wildcard only when it stands alone like this
    {"created_at": {"gte": a, "lt": b}}     several operators of one field must all hold
    {"AND": [...]} {"OR": [...]}            all, any; lower case and `$and`, `$or`, `$not` are read as well
    {"NOT": {...}} {"NOT": [...]}           not this; none of these
    {"metadata": {"a": {"b": {"gt": 3}}}}   nested metadata, also "metadata.a.b"; keys with dots only this way
    {"priority": {"gt": 3}}                 a name that is no field and not nearly one is a metadata key
    {"created_after": a}                    created_at > a (from the start of the day, when `a` is a day)
    {"created_before": b}                   created_at < b

Operators: eq ne in nin gt gte lt lte contains icontains exists. What they mean:

- There are two truth values. A field without a value (None, null, no such key, no categories, no metadata at
  all) fails every comparison; `ne` and `nin` are the negations of `eq` and `in`, so it passes them. `eq None`
  means that there is no value. NOT is plain negation.
- `eq` is `in` with one value, and a list given to `eq`, `contains` or `icontains` means any of its values. An
  empty list is matched by nothing.
- A field that is a list (categories, a list in the metadata) is a set of values: `eq` and `contains` ask
  whether it has such an element, so `ne` and `nin` mean that it has none. It has no order.
- Texts are ordered by code point, numbers by value (integers exactly), times as instants; a value of another
  type never compares, and True is not 1. Metadata objects equal nothing; they `contain` their keys.
- `contains` on a text is a substring; `icontains` the same after Unicode case folding.
- A day without a time is the whole day in UTC: `eq` within it, `gte` from its start, `lte` to its end, `gt`
  after it, `lt` before it.
- Whatever cannot be read raises `InvalidFilter`; nothing is ignored.
"""

from perdure.filters.grammar import ALIASES, OPERATORS, SHORTHANDS, parse
from perdure.filters.tree import (
    EVERYTHING,
    FIELDS,
    NOTHING,
    SCOPE_FIELDS,
    And,
    Condition,
    Field,
    Filter,
    Not,
    Operator,
    Or,
    Scalar,
    conjoin,
    fold,
    holds,
    matches,
    required,
    scopes,
    values,
)

__all__ = [
    "ALIASES",
    "EVERYTHING",
    "FIELDS",
    "NOTHING",
    "OPERATORS",
    "SCOPE_FIELDS",
    "SHORTHANDS",
    "And",
    "Condition",
    "Field",
    "Filter",
    "Not",
    "Operator",
    "Or",
    "Scalar",
    "conjoin",
    "fold",
    "holds",
    "matches",
    "parse",
    "required",
    "scopes",
    "values",
]
