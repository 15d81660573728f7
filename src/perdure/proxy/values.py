"""What a chat completion is made of, where no client of a vendor brings types of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class Value(dict[str, Any]):
    """An object of JSON whose fields are attributes and items; those that it may have, and has not, are None."""

    def __init__(self, fields: Mapping[str, Any] | None = None, /) -> None:
        super().__init__({name: _value(name, field) for name, field in (fields or {}).items()})

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        if any(name in kind.__annotations__ for kind in type(self).__mro__ if issubclass(kind, Value)):
            return None
        raise AttributeError(f"{type(self).__name__} has no {name!r}, only {', '.join(self)}")

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """As plain dictionaries and lists."""
        return {
            name: _plain(value, exclude_none=exclude_none)
            for name, value in self.items()
            if not exclude_none or value is not None
        }

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """As JSON."""
        return json.dumps(self, indent=indent, ensure_ascii=False)

    to_dict = model_dump
    to_json = model_dump_json


class Function(Value):
    """A function that the model wants to be called."""

    name: str
    arguments: str


class ToolCall(Value):
    """A call of a tool; pieces of one have its `index`."""

    id: str
    type: str
    index: int
    function: Function


class Message(Value):
    """What the model says."""

    role: str
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | None
    function_call: Function | None


class Delta(Message):
    """A piece of what the model says."""


class Choice(Value):
    """One answer: `message`, or in a chunk of a stream `delta`."""

    index: int
    message: Message
    delta: Delta
    finish_reason: str | None
    logprobs: Any


class Usage(Value):
    """Tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Completion(Value):
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None
    system_fingerprint: str | None
    service_tier: str | None


class ChatCompletion(_Completion):
    """A whole answer."""


class ChatCompletionChunk(_Completion):
    """A piece of a streamed answer."""


_KINDS: Mapping[str, type[Value]] = {
    "choices": Choice,
    "message": Message,
    "delta": Delta,
    "tool_calls": ToolCall,
    "function": Function,
    "function_call": Function,
    "usage": Usage,
}


def _value(name: str, field: Any) -> Any:
    if isinstance(field, Mapping):
        return _KINDS.get(name, Value)(field)
    return [_value(name, item) for item in field] if isinstance(field, list) else field


def _plain(value: Any, *, exclude_none: bool) -> Any:
    if isinstance(value, Value):
        return value.model_dump(exclude_none=exclude_none)
    return [_plain(item, exclude_none=exclude_none) for item in value] if isinstance(value, list) else value
