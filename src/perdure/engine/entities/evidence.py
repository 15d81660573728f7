"""What the words around a name say: that it is one, and of what kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from perdure.engine.entities.phrases import (
    AND_I,
    ARABIC_JOINS,
    ARABIC_NO_NAMES,
    CALLED,
    DOES,
    GREETINGS,
    HONORIFIC,
    HONORIFIC_AFTER,
    IS,
    KIN,
    ORGANISATION_WORDS,
    PLACE_AFTER,
    PLACE_BEFORE,
    PLACE_WEAK,
    PLACE_WORDS,
    POSSESSIVE,
    SAYS,
    WORK_BEFORE,
    EntityKind,
)
from perdure.engine.entities.tokens import Token
from perdure.engine.words.lists import STOPS

AROUND = 3
"""So many words on each side are looked at."""


class Sign(NamedTuple):
    """One thing that a place in a text says of a name."""

    kind: EntityKind | None
    weight: int = 0
    """How much it speaks for the kind."""
    introduces: bool = False
    """Only a name stands there."""


def signs(tokens: Sequence[Token], start: int, end: int) -> list[Sign]:
    """What the words around, and those within, say of a name from `start` to `end`."""
    before, after = _before(tokens, start), _after(tokens, end)
    return [
        *_addressed(before, after),
        *_situated(before, after),
        *_acting(after),
        *([Sign("person", 3, introduces=True)] if _is_kin(tokens, end) else []),
        *_composed({token.fold for token in tokens[start:end]} if end - start > 1 else set()),
    ]


def introduces(tokens: Sequence[Token], place: int) -> bool:
    """Whether the word at a place is a name, by the words around."""
    if not caseless(tokens[place]):
        return tokens[place].capital and any(sign.introduces for sign in signs(tokens, place, place + 1))
    word, before = tokens[place].fold, _before(tokens, place)
    if word in ARABIC_NO_NAMES or word in STOPS["arabic"] or word in STOPS["hindi"]:
        return False
    if before and before[-1] in KIN and word.startswith("ال"):  # "my elder sister Sara" has "the elder" here
        return False
    if len(before) > 1 and before[-1].startswith("ال") and before[-2] in KIN:
        return True
    if before and before[-1] in ARABIC_JOINS and introduces(tokens, place - 1):
        return True
    return any(sign.introduces for sign in signs(tokens, place, place + 1))


def caseless(token: Token) -> bool:
    """Whether the word is in a script that has spaces and no capitals."""
    return "\u0590" <= token.text[:1] <= "\u0dff"


def _addressed(before: Sequence[str], after: Sequence[str]) -> Iterator[Sign]:
    """Mr Lee, my sister Ann, a friend called Bob, hello Ann."""
    last = before[-1] if before else ""
    if last in HONORIFIC or last in KIN or (after and after[0] in HONORIFIC_AFTER):
        yield Sign("person", 3, introduces=True)
    if last in CALLED:
        yield Sign(None if KIN.isdisjoint(before) else "person", 3, introduces=True)
    if last in GREETINGS:
        yield Sign("person", 2)


def _situated(before: Sequence[str], after: Sequence[str]) -> Iterator[Sign]:
    """Lives in Porto, works at Acme, ist nach Berlin gezogen."""
    if _ends_with(before, WORK_BEFORE):
        yield Sign("organisation", 3, introduces=True)
    elif _ends_with(before, PLACE_BEFORE) or " ".join(after[:2]) in PLACE_AFTER:
        yield Sign("place", 3, introduces=True)
    elif before and before[-1] in PLACE_WEAK:
        moved = bool(after) and after[0] in PLACE_AFTER
        yield Sign("place", 3 if moved else 1, introduces=moved)


def _acting(after: Sequence[str]) -> Iterator[Sign]:
    """Ann said, Ann likes, Ann and I."""
    if after and after[0] in SAYS:
        yield Sign("person", 2, introduces=True)
    elif after and after[0] in DOES:
        yield Sign("person", 1)
    elif " ".join(after[:2]) in AND_I:
        yield Sign("person", 1, introduces=True)


def _is_kin(tokens: Sequence[Token], end: int) -> bool:
    """Whether it goes on so: "Ann's sister", "Ann is my sister", "Ann, my sister," and so on."""
    after = [token for token in tokens[end : end + 4] if not token.initial]
    if tokens[end - 1].owns:
        return bool(after) and after[0].fold in KIN
    told = bool(after) and after[0].fold in IS
    rest = after[1:] if told else after
    if len(rest) < 2 or rest[0].fold not in POSSESSIVE or rest[1].fold not in KIN or rest[1].owns:
        return False
    return told or (not rest[0].joined and (len(rest) == 2 or not rest[2].joined))


def _composed(words: set[str]) -> Iterator[Sign]:
    """Lisbon University, Hyde Park."""
    if words & ORGANISATION_WORDS:
        yield Sign("organisation", 3)
    elif words & PLACE_WORDS:
        yield Sign("place", 3)


def _before(tokens: Sequence[Token], start: int) -> list[str]:
    """The words before, of the same sentence."""
    words: list[str] = []
    while start > 0 and len(words) < AROUND and not tokens[start].initial:
        start -= 1
        words.insert(0, tokens[start].fold)
    return words


def _after(tokens: Sequence[Token], end: int) -> list[str]:
    """The words after, of the same sentence."""
    words: list[str] = []
    while end < len(tokens) and len(words) < AROUND and not tokens[end].initial:
        words.append(tokens[end].fold)
        end += 1
    return words


def _ends_with(words: Sequence[str], phrases: frozenset[str]) -> bool:
    return any(" ".join(words[-size:]) in phrases for size in range(1, len(words) + 1))
