"""A model's answer, examined: what can be used, and what was dropped and why."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from perdure.engine.learning.repair import found_in
from perdure.errors import InvalidInput
from perdure.moments import parse_moment
from perdure.types import Claim, Relation

Action: TypeAlias = Literal["add", "confirm", "replace"]

MAX_TEXT: Final = 2_000
"""Characters of a fact: a sentence, not a page."""
MAX_DROPPED: Final = 20
"""So many reasons are told."""
MAX_NAME: Final = 100
"""Characters of a subject, an attribute, a relation."""
_NUMBER: Final = re.compile(r"\s*[TMtm]?\s*(\d{1,6})\s*\Z")
_MONTH: Final = re.compile(r"(\d{4})(?:-(\d{2}))?\Z", re.ASCII)
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
"""What colours a terminal: its letters are no words."""
_FACTUAL: Final = frozenset({"turns", "subject", "attribute", "action"})
"""Of these fields a fact has at least one beside its text."""
_ACTIONS: Final[Mapping[str, Action]] = {
    **dict.fromkeys(("add", "new", "create", "insert"), "add"),
    **dict.fromkeys(("confirm", "none", "noop", "keep", "duplicate"), "confirm"),
    **dict.fromkeys(("replace", "update", "supersede", "correct"), "replace"),
}
"""What models write for the three, whatever they were told."""


class Unreadable(ValueError):
    """Nothing of the form that was asked for, not even when it is repaired; the message quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What somebody stated; places count from 0."""

    text: str
    turns: tuple[int, ...]
    """Places among the new turns."""
    claim: Claim | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    categories: tuple[str, ...] = ()
    action: Action = "add"
    near: int | None = None
    """Place among the memories that were shown; None: none of them is meant."""
    relations: tuple[Relation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """All that an answer is good for."""

    facts: tuple[Fact, ...] = ()
    dropped: tuple[str, ...] = ()
    """Why parts of the answer were not taken; no words of it."""


def read(
    text: str, *, turns: int, near: int, categories: Collection[str], most: int, cut: bool = False
) -> Extraction:
    """What an answer says about so many new turns, having seen so many memories; at most so many facts.

    What it cites of turns and memories that there are not is dropped; a fact that cites no other turns is, too.

    Args:
        cut: the model is known to have been stopped.

    Raises:
        Unreadable: it is no JSON, or has nothing of the form that was asked for.
    """
    facts, relations, ended = _parts(text)
    dropped = ["what came after the end of the answer, which was cut off"] if cut or ended else []
    taken: dict[int, Fact] = {}
    for number, item in enumerate(facts, 1):
        if len(taken) == most:
            dropped.append(f"{len(facts) - number + 1} facts over the bound of {most}")
            break
        try:
            taken[number] = _fact(item, turns=turns, near=near, categories=categories)
        except ValueError as error:
            dropped.append(f"fact {number}: {error}")
    stated: dict[int, list[Relation]] = {}
    for number, relation in _relations(relations, taken.keys(), dropped):
        stated.setdefault(number, []).append(relation)
    return Extraction(
        facts=tuple(replace(fact, relations=tuple(stated.get(n, ()))) for n, fact in taken.items()),
        dropped=tuple(dropped[:MAX_DROPPED]),
    )


def _parts(text: str) -> tuple[list[Any], list[Any], bool]:
    """The facts, the relations, and whether the answer was cut off.

    They stand in the first object that has a list of facts, or has one fact's own fields, or in a list of facts.

    Raises:
        Unreadable: there is none of these.
    """
    reason = "it holds no JSON object"
    for value, cut in found_in(text):
        if isinstance(value, list):
            return value, [], cut
        value = next(filter(_has_facts, (value, *value.values())), value)  # noqa: PLW2901  # {"answer": {"facts": ...}}
        facts, relations = value.get("facts", value.get("memory")), value.get("relations")
        if not isinstance(facts, list) and isinstance(value.get("text"), str) and _FACTUAL & value.keys():
            facts = [value]
        if isinstance(facts, list):
            return facts, relations if isinstance(relations, list) else [], cut
        reason = "it has no list of facts"
    raise Unreadable(reason)


def _has_facts(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("facts"), list)


def _fact(item: Any, *, turns: int, near: int, categories: Collection[str]) -> Fact:
    if isinstance(item, str):
        item = {"text": item}
    if not isinstance(item, dict):
        raise ValueError("neither an object nor a text")  # noqa: TRY004  # readers raise one kind
    action, shown = _action(item.get("action")), _number(item.get("memory"))
    begins, ends = _moment(item.get("from")), _moment(item.get("to"), day_end=True)
    return Fact(
        text=_sentence(item.get("text")),
        turns=_turns(item.get("turns"), turns),
        claim=_claim(item),
        valid_from=begins,
        valid_to=None if begins is not None and ends is not None and ends <= begins else ends,
        categories=_categories(item.get("categories"), categories),
        action=action,
        near=shown - 1 if action != "add" and shown is not None and 1 <= shown <= near else None,
    )


def _action(value: Any) -> Action:
    return _ACTIONS.get(value.strip().lower(), "add") if isinstance(value, str) else "add"


def _turns(value: Any, turns: int) -> tuple[int, ...]:
    """The places of the turns cited; all, when the answer cites none at all."""
    if value is None or value == []:
        return tuple(range(turns))
    numbers = [_number(item) for item in (value if isinstance(value, list) else [value])]
    known = sorted({number - 1 for number in numbers if number is not None and 1 <= number <= turns})
    if not known:
        raise ValueError("it cites turns that there are not")
    return tuple(known)


def _number(value: Any) -> int | None:
    """A number as JSON or as a label: 2, "2", "T2"."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _NUMBER.match(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def _text(value: Any, most: int, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is missing")
    text = " ".join(value.split())
    if len(text) > most:
        raise ValueError(f"{name} is longer than {most} characters")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{name} holds a character that no text has")
    return text


