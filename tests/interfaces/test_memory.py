"""The blocking face over a real store."""

from __future__ import annotations

from pathlib import Path

from perdure import Memory


def test_a_blocking_export_gives_one_record_after_another_and_goes_in_again(tmp_path: Path) -> None:
    def opened(name: str) -> Memory:
        return Memory({"path": str(tmp_path / name), "embedder": "hash"})

    with opened("a.db") as memory, opened("b.db") as copy:
        memory.add(["I live in Lisbon", "My dog is called Biscuit"], user_id="maya", infer=False)
        records = memory.export_records(user_id="maya")
        assert next(records)["owner"] == "user:maya"
        copy.import_records(list(memory.export_records()))
        texts = [result["memory"] for result in copy.get_all(user_id="maya")["results"]]
        assert sorted(texts) == ["I live in Lisbon", "My dog is called Biscuit"]
