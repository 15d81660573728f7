"""Which names mean the same: few, each with its reason, and none that the caller wants apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from perdure.engine.entities.phrases import EntityKind
from perdure.engine.entities.spelling import fold

SURE_PERSON: Final = 2
"""So much must speak for a person before a first name joins a full one."""

Apart = frozenset[frozenset[str]]


class Merge(NamedTuple):
    """One name is another."""

    target: str
    reason: str


def pairs_apart(pairs: Iterable[tuple[str, str]]) -> Apart:
    """The pairs of names that are never merged."""
    return frozenset(frozenset((" ".join(one.split()), " ".join(other.split()))) for one, other in pairs)


def key(name: str, apart: Apart = frozenset()) -> str:
    """What names that differ by case and accents only have in common, unless they are wanted apart."""
    common = fold(name)
    for pair in apart:
        if len(pair) == 2 and len({fold(one) for one in pair}) == 1 and fold(next(iter(pair))) == common:
            return " ".join(name.split())
    return common


def merges(
    votes: Mapping[str, Counter[EntityKind]],
    *,
    stated: Collection[str] = (),
    apart: Apart = frozenset(),
) -> dict[str, Merge]:
    """For each name that is another: which, and why.

    - A first name joins a full name that begins with it, if no other name begins so, and both may be a person's.
    - The cases of one Russian name are one, where they cannot be two (Александр and Александра can).

    Args:
        votes: what speaks for which kind, by the key of each name.
        stated: keys of names that somebody gave as such (speakers, facts): these are no cases of another.
    """
    found: dict[str, Merge] = {}
    unwanted = {frozenset(key(name, apart) for name in pair) for pair in apart}
    beginning: dict[str, list[str]] = defaultdict(list)
    for name in sorted(votes):
        words = name.split()
        if len(words) > 1:
            beginning[words[0]].append(name)
    for name in sorted(votes):
        full = beginning.get(name, ())
        if len(full) == 1 and _person(votes[name] + votes[full[0]], full[0]):
            found[name] = Merge(full[0], "the only name that begins with it")
    for name, base in _cases([name for name in votes if name not in found], stated).items():
        found[name] = Merge(base, "a case of it")
    return {name: merge for name, merge in found.items() if frozenset((name, merge.target)) not in unwanted}


def in_brackets(name: str) -> bool:
    """Whether the name says which of several is meant, as "Ann (sister)"."""
    return bool(_BRACKETS.search(name))


def _person(votes: Counter[EntityKind], name: str) -> bool:
    others = sum(count for kind, count in votes.items() if kind != "person")
    return not in_brackets(name) and votes["person"] >= SURE_PERSON and votes["person"] > others


def _cases(names: Collection[str], stated: Collection[str]) -> dict[str, str]:
    """For each Russian name that is a case of another: which."""
    cyrillic = frozenset(name for name in names if _CYRILLIC.fullmatch(name))
    groups: dict[str, list[str]] = defaultdict(list)
    for name in sorted(cyrillic):
        groups[_root(name, cyrillic)].append(name)
    joined: dict[str, str] = {}
    for group in groups.values():
        if len(group) > 1 and sum(name in stated for name in group) < 2 and not _two_people(group):
            base = min(group, key=lambda name: (name not in stated, not _nominative(name), len(name), name))
            joined |= {name: base for name in group if name != base}
    return joined


def _root(name: str, names: Collection[str]) -> str:
    """A Russian name without the ending of its case."""
    if name.endswith("ей") and any(f"{name[:-1]}{ending}" in names for ending in ("я", "ю", "ем")):
        return name[:-1]  # Сергей, whose other cases are there
    ending = _ENDING.search(name)
    return name[: ending.start()] if ending else name


def _two_people(group: Iterable[str]) -> bool:
    """Whether these can be the cases of a man's and of a woman's name."""
    names = list(group)
    a_man = any(name.endswith(("ом", "ем")) for name in names)
    bare = any(_nominative(name) and name[-1] not in "ая" for name in names)
    a_woman = any(name.endswith(("ы", "и", "ой")) for name in names)
    either = any(name[-1] in "ая" for name in names)
    return ((a_man or bare) and a_woman) or (bare and either and not a_man)


def _nominative(name: str) -> bool:
    return name[-1] in "ая" or (name[-1] not in "еиоуыэю" and not name.endswith(("ом", "ем", "ой")))


_BRACKETS: Final = re.compile(r"\([^)]+\)\s*\Z")
_CYRILLIC: Final = re.compile("[\u0400-\u04ff]{3,}")
_ENDING: Final = re.compile("(?:ом|ем|ой|ей|ою|[аяыиеуюйь])\\Z")
