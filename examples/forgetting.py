"""The ways to forget: expire, delete, erase; and what each leaves behind."""

from __future__ import annotations

from pathlib import Path

from perdure import Memory


def main() -> None:
    path = Path("forgetting.db")
    with Memory({"path": str(path)}) as memory:
        memory.add("The door code is 2580.", user_id="kim", expiration_date="2025-01-31")
        print("expired:", memory.search("door code", user_id="kim", threshold=0.0)["results"])

        [said] = memory.add("My doctor is called Anselmsson.", user_id="kim")["results"]
        assert said["id"] is not None
        memory.delete(said["id"])
        print("deleted, history keeps:", [change["old_memory"] for change in memory.history(said["id"])][-1])

        memory.erase(said["id"], reason="requested")
        print("erased, history keeps:", [change["old_memory"] for change in memory.history(said["id"])][-1])

    remains = [file.name for file in Path().glob("forgetting.db*") if b"Anselmsson" in file.read_bytes()]
    print("files that still hold the name:", remains)


if __name__ == "__main__":
    main()
