"""A chat that remembers, over real HTTP: every kind of client, blocking and asynchronous, given and our own."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from perdure import AsyncMemory, Memory
from perdure.engine.recalled import marked
from perdure.errors import ConfigurationError, InvalidInput, MissingScope, ModelUnavailable, Unavailable
from perdure.proxy import AsyncPerdure, ChatServer, Perdure, remember
from perdure.testing.models import Fault, ModelServer, Said

KEY = "sk-a-very-secret-key-0123456789"
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
]


@pytest.fixture(autouse=True)
def no_keys_of_ours(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PERDURE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer("I will remember that.") as running:
        yield running


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


class Side:
    """One kind of client, asked and read in the same way whichever it is."""

    def __init__(self, kind: str, server: ModelServer, path: Path, **options: Any) -> None:
        self.config = {"path": str(path / "memory.db"), "embedder": "none"}
        self.closed = False
        face, _, self.how = kind.partition(" ")
        self.runner = asyncio.Runner() if face == "async" else None
        self.memory: Any = (AsyncMemory if self.runner else Memory)(self.config)
        self.theirs = None
        if self.how == "own":
            where = ChatServer(base_url=server.openai, retries=0)
            self.client = self.perdure(client=where, memory=self.memory, **options)
        else:
            make = AsyncOpenAI if self.runner else OpenAI
            self.theirs = make(base_url=server.openai, api_key=KEY, max_retries=0)
            given = {"memory": self.memory, **options}
            self.client: Any = (
                remember(self.theirs, **given)
                if self.how == "wrapped"
                else self.perdure(client=self.theirs, **given)
            )

    @property
    def perdure(self) -> type[Any]:
        return AsyncPerdure if self.runner else Perdure

    def wait(self, value: Any) -> Any:
        """The value, on the side's own loop where it has to be awaited."""
        if self.runner is None:
            return value

        async def awaited() -> Any:
            return await value

        return self.runner.run(awaited())

    def ask(self, content: Any = "Where do I live, do you know?", **arguments: Any) -> Any:
        messages = arguments.pop("messages", None) or [user(content)]
        given = {"model": "m", "messages": messages, "user_id": "maya", **arguments}
        return self.wait(self.client.chat.completions.create(**given))

    def read(self, stream: Any, most: int = 1_000) -> list[Any]:
        """So many chunks."""

        async def chunks() -> list[Any]:
            found: list[Any] = []
            async for chunk in stream:
                found.append(chunk)
                if len(found) == most:
                    break
            return found

        if self.runner is not None:
            return self.wait(chunks())
        return list(itertools.islice(stream, most))

    def said(self, **whose: str) -> list[tuple[str, str]]:
        """Who said what, as it is remembered, in that order."""
        self.wait(self.client.flush())
        found = self.wait(self.memory.get_all(**(whose or {"user_id": "maya"}), show_all=True))
        return [(one["role"], one["memory"]) for one in reversed(found["results"])]

    def close(self) -> None:
        """Once is enough."""
        if self.closed:
            return
        self.closed = True
        self.wait(self.client.close())
        self.wait(self.memory.close())
        if self.theirs is not None:
            self.wait(self.theirs.close())
        if self.runner is not None:
            self.runner.close()


KINDS = [f"{face} {how}" for face in ("sync", "async") for how in ("own", "given", "wrapped")]
GIVEN = [kind for kind in KINDS if not kind.endswith("own")]


@pytest.fixture(params=KINDS)
def side(request, server, tmp_path) -> Iterator[Side]:
    made = Side(request.param, server, tmp_path)
    yield made
    made.close()


@pytest.fixture(params=GIVEN)
def openai_side(request, server, tmp_path) -> Iterator[Side]:
    made = Side(request.param, server, tmp_path)
    yield made
    made.close()


