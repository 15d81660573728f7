"""Clients of a chat that remember: one of our own, and those that others have already."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from os import PathLike
from typing import Any, Self, TypeAlias, TypeVar, Unpack

from perdure.config import Config
from perdure.errors import ConfigurationError, InvalidInput
from perdure.memory import AsyncMemory, Memory
from perdure.options import checked
from perdure.proxy.calls import Manner, Options
from perdure.proxy.companion import AsyncCompanion, Companion
from perdure.proxy.completions import (
    AsyncChat,
    AsyncCompletions,
    AsyncOwnCompletions,
    Chat,
    Completions,
    OwnCompletions,
)
from perdure.proxy.delegate import Delegate

C = TypeVar("C")
Configuration: TypeAlias = Config | Mapping[str, Any] | str | PathLike[str] | None


class _Client(Delegate):
    """A blocking client that remembers: what it has besides is that of the client beside which it stands."""

    _inner: Any
    _companion: Companion
    _kind: type[Completions | OwnCompletions]
    _closes: bool
    """Whether closing this closes the client beside which it stands."""

    @property
    def chat(self) -> Any:
        """The client's, with completions that remember."""
        return _remembering(self._inner.chat, self._kind, self._companion)

    @property
    def beta(self) -> Any:
        """The client's, whose `chat` remembers too."""
        beta = self._inner.beta
        return Delegate(beta, chat=_remembering(beta.chat, self._kind, self._companion))

    @property
    def memory(self) -> Memory:
        """What it remembers in."""
        return self._companion.memory

    def with_options(self, **options: Any) -> Any:
        """As the client's."""
        return _Client(
            self._inner.with_options(**options),
            _companion=self._companion,
            _kind=self._kind,
            _closes=self._closes,
        )

    copy = with_options

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def flush(self) -> None:
        """Wait until everything that was said until now is stored."""
        self._companion.flush()

    def close(self) -> None:
        """Store what was said, then close the memory and the client, but for a memory that was given."""
        self._companion.close()
        if self._closes:
            self._inner.close()


class _AsyncClient(Delegate):
    """The same, asynchronous."""

    _inner: Any
    _companion: AsyncCompanion
    _kind: type[AsyncCompletions | AsyncOwnCompletions]
    _closes: bool

    @property
    def chat(self) -> Any:
        """The client's, with completions that remember."""
        return _remembering(self._inner.chat, self._kind, self._companion)

    @property
    def beta(self) -> Any:
        """The client's, whose `chat` remembers too."""
        beta = self._inner.beta
        return Delegate(beta, chat=_remembering(beta.chat, self._kind, self._companion))

    @property
    def memory(self) -> AsyncMemory:
        """What it remembers in."""
        return self._companion.memory

    def with_options(self, **options: Any) -> Any:
        """As the client's."""
        return _AsyncClient(
            self._inner.with_options(**options),
            _companion=self._companion,
            _kind=self._kind,
            _closes=self._closes,
        )

    copy = with_options

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def flush(self) -> None:
        """Wait until everything that was said until now is stored."""
        await self._companion.flush()

    async def close(self) -> None:
        """Store what was said, then close the memory and the client, but for a memory that was given."""
        await self._companion.close()
        if self._closes:
            await self._inner.close()


