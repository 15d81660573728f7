"""The verbs that keep a memory in order: what it is about, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from perdure.arguments import verb
from perdure.engine import upkeep
from perdure.engine.prompting import Prompting
from perdure.engine.scoping import ids
from perdure.types import LISTED_SALIENCE


class Keeping(Prompting):
    """A memory that is looked after."""

    @verb
    async def categories(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> dict[str, int]:
        """How many memories each category has, of those that `get_all` lists, the largest first.

        All of them are read: within one user that takes milliseconds, over a large project seconds.

        Args:
            user_id: only memories with this id; likewise the other three. None given: the whole project.
            filters: as for `search`.
        """
        asked = self._reach(ids(user_id, agent_id, app_id, run_id), filters)
        await self._open()
        memories = await self._find(asked, min_salience=LISTED_SALIENCE)
        counted = Counter(name for memory in memories for name in memory.categories)
        return dict(sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    @verb
    async def doctor(self) -> dict[str, Any]:
        """Examine the store: `problems` is empty when it is sound; `advice` says what could be better."""
        await self._open(check_space=False)
        return await upkeep.examine(self._store, self._space, self._embedder, self._settings.tenant)
