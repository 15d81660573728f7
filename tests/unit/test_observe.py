"""What Prometheus is told of a memory."""

from __future__ import annotations

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from perdure import AsyncMemory, Memory
from perdure.errors import InvalidInput, MissingExtra, NotFound, Overloaded
from perdure.observe import Metrics

PLAIN = {"store": "memory", "embedder": "hash"}


def figures(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample that a scraper reads, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text())
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return figures(metrics).get((name, frozenset({"memory": "default", **labels}.items())))


def watched(**settings: Any) -> tuple[AsyncMemory, Metrics]:
    memory, metrics = AsyncMemory({**PLAIN, "settings": settings}), Metrics()
    metrics.watch(memory)
    return memory, metrics


def test_calls_are_counted_by_verb_and_errors_by_class():
    async def main() -> None:
        memory, metrics = watched()
        async with memory:
            for text in ("I sail on Sundays.", "I row on Mondays."):
                await memory.add(text, user_id="maya")
            await memory.search("When do I sail?", user_id="maya")
            for _ in range(3):
                with pytest.raises(NotFound):
                    await memory.get("nothing")
            assert value(metrics, "perdure_call_seconds_count", verb="add") == 2
            assert value(metrics, "perdure_call_seconds_count", verb="search") == 1
            assert value(metrics, "perdure_call_seconds_count", verb="search_many") is None
            assert value(metrics, "perdure_call_seconds_count", verb="get") == 3
            assert value(metrics, "perdure_call_errors_total", verb="get", error="NotFound") == 3
            assert 0 < (value(metrics, "perdure_call_seconds_sum", verb="add") or 0) < 60
            assert value(metrics, "perdure_call_seconds_bucket", verb="add", le="+Inf") == 2

    asyncio.run(main())


def test_refused_and_cancelled_calls_are_counted_apart():
    async def main() -> None:
        memory, metrics = watched(calls_at_once=1)
        async with memory:
            flushing = asyncio.ensure_future(memory.add("I sail on Sundays.", user_id="maya"))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await memory.search("sail", user_id="maya")
            assert value(metrics, "perdure_queue_running", queue="calls") == 1
            assert value(metrics, "perdure_queue_saturation", queue="calls") == 1
            flushing.cancel()
            await asyncio.gather(flushing, return_exceptions=True)
            assert value(metrics, "perdure_calls_refused_total", verb="search") == 1
            assert value(metrics, "perdure_call_seconds_count", verb="search") is None
            assert value(metrics, "perdure_call_errors_total", verb="add", error="CancelledError") == 1
            assert value(metrics, "perdure_queue_running", queue="calls") == 0

    asyncio.run(main())


def test_caches_and_indexes_are_told_as_stats_tells_them():
    async def main() -> None:
        memory, metrics = watched()
        async with memory:
            await memory.add("I sail on Sundays.", user_id="maya")
            for _ in range(3):
                await memory.search("When do I sail?", user_id="maya")
            told = (await memory.stats())["caches"]
            assert told["answers"]["hits"] == 2
            assert value(metrics, "perdure_cache_hits_total", values="answers") == 2
            assert value(metrics, "perdure_cache_misses_total", values="answers") == told["answers"]["misses"]
            assert (
                value(metrics, "perdure_cache_bytes", cache="answers") == told["layers"]["answers"]["bytes"]
            )
            assert value(metrics, "perdure_index_bytes") == memory.live_stats()["index_bytes"] > 0

    asyncio.run(main())


def test_no_figure_holds_a_text_or_an_id():
    async def main() -> None:
        memory, metrics = watched()
        async with memory:
            made = await memory.add("Zanzibar is warm.", user_id="quokka", agent_id="wombat", run_id="r77")
            await memory.search("Is Zanzibar warm?", user_id="quokka")
            with pytest.raises(NotFound):
                await memory.get("numbat")
            text = metrics.text().lower()
            secrets = ("zanzibar", "quokka", "wombat", "r77", "numbat", made["results"][0]["id"])
            assert [secret for secret in secrets if secret in text] == []

    asyncio.run(main())


def test_several_memories_of_both_faces_share_one_collector(tmp_path: Path):
    metrics, registry = Metrics(), CollectorRegistry(auto_describe=True)
    registry.register(metrics)
    with Memory(PLAIN) as one, Memory({**PLAIN, "path": str(tmp_path / "m.db"), "store": "sqlite"}) as other:
        metrics.watch(one, name="one")
        metrics.watch(other, name="other")
        with pytest.raises(InvalidInput, match="another name"):
            metrics.watch(other, name="one")
        one.add("I sail on Sundays.", user_id="maya")
        other.get_all(user_id="maya")

        def count(memory: str, verb: str) -> float | None:
            return registry.get_sample_value("perdure_call_seconds_count", {"memory": memory, "verb": verb})

        assert (count("one", "add"), count("other", "add"), count("other", "get_all")) == (1, None, 1)
        labels = {"memory": "other", "queue": "store.readers"}
        assert registry.get_sample_value("perdure_queue_bound", labels) == 2


def test_metrics_keep_no_memory_alive_and_its_name_is_free_again():
    metrics = Metrics()
    for round_ in range(2):
        memory = AsyncMemory(PLAIN)
        metrics.watch(memory)
        assert value(metrics, "perdure_queue_bound", queue="calls") == 10_000, round_
        del memory
        gc.collect()
        assert value(metrics, "perdure_queue_bound", queue="calls") is None


def test_the_registry_of_the_process_takes_them():
    metrics = Metrics()
    REGISTRY.register(metrics)
    try:
        metrics.watch(memory := AsyncMemory(PLAIN))
        labels = {"memory": "default", "queue": "calls"}
        assert REGISTRY.get_sample_value("perdure_queue_bound", labels) == 10_000
        del memory
    finally:
        REGISTRY.unregister(metrics)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(MissingExtra, match=r"perdure\[metrics\]"):
        Metrics()
