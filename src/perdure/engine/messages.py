"""What a caller hands to `add`, made into turns, or refused with what to mend."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias, cast, get_args

from perdure.arguments import shown
from perdure.engine.recalled import without_recalled
from perdure.engine.redaction import Tally
from perdure.errors import InvalidInput, TooLarge
from perdure.ids import new_id
from perdure.moments import parse_moment
from perdure.ports import Redactor
from perdure.types import Origin, Scope, Turn

Message: TypeAlias = str | Mapping[str, Any]
Messages: TypeAlias = Message | Sequence[Message]

ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
    "tool": "tool",
    "function": "tool",
    "system": "system",
    "developer": "system",
}
"""Roles that are understood, and the one word that we use for each."""

IMAGE = "[image]"
"""The text of a message that is nothing but an image."""
_OF_ROLES: Final[Mapping[str, Origin]] = {"assistant": "assistant", "tool": "tool"}

MAX_DEPTH = 100
"""Lists and objects within each other; far below where Python's own recursion ends, in every thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """A message that was not stored, and why."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The messages of one `add`, normalised."""

    turns: tuple[Turn, ...]
    origins: tuple[Origin, ...]
    """Where each turn came from."""
    skipped: tuple[Skipped, ...]
    redacted: Mapping[str, int]
    """How many of each kind must not be stored, and are not."""


def hear(
    messages: Messages,
    scope: Scope,
    *,
    now: datetime,
    said_at: datetime,
    max_bytes: int,
    pictures: bool = False,
    redactors: Sequence[Redactor] = (),
) -> Heard:
    """Make turns of messages, without the memories that we put into them ourselves.

    Args:
        messages: a text, a message (`{"role", "content"}`, optionally `name`, `timestamp` and `origin`),
            or a list of them.
        scope: whose they are.
        now: when they are recorded.
        said_at: when they were said, for those without a `timestamp` of their own.
        pictures: keep a message that is nothing but an image, as `IMAGE`: somebody will look at it.
        max_bytes: the bound for one text, in UTF-8, and for the attachments of one message, as JSON.
        redactors: what they find is in no text, name or attachment any more.

    Raises:
        InvalidInput: something that is no message, an unknown role, or nothing at all to remember.
        TooLarge: a text over the bound, or what is not text (images, files) together over it.
    """
    turns: list[Turn] = []
    origins: list[Origin] = []
    tally = Tally(redactors)
    skipped: list[Skipped] = []
    for index, message in enumerate(_listed(messages)):
        where = f"messages[{index}]"
        said = _message(message, where)
        role = _role(said, where)
        origin = _origin(said, role, where)
        whole, attachments = _content(said.get("content"), where)
        text = _unrecalled(whole)
        if pictures and not whole.strip() and any(part.get("type") == "image_url" for part in attachments):
            text = IMAGE
        text = tally.text(bounded(clean(text, where), max_bytes, where))
        if role == "system":
            skipped.append(
                Skipped(index=index, reason="instructions to the model are not part of the conversation")
            )
        elif not text.strip():
            reason = "nothing but memories that were recalled" if whole.strip() else "no text"
            skipped.append(Skipped(index=index, reason=reason))
        else:
            origins.append(origin)
            turns.append(
                Turn(
                    id=new_id(),
                    scope=scope,
                    role=role,
                    text=text,
                    said_at=parse_moment(said["timestamp"]) if said.get("timestamp") is not None else said_at,
                    recorded_at=now,
                    speaker=tally.name(_speaker(said.get("name"), where)),
                    attachments=tuple(
                        tally.value(json_copy(list(attachments), f"{where}.content", max_bytes))
                    ),
                )
            )
    if not turns:
        reasons = "; ".join(f"messages[{s.index}]: {s.reason}" for s in skipped[:3]) or "the list is empty"
        raise InvalidInput(f"there is nothing to remember in messages ({reasons})")
    return Heard(
        turns=tuple(turns), origins=tuple(origins), skipped=tuple(skipped), redacted=dict(tally.found)
    )


def _unrecalled(text: str) -> str:
    """The text as it is, or what is left of it around recalled memories."""
    rest = without_recalled(text)
    return text if rest == text else rest.strip()


def clean(text: str, where: str) -> str:
    """The text as it is, if every store and every model can hold it.

    Raises:
        InvalidInput: a NUL or half a surrogate pair, and where it stands.
    """
    if "\0" in text:
        raise InvalidInput(
            f"{where} holds a NUL character at {text.index(chr(0))}: remove it, text.replace('\\0', '')"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{where} holds half a surrogate pair at {error.start}: "
            "repair it, text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
        ) from error
    return text


