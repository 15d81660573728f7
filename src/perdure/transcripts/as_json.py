"""Transcripts in JSON: messages in a list or one a line, and ChatGPT's export with its tree of branches."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from perdure.arguments import shown
from perdure.engine.messages import ROLES
from perdure.errors import InvalidInput
from perdure.moments import parse_moment
from perdure.transcripts.values import LeftOut, Message, Reading, Session

MESSAGES_FORM = 'messages like {"role": "user", "content": "..."}, in a list or one a line'

_BETWEEN = re.compile(r"[^\s,]")


class Item(NamedTuple):
    """One value of a list or of JSON lines, and where it stands."""

    line: int
    number: int
    value: Any

    @property
    def where(self) -> str:
        """As in `line 3 (item 2)`."""
        return f"line {self.line} (item {self.number})"


def items(text: str) -> Iterator[Item]:
    """The values of a JSON list, or JSON values one after the other.

    Raises:
        InvalidInput: something that is not JSON, and its line.
    """
    listed = text.lstrip().startswith("[")
    at = text.index("[") + 1 if listed else 0
    line, number, seen, decoder = 1, 0, 0, json.JSONDecoder()
    while True:
        found = _BETWEEN.search(text, at)
        at = found.start() if found else len(text)
        line, seen = line + text.count("\n", seen, at), at
        if listed and text.startswith("]", at):
            if rest := _BETWEEN.search(text, at + 1):
                raise InvalidInput(
                    f"line {line}: {shown(rest[0])} follows the end of the JSON list; expected nothing"
                )
            return
        if at == len(text) and not listed:
            return
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise InvalidInput(
                f"line {error.lineno}: not JSON ({error.msg}); expected {MESSAGES_FORM}"
            ) from None
        except ValueError as error:  # a number of thousands of digits
            raise InvalidInput(f"line {line}: {error}; expected {MESSAGES_FORM}") from None
        except RecursionError:
            raise InvalidInput(f"line {line}: JSON nested too deeply; expected {MESSAGES_FORM}") from None
        number += 1
        yield Item(line, number, value)


def read_messages(listed: Iterable[Item], reading: Reading) -> Iterator[Session]:
    """An item with `messages` of its own is a session; all others are messages of one more."""
    loose: list[Message] = []
    for item in listed:
        inner = item.value.get("messages") if isinstance(item.value, Mapping) else None
        if inner is None:
            loose.append(_message(item.value, item.where, reading.zone))
        elif isinstance(inner, list):
            told = (_message(m, f"{item.where}, messages[{i}]", reading.zone) for i, m in enumerate(inner))
            yield Session(
                messages=tuple(told),
                id=_text(item.value, "id", "session_id", "conversation_id"),
                title=_text(item.value, "title"),
            )
        else:
            raise InvalidInput(f"{item.where}: messages is no list; expected {MESSAGES_FORM}")
    if loose:
        yield Session(messages=tuple(loose))


def read_conversation(item: Item, left_out: list[LeftOut]) -> Session:
    """One conversation of ChatGPT's export: the branch that its user saw last.

    What is hidden, said by the system or exchanged with tools goes to `left_out`.
    """
    value = item.value
    nodes = value.get("mapping") if isinstance(value, Mapping) else None
    if not isinstance(nodes, Mapping):
        raise InvalidInput(
            f"{item.where}: no conversation; expected an object with 'mapping' and 'current_node'"
        )
    told = value.get("create_time")
    messages: list[Message] = []
    for node in _branch(nodes, value.get("current_node"), item.where):
        said = node.get("message")
        if not isinstance(said, Mapping):  # the root has none
            continue
        if reason := _unsaid(said):
            left_out.append(LeftOut(item.line, reason))
            continue
        told = said.get("create_time") or told
        message = Message(role=said["author"]["role"], content=_said(said["content"]["parts"]))
        if told is not None:
            message["timestamp"] = _zoned(told, item.where, UTC)
        messages.append(message)
    return Session(
        messages=tuple(messages), id=_text(value, "conversation_id", "id"), title=_text(value, "title")
    )


def _message(value: object, where: str, zone: tzinfo) -> Message:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{where}: a {type(value).__name__}; expected {MESSAGES_FORM}")
    role, name = value.get("role"), value.get("name")
    if not isinstance(role, str) or role.lower() not in ROLES:
        told = "no role" if role is None else f"the role {shown(role)}"
        raise InvalidInput(f"{where}: {told}; expected one of {', '.join(ROLES)}")
    if name is not None and not isinstance(name, str):
        raise InvalidInput(f"{where}: a name that is a {type(name).__name__}; expected a text")
    message = Message(role=role, content=_content(value.get("content"), where))
    if name:
        message["name"] = name
    stamps = (value.get(key) for key in ("timestamp", "created_at", "create_time"))
    if (stamp := next((stamp for stamp in stamps if stamp is not None), None)) is not None:
        message["timestamp"] = _zoned(stamp, where, zone)
    return message


def _content(content: object, where: str) -> str | list[dict[str, Any]]:
    if content is None or isinstance(content, str):  # None: a message that only calls tools
        return content or ""
    if isinstance(content, list) and all(isinstance(part, (str, Mapping)) for part in content):
        return _parts(content)
    raise InvalidInput(
        f"{where}: the content is a {type(content).__name__}; "
        'expected a text or a list of parts like {"type": "text", "text": "..."}'
    )


def _parts(content: Iterable[str | Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": part} if isinstance(part, str) else dict(part) for part in content]


def _zoned(stamp: object, where: str, zone: tzinfo) -> str:
    """A JSON timestamp as ISO 8601; one without an offset is of `zone`."""
    try:
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else parse_moment(stamp)
    except ValueError:
        raise InvalidInput(
            f"{where}: the timestamp {str(stamp)[:40]!r} is no moment; expected ISO 8601 or seconds since 1970"
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat()


def _text(value: Mapping[str, Any], *keys: str) -> str | None:
    return next(
        (str(value[key]) for key in keys if isinstance(value.get(key), (str, int)) and value[key] != ""), None
    )


def _branch(nodes: Mapping[str, Any], current: object, where: str) -> list[Mapping[str, Any]]:
    """The nodes from the root to the current one; without one named, to the only leaf."""
    if current is None:
        leaves = [
            key for key, node in nodes.items() if isinstance(node, Mapping) and not node.get("children")
        ]
        if len(leaves) != 1:
            raise InvalidInput(
                f"{where}: {len(leaves)} branches; expected 'current_node' to name the last message"
            )
        current = leaves[0]
    path: dict[object, Mapping[str, Any]] = {}
    while current is not None:
        node = nodes.get(str(current))
        if not isinstance(node, Mapping) or current in path:
            raise InvalidInput(
                f"{where}: the node {str(current)[:40]!r} is missing or its own ancestor; expected a tree in 'mapping'"
            )
        path[current] = node
        current = node.get("parent")
    return list(reversed(path.values()))


def _unsaid(said: Mapping[str, Any]) -> str | None:
    """Why a message of ChatGPT's export is not part of the talk; None when it is."""
    author, content, notes = said.get("author"), said.get("content"), said.get("metadata") or {}
    role = author.get("role") if isinstance(author, Mapping) else None
    if role not in ("user", "assistant"):
        return f"a message of the role {shown(role)}"
    if notes.get("is_visually_hidden_from_conversation") or notes.get("is_user_system_message"):
        return "hidden from the conversation"
    if said.get("recipient") not in (None, "all"):
        return "addressed to a tool"
    kind = content.get("content_type") if isinstance(content, Mapping) else None
    if not isinstance(content, Mapping) or kind not in ("text", "multimodal_text"):
        return f"a content of the type {shown(kind)}"
    parts = content.get("parts")
    return None if isinstance(parts, list) and any(parts) else "no text"


def _said(parts: Sequence[Any]) -> str | list[dict[str, Any]]:
    """The text of a message, or its parts when some are not text."""
    if all(isinstance(part, str) for part in parts):
        return "\n".join(parts)
    return _parts(part for part in parts if isinstance(part, (str, Mapping)) and part)
