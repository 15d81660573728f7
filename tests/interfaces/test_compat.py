"""Code that was written for mem0 runs as it is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perdure.testing.models import ModelServer


def run(tmp_path: Path, code: str, dialect: str = "mem0") -> str:
    """What a program prints that imports mem0 after `install_as_mem0()`, in a process of its own."""
    program = f"import perdure\nperdure.install_as_mem0({dialect!r})\n{code}"
    environment = {**os.environ, "PERDURE_PATH": str(tmp_path / "memory.db"), "PERDURE_EMBEDDER": "local"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_awaiting_the_blocking_class_works(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
import asyncio
from mem0 import Memory

async def demo():
    mem = Memory()
    await mem.add(
        messages=[{"role": "user", "content": "What's the weather?"}], user_id="u123", agent_id="a456"
    )
    result = await mem.search(query="weather forecast", user_id="u123", limit=5)
    print(result["results"][0]["memory"])

asyncio.run(demo())
""",
        )
        == "What's the weather?"
    )


def test_making_the_asynchronous_class_may_be_awaited(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
import asyncio
from mem0 import AsyncMemory

async def demo():
    awaited = await AsyncMemory.from_config(config_dict={"version": "v1.1"})
    made = AsyncMemory.from_config({"version": "v1.1"})
    async with awaited, made:
        await awaited.add("I am a vegetarian.", user_id="maya")
        found = await made.search("food", user_id="maya")
        print(found["results"][0]["memory"])

asyncio.run(demo())
""",
        )
        == "I am a vegetarian."
    )


def test_the_blocking_class_returns_dictionaries(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
from mem0 import Memory

mem = Memory()
result = mem.add(messages="Tell me a joke", user_id="u42")
print(isinstance(result, dict), result["results"][0]["event"])
""",
        )
        == "True ADD"
    )


def test_searches_are_gathered(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
import asyncio
from mem0 import AsyncMemory

async def get_user_context(user_id, queries):
    memory = AsyncMemory()
    await memory.add("My goal is to run a marathon", user_id=user_id)
    return await asyncio.gather(*[memory.search(q, user_id=user_id, limit=3) for q in queries])

contexts = asyncio.run(get_user_context("user_123", ["preferences", "recent activity", "marathon goal"]))
print(len(contexts), contexts[2]["results"][0]["memory"])
""",
        )
        == "3 My goal is to run a marathon"
    )


def test_filters_of_both_generations_find_the_same(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
from mem0 import Memory
from mem0.configs.base import MemoryConfig

memory = Memory(MemoryConfig())
memory.add("I like green tea", user_id="u", agent_id="support_v2", metadata={"n": 1})
a = memory.search("tea", user_id="u", limit=5)
b = memory.search("tea", filters={"AND": [{"user_id": "u"}, {"agent_id": "support_v2"}, {"created_after": "2025-01-01"}]}, top_k=5)
c = memory.search("tea", filters={"user_id": "u", "n": {"gte": 1}})
print([r["memory"] for found in (a, b, c) for r in found["results"]])
""",
        )
        == "['I like green tea', 'I like green tea', 'I like green tea']"
    )


