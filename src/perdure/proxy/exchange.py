"""What of a chat is asked of the memory, goes into it, and comes back with memories in it: decided purely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from perdure.engine.recalled import marked, without_recalled

QUESTION: Final = 300
"""Characters that are searched for; of a longer message those at both ends, where a question stands."""
BRIEF: Final = 25
"""A message with fewer characters ("Yes, please") says little without the one before it."""
BEFORE: Final = 150
"""So many characters of the message before a brief one are searched for besides."""


def part(value: Any, name: str) -> Any:
    """A field of a message or an answer, which may be a dictionary or a client's own object; None: it has none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def question(messages: Sequence[Any]) -> str:
    """What the messages ask of the memory; empty when there is nothing to ask, or memories are there already.

    That is the last message of the user, and where it is brief, the end of what was said right before it.
    """
    place = _last_user(messages)
    if place is None or marked(text_of(messages[place])):
        return ""
    asked = _sayable(text_of(messages[place]))
    if not asked:
        return ""
    if len(asked) < BRIEF and place and part(messages[place - 1], "role") in ("user", "assistant"):
        before = _sayable(without_recalled(text_of(messages[place - 1])))
        return f"{before[-BEFORE:]}\n{asked}".strip()
    half = QUESTION // 2
    return asked if len(asked) <= QUESTION else f"{asked[:half]} … {asked[-half:]}"


def with_memories(messages: Sequence[Any], block: str) -> list[Any]:
    """The messages with a block of memories before what the user said last; those given are left as they are."""
    made, place = list(messages), _last_user(messages)
    if block and place is not None:
        message = messages[place]
        content = part(message, "content")
        told = (
            f"{block}\n\n{content}"
            if isinstance(content, str)
            else [{"type": "text", "text": block}, *content]
        )
        made[place] = {**_as_dict(message), "content": told}
    return made


def said(messages: Sequence[Any]) -> list[dict[str, Any]]:
    """What the user said since the last answer, as the memory takes it; what was answered before is there already."""
    new: list[dict[str, Any]] = []
    for message in reversed(messages):
        role = part(message, "role")
        if role == "assistant":
            break
        if role == "user" and text_of(message).strip():
            name = part(message, "name")
            new.append({"role": "user", "content": _as_said(message), **({"name": name} if name else {})})
    return new[::-1]


def answered(completion: Any) -> str:
    """The text of an answer, of its first choice; empty for one that only calls tools, or refuses."""
    return _first(completion, "message")


def piece(chunk: Any) -> str:
    """The text in a piece of a streamed answer, of its first choice."""
    return _first(chunk, "delta")


def text_of(message: Any) -> str:
    """The text of a message, whose content may be a text or a list of parts."""
    content = part(message, "content")
    if isinstance(content, str):
        return content
    texts = [part(one, "text") for one in content] if isinstance(content, Sequence) else []
    return "\n".join(text for text in texts if isinstance(text, str))


def _first(completion: Any, where: str) -> str:
    choices = part(completion, "choices")
    for choice in choices if isinstance(choices, Sequence) else ():
        if not part(choice, "index"):
            return text_of(part(choice, where))
    return ""


def _last_user(messages: Sequence[Any]) -> int | None:
    """The place of the user's last message that has a content."""
    places = range(len(messages) - 1, -1, -1)
    return next(
        (n for n in places if part(messages[n], "role") == "user" and _has_content(messages[n])), None
    )


def _has_content(message: Any) -> bool:
    content = part(message, "content")
    return isinstance(content, (str, list, tuple)) and bool(content)


def _sayable(text: str) -> str:
    """The text without what no search takes: a NUL, and halves of surrogate pairs."""
    return text.replace("\0", " ").encode(errors="replace").decode().strip()


def _as_said(message: Any) -> Any:
    content = part(message, "content")
    if isinstance(content, str):
        return content
    return [one if isinstance(one, str) else _as_dict(one) for one in content]


def _as_dict(message: Any) -> dict[str, Any]:
    if isinstance(message, Mapping):
        return dict(message)
    dumped: dict[str, Any] = message.model_dump(exclude_none=True)
    return dumped
