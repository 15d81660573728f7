"""Plays a dialogue on a real memory over a real server of models, and tells what is not as expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from difflib import ndiff
from typing import Any, Protocol

from perdure.moments import iso, parse_moment
from perdure.testing.dialogues.model import ScriptedModel
from perdure.testing.dialogues.script import RECALLED, Dialogue, Expected, Held, Step
from perdure.testing.fakes import Clock
from perdure.testing.models import ModelServer

MOST = 10_000
"""Memories that are listed."""


class Verbs(Protocol):
    """The verbs that a dialogue uses; a `perdure.Memory` has them."""

    @property
    def add(self) -> Callable[..., Any]: ...  # noqa: D102  # a verb's own documentation says what it does
    @property
    def get(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def get_all(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def search(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def context(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def delete(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def erase(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def pending(self) -> Callable[..., Any]: ...  # noqa: D102
    @property
    def doctor(self) -> Callable[..., Any]: ...  # noqa: D102


def play(dialogue: Dialogue, opened: Callable[[str, Clock], AbstractContextManager[Verbs]]) -> None:
    """Say all that is said in a dialogue, and compare.

    Args:
        opened: opens an empty memory, given the base URL of a model (it speaks as OpenAI does) and the clock to go by.

    Raises:
        AssertionError: what is not as expected, line by line.
    """
    clock = Clock(now=dialogue.steps[0].at)
    with ModelServer(ScriptedModel(dialogue)) as server, opened(server.openai, clock) as memory:
        wrong = []
        for number, step in enumerate(dialogue.steps, 1):
            clock.now = max(clock.now, step.at)
            wrong += [f"step {number}, {line}" for line in _done(memory, step, step.scope or dialogue.scope)]
        for expected in dialogue.expect:
            wrong += _unlike(memory, expected, expected.scope or dialogue.scope)
        wrong += _differs("problems", [], memory.doctor()["problems"])
    if wrong:
        raise AssertionError("\n".join([f"{dialogue.theme}: {dialogue.name}", *wrong]))


def _done(memory: Verbs, step: Step, scope: Mapping[str, str]) -> list[str]:
    """Do what a step says; what is wrong with its receipt."""
    if step.delete or step.erase:
        named = _named(memory, step.delete or step.erase, scope)
        (memory.delete if step.delete else memory.erase)(named)
        return []
    added = memory.add(
        _messages(memory, step, scope),
        timestamp=step.at,
        expiration_date=step.expires,
        categories=list(step.categories) or None,
        **scope,
    )
    return _receipt(step, added)


def _receipt(step: Step, added: Mapping[str, Any]) -> list[str]:
    results, reasons = added["results"], [str(result.get("reason", "")) for result in added["results"]]
    wrong = []
    if step.events is not None and [result["event"] for result in results] != list(step.events):
        told = [f"{r['event']}  {r['memory']}  {r.get('reason', '')}".rstrip() for r in results]
        wrong += [
            "events:",
            *(f"  wanted {event}" for event in step.events),
            *(f"  found  {t}" for t in told),
        ]
    for part in step.reasons:
        if not any(part in reason for reason in reasons):
            wrong += [f"no reason has {part!r}:", *(f"  found  {reason}" for reason in reasons)]
    pending = added["receipt"]["pending"]
    if bool(pending) != step.pending:
        wrong.append(f"pending: wanted {'something' if step.pending else 'nothing'}, found {pending}")
    return wrong


def _messages(memory: Verbs, step: Step, scope: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is said, with the memories that were recalled for it."""
    block = memory.context(step.recall, threshold=0.0, **scope)["context"] if step.recall else ""
    return [{**message, "content": message["content"].replace(RECALLED, block)} for message in step.said]


def _named(memory: Verbs, text: str, scope: Mapping[str, str]) -> str:
    listed = memory.get_all(limit=MOST, show_all=True, show_superseded=True, **scope)["results"]
    return next(str(result["id"]) for result in listed if result["memory"] == text)


def _unlike(memory: Verbs, expected: Expected, scope: Mapping[str, str]) -> list[str]:
    """How what is known differs from what is expected."""
    times = {"as_of": expected.as_of, "known_at": expected.known_at}
    title = ", ".join(f"{name} {value}" for name, value in {**scope, **times}.items() if value)
    now = memory.get_all(limit=MOST, **times, **scope)["results"]
    ever = memory.get_all(limit=MOST, show_superseded=True, **times, **scope)["results"]
    wrong = _compared(memory, f"current ({title})", expected.current, now)
    if expected.as_of is None:
        known = {result["id"] for result in now}
        wrong += _compared(
            memory, f"past ({title})", expected.past, [r for r in ever if r["id"] not in known]
        )
    for words in expected.forbidden:
        found = [
            result["memory"] for result in (*now, *ever) if words.casefold() in result["memory"].casefold()
        ]
        wrong += _differs(f"with {words!r} ({title})", [], dict.fromkeys(found))
    for question, answer in expected.finds.items():
        hits = [hit["memory"] for hit in memory.search(question, threshold=0.0, **times, **scope)["results"]]
        if answer not in hits:
            wrong += _differs(f"found for {question!r} ({title})", [answer], hits)
    return wrong


def _compared(
    memory: Verbs, title: str, wanted: Iterable[Held], found: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Compare memories as lines; of each, the fields that are expected of the one with its text."""
    looks = {held.text: held for held in wanted}
    lines = [_line(_seen(memory, result, looks.get(result["memory"]))) for result in found]
    return _differs(title, sorted(_line(_wanted(held)) for held in wanted), sorted(lines))


def _wanted(held: Held) -> dict[str, Any]:
    fields = {name: value for name, value in vars(held).items() if value is not None}
    for name in ("since", "until"):
        if name in fields:
            fields[name] = None if fields[name] == "never" else iso(parse_moment(fields[name]))
    return fields


def _seen(memory: Verbs, result: Mapping[str, Any], held: Held | None) -> dict[str, Any]:
    """What is looked at of a memory, in the words of what is expected where it is the same."""
    if held is None:
        return {"text": result["memory"]}
    seen = {
        "text": result["memory"],
        "since": result["valid_from"],
        "until": result["valid_to"],
        "expires": result["expiration_date"],
        "speaker": result["actor_id"],
        "origin": result["origin"],
        "categories": tuple(result["categories"]),
    }
    if held.said is not None:
        texts = [source["text"] for source in memory.get(result["id"])["sources"]]
        parts = [*held.said, *[None] * len(texts)]
        seen["said"] = tuple(
            part if part and part in text else text for part, text in zip(parts, texts, strict=False)
        )
    return {name: seen[name] for name in vars(held) if vars(held)[name] is not None}


def _line(fields: Mapping[str, Any]) -> str:
    rest = ", ".join(f"{name}={value!r}" for name, value in sorted(fields.items()) if name != "text")
    return f"{fields['text']}  [{rest}]" if rest else str(fields["text"])


def _differs(title: str, wanted: Iterable[str], found: Iterable[str]) -> list[str]:
    """The lines that are missing (-) and those that are too many (+); nothing, when they are the same."""
    wanted, found = list(wanted), list(found)
    if wanted == found:
        return []
    lines = (line for line in ndiff(wanted, found) if not line.startswith("?"))
    return [f"{title}:", *(f"  {line}" for line in lines)]