class Perdure(_Client):
    """A client for chat completions that remembers: `client.chat.completions.create(model=..., user_id=...)`.

    What a client of yours has besides, this has too. Close it, or use `with`: what was said last is stored then; the
    end of the process does the same.
    """

    def __init__(
        self,
        config: Configuration = None,
        api_key: str | None = None,
        host: str | None = None,
        *,
        client: Any = None,
        memory: Memory | None = None,
        base_url: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        """Beside a client, or with one of its own.

        Args:
            config: of the memory, as `Memory` takes it.
            api_key: of a Perdure server; so is `host`. Not in this version.
            client: an `OpenAI`, or what is like one; or a `ChatServer`, for a client of our own.
            memory: one that is there already, instead of `config`; it stays open.
            base_url: of any server that speaks as OpenAI does, for a client of our own.

        Raises:
            ConfigurationError: something is configured wrongly, or a server is asked for.
            InvalidInput: arguments that do not go together.
        """
        _no_server(api_key, host)
        chat, made = _chat_client(client, base_url, is_async=False)
        companion = _companion(memory, config, options, takes_metadata=True)
        super().__init__(chat, _companion=companion, _kind=OwnCompletions, _closes=made)

    @property
    def chat(self) -> Chat:
        """`chat.completions.create`, which remembers."""
        chat: Chat = super().chat
        return chat


class AsyncPerdure(_AsyncClient):
    """The same, asynchronous: nothing in it blocks the event loop."""

    def __init__(
        self,
        config: Configuration = None,
        api_key: str | None = None,
        host: str | None = None,
        *,
        client: Any = None,
        memory: AsyncMemory | None = None,
        base_url: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        """As `Perdure`, with an `AsyncOpenAI` and an `AsyncMemory`."""
        _no_server(api_key, host)
        chat, made = _chat_client(client, base_url, is_async=True)
        companion = _async_companion(memory, config, options, takes_metadata=True)
        super().__init__(chat, _companion=companion, _kind=AsyncOwnCompletions, _closes=made)

    @property
    def chat(self) -> AsyncChat:
        """`chat.completions.create`, which remembers."""
        chat: AsyncChat = super().chat
        return chat


def remember(
    client: C,
    *,
    memory: Memory | AsyncMemory | None = None,
    config: Configuration = None,
    **options: Unpack[Options],
) -> C:
    """A client that is like the one given, and whose `chat.completions` remember.

    Everything else passes through: it is an instance of the same class. It has `memory` and `flush()` besides, and
    its `close()` stores what was said before it closes the client. Each call may name `user_id`, `agent_id`, `run_id`,
    `app_id`, `filters` and `top_k` for itself.

    Args:
        client: an `OpenAI` or an `AsyncOpenAI`, or what is like one.
        memory: a `Memory`, or for an asynchronous client an `AsyncMemory`; without one, the one of `config`.

    Raises:
        InvalidInput: it is no such client, or remembers already, or it and the memory are of two kinds.
    """
    if isinstance(client, (_Client, _AsyncClient)):
        raise InvalidInput("this client remembers already: its calls may name other users")
    if _is_async(client):
        beside = _async_companion(memory, config, options)
        wrapped: Any = _AsyncClient(client, _companion=beside, _kind=AsyncCompletions, _closes=True)
    else:
        companion = _companion(memory, config, options)
        wrapped = _Client(client, _companion=companion, _kind=Completions, _closes=True)
    made: C = wrapped
    return made


def _no_server(api_key: str | None, host: str | None) -> None:
    if api_key is not None or host is not None:
        url = host or os.environ.get("PERDURE_URL")
        raise ConfigurationError(
            f"api_key and host are those of a Perdure server ({url or 'its host= or PERDURE_URL is missing'}), which "
            "this version cannot ask yet: leave them out, and what is said is remembered in this process; the key of "
            "the chat itself is OPENAI_API_KEY, or that of a client= of yours"
        )


def _chat_client(client: Any, base_url: str | None, *, is_async: bool) -> tuple[Any, bool]:
    """The client of the chat, and whether it was made here."""
    from perdure.proxy.chat import AsyncChatClient, ChatClient, ChatServer

    if client is not None and base_url is not None:
        raise InvalidInput("client and base_url say the same thing: give one of them")
    if client is not None and not isinstance(client, ChatServer):
        if _is_async(client) != is_async:
            wanted, other = ("AsyncOpenAI", "Perdure") if is_async else ("OpenAI", "AsyncPerdure")
            raise InvalidInput(f"client is a {type(client).__name__}: give an {wanted}, or take {other}")
        return client, False
    server = client or checked(ChatServer, {"base_url": base_url} if base_url else {}, "chat")
    return (AsyncChatClient(server) if is_async else ChatClient(server)), True


def _is_async(client: Any) -> bool:
    """Whether a client is asynchronous.

    Raises:
        InvalidInput: it is no client of chat completions.
    """
    create = getattr(getattr(getattr(client, "chat", None), "completions", None), "create", None)
    if not callable(create):
        raise InvalidInput(
            f"{type(client).__name__} has no chat.completions.create: give an OpenAI, an AsyncOpenAI, or what is like one"
        )
    return hasattr(type(client), "__aenter__") or inspect.iscoroutinefunction(create)


def _companion(
    memory: object, config: Configuration, options: Options, *, takes_metadata: bool = False
) -> Companion:
    _one_of(memory, config)
    if memory is not None and not isinstance(memory, Memory):
        raise InvalidInput(f"memory is of the type {type(memory).__name__}: a blocking client takes a Memory")
    manner = Manner.of(options, takes_metadata=takes_metadata)
    return Companion(Memory(config) if memory is None else memory, manner, ours=memory is None)


def _async_companion(
    memory: Any, config: Configuration, options: Options, *, takes_metadata: bool = False
) -> AsyncCompanion:
    _one_of(memory, config)
    if isinstance(memory, Memory):
        raise InvalidInput("memory is a Memory, which would block the loop: give an AsyncMemory")
    manner = Manner.of(options, takes_metadata=takes_metadata)
    return AsyncCompanion(AsyncMemory(config) if memory is None else memory, manner, ours=memory is None)


def _one_of(memory: object, config: object) -> None:
    if memory is not None and config is not None:
        raise InvalidInput("memory and config say the same thing: give one of them")


def _remembering(chat: Any, kind: type[Delegate], companion: object) -> Any:
    """`client.chat`, with completions that remember."""
    return Delegate(chat, completions=kind(chat.completions, _companion=companion))
