"""`chat.completions` of a client, with a memory before and behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, TypeVar

from perdure.proxy.calls import Asked
from perdure.proxy.companion import AsyncCompanion, Companion
from perdure.proxy.delegate import Delegate
from perdure.proxy.streams import AsyncStream, Stream

B = TypeVar("B", bound=Companion | AsyncCompanion)


class _Remembering(Delegate, Generic[B]):
    """What both faces share: what an answer is, and the client's own helpers."""

    _inner: Any
    _companion: B
    create: Callable[..., Any]
    _STREAM: ClassVar[type[Stream | AsyncStream]]

    def stream(self, **arguments: Any) -> Any:
        """OpenAI's helper for streams, made with our `create`, where the client has it."""
        ours = self._companion.manner.ours(arguments)
        chat = {name: value for name, value in arguments.items() if name not in ours}
        helper = type(self._inner).stream
        return helper(Delegate(self, create=partial(self.create, **ours)), **chat)

    @property
    def with_raw_response(self) -> Any:
        """OpenAI's way to the HTTP response, made with our `create`, where the client has it."""
        return type(self._inner.with_raw_response)(self)

    def _heard(self, asked: Asked, answer: Any, *, streamed: bool) -> Any:
        """The answer as the caller gets it, remembered now or while it is read."""
        # a stream in an HTTP response · a stream · an answer, in an HTTP response or not
        if streamed and _is_raw(answer):
            return _Raw(answer, _heard=partial(self._heard, asked, streamed=True))
        if not streamed:
            self._companion.after(asked, answer.parse if _is_raw(answer) else lambda: answer)
            return answer
        reading = self._companion.reading(asked)
        read_on = self._companion.manner.finish_streams
        return answer if reading is None else self._STREAM(answer, reading, read_on=read_on)


class _Blocking(_Remembering[Companion]):
    """`chat.completions` of a blocking client; what is not here is the client's own."""

    _STREAM = Stream

    def parse(self, **arguments: Any) -> Any:
        """What `create` does for the client's `parse`, which reads the answer into a class."""
        return self._asked(self._inner.parse, arguments)

    def _asked(self, ask: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        asked, chat = self._companion.before(arguments)
        return self._heard(asked, ask(**chat), streamed=bool(chat.get("stream")))


class _Asynchronous(_Remembering[AsyncCompanion]):
    """`chat.completions` of an asynchronous client; what is not here is the client's own."""

    _STREAM = AsyncStream

    async def parse(self, **arguments: Any) -> Any:
        """What `create` does for the client's `parse`, which reads the answer into a class."""
        return await self._asked(self._inner.parse, arguments)

    async def _asked(self, ask: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
        asked, chat = await self._companion.before(arguments)
        return self._heard(asked, await ask(**chat), streamed=bool(chat.get("stream")))


class Completions(_Blocking):
    """Those of a client of somebody's, whose arguments stay what they are."""

    def create(self, **arguments: Any) -> Any:
        """Ask the model as the client does, with what is remembered, and remember what it answers.

        Raises:
            InvalidInput: nobody is named, or an argument of the memory is wrong; nothing was asked.
            Exception: whatever the client raises; then nothing is remembered.
        """
        return self._asked(self._inner.create, arguments)


class AsyncCompletions(_Asynchronous):
    """The same, asynchronous."""

    async def create(self, **arguments: Any) -> Any:
        """As `Completions.create`."""
        return await self._asked(self._inner.create, arguments)


class OwnCompletions(_Blocking):
    """`chat.completions` of `Perdure`: what the memory is told with each call, and all that the chat takes."""

    def create(
        self,
        model: str,
        messages: Iterable[Any] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        **chat: Any,
    ) -> Any:
        """Ask the model, with what is remembered of somebody, and remember what was said.

        Args:
            user_id: whose memory it is; at least one of the four ids is needed, here or for the client.
            metadata: kept with what is remembered of this call.
            filters: which memories may be recalled; see the page on filters.
            top_k: how many memories at most; `limit` is the same.
            chat: everything else that the chat takes: `stream`, `tools`, `response_format`, `temperature`, ...

        Raises:
            InvalidInput: nobody is named, or an argument of the memory is wrong; nothing was asked.
            Exception: whatever the client raises; then nothing is remembered.
        """
        told = {
            "model": model,
            "messages": [] if messages is None else messages,
            "user_id": user_id,
            "agent_id": agent_id,
            "run_id": run_id,
            "app_id": app_id,
            "metadata": metadata,
            "filters": filters,
            "top_k": top_k,
            "limit": limit,
        }
        return self._asked(self._inner.create, told | chat)


class AsyncOwnCompletions(_Asynchronous):
    """The same, asynchronous."""

    async def create(
        self,
        model: str,
        messages: Iterable[Any] | None = None,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        filters: Mapping[str, Any] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        **chat: Any,
    ) -> Any:
        """As `OwnCompletions.create`."""
        told = {
            "model": model,
            "messages": [] if messages is None else messages,
            "user_id": user_id,
            "agent_id": agent_id,
            "run_id": run_id,
            "app_id": app_id,
            "metadata": metadata,
            "filters": filters,
            "top_k": top_k,
            "limit": limit,
        }
        return await self._asked(self._inner.create, told | chat)


class Chat(Delegate):
    """`client.chat`."""

    completions: OwnCompletions


class AsyncChat(Delegate):
    """`client.chat`, asynchronous."""

    completions: AsyncOwnCompletions


class _Raw(Delegate):
    """OpenAI's object around an HTTP response, whose stream is remembered."""

    def parse(self, **how: Any) -> Any:
        """The stream, the same each time."""
        if not how and "_stream" not in self.__dict__:
            self.__dict__["_stream"] = self._heard(self._inner.parse())
        return self._inner.parse(**how) if how else self._stream


def _is_raw(answer: Any) -> bool:
    """Whether it is what OpenAI's client answers to `with_raw_response`."""
    return hasattr(answer, "http_response")
