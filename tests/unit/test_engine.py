"""The verbs, over every store that is built in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from perdure import errors
from perdure.engine.memory import Engine
from perdure.settings import Settings
from perdure.stores.memory import InMemoryStore
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock, HashEmbedder, WordReranker

Scenario = Callable[[Engine, Clock], Awaitable[None]]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario on a fresh engine."""

    def go(scenario: Scenario, **options: Any) -> None:
        async def main() -> None:
            store: Any = (
                InMemoryStore() if request.param == "memory" else SqliteStore(path=tmp_path / "memory.db")
            )
            clock = Clock()
            settings = options.pop("settings", Settings(threshold=0.0))
            options.setdefault("embedder", HashEmbedder(dimensions=64))
            async with Engine(store=store, clock=clock, settings=settings, **options) as memory:
                await scenario(memory, clock)

        asyncio.run(main())

    return go


async def found(memory: Engine, query: str, **options: Any) -> list[str]:
    return [result["memory"] for result in (await memory.search(query, **options))["results"]]


def same(some: list[dict[str, Any]], others: list[dict[str, Any]]) -> bool:
    """Whether two exports hold the same records, whatever their order."""
    return sorted(map(json.dumps, some)) == sorted(map(json.dumps, others))


async def listed(memory: Engine, **options: Any) -> list[str]:
    return [result["memory"] for result in (await memory.get_all(**options))["results"]]


