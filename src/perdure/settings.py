"""The engine's own settings: bounds and defaults that every call shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

CATEGORIES: Final[Mapping[str, str]] = {
    "personal_details": "name, age, birthday, home, origin, identity",
    "family": "parents, children, siblings, partner, relatives",
    "professional_details": "job, employer, colleagues, career, skills",
    "sports": "sports done or followed, teams, training",
    "travel": "trips, places visited or planned",
    "food": "meals, diet, cooking, restaurants",
    "music": "music heard or made, concerts, instruments",
    "health": "illness, allergies, fitness, medicine, sleep",
    "technology": "devices, software, programming",
    "hobbies": "pastimes, games, crafts, collections",
    "fashion": "clothes, style, beauty",
    "entertainment": "films, series, books, shows",
    "milestones": "weddings, births, graduations, new homes, achievements",
    "user_preferences": "likes, dislikes, wishes, how to be treated",
    "misc": "anything else",
}
"""mem0's own list, each with what belongs to it; `settings.categories` replaces it."""

Secret: TypeAlias = Literal["card", "email", "iban", "key", "phone"]
"""What `settings.redact` knows how to find."""

CACHE_TTL: Final[Mapping[str, float]] = {
    "user": 900.0,
    "agent": 3_600.0,
    "run": 120.0,
    "app": 3_600.0,
}
"""Seconds for which an answer is cached, by whose memories it is from: preferences of a user, knowledge of an agent,
context of a session, static content of an application."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Bounds and defaults; sizes are in bytes, times in seconds."""

    tenant: str = "default"
    """The project whose memories these are; no caller of a verb can choose another."""
    threshold: float | None = None
    """The least score of a result; None: the one that the ranking was calibrated for."""
    top_k: int = 10
    """How many results a search gives."""
    max_text_bytes: int = 262_144
    """One message; a longer one is refused, to be added in parts."""
    max_metadata_bytes: int = 65_536
    """The metadata of one add, as JSON."""
    max_query_bytes: int = 65_536
    """One query; a longer one is refused."""
    redact: tuple[Secret, ...] = ()
    """Replaced by its kind before anything is stored: any of card, email, iban, key, phone."""
    repeat_window: float = 5.0
    """The same messages in the same scope within so many seconds are one add."""
    categories: Mapping[str, str] | None = None
    """What memories are sorted into: names, each with what belongs to it; None: mem0's list."""
    categorize: bool = True
    """Without a language model, give a memory the categories whose descriptions it is nearest to."""
    instructions: str = ""
    """What a language model is told besides our own instructions, for every add."""
    max_facts: int = 50
    """Facts of one answer of a language model; the rest is dropped, and said so."""
    calls_at_once: int = 10_000
    """So many calls are in flight at once; further ones are refused (`Overloaded`) before anything is done."""
    background: bool = True
    """Do what is pending behind the callers' backs, in this process; False leaves it to `perdure worker`."""
    jobs_at_once: int = 32
    """So many adds are worked on in the background at the same time."""
    lease: float = 30.0
    """Seconds that a job stays with a process that is heard of no more; then another takes it."""
    job_attempts: int = 8
    """So often what an add left is tried, each time later, before it is given up."""
    close_wait: float = 5.0
    """Seconds that `close` gives to background work in hand; the rest is left to the next process."""
    engine_wait: float = 5.0
    """Seconds that a caller waits until engines beside the store know of a change; then they are told behind."""
    index_bytes: int = 268_435_456
    """For partition indexes in memory; the least recently used go first."""
    workers: int = 1
    """Threads that take in large indexes and rank large partitions."""
    cache_bytes: int = 33_554_432
    """For answers, vectors of texts and rerank scores held in this process; the least recently used go first. 0: none."""
    cache_ttl: Mapping[str, float] | None = None
    """How long an answer is cached, by `user`, `agent`, `run` and `app`; None: 900, 3,600, 120 and 3,600."""
    stale_while: float = 0.0
    """For so long an answer may be given that was true before the latest writes, while a new one is made."""
    vector_cache_bytes: int = 67_108_864
    """For vectors of texts kept in the store, for an embedder that is a service and no cache that is shared. 0: none."""
    batch_texts: int = 64
    """So many texts are embedded in one call, of those that come while another call is under way."""
    batch_wait: float = 0.002
    """So long a text waits, at most, for others to be embedded with."""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            ValueError: a bound below its least value.
        """
        self._check_sizes()
        self._check_seconds()
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError("threshold is a number from 0 to 1")
        if unknown := [name for name in self.redact if name not in get_args(Secret)]:
            raise ValueError(f"redact has {unknown[0]!r}: give any of {', '.join(get_args(Secret))}")

    def _check_sizes(self) -> None:
        least = dict.fromkeys(("cache_bytes", "vector_cache_bytes"), 0) | dict.fromkeys(
            (
                "top_k",
                "max_text_bytes",
                "max_metadata_bytes",
                "max_query_bytes",
                "index_bytes",
                "max_facts",
                "calls_at_once",
                "jobs_at_once",
                "job_attempts",
                "workers",
                "batch_texts",
            ),
            1,
        )
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} is a number from {smallest} on")

    def _check_seconds(self) -> None:
        if not self.lease > 0:
            raise ValueError("lease is a number of seconds above 0")
        for name in ("repeat_window", "close_wait", "stale_while", "batch_wait", "engine_wait"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is a number of seconds from 0 on")
        for name, seconds in (self.cache_ttl or {}).items():
            if name not in CACHE_TTL or not seconds >= 0:
                known = ", ".join(CACHE_TTL)
                raise ValueError(f"cache_ttl has {name!r}: {seconds!r}: give seconds for any of {known}")
