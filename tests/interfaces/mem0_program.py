"""Run with mem0 in an environment of its own: fills stores through mem0's own verbs, and prints what mem0 says of them.

Its argument is JSON: names of stores with mem0's configurations. So is what it prints: by the same names, memories and
their histories.
"""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mem0 import Memory

OWNERS = ({"user_id": "maya"}, {"user_id": "李雷"}, {"agent_id": "bot"}, {"run_id": "r2"})
BULK = 600
"""More than a page."""
DIMENSIONS = 64
OLD = {
    "data": "Prefers trains to planes",
    "hash": "0",
    "created_at": "2024-07-20T08:30:36.435221-07:00",
    "updated_at": "2024-07-21T23:59:59.999999-07:00",
    "user_id": "maya",
}
"""As mem0 1.x wrote it, whose times were US/Pacific; its history is lost."""
OLDEST = {"memory": "Plays the cello", "created_at": "2024-01-02T03:04:05.123456789Z", "user_id": "maya"}
NOBODYS = {"data": "The office is on the third floor", "created_at": "2025-01-01T00:00:00+00:00"}


def main(configurations: Mapping[str, Mapping[str, Any]]) -> None:
    """Fill and tell each."""
    print(json.dumps({name: filled(config) for name, config in configurations.items()}))


def filled(config: Mapping[str, Any]) -> dict[str, Any]:
    memory = Memory.from_config(json.loads(json.dumps(config)))
    deleted = talk(memory)
    put(memory)
    told = {
        each["id"]: each
        for owner in OWNERS
        for each in memory.get_all(filters=owner, top_k=10_000, show_expired=True)["results"]
    }
    histories = {name: memory.history(name) for name in [*told, *deleted]}
    memory.close()
    return {"memories": list(told.values()), "histories": histories, "deleted": deleted}


def talk(memory: Memory) -> list[str]:
    """What an application does in a while; the ids of what it deletes."""
    said = [
        {"role": "user", "content": "I live in Oslo", "name": "Maya"},
        {"role": "assistant", "content": "Oslo it is."},
    ]
    home = added(
        memory, said, user_id="maya", metadata={"topic": "home", "rank": 1, "sure": 0.5, "old": True}
    )
    memory.update(home, text="I live in Bergen")
    memory.update(home, text="I live in Bergen", metadata={"topic": "city"})
    memory.update(home, text="I live in Tromsø, 🧊 and all")
    added(memory, "喜欢喝茶", user_id="李雷")
    added(memory, "Speaks softly", agent_id="bot", run_id="r1")
    added(memory, "Only of a run", run_id="r2")
    added(memory, "A ticket to Rome", user_id="maya", agent_id="bot", expiration_date="2031-05-01")
    added(memory, "Said before", user_id="maya", metadata={"created_at": "2023-03-04T05:06:07-08:00"})
    memory.add("I sing in a choir", user_id="maya", metadata={"topic": "music"})  # learned by a model
    gone = added(memory, "Nobody is to know", user_id="maya")
    memory.update(gone, text="Nobody is to know this")
    memory.delete(gone)
    return [gone]


def added(memory: Memory, messages: Any, **of: Any) -> str:
    """The id of the first."""
    return str(memory.add(messages, infer=False, **of)["results"][0]["id"])


def put(memory: Memory) -> None:
    """What mem0 itself would not write any more, and many at once."""
    bulk = [
        {"data": f"Number {n}", "user_id": "maya", "created_at": datetime.fromtimestamp(n, UTC).isoformat()}
        for n in range(BULK)
    ]
    payloads = [OLD, OLDEST, NOBODYS, *bulk]
    vectors = [[1.0] + [0.0] * (DIMENSIONS - 1)] * len(payloads)
    ids = [str(UUID(int=n + 1)) for n in range(len(payloads))]
    memory.vector_store.insert(vectors=vectors, payloads=payloads, ids=ids)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
