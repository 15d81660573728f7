"""Random verbs on engines with caches, beside one without: they answer the same, always."""

import asyncio
import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from perdure.caches.memory import MemoryCache
from perdure.caches.redis import RedisCache
from perdure.engine.memory import Engine
from perdure.errors import PerdureError
from perdure.ports.caches import Caches
from perdure.settings import Settings
from perdure.stores.sqlite import SqliteStore
from perdure.testing.fakes import Clock, HashEmbedder, ServiceEmbedder, WordReranker
from perdure.testing.servers import RedisServer

EXAMPLES = 150 if os.environ.get("PERDURE_SOAK") else 12
SUBJECTS = ("tea", "coffee", "trip", "dog", "work")
USERS, AGENTS = ("ann", "bob"), (None, "cook", "coach")
ENGINES = ("first", "second")

TIMES = ("", " yesterday", " last week", " since Monday", " gestern", " in January")

LAST_BITS = 1.1e-4
"""A product of matrices of other heights may differ in them, which rounding to four digits makes larger."""


def alike(found, told):
    """The same, but for the last bits of scores."""
    if isinstance(found, dict) and isinstance(told, dict):
        return found.keys() == told.keys() and all(alike(found[name], told[name]) for name in told)
    if isinstance(found, list) and isinstance(told, list):
        return len(found) == len(told) and all(map(alike, found, told))
    if isinstance(found, float) and isinstance(told, float):
        return abs(found - told) <= LAST_BITS
    return found == told


times = st.sampled_from(TIMES)
subjects = st.sampled_from(SUBJECTS)
engines = st.sampled_from(ENGINES)
scopes = st.fixed_dictionaries({"user_id": st.sampled_from(USERS), "agent_id": st.sampled_from(AGENTS)})
reaches = st.sampled_from(
    [
        {"user_id": "ann"},
        {"user_id": "bob"},
        {"agent_id": "cook"},
        {"user_id": "ann", "agent_id": "coach"},
        {"filters": {"user_id": {"in": ["ann", "bob"]}}},
        {"filters": {"mood": "good"}},
        {"filters": {"AND": [{"user_id": "ann"}, {"mood": {"ne": "good"}}]}},
        {},
    ]
)
ALWAYS = (
    ("tea", {"user_id": "ann"}),
    ("tea yesterday", {"user_id": "ann"}),
    ("tea", {"agent_id": "cook"}),
    ("tea", {"filters": {"mood": "good"}}),
    ("tea", {}),
    ("tea", {"show_expired": True}),
)
wishes = st.fixed_dictionaries(
    {},
    optional={
        "threshold": st.sampled_from([0.0, 0.3]),
        "limit": st.sampled_from([0, 1, 20]),
        "explain": st.booleans(),
        "rerank": st.booleans(),
        "show_expired": st.booleans(),
        "show_superseded": st.booleans(),
        "trusted_only": st.booleans(),
        "as_of": st.sampled_from(["2026-01-05", "2026-01-07"]),
        "known_at": st.sampled_from(["2026-01-05T13:00:00Z", "2026-01-06T12:00:00Z"]),
        "reference_date": st.sampled_from(["2026-01-05T12:30:00Z", "2026-01-09"]),
    },
)


