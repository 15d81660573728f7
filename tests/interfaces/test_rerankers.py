"""Rerankers over HTTP and by a language model, and searches that go on without them."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from perdure.engine.memory import Engine
from perdure.errors import Closed, ConfigurationError, ContentRefused, ModelUnavailable, Unavailable
from perdure.llms.openai import OpenAIModel
from perdure.memory import Memory
from perdure.ports import Reranker
from perdure.registry import RERANKERS
from perdure.rerankers.cohere import CohereReranker
from perdure.rerankers.jina import JinaReranker
from perdure.rerankers.llm import LLMReranker
from perdure.rerankers.scores import placed, sigmoid
from perdure.rerankers.tei import TeiReranker
from perdure.stores.memory import InMemoryStore
from perdure.testing.fakes import WordReranker
from perdure.testing.models import Fault, ModelServer
from perdure.testing.rerankers import RerankerConformance

KEY = "sk-a-very-secret-key-0123456789"
VENDORS = {"cohere": CohereReranker, "jina": JinaReranker, "tei": TeiReranker}
NAMES = list(VENDORS)
BODIES = {
    "cohere": {"model": "m-1", "query": "what", "documents": ["tea"]},
    "jina": {"model": "m-1", "query": "what", "documents": ["tea"], "return_documents": False},
    "tei": {"query": "what", "texts": ["tea"], "truncate": True},
}
PATHS = {"cohere": "/v2/rerank", "jina": "/v1/rerank", "tei": "/rerank"}


@pytest.fixture(autouse=True)
def no_keys_of_ours(monkeypatch):
    for name in ("COHERE_API_KEY", "CO_API_KEY", "JINA_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with ModelServer(judging) as running:
        yield running


def judging(seen) -> dict:
    """What a language model says that judges by words."""
    asked = json.loads(seen.content)
    question = set(asked["question"].lower().split())
    return {
        "judgements": [
            {"text": int(number), "relevance": 10 * len(question & set(text.lower().split())) / len(question)}
            for number, text in asked["texts"].items()
        ]
    }


def reranker(server: ModelServer, vendor: str = "cohere", **options) -> Reranker:
    given = {"model": "m-1", "base_url": getattr(server, vendor), "backoff": 0.0, "rest": 0.0, **options}
    return VENDORS[vendor](**given)


def by_model(server: ModelServer, **options) -> LLMReranker:
    llm = OpenAIModel(model="m-1", base_url=server.openai, backoff=0.0, rest=0.0, timeout=10.0)
    return LLMReranker(llm=llm, **options)


def judged(asked: Reranker, *texts: str, question: str = "what tea") -> list[float]:
    async def run() -> list[float]:
        try:
            return list(await asked.rerank(question, texts))
        finally:
            await asked.aclose()

    return asyncio.run(run())


class Conformance(RerankerConformance):
    vendor = ""

    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.make = partial(reranker, server, self.vendor)


class TestCohere(Conformance):
    vendor = "cohere"


class TestJina(Conformance):
    vendor = "jina"


class TestTei(Conformance):
    vendor = "tei"


class TestLanguageModel(RerankerConformance):
    @pytest.fixture(autouse=True)
    def _server(self, server):
        self.make = partial(by_model, server)


class TestWords(RerankerConformance):
    def make(self) -> WordReranker:
        return WordReranker()


# Over HTTP


@pytest.mark.parametrize("vendor", NAMES)
def test_a_request_is_what_the_vendor_documents(server, vendor):
    judged(reranker(server, vendor), "tea", question="what")
    [seen] = server.ranked
    assert (seen.vendor, seen.path, seen.body) == (vendor, PATHS[vendor], BODIES[vendor])


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("kind", ["length", "width", "nan", "empty"])
def test_an_answer_that_does_not_judge_each_text_is_no_answer(server, vendor, kind):
    server.rankings(Fault(kind))
    with pytest.raises(Unavailable, match="did not judge each text"):
        judged(reranker(server, vendor), "tea", "milk")


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("kind", ["status", "drop", "cut", "garbage"])
def test_a_passing_failure_is_tried_again(server, vendor, kind):
    server.rankings([Fault(kind, status=500), None])
    assert judged(reranker(server, vendor), "tea") == [0.5]
    server.rankings(Fault(kind, status=500))
    with pytest.raises(Unavailable, match=r"\(tries: 2\)"):
        judged(reranker(server, vendor), "tea")


@pytest.mark.parametrize("vendor", NAMES)
def test_who_asks_to_wait_is_waited_for_and_who_hangs_is_given_up(server, vendor):
    server.rankings([Fault(status=429, headers={"Retry-After": "0"}), None])
    assert judged(reranker(server, vendor), "tea") == [0.5]
    server.rankings(Fault("hang"))
    with pytest.raises(Unavailable, match="gave no answer"):
        judged(reranker(server, vendor, timeout=0.1, retries=0), "tea")


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_is_a_matter_of_configuration(server, vendor, status):
    server.rankings(Fault(status=status, message="no such thing"))
    with pytest.raises(ModelUnavailable, match=rf"answered {status} \(no such thing\)"):
        judged(reranker(server, vendor), "tea")
    assert len(server.ranked) == 1


@pytest.mark.parametrize("vendor", NAMES)
def test_a_key_goes_along_and_is_never_shown_nor_is_a_text(server, vendor):
    asked = reranker(server, vendor, api_key=KEY)
    server.rankings(
        lambda seen: Fault(status=401, message=f"{KEY} is wrong for {seen.query} {seen.texts[0]}")
    )
    with pytest.raises(ModelUnavailable) as caught:
        judged(asked, "I am allergic to penicillin, said Ann", question="Is Ann allergic to anything?")
    assert server.ranked[0].headers["authorization"] == f"Bearer {KEY}"
    for shown in (str(caught.value), repr(asked)):
        assert KEY not in shown
        assert "allergic" not in shown


@pytest.mark.parametrize("vendor", ["cohere", "jina"])
def test_the_vendor_itself_wants_a_key(vendor):
    with pytest.raises(ModelUnavailable, match=f"the variable {VENDORS[vendor].KEYS[0]}"):
        judged(VENDORS[vendor](model="m"), "tea")


def test_calls_have_no_more_texts_than_the_server_takes(server):
    texts = [f"tea {number}" for number in range(70)]
    assert len(judged(reranker(server, "tei"), *texts)) == 70
    assert [len(seen.texts) for seen in server.ranked] == [32, 32, 6]


def test_a_call_that_is_too_large_is_made_in_halves_and_the_next_ones_are_smaller(server):
    server.rankings(lambda seen: Fault(status=413) if len(seen.texts) > 20 else None)
    texts = ["what tea", *[f"milk {number}" for number in range(39)]]

    async def run() -> None:
        asked = reranker(server, "jina")
        for sizes in ([40, 20, 20], [20, 20]):
            server.ranked.clear()
            scores = await asked.rerank("what tea", texts)
            assert [len(seen.texts) for seen in server.ranked] == sizes
            assert (scores[0], set(scores[1:])) == (1.0, {0.0})
        await asked.aclose()

    asyncio.run(run())


def test_texts_and_questions_are_cut_to_what_is_set(server):
    judged(reranker(server, max_chars=4), "tea and milk", question="what tea")
    assert (server.ranked[0].texts, server.ranked[0].query) == (("tea ",), "what")


def test_logits_are_put_on_the_scale_where_that_is_set(server):
    scores = judged(reranker(server, "jina", scores="logits"), "what tea", "milk")
    assert scores == pytest.approx([sigmoid(1), sigmoid(0)])


@pytest.mark.parametrize("vendor", NAMES)
def test_wrong_options_are_refused_by_name(vendor):
    for name, wrong in (("model", " "), ("top_k", 0), ("top_n", 0), ("batch_size", 0), ("max_chars", 0)):
        with pytest.raises(ConfigurationError, match=vendor):
            RERANKERS.create(vendor, {"model": "m", name: wrong})
    assert "writeOnly" in json.dumps(RERANKERS.schema(vendor)["properties"]["api_key"])


@pytest.mark.parametrize("name", ["top_k", "top_n"])
def test_how_many_are_enough_has_two_names(name):
    assert RERANKERS.create("cohere", {"model": "m", name: "5"}).top_k == 5


def test_scores_stand_by_their_places_and_stay_in_bounds():
    assert placed([(1, 0.25), (0, 1.00001)], 2) == [1.0, 0.25]
    assert placed([], 0) == []
    for wrong in (
        [(0, 0.5)],
        [(0, 0.5), (0, 0.5)],
        [(0, 0.5), (2, 0.5)],
        [(0, 0.5), ("1", 0.5)],
        [(0, 0.5), (1, None)],
        [(0, 0.5), (1, float("inf"))],
        [(0, 0.5), (1, True)],
        [(0, 0.5), (True, 0.5)],
    ):
        assert placed(wrong, 2) is None


# By a language model


def test_all_texts_are_judged_in_one_call(server):
    assert judged(by_model(server), "what tea", "milk", "tea") == [1.0, 0.0, 0.5]
    [seen] = server.seen
    assert json.loads(seen.content)["texts"] == {"1": "what tea", "2": "milk", "3": "tea"}
    assert seen.schema["required"] == ["judgements"]


def test_more_texts_than_fit_are_judged_in_more_calls_and_long_ones_are_cut(server):
    assert judged(by_model(server, batch_size=2, max_chars=3), "tea", "milk", "teapot") == [0.0, 0.0, 0.0]
    assert [json.loads(seen.content)["texts"] for seen in server.seen] == [
        {"1": "tea", "2": "mil"},
        {"1": "tea"},
    ]


@pytest.mark.parametrize(
    "answer",
    [
        "I would rather not",
        '{"judgements": []}',
        '{"judgements": [{"text": 1, "relevance": 5}]}',
        '{"judgements": [{"text": 1, "relevance": 5}, {"text": 3, "relevance": 5}]}',
        '{"judgements": [{"text": 1, "relevance": 5}, {"text": 2, "relevance": "much"}]}',
        '{"judgements": 3}',
        Fault("length", text='{"judgements": [{"text": 1'),
    ],
)
def test_an_answer_without_all_judgements_is_no_answer(server, answer):
    server.answers(answer)
    with pytest.raises(Unavailable, match="the model m-1 did not judge each text"):
        judged(by_model(server), "tea", "milk")


def test_words_around_an_answer_do_not_matter(server):
    server.answers('Sure!\n```json\n{"judgements": [{"text": 1, "relevance": 12}]}\n```')
    assert judged(by_model(server), "tea") == [1.0]


def test_a_model_that_takes_too_long_is_given_up(server):
    server.answers(Fault("hang"))
    with pytest.raises(Unavailable, match=r"the model m-1 did not judge within 0\.1 s: raise `timeout`"):
        judged(by_model(server, timeout=0.1), "tea")
    for name in ("top_k", "batch_size", "max_chars", "timeout"):
        with pytest.raises(ValueError, match=name):
            by_model(server, **{name: 0})


def test_a_model_that_declines_is_told_as_such(server):
    server.answers(Fault("refusal"))
    with pytest.raises(ContentRefused):
        judged(by_model(server), "tea")


# In a search


def search(reranking: Reranker | None, **asked) -> dict:
    async def run() -> dict:
        async with Engine(store=InMemoryStore(), reranker=reranking) as memory:
            for text in ("Tom drinks coffee and tea", "Maya drinks tea", "Maya drinks green tea in Lisbon"):
                await memory.add(text, user_id="maya", infer=False)
            return await memory.search(
                "Who drinks green tea in Lisbon", user_id="maya", threshold=0.0, **asked
            )

    return asyncio.run(run())


@pytest.mark.parametrize("vendor", NAMES)
def test_a_search_is_ordered_by_the_second_opinion(server, vendor):
    found = search(reranker(server, vendor), explain=True)
    assert found["results"][0]["memory"] == "Maya drinks green tea in Lisbon"
    assert found["results"][0]["score"] == pytest.approx(5 / 6, abs=1e-5)
    assert "before_rerank" in found["results"][0]["explain"]
    assert "notes" not in found


FAULTS = [
    Fault(status=500),
    Fault(status=429, headers={"Retry-After": "3600"}),
    Fault(status=401),
    Fault("hang"),
    Fault("drop"),
    Fault("cut"),
    Fault("garbage"),
    Fault("empty"),
    Fault("length"),
    Fault("width"),
    Fault("nan"),
]


@pytest.mark.parametrize("vendor", NAMES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind}-{fault.status}")
def test_a_search_goes_on_without_it_and_says_so(server, vendor, fault):
    server.rankings(fault)
    without = search(None)
    found = search(reranker(server, vendor, timeout=0.2, retries=0))
    assert [hit["score"] for hit in found["results"]] == [hit["score"] for hit in without["results"]]
    [note] = found["notes"]
    assert note.startswith("not reranked: ")
    assert "tea" not in note.removeprefix("not reranked")


class Careless(WordReranker):
    """A reranker of somebody else's that gives what it likes."""

    given = ()

    async def rerank(self, query, texts):
        return self.given