def text(stream: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


# A conversation


def test_what_was_said_is_in_the_next_prompt_as_marked_data(side, server):
    side.ask("I live in Lisbon, by the river.")
    assert side.said() == [
        ("user", "I live in Lisbon, by the river."),
        ("assistant", "I will remember that."),
    ]
    answer = side.ask("In which town do I live?")
    assert answer.choices[0].message.content == "I will remember that."
    assert server.seen[0].content == "I live in Lisbon, by the river."
    told = server.seen[1].content
    assert marked(told)
    assert '"I live in Lisbon, by the river."' in told
    assert told.endswith("</recalled_memories>\n\nIn which town do I live?")


def test_what_is_recalled_is_not_learned_again(side, server):
    side.ask("I live in Lisbon, by the river.")
    side.said()
    side.ask("In which town do I live?")
    prompt = server.seen[-1].body["messages"]
    side.said()
    side.ask(messages=prompt)  # an application that sends on what it saw on the wire
    assert marked(server.seen[-1].content)
    remembered = [told for role, told in side.said() if role == "user"]
    assert remembered == [
        "I live in Lisbon, by the river.",
        "In which town do I live?",
        "In which town do I live?",
    ]


def test_of_a_whole_conversation_only_what_is_new_is_remembered(side):
    messages = [{"role": "system", "content": "Be kind."}]
    for content in ("I keep bees on the roof.", "Their honey is dark."):
        messages.append(user(content))
        answer = side.ask(messages=messages)
        messages.append({"role": "assistant", "content": answer.choices[0].message.content})
    assert [told for _, told in side.said()] == [
        "I keep bees on the roof.",
        "I will remember that.",
        "Their honey is dark.",
        "I will remember that.",
    ]


def test_the_callers_messages_are_left_as_they_are(side, server):
    side.ask("I live in Lisbon, by the river.")
    side.said()
    messages = [user("In which town do I live?")]
    side.ask(messages=messages)
    assert messages == [user("In which town do I live?")]
    assert marked(server.seen[-1].content)


def test_an_answer_as_it_came_may_be_sent_back(side, server):
    messages: list[Any] = [user("I live in Lisbon, by the river.")]
    messages.append(side.ask(messages=messages).choices[0].message)
    messages.append(user("And in which town was that again?"))
    side.ask(messages=messages)
    assert [message["role"] for message in server.seen[-1].body["messages"]] == ["user", "assistant", "user"]
    assert len(side.said()) == 4


def test_users_are_kept_apart(side, server):
    for name, town in {"maya": "Lisbon", "rui": "Porto", "ana": "Faro"}.items():
        side.ask(f"I live in the town of {town}.", user_id=name)
    for name in ("maya", "rui", "ana"):
        side.said(user_id=name)
    side.ask("In which town do I live?", user_id="rui")
    assert "Porto" in server.seen[-1].content
    assert "Lisbon" not in server.seen[-1].content
    assert "Faro" not in server.seen[-1].content


def test_each_call_may_say_what_is_recalled(side, server):
    for n in range(1, 6):
        side.ask(f"Bee hive number {n} stands on the roof.", agent_id="keeper" if n % 2 else "vet")
        side.said()
    side.ask("Which bee hive stands where?", filters={"agent_id": "vet"})
    told = server.seen[-1].content
    assert "number 2" in told
    assert "number 3" not in told
    side.ask("Which bee hive stands where?", limit=1)
    assert server.seen[-1].content.count("Bee hive number") == 1


def test_a_call_without_anybody_is_refused_before_the_chat_is_asked(side, server):
    with pytest.raises(MissingScope, match="user_id, agent_id or run_id"):
        side.ask("hello there", user_id=None)
    with pytest.raises(ValueError, match="like"):
        side.ask("Where do I live, do you know?", filters={"user_id": {"like": 1}})
    assert server.seen == []


def test_the_client_may_say_whose_memory_it_is(server, tmp_path):
    side = Side("sync wrapped", server, tmp_path, user_id="maya", metadata={"channel": "web"})
    side.client.chat.completions.create(model="m", messages=[user("I live in Lisbon, by the river.")])
    side.client.flush()
    [first, *_] = side.memory.get_all(user_id="maya", filters={"channel": "web"})["results"]
    assert first["metadata"]["channel"] == "web"
    side.close()


# What goes to the model


def test_every_other_argument_passes_through_untouched(side, server):
    arguments = {
        "temperature": 0.5,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["x"],
        "user": "u-1",
        "logit_bias": {"50256": -100},
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
    }
    side.ask(**arguments, extra_headers={"X-Trace": "t-1"}, extra_body={"min_p": 0.1}, extra_query={"v": "2"})
    [seen] = server.seen
    assert {name: seen.body[name] for name in arguments} == arguments
    assert set(seen.body) == {"model", "messages", "min_p", *arguments}
    assert seen.headers["x-trace"] == "t-1"
    assert seen.path == "/v1/chat/completions?v=2"


def test_metadata_is_the_memorys_with_perdure_and_the_chats_with_a_wrapped_client(side, server):
    side.ask("I live in Lisbon, by the river.", metadata={"topic": "home"})
    side.said()
    found = side.wait(side.memory.get_all(user_id="maya", filters={"topic": "home"}))["results"]
    if side.how == "wrapped":
        assert (server.seen[0].body["metadata"], found) == ({"topic": "home"}, [])
    else:
        assert "metadata" not in server.seen[0].body
        assert len(found) == 2


def test_pictures_pass_through_and_their_words_are_remembered(side, server):
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 400_000}}
    side.ask([{"type": "text", "text": "This is my dog Biscuit."}, picture])
    assert server.seen[0].images == (picture,)
    assert side.said() == [("user", "This is my dog Biscuit."), ("assistant", "I will remember that.")]


