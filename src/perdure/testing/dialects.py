"""How three vendors' interfaces put the same things: a prompt, an answer, an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

Body: TypeAlias = Mapping[str, Any]
Finish: TypeAlias = Literal["stop", "length", "refusal"]
Usage: TypeAlias = tuple[int, int, int]
"""Tokens of the input, those of them that were cached, and tokens of the output."""


class Told(NamedTuple):
    """What a request holds, whoever's it is."""

    instructions: str
    content: str
    images: tuple[Body, ...]
    schema: Body | None


class Dialect(NamedTuple):
    """One vendor's interface."""

    name: Literal["openai", "anthropic", "gemini"]
    path: str
    """How the paths end at which it is spoken."""
    told: Callable[[Body], Told]
    reply: Callable[[str, Finish, Body, Usage], dict[str, Any]]
    error: Callable[[int, str, str | None], dict[str, Any]]


def _openai_told(body: Body) -> Told:
    said = {"system": "", "user": ""}
    images: list[Body] = []
    for message in body.get("messages", ()):
        texts, others = _parts(message.get("content") or "")
        said[message["role"]] = "\n".join(filter(None, (said.get(message["role"]), texts)))
        images += others
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    return Told(said["system"], said["user"], tuple(images), schema)


def _openai_reply(text: str, finish: Finish, body: Body, usage: Usage) -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None}
    if finish == "refusal":
        message |= {"content": None, "refusal": text or "I cannot help with that."}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": [
            {"index": 0, "message": message, "finish_reason": "length" if finish == "length" else "stop"}
        ],
        "usage": {
            "prompt_tokens": usage[0],
            "completion_tokens": usage[2],
            "total_tokens": usage[0] + usage[2],
            "prompt_tokens_details": {"cached_tokens": usage[1]},
        },
    }


def openai_tool_calls(calls: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Calls of functions, each a name and its arguments as JSON, as OpenAI puts them."""
    return [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (name, arguments) in enumerate(calls)
    ]


def openai_chunks(
    pieces: Sequence[str], calls: Sequence[tuple[str, str]], body: Body, usage: Usage
) -> Iterator[dict[str, Any]]:
    """An answer as OpenAI streams it: who speaks, the text in pieces, calls of functions in halves, and how it ends."""
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": piece}, None) for piece in pieces]
    for place, call in enumerate(openai_tool_calls(calls)):
        arguments = call["function"]["arguments"]
        half = len(arguments) // 2
        begun = {**call, "index": place, "function": {**call["function"], "arguments": arguments[:half]}}
        rest = {"index": place, "function": {"arguments": arguments[half:]}}
        deltas += [({"tool_calls": [begun]}, None), ({"tool_calls": [rest]}, None)]
    deltas.append(({}, "tool_calls" if calls else "stop"))
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
    for delta, finish in deltas:
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if body.get("stream_options", {}).get("include_usage"):
        told = {"prompt_tokens": usage[0], "completion_tokens": usage[2], "total_tokens": usage[0] + usage[2]}
        yield {**head, "choices": [], "usage": told}


def _openai_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _anthropic_told(body: Body) -> Told:
    system, _ = _parts(body.get("system", ""))
    content, images = _parts(body["messages"][0]["content"])
    tools = body.get("tools") or [{}]
    schema = tools[0].get("input_schema") or body.get("output_config", {}).get("format", {}).get("schema")
    return Told(system, content, images, schema)


def _anthropic_reply(text: str, finish: Finish, body: Body, usage: Usage) -> dict[str, Any]:
    tool = body.get("tools")
    block = {"type": "text", "text": text}
    if tool and finish == "stop":
        block = {"type": "tool_use", "id": "toolu_1", "name": tool[0]["name"], "input": json.loads(text)}
    stops = {"stop": "tool_use" if tool else "end_turn", "length": "max_tokens", "refusal": "refusal"}
    return {
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [] if finish == "refusal" else [block],
        "stop_reason": stops[finish],
        "usage": {
            "input_tokens": usage[0] - usage[1],
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": usage[1],
            "output_tokens": usage[2],
        },
    }


def _anthropic_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    kind = code or ("overloaded_error" if status == 529 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def _gemini_told(body: Body) -> Told:
    instructions, _ = _parts(body.get("systemInstruction", {}).get("parts", ""))
    content, images = _parts(body["contents"][0]["parts"])
    return Told(instructions, content, images, body.get("generationConfig", {}).get("responseJsonSchema"))


def _gemini_reply(text: str, finish: Finish, _: Body, usage: Usage) -> dict[str, Any]:
    reasons = {"stop": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"}
    candidate: dict[str, Any] = {"index": 0, "finishReason": reasons[finish]}
    if finish != "refusal":
        candidate["content"] = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": usage[0],
            "cachedContentTokenCount": usage[1],
            "candidatesTokenCount": usage[2],
            "totalTokenCount": usage[0] + usage[2],
        },
    }


def _gemini_error(status: int, message: str, code: str | None) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": code or "INVALID_ARGUMENT"}}


def _parts(content: str | list[Body]) -> tuple[str, tuple[Body, ...]]:
    """The texts of a message, and its other parts."""
    if isinstance(content, str):
        return content, ()
    texts = [part["text"] for part in content if "text" in part]
    return "\n".join(texts), tuple(part for part in content if "text" not in part)


DIALECTS = (
    Dialect("openai", "/chat/completions", _openai_told, _openai_reply, _openai_error),
    Dialect("anthropic", "/messages", _anthropic_told, _anthropic_reply, _anthropic_error),
    Dialect("gemini", ":generateContent", _gemini_told, _gemini_reply, _gemini_error),
)