@pytest.mark.parametrize(
    "given", [[], [0.5], [0.5] * 4, [0.5, 0.5, 1.5], [0.5, -0.1, 0.5], [0.5, 0.5, float("nan")]]
)
@pytest.mark.parametrize("cached", [True, False])
def test_scores_that_are_none_are_not_believed(given, cached, tmp_path):
    careless = Careless()
    object.__setattr__(careless, "given", given)
    if not cached:
        assert "not reranked" in search(careless)["notes"][0]
        return
    from perdure.caches.memory import MemoryCache
    from perdure.ports.caches import Caches

    async def run() -> dict:
        caches = Caches(vectors=MemoryCache(max_bytes=1 << 20))
        async with Engine(store=InMemoryStore(), reranker=careless, caches=caches) as memory:
            for text in ("Tom drinks tea", "Maya drinks tea", "Ann drinks tea"):
                await memory.add(text, user_id="maya", infer=False)
            return await memory.search("Who drinks tea", user_id="maya", threshold=0.0)

    assert "not reranked" in asyncio.run(run())["notes"][0]


def test_a_caller_who_says_no_number_gets_as_many_as_the_reranker_finds_enough(server):
    shortening = partial(reranker, server, top_n=2)
    assert len(search(shortening())["results"]) == 2
    assert len(search(shortening(), limit=3)["results"]) == 3
    assert len(search(shortening(), rerank=False)["results"]) == 3