class CachesAgree(RuleBasedStateMachine):
    """Two engines with caches and a Redis between them, and one without any, on one file."""

    server: RedisServer

    @initialize(remote=st.booleans(), small=st.booleans())
    def begin(self, remote, small):
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.server.ask("FLUSHALL")
        self.remote, self.bytes = remote, 20_000 if small else 10_000_000
        self.engines = {name: self.opened(caches=True) for name in ENGINES}
        self.plain = self.opened(caches=False)
        self.ids, self.count = [], 0
        self.settle_in()

    def text(self, subject, more):
        """No two are alike: of those, the order would be that of the last bits of their scores."""
        self.count += 1
        return f"{subject} and {more} number{self.count}."

    def settle_in(self):
        """A few memories of everybody's: most rules want some."""
        for number, subject in enumerate(SUBJECTS):
            for user in USERS:
                added = self.run(
                    self.engines["first"].add(
                        self.text(subject, SUBJECTS[number - 1]),
                        user_id=user,
                        agent_id=AGENTS[number % len(AGENTS)],
                        metadata={"mood": "good"} if number % 2 else None,
                        timestamp=self.clock.now - timedelta(days=number),
                        infer=False,
                    )
                )
                self.ids += [result["id"] for result in added["results"]]

    def opened(self, *, caches):
        held = Caches(
            answers=MemoryCache(max_bytes=self.bytes),
            vectors=MemoryCache(max_bytes=self.bytes),
            shared=RedisCache(url=self.server.url, timeout=20.0, rest=0.0),
        )
        return Engine(
            store=SqliteStore(path=self.folder / "memory.db", synchronous="NORMAL"),
            embedder=(ServiceEmbedder if self.remote else HashEmbedder)(dimensions=8),
            reranker=WordReranker(),
            caches=held if caches else None,
            clock=self.clock,
            settings=Settings(categorize=False, repeat_window=0.0, vector_cache_bytes=0),
        )

    def run(self, work):
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    @rule(
        engine=engines,
        scope=scopes,
        subject=subjects,
        more=subjects,
        mood=st.booleans(),
        hours=st.none() | st.integers(1, 30),
    )
    def add(self, engine, scope, subject, more, mood, hours):
        expires = None if hours is None else self.clock.now + timedelta(hours=hours)
        added = self.run(
            self.engines[engine].add(
                self.text(subject, more),
                **scope,
                metadata={"mood": "good"} if mood else None,
                expiration_date=expires,
                infer=False,
            )
        )
        self.ids += [result["id"] for result in added["results"] if result["id"]]

    @rule(
        engine=engines,
        pick=st.integers(0, 50),
        verb=st.sampled_from(["update", "delete", "erase"]),
        subject=subjects,
    )
    def change(self, engine, pick, verb, subject):
        if self.ids:
            one, memory = self.ids[pick % len(self.ids)], self.engines[engine]
            argument = (one, self.text(subject, "more")) if verb == "update" else (one,)
            try:
                self.run(getattr(memory, verb)(*argument))
            except PerdureError:
                return

    @rule(engine=engines, user=st.sampled_from(USERS), verb=st.sampled_from(["delete_all", "erase"]))
    def remove(self, engine, user, verb):
        self.run(getattr(self.engines[engine], verb)(user_id=user))

    @rule(engine=engines)
    def reset(self, engine):
        self.run(self.engines[engine].reset())
        self.settle_in()

    @rule(engine=engines)
    def move_in(self, engine):
        """What is exported comes back after it was removed."""

        async def moving():
            memory = self.engines[engine]
            records = [record async for record in memory.export_records(user_id="ann")]
            await memory.reset()
            await memory.import_records(records)

        self.run(moving())

    @rule(hours=st.integers(-3, 40))
    def wait(self, hours):
        self.clock.advance(hours=hours)

    @rule(engine=engines)
    def settle(self, engine):
        self.run(self.engines[engine]._caching.settle())

    @rule(engine=engines)
    def forget_indexes(self, engine):
        self.engines[engine]._indexes.drop()

    @rule(engine=engines)
    def restart(self, engine):
        self.run(self.engines[engine].close())
        self.engines[engine] = self.opened(caches=True)

    @rule(what=st.sampled_from(["FLUSHALL", "spoil"]))
    def trouble(self, what):
        if what == "FLUSHALL":
            self.server.ask("FLUSHALL")
        else:
            for key in self.server.ask("KEYS", "*").split(b"\r\n")[2::2]:
                for name in self.server.ask("HKEYS", key).split(b"\r\n")[2::2]:
                    if not name.startswith(b"#"):
                        self.server.ask("HSET", key, name, b"\xff" * 60)

    @rule(engine=engines, subject=subjects, when=times, reach=reaches, wish=wishes, twice=st.booleans())
    def search(self, engine, subject, when, reach, wish, twice):
        asked, query = {**reach, **wish}, f"my {subject}{when}"
        told = self.run(self.plain.search(query, **asked))
        for _ in range(1 + twice):
            assert alike(self.run(self.engines[engine].search(query, **asked)), told)

    @rule(engine=engines, some=st.lists(subjects, max_size=4), reach=reaches)
    def search_many(self, engine, some, reach):
        told = self.run(self.plain.search_many(some, **reach))
        assert alike(self.run(self.engines[engine].search_many(some, **reach)), told)

    @rule(engine=engines, subject=subjects, reach=reaches, form=st.sampled_from(["text", "xml", "messages"]))
    def context(self, engine, subject, reach, form):
        told = self.run(self.plain.context(subject, format=form, **reach))
        assert alike(self.run(self.engines[engine].context(subject, format=form, **reach)), told)

    @rule(subject=subjects, reach=reaches, count=st.integers(2, 5))
    def search_at_once(self, subject, reach, count):
        told = self.run(self.plain.search(subject, **reach))

        async def together():
            return await asyncio.gather(
                *(memory.search(subject, **reach) for memory in self.engines.values() for _ in range(count))
            )

        assert all(alike(found, told) for found in self.run(together()))

    @invariant()
    def a_few_questions_are_answered_alike_after_each_step(self):
        """Most of what is cached of them is of before the step."""
        for query, reach in ALWAYS:
            told = self.run(self.plain.search(query, threshold=0.0, **reach))
            for memory in self.engines.values():
                assert alike(self.run(memory.search(query, threshold=0.0, **reach)), told)

    def teardown(self):
        for memory in (*self.engines.values(), self.plain):
            self.run(memory.close())
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()
        shutil.rmtree(self.folder)


def test_caches_answer_what_an_engine_without_them_answers(redis_server):
    from hypothesis.stateful import run_state_machine_as_test

    CachesAgree.server = redis_server
    run_state_machine_as_test(
        CachesAgree,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
