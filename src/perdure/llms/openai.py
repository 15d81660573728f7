"""Chat completions as OpenAI made them, and as Azure, Ollama, vLLM and many others serve them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from perdure.http import Part, dig, parameter
from perdure.llms.model import Form, HttpModel, count, told
from perdure.ports import Completion, Prompt

FORMAT_NAMED = r"response_format|json_schema|json_object|json mode|structured|guided|grammar"
"""How refusals name the format of an answer."""
LIMITS = ("max_completion_tokens", "max_tokens")
"""Two names of one thing: OpenAI's newer models refuse the second, most other servers do not know the first."""


@dataclass(frozen=True, kw_only=True)
class OpenAIModel(HttpModel):
    """A model behind `{base_url}/chat/completions`.

    No model is chosen for you: what is good and what it costs changes faster than this package. Without `api_key`,
    `OPENAI_API_KEY` is used, but only for OpenAI itself: no other `base_url` ever gets that key.

    What a server does not know is left out and remembered: `temperature`, the name of the limit, and the way in which
    a schema is told (`json`), which falls back from the schema to "a JSON object" to words in the prompt.
    """

    base_url: str = "https://api.openai.com/v1"
    """Such as `http://localhost:11434/v1` for Ollama; for Azure, up to and with the name of the deployment."""
    json: Literal["auto", "schema", "object", "text"] = "auto"
    """How a schema is told; object: as "some JSON object", with the schema in words; text: in words alone."""
    azure_api_version: str | None = None
    """For Azure, such as `2024-10-21`: it goes into the URL, and the key into the header `api-key`."""

    TITLE: ClassVar[str] = "OpenAI"
    HOME: ClassVar[str] = "https://api.openai.com/v1"
    KEYS: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)

    def _path(self) -> str:
        version = self.azure_api_version
        return "/chat/completions" + (f"?api-version={quote(version)}" if version else "")

    def _headers(self) -> dict[str, str]:
        if (key := self._key()) is None:
            return {}
        return {"api-key": key} if self.azure_api_version else {"Authorization": f"Bearer {key}"}

    def _body(self, prompt: Prompt, form: Form | None) -> dict[str, Any]:
        content: Any = told(prompt, form)
        if prompt.images:
            content = [{"type": "text", "text": content}, *map(dict, prompt.images)]
        system = [{"role": "system", "content": prompt.instructions}] if prompt.instructions else []
        return {"model": self.model, "messages": [*system, {"role": "user", "content": content}]}

    def _parts(self, prompt: Prompt) -> list[Part]:
        names = LIMITS if self._is_home or self.azure_api_version else LIMITS[::-1]
        limits = self._known([parameter(name, self._limit(prompt)) for name in names])
        return [*self._temperature(), *limits[:1], *self._response_format(prompt)]

    def _response_format(self, prompt: Prompt) -> list[Part]:
        form = self._form(prompt)
        if form == "schema" and prompt.schema is not None:
            schema = {"name": "answer", "schema": prompt.schema, "strict": is_strict(prompt.schema)}
            format_: dict[str, Any] = {"type": "json_schema", "json_schema": schema}
        elif form == "object":
            format_ = {"type": "json_object"}
        else:
            return []
        return [self._format(prompt, form, {"response_format": format_}, FORMAT_NAMED)]

    def _completion(self, body: Mapping[str, Any]) -> Completion:
        message = dig(body, "choices", 0, "message")
        if not isinstance(message, dict):
            raise self._empty()
        finish = dig(body, "choices", 0, "finish_reason")
        if message.get("refusal") or finish == "content_filter":
            raise self._declined(finish if finish == "content_filter" else "refusal")
        usage = body.get("usage")
        cached = dig(usage, "prompt_tokens_details", "cached_tokens")
        return Completion(
            text=_text(message.get("content")),
            cut=finish == "length",
            input_tokens=count(dig(usage, "prompt_tokens")),
            cached_tokens=count(dig(usage, "prompt_cache_hit_tokens") if cached is None else cached),
            output_tokens=count(dig(usage, "completion_tokens")),
        )


def is_strict(schema: Any) -> bool:
    """Whether the server can hold a model to a schema: every object names all its properties, and allows no other."""
    if isinstance(schema, (list, tuple)):
        return all(map(is_strict, schema))
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping) or schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties or ()):
            return False
    return all(is_strict(inner) for inner in schema.values())


def _text(content: object) -> str:
    """The text of a message, which some servers give in parts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if isinstance(dig(part, "text"), str))
    return content if isinstance(content, str) else ""
