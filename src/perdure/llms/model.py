"""What every language model over HTTP shares: its options, and to ask again without what a server does not know."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias, final

from pydantic import SecretStr

from perdure.errors import ModelUnavailable, Unavailable
from perdure.http import Client, HttpOptions, Refused
from perdure.ports import Completion, Prompt

Form: TypeAlias = Literal["schema", "tool", "object", "text"]
"""How an answer's schema is told: to the server · as the input of a tool · the server is told "JSON", and the model
the schema · to the model alone."""

UNKNOWN = r"unsupported|n[o']t support|unrecogni|unknown|deprecated|n[o']t permitted|unexpected|n[o']t allowed|extra|only the default|n[o']t compatible|unavailable"
"""How servers say that they do not know a parameter, and not that its value is wrong."""


class Part(NamedTuple):
    """A part of a request that a server may not know, and can be asked without."""

    mark: str
    """By which it is remembered that the server refused it."""
    fields: Mapping[str, Any]
    named: str | None
    """A regular expression: how a refusal names it; None: it is not left out."""


def parameter(name: str, value: object, fields: Mapping[str, Any] | None = None) -> Part:
    """The part that sets one parameter; it is left out only when the refusal is of the parameter, not of its value."""
    named = f"(?=.*{name})(?=.*(?:{UNKNOWN}))"
    return Part(name, {name: value} if fields is None else fields, named)


@dataclass(frozen=True, kw_only=True)
class HttpModel(HttpOptions):
    """A language model behind an HTTP interface; a vendor writes how it is asked and how its answer is read."""

    model: str
    """The model's name, as the provider knows it."""
    api_key: SecretStr | None = field(default=None, repr=False)
    """The key; see each provider for what is used when there is none."""
    base_url: str = ""
    """Where the provider is."""
    temperature: float | None = None
    """None: the model's own; newer models take no other."""
    max_tokens: int | None = None
    """The longest answer, where it is less than what the prompt allows."""
    timeout: float = 120.0
    """Seconds for one answer, from the first byte that is sent to the last that comes."""
    json: Literal["auto"] | Form = "auto"
    """How a schema is told; auto: the first way that the server takes, which is remembered."""

    _refused: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The marks of what the server does not know."""

    TITLE: ClassVar[str]
    """The vendor, for messages."""
    HOME: ClassVar[str]
    """The vendor's own `base_url`; the keys in the environment are sent nowhere else."""
    KEYS: ClassVar[Sequence[str]]
    """The variables of the environment that may hold the key."""
    FORMS: ClassVar[Sequence[Form]] = ("schema", "object", "text")
    """The ways to tell a schema, the best one first."""

    def __post_init__(self) -> None:
        """Look at what can be seen before anything is asked; a key that is a plain text is hidden."""
        super().__post_init__()
        if not self.model.strip():
            raise ValueError("model has to be named")
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url has to begin with http:// or https://")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens has to be greater than 0")
        if isinstance(self.api_key, str):
            object.__setattr__(self, "api_key", SecretStr(self.api_key))

    @final
    async def complete(self, prompt: Prompt) -> Completion:
        """The answer.

        Raises:
            Unavailable: a time-out, no connection, too many requests, a fault of the server; it was tried again.
            ModelUnavailable: no key or a wrong one, an unknown model, a refused request, or a model that declines to
                answer: an empty answer would look as if there was nothing to say.
        """
        while True:  # each turn leaves something out that the turn before sent
            form, parts = self._form(prompt), self._parts(prompt)
            body = self._body(prompt, form)
            for part in parts:
                body.update(part.fields)
            try:
                reply = await self._client.post(
                    self._path(), body, headers=self._headers(), private=(prompt.instructions, prompt.content)
                )
            except Refused as refused:
                if not self._learns(refused, parts):
                    raise
            else:
                return self._completion(reply.body)

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()

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

    @cached_property
    def _client(self) -> Client:
        return Client(name=self.TITLE, base_url=self.base_url, options=self)

    def _key(self) -> str | None:
        """The key: the option, else the environment's when the vendor itself is asked, else none.

        Raises:
            ModelUnavailable: the vendor wants one.
        """
        if self.api_key is not None and (key := self.api_key.get_secret_value().strip()):
            return key
        if self.base_url.rstrip("/") != self.HOME:
            return None
        for name in self.KEYS:
            if key := os.environ.get(name, "").strip():
                return key
        raise ModelUnavailable(f"{self.TITLE} needs a key: set `api_key`, or the variable {self.KEYS[0]}")

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
        return self._known([] if self.temperature is None else [parameter("temperature", self.temperature)])

    def _known(self, parts: list[Part]) -> list[Part]:
        return [part for part in parts if part.mark not in self._refused]

    def _learns(self, refused: Refused, parts: list[Part]) -> bool:
        """Remember what was refused; False when it is nothing that could be left out."""
        if refused.status not in (400, 422):
            return False
        for part in parts:
            if part.named and re.search(part.named, refused.told, re.IGNORECASE | re.DOTALL):
                self._refused.add(part.mark)
                return True
        return False

    def _declined(self, reason: object) -> ModelUnavailable:
        """The error for a model that will not answer; its reason is one word, and its words are not shown."""
        word = reason if isinstance(reason, str) and re.fullmatch(r"\w{1,40}", reason) else "refusal"
        return ModelUnavailable(
            f"{self.TITLE} model {self.model} declines to answer this ({word}): try another model"
        )

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


def dig(value: object, *path: str | int) -> Any:
    """What lies at a path of keys and places in JSON; None when there is nothing."""
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def count(value: object) -> int | None:
    """A number of tokens, when it is one."""
    return value if isinstance(value, int) else None


def _mark(form: Form, prompt: Prompt) -> str:
    return f"{form} {json.dumps(prompt.schema, sort_keys=True)}"