# Tools and structured output


def test_calls_of_tools_pass_through_and_only_words_are_remembered(side, server):
    server.answers([Said(calls=[("weather", '{"town": "Lisbon"}')]), "It is sunny in Lisbon."])
    messages: list[Any] = [user("What is the weather where I live?")]
    asked = side.ask(messages=messages, tools=TOOLS).choices[0]
    assert asked.finish_reason == "tool_calls"
    [call] = asked.message.tool_calls
    assert json.loads(call.function.arguments) == {"town": "Lisbon"}
    messages += [asked.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny, 25 degrees"}]
    assert side.ask(messages=messages, tools=TOOLS).choices[0].message.content == "It is sunny in Lisbon."
    assert side.said() == [
        ("user", "What is the weather where I live?"),
        ("assistant", "It is sunny in Lisbon."),
    ]


def test_streamed_calls_of_tools_come_in_the_same_pieces(side, server):
    server.answers(Said(calls=[("weather", '{"town": "Lisbon"}')]))
    chunks = side.read(side.ask("What is the weather there?", stream=True, tools=TOOLS))
    deltas = [chunk.choices[0].delta.tool_calls for chunk in chunks]
    pieces = [delta[0].function.arguments for delta in deltas if delta]
    assert "".join(pieces) == '{"town": "Lisbon"}'
    assert len(pieces) == 2
    assert side.said() == [("user", "What is the weather there?")]


class Town(BaseModel):
    name: str


@pytest.mark.parametrize("where", ["chat", "beta"])
def test_a_class_is_read_by_the_clients_own_parse(openai_side, server, where):
    server.answers('{"name": "Lisbon"}')
    chat = openai_side.client.chat if where == "chat" else openai_side.client.beta.chat
    answer = openai_side.wait(
        chat.completions.parse(
            model="m", messages=[user("Where do I live, do you know?")], response_format=Town, user_id="maya"
        )
    )
    assert answer.choices[0].message.parsed == Town(name="Lisbon")
    assert openai_side.said()[-1] == ("assistant", '{"name": "Lisbon"}')


# Streams


def test_a_stream_is_remembered_whole(side, server):
    server.answers("one two three")
    chunks = side.read(side.ask(stream=True))
    assert text(chunks) == "one two three"
    assert side.said()[-1] == ("assistant", "one two three")


def test_a_stream_with_usage_has_it(side, server):
    chunks = side.read(side.ask("hello there", stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens == 4
    assert side.said()[-1] == ("assistant", "I will remember that.")


@pytest.mark.parametrize("how", ["closed", "dropped", "left"])
def test_a_stream_that_is_not_read_to_its_end_is_remembered_whole(side, server, how):
    server.answers(Said("one two three four five six", latency=0.01))
    stream = side.ask(stream=True)
    assert text(side.read(stream, 3)) == "one two"
    if how == "closed":
        side.wait(stream.close())
        assert side.read(stream) == []
    elif how == "left":
        leave(side, stream)
    del stream
    gc.collect()
    assert side.said()[-1] == ("assistant", "one two three four five six")


def leave(side: Side, stream: Any) -> None:
    async def entered() -> None:
        async with stream:
            pass

    if side.runner:
        side.wait(entered())
    else:
        with stream:
            pass


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_may_be_told_not_to_read_on(server, tmp_path, kind):
    side = Side(kind, server, tmp_path, finish_streams=False)
    server.answers(Said("one two three " + "more " * 500, latency=0.01))
    stream = side.ask(stream=True)
    side.read(stream, 4)
    side.wait(stream.close())
    server.wait_for(left=1)
    assert side.said()[-1] == ("assistant", "one two three")
    side.close()


def test_closing_the_client_stores_what_came_of_a_stream_that_is_being_read(side, server):
    server.answers("one two three")
    stream = side.ask(stream=True)
    side.read(stream, 3)
    side.wait(side.client.flush())  # does not wait for its own reader
    side.close()
    with Memory(side.config) as memory:
        told = [one["memory"] for one in memory.get_all(user_id="maya", show_all=True)["results"]]
    assert "one two" in told
    assert "one two three" not in told


def test_the_pieces_of_openais_own_helper_are_remembered(openai_side, server):
    server.answers(Said("one two three", latency=0.01))
    events: list[str] = []

    async def read() -> str:
        async with openai_side.client.chat.completions.stream(**asked) as stream:
            async for event in stream:
                events.append(event.type)
            return (await stream.get_final_completion()).choices[0].message.content

    asked = {"model": "m", "messages": [user("Count, will you please?")], "user_id": "maya"}
    if openai_side.runner:
        final = openai_side.wait(read())
    else:
        with openai_side.client.chat.completions.stream(**asked) as stream:
            events += [event.type for event in stream]
            final = stream.get_final_completion().choices[0].message.content
    assert final == "one two three"
    assert "content.done" in events
    assert openai_side.said() == [("user", "Count, will you please?"), ("assistant", "one two three")]


def test_who_leaves_openais_own_helper_half_way_is_remembered_too(openai_side, server):
    server.answers(Said("one two three", latency=0.01))
    asked = {"model": "m", "messages": [user("Count, will you please?")], "user_id": "maya"}

    async def read() -> None:
        async with openai_side.client.chat.completions.stream(**asked) as stream:
            await anext(aiter(stream))

    if openai_side.runner:
        openai_side.wait(read())
    else:
        with openai_side.client.chat.completions.stream(**asked) as stream:
            next(iter(stream))
    assert openai_side.said()[-1] == ("assistant", "one two three")


async def parsed(raw: Any) -> Any:
    """In a loop, as applications do it."""
    return raw.parse()


def test_raw_responses_are_remembered(openai_side, server):
    raw = openai_side.client.chat.completions.with_raw_response
    asked = {"model": "m", "messages": [user("Where do I live, do you know?")], "user_id": "maya"}
    answer = openai_side.wait(raw.create(**asked))
    assert answer.status_code == 200
    assert answer.parse().choices[0].message.content == "I will remember that."
    streamed = openai_side.wait(raw.create(**asked, stream=True))
    assert streamed.headers["content-type"] == "text/event-stream"
    assert openai_side.wait(parsed(streamed) if openai_side.runner else streamed.parse()) is streamed.parse()
    assert text(openai_side.read(streamed.parse())) == "I will remember that."
    assert [role for role, _ in openai_side.said()] == ["user", "assistant", "user", "assistant"]


# Errors of the chat


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "theirs", "ours"),
    [
        (401, openai.AuthenticationError, ModelUnavailable),
        (400, openai.BadRequestError, ModelUnavailable),
        (429, openai.RateLimitError, Unavailable),
        (500, openai.InternalServerError, Unavailable),
    ],
)
def test_an_error_of_the_chat_is_the_clients_own_and_nothing_is_remembered(
    side, server, status, theirs, ours, stream
):
    server.answers(Fault(status=status, message="told to fail"))
    with pytest.raises(ours if side.how == "own" else theirs, match="told to fail"):
        side.ask("I live in Lisbon, by the river.", stream=stream)
    assert side.said() == []


@pytest.mark.parametrize("ends", ["cut", "error"])
def test_a_stream_that_breaks_off_raises_and_nothing_is_remembered(side, server, ends):
    server.answers(Said("one two three", ends=ends))
    with pytest.raises((openai.APIError, Unavailable)):
        side.read(side.ask(stream=True))
    assert side.said() == []


def test_what_was_not_answered_is_remembered_with_what_is_said_next(side, server):
    server.answers([Fault(status=503), "Now I am here."])
    with pytest.raises((openai.APIError, Unavailable)):
        side.ask("I live in Lisbon, by the river.")
    side.ask(messages=[user("I live in Lisbon, by the river."), user("Are you there?")])
    assert [told for _, told in side.said()] == [
        "I live in Lisbon, by the river.",
        "Are you there?",
        "Now I am here.",
    ]


async def consumed(stream: Any) -> None:
    async for _ in stream:
        pass


def test_a_cancelled_call_remembers_nothing_and_a_cancelled_reader_all(server, tmp_path):
    side = Side("async given", server, tmp_path)

    async def run() -> None:
        server.answers(Fault("hang"))
        asked = side.client.chat.completions.create(model="m", messages=[user("hello there")], user_id="maya")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await asked
        server.answers(Said("one two three four", latency=0.05))
        stream = await side.client.chat.completions.create(
            model="m", messages=[user("Count, will you please?")], user_id="maya", stream=True
        )
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(consumed(stream), 0.12)

    side.wait(run())
    gc.collect()
    assert side.said() == [("user", "Count, will you please?"), ("assistant", "one two three four")]
    side.close()


def test_who_was_cancelled_while_waiting_for_a_piece_gets_it_the_next_time(server, tmp_path):
    side = Side("async own", server, tmp_path)
    server.answers(Said("one two three", latency=0.03))

    async def run() -> str:
        stream = await side.client.chat.completions.create(
            model="m", messages=[user("Count, will you please?")], user_id="maya", stream=True
        )
        found = ""
        while True:
            try:
                async with asyncio.timeout(0.01):
                    found += (await anext(stream)).choices[0].delta.content or ""
            except TimeoutError:
                continue
            except StopAsyncIteration:
                return found

    assert side.wait(run()) == "one two three"
    side.close()


# Being like the client that was given


def test_a_wrapped_client_is_the_same_kind_of_client(openai_side, server):
    wrapped = openai_side.client
    assert isinstance(wrapped, AsyncOpenAI if openai_side.runner else OpenAI)
    assert wrapped.api_key == KEY
    assert wrapped.models is openai_side.theirs.models
    wrapped.timeout = 3.0
    assert openai_side.theirs.timeout == 3.0
    answer = openai_side.ask("I live in Lisbon, by the river.")
    assert isinstance(answer, openai.types.chat.ChatCompletion)
    stream = openai_side.ask("And now as a stream, please.", stream=True)
    assert isinstance(stream, openai.AsyncStream if openai_side.runner else openai.Stream)
    assert all(isinstance(c, openai.types.chat.ChatCompletionChunk) for c in openai_side.read(stream))
    other = wrapped.with_options(timeout=7.0)
    assert other.timeout == 7.0
    openai_side.wait(
        other.chat.completions.create(model="m", messages=[user("With other options.")], user_id="maya")
    )
    assert ("user", "With other options.") in openai_side.said()


def test_one_line_is_enough(server, monkeypatch, tmp_path):
    monkeypatch.setenv("PERDURE_PATH", str(tmp_path / "memory.db"))
    monkeypatch.setenv("PERDURE_EMBEDDER", "none")
    with remember(OpenAI(base_url=server.openai, api_key=KEY), user_id="maya") as client:
        client.chat.completions.create(model="m", messages=[user("I live in Lisbon, by the river.")])
    assert client.is_closed()
    with Memory() as memory:
        assert len(memory.get_all(user_id="maya")["results"]) == 2


def test_closing_perdure_leaves_open_what_was_given(server, tmp_path):
    side = Side("sync given", server, tmp_path)
    with side.client as client:
        client.chat.completions.create("m", [user("I live in Lisbon, by the river.")], user_id="maya")
    assert len(side.memory.get_all(user_id="maya")["results"]) == 2
    assert not side.theirs.is_closed()
    side.close()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Perdure(client=AsyncOpenAI(api_key=KEY)), "AsyncPerdure"),
        (lambda: AsyncPerdure(client=OpenAI(api_key=KEY)), "AsyncOpenAI"),
        (lambda: Perdure(client=object()), "chat.completions.create"),
        (lambda: remember(object()), "chat.completions.create"),
        (lambda: remember(Perdure()), "remembers already"),
        (lambda: remember(OpenAI(api_key=KEY), memory=AsyncMemory()), "takes a Memory"),
        (lambda: remember(AsyncOpenAI(api_key=KEY), memory=Memory()), "AsyncMemory"),
        (lambda: Perdure(client=OpenAI(api_key=KEY), base_url="http://localhost/v1"), "one of them"),
        (lambda: Perdure({}, memory=Memory()), "one of them"),
        (lambda: Perdure(user="maya"), "'user'"),
        (lambda: Perdure(recall_timeout="soon"), "recall_timeout='soon'"),
        (lambda: Perdure(recall_timeout=0), "recall_timeout=0"),
    ],
)
def test_what_does_not_go_together_is_refused(make, told):
    with pytest.raises(InvalidInput, match=told):
        make()


