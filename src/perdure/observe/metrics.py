"""Calls, queues and caches as Prometheus collects them; no label holds a text or an id of anybody."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from perdure.errors import InvalidInput, MissingExtra
from perdure.load import Watchable

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram
    from prometheus_client.metrics_core import Metric

SECONDS: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""Bounds of the histogram: from a search that a cache answers to an add that learns from a long conversation."""


class Metrics:
    """The figures of one or several memories, to be registered with any registry, or read as `text`.

    ```python
    metrics = Metrics()
    metrics.watch(memory)
    prometheus_client.REGISTRY.register(metrics)
    ```

    Calls are counted from `watch` on; queues and caches are looked at when they are collected. It keeps no memory
    open. A forked child makes another one.
    """

    def __init__(self) -> None:
        """Nothing is watched yet.

        Raises:
            MissingExtra: the package `prometheus-client` is not installed.
        """
        try:
            from prometheus_client import Counter, Histogram
        except ImportError as error:
            raise MissingExtra("metrics need prometheus-client: pip install 'perdure[metrics]'") from error
        self._seconds = Histogram(
            "perdure_call_seconds",
            "Seconds that calls of verbs took, however they ended.",
            ("memory", "verb"),
            buckets=SECONDS,
            registry=None,
        )
        self._errors = Counter(
            "perdure_call_errors",
            "Calls that raised, by the class of the error; CancelledError: given up by the caller.",
            ("memory", "verb", "error"),
            registry=None,
        )
        self._refused = Counter(
            "perdure_calls_refused",
            "Calls that were not taken on, as too many were in flight.",
            ("memory", "verb"),
            registry=None,
        )
        self._memories: dict[str, weakref.ref[Watchable]] = {}

    def watch(self, memory: Watchable, *, name: str = "default") -> None:
        """Take a memory in, `AsyncMemory` or `Memory`; `name` is its label `memory`.

        Raises:
            InvalidInput: another memory has that name.
        """
        if (known := self._memories.get(name)) is not None and known() is not None:
            raise InvalidInput(f"a memory is watched as {name!r} already: give another name")
        self._memories[name] = weakref.ref(memory)
        memory.watch(_Calls(name, self._seconds, self._errors, self._refused))

    def collect(self) -> Iterator[Metric]:
        """All figures as of now, for a registry; called from any thread."""
        for counted in (self._seconds, self._errors, self._refused):
            yield from counted.collect()
        held = {name: memory for name, ref in list(self._memories.items()) if (memory := ref()) is not None}
        yield from _families({name: memory.live_stats() for name, memory in held.items()})

    def text(self) -> str:
        """All figures as of now, in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry).decode()


class _Calls:
    """Counts the calls of one memory."""

    def __init__(self, name: str, seconds: Histogram, errors: Counter, refused: Counter) -> None:
        self._name = name
        self._errors = errors
        self._refused = refused
        self._seconds = seconds
        self._observe: dict[str, Callable[[float], None]] = {}
        """By verb: to look a histogram up by its labels takes longer than to use it."""

    def ended(self, verb: str, seconds: float, error: str | None) -> None:
        observe = self._observe.get(verb)
        if observe is None:
            observe = self._observe[verb] = self._seconds.labels(self._name, verb).observe
        observe(seconds)
        if error is not None:
            self._errors.labels(self._name, verb, error).inc()

    def refused(self, verb: str) -> None:
        self._refused.labels(self._name, verb).inc()


def _families(stats: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    """What `live_stats` of each memory tells."""
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    for (kind, figure, label), help_ in _FIGURES.items():
        counts = figure in _COUNTED
        name = f"perdure_{'cache' if kind != 'queues' else 'queue'}_{figure}"
        made = (CounterMetricFamily if counts else GaugeMetricFamily)(name, help_, labels=("memory", label))
        for memory, told in stats.items():
            for which, figures in _part(told, kind).items():
                if figures.get(figure) is not None:
                    made.add_metric((memory, which), figures[figure])
        yield made
    index = GaugeMetricFamily(
        "perdure_index_bytes", "Bytes of partition indexes in memory.", labels=("memory",)
    )
    for memory, told in stats.items():
        index.add_metric((memory,), told["index_bytes"])
    yield index


def _part(told: Mapping[str, Any], kind: str) -> Mapping[str, Mapping[str, Any]]:
    if kind == "caches":
        return {name: figures for name, figures in told["caches"].items() if name != "layers"}
    part: Mapping[str, Mapping[str, Any]] = told["caches"]["layers"] if kind == "layers" else told["queues"]
    return part


_COUNTED: Final = frozenset({"hits", "misses", "stale", "evictions", "failures"})
"""Those that only grow."""
_FIGURES: Final[Mapping[tuple[str, str, str], str]] = {
    ("queues", "running", "queue"): "What a queue is working on.",
    ("queues", "waiting", "queue"): "What waits for its turn in a queue.",
    ("queues", "bound", "queue"): "How much a queue can work on at once.",
    ("queues", "saturation", "queue"): "The share of its bound that a queue is working on.",
    ("caches", "hits", "values"): "What was in a cache, by the kind of values.",
    ("caches", "misses", "values"): "What was in no cache and had to be made.",
    ("caches", "stale", "values"): "Hits that were given though there was something newer.",
    ("layers", "entries", "cache"): "Entries of a cache.",
    ("layers", "bytes", "cache"): "Bytes of a cache.",
    ("layers", "evictions", "cache"): "Entries that had to go for others.",
    ("layers", "failures", "cache"): "Calls of a cache that failed.",
}
"""What of `live_stats` is shown: the part, the figure, and what its label is called."""
