"""A server of models for tests: real HTTP on loopback, in the dialects of the vendors whose models can be used."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from itertools import count, islice
from typing import Any, Literal, Self, TypeAlias, TypeVar

from aiohttp import web

from perdure.testing import embeddings, rankings
from perdure.testing.dialects import (
    DIALECTS,
    Dialect,
    Finish,
    Usage,
    openai_chunks,
    openai_tool_calls,
)
from perdure.testing.embeddings import DIMENSIONS, EmbeddingWire, SeenTexts
from perdure.testing.rankings import RankingWire, SeenRanking

Seen = TypeVar("Seen")


@dataclass(frozen=True, kw_only=True)
class SeenPrompt:
    """A request as the server saw it."""

    dialect: Literal["openai", "anthropic", "gemini"]
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, Any]
    model: str
    instructions: str
    content: str
    images: tuple[Mapping[str, Any], ...] = ()
    """As they came."""
    schema: Mapping[str, Any] | None = None
    """In whichever way it was told to the server; None when it stands in the words alone."""


Kind: TypeAlias = Literal[
    "status", "hang", "drop", "cut", "garbage", "empty", "length", "width", "nan", "refusal"
]


@dataclass(frozen=True)
class Fault:
    """Something other than an answer.

    - status: an error with `status`, `message`, `code` and `headers`
    - hang: no answer, until the server stops
    - drop: the connection ends without one
    - cut: half of an answer, and the connection ends
    - garbage: a success that is no JSON
    - empty: a success without an answer in it
    - length: an answer, `text`, that was too long and ends there; of embeddings and judgements, all but the last
    - width: embeddings that are one number short; judgements with one text twice, and another not at all
    - nan: an embedding, or a judgement, with a NaN in it
    - refusal: the model declines; embeddings know no such answer, and get the error of a content filter
    """

    kind: Kind = "status"
    _: KW_ONLY
    status: int = 500
    message: str = "told to fail"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class Said:
    """An answer in OpenAI's dialect, told exactly; who asks for a stream gets it piece by piece, else at once."""

    text: str = ""
    _: KW_ONLY
    pieces: Sequence[str] = ()
    """How the text is streamed; word by word, when left out."""
    calls: Sequence[tuple[str, str]] = ()
    """Functions to call: names, each with its arguments as JSON."""
    latency: float = 0.0
    """Seconds before each chunk of a stream."""
    ends: Literal["done", "cut", "error"] = "done"
    """How a stream ends: as it should; without its last chunks, as the connection ends; or with an error in it."""


Answer: TypeAlias = str | Mapping[str, Any] | Fault | Said
"""A text; JSON for it; a fault; or exactly what is said. A request for a stream gets the text in pieces."""
Answers: TypeAlias = Answer | Sequence[Answer] | Callable[[SeenPrompt], Answer]
"""One for all requests; one after another, the last one for ever; or what a function makes of each request."""
Embedding: TypeAlias = Fault | None
"""A fault; None for the vectors of the words' hashes, the same for the same text."""
Embeddings: TypeAlias = Embedding | Sequence[Embedding] | Callable[[SeenTexts], Embedding]
"""As `Answers`."""
Rankings: TypeAlias = Embedding | Sequence[Embedding] | Callable[[SeenRanking], Embedding]
"""Faults of judgements, likewise; None for the share of the question's words that each text holds."""

UNJUST = ("length", "width", "nan")
"""Faults that are answers, and wrong."""