def test_what_was_said_is_found_with_its_speaker_time_and_source(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(
            [{"role": "user", "name": "Maya", "content": "My dog is called Biscuit."}],
            user_id="maya",
            timestamp="2025-03-01T10:00:00+02:00",
        )
        [hit, *_] = (await memory.search("What is the dog called?", user_id="maya"))["results"]
        assert hit["memory"] == "My dog is called Biscuit."
        assert hit["actor_id"] == "Maya"
        assert hit["created_at"] == "2025-03-01T08:00:00+00:00"
        assert hit["recorded_at"] == "2026-01-05T12:00:00+00:00"
        assert hit["sources"] == [
            {
                "id": hit["id"],
                "text": "My dog is called Biscuit.",
                "role": "user",
                "speaker": "Maya",
                "said_at": "2025-03-01T08:00:00+00:00",
                "session": hit["session"],
            }
        ]
        assert 0 <= hit["score"] <= 1

    run(scenario)


def test_two_users_never_see_each_other(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("My dog is called Biscuit", user_id="maya")
        await memory.add("My dog is called Bisou", user_id="noor")
        assert await found(memory, "dog", user_id="maya") == ["My dog is called Biscuit"]
        assert await found(memory, "dog", filters={"user_id": "noor"}) == ["My dog is called Bisou"]
        assert await found(memory, "dog", user_id="maya", filters={"user_id": "noor"}) == []

    run(scenario)


def test_an_agent_is_found_in_every_partition_that_holds_something_of_it(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("Ship the red boxes", user_id="maya", agent_id="warehouse")
        await memory.add("Ship the blue boxes", user_id="noor", agent_id="warehouse")
        await memory.add("Ship the green boxes", agent_id="warehouse")
        await memory.add("Ship the black boxes", user_id="maya", agent_id="other")
        assert sorted(await found(memory, "boxes", agent_id="warehouse")) == [
            "Ship the blue boxes",
            "Ship the green boxes",
            "Ship the red boxes",
        ]
        assert await found(
            memory, "boxes", filters={"AND": [{"user_id": "maya"}, {"agent_id": "warehouse"}]}
        ) == ["Ship the red boxes"]
        assert len(await found(memory, "boxes")) == 4

    run(scenario)


def test_the_same_add_five_times_at_once_is_one(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        answers = await asyncio.gather(*(memory.add("I like tea", user_id="maya") for _ in range(5)))
        assert await listed(memory, user_id="maya") == ["I like tea"]
        assert sorted(a["receipt"]["repeated"] for a in answers) == [False, True, True, True, True]
        assert len({a["event_id"] for a in answers}) == 1
        clock.advance(minutes=1)
        await memory.add("I like tea", user_id="maya")
        assert len(await listed(memory, user_id="maya")) == 2

    run(scenario)


def test_an_idempotency_key_counts_for_ever(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("I like tea", user_id="maya", idempotency_key="k1")
        clock.advance(days=400)
        again = await memory.add("I like tea very much", user_id="maya", idempotency_key="k1")
        assert again["receipt"] == {"stored": 0, "skipped": 0, "pending": [], "repeated": True}
        assert again["results"][0]["event"] == "NONE"
        assert await listed(memory, user_id="maya") == ["I like tea"]

    run(scenario)


def test_an_update_keeps_the_earlier_version_in_history_and_at_its_time(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        added = await memory.add("I live in Lisbon", user_id="maya", metadata={"a": 1, "b": 2})
        memory_id, before = added["results"][0]["id"], clock.now
        clock.advance(days=3)
        updated = await memory.update(memory_id, "I live in Porto", metadata={"b": None, "c": 3})
        assert (updated["memory"], updated["metadata"]) == ("I live in Porto", {"a": 1, "c": 3})
        assert updated["created_at"] < updated["updated_at"]
        assert await found(memory, "live", user_id="maya") == ["I live in Porto"]
        assert await found(memory, "live", user_id="maya", known_at=before) == ["I live in Lisbon"]
        assert await listed(memory, user_id="maya", known_at=before) == ["I live in Lisbon"]
        history = await memory.history(memory_id)
        assert [(h["event"], h["old_memory"], h["new_memory"]) for h in history] == [
            ("ADD", None, "I live in Lisbon"),
            ("UPDATE", "I live in Lisbon", "I live in Porto"),
        ]
        assert (await memory.get(memory_id))["sources"][0]["text"] == "I live in Lisbon"

    run(scenario)


def test_what_is_deleted_is_not_found_but_its_history_stays(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        memory_id = (await memory.add("I live in Lisbon", user_id="maya"))["results"][0]["id"]
        before = clock.now
        clock.advance(days=1)
        await memory.delete(memory_id)
        assert await found(memory, "Lisbon", user_id="maya") == []
        assert await found(memory, "Lisbon", user_id="maya", known_at=before) == ["I live in Lisbon"]
        assert [h["event"] for h in await memory.history(memory_id)] == ["ADD", "DELETE"]
        with pytest.raises(errors.NotFound, match="was deleted"):
            await memory.get(memory_id)
        with pytest.raises(errors.NotFound):
            await memory.delete(memory_id)

    run(scenario)


def test_delete_all_reaches_only_what_is_named(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(["one thing I said", "another thing I said"], user_id="maya", infer=False)
        await memory.add("something of mine", user_id="noor", infer=False)
        assert (await memory.delete_all(user_id="maya"))["deleted"] == 2
        assert await listed(memory, user_id="maya") == []
        assert await listed(memory, user_id="noor") == ["something of mine"]
        with pytest.raises(errors.MissingScope):
            await memory.delete_all()

    run(scenario)


def test_erase_leaves_nothing_but_a_tombstone(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        memory_id = (await memory.add("My PIN is 4711", user_id="maya"))["results"][0]["id"]
        await memory.update(memory_id, "My PIN is 4712")
        before = clock.now
        clock.advance(days=1)
        receipt = await memory.erase(memory_id)
        assert receipt["erased"] == 1
        assert receipt["removed"]["memories"] == 2
        assert await found(memory, "PIN", user_id="maya") == []
        assert await found(memory, "PIN", user_id="maya", known_at=before) == []
        with pytest.raises(errors.NotFound):
            await memory.get(memory_id)
        history = await memory.history(memory_id)
        assert history[-1]["event"] == "ERASE"
        assert all(h["old_memory"] is None and h["new_memory"] is None for h in history)

    run(scenario)


def test_what_has_expired_is_hidden_unless_asked_for(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("The code for the gate is 99", user_id="maya", expiration_date="2026-01-06")
        assert await found(memory, "gate", user_id="maya") == ["The code for the gate is 99"]
        clock.advance(days=1)
        assert await found(memory, "gate", user_id="maya") == ["The code for the gate is 99"]
        clock.advance(days=1)
        assert await found(memory, "gate", user_id="maya") == []
        assert await listed(memory, user_id="maya") == []
        assert await found(memory, "gate", user_id="maya", show_expired=True) == [
            "The code for the gate is 99"
        ]
        assert await found(memory, "gate", user_id="maya", reference_date="2026-01-05") == [
            "The code for the gate is 99"
        ]

    run(scenario)


def test_as_of_hides_what_was_not_yet_said(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("I live in Lisbon", user_id="maya", timestamp="2025-01-10")
        await memory.add("I live in Porto now", user_id="maya", timestamp="2025-06-10")
        assert await found(memory, "live", user_id="maya", as_of="2025-03-01") == ["I live in Lisbon"]

    run(scenario)


def test_small_talk_is_found_but_not_listed(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(
            [
                {"role": "user", "content": "I moved to Porto in March"},
                {"role": "assistant", "content": "ok, thanks"},
            ],
            user_id="maya",
        )
        assert await listed(memory, user_id="maya") == ["I moved to Porto in March"]
        assert len(await listed(memory, user_id="maya", show_all=True)) == 2
        assert "ok, thanks" in await found(memory, "thanks", user_id="maya")

    run(scenario)


def test_filters_and_categories_narrow_a_search(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(
            "Tea in the morning", user_id="maya", infer=False, categories=["drinks"], metadata={"n": 1}
        )
        await memory.add(
            "Coffee in the morning", user_id="maya", infer=False, categories=["drinks"], metadata={"n": 2}
        )
        await memory.add(
            "Rice in the evening", user_id="maya", infer=False, categories=["food"], metadata={"n": 3}
        )
        assert await found(memory, "morning evening", user_id="maya", categories=["food"]) == [
            "Rice in the evening"
        ]
        assert await listed(memory, user_id="maya", filters={"metadata": {"n": {"gte": 2, "lt": 3}}}) == [
            "Coffee in the morning"
        ]
        with pytest.raises(errors.InvalidFilter):
            await memory.search("tea", filters={"usr_id": "maya"})

    run(scenario)


def test_search_many_answers_each_query_as_search_would(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(["I like green tea", "My sister lives in Oslo"], user_id="maya")
        many = await memory.search_many(["tea", "Oslo"], user_id="maya")
        assert many == [
            await memory.search("tea", user_id="maya"),
            await memory.search("Oslo", user_id="maya"),
        ]

    run(scenario)


def test_a_reranker_decides_unless_it_is_switched_off(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(["tea tea tea", "tea and cake"], user_id="maya", infer=False)
        [first, *_] = (await memory.search("cake and tea", user_id="maya"))["results"]
        assert (first["memory"], first["score"]) == ("tea and cake", 1.0)
        plain = (await memory.search("cake and tea", user_id="maya", rerank=False, explain=True))["results"]
        assert "before_rerank" not in plain[0]["explain"]

    run(scenario, reranker=WordReranker())


def test_without_a_model_words_alone_find(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(["I like green tea", "My sister lives in Oslo"], user_id="maya")
        assert (await found(memory, "Where does my sister live?", user_id="maya"))[0] == (
            "My sister lives in Oslo"
        )

    run(scenario, embedder=None)


def test_searches_beside_adds_and_deletes_never_mix_rows_up(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        async def change(number: int) -> None:
            for round_ in range(4):
                texts = [f"row {number} {round_} {n} of agent b" for n in range(8)]
                added = await memory.add(texts, user_id="u", agent_id="B", infer=False)
                await asyncio.gather(*(memory.delete(r["id"]) for r in added["results"][:6]))

        async def look() -> None:
            for _ in range(12):
                answer = await memory.search("row of agent", user_id="u", agent_id="A", threshold=0, limit=40)
                assert {r["agent_id"] for r in answer["results"]} == {"A"}

        await memory.add([f"row {n} of agent a" for n in range(40)], user_id="u", agent_id="A", infer=False)
        await asyncio.gather(*(change(n) for n in range(6)), *(look() for _ in range(6)))

    run(scenario)


def test_what_had_not_expired_at_an_earlier_moment_is_listed_and_found_at_it(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("The code for the gate is 99", user_id="u", expiration_date="2026-01-06")
        before = clock.now
        clock.advance(days=10)
        assert await listed(memory, user_id="u", known_at=before) == ["The code for the gate is 99"]
        assert await found(memory, "gate", user_id="u", known_at=before) == ["The code for the gate is 99"]

    run(scenario)


def test_asking_for_no_results_gives_none(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("I like tea", user_id="u")
        assert await found(memory, "tea", user_id="u", limit=0) == []
        assert await listed(memory, user_id="u", limit=0) == []

    run(scenario)


def test_what_is_closed_takes_nothing_more(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        other = Engine(store=InMemoryStore())
        await other.close()
        with pytest.raises(errors.Closed):
            await other.add("I like tea", user_id="u")

    run(scenario)


BAD_CALLS = [
    (lambda m: m.add("hello there"), errors.MissingScope, "user_id"),
    (lambda m: m.add([], user_id="u"), errors.InvalidInput, "nothing to remember"),
    (lambda m: m.add("  ", user_id="u"), errors.InvalidInput, "nothing to remember"),
    (lambda m: m.add(5, user_id="u"), errors.InvalidInput, "messages is a int"),
    (lambda m: m.add([5], user_id="u"), errors.InvalidInput, r"messages\[0\]"),
    (lambda m: m.add({"role": "king", "content": "x"}, user_id="u"), errors.InvalidInput, "'king'"),
    (lambda m: m.add({"role": "user", "content": 5}, user_id="u"), errors.InvalidInput, "content"),
    (lambda m: m.add("a\0b", user_id="u"), errors.InvalidInput, "NUL"),
    (lambda m: m.add("a\ud800b", user_id="u"), errors.InvalidInput, "surrogate"),
    (lambda m: m.add("x" * 1_048_576, user_id="u"), errors.TooLarge, "in parts"),
    (lambda m: m.add("x", user_id="u", metadata={"a": "x" * 100_000}), errors.TooLarge, "metadata"),
    (lambda m: m.add("x", user_id="u", metadata={"a": object()}), errors.InvalidInput, "JSON"),
    (lambda m: m.add("x", user_id="u", metadata={"a": float("nan")}), errors.InvalidInput, "JSON"),
    (lambda m: m.add("x", user_id="u", metadata={1: 2}), errors.InvalidInput, "keys"),
    (lambda m: m.add("x", user_id="u", timestamp="yesterday"), errors.InvalidInput, "timestamp"),
    (lambda m: m.add("x", user_id="u", categories="a"), errors.InvalidInput, "categories"),
    (lambda m: m.add("x", user_id=" "), errors.InvalidInput, "user_id"),
    (lambda m: m.add("x", user_id="*"), errors.InvalidInput, "names nobody"),
    (lambda m: m.add("x", usr_id="u"), errors.UnknownArgument, "did you mean 'user_id'"),
    (lambda m: m.search("  ", user_id="u"), errors.InvalidInput, "blank"),
    (lambda m: m.search("a\0", user_id="u"), errors.InvalidInput, "NUL"),
    (lambda m: m.search("x", user_id="u", limit=-1), errors.InvalidInput, "limit=-1"),
    (lambda m: m.search("x", user_id="u", limit=1, top_k=2), errors.InvalidInput, "two names"),
    (lambda m: m.search("x", user_id="u", threshold=2), errors.InvalidInput, "threshold"),
    (lambda m: m.search("x", user_id="u", filters={"text": {"near": 3}}), errors.InvalidFilter, "near"),
    (lambda m: m.search("x", user_id="u", filters=[1]), errors.InvalidInput, "filters"),
    (lambda m: m.search("x", user_id="u", as_of="soon"), errors.InvalidInput, "as_of"),
    (lambda m: m.get("nobody"), errors.NotFound, "nobody"),
    (lambda m: m.update("nobody", "x"), errors.NotFound, "nobody"),
    (lambda m: m.update("nobody"), errors.InvalidInput, "nothing to change"),
    (lambda m: m.delete("nobody"), errors.NotFound, "nobody"),
    (lambda m: m.erase("nobody"), errors.NotFound, "nobody"),
    (lambda m: m.erase(), errors.MissingScope, "erase"),
    (lambda m: m.history("nobody"), errors.NotFound, "nobody"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD_CALLS)
def test_bad_input_is_told_apart_and_changes_nothing(
    run: Any, call: Callable[[Engine], Awaitable[Any]], error: type[Exception], text: str
) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("I like tea", user_id="u")
        with pytest.raises(error, match=text):
            await call(memory)
        assert await listed(memory, user_id="u") == ["I like tea"]
        assert (await memory.stats())["changes"] == 1

    run(scenario)


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)  # the store in memory keeps nothing to move
def test_an_export_comes_back_as_it_was(run: Any, tmp_path: Path) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        added = await memory.add(
            ["I moved to Lisbon yesterday", "My dog is called Biscuit"],
            user_id="maya",
            agent_id="a",
            metadata={"x": [1, {"y": None}]},
            categories=["home"],
            timestamp=datetime(2025, 5, 1, 9, tzinfo=UTC),
        )
        clock.advance(days=2)
        first, second = (result["id"] for result in added["results"])
        await memory.update(first, "I moved to Porto yesterday")
        await memory.delete(second)
        records = [record async for record in memory.export_records()]
        async with Engine(
            store=SqliteStore(path=tmp_path / "copy.db"), embedder=HashEmbedder(dimensions=64), clock=clock
        ) as copy:
            await copy.import_records(records)
            assert same([record async for record in copy.export_records()], records)
            assert await copy.history(first) == await memory.history(first)
            assert await found(copy, "Porto", user_id="maya") == ["I moved to Porto yesterday"]
            assert (await copy.import_records(records))["imported"]["new"] == 0

    run(scenario)


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
def test_an_import_cannot_add_to_what_is_somebody_elses(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        memory_id = (await memory.add("I live in Lisbon", user_id="alice"))["results"][0]["id"]
        records = [record async for record in memory.export_records()]
        [own] = [record for record in records if record["type"] == "memory"]
        forged = {**own, "scope": {"user_id": "bob"}, "owner": "user:bob", "version": 2, "text": "Not hers"}
        with pytest.raises(errors.Conflict):
            await memory.import_records([forged])
        assert (await memory.get(memory_id))["memory"] == "I live in Lisbon"
        with pytest.raises(errors.InvalidInput):
            await memory.import_records(None)  # type: ignore[arg-type]

    run(scenario)


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
def test_a_backup_that_cannot_be_written_is_told_apart(run: Any, tmp_path: Path) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("I live in Lisbon", user_id="alice")
        (tmp_path / "file").write_text("")
        with pytest.raises(errors.PerdureError):
            await memory.backup(tmp_path / "file" / "below.db")
        for nothing in (None, "", "a\0b"):
            with pytest.raises(errors.InvalidInput):
                await memory.backup(nothing)  # type: ignore[arg-type]
        assert (await memory.backup(tmp_path / "copy.db"))["bytes"] > 0

    run(scenario)


def test_conversations_run_in_sessions(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add("one thing I said", user_id="maya")
        clock.advance(minutes=30)
        await memory.add("a second thing I said", user_id="maya")
        clock.advance(hours=2)
        await memory.add("a third thing I said", user_id="maya")
        await memory.add("a fourth thing I said", user_id="maya", run_id="r")
        results = (await memory.get_all(user_id="maya"))["results"]
        sessions = {result["memory"].split()[1]: result["session"] for result in results}
        assert sessions["thing"] == sessions["second"] != sessions["third"]
        assert sessions["fourth"] == "r"

    run(scenario)


def test_a_search_where_nobody_ever_spoke_finds_nothing_quietly(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        assert await found(memory, "anything at all", user_id="nobody") == []
        assert await found(memory, "anything at all", agent_id="nobody") == []
        assert await found(memory, "anything at all") == []

    run(scenario)


def test_without_its_model_a_memory_keeps_and_finds_by_words_and_says_so(run: Any) -> None:
    class Gone(HashEmbedder):
        async def embed(self, texts: Any) -> Any:
            raise errors.ModelUnavailable("the model is missing: make model")

    async def scenario(memory: Engine, clock: Clock) -> None:
        added = await memory.add("I like green tea", user_id="maya")
        assert "tried again later" in added["receipt"]["pending"][0]
        answer = await memory.search("green tea", user_id="maya")
        assert [result["memory"] for result in answer["results"]] == ["I like green tea"]
        assert "words alone" in answer["notes"][0]
        assert "model" in (await memory.doctor())["problems"][0]

    run(scenario, embedder=Gone(dimensions=64))


def test_a_question_without_a_vector_is_ranked_as_where_there_are_none(run: Any) -> None:
    gone: list[bool] = []

    class Goes(HashEmbedder):
        async def embed(self, texts: Any) -> Any:
            if gone:
                raise errors.Unavailable("not now")
            return await super().embed(texts)

    texts = ["I like green tea", "Tea is grown in Assam", "The green line is closed"]
    told: list[Any] = []

    async def scenario(memory: Engine, clock: Clock) -> None:
        await memory.add(texts, user_id="maya")
        gone.append(True)
        found = (await memory.search("green tea", user_id="maya", threshold=0.0))["results"]
        told.append([(result["memory"], result["score"]) for result in found])
        gone.clear()

    run(scenario, embedder=Goes(dimensions=64))
    run(scenario, embedder=None)
    assert told[0] == told[1]


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
def test_a_caller_who_gives_up_leaves_nothing_half_done(run: Any) -> None:
    async def scenario(memory: Engine, clock: Clock) -> None:
        for number in range(30):
            call = asyncio.create_task(
                memory.add([f"first {number}", f"second {number}"], user_id="maya", infer=False)
            )
            await asyncio.sleep(0.0003 * (number % 7))
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await call
        said = [text.split() for text in await listed(memory, user_id="maya")]
        assert {n for word, n in said if word == "first"} == {n for word, n in said if word == "second"}
        assert (await memory.doctor())["sound"]

    run(scenario)


def test_upkeep_can_be_done_inside_async_with_on_a_store_of_another_model(tmp_path: Path) -> None:
    def engine(dimensions: int) -> Engine:
        return Engine(
            store=SqliteStore(path=tmp_path / "memory.db"), embedder=HashEmbedder(dimensions=dimensions)
        )

    async def main() -> None:
        async with engine(64) as before:
            await before.add("The ship is white", user_id="u")
        async with engine(32) as memory:
            with pytest.raises(errors.ModelMismatch, match="reindex"):
                await memory.search("ship", user_id="u")
            assert (await memory.stats())["dimensions"] == 64
            assert "reindex" in (await memory.doctor())["advice"][0]
            assert len([record async for record in memory.export_records()]) == 4
            assert (await memory.backup(tmp_path / "copy.db"))["bytes"] > 0
            assert (await memory.reindex())["reindexed"] == 1
            assert (await memory.search("ship", user_id="u"))["results"]

    asyncio.run(main())


def test_a_place_where_no_store_can_be_is_told_on_entering(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a shopping list, not a database\n" * 100)

    async def main() -> None:
        with pytest.raises(errors.NotAStore):
            async with Engine(store=SqliteStore(path=tmp_path / "notes.txt")):
                pass

    asyncio.run(main())


def test_closing_while_searches_load_indexes_cancels_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        store = SqliteStore(path=tmp_path / "memory.db")
        users = [f"u{n}" for n in range(6)]
        async with Engine(store=store) as memory:
            for user in users:
                await memory.add(
                    [{"role": "user", "content": f"Note {n} on subject {n % 7}."} for n in range(600)],
                    user_id=user,
                )
        memory = Engine(store=SqliteStore(path=tmp_path / "memory.db"), settings=Settings(workers=1))
        hold = threading.Event()
        held = asyncio.create_task(memory._work(hold.wait))
        searches = [asyncio.create_task(memory.search("subject 3", user_id=user)) for user in users]
        await asyncio.sleep(0.2)  # the indexes wait for their turn now
        await memory.close()
        hold.set()
        for answer in await asyncio.gather(held, *searches, return_exceptions=True):
            assert isinstance(answer, (bool, dict, errors.Closed)), repr(answer)

    asyncio.run(main())


def test_one_memory_serves_one_event_loop_after_another(tmp_path: Path) -> None:
    memory = Engine(store=SqliteStore(path=tmp_path / "m.db"), embedder=HashEmbedder(dimensions=64))

    async def scenario(name: str) -> None:
        await asyncio.gather(*(memory.add(f"{name} {n}", user_id="u") for n in range(20)))
        results = await asyncio.gather(*(memory.search(f"{name} {n}", user_id="u") for n in range(20)))
        assert all(found["results"] for found in results)

    asyncio.run(scenario("one"))
    asyncio.run(scenario("two"))
    asyncio.run(memory.close())
