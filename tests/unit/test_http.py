"""JSON over HTTP: what is tried again and how often, what is not, and that nothing private is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import Closed, ContentRefused, ModelUnavailable, Unavailable
from perdure.http import Client, HttpOptions, Refused
from perdure.http.events import Events
from perdure.http.replies import LONGEST_MESSAGE, read, shown
from perdure.http.retries import LONGEST_WAIT, Breaker, asked_to_wait, pause
from perdure.testing.models import Fault, ModelServer, Said

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEY = "sk-a-very-secret-key-0123456789"
WORDS = "my doctor says that I am allergic to penicillin"


@pytest.fixture
def server():
    with ModelServer("hello") as running:
        yield running


def client(server: ModelServer, **options) -> Client:
    return Client(
        name="Thing", base_url=server.openai, options=HttpOptions(**{"backoff": 0.0, "rest": 0.0, **options})
    )


def payload(content: str = "hi") -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": content}]}


async def post(thing: Client, content: str = "hi", **how):
    return await thing.post("/chat/completions", payload(content), **how)


def posted(thing: Client, content: str = "hi", **how):
    """One call in a loop of its own, which is not closed by hand."""
    return asyncio.run(post(thing, content, **how))


def refused(thing: Client, kind=Unavailable, **how) -> str:
    with pytest.raises(kind) as caught:
        posted(thing, **how)
    assert isinstance(caught.value, (Unavailable, ModelUnavailable))
    return str(caught.value)


# An answer


def test_an_answer_comes_with_its_status_and_headers(server):
    reply = posted(client(server))
    assert reply.status == 200
    assert reply.body["choices"][0]["message"]["content"] == "hello"
    assert reply.headers["content-type"].startswith("application/json")


def test_texts_of_all_scripts_arrive_and_half_a_surrogate_does_no_harm(server):
    posted(client(server), "你好 🎉 ñ \x00")
    posted(client(server), "half \ud83d of it")
    assert [seen.content for seen in server.seen] == ["你好 🎉 ñ \x00", "half ? of it"]


def test_a_whole_url_goes_over_the_base(server):
    thing = Client(name="Thing", base_url="http://127.0.0.1:1")
    reply = asyncio.run(thing.post(f"{server.openai}/chat/completions", payload()))
    assert reply.status == 200


# An answer in events


@given(
    st.lists(st.text()),
    st.lists(st.integers(min_value=1, max_value=7)),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_events_are_the_same_however_their_bytes_are_parted(texts, sizes, line_end):
    lines = [line for text in texts for line in (": a comment", f"data: {json.dumps(text)}", "")]
    content = (line_end.join([*lines, "data: half"])).encode()
    events, found = Events(), []
    for size in itertools.cycle([*sizes, 5]):
        piece, content = content[:size], content[size:]
        found += events.feed(piece)
        if not content:
            break
    assert [json.loads(data) for data in found] == texts
    assert events.waiting


def test_an_event_may_have_several_lines():
    assert list(Events().feed(b"event: x\ndata: a\ndata:b\nid: 3\n\n\n\ndata: c\r\n\r\n")) == [b"a\nb", b"c"]


async def streamed(thing: Client, **how) -> list[str]:
    payload_ = {**payload(), "stream": True}
    events = thing.events("/chat/completions", payload_, **how)
    return [event["choices"][0]["delta"].get("content", "") async for event in events]


def test_events_come_one_after_another(server):
    server.answers("Grüße aus 北京")
    assert "".join(asyncio.run(streamed(client(server)))) == "Grüße aus 北京"


def test_a_stream_that_has_not_begun_is_tried_again(server):
    server.answers([Fault(), Fault("drop"), "hello"])
    assert "".join(asyncio.run(streamed(client(server)))) == "hello"
    assert len(server.seen) == 3


@pytest.mark.parametrize("ends", ["cut", "error"])
def test_a_stream_that_breaks_off_is_unavailable_and_not_tried_again(server, ends):
    server.answers(Said("one two three", ends=ends))
    with pytest.raises(Unavailable):
        asyncio.run(streamed(client(server)))
    assert len(server.seen) == 1


def test_a_stream_that_is_refused_says_so(server):
    server.answers(Fault(status=401, message=f"bad key {KEY}"))
    with pytest.raises(Refused) as caught:
        asyncio.run(streamed(client(server), headers={"Authorization": f"Bearer {KEY}"}))
    assert KEY not in str(caught.value)


def test_who_stops_reading_gives_the_connection_back(server):
    async def run() -> None:
        thing = client(server, concurrency=1)
        events = thing.events("/chat/completions", {**payload(), "stream": True})
        await anext(events)
        await events.aclose()
        await asyncio.to_thread(server.wait_for, left=1)
        server.answers("again")
        assert (await post(thing)).status == 200
        await thing.aclose()

    server.answers(Said("word " * 500, latency=0.005))
    asyncio.run(run())


def test_a_stream_that_hangs_is_a_time_out_however_long_it_went_on(server):
    server.answers(Said("a b c d e f g h", latency=0.05))
    assert len(asyncio.run(streamed(client(server), seconds=0.2))) == 10  # together longer than that
    server.answers(Said("a b", latency=5))
    with pytest.raises(Unavailable, match=r"no answer within 0\.2 s"):
        asyncio.run(streamed(client(server, retries=0), seconds=0.2))


def test_an_endless_event_is_not_read(server):
    server.answers(Said(pieces=["x" * 1_000]))
    with pytest.raises(ModelUnavailable, match="max_answer_bytes"):
        asyncio.run(streamed(client(server, max_answer_bytes=500)))


# Trying again


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_a_passing_failure_is_tried_again(server, status):
    server.answers([Fault(status=status), Fault(status=status), "well"])
    assert posted(client(server)).body["choices"][0]["message"]["content"] == "well"
    assert len(server.seen) == 3


@pytest.mark.parametrize("kind", ["drop", "cut", "garbage"])
def test_a_broken_answer_is_tried_again(server, kind):
    server.answers([Fault(kind), "well"])
    assert posted(client(server)).status == 200
    assert len(server.seen) == 2


@pytest.mark.parametrize("kind", ["status", "drop", "cut", "garbage"])
def test_after_so_many_retries_it_is_given_up(server, kind):
    server.answers(Fault(kind, status=503))
    assert "tries: 3" in refused(client(server, retries=2))
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 301, 307])
def test_a_refusal_is_final(server, status):
    server.answers(Fault(status=status, message="no", headers={"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(Refused, match=str(status)) as caught:
        posted(client(server))
    assert (caught.value.status, caught.value.told) == (status, "no")
    assert len(server.seen) == 1


def test_each_refusal_says_where_to_look(server):
    for status, advice in ((401, "api_key"), (404, "base_url"), (302, "base_url"), (400, "not take")):
        server.answers(Fault(status=status))
        assert advice in refused(client(server), ModelUnavailable)


def test_a_failure_that_a_gateway_wraps_into_a_success_is_one():
    for code, kind in ((503, Unavailable), ("upstream", Unavailable), (401, Refused)):
        body = json.dumps({"error": {"message": "no", "code": code}})
        with pytest.raises(kind, match=r"\(no\)"):
            read("Thing", 200, {}, body.encode(), ())


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "content_filter", "innererror": {"code": "x"}}},
        {"error": {"code": "400", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
        [{"error": {"details": [3, {"reason": "CONTENT_FILTER"}]}}],
        {"code": "invalid_prompt", "message": "no"},
        {"detail": "Output blocked by content filtering policy"},
    ],
)
def test_a_content_filter_is_known_wherever_its_code_stands(body):
    with pytest.raises(ContentRefused, match="content filter declines this"):
        read("Thing", 400, {}, json.dumps(body).encode(), ())
    with pytest.raises(Unavailable):
        read("Thing", 500, {}, json.dumps(body).encode(), ())


@pytest.mark.parametrize(
    "body", [[], 3, {"error": [3]}, {"error": {"details": {"reason": 3}, "innererror": []}}, {"code": 3}]
)
def test_an_error_of_another_shape_is_about_no_content(body):
    with pytest.raises(Refused) as caught:
        read("Thing", 400, {}, json.dumps(body).encode(), ())
    assert not isinstance(caught.value, ContentRefused)


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_no_answer(content):
    with pytest.raises(Unavailable, match="no JSON object"):
        read("Thing", 200, {}, content, ())
    with pytest.raises(Unavailable, match="answered 500"):
        read("Thing", 500, {}, content, ())


def test_the_time_that_a_provider_asks_for_is_given(server):
    server.answers([Fault(status=429, headers={"Retry-After": "0.3"}), "well"])
    begun = time.monotonic()
    posted(client(server))
    assert time.monotonic() - begun >= 0.3


def test_a_longer_wait_than_the_budget_is_not_waited_for(server):
    server.answers(Fault(status=429, message="slow down", headers={"Retry-After": "3600"}))
    told = refused(client(server))
    assert "asks to wait 3600 s" in told
    assert "slow down" in told
    assert len(server.seen) == 1


def test_the_budget_ends_the_tries(server):
    server.answers(Fault("hang"))
    assert "tries: " in refused(client(server, timeout=0.1, budget=0.25, retries=100))
    assert len(server.seen) <= 4


def test_a_hanging_server_is_a_time_out(server):
    server.answers([Fault("hang"), "well"])
    assert posted(client(server, timeout=0.2)).status == 200
    server.answers(Fault("hang"))
    assert "no answer within 0.1 s: raise `timeout`" in refused(client(server, timeout=0.1, retries=0))


def test_nobody_there_is_unavailable():
    told = refused(Client(name="Thing", base_url="http://127.0.0.1:9", options=HttpOptions(retries=0)))
    assert "Thing at 127.0.0.1:9 cannot be reached (Connect" in told
    assert "base_url" in told


def test_a_url_that_is_none_is_a_matter_of_configuration():
    thing = Client(name="Thing", base_url="http://[::1")
    with pytest.raises(ModelUnavailable, match="base_url"):
        posted(thing)


def test_an_endless_answer_is_not_read(server):
    server.answers("x" * 100_000)
    assert "max_answer_bytes" in refused(client(server, max_answer_bytes=10_000), ModelUnavailable)
    assert len(server.seen) == 1


def test_the_cause_is_kept(server):
    server.answers(Fault("drop"))
    with pytest.raises(Unavailable) as caught:
        posted(client(server, retries=0))
    assert type(caught.value.__cause__).__module__.startswith("aiohttp")


# Nothing private


@pytest.mark.parametrize("status", [400, 500])
def test_neither_key_nor_text_is_told(server, status):
    server.answers(
        lambda seen: Fault(status=status, message=f"{seen.headers['authorization']}: {seen.content!r} in x")
    )
    with pytest.raises((Unavailable, ModelUnavailable)) as caught:
        posted(client(server, retries=0), WORDS, headers={"Authorization": f"Bearer {KEY}"}, private=[WORDS])
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in told
    assert "penicillin" not in told
    assert "Bearer …: '…' in x" in told


def test_a_long_message_is_cut():
    assert len(shown("x " * 5000, ())) == LONGEST_MESSAGE


@given(st.text(max_size=30), st.text(min_size=8, max_size=60), st.text(max_size=30))
def test_no_run_of_a_private_text_is_shown(before, private, after):
    run = min(16, len(" ".join(private.split())))
    text = shown(f"{before}{private}{after}", [" ".join(private.split())])
    assert run < 8 or " ".join(private.split()) not in text


def test_a_message_that_repeats_nothing_is_told_as_it_is():
    assert shown("The model `x` does not exist.", [WORDS, "x"]) == "The model `x` does not exist."


# A short rest


def test_a_provider_that_keeps_failing_is_left_alone(server):
    server.answers(Fault(status=503))
    thing = client(server, retries=0, rest=60.0, rest_after=2)
    for _ in range(2):
        refused(thing)
    assert "left alone for another 60 s" in refused(thing)
    assert len(server.seen) == 2


def test_after_its_rest_it_is_asked_again(server):
    server.answers(Fault(status=503))
    thing = client(server, retries=0, rest=0.05, rest_after=1)
    refused(thing)
    server.answers("well")
    time.sleep(0.1)
    assert posted(thing).status == 200
    assert posted(thing).status == 200


def test_a_refusal_is_no_reason_for_a_rest(server):
    server.answers(Fault(status=400))
    thing = client(server, rest=60.0, rest_after=1)
    for _ in range(3):
        refused(thing, Refused)
    assert len(server.seen) == 3


def test_after_a_rest_one_call_finds_out_for_all():
    breaker = Breaker(rest=10.0, after=2)
    breaker.failed(0.0)
    assert breaker.remaining(0.0) == 0
    breaker.failed(1.0)
    assert breaker.remaining(2.0) == 9.0
    assert breaker.remaining(11.0) == 0  # one goes
    assert breaker.remaining(12.0) == 9.0  # the others wait for what it finds
    breaker.worked()
    assert breaker.remaining(12.0) == 0
    assert breaker.remaining(12.0) == 0


# Waits


@given(st.integers(1, 10_000), st.floats(0, 60), st.floats(0, 1))
def test_a_wait_is_bounded_and_grows(attempt, backoff, chance):
    wait = pause(attempt, None, backoff=backoff, chance=chance)
    assert 0 <= wait <= LONGEST_WAIT
    assert pause(attempt + 1, None, backoff=backoff, chance=chance) >= wait
    assert pause(attempt, 5.0, backoff=backoff, chance=chance) >= 5.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Mon, 05 Jan 2026 12:01:00 GMT"}, 60.0),
        ({"retry-after": "Mon, 05 Jan 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 05 Jan 2026 12:01:00 -0000"}, 60.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_the_time_to_wait_is_read_as_a_number_or_a_date(headers, seconds):
    assert asked_to_wait(headers, NOW) == seconds


def test_options_that_could_only_hang_are_refused():
    for wrong in ({"timeout": 0}, {"concurrency": 0}, {"retries": -1}, {"budget": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            HttpOptions(**wrong)


# Loops, threads, processes


def test_no_more_calls_than_allowed_are_under_way_at_once(server):
    under_way, most = set(), []

    def counted(seen):
        under_way.add(seen.content)
        most.append(len(under_way))
        return "well"

    async def many() -> None:
        thing = client(server, concurrency=3)

        async def one(number: int) -> None:
            await post(thing, str(number))
            under_way.discard(str(number))

        await asyncio.gather(*map(one, range(20)))
        await thing.aclose()

    server.latency = 0.01
    server.answers(counted)
    asyncio.run(many())
    assert len(server.seen) == 20
    assert max(most) <= 3


def test_a_session_ends_with_its_loop_and_the_next_loop_has_its_own(server):
    thing = client(server)
    for _ in range(3):
        posted(thing)
    assert len(thing._lanes.clients()) == 1  # those of ended loops are forgotten


def test_two_loops_use_one_client_at_once(server):
    thing = client(server)
    server.latency = 0.05
    threads = [threading.Thread(target=partial(posted, thing)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.seen) == 4


def test_a_session_on_another_loop_is_closed_there(server):
    thing = client(server)
    posts, closed = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        await post(thing)
        posts.set()
        await asyncio.to_thread(closed.wait)
        with pytest.raises(Closed):
            await post(thing)

    thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
    thread.start()
    posts.wait()
    [lane] = thing._lanes.clients()
    asyncio.run(thing.aclose())
    assert lane.session.closed
    closed.set()
    thread.join()


def test_after_the_end_nothing_is_sent(server):
    async def run() -> None:
        thing = client(server)
        await post(thing)
        await thing.aclose()
        await thing.aclose()
        with pytest.raises(Closed):
            await post(thing)

    asyncio.run(run())
    assert len(server.seen) == 1


def test_a_call_under_way_when_the_client_is_closed_ends_as_unavailable(server):
    async def run() -> None:
        thing = client(server)
        under_way = asyncio.create_task(post(thing))
        await asyncio.to_thread(server.wait_for, 1)
        await thing.aclose()
        with pytest.raises(Unavailable):
            await under_way

    server.answers(Fault("hang"))
    asyncio.run(run())


def test_a_cancelled_call_ends_at_once_and_leaves_room_for_the_next(server):
    async def run() -> None:
        thing = client(server, concurrency=1)
        under_way = asyncio.create_task(post(thing))
        await asyncio.to_thread(server.wait_for, 1)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        server.answers("well")
        assert (await post(thing)).status == 200
        await thing.aclose()

    server.answers(Fault("hang"))
    asyncio.run(run())


def test_a_wait_between_two_tries_can_be_cancelled(server):
    async def run() -> None:
        thing = client(server)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await post(thing)
        await thing.aclose()

    server.answers(Fault(status=429, headers={"Retry-After": "30"}))
    asyncio.run(run())


def test_a_forked_child_has_connections_of_its_own(server):
    script = f"""
        import asyncio, os
        from perdure.http import Client
        thing = Client(name="Thing", base_url="{server.openai}")
        post = lambda: asyncio.run(thing.post("/chat/completions", {{"messages": []}})).status
        assert post() == 200
        if os.fork() == 0:
            os._exit(0 if post() == 200 else 1)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
        assert post() == 200
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], check=True, timeout=60)
    assert len(server.seen) == 3


def test_the_proxy_of_the_environment_is_used_unless_it_is_not_for_this_host(server, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    elsewhere = Client(name="Thing", base_url="http://models.invalid/v1", options=HttpOptions(retries=0))
    assert posted(elsewhere).status == 200
    assert server.seen[0].headers["host"] == "models.invalid"
    monkeypatch.setenv("no_proxy", "models.invalid")
    refused(elsewhere)
