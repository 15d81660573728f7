"""What of the memories found goes into a prompt, and in which order: decided purely."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from perdure.engine.form import Form, Line, Place, day
from perdure.engine.recalled import plain
from perdure.engine.words.segment import normalize
from perdure.types import Memory

Count: TypeAlias = Callable[[str], int]
"""Tells how many tokens a text is."""
Format: TypeAlias = Literal["text", "messages", "xml"]

OTHER: Final = "other"
"""Where a profile shows what has no category."""

_SOFT: Final = ".,;:!…\"'“”‘’«»()。，、；：！"
"""What stands around words and changes nothing in what they say; a question mark does."""
_LONGEST_WORD: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A block that is ready for a prompt."""

    text: str
    """Empty when nothing was found, or there is no room for anything."""
    lines: tuple[Line, ...]
    """In the order in which they stand there."""
    tokens: int
    omitted: int
    """How many were found for which there was no room."""


def fold(lines: Iterable[Line]) -> list[Line]:
    """Each thing once, where the best that says it stands.

    The same words of the same speaker (case, spaces and punctuation around words aside) are shown as they were said
    last. A fact and the turn that it came from are the fact.
    """
    lines = list(lines)
    facts = {source: line for line in reversed(lines) if line.derived for source in line.memory.sources}
    groups: dict[object, list[Line]] = {}
    for line in lines:
        told = line if line.derived else facts.get(line.memory.id, line)
        groups.setdefault(_saying(told.memory), []).append(line)
    return [_newest(group) for group in groups.values()]


def exchanges(lines: Iterable[Line], known: Iterable[Line]) -> list[Place]:
    """The neighbours worth a look, those known aside: after a question its answer, before a statement a question."""
    held = {line.place for line in known}
    places = [(line.place[0], ord_) for line in lines if (ord_ := _beside(line)) is not None]
    return [place for place in dict.fromkeys(places) if place not in held]


def partners(lines: Iterable[Line], neighbours: Mapping[Place, Memory]) -> dict[Place, Line]:
    """For the place of a line, its neighbour, when one of the two asks and somebody else answers in the other."""
    lines = list(lines)
    told = {source for line in lines if line.derived for source in line.memory.sources}
    found = {}
    for line in lines:
        beside = neighbours.get((line.place[0], _beside(line) or 0))
        if beside is None or beside.id in told:
            continue
        if _asks(beside) != _asks(line.memory) and _voice(beside) != _voice(line.memory):
            found[line.place] = Line(memory=beside, text=beside.text)
    return found


