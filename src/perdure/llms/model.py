"""What every language model over HTTP shares: its options, and the ways to tell it a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias, final

from perdure.errors import ContentRefused, Unavailable
from perdure.http import DECLINED, HttpProvider, Part, parameter
from perdure.ports import Completion, Prompt

Form: TypeAlias = Literal["schema", "tool", "object", "text"]
"""How an answer's schema is told: to the server · as the input of a tool · the server is told "JSON", and the model
the schema · to the model alone."""


@dataclass(frozen=True, kw_only=True)
class HttpModel(HttpProvider):
    """A language model behind an HTTP interface; a vendor writes how it is asked and how its answer is read."""

    model: str
    """The model's name, as the provider knows it."""
    temperature: float | None = None
    """None: the model's own; newer models take no other."""
    max_tokens: int | None = None
    """The longest answer, where it is less than what the prompt allows."""
    timeout: float = 120.0
    """Seconds for one try, from the connection to the last byte of the answer."""
    json: Literal["auto"] | Form = "auto"
    """How a schema is told; auto: the first way that the server takes, which is remembered."""

    FORMS: ClassVar[Sequence[Form]] = ("schema", "object", "text")
    """The ways to tell a schema, the best one first."""

    def __post_init__(self) -> None:
        """Look at what can be seen before anything is asked."""
        super().__post_init__()
        if not self.model.strip():
            raise ValueError("model has to be named")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens has to be greater than 0")

    @final
    async def complete(self, prompt: Prompt) -> Completion:
        """The answer.

        Raises:
            Unavailable: a time-out, no connection, too many requests, a fault of the server; it was tried again.
            ModelUnavailable: no key or a wrong one, an unknown model, a refused request.
            ContentRefused: the model, or its provider's content filter, declines to answer this: an empty answer would
                look as if there was nothing to say.
        """
        reply = await self._ask(
            self._path(),
            self._headers(),
            lambda: (self._body(prompt, self._form(prompt)), self._parts(prompt)),
            private=(prompt.instructions, prompt.content),
        )
        return self._completion(reply.body)

    # What a vendor writes.

    def _path(self) -> str:
        raise NotImplementedError

    def _headers(self) -> dict[str, str]:
        raise NotImplementedError

    def _body(self, prompt: Prompt, form: Form | None) -> dict[str, Any]:
        """What every server knows."""
        raise NotImplementedError

    def _parts(self, prompt: Prompt) -> list[Part]:
        """What a server may not know, without what this one has refused."""
        raise NotImplementedError

    def _completion(self, body: Mapping[str, Any]) -> Completion:
        raise NotImplementedError

    # What vendors use.

    def _form(self, prompt: Prompt) -> Form | None:
        """How the schema is told; None: there is none."""
        if prompt.schema is None:
            return None
        if (own := self.json) != "auto":
            return own
        # nobody can refuse words: the last way is always open
        return next(form for form in self.FORMS if _mark(form, prompt) not in self._refused)

    def _format(self, prompt: Prompt, form: Form, fields: Mapping[str, Any], named: str) -> Part:
        """The part that tells a schema; what is refused is one schema in one form, for another may do.

        A form that was asked for by name is not changed behind the caller's back.
        """
        return Part(_mark(form, prompt), fields, named if self.json == "auto" else None)

    def _limit(self, prompt: Prompt) -> int:
        return prompt.max_tokens if self.max_tokens is None else min(self.max_tokens, prompt.max_tokens)

    def _temperature(self) -> list[Part]:
        if self.temperature is None:
            return []
        return self._known([parameter("temperature", self.temperature)])

    def _declined(self, reason: object) -> ContentRefused:
        """The error for a model that will not answer; its reason is one word, and its words are not shown."""
        word = reason if isinstance(reason, str) and re.fullmatch(r"\w{1,40}", reason) else "refusal"
        return ContentRefused(f"{self.TITLE} model {self.model} declines to answer this ({word}); {DECLINED}")

    def _empty(self) -> Unavailable:
        return Unavailable(f"{self.TITLE} model {self.model} gave an answer without content: try again later")


def told(prompt: Prompt, form: Form | None) -> str:
    """The content, with the schema behind it where the server does not take care of that.

    The schema stands in the content, for the instructions stay what a provider has in its cache.
    """
    if form not in ("object", "text"):
        return prompt.content
    schema = json.dumps(prompt.schema, ensure_ascii=False)
    return f"{prompt.content}\n\nAnswer with JSON alone, of this JSON Schema:\n{schema}"


def count(value: object) -> int | None:
    """A number of tokens, when it is one."""
    return value if isinstance(value, int) else None


def _mark(form: Form, prompt: Prompt) -> str:
    return f"{form} {json.dumps(prompt.schema, sort_keys=True)}"