# Our own client


def test_a_key_of_the_environment_goes_to_whom_it_is_for(server, monkeypatch, tmp_path):
    config = {"path": str(tmp_path / "memory.db"), "embedder": "none"}
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def headers(**options: Any) -> dict[str, str]:
        arguments = options.pop("arguments", {})
        with Perdure(config, **options) as client:
            client.chat.completions.create("m", [user("hello there")], user_id="u", **arguments)
        return dict(server.seen[-1].headers)

    assert "authorization" not in headers(base_url=server.openai)
    assert (
        headers(client=ChatServer(base_url=server.openai, api_key="other"))["authorization"] == "Bearer other"
    )
    assert (
        headers(arguments={"base_url": server.openai, "api_key": "third"})["authorization"] == "Bearer third"
    )
    assert "authorization" not in headers(arguments={"base_url": server.openai})
    monkeypatch.setenv("OPENAI_BASE_URL", server.openai)
    assert headers()["authorization"] == f"Bearer {KEY}"


def test_without_a_key_openai_is_not_asked(tmp_path):
    config = {"path": str(tmp_path / "memory.db"), "embedder": "none"}
    with Perdure(config) as client, pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        client.chat.completions.create("m", [user("hello there")], user_id="u")


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        ({"timeout": "soon"}, "timeout='soon'"),
        ({"deployment_id": "d"}, "LiteLLM"),
        ({"response_format": Town}, "JSON"),
    ],
)
def test_what_our_own_client_cannot_send_is_refused(server, tmp_path, argument, told):
    side = Side("sync own", server, tmp_path)
    with pytest.raises(InvalidInput, match=told):
        side.ask(**argument)
    side.close()
    assert server.seen == []