def bounded(text: str, max_bytes: int, where: str) -> str:
    """The text, unless it is over the bound (in UTF-8)."""
    size = len(text.encode()) if len(text) * 4 > max_bytes else 0
    if size > max_bytes:
        raise TooLarge(
            f"{where} is {size:,} bytes, over the bound of {max_bytes:,}: "
            "add it in parts, or raise settings.max_text_bytes"
        )
    return text


def json_copy(value: object, where: str, max_bytes: int) -> Any:
    """A copy of our own, if JSON holds the value without loss: the caller may go on changing theirs.

    Raises:
        InvalidInput: it would not come back from JSON as it is, or lists and objects stand too deep in each other.
        TooLarge: it is over the bound (as JSON in UTF-8).
    """
    _weigh(value, where, max_bytes)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{where} holds something that JSON cannot: {error}") from error
    if len(clean(text, where).encode()) > max_bytes:
        raise _too_large(where, max_bytes)
    copy = json.loads(text)
    if copy != value:
        raise InvalidInput(
            f"{where} would not come back as it is: use texts as keys, and lists instead of tuples"
        )
    return copy


def _weigh(value: object, where: str, max_bytes: int) -> None:
    """Refuse what is too deep or too large before JSON is made of it, which may be without end."""
    size, rest = 0, [(value, 0)]
    while rest:  # the innermost first, so that a circle ends at the greatest depth
        item, depth = rest.pop()
        if depth > MAX_DEPTH:
            raise InvalidInput(
                f"{where} nests more than {MAX_DEPTH} lists and objects in each other, perhaps in a circle"
            )
        size += 1 + (len(item) if isinstance(item, str) else 0)
        if size > max_bytes:
            raise _too_large(where, max_bytes)
        if isinstance(item, Mapping):
            rest += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, (list, tuple)):
            rest += [(part, depth + 1) for part in item]
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:  # databases keep those inexactly
            raise InvalidInput(f"{where} holds an integer beyond 64 bits: give it as a text")


def _too_large(where: str, max_bytes: int) -> TooLarge:
    return TooLarge(
        f"{where} is over the bound of {max_bytes:,} bytes as JSON: "
        "keep large files elsewhere and a reference here, or raise the bound in settings"
    )


def _listed(messages: Messages) -> Sequence[Message]:
    if isinstance(messages, (str, Mapping)):
        return [messages]
    if isinstance(messages, Sequence):
        return messages
    raise InvalidInput(
        f"messages is a {type(messages).__name__}: give a text, a message like "
        "{'role': 'user', 'content': '...'}, or a list of them"
    )


def _message(message: object, where: str) -> Mapping[str, Any]:
    if isinstance(message, str):
        return {"role": "user", "content": message}
    if isinstance(message, Mapping):
        return message
    raise InvalidInput(
        f"{where} is a {type(message).__name__}: give a text or {{'role': ..., 'content': ...}}"
    )


def _role(message: Mapping[str, Any], where: str) -> str:
    role = message.get("role", "user")
    known = ROLES.get(role.lower()) if isinstance(role, str) else None
    if known is None:
        raise InvalidInput(f"{where} has the role {shown(role)}: roles are user, assistant, tool and system; "
                           "who speaks goes into 'name'")  # fmt: skip
    return known


def _origin(message: Mapping[str, Any], role: str, where: str) -> Origin:
    """Where a message says that it comes from; else from whom its role names."""
    given = message.get("origin")
    if given is None:
        return _OF_ROLES.get(role, "user")
    if given not in get_args(Origin):
        raise InvalidInput(f"{where} has the origin {given!r}: origins are {', '.join(get_args(Origin))}")
    return cast("Origin", given)


def _speaker(name: object, where: str) -> str | None:
    if name is None or (isinstance(name, str) and not name.strip()):
        return None
    if isinstance(name, str) and len(name) <= 256:
        return clean(name.strip(), f"{where}.name")
    raise InvalidInput(f"{where} has a name that is not a text of at most 256 characters")


def _content(content: object, where: str) -> tuple[str, tuple[Mapping[str, Any], ...]]:
    """Text, and what is not text, of a message's content: a text, a list of parts, or None."""
    if content is None:
        return "", ()
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, Sequence) or not all(isinstance(part, (str, Mapping)) for part in content):
        raise InvalidInput(f"{where} has a content that is neither a text nor a list of parts like "
                           "{'type': 'text', 'text': '...'}")  # fmt: skip
    texts = [part if isinstance(part, str) else part.get("text") for part in content]
    others = tuple(
        part for part in content if isinstance(part, Mapping) and not isinstance(part.get("text"), str)
    )
    return "\n".join(text for text in texts if isinstance(text, str)), others