class ModelServer:
    """A server in a thread of its own, for as long as a `with` lasts.

    ```python
    with ModelServer("Hello!") as server:
        model = OpenAIModel(model="any", base_url=server.openai)
    ```

    It knows no keys and takes every model. Tokens are words; the instructions of a prompt that came before count as
    cached. The dialect is seen by the end of the path: `/chat/completions`, `/messages`, `:generateContent`; and so are
    those of embeddings and of rerankers: each vendor has a property with its `base_url`.
    """

    def __init__(
        self,
        answers: Answers = "",
        *,
        latency: float | Callable[[SeenPrompt], float] = 0.0,
        embeddings: Embeddings = None,
        embedding_latency: float | Callable[[SeenTexts], float] = 0.0,
        rankings: Rankings = None,
        dimensions: int = DIMENSIONS,
    ) -> None:
        """Nothing is opened before `start`; a latency is in seconds, for every answer or by its request.

        Args:
            dimensions: of embeddings for which a request names none.
        """
        self.seen: list[SeenPrompt] = []
        """Every prompt, in the order in which they came."""
        self.embedded: list[SeenTexts] = []
        """Every request for embeddings, in the order in which they came."""
        self.ranked: list[SeenRanking] = []
        """Every request for judgements, in the order in which they came."""
        self.left = 0
        """Streams whose readers went away before the end."""
        self.latency = latency
        self.embedding_latency = embedding_latency
        self._answer: Callable[[SeenPrompt], Answer] = _chooser(answers)
        self._embedding: Callable[[SeenTexts], Embedding] = _chooser(embeddings)
        self._ranking: Callable[[SeenRanking], Embedding] = _chooser(rankings)
        self._dimensions = dimensions
        self._came = threading.Condition()
        self._cached: set[str] = set()
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """The server itself, without a path."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai(self) -> str:
        """The `base_url` for those who speak as OpenAI does."""
        return f"{self.url}/v1"

    @property
    def anthropic(self) -> str:
        """The `base_url` for those who speak as Anthropic does."""
        return f"{self.url}/v1"

    @property
    def gemini(self) -> str:
        """The `base_url` for those who speak as Gemini does."""
        return f"{self.url}/v1beta"

    @property
    def ollama(self) -> str:
        """The `base_url` for those who speak as Ollama does."""
        return self.url

    @property
    def cohere(self) -> str:
        """The `base_url` for those who speak as Cohere does."""
        return f"{self.url}/v2"

    @property
    def voyage(self) -> str:
        """The `base_url` for those who speak as Voyage does."""
        return f"{self.url}/voyage/v1"

    @property
    def jina(self) -> str:
        """The `base_url` for those who speak as Jina does."""
        return f"{self.url}/v1"

    @property
    def tei(self) -> str:
        """The `base_url` for those who speak as Text Embeddings Inference does."""
        return self.url

    def answers(self, answers: Answers) -> None:
        """Answer like this from now on; a list begins at its beginning."""
        self._answer = _chooser(answers)

    def embeddings(self, embeddings: Embeddings) -> None:
        """Give embeddings like this from now on; a list begins at its beginning."""
        self._embedding = _chooser(embeddings)

    def rankings(self, rankings: Rankings) -> None:
        """Give judgements like this from now on; a list begins at its beginning."""
        self._ranking = _chooser(rankings)

    def wait_for(self, requests: int = 0, *, left: int = 0, timeout: float = 10.0) -> None:
        """Block until so many requests came, of all kinds together, and so many readers of streams left.

        Raises:
            TimeoutError: they did not, in so many seconds.
        """
        with self._came:
            if not self._came.wait_for(lambda: self._count() >= requests and self.left >= left, timeout):
                raise TimeoutError(
                    f"{self._count()} of {requests} requests came, and {self.left} of {left} readers left"
                )

    @contextmanager
    def held(self) -> Iterator[None]:
        """Answer nothing while this lasts, or until `release`; requests come, and wait."""
        self._tell(self._open.clear)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Answer what waits."""
        self._tell(self._open.set)

    def _tell(self, function: Callable[[], None]) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(function)

    def start(self) -> None:
        """Listen on a free port of loopback; waits until it does."""
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(ready,), name="perdure-model-server", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self) -> None:
        """Break off what is not answered, and wait until the port is free again."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._loop = self._thread = None

    def _count(self) -> int:
        return len(self.seen) + len(self.embedded) + len(self.ranked)

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        finally:
            ready.set()  # also when there is no port to be had

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        self._open = asyncio.Event()
        self._open.set()
        application = web.Application(client_max_size=1 << 28)
        application.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self._port = runner.addresses[0][1]
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if (embedding := embeddings.wire_of(request.path)) is not None:
            return await self._embed(request, embedding)
        if (ranking := rankings.wire_of(request.path)) is not None:
            return await self._rank(request, ranking)
        if (dialect := next((its for its in DIALECTS if request.path.endswith(its.path)), None)) is not None:
            return await self._prompt(request, dialect)
        return web.json_response({"error": {"message": f"nothing at {request.path}"}}, status=404)

    async def _prompt(self, request: web.Request, dialect: Dialect) -> web.StreamResponse:
        try:
            prompt = _seen(dialect, request, await request.json())
        except (
            ValueError,
            TypeError,
            AttributeError,
            LookupError,
        ) as error:  # it is not what the dialect says
            told = f"the request cannot be understood ({type(error).__name__})"
            return web.json_response(dialect.error(400, told, None), status=400)
        self._note(self.seen, prompt)
        answer = self._answer(prompt)
        await asyncio.sleep(self.latency(prompt) if callable(self.latency) else self.latency)
        await self._open.wait()
        if isinstance(answer, Fault) and answer.kind not in ("length", "refusal"):
            return await self._fail(request, dialect.error, answer)
        if prompt.body.get("stream") and dialect.name == "openai" and not isinstance(answer, Fault):
            return await self._stream(request, prompt, answer)
        return web.json_response(self._reply(dialect, prompt, answer))

    async def _embed(self, request: web.Request, wire: EmbeddingWire) -> web.StreamResponse:
        try:
            asked = embeddings.understood(
                wire, request.path_qs, _headers(request), await request.json(), dimensions=self._dimensions
            )
        except ValueError as error:
            return await self._fail(request, wire.error, Fault(status=400, message=str(error)))
        self._note(self.embedded, asked)
        fault, latency = self._embedding(asked), self.embedding_latency
        await asyncio.sleep(latency(asked) if callable(latency) else latency)
        await self._open.wait()
        if fault is None or fault.kind in UNJUST:
            return web.json_response(await embeddings.reply(wire, asked, fault=_kind(fault)))
        if fault.kind == "refusal":
            fault = Fault(status=400, message=fault.message, code="content_filter")
        return await self._fail(request, wire.error, fault)

    async def _rank(self, request: web.Request, wire: RankingWire) -> web.StreamResponse:
        def told(status: int, message: str, _: str | None) -> dict[str, Any]:
            error: dict[str, Any] = wire.error(status, message)
            return error

        try:
            asked = rankings.understood(wire, request.path_qs, _headers(request), await request.json())
        except ValueError as error:
            return await self._fail(request, told, Fault(status=400, message=str(error)))
        self._note(self.ranked, asked)
        fault = self._ranking(asked)
        await self._open.wait()
        if fault is None or fault.kind in UNJUST:
            return web.json_response(await rankings.reply(wire, asked, fault=_kind(fault)))
        return await self._fail(request, told, fault)

    def _note(self, seen: list[Seen], request: Seen) -> None:
        with self._came:
            seen.append(request)
            self._came.notify_all()

    async def _stream(
        self, request: web.Request, prompt: SeenPrompt, answer: str | Mapping[str, Any] | Said
    ) -> web.StreamResponse:
        said = answer if isinstance(answer, Said) else Said(_text(answer))
        pieces = said.pieces or re.findall(r"\s*\S+", said.text)
        events = openai_chunks(pieces, said.calls, prompt.body, self._usage(prompt, said.text))
        if said.ends != "done":
            events = islice(events, 1 + len(pieces))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for event in events:
                await asyncio.sleep(said.latency)
                await response.write(_event(json.dumps(event, ensure_ascii=False)))
            if said.ends == "error":
                await response.write(_event('{"error": {"message": "told to fail", "code": 500}}'))
            elif said.ends == "done":
                await response.write(_event("[DONE]"))
            elif request.transport is not None:
                request.transport.close()
        except ConnectionError:
            with self._came:
                self.left += 1
                self._came.notify_all()
        return response

    def _reply(self, dialect: Dialect, prompt: SeenPrompt, answer: Answer) -> dict[str, Any]:
        finish: Finish = "stop"
        if isinstance(answer, Fault):
            finish = "length" if answer.kind == "length" else "refusal"
            answer = answer.text
        text = _text(answer)
        reply = dialect.reply(text, finish, prompt.body, self._usage(prompt, text))
        if isinstance(answer, Said) and answer.calls:
            calls = openai_tool_calls(answer.calls)
            reply["choices"][0]["message"] |= {"content": answer.text or None, "tool_calls": calls}
            reply["choices"][0]["finish_reason"] = "tool_calls"
        return reply

    def _usage(self, prompt: SeenPrompt, text: str) -> Usage:
        instructions, content = len(prompt.instructions.split()), len(prompt.content.split())
        known = instructions if prompt.instructions in self._cached else 0
        self._cached.add(prompt.instructions)
        return instructions + content, known, len(text.split())

    async def _fail(
        self, request: web.Request, error: Callable[[int, str, str | None], dict[str, Any]], fault: Fault
    ) -> web.StreamResponse:
        if fault.kind == "status":
            told = error(fault.status, fault.message, fault.code)
            return web.json_response(told, status=fault.status, headers=fault.headers)
        if fault.kind == "garbage":
            return web.Response(text="<html>told to fail</html>", content_type="text/html")
        if fault.kind == "empty":
            return web.json_response({})
        if fault.kind == "hang":
            await self._stopping.wait()
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        if fault.kind == "cut":
            await response.prepare(request)
            await response.write(b'{"half":')
        if request.transport is not None:
            request.transport.close()
        return response


def _seen(dialect: Dialect, request: web.Request, body: Mapping[str, Any]) -> SeenPrompt:
    told = dialect.told(body)
    return SeenPrompt(
        dialect=dialect.name,
        path=request.path_qs,
        headers=_headers(request),
        body=body,
        model=body.get("model") or request.path.rpartition("/")[2].partition(":")[0],
        instructions=told.instructions,
        content=told.content,
        images=told.images,
        schema=told.schema,
    )


def _headers(request: web.Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers.items()}


def _text(answer: str | Mapping[str, Any] | Said) -> str:
    if isinstance(answer, Said):
        return answer.text or "".join(answer.pieces)
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _kind(fault: Fault | None) -> str | None:
    return None if fault is None else fault.kind


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def _chooser(answers: Any) -> Callable[[Any], Any]:
    """What each request gets, by the request."""
    if callable(answers):
        chosen: Callable[[Any], Any] = answers
        return chosen
    if isinstance(answers, str) or not isinstance(answers, Sequence):
        return lambda _: answers
    given = count()
    return lambda _: answers[min(next(given), len(answers) - 1)]
