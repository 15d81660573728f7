"""The server of models gives embeddings as OpenAI does, over HTTP: vectors, usage, latencies and faults."""

from __future__ import annotations

import json
import struct
import threading
from base64 import b64decode
from collections.abc import Iterator
from http.client import HTTPException
from math import sqrt
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from perdure.testing.models import Fault, ModelServer

TEXTS = ["I moved to Lisbon", "I live in Lisbon", "quarterly revenue"]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        yield running


def post(server: ModelServer, timeout: float = 30.0, **body: Any) -> Any:
    """What the server answers to a request for embeddings."""
    request = Request(
        f"{server.openai}/embeddings",
        data=json.dumps({"model": "m", **body}).encode(),
        headers={"Content-Type": "application/json", "Authorization": "Bearer k"},
    )
    with urlopen(request, timeout=timeout) as answer:
        return json.load(answer)


def vectors(answer: Any) -> list[list[float]]:
    assert [item["index"] for item in answer["data"]] == list(range(len(answer["data"])))
    return [item["embedding"] for item in answer["data"]]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_each_text_gets_a_vector_of_unit_length_in_the_order_given(server):
    answer = post(server, input=TEXTS, dimensions=1024)
    made = vectors(answer)
    assert [len(vector) for vector in made] == [1024] * 3
    assert all(sqrt(cosine(vector, vector)) == pytest.approx(1, abs=1e-5) for vector in made)
    assert cosine(made[0], made[1]) > cosine(made[0], made[2]) + 0.2  # what shares words is near
    assert (answer["object"], answer["model"], answer["data"][0]["object"]) == ("list", "m", "embedding")
    assert answer["usage"] == {"prompt_tokens": 10, "total_tokens": 10}


def test_one_text_alone_is_as_good_as_a_list_and_the_same_text_has_the_same_vector_in_every_server(server):
    alone = vectors(post(server, input=TEXTS[0]))
    assert len(alone[0]) == 1536
    with ModelServer() as another:
        assert vectors(post(another, input=[*TEXTS[1:], TEXTS[0]]))[-1] == alone[0]


def test_vectors_come_as_bytes_where_that_is_asked_for(server):
    [encoded] = vectors(post(server, input="tea", dimensions=8, encoding_format="base64"))
    [plain] = vectors(post(server, input="tea", dimensions=8, encoding_format="float"))
    assert list(struct.unpack("<8f", b64decode(encoded))) == plain


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": [""]}, "input"),
        ({"input": ["a"] * 2049}, "2048"),
        ({"input": [1, 2]}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": True}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_what_openai_refuses_is_refused(server, body, told):
    with pytest.raises(HTTPError) as caught:
        post(server, **body)
    with caught.value as refused:
        assert refused.code == 400
        assert told in json.load(refused)["error"]["message"]


def test_requests_are_kept_beside_those_for_answers(server):
    post(server, input=TEXTS, dimensions=4)
    server.wait_for(1)
    [seen] = server.embedded
    assert (seen.model, seen.texts, seen.dimensions, seen.encoding) == ("m", tuple(TEXTS), 4, "float")
    assert (seen.path, seen.headers["authorization"], seen.body["input"]) == (
        "/v1/embeddings",
        "Bearer k",
        TEXTS,
    )
    assert server.seen == []


def test_a_latency_holds_an_answer_up_and_no_other(server):
    server.embedding_latency = lambda seen: 60.0 if seen.texts == ("slow",) else 0.0

    def late() -> None:
        with pytest.raises((HTTPException, OSError)):
            post(server, input="slow")

    waiting = threading.Thread(target=late)
    waiting.start()
    server.wait_for(1)
    assert len(vectors(post(server, input="fast"))) == 1
    assert waiting.is_alive()
    server.stop()
    waiting.join(timeout=10)
    assert not waiting.is_alive()


def test_while_a_server_is_held_it_gives_nothing_and_then_what_waits(server):
    made: list[Any] = []
    with server.held():
        waiting = threading.Thread(target=lambda: made.append(post(server, input="a")))
        waiting.start()
        server.wait_for(1)
        waiting.join(timeout=0.1)
        assert made == []
    waiting.join(timeout=10)
    assert len(vectors(made[0])) == 1


def test_faults_come_in_the_order_told_and_the_last_one_for_ever(server):
    server.embeddings([Fault(status=429, code="rate_limit", headers={"Retry-After": "3"}), None])
    with pytest.raises(HTTPError) as caught:
        post(server, input="a")
    with caught.value as refused:
        error = json.load(refused)["error"]
        assert (refused.code, refused.headers["Retry-After"]) == (429, "3")
        assert (error["code"], error["message"]) == ("rate_limit", "told to fail")
    assert [len(vectors(post(server, input="a"))) for _ in range(2)] == [1, 1]


def test_a_fault_may_depend_on_the_request(server):
    server.embeddings(lambda seen: Fault("refusal") if "bad" in seen.texts else None)
    assert len(vectors(post(server, input="good"))) == 1
    with pytest.raises(HTTPError) as caught:
        post(server, input=["good", "bad"])
    with caught.value as refused:
        assert (refused.code, json.load(refused)["error"]["code"]) == (400, "content_filter")


@pytest.mark.parametrize("kind", ["drop", "cut"])
def test_a_connection_can_break(kind):
    with ModelServer(embeddings=Fault(kind)) as server, pytest.raises((HTTPException, URLError, OSError)):
        post(server, input="a")


def test_an_answer_can_be_garbage_empty_or_too_short(server):
    server.embeddings([Fault("garbage"), Fault("empty"), Fault("length")])
    with pytest.raises(json.JSONDecodeError):
        post(server, input="a")
    assert post(server, input="a") == {}
    assert len(vectors(post(server, input=["a", "b", "c"]))) == 2


def test_a_request_can_hang_until_the_server_stops(server):
    server.embeddings(Fault("hang"))
    with pytest.raises(TimeoutError):
        post(server, timeout=0.2, input="a")
    assert len(server.embedded) == 1
