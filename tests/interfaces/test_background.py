"""What is done behind the callers: over real HTTP, over several processes, and when it goes wrong."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from perdure import AsyncMemory, Memory
from perdure.errors import ConfigurationError, Conflict, InvalidInput, NotFound
from perdure.testing.models import Fault, ModelServer

SOON = 30


def fact(text: str, **more: Any) -> dict[str, Any]:
    about = {"turns": [1], "subject": "Ann", "attribute": text, "from": None, "to": None}
    return {"text": text, **about, "categories": [], "action": "add", "memory": None, **more}


def learned(seen: Any) -> dict[str, Any]:
    """Of each message one fact: what it says."""
    import json

    lines = [json.loads(line) for line in seen.content.split("\n")]
    said = [line["text"] for line in lines if line["line"].startswith("T")]
    return {"facts": [fact(f"Ann: {text}") for text in said], "relations": []}


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(learned) as running:
        yield running


@pytest.fixture
def config(server: ModelServer, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def made(**settings: Any) -> dict[str, Any]:
        llm = {"provider": "openai", "model": "m", "base_url": server.openai, "retries": 0}
        return {"path": str(tmp_path / "m.db"), "embedder": "hash", "llm": llm, "settings": settings}

    return made


def plain(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    return {"path": str(tmp_path / "m.db"), "embedder": "hash", "settings": settings}


def texts(answer: dict[str, Any]) -> list[str]:
    return [result["memory"] for result in answer["results"]]


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + SOON
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_without_waiting_messages_are_found_at_once_and_facts_come_behind(server, config):
    with Memory(config()) as memory, server.held():
        added = memory.add("tea is good", user_id="ann", wait=False)
        assert added["results"] == []
        assert added["receipt"]["stored"] == 1
        assert texts(memory.search("tea", user_id="ann")) == ["tea is good"]
        assert memory.event(added["event_id"])["status"] in ("PENDING", "RUNNING")
        server.release()
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        event = memory.event(added["event_id"])
        assert (event["status"], texts(event)) == ("SUCCEEDED", ["Ann: tea is good"])
        assert texts(memory.get_all(user_id="ann")) == ["Ann: tea is good"]
        assert memory.events() == []


def test_without_a_language_model_vectors_and_categories_come_behind(tmp_path):
    config = {"path": str(tmp_path / "m.db")}  # the local model
    with Memory({**config, "settings": {"background": False}}) as memory:
        late = memory.add("I play the cello in an orchestra.", user_id="ann", wait=False)
        kept = memory.add("I take the tram to work.", user_id="ann", wait=False, infer=False)
        found = memory.search("cello", user_id="ann", explain=True)["results"][0]
        assert memory.get(late["results"][0]["id"])["categories"] == []
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        other = memory.search("cello", user_id="ann", explain=True)["results"][0]
        assert other["score"] != found["score"]  # now by what it means as well
        assert memory.get(late["results"][0]["id"])["categories"] == ["music"]
        assert memory.get(kept["results"][0]["id"])["categories"] == []
        again = memory.add("I play the cello in an orchestra.", user_id="rui")
        [same] = memory.search("cello", user_id="rui")["results"]
        assert again["receipt"]["pending"] == []
        assert memory.doctor()["problems"] == []
        assert same["memory"] == other["memory"]


def test_hundreds_at_once_are_learned_in_the_order_in_which_they_were_said(server, config):
    async def main() -> None:
        async with AsyncMemory(config()) as memory:
            for number in range(40):
                await memory.add(f"number {number}", user_id="ann", wait=False)
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
            held = (await memory.get_all(user_id="ann", limit=100))["results"]
            in_order = sorted(held, key=lambda one: one["id"])  # ids are made when facts are
            assert [one["memory"] for one in in_order] == [f"Ann: number {n}" for n in range(40)]

    asyncio.run(main())


def test_a_failure_is_tried_again_later_and_given_up_in_the_end(server, config, monkeypatch):
    monkeypatch.setattr("perdure.engine.work.attempts.FIRST", 0.05)
    server.answers(Fault(status=500))
    with Memory(config(job_attempts=3)) as memory:
        added = memory.add("tea", user_id="ann", wait=False)
        until(lambda: memory.event(added["event_id"])["status"] == "FAILED")
        [left] = memory.pending()
        assert (left["attempts"], left["status"]) == (3, "FAILED")
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 1}
        server.answers(learned)
        later = memory.add("coffee", user_id="ann")  # what was given up stands in nobody's way
        assert texts(later) == ["Ann: coffee"]
        assert memory.retry(added["event_id"])["done"] == 1
        assert memory.event(added["event_id"])["status"] == "SUCCEEDED"


def test_an_add_that_waited_in_vain_is_learned_as_soon_as_the_model_is_back(server, config, monkeypatch):
    monkeypatch.setattr("perdure.engine.work.attempts.FIRST", 0.05)
    failures = iter([Fault(status=500)])
    server.answers(lambda seen: next(failures, None) or learned(seen))
    with Memory(config()) as memory:
        added = memory.add("tea", user_id="ann")
        assert added["receipt"]["pending"]
        until(lambda: memory.event(added["event_id"])["status"] == "SUCCEEDED")
        assert texts(memory.get_all(user_id="ann")) == ["Ann: tea"]


def test_a_callback_hears_of_it_and_may_use_the_memory(server, config):
    heard: list[Any] = []
    done = threading.Event()
    with Memory(config()) as memory:

        def tell(event: Any) -> None:
            heard.append((event["status"], texts(event), len(memory.get_all(user_id="ann")["results"])))
            done.set()

        memory.add("tea", user_id="ann", wait=False, callback=tell)
        assert done.wait(SOON)
    assert heard == [("SUCCEEDED", ["Ann: tea"], 1)]


def test_a_callback_may_be_asynchronous_and_its_errors_are_its_own(server, config):
    async def main() -> None:
        async with AsyncMemory(config()) as memory:
            heard: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            async def tell(event: Any) -> None:
                heard.set_result(event["status"])
                raise RuntimeError("mine")

            await memory.add("tea", user_id="ann", wait=False, callback=tell)
            assert await asyncio.wait_for(heard, SOON) == "SUCCEEDED"
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}

    asyncio.run(main())


def test_a_callback_hears_of_what_another_process_has_done(server, config):
    heard: list[str] = []
    with Memory(config(background=False)) as memory:
        memory.add("tea", user_id="ann", wait=False)
        with Memory(config(background=False)) as other:
            assert other.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        added = memory.add("coffee", user_id="ann", wait=False, callback=lambda e: heard.append(e["status"]))
        with Memory(config()) as other:
            other.flush(timeout=SOON)
        until(lambda: heard == ["SUCCEEDED"])
        assert memory.event(added["event_id"])["status"] == "SUCCEEDED"


def test_what_a_process_left_is_done_by_another(server, config):
    with Memory(config(background=False)) as memory:
        for number in range(5):
            memory.add(f"number {number}", user_id="ann", wait=False)
    with Memory(config()) as memory:
        memory.add("the last", user_id="ann", wait=False)
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        assert len(memory.get_all(user_id="ann")["results"]) == 6


def test_close_leaves_what_is_not_done_to_the_next(server, config):
    with server.held():
        memory = Memory(config(close_wait=0))
        added = memory.add("tea", user_id="ann", wait=False)
        until(lambda: memory.event(added["event_id"])["status"] == "RUNNING")
        memory.close()
    with Memory(config()) as memory:
        assert memory.event(added["event_id"])["status"] == "PENDING"  # its lease was given back
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        assert texts(memory.get_all(user_id="ann")) == ["Ann: tea"]


def test_a_caller_who_gives_up_leaves_his_add_to_the_background(server, config):
    async def main() -> None:
        async with AsyncMemory(config()) as memory:
            with server.held():
                adding = asyncio.create_task(memory.add("tea", user_id="ann"))
                await asyncio.to_thread(server.wait_for, 1)
                adding.cancel()
                await asyncio.gather(adding, return_exceptions=True)
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
            assert texts(await memory.get_all(user_id="ann")) == ["Ann: tea"]

    asyncio.run(main())


def test_work_left_in_one_loop_is_done_in_the_next(server, config):
    memory = AsyncMemory(config())

    async def leave() -> None:
        await memory.add("tea", user_id="ann", wait=False)

    async def finish() -> None:
        assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        assert texts(await memory.get_all(user_id="ann")) == ["Ann: tea"]
        await memory.close()

    with server.held():
        asyncio.run(leave())
    asyncio.run(finish())


def test_bad_arguments_are_refused_before_anything_is_stored(tmp_path):
    with Memory(plain(tmp_path)) as memory:
        for wrong in ({"callback": print}, {"wait": False, "callback": "no function"}):
            with pytest.raises(InvalidInput, match="callback"):
                memory.add("tea", user_id="ann", **wrong)
        with pytest.raises(InvalidInput, match="timeout"):
            memory.flush(timeout="soon")
        with pytest.raises(NotFound, match="no add with the event id"):
            memory.event("0190b6d0-0000-7000-8000-000000000000")
        with pytest.raises(InvalidInput, match="event_id=3: give the id of an add"):
            memory.event(3)
        assert memory.get_all(user_id="ann")["results"] == []
    with pytest.raises(ConfigurationError, match="configure embedder or llm"):
        Memory({"path": str(tmp_path / "m.db"), "embedder": None}).work()


def test_a_worker_from_the_command_line_does_what_others_left(server, config, tmp_path):
    file = tmp_path / "perdure.toml"
    file.write_text(
        f'path = "{tmp_path / "m.db"}"\nembedder = "hash"\n'
        f'[llm]\nprovider = "openai"\nmodel = "m"\nbase_url = "{server.openai}"\nretries = 0\n'
    )
    program = "from perdure.cli import main; main()"
    command = [sys.executable, "-c", program, "worker", "--config", str(file)]
    Memory(config()).stats()  # there is a store
    quiet = {**os.environ, "PYTHONASYNCIODEBUG": ""}  # it would tell on stderr how slow a busy machine is
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=quiet) as worker:
        assert "Working" in worker.stderr.readline()
        with Memory(config(background=False)) as memory:
            added = memory.add("tea", user_id="ann", wait=False)
            until(lambda: memory.event(added["event_id"])["status"] == "SUCCEEDED")
            worker.terminate()
            assert worker.wait(SOON) == 0
            memory.add("coffee", user_id="ann", wait=False)
            done = subprocess.run([*command, "--once"], check=False, capture_output=True, text=True)
            assert (done.returncode, "0 pending" in done.stdout) == (0, True)
            assert sorted(texts(memory.get_all(user_id="ann"))) == ["Ann: coffee", "Ann: tea"]


@pytest.mark.parametrize("wait", [True, False])
def test_what_is_erased_while_the_model_answers_is_not_learned_from_its_context(server, config, wait):
    with Memory(config(close_wait=0)) as memory:
        before = memory.add("I live in Quito.", user_id="ann", infer=False)["results"][0]["id"]
        server.answers({"facts": [fact("Ann likes it in Quito.")], "relations": []})
        adding = threading.Thread(target=lambda: memory.add("We like it there.", user_id="ann", wait=wait))
        with server.held():
            asked = len(server.seen)
            adding.start()
            server.wait_for(asked + 1)
            memory.erase(before)
        adding.join(SOON)
        until(lambda: memory.pending()[0]["error"])
        assert "erased meanwhile" in memory.pending()[0]["error"]
        assert "Quito" not in str(memory.get_all(user_id="ann", show_all=True))
        server.answers({"facts": [fact("Ann likes it there.")], "relations": []})
        assert memory.retry()["pending"] == 0
        assert texts(memory.get_all(user_id="ann")) == ["Ann likes it there."]


def test_the_raw_answer_of_a_pending_job_does_not_keep_what_is_erased(server, config, tmp_path):
    with Memory(config(background=False)) as memory:
        before = memory.add("I live in Tunis.", user_id="ann", infer=False)["results"][0]["id"]
        server.answers("As said before she lives in Tunis, cannot tell more")
        memory.add("We like it there.", user_id="ann")
        assert "Tunis" in memory.pending()[0]["answer"]
        memory.erase(before)
        assert memory.pending()[0]["answer"] is None
        with server.held():
            asked = len(server.seen)
            second = memory.add("I live in Lima.", user_id="ann", infer=False)["results"][0]["id"]
            server.answers("Lima, as she said")
            adding = threading.Thread(target=lambda: memory.add("It is warm there.", user_id="ann"))
            adding.start()
            server.wait_for(asked + 1)
            memory.erase(second)
        adding.join(SOON)
        assert [job["answer"] for job in memory.pending()] == [None, None]
    assert b"Lima" not in (tmp_path / "m.db").read_bytes()


@pytest.mark.parametrize("gone", ["reset", "delete_all", "erase"])
def test_what_is_gone_while_it_is_learned_again_stays_gone(server, config, gone):
    with Memory(config()) as memory, Memory(config()) as other:
        turn = memory.add("I own a boat in Malta.", user_id="ann", infer=False)["results"][0]["id"]
        failed: list[Exception] = []

        def again() -> None:
            try:
                memory.reextract(user_id="ann", apply=True)
            except Conflict as error:
                failed.append(error)

        learning = threading.Thread(target=again)
        with server.held():
            asked = len(server.seen)
            learning.start()
            server.wait_for(asked + 1)
            if gone == "erase":
                other.erase(turn)
            else:
                getattr(other, gone)(**({"user_id": "ann"} if gone == "delete_all" else {}))
        learning.join(SOON)
        assert failed
        assert memory.get_all(user_id="ann", show_all=True)["results"] == []


def test_a_procedure_of_messages_that_are_deleted_meanwhile_is_not_written_down(server, config):
    with Memory(config()) as memory:
        server.answers("Goal: fly to Chad.")
        adding = threading.Thread(
            target=lambda: memory.add("Fly to Chad", user_id="ann", memory_type="procedural_memory")
        )
        with server.held():
            adding.start()
            server.wait_for(1)
            memory.delete_all(user_id="ann")
        adding.join(SOON)
        memory.retry()
        assert memory.get_all(user_id="ann", show_all=True)["results"] == []
        assert memory.pending() == []


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_a_callback_that_would_end_its_thread_ends_nothing(server, config, caplog, error):
    called = threading.Event()

    def tell(event: Any) -> None:
        called.set()
        raise error

    with Memory(config()) as memory:
        memory.add("tea", user_id="ann", wait=False, callback=tell)
        assert called.wait(SOON)
        memory.add("coffee", user_id="ann", wait=False)
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []
    assert f"the callback of an add failed: {error.__name__}" in caplog.text


def test_a_callback_may_be_an_object_that_is_called_asynchronously(server, config):
    heard = threading.Event()

    class Tell:
        async def __call__(self, event: Any) -> None:
            await asyncio.sleep(0)
            heard.set()

    with Memory(config()) as memory:
        memory.add("tea", user_id="ann", wait=False, callback=Tell())
        assert heard.wait(SOON)


def test_a_loop_that_ends_gives_back_what_nobody_closed(server, config):
    async def leave() -> str:
        memory = AsyncMemory(config())
        added = await memory.add("tea", user_id="ann", wait=False)
        await asyncio.to_thread(server.wait_for, 1)
        return added["event_id"]

    with server.held():
        event_id = asyncio.run(leave())
        with Memory(config(background=False)) as memory:
            assert memory.event(event_id)["status"] == "PENDING"


@pytest.mark.parametrize("again", [False, True])
def test_a_callback_that_hangs_holds_up_nothing(server, config, again):
    gate = threading.Event()
    with Memory(config(jobs_at_once=1)) as memory:
        if again:  # the callback is called as soon as the worker looks, and by no job
            memory.add("tea", user_id="ann", wait=False)
            memory.flush(timeout=SOON)
        memory.add("tea", user_id="ann", wait=False, callback=lambda _: gate.wait(SOON * 2))
        until(lambda: memory.live_stats()["queues"]["background.callbacks"]["running"])
        memory.add("coffee", user_id="ann", wait=False)
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        gate.set()


def test_who_leaves_the_work_to_others_leaves_it_when_it_listens_too(server, config):
    heard = threading.Event()
    with Memory(config(background=False)) as memory, ModelServer(learned) as others:
        memory.add("tea", user_id="ann", wait=False, callback=lambda _: heard.set())
        its = config()
        with Memory({**its, "llm": {**its["llm"], "base_url": others.openai}}) as other:
            assert other.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        assert heard.wait(SOON)
    assert (len(server.seen), len(others.seen)) == (0, 1)


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Another process has the store's lock: what is to be stored waits in the middle of it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("COMMIT")


async def is_storing(memory: AsyncMemory) -> None:
    while not memory.live_stats()["queues"]["store.writer"]["running"]:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("wait", [False, True])
def test_an_add_that_is_given_up_while_it_is_stored_is_learned_from(server, config, wait):
    async def main() -> None:
        async with AsyncMemory(config(lease=3_600)) as memory:
            await memory.get_all(user_id="ann")  # it is open
            with locked(config()["path"]):
                adding = asyncio.create_task(memory.add("tea", user_id="ann", wait=wait))
                await asyncio.wait_for(is_storing(memory), SOON)
                adding.cancel()
                await asyncio.gather(adding, return_exceptions=True)
            async with asyncio.timeout(SOON):
                while not server.seen:  # nobody asks for it
                    await asyncio.sleep(0.01)
            assert await memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
            assert texts(await memory.get_all(user_id="ann")) == ["Ann: tea"]

    asyncio.run(main())


def test_close_gives_back_what_is_being_stored(server, config):
    async def main() -> None:
        memory = AsyncMemory(config(lease=3_600))
        await memory.get_all(user_id="ann")  # it is open
        with locked(config()["path"]):
            adding = asyncio.create_task(memory.add("tea", user_id="ann"))
            await asyncio.wait_for(is_storing(memory), SOON)
            closing_ = asyncio.create_task(memory.close())
            await asyncio.sleep(0)
        await asyncio.gather(adding, closing_, return_exceptions=True)

    asyncio.run(main())
    with Memory(config()) as memory:
        assert memory.flush(timeout=SOON) == {"pending": 0, "failed": 0}
        assert texts(memory.get_all(user_id="ann")) == ["Ann: tea"]