def test_arguments_that_are_none_are_left_out(server, tmp_path):
    side = Side("sync own", server, tmp_path)
    side.ask("hello there", temperature=None, timeout=None, tools=None)
    side.close()
    assert set(server.seen[0].body) == {"model", "messages"}


def test_neither_texts_nor_keys_are_told_in_errors(server, tmp_path):
    side = Side("sync own", server, tmp_path)
    secret = "my doctor says that I am allergic to penicillin"
    server.answers(lambda seen: Fault(status=400, message=f"cannot read: {seen.content}"))
    with pytest.raises(ModelUnavailable) as caught:
        side.ask(secret)
    side.close()
    assert "penicillin" not in str(caught.value)


# A server of ours


@pytest.mark.parametrize("make", [Perdure, AsyncPerdure])
def test_a_server_of_ours_cannot_be_asked_yet(make, monkeypatch):
    with pytest.raises(ConfigurationError, match="PERDURE_URL is missing"):
        make(api_key="my-secret-key")
    monkeypatch.setenv("PERDURE_URL", "https://memory.example.org")
    with pytest.raises(ConfigurationError, match=r"memory\.example\.org") as caught:
        make(api_key="my-secret-key")
    assert "my-secret-key" not in str(caught.value)


# Many at once


def test_many_users_talk_at_once(server, tmp_path):
    side = Side("async own", server, tmp_path)
    server.answers(lambda seen: f"You said: {seen.content.rpartition('>')[2].strip()}")

    async def talk(n: int) -> None:
        for place in range(4):
            stream = await side.client.chat.completions.create(
                model="m", messages=[user(f"Note {place} of user {n}.")], user_id=f"u{n}", stream=True
            )
            async for _ in stream:
                pass

    async def run() -> None:
        await asyncio.gather(*(talk(n) for n in range(20)))

    side.wait(run())
    for n in range(20):
        told = [said for role, said in side.said(user_id=f"u{n}") if role == "user"]
        assert told == [f"Note {place} of user {n}." for place in range(4)]
    assert {len(set(re.findall(r"of user (\d+)", seen.content))) for seen in server.seen} == {1}
    side.close()