def test_unknown_ids_are_answered_as_mem0_does(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
from mem0 import Memory

memory = Memory()
print(memory.get("nobody"), memory.history("nobody"))
for call in (memory.delete, lambda i: memory.update(i, data="x")):
    try:
        call("nobody")
    except ValueError as error:
        print(type(error).__name__)
""",
        )
        == "None []\nMissingMemory\nMissingMemory"
    )


STRICT = [
    "memory.search('tea', user_id='u')",
    "memory.search('tea', filters={'n': 1})",
    "memory.search('tea', filters=['user_id'])",
    "memory.get_all(filters='user_id')",
    "memory.get_all(user_id='u')",
    "memory.add('tea')",
    "memory.add('tea', user_id='u', timestamp=1)",
    "memory.add('tea', user_id='a b')",
    "memory.search('tea', filters={'user_id': 'u'}, reference_date='2025-01-01')",
    "memory.search('  ', filters={'user_id': 'u'})",
    "memory.search('tea', filters={'user_id': 'u'}, threshold=7)",
    "memory.delete_all()",
    "memory.update('x')",
]


@pytest.mark.parametrize("call", STRICT)
def test_the_strict_dialect_raises_where_mem0_2_raises(tmp_path: Path, call: str) -> None:
    assert (
        run(
            tmp_path,
            f"""
from mem0 import Memory

memory = Memory()
try:
    {call}
except ValueError:
    print("raised")
""",
            dialect="mem0-2",
        )
        == "raised"
    )


def test_the_strict_dialect_takes_no_notice_of_a_limit_as_mem0_2_does(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
from mem0 import Memory

memory = Memory.from_config(config_dict={"version": "v1.1"})
memory.add([f"I keep {n} bees on the roof" for n in range(2, 27)], user_id="u", infer=False)
filters = {"user_id": "u"}
print(len(memory.search("bees", filters=filters, limit=3, threshold=0)["results"]))
print(len(memory.get_all(filters=filters, limit=3)["results"]))
print(len(memory.get_all(filters=filters, limit=3, top_k=4)["results"]))
""",
            dialect="mem0-2",
        )
        == "20\n20\n4"
    )


def test_the_modules_are_whole(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
import importlib.util
import mem0, mem0.configs.base
for name in ("mem0", "mem0.memory.main", "mem0.configs.base", "mem0.proxy.main"):
    print(importlib.util.find_spec(name).name, importlib.import_module(name).__spec__.submodule_search_locations)
""",
        )
        == "mem0 []\nmem0.memory.main []\nmem0.configs.base []\nmem0.proxy.main []"
    )


def test_who_blocks_a_loop_is_shown_where(tmp_path: Path) -> None:
    assert (
        run(
            tmp_path,
            """
import asyncio, warnings
from mem0 import AsyncMemory, Memory

async def demo():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        memory = Memory()
        print(memory.get("nobody"))
    print(told[0].filename, told[0].lineno)
    other = AsyncMemory.from_config(config_dict={})
    print(await other.get("nobody"))
    await other.close()

asyncio.run(demo())
""",
        )
        == "None\n<string> 11\nNone"
    )


def test_what_this_version_cannot_provide_is_said_at_once(tmp_path: Path) -> None:
    assert "vector_store 'pinecone' is not available" in run(
        tmp_path,
        """
from mem0 import Memory
from mem0.configs.base import MemoryConfig

try:
    Memory(MemoryConfig(vector_store={"provider": "pinecone", "config": {"api_key": "k"}}))
except Exception as error:
    print(error)
""",
    )


def test_the_proxy_client_remembers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer("Two particles share one state.") as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.openai)
        printed = run(
            tmp_path,
            """
from mem0.proxy.main import Mem0

client = Mem0(config={"version": "v1.1"})
response = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Explain quantum entanglement"}],
    user_id="u123",
    agent_id="assistant",
)
print(response.choices[0].message.content, response["choices"][0]["message"]["role"])
client.flush()
client.chat.completions.create("gpt-4o-mini", [{"role": "user", "content": "Explain entanglement"}], user_id="u123")
try:
    client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello"}])
except ValueError as error:
    print(type(error).__name__)
""",
        )
    assert printed == "Two particles share one state. assistant\nMissingScope"
    assert "share one state" in server.seen[1].content


def test_the_proxy_client_says_that_there_is_no_server_yet(tmp_path: Path) -> None:
    assert "a Perdure server" in run(
        tmp_path,
        """
from mem0.proxy.main import Mem0

try:
    Mem0(api_key="my-secret-key")
except Exception as error:
    print(error)
""",
    )


def test_mem0_itself_is_not_replaced_behind_its_users_back(tmp_path: Path) -> None:
    program = (
        "import sys, types; sys.modules['mem0'] = types.ModuleType('mem0'); import perdure\n"
        "try:\n    perdure.install_as_mem0()\nexcept perdure.PerdureError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "imported already" in done.stdout
