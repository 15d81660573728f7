"""What a store promises of work that is still to be done."""

# ruff: noqa: D102 -- the names of the tests are sentences

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from perdure.errors import Conflict
from perdure.ports import Job, Store
from perdure.testing.store.scenes import ALICE, BOB, NOW, Play, batch, fact, moment, said
from perdure.types import Scope

KINDS = ("facts",)
LATER = NOW + timedelta(seconds=30)


class Jobs(Play):
    """The port `Store`: jobs come with turns, are leased in order, and go with what they led to."""

    def test_a_job_comes_with_its_turns_and_goes_with_what_it_led_to(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn = said("tea")
            job = Job(
                id="j", partition=ALICE.partition, kind="extract", turns=(turn[0].id,), made_at=NOW,
                options={"prompt": "ü"},
            )  # fmt: skip
            await store.commit(batch(turn, jobs=(job,)))
            assert await store.jobs("default") == [job]
            assert await store.jobs("other") == []
            tried = replace(job, attempts=1, error="no answer", answer="{")
            assert await store.keep_job(tried)
            assert await store.jobs("default", limit=1) == [tried]
            assert await store.jobs("default", ids=["unknown", "j"]) == [tried]
            assert await store.jobs("default", ids=["unknown"]) == []
            assert not await store.keep_job(replace(tried, partition=BOB.partition))
            for done, scope in ((("j", "unknown"), ALICE), (("j",), BOB)):
                with pytest.raises(Conflict):
                    await store.commit(batch(fact("likes tea", scope=scope), done=done))
            assert await store.jobs("default") == [tried]
            await store.commit(batch(fact("likes tea"), done=("j",)))
            assert await store.jobs("default") == []
            assert not await store.keep_job(tried)
            with pytest.raises(Conflict):
                await store.commit(batch(fact("likes tea"), done=("j",)))

        self.play(tmp_path, scenario)

    def test_jobs_know_nothing_of_erased_turns(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            one, two = said("tea"), said("coffee")
            turns = (one[0].id, two[0].id)
            job = Job(id="j", partition=ALICE.partition, kind="extract", turns=turns, made_at=NOW)
            await store.commit(batch(one, two, jobs=(job,)))
            await store.keep_job(replace(job, attempts=1, error="cut", answer="Tea, and"))
            await store.erase("default", [turns[0]], at=NOW)
            assert await store.jobs("default") == [replace(job, turns=turns[1:], attempts=1)]
            await store.erase("default", [turns[1]], at=NOW)
            assert await store.jobs("default") == []

        self.play(tmp_path, scenario)

    def test_a_reset_removes_jobs(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn = said("tea")
            job = Job(id="j", partition=ALICE.partition, kind="extract", turns=(turn[0].id,), made_at=NOW)
            await store.commit(batch(turn, jobs=(job,)))
            await store.reset("default")
            assert await store.jobs("default") == []

        self.play(tmp_path, scenario)

    def test_a_worker_takes_what_is_due_oldest_first_and_nobody_else_does(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            names = [await left(store, f"turn {n}", ALICE if n % 2 else BOB, second=n) for n in range(4)]
            assert await taken(store, "one", limit=3) == names[:3]
            assert await taken(store, "two") == []  # the last one waits for those before it in its partition
            assert await taken(store, "one") == names[3:]
            held = {job.id: job for job in await store.jobs("default")}
            assert all(job.worker == "one" and job.leased(NOW) for job in held.values())
            assert not held[names[0]].leased(LATER)
            assert await taken(store, "two", at=30) == names  # the leases have ended

        self.play(tmp_path, scenario)

    def test_what_is_tried_again_later_keeps_its_place_until_it_is_given_up(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first, second = [await left(store, f"turn {n}", ALICE, second=n) for n in range(2)]
            [job] = await store.claim("default", KINDS, worker="one", now=NOW, until=LATER, limit=1)
            assert await store.keep_job(replace(job, attempts=1, error="not now", due_at=moment(seconds=10)))
            assert await taken(store, "two", at=9) == []
            assert await taken(store, "two", at=10, limit=1) == [first]
            [job] = await store.jobs("default", ids=[first])
            assert await store.keep_job(replace(job, attempts=2, given_up=True))
            assert await taken(store, "one", at=11) == [second]
            [job] = await store.jobs("default", ids=[first])
            assert (job.given_up, job.attempts, job.error) == (True, 2, "not now")
            assert await store.keep_job(replace(job, given_up=False, attempts=0))
            await store.extend("default", [first, second], worker="one", until=moment(seconds=12))
            assert await taken(store, "two", at=12) == [first, second]

        self.play(tmp_path, scenario)

    def test_work_of_another_kind_is_left_to_others_and_stands_in_nobodys_way(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            first, second = [
                await left(store, f"turn {n}", ALICE, second=n, kind=kind)
                for n, kind in enumerate(("vectors", "facts"))
            ]
            assert await taken(store, "one") == [second]
            until = moment(minutes=5)
            [job] = await store.claim("default", ["vectors"], worker="two", now=NOW, until=until, limit=9)
            assert job.id == first

        self.play(tmp_path, scenario)

    def test_who_has_lost_a_job_cannot_say_how_it_ended(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            name = await left(store, "tea", ALICE)
            [lost] = await store.claim("default", KINDS, worker="one", now=NOW, until=LATER, limit=1)
            assert await taken(store, "two", at=30) == [name]
            assert not await store.keep_job(replace(lost, error="a time-out"))
            [job] = await store.jobs("default")
            assert (job.worker, job.error) == ("two", None)

        self.play(tmp_path, scenario)

    def test_leases_are_extended_and_given_back_together(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            names = [await left(store, f"turn {n}", scope) for n, scope in enumerate((ALICE, BOB))]
            assert sorted(await taken(store, "one")) == sorted(names)
            await store.extend("default", names, worker="one", until=moment(minutes=5))
            assert await taken(store, "two", at=60) == []
            await store.extend("other", names, worker="one", until=NOW)
            await store.extend("default", names, worker="two", until=NOW)
            assert await taken(store, "two", at=60) == []
            await store.extend("default", names[:1], worker="one", until=NOW)
            assert await taken(store, "two", at=60) == names[:1]

        self.play(tmp_path, scenario)

    def test_what_an_add_has_led_to_is_told_by_its_id(self, tmp_path: Path) -> None:
        async def scenario(store: Store) -> None:
            turn = said("tea")
            made = await store.commit(batch(turn))
            assert [(c.memory_id, c.new_text) for c in await store.written("default", made.batch_id)] == [
                (turn[0].id, "tea")
            ]
            assert await store.written("other", made.batch_id) == []
            await store.erase("default", [turn[0].id], at=NOW)
            assert [c.new_text for c in await store.written("default", made.batch_id)] == [None]

        self.play(tmp_path, scenario)


async def left(store: Store, text: str, scope: Scope, *, second: int = 0, kind: str = "facts") -> str:
    """The id of a job that was left with a turn."""
    turn = said(text, scope=scope)
    job = Job(
        id=f"job of {turn[0].id}",
        partition=scope.partition,
        kind=kind,
        turns=(turn[0].id,),
        made_at=moment(seconds=second),
    )
    await store.commit(batch(turn, jobs=(job,), partition=scope.partition))
    return job.id


async def taken(store: Store, worker: str, *, at: float = 0, limit: int = 9) -> list[str]:
    """The ids of the jobs that a worker gets."""
    now = moment(seconds=at)
    jobs = await store.claim(
        "default", KINDS, worker=worker, now=now, until=now + timedelta(seconds=30), limit=limit
    )
    return [job.id for job in jobs]