def test_of_several_questions_each_is_told_what_became_of_its_own(server):
    server.rankings(lambda seen: Fault(status=400) if "Tom" in seen.query else None)

    async def run() -> list[dict]:
        async with Engine(store=InMemoryStore(), reranker=reranker(server)) as memory:
            await memory.add("Maya drinks tea with Tom", user_id="maya", infer=False)
            return await memory.search_many(
                ["Maya drinks tea", "Tom drinks tea"], user_id="maya", threshold=0.0
            )

    first, second = asyncio.run(run())
    assert "notes" not in first
    assert second["notes"][0].startswith("not reranked: Cohere at")


# By name


def config(tmp_path, **roles) -> dict:
    return {"store": {"provider": "sqlite", "path": str(tmp_path / "m.db")}, "embedder": None, **roles}


def llm(server, **options) -> dict:
    return {"provider": "openai", "config": {"model": "m-1", "base_url": server.openai, **options}}


def found_with(configured: dict) -> list[str]:
    with Memory(configured) as memory:
        for text in ("Maya drinks tea", "Maya drinks green tea"):
            memory.add(text, user_id="maya", infer=False)
        found = memory.search("green tea", user_id="maya", threshold=0.0)
        assert "notes" not in found
        return [hit["memory"] for hit in found["results"]]


@pytest.mark.parametrize("own", [True, False])
def test_a_language_model_is_the_rerankers_own_or_the_configured_one(server, tmp_path, own):
    given = llm(server)
    roles = {"reranker": {"provider": "llm", "llm": given}} if own else {"reranker": "llm", "llm": given}
    assert found_with(config(tmp_path, **roles))[0] == "Maya drinks green tea"
    assert [json.loads(seen.content)["question"] for seen in server.seen] == ["green tea"]


def test_without_any_language_model_there_is_none_to_judge(tmp_path):
    with pytest.raises(ConfigurationError, match="needs a language model: configure llm, or give it one"):
        Memory(config(tmp_path, reranker="llm"))
    with pytest.raises(ConfigurationError, match=r"reranker\.llm has options, but names no provider"):
        Memory(config(tmp_path, reranker={"provider": "llm", "llm": {"model": "m"}}))


def test_the_schema_of_an_option_that_is_a_language_model_can_be_read():
    assert "config" in RERANKERS.schema("llm")["properties"]["llm"]["description"]


def test_who_is_closed_is_closed(server):
    asked = reranker(server)
    judged(asked, "tea")
    with pytest.raises(Closed):
        judged(asked, "tea")
