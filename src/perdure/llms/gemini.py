"""Gemini, by Google's generateContent interface."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from urllib.parse import quote

from perdure.http import Part, dig
from perdure.llms.images import image_of
from perdure.llms.model import Form, HttpModel, count, told
from perdure.ports import Completion, Prompt

FORMAT_NAMED = r"response_?json_?schema|response_?schema|response_?mime|schema|json mode"
"""How refusals name the format of an answer."""
FINE = {None, "STOP", "MAX_TOKENS", "FINISH_REASON_UNSPECIFIED"}
"""Reasons to stop that are none against the answer; the others are SAFETY, RECITATION, BLOCKLIST and so on."""
FAULTS = {"OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL"}
"""Reasons that another try may not have."""


@dataclass(frozen=True, kw_only=True)
class GeminiModel(HttpModel):
    """A model behind `{base_url}/models/{model}:generateContent`.

    Without `api_key`, `GEMINI_API_KEY` or `GOOGLE_API_KEY` is used, but only for Google itself. What a server does
    not know of the ways to tell a schema (`json`) is left out and remembered.
    """

    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    """Where the provider is."""
    json: Literal["auto", "schema", "object", "text"] = "auto"
    """How a schema is told; object: as "some JSON object", with the schema in words; text: in words alone."""

    TITLE: ClassVar[str] = "Gemini"
    HOME: ClassVar[str] = "https://generativelanguage.googleapis.com/v1beta"
    KEYS: ClassVar[tuple[str, ...]] = ("GEMINI_API_KEY", "GOOGLE_API_KEY")

    def _path(self) -> str:
        return f"/models/{quote(self.model.removeprefix('models/'), safe='')}:generateContent"

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"x-goog-api-key": key} if key else {}

    def _body(self, prompt: Prompt, form: Form | None) -> dict[str, Any]:
        parts = [{"text": told(prompt, form)}, *map(_image, prompt.images)]
        settings: dict[str, Any] = {"maxOutputTokens": self._limit(prompt)}
        if self.temperature is not None:
            settings["temperature"] = self.temperature
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}], "generationConfig": settings}
        if prompt.instructions:
            body["systemInstruction"] = {"parts": [{"text": prompt.instructions}]}
        return body

    def _parts(self, prompt: Prompt) -> list[Part]:
        form = self._form(prompt)
        if form not in ("schema", "object"):
            return []
        settings: dict[str, Any] = {"responseMimeType": "application/json"}
        if form == "schema":
            settings["responseJsonSchema"] = prompt.schema
        return [self._format(prompt, form, {"generationConfig": settings}, FORMAT_NAMED)]

    def _completion(self, body: Mapping[str, Any]) -> Completion:
        if blocked := dig(body, "promptFeedback", "blockReason"):
            raise self._declined(blocked)
        candidate = dig(body, "candidates", 0)
        finish = dig(candidate, "finishReason")
        if not isinstance(candidate, dict) or finish in FAULTS:
            raise self._empty()
        if finish not in FINE:
            raise self._declined(finish)
        parts = dig(candidate, "content", "parts")
        usage = body.get("usageMetadata")
        answer, thoughts = (
            count(dig(usage, name)) for name in ("candidatesTokenCount", "thoughtsTokenCount")
        )
        return Completion(
            text="".join(part["text"] for part in parts or () if _is_answer(part)),
            cut=finish == "MAX_TOKENS",
            input_tokens=count(dig(usage, "promptTokenCount")),
            cached_tokens=count(dig(usage, "cachedContentTokenCount")),
            output_tokens=None if answer is None and thoughts is None else (answer or 0) + (thoughts or 0),
        )


def _is_answer(part: object) -> bool:
    return isinstance(dig(part, "text"), str) and not dig(part, "thought")


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    image = image_of(part)
    if image is None:
        return dict(part)
    if image.data is None:
        kind = mimetypes.guess_type(image.url)[0] or "image/jpeg"
        return {"fileData": {"mimeType": kind, "fileUri": image.url}}
    return {"inlineData": {"mimeType": image.media_type, "data": image.data}}