def compose(
    lines: Iterable[Line], beside: Mapping[Place, Line], *, budget: int, count: Count, form: Form
) -> Composed:
    """The best that there is room for, with what stands beside it, turns that follow each other in one passage.

    A line that has no room is left out, and shorter ones after it may have some. A text that would take more than
    half of the budget is cut there.

    Args:
        lines: best first.
        beside: for a line's place, what is shown with it when there is room for both.
        budget: tokens that the block may have, marks and all.
    """
    weighed = [_weighed(line, form, count, budget // 2) for line in lines]
    room = budget - count(form.block([]))
    kept: dict[Place, Line] = {}
    for line, cost in weighed:
        if cost > room:
            continue
        kept[line.place] = line
        room -= cost
        partner = beside.get(line.place)
        if (
            partner is not None
            and partner.place not in kept
            and (cost := _cost(partner, form, count)) <= room
        ):
            kept[partner.place] = partner
            room -= cost
    parts = passages(kept.values())
    while kept and count(form.block(parts)) > budget:  # tokens of lines may be fewer than those of the whole
        kept.popitem()
        parts = passages(kept.values())
    return _composed(
        form.block(parts),
        [line for part in parts for line in part],
        count,
        omitted=sum(line.place not in kept for line, _ in weighed),
    )


def passages(lines: Iterable[Line]) -> list[list[Line]]:
    """Lines that stand next to each other in a session together, in the order in which they were said."""
    homes = {line.place: [line] for line in lines}
    for place, line in [(home[0].place, home[0]) for home in homes.values()]:
        for ord_ in (line.before, line.after):
            own, other = homes[place], homes.get((place[0], ord_ or 0))
            if other is not None and other is not own:
                own.extend(other)
                homes.update((moved.place, own) for moved in other)
    joined = {id(home): home for home in homes.values()}
    return [sorted(home, key=lambda line: line.memory.place or 0) for home in joined.values()]


def profiled(
    lines: Iterable[Line], wanted: Sequence[str], *, budget: float, count: Count, form: Form
) -> tuple[dict[str, list[Line]], Composed]:
    """What there is room for, by category; each line once, under the first of its categories (that is wanted).

    Args:
        lines: the most important first; within a category they keep this order.
        wanted: categories, in the order in which they are shown; none: all that there are, by name.
        budget: tokens that the text may have, marks and all.
    """
    most = min(budget, 2**62) // 2
    weighed = [_weighed(line, form, count, int(most)) for line in lines]
    room = budget - count(form.sheet({}))
    kept: list[Line] = []
    shown: set[str] = set()
    for line, weight in weighed:
        name = _category(line.memory, wanted)
        cost = weight if name in shown else weight + count(f"{form.heading(name)}\n")
        if cost <= room:
            kept.append(line)
            shown.add(name)
            room -= cost
    while kept and count(form.sheet(_grouped(kept, wanted))) > budget:
        kept.pop()
    groups = _grouped(kept, wanted)
    return groups, _composed(form.sheet(groups), kept, count, omitted=len(weighed) - len(kept))


def _saying(memory: Memory) -> object:
    """Equal for what says the same: of the same people, and for turns, by the same voice."""
    scope = memory.scope
    voice = _voice(memory) if memory.kind == "turn" else None
    words = [word.strip(_SOFT) or word for word in normalize(memory.text).split()]
    return scope.tenant, scope.user_id, scope.agent_id, scope.app_id, memory.kind, voice, " ".join(words)


def _newest(group: Sequence[Line]) -> Line:
    shown = [line for line in group if line.derived] or group
    newest = max(shown, key=lambda line: line.memory.said_at)
    days = {day(line.memory) for line in shown} - {day(newest.memory)}
    return replace(newest, score=group[0].score, also=tuple(sorted(days, reverse=True)))


def _beside(line: Line) -> int | None:
    return line.after if _asks(line.memory) else line.before


def _asks(memory: Memory) -> bool:
    return memory.text.rstrip(" \t\n\"'”’»)*").endswith(("?", "？", "؟"))


def _voice(memory: Memory) -> tuple[str, str | None]:
    return memory.role, memory.speaker


def _cost(line: Line, form: Form, count: Count) -> int:
    return count(f"- {form.line(line)}\n")


def _weighed(line: Line, form: Form, count: Count, most: int) -> tuple[Line, int]:
    """The line with as many of its first words as have room (as it is, when not even one has), and its tokens."""
    whole = _cost(line, form, count)
    if whole <= most:
        return line, whole
    text = plain(line.text)[: most * 16]  # no token is longer, on average

    def cost(length: int) -> int:
        return _cost(replace(line, text=text[:length]), form, count)

    length = bisect_right(range(1, len(text)), most, key=cost)
    if not length:
        return line, whole
    shorter = replace(line, text=_whole_words(text, length))
    return shorter, _cost(shorter, form, count)


def _whole_words(text: str, length: int) -> str:
    """The first so many characters, without the word that ends in their middle."""
    end = max(text.rfind(blank, max(0, length - _LONGEST_WORD), length) for blank in " \n")
    return text[: end if end > 0 else length]


def _composed(text: str, lines: Sequence[Line], count: Count, *, omitted: int) -> Composed:
    if not lines:
        return Composed(text="", lines=(), tokens=0, omitted=omitted)
    return Composed(text=text, lines=tuple(lines), tokens=count(text), omitted=omitted)


def _category(memory: Memory, wanted: Sequence[str]) -> str:
    return next((name for name in memory.categories if not wanted or name in wanted), OTHER)


def _grouped(lines: Iterable[Line], wanted: Sequence[str]) -> dict[str, list[Line]]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(_category(line.memory, wanted), []).append(line)
    order = {name: place for place, name in enumerate(wanted)}
    names = sorted(groups, key=lambda name: (name == OTHER, order.get(name, len(order)), name))
    return {name: groups[name] for name in names}
