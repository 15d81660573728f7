"""A thin client for chat completions in OpenAI's dialect, for those who have none of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NamedTuple, Self
from urllib.parse import urlencode

from perdure.arguments import shown
from perdure.blocking import Blocking, blocking
from perdure.errors import InvalidInput
from perdure.http import HttpProvider
from perdure.proxy.exchange import text_of
from perdure.proxy.values import ChatCompletion, ChatCompletionChunk

_HOME: Final = "https://api.openai.com/v1"
_LITELLM: Final = ("api_version", "deployment_id", "model_list")
"""Arguments of mem0's proxy that are LiteLLM's own."""


def _named_url() -> str:
    return os.environ.get("OPENAI_BASE_URL", "").strip()


@dataclass(frozen=True, kw_only=True)
class ChatServer(HttpProvider):
    """Where chat completions are: any server that speaks as OpenAI does."""

    base_url: str = field(default_factory=lambda: _named_url() or _HOME)
    """Such as `http://localhost:11434/v1` for Ollama; else what the variable `OPENAI_BASE_URL` says, else OpenAI."""
    timeout: float = 600.0
    """Seconds for one try; of a stream, seconds without a byte."""
    budget: float = 1_800.0
    """Seconds for one call with all that it waits and tries again."""
    retries: int = 2
    """How often a request is sent again that failed for a passing reason; 0: never."""
    concurrency: int = 1_000
    """Calls at a time; others wait for their turn, which counts as none of their time."""
    rest: float = 0.0
    """Seconds that a server is left alone whose calls keep failing; 0: it is always asked."""

    TITLE: ClassVar[str] = "The chat"
    HOME: ClassVar[str] = _HOME
    KEYS: ClassVar[tuple[str, ...]] = ("OPENAI_API_KEY",)

    async def answer(self, arguments: Mapping[str, Any]) -> ChatCompletion | AsyncChunks:
        """Ask for a completion; raises as `perdure.http.Client.post` does."""
        call = self._call(arguments)
        how: dict[str, Any] = {"headers": call.headers, "private": call.private, "seconds": call.seconds}
        if not call.body.get("stream"):
            return ChatCompletion((await self._client.post(call.path, call.body, **how)).body)
        events = self._client.events(call.path, call.body, **how)
        return AsyncChunks(await anext(events, None), events)

    def _call(self, arguments: Mapping[str, Any]) -> _Call:
        """OpenAI's arguments, and those of mem0's proxy, as a request.

        Raises:
            InvalidInput: an argument that means nothing here, or that JSON cannot hold.
        """
        body = {name: value for name, value in arguments.items() if value is not None}
        for name in _LITELLM:
            if name in body:
                raise InvalidInput(f"create({name}=...) is LiteLLM's: give base_url, or a client of your own")
        headers, extra = body.pop("extra_headers", {}), body.pop("extra_body", {})
        query, timeout = body.pop("extra_query", {}), body.pop("timeout", None)
        base_url, api_key = body.pop("base_url", None), body.pop("api_key", None)
        path = f"{str(base_url).rstrip('/')}/chat/completions" if base_url else "/chat/completions"
        key = api_key or (None if base_url else self._key())
        return _Call(
            path=f"{path}?{urlencode(query)}" if query else path,
            body=_plain({**body, **(self.extra or {}), **extra}, "the call"),
            headers={
                **({"Authorization": f"Bearer {key}"} if key else {}),
                **(self.headers or {}),
                **headers,
            },
            private=_texts(body.get("messages")),
            seconds=_seconds(timeout),
        )

    def _key(self) -> str | None:
        """The variable `OPENAI_API_KEY` is for OpenAI, and for where `OPENAI_BASE_URL` points beside it."""
        if self.api_key is None and self.base_url == _named_url():
            return os.environ.get(self.KEYS[0], "").strip() or super()._key()
        return super()._key()


class _Call(NamedTuple):
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    private: list[str]
    seconds: float | None


class AsyncChunks:
    """A streamed answer, chunk by chunk."""

    def __init__(self, first: Mapping[str, Any] | None, events: AsyncGenerator[Mapping[str, Any]]) -> None:
        self._first = first
        self._events = events

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ChatCompletionChunk:
        event, self._first = self._first, None
        return ChatCompletionChunk(event or await anext(self._events))

    async def close(self) -> None:
        """Give the connection back."""
        await self._events.aclose()


class Chunks:
    """The same for a blocking client."""

    def __init__(self, client: ChatClient, source: AsyncChunks) -> None:
        self._client = client
        self._source = source

    def __iter__(self) -> Iterator[ChatCompletionChunk]:
        return self

    def __next__(self) -> ChatCompletionChunk:
        chunk = _next(self._client, self._source)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Give the connection back."""
        _close(self._client, self._source)


class AsyncChatClient:
    """Has `chat.completions.create`, asynchronous."""

    def __init__(self, server: ChatServer) -> None:
        self._server = server

    @property
    def chat(self) -> Self:
        """The beginning of the path that everybody knows."""
        return self

    @property
    def completions(self) -> Self:
        """Its middle."""
        return self

    async def create(self, /, **arguments: Any) -> Any:
        """A `ChatCompletion`, or with `stream=True` its `AsyncChunks`; raises as `perdure.http.Client.post` does."""
        return await self._server.answer(arguments)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give connections back."""
        await self._server.aclose()


class ChatClient(Blocking[AsyncChatClient]):
    """Has `chat.completions.create`, blocking."""

    def __init__(self, server: ChatServer) -> None:
        super().__init__(lambda: AsyncChatClient(server))

    @property
    def chat(self) -> Self:
        """The beginning of the path that everybody knows."""
        return self

    @property
    def completions(self) -> Self:
        """Its middle."""
        return self

    def create(self, **arguments: Any) -> Any:
        """A `ChatCompletion`, or with `stream=True` its `Chunks`; raises as `perdure.http.Client.post` does."""
        answer = _create(self, **arguments)
        return Chunks(self, answer) if isinstance(answer, AsyncChunks) else answer


async def _next_of(client: AsyncChatClient, chunks: AsyncChunks) -> ChatCompletionChunk | None:
    del client
    return await anext(chunks, None)


async def _closed(client: AsyncChatClient, chunks: AsyncChunks) -> None:
    del client
    await chunks.close()


_create = blocking(AsyncChatClient.create)
_next = blocking(_next_of)
_close = blocking(_closed)


def _plain(value: Any, where: str) -> Any:
    """The value as JSON holds it; clients' own objects, such as the messages of answers, as dictionaries."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _plain(item, str(name)) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, where) for item in value]
    if callable(dump := getattr(value, "model_dump", None)) and not isinstance(value, type):
        return _plain(dump(exclude_none=True), where)
    raise InvalidInput(
        f"{where} holds {type(value).__name__}, which JSON cannot: give dictionaries and lists"
    )


def _texts(messages: object) -> list[str]:
    return [text_of(message) for message in messages] if isinstance(messages, list) else []


def _seconds(timeout: object) -> float | None:
    if timeout is None:
        return None
    try:
        seconds = float(timeout)  # type: ignore[arg-type]  # what cannot be one is refused here
    except (TypeError, ValueError):
        seconds = 0.0
    if not seconds > 0:
        raise InvalidInput(f"timeout={shown(timeout)}: give a number of seconds")
    return seconds
