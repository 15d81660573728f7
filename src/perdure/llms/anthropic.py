"""Claude, by Anthropic's Messages interface."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from perdure.http import Part, dig
from perdure.llms.images import image_of
from perdure.llms.model import Form, HttpModel, count, told
from perdure.ports import Completion, Prompt

VERSION = "2023-06-01"
"""Of the interface; the only one there is."""
TOOL = "answer"
"""The tool whose input is the answer."""
TOOL_NAMED = r"tool|input_schema"
FORMAT_NAMED = r"output_config|output_format|schema|structured"
CUT = ("max_tokens", "model_context_window_exceeded")


@dataclass(frozen=True, kw_only=True)
class AnthropicModel(HttpModel):
    """A model behind `{base_url}/messages`, or `{base_url}/v1/messages` where the version is not in the `base_url`.

    Without `api_key`, `ANTHROPIC_API_KEY` is used, but only for Anthropic itself. The instructions are marked for the
    prompt cache. A schema is a tool that the model has to use; a model that cannot be made to use one is asked for
    its structured output, and one that has none is told the schema in words. What was refused is remembered.
    """

    base_url: str = "https://api.anthropic.com/v1"
    """Where the provider is."""
    json: Literal["auto", "tool", "schema", "text"] = "auto"
    """How a schema is told; tool: as the input of one, schema: as structured output, text: in words."""

    TITLE: ClassVar[str] = "Anthropic"
    HOME: ClassVar[str] = "https://api.anthropic.com/v1"
    KEYS: ClassVar[tuple[str, ...]] = ("ANTHROPIC_API_KEY",)
    FORMS: ClassVar[tuple[Form, ...]] = ("tool", "schema", "text")

    def _path(self) -> str:
        # Anthropic's own packages count the version to the path, others to the place
        return "/messages" if self.base_url.rstrip("/").endswith("/v1") else "/v1/messages"

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def _body(self, prompt: Prompt, form: Form | None) -> dict[str, Any]:
        content = [{"type": "text", "text": told(prompt, form)}, *map(_image, prompt.images)]
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self._limit(prompt),
            "messages": [{"role": "user", "content": content}],
        }
        if prompt.instructions:
            cached = {"type": "text", "text": prompt.instructions, "cache_control": {"type": "ephemeral"}}
            body["system"] = [cached]
        return body

    def _parts(self, prompt: Prompt) -> list[Part]:
        form = self._form(prompt)
        if form == "tool":
            tool = {"name": TOOL, "description": "Give the answer.", "input_schema": prompt.schema}
            fields = {"tools": [tool], "tool_choice": {"type": "tool", "name": TOOL}}
            return [*self._temperature(), self._format(prompt, form, fields, TOOL_NAMED)]
        if form == "schema":
            format_ = {"type": "json_schema", "schema": prompt.schema}
            fields = {"output_config": {"format": format_}}
            return [*self._temperature(), self._format(prompt, form, fields, FORMAT_NAMED)]
        return self._temperature()

    def _completion(self, body: Mapping[str, Any]) -> Completion:
        stop = body.get("stop_reason")
        if stop == "refusal":
            raise self._declined(stop)
        blocks = body.get("content")
        if not isinstance(blocks, list):
            raise self._empty()
        usage = body.get("usage")
        cached = count(dig(usage, "cache_read_input_tokens"))
        fresh = count(
            dig(usage, "input_tokens")
        )  # what went into the cache or came out of it is not among them
        written = count(dig(usage, "cache_creation_input_tokens"))
        return Completion(
            text=_text(blocks),
            cut=stop in CUT,
            input_tokens=None if fresh is None else fresh + (cached or 0) + (written or 0),
            cached_tokens=cached,
            output_tokens=count(dig(usage, "output_tokens")),
        )


def _text(blocks: list[Any]) -> str:
    """The tool's input, else the texts; thinking is neither."""
    for block in blocks:
        if dig(block, "type") == "tool_use" and dig(block, "name") == TOOL:
            return json.dumps(dig(block, "input"), ensure_ascii=False)
    return "".join(block["text"] for block in blocks if isinstance(dig(block, "text"), str))


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(part)
    if image is None:
        return dict(part)
    if image.data is None:
        return {"type": "image", "source": {"type": "url", "url": image.url}}
    source = {"type": "base64", "media_type": image.media_type, "data": image.data}
    return {"type": "image", "source": source}
