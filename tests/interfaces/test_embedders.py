"""Embedders over HTTP: five vendors asked and read, calls of bounded size, and answers that are none refused."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from functools import partial

import numpy as np
import pytest

from perdure.embedders.cohere import CohereEmbedder
from perdure.embedders.gemini import GeminiEmbedder
from perdure.embedders.ollama import OllamaEmbedder
from perdure.embedders.openai import OpenAIEmbedder
from perdure.embedders.service import HttpEmbedder, batches, in_order
from perdure.embedders.voyage import VoyageEmbedder
from perdure.errors import (
    Closed,
    ConfigurationError,
    ContentRefused,
    ModelMismatch,
    ModelUnavailable,
    Unavailable,
)
from perdure.memory import Memory
from perdure.ports import QueryEmbedder
from perdure.registry import EMBEDDERS
from perdure.testing.embedders import EmbedderConformance
from perdure.testing.models import Fault, ModelServer

KEY = "sk-a-very-secret-key-0123456789"
VENDORS = {
    "openai": OpenAIEmbedder,
    "ollama": OllamaEmbedder,
    "gemini": GeminiEmbedder,
    "cohere": CohereEmbedder,
    "voyage": VoyageEmbedder,
}
NAMES = list(VENDORS)
KNOWN = {
    "openai": ("text-embedding-3-small", 1536),
    "ollama": ("nomic-embed-text:latest", 768),
    "gemini": ("models/gemini-embedding-001", 3072),
    "cohere": ("embed-english-v3.0", 1024),
    "voyage": ("voyage-3.5", 1024),
}
MOST = {"openai": 256, "ollama": 64, "gemini": 100, "cohere": 96, "voyage": 256}
PLAIN = {
    "openai": {"model": "m-1", "input": ["tea"], "encoding_format": "base64", "dimensions": 64},
    "ollama": {"model": "m-1", "input": ["tea"], "truncate": True, "dimensions": 64},
    "gemini": {
        "requests": [
            {
                "model": "models/m-1",
                "content": {"parts": [{"text": "tea"}]},
                "outputDimensionality": 64,
                "taskType": "RETRIEVAL_DOCUMENT",
            }
        ]
    },
    "cohere": {
        "model": "m-1",
        "texts": ["tea"],
        "input_type": "search_document",
        "embedding_types": ["float"],
        "truncate": "END",
        "output_dimension": 64,
    },
    "voyage": {
        "model": "m-1",
        "input": ["tea"],
        "input_type": "document",
        "truncation": True,
        "encoding_format": "base64",
        "output_dimension": 64,
    },
}
PATHS = {
    "openai": "/v1/embeddings",
    "ollama": "/api/embed",
    "gemini": "/v1beta/models/m-1:batchEmbedContents",
    "cohere": "/v2/embed",
    "voyage": "/voyage/v1/embeddings",
}


@pytest.fixture(autouse=True)
def no_keys_of_ours(monkeypatch):
    for vendor in VENDORS.values():
        for name in vendor.KEYS:
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with ModelServer(dimensions=64) as running:
        yield running


def embedder(server: ModelServer, vendor: str = "openai", **options) -> HttpEmbedder:
    given = {
        "model": "m-1",
        "dimensions": 64,
        "base_url": getattr(server, vendor),
        "backoff": 0.0,
        "rest": 0.0,
    }
    return VENDORS[vendor](**{**given, **options})


def embedded(asked: HttpEmbedder, *texts: str) -> np.ndarray:
    async def run() -> np.ndarray:
        try:
            return await asked.embed(texts)
        finally:
            await asked.aclose()

    return asyncio.run(run())


class Conformance(EmbedderConformance):
    vendor = ""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.make = partial(embedder, server, self.vendor)


class TestOpenAI(Conformance):
    vendor = "openai"


class TestOllama(Conformance):
    vendor = "ollama"


class TestGemini(Conformance):
    vendor = "gemini"


class TestCohere(Conformance):
    vendor = "cohere"


class TestVoyage(Conformance):
    vendor = "voyage"


@pytest.mark.parametrize("vendor", NAMES)
def test_a_request_is_what_the_vendor_documents(server, vendor):
    embedded(embedder(server, vendor), "tea")
    [seen] = server.embedded
    assert (seen.vendor, seen.path, seen.body) == (vendor, PATHS[vendor], PLAIN[vendor])


@pytest.mark.parametrize("vendor", NAMES)
def test_dimensions_of_a_known_model_are_known_and_not_asked_for(vendor):
    name, size = KNOWN[vendor]
    with ModelServer(dimensions=size) as server:
        asked = embedder(server, vendor, model=name, dimensions=0)
        assert asked.dimensions == size
        assert embedded(asked, "tea").shape == (1, size)
        assert "imension" not in json.dumps(server.embedded[0].body)


@pytest.mark.parametrize("vendor", NAMES)
def test_dimensions_of_an_unknown_model_have_to_be_given(server, vendor):
    with pytest.raises(ConfigurationError, match=r"dimensions has to be given: .* m-1"):
        EMBEDDERS.create(vendor, {"model": "m-1"})
    with pytest.raises(ValueError, match="dimensions"):
        embedder(server, vendor, dimensions=-1)


@pytest.mark.parametrize("vendor", NAMES)
def test_other_dimensions_than_were_told_are_answered_with_the_right_ones(server, vendor):
    server.embeddings(Fault("width"))
    with pytest.raises(
        ModelUnavailable, match=r"gives vectors of 63 numbers, not of 64: set `dimensions` to 63"
    ):
        embedded(embedder(server, vendor), "tea")
    assert len(server.embedded) == 1


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("length", "gave 1 vectors for 2 texts"),
        ("nan", "without a direction"),
        ("empty", "gave 0 vectors for 2"),
    ],
)
def test_an_answer_that_holds_no_such_vectors_is_no_answer(server, vendor, kind, told):
    server.embeddings(Fault(kind))
    with pytest.raises(Unavailable, match=told):
        embedded(embedder(server, vendor), "tea", "milk")


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("kind", ["status", "drop", "cut", "garbage"])
def test_a_passing_failure_is_tried_again(server, vendor, kind):
    server.embeddings([Fault(kind, status=500), None])
    assert len(embedded(embedder(server, vendor), "tea")) == 1
    server.embeddings(Fault(kind, status=500))
    with pytest.raises(Unavailable, match=r"\(tries: 2\)"):
        embedded(embedder(server, vendor, retries=1), "tea")
    assert len(server.embedded) == 4


@pytest.mark.parametrize("vendor", NAMES)
def test_who_asks_to_wait_is_waited_for(server, vendor):
    server.embeddings([Fault(status=429, headers={"Retry-After": "0"}), None])
    assert len(embedded(embedder(server, vendor), "tea")) == 1
    server.embeddings(Fault(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(Unavailable, match=r"answered 429 .*asks to wait 3600 s"):
        embedded(embedder(server, vendor), "tea")
    assert len(server.embedded) == 3


@pytest.mark.parametrize("vendor", NAMES)
def test_a_server_that_hangs_is_given_up(server, vendor):
    server.embeddings(Fault("hang"))
    with pytest.raises(Unavailable, match=r"gave no answer within 0\.1 s"):
        embedded(embedder(server, vendor, timeout=0.1, retries=0), "tea")


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize(("status", "advice"), [(400, ""), (401, "api_key"), (404, "model"), (422, "")])
def test_a_refusal_is_a_matter_of_configuration(server, vendor, status, advice):
    server.embeddings(Fault(status=status, message="no such thing"))
    with pytest.raises(ModelUnavailable, match=rf"answered {status} \(no such thing\).*{advice}"):
        embedded(embedder(server, vendor), "tea")
    assert len(server.embedded) == 1


def test_a_content_filter_is_no_matter_of_configuration(server):
    server.embeddings(Fault("refusal"))
    with pytest.raises(ContentRefused):
        embedded(embedder(server), "tea")


@pytest.mark.parametrize("vendor", NAMES)
def test_a_key_goes_along_and_is_never_shown_nor_is_a_text(server, vendor):
    asked = embedder(server, vendor, api_key=KEY)
    secret = "I am allergic to penicillin, said Ann"
    server.embeddings(lambda seen: Fault(status=401, message=f"the key {KEY} is wrong for {seen.texts[0]}"))
    with pytest.raises(ModelUnavailable) as caught:
        embedded(asked, secret)
    assert any(KEY in value for value in server.embedded[0].headers.values())
    for shown in (str(caught.value), repr(asked)):
        assert KEY not in shown
        assert "penicillin" not in shown


@pytest.mark.parametrize("vendor", ["openai", "gemini", "cohere", "voyage"])
def test_the_vendor_itself_wants_a_key_and_nobody_else_gets_that_of_the_environment(
    server, vendor, monkeypatch
):
    with pytest.raises(
        ModelUnavailable, match=rf"needs a key: set `api_key`, or the variable {VENDORS[vendor].KEYS[0]}"
    ):
        embedded(embedder(server, vendor, base_url=VENDORS[vendor].HOME), "tea")
    monkeypatch.setenv(VENDORS[vendor].KEYS[0], KEY)
    embedded(embedder(server, vendor), "tea")
    assert KEY not in json.dumps(dict(server.embedded[0].headers))


@pytest.mark.parametrize("vendor", NAMES)
def test_calls_have_no_more_texts_than_the_vendor_takes(server, vendor):
    texts = [f"text {number}" for number in range(2 * MOST[vendor] + 1)]
    made = embedded(embedder(server, vendor), *texts)
    assert sorted(len(seen.texts) for seen in server.embedded) == [1, MOST[vendor], MOST[vendor]]
    alone = embedded(embedder(server, vendor), texts[-1])
    assert np.allclose(made[-1], alone[0], atol=1e-6)


TOO_MUCH = [
    (413, ""),
    (400, "Invalid 'input': array too long. Expected an array with maximum length 40"),
    (400, "Too many inputs. The max number of inputs is 40."),
    (400, "invalid request: total number of texts must be at most 40 - received 100"),
    (400, "The max allowed tokens per submitted batch is 120000. Your batch has 200000 tokens"),
    (422, "batch size 100 > maximum allowed batch size 40"),
]


@pytest.mark.parametrize(("status", "message"), TOO_MUCH)
def test_a_call_that_is_too_large_is_made_in_halves_and_the_next_ones_are_smaller(server, status, message):
    def answer(seen):
        return Fault(status=status, message=message) if len(seen.texts) > 40 else None

    server.embeddings(answer)
    texts = [f"text {number}" for number in range(100)]

    async def run() -> np.ndarray:
        asked = embedder(server)
        await asked.embed(texts)
        assert sorted(len(seen.texts) for seen in server.embedded) == [25] * 4 + [50] * 2 + [100]
        server.embedded.clear()
        made = await asked.embed(texts)
        assert sorted(len(seen.texts) for seen in server.embedded) == [25] * 4
        await asked.aclose()
        return made

    made = asyncio.run(run())
    assert np.allclose(made, embedded(embedder(server, batch_size=10), *texts), atol=1e-6)


def test_a_text_that_is_too_large_is_cut_and_takes_no_others_with_it(server):
    def answer(seen):
        too_long = any(len(text) > 150 for text in seen.texts)
        return Fault(status=413, message="`inputs` must have less than 512 tokens") if too_long else None

    server.embeddings(answer)

    async def run() -> None:
        asked = embedder(server, batch_size=4)
        made = await asked.embed(["a", "b", "c " * 250, "d"])
        assert made.shape == (4, 64)
        assert {len(text) for seen in server.embedded[-3:] for text in seen.texts} <= {125, 250, 1}
        server.embedded.clear()
        await asked.embed(["a", "b", "c", "d"])
        assert [len(seen.texts) for seen in server.embedded] == [4]  # nothing was learned of numbers
        await asked.aclose()

    asyncio.run(run())


def test_what_is_too_large_however_small_is_refused(server):
    server.embeddings(Fault(status=413))
    with pytest.raises(ModelUnavailable, match="will not take so much at once"):
        embedded(embedder(server), "tea", "milk")
    assert len(server.embedded) == 2


def test_calls_have_no_more_characters_than_is_set_and_texts_neither(server):
    embedded(embedder(server, batch_chars=10, max_chars=8), "aaaa", "bbbb", "cccc", "d" * 20)
    assert sorted(seen.texts for seen in server.embedded) == [("aaaa", "bbbb"), ("cccc",), ("dddddddd",)]


def test_when_one_call_fails_the_others_are_given_up(server):
    server.embeddings(lambda seen: Fault("hang") if seen.texts == ("slow",) else Fault(status=400))
    with pytest.raises(ModelUnavailable):
        embedded(embedder(server, batch_size=1), "slow", "wrong")


@pytest.mark.parametrize("vendor", ["gemini", "cohere", "voyage"])
def test_questions_are_embedded_as_questions(server, vendor):
    async def run() -> None:
        asked = embedder(server, vendor)
        assert isinstance(asked, QueryEmbedder)
        await asked.embed_queries(["where?"])
        await asked.aclose()

    asyncio.run(run())
    assert "query" in server.embedded[0].purpose.lower()


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
def test_who_makes_no_difference_does_not_say_so(server, vendor):
    assert not isinstance(embedder(server, vendor), QueryEmbedder)


@pytest.mark.parametrize(
    ("vendor", "name"), [("openai", "encoding_format"), ("openai", "dimensions"), ("gemini", "taskType")]
)
def test_what_a_server_does_not_know_is_left_out_and_that_is_remembered(server, vendor, name):
    def embeddings(seen):
        known = name not in json.dumps(seen.body)
        return None if known else Fault(status=400, message=f"Unknown name {name}: it is not supported")

    server.embeddings(embeddings)

    async def run() -> None:
        asked = embedder(server, vendor)
        for _ in range(2):
            assert (await asked.embed(["tea"])).shape == (1, 64)
        await asked.aclose()

    asyncio.run(run())
    assert len(server.embedded) == 3


def test_azure_is_asked_with_its_version_and_its_header(server):
    url = f"{server.url}/openai/deployments/mine"
    embedded(embedder(server, base_url=url, azure_api_version="2024-10-21", api_key=KEY), "tea")
    [seen] = server.embedded
    assert seen.path == "/openai/deployments/mine/embeddings?api-version=2024-10-21"
    assert (seen.headers["api-key"], "authorization" in seen.headers) == (KEY, False)


def test_ollama_keeps_a_model_loaded_as_long_as_is_set(server):
    embedded(embedder(server, "ollama", keep_alive="30m"), "tea")
    assert server.embedded[0].body["keep_alive"] == "30m"


@pytest.mark.parametrize("vendor", NAMES)
def test_after_it_is_closed_it_is_closed(server, vendor):
    asked = embedder(server, vendor)
    embedded(asked, "tea")
    with pytest.raises(Closed):
        embedded(asked, "tea")


@pytest.mark.parametrize("vendor", NAMES)
def test_wrong_options_are_refused_by_name(vendor):
    right = {"model": "m", "dimensions": 3}
    for name, wrong in (
        ("model", " "),
        ("batch_size", 0),
        ("batch_chars", 0),
        ("max_chars", 0),
        ("base_url", "x"),
    ):
        with pytest.raises(ConfigurationError, match=f"{vendor}.*{name}"):
            EMBEDDERS.create(vendor, {**right, name: wrong})
    assert "writeOnly" in json.dumps(EMBEDDERS.schema(vendor)["properties"]["api_key"])


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {},
        "x",
        [1.0],
        [None],
        [[]],
        [["a"]],
        [[1.0, None]],
        [{"a": 1}],
        ["%%%"],
        [[[1.0]]],
        [[0.0, 0.0]],
    ],
)
def test_what_are_no_vectors_is_told(rows):
    asked = OpenAIEmbedder(model="m", dimensions=2)
    with pytest.raises((Unavailable, ModelUnavailable)) as caught:
        asked._vectors(rows, 1)
    assert "OpenAI model m g" in str(caught.value)


def test_items_stand_by_the_places_that_they_tell():
    items = [{"index": 1, "a": 2}, {"index": 0, "a": 1}]
    assert in_order(items) == items[::-1]
    assert in_order([{"a": 1}, {"a": 2}]) == [{"a": 1}, {"a": 2}]
    for wrong in (
        None,
        {},
        [{"index": 0}, {"index": 0}],
        [{"index": 1}],
        [{"index": 0}, {"a": 1}],
        [{"index": 2}, {"index": 0}],
    ):
        assert in_order(wrong) is None


def test_groups_of_texts_are_bounded_and_in_order():
    texts = ["aa", "b", "cccccc", "d", "e", "f"]
    assert list(batches(texts, most=3, chars=4)) == [["aa", "b"], ["cccccc"], ["d", "e", "f"]]
    assert list(batches([], most=3, chars=4)) == []


# In a memory


def test_what_a_service_could_not_embed_is_stored_and_embedded_later(server, tmp_path):
    given = {"model": "m-1", "dimensions": 64, "base_url": server.openai, "retries": 0, "rest": 0}
    configured = {"path": tmp_path / "m.db", "embedder": {"provider": "openai", "config": given}}
    server.embeddings(Fault(status=503))
    with Memory({**configured, "settings": {"background": False}}) as memory:
        receipt = memory.add("Maya drinks tea", user_id="maya", infer=False)["receipt"]
        assert receipt["stored"] == 1
        assert "vectors, tried again later: OpenAI at" in receipt["pending"][0]
        found = memory.search("tea", user_id="maya")
        assert (len(found["results"]), "found by words alone" in found["notes"][0]) == (1, True)
        server.embeddings(None)
        memory.retry()
        found = memory.search("tea", user_id="maya", explain=True)
        assert "notes" not in found
        assert memory.doctor()["advice"] == []


def test_a_store_knows_by_which_model_and_size_it_was_embedded(server, tmp_path):
    def memory(**given) -> Memory:
        options = {"model": "m-1", "dimensions": 64, "base_url": server.openai, **given}
        return Memory({"path": tmp_path / "m.db", "embedder": {"provider": "openai", "config": options}})

    with memory() as first:
        first.add("Maya drinks tea", user_id="maya", infer=False)
    for other in ({"model": "m-2"}, {"dimensions": 32}):
        with memory(**other) as second, pytest.raises(ModelMismatch):
            second.search("tea", user_id="maya")


def test_vectors_are_made_to_be_of_unit_length_whether_they_come_as_numbers_or_as_bytes():
    asked = OpenAIEmbedder(model="m", dimensions=2)
    packed = b64encode(np.array([3, 4], "<f4").tobytes()).decode()
    for row in ([3.0, 4.0], [3, 4], packed):
        made = asked._vectors([row], 1)
        assert made.dtype == np.float32
        assert made[0] == pytest.approx([0.6, 0.8])