def test_many_threads_share_a_client(server, tmp_path):
    side = Side("sync wrapped", server, tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: side.ask(f"Note number {n} is here.", user_id=f"u{n % 4}"), range(24)))
    told = [said for n in range(4) for _, said in side.said(user_id=f"u{n}")]
    assert {f"Note number {n} is here." for n in range(24)} <= set(told)
    side.close()


def test_a_blocking_client_works_inside_a_running_loop(server, tmp_path):
    side = Side("sync own", server, tmp_path)

    async def cell() -> None:
        side.ask("I live in Lisbon, by the river.")
        assert text(side.read(side.ask("In which town do I live?", stream=True))) == "I will remember that."

    asyncio.run(cell())
    assert len(side.said()) == 4
    side.close()


def test_the_answer_does_not_wait_for_the_memory(server, tmp_path):
    """A store that is locked by somebody else holds up what is remembered, and not the answer."""
    import sqlite3

    side = Side("sync own", server, tmp_path)
    side.ask("The first one makes the store.")
    side.said()
    other = sqlite3.connect(tmp_path / "memory.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = side.ask("I live in Lisbon, by the river.")
    assert answer.choices[0].message.content == "I will remember that."
    assert ("user", "I live in Lisbon, by the river.") not in [
        (one["role"], one["memory"]) for one in side.memory.get_all(user_id="maya", show_all=True)["results"]
    ]
    other.execute("ROLLBACK")
    other.close()
    assert ("user", "I live in Lisbon, by the river.") in side.said()
    side.close()
