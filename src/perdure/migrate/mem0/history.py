"""mem0's history database, read only: a line for each change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from perdure.errors import StoreDamaged
from perdure.migrate.mem0.files import PAGE, database, existing
from perdure.migrate.mem0.payloads import moment, plain
from perdure.moments import micros

OPTION: Final = "history_db_path"
HINT: Final = f"{OPTION} (null takes over no history)"


def told(config: Mapping[str, Any]) -> str:
    """Where the history comes from, or why there is none; raises as `place` does."""
    past = place(config)
    if past is not None:
        return str(past)
    if OPTION in config:
        return f"no history: {OPTION} names none"
    return f"no history: there is no file {_own()}; name it in {OPTION} if it is elsewhere"


def place(config: Mapping[str, Any]) -> Path | None:
    """Where the history is: where mem0 puts it by itself if nothing is said; None when there is none.

    Raises:
        ConfigurationError: it is not where the configuration says.
    """
    if OPTION in config:
        named = config[OPTION]
        return existing(Path(named).expanduser(), HINT) if named and named != ":memory:" else None
    own = _own()
    return own if own.is_file() else None


def _own() -> Path:
    return Path(os.environ.get("MEM0_DIR") or Path.home() / ".mem0") / "history.db"


def rows(path: Path) -> Iterator[list[dict[str, Any]]]:
    """All lines as they were written, by the names of their columns, page by page.

    Each has a `near` besides: the latest time of itself and the lines before it, in microseconds since 1970; None as
    long as there was none.

    Raises:
        StoreDamaged: it is no history of mem0's.
    """
    near: int | None = None
    with database(path, HINT) as connection:
        columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(history)")}
        if not {"memory_id", "event"} <= columns:
            raise StoreDamaged(f"{path} has no history of mem0's: look at {HINT}")
        found = connection.execute("SELECT * FROM history ORDER BY rowid")
        names = [name for name, *_ in found.description]
        while page := found.fetchmany(PAGE):
            made = [plain(dict(zip(names, values, strict=True))) for values in page]
            for row in made:
                times = (moment(row.get(name)) for name in ("created_at", "updated_at", "timestamp"))
                near = max((near, *(micros(at) for at in times if at)), key=lambda at: at or 0)
                row["near"] = near
            yield made