def _sentence(value: Any) -> str:
    text = _text(value, MAX_TEXT, "text")
    if not any(map(str.isalnum, _ESCAPE.sub("", text))):
        raise ValueError("text holds no letter and no digit")
    return text


def _claim(item: Mapping[str, Any]) -> Claim | None:
    try:
        subject, attribute = (_text(item.get(name), MAX_NAME, name) for name in ("subject", "attribute"))
    except ValueError:
        return None
    return Claim(subject=subject, attribute=attribute)


def _moment(value: Any, *, day_end: bool = False) -> datetime | None:
    """A day, month or year as the moment at which it begins or ends; None for what is none."""
    if not isinstance(value, str) or not value.strip():
        return None
    text = value.strip()
    try:
        if match := _MONTH.match(text):
            text = _day(int(match[1]), int(match[2]) if match[2] else None, last=day_end)
        return parse_moment(text, day_end=day_end)
    except (InvalidInput, ValueError):
        return None


def _day(year: int, month: int | None, *, last: bool) -> str:
    """The first or the last day of a month, or of a year.

    Raises:
        ValueError: there is no such month.
    """
    if month is None:
        month = 12 if last else 1
    day = monthrange(year, month)[1] if last else 1
    return f"{year:04}-{month:02}-{day:02}"


def _categories(value: Any, known: Collection[str]) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    names = {_slug(name): name for name in known}
    return tuple(
        dict.fromkeys(names[_slug(item)] for item in given if isinstance(item, str) and _slug(item) in names)
    )


def _slug(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().casefold())


def _relations(
    items: Iterable[Any], facts: Collection[int], dropped: list[str]
) -> Iterator[tuple[int, Relation]]:
    """Each relation, with the number of the fact that states it."""
    for number, item in enumerate(items, 1):
        try:
            if not isinstance(item, dict):
                raise ValueError("no object")  # noqa: TRY301, TRY004  # readers raise one kind
            fact = _number(item.get("fact"))
            if fact is None or fact not in facts:
                raise ValueError("it cites a fact that there is not")  # noqa: TRY301  # one place tells of all
            names = {
                name: _text(item.get(name), MAX_NAME, name) for name in ("subject", "relation", "object")
            }
            yield fact, Relation(**names)
        except ValueError as error:
            dropped.append(f"relation {number}: {error}")
