"""What every provider over HTTP shares: where it is, its key, and to be asked again without what it does not know."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeAlias
from urllib.parse import urlsplit

from pydantic import SecretStr

from perdure.errors import ContentRefused, ModelUnavailable
from perdure.http.client import Client
from perdure.http.options import HttpOptions
from perdure.http.parts import Part, merged
from perdure.http.replies import Refused, Reply
from perdure.load import Load
from perdure.options import hide

Body: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class HttpProvider(HttpOptions):
    """A provider that speaks JSON over HTTP; a subclass says how it is asked, and what its vendor is called.

    Raises:
        ValueError: an option that cannot work; the message names it.
    """

    api_key: SecretStr | None = field(default=None, repr=False)
    """The key. Without one, the vendor's own variable of the environment, for the vendor's own server alone."""
    base_url: str = ""
    """Where the provider is."""
    headers: Mapping[str, str] | None = field(default=None, repr=False)
    """More headers of every request, as gateways ask for; they are as secret as the key."""
    extra: Mapping[str, Any] | None = None
    """More of every request's body, such as `{"reasoning_effort": "low"}`; it goes over what is sent otherwise."""

    _refused: set[str] = field(default_factory=set, init=False, repr=False, compare=False)
    """The marks of the parts that the server does not know."""

    TITLE: ClassVar[str]
    """The vendor, for messages."""
    HOME: ClassVar[str]
    """The vendor's own server; keys of the environment are sent nowhere else."""
    KEYS: ClassVar[Sequence[str]]
    """The variables of the environment that may hold the key."""

    def __post_init__(self) -> None:
        """Look at what can be seen before anything is asked; a key that is a plain text is hidden."""
        super().__post_init__()
        if not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url has to begin with http:// or https://")
        hide(self, "api_key")

    def loads(self) -> dict[str, Load]:
        """Of its calls."""
        return {"requests": self._client.load()}

    async def aclose(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    @cached_property
    def _client(self) -> Client:
        return Client(name=self.TITLE, base_url=self.base_url, options=self)

    @property
    def _is_home(self) -> bool:
        """Whether the vendor itself is asked."""
        return urlsplit(self.base_url)[:2] == urlsplit(self.HOME)[:2]

    def _key(self) -> str | None:
        """The key: the option, else the environment's when the vendor itself is asked, else none.

        Raises:
            ModelUnavailable: the vendor wants one.
        """
        if self.api_key is not None and (key := self.api_key.get_secret_value().strip()):
            return key
        if not self._is_home:
            return None
        for name in self.KEYS:
            if key := os.environ.get(name, "").strip():
                return key
        raise ModelUnavailable(f"{self.TITLE} needs a key: set `api_key`, or the variable {self.KEYS[0]}")

    async def _ask(
        self,
        path: str,
        headers: Mapping[str, str],
        request: Callable[[], tuple[Body, Sequence[Part]]],
        *,
        private: Sequence[str],
    ) -> Reply:
        """Send what `request` makes, again without each part that is refused; raises as `Client.post` does.

        Args:
            request: the body that every server knows, and the parts beside it, those refused before left out.
        """
        while True:  # each turn sends one part less than the turn before
            body, parts = request()
            for part in parts:
                body = merged(body, part.fields)
            body = merged(body, self.extra or {})
            try:
                return await self._client.post(
                    path, body, headers={**headers, **(self.headers or {})}, private=private
                )
            except Refused as refused:
                if not self._learns(refused, parts):
                    raise

    def _known(self, parts: Sequence[Part]) -> list[Part]:
        """Those that were not refused."""
        return [part for part in parts if part.mark not in self._refused]

    def _learns(self, refused: Refused, parts: Sequence[Part]) -> bool:
        """Remember what was refused; False when it is nothing that could be left out."""
        if isinstance(refused, ContentRefused):
            return False
        about = [part.mark for part in parts if part.is_named_in(refused.told)]
        if refused.status not in (400, 422) or not about:
            return False
        self._refused.add(about[0])
        return True
