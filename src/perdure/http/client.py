"""The client of one provider: a request is sent, sent again when that may help, and left when it does not."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from perdure.errors import Closed, ModelUnavailable, Unavailable
from perdure.http.events import Events
from perdure.http.options import HttpOptions
from perdure.http.replies import Passing, Reply, read
from perdure.http.retries import Breaker, asked_to_wait, pause
from perdure.http.sessions import Lane
from perdure.lanes import Lanes
from perdure.load import Load

if TYPE_CHECKING:  # loaded with the first request
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

R = TypeVar("R")
Begun: TypeAlias = "tuple[AsyncExitStack, ClientResponse]"
"""An answer that has begun, and what ends it."""


@dataclass(frozen=True, kw_only=True)
class Client:
    """Sends JSON to one provider, from any event loop, thread or forked child.

    Proxies are those that the environment names (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). Redirections are not
    followed. Nothing is logged, and no error holds a key or a text of a request.
    """

    name: str
    """The provider's, for messages."""
    base_url: str
    options: HttpOptions = field(default_factory=HttpOptions)

    _breaker: Breaker = field(init=False, repr=False, compare=False)
    _lanes: Lanes[Lane] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Begin without a failure, and without a connection."""
        breaker = Breaker(rest=self.options.rest, after=self.options.rest_after)
        lanes = Lanes(lambda: Lane(self.options.concurrency), Lane.aclose, subject=self.name)
        object.__setattr__(self, "_breaker", breaker)  # the fields of a frozen class are set like this
        object.__setattr__(self, "_lanes", lanes)

    async def post(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        private: Iterable[str] = (),
        seconds: float | None = None,
    ) -> Reply:
        """Send an object to `base_url` + `path`, or to `path` where that is a whole URL, and read the answer.

        Args:
            headers: their values, and so the key among them, are hidden in errors.
            private: the texts of the payload that errors have to hide where the provider repeats them.
            seconds: for one try of this call, when it is not the client's own `timeout`.

        Raises:
            Unavailable: a time-out, no connection, half an answer or none that is JSON, 408, 409, 425, 429, 5xx; all
                tries are used up, or the provider is being left alone. `Closed` after `aclose`.
            ModelUnavailable: any other answer (then it is `Refused`), or an answer over the bound.
        """
        lane = await self._lanes.client()
        request = self._request(path, payload, headers or {}, private, seconds)
        async with lane.turns:
            return await self._watched(lambda left: self._once(lane.session, request, left))

    async def events(
        self,
        path: str,
        payload: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        private: Iterable[str] = (),
        seconds: float | None = None,
    ) -> AsyncGenerator[Mapping[str, Any]]:
        """Send as `post` does, and read the answer as server-sent events, one object after another up to `[DONE]`.

        It is tried again until an answer begins, and no more after that. Closing this iterator closes the connection.

        Args:
            seconds: without a byte; an answer may go on for longer.

        Raises:
            Unavailable: as `post`; also when the answer breaks off, or tells of a failure that will pass.
            ModelUnavailable: as `post`.
        """
        lane = await self._lanes.client()
        request = self._request(path, payload, headers or {}, private, seconds)
        async with lane.turns:
            stack, answer = await self._watched(lambda left: self._begun(lane.session, request, left))
            try:
                async with stack:
                    events = Events()
                    async for piece in answer.content.iter_any():
                        for data in events.feed(piece):
                            self._bound(len(data))
                            if data.strip() == b"[DONE]":
                                return
                            yield read(self._subject, answer.status, {}, data, request.hide).body
                        self._bound(events.waiting)
            except Passing as failure:
                raise Unavailable(str(failure)) from failure.__cause__

    def load(self) -> Load:
        """How many calls are under way, those between two tries included, and how many wait for their turn."""
        most, turns = self.options.concurrency, [lane.turns for lane in self._lanes.clients()]
        return Load(  # of all event loops together: each has a bound of its own
            running=sum(each.running for each in turns),
            bound=most * max(1, len(turns)),
            waiting=sum(each.waiting for each in turns),
        )

    async def aclose(self) -> None:
        """Close the connections of this process; a second time does nothing."""
        await self._lanes.aclose()

    def _request(
        self,
        path: str,
        payload: Mapping[str, Any],
        headers: Mapping[str, str],
        private: Iterable[str],
        seconds: float | None,
    ) -> _Request:
        url = path if path.startswith(("http://", "https://")) else f"{self.base_url.rstrip('/')}{path}"
        try:
            proxy = _proxy(url)
        except ValueError as error:
            raise ModelUnavailable(f"{self.name} has no usable URL: mend `base_url`") from error
        return _Request(
            url=url,
            proxy=proxy,
            headers=headers,
            body=json.dumps(payload, ensure_ascii=False).encode(
                errors="replace"
            ),  # texts may hold surrogates
            hide=(*(value.rpartition(" ")[2] for value in headers.values()), *private),
            timeout=self.options.timeout if seconds is None else seconds,
        )

    @property
    def _subject(self) -> str:
        return f"{self.name} at {urlsplit(self.base_url).netloc.rpartition('@')[2]}"

    async def _watched(self, once: Callable[[float], Awaitable[R]]) -> R:
        """The breaker decides whether to ask, and learns what came of it."""
        if left := self._breaker.remaining(time.monotonic()):
            raise Unavailable(
                f"{self._subject} failed {self._breaker.failures} times in a row and is left alone for another "
                f"{left:.0f} s: try again then, or set `rest` lower"
            )
        try:
            answer = await self._persistent(once)
        except Unavailable:
            self._breaker.failed(time.monotonic())
            raise
        except ModelUnavailable:  # it is there, and says no
            self._breaker.worked()
            raise
        self._breaker.worked()
        return answer

    async def _persistent(self, once: Callable[[float], Awaitable[R]]) -> R:
        deadline = time.monotonic() + self.options.budget
        for attempt in itertools.count(1):
            try:
                return await once(deadline - time.monotonic())
            except Passing as failure:
                wait = pause(
                    attempt,
                    failure.asked,
                    backoff=self.options.backoff,
                    chance=random.random(),  # noqa: S311 - no secret depends on it
                )
                if attempt > self.options.retries or time.monotonic() + wait >= deadline:
                    asks = f"; it asks to wait {failure.asked:.0f} s" if failure.asked else ""
                    raise Unavailable(f"{failure} (tries: {attempt}{asks})") from failure.__cause__
                await asyncio.sleep(wait)
        raise AssertionError("counting does not end")

    async def _once(self, session: ClientSession, request: _Request, left: float) -> Reply:
        from aiohttp import ClientTimeout

        seconds = min(request.timeout, left)
        limits = ClientTimeout(total=seconds, sock_connect=self.options.connect_timeout)
        async with self._try(session, request, limits, seconds) as answer:
            return self._understood(answer, await self._bounded(answer), request)

    async def _begun(self, session: ClientSession, request: _Request, left: float) -> Begun:
        from aiohttp import ClientTimeout

        seconds = min(request.timeout, left)
        limits = ClientTimeout(sock_read=seconds, sock_connect=self.options.connect_timeout)
        async with AsyncExitStack() as stack:
            answer = await stack.enter_async_context(self._try(session, request, limits, seconds))
            if not 200 <= answer.status < 300:
                self._understood(answer, await self._bounded(answer), request)
            return stack.pop_all(), answer

    def _try(self, session: ClientSession, request: _Request, limits: ClientTimeout, seconds: float) -> _Try:
        if session.closed:  # by another task, while this one waited
            raise Closed(f"The connections to {self._subject} were closed.")
        sending = session.post(
            request.url,
            data=request.body,
            headers={"Content-Type": "application/json", **request.headers},
            timeout=limits,
            allow_redirects=False,
            proxy=request.proxy,
        )
        return _Try(sending, lambda error: self._meant(error, seconds))

    def _meant(self, error: BaseException, seconds: float) -> Exception | None:
        """What went wrong with a try, in words of ours; None: it is none of HTTP's matters.

        Args:
            seconds: that it had.
        """
        import aiohttp

        if isinstance(error, ValueError):  # a URL that is none, or names a user beside a key
            return ModelUnavailable(f"{self.name} cannot be asked: mend `base_url`, or `api_key`")
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return Passing(
                f"{self._subject} took no connection within {min(seconds, self.options.connect_timeout):.3g} s: is "
                "`base_url` right?"
            )
        if isinstance(error, TimeoutError):
            return Passing(
                f"{self._subject} gave no answer within {seconds:.3g} s: raise `timeout`, or try again later"
            )
        if isinstance(error, aiohttp.ClientConnectorError):
            system = getattr(error, "os_error", None)  # a refused certificate has none
            reason = getattr(system, "strerror", None) or type(error).__name__
            return Passing(
                f"{self._subject} cannot be reached ({reason}): is it running, and is `base_url` right?"
            )
        if isinstance(error, (aiohttp.ClientError, OSError)):
            return Passing(f"{self._subject} broke the answer off: try again later")
        return None

    def _understood(self, answer: ClientResponse, content: bytes, request: _Request) -> Reply:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        try:
            return read(self._subject, answer.status, headers, content, request.hide)
        except Passing as failure:
            failure.asked = asked_to_wait(headers, datetime.now(UTC))
            raise

    async def _bounded(self, answer: ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            self._bound(len(content))
        return bytes(content)

    def _bound(self, size: int) -> None:
        if size > self.options.max_answer_bytes:
            raise ModelUnavailable(
                f"{self._subject} answers with more than {self.options.max_answer_bytes} bytes: look at "
                "`base_url`, or raise `max_answer_bytes`"
            )


@dataclass(frozen=True, kw_only=True)
class _Request:
    """One call, whatever it takes to have it answered."""

    url: str
    proxy: str | None
    headers: Mapping[str, str]
    body: bytes
    hide: tuple[str, ...]
    timeout: float
    """Seconds for one try."""


class _Try:
    """One try and its answer, to be read inside; no generator, as a loop that ends closes those in any order."""

    def __init__(
        self,
        sending: AbstractAsyncContextManager[ClientResponse],
        meant: Callable[[BaseException], Exception | None],
    ) -> None:
        self._sending = sending
        self._meant = meant

    async def __aenter__(self) -> ClientResponse:
        try:
            return await self._sending.__aenter__()
        except Exception as error:
            if meant := self._meant(error):
                raise meant from error
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sending.__aexit__(kind, error, trace)
        if error is not None and (meant := self._meant(error)):
            raise meant from error


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL.

    aiohttp would look for one in a thread for each request, and would also send what it finds in `~/.netrc`.
    """
    parts = urlsplit(url)
    proxy = getproxies_environment().get(parts.scheme)
    return proxy if proxy and not proxy_bypass(parts.hostname or "") else None
