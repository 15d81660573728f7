"""The verb for learning once more from what is kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from perdure.engine import requests
from perdure.engine.background import NO_MODEL, Background
from perdure.engine.calls import verb
from perdure.engine.scoping import Reach, ids, insist
from perdure.engine.shape import memory_dict
from perdure.errors import ConfigurationError
from perdure.filters import conjoin, parse
from perdure.ids import new_id
from perdure.ports import Batch, Query
from perdure.types import Memory, Scope, Turn

if TYPE_CHECKING:
    from perdure.engine.learning import Learner


class Relearning(Background):
    """Learning again with another model or prompt."""

    @verb
    async def reextract(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        prompt: str | None = None,
        apply: bool = False,
    ) -> dict[str, Any]:
        """Learn again, with the present model and prompt, from the messages that are kept; show the difference first.

        What the model would not say any more is retired (its history keeps it), what it says besides is added, what
        both say stays as it is. Facts whose words somebody changed, and those from elsewhere, are left alone. As after
        `add`, messages that were learned from are not listed beside their facts, but for those added with `infer=False`.

        Args:
            prompt: what the model is told besides, as for `add`.
            apply: store the difference; False only shows it, and the model is asked all the same.

        Raises:
            MissingScope: nobody is named.
            ConfigurationError: there is no language model.
            Conflict: somebody changed one of the facts, or deleted a message, meanwhile; what was stored before that
                stays.
        """
        asked = insist(self._reach(ids(user_id, agent_id, app_id, run_id), filters), "reextract")
        wish, learner = requests.wish(prompt, self._settings.max_text_bytes), self._model_at_hand()
        await self._open()
        held = await self._all(asked, "fact")
        made: dict[str, Any] = {"added": [], "removed": [], "kept": 0, "failed": [], "applied": apply}
        memories = {memory.id: memory for memory in await self._all(asked, "turn")}
        for scope, turns in (await self._by_scope(memories)).items():
            draft = await learner.draft(turns, memories, prompt=wish)
            facts = [memory for memory in held if memory.scope == scope and memory.derived_by is not None]
            writes, new, gone = draft.difference(facts, [memories[turn.id] for turn in turns])
            if apply and writes:
                batch = Batch(
                    id=new_id(),
                    partition=scope.partition,
                    at=self._clock(),
                    writes=tuple(writes),
                    needs=tuple({source for memory in new for source in memory.sources}),
                    saw=tuple(turn.id for turn in turns),
                )
                await self._commit(batch)
            made["added"] += [memory_dict(memory) for memory in new]
            made["removed"] += [memory_dict(memory) for memory in gone]
            made["kept"] += len(facts) - len(gone)
            made["failed"] += sorted(set(draft.missed.values()))
        return made

    async def _all(self, asked: Reach, kind: str) -> list[Memory]:
        """The current memories of a kind within reach, oldest first, also those that are true no more."""
        partitions = tuple(await self._recall.partitions(asked))
        return await self._store.find(
            Query(
                tenant=asked.tenant,
                filter=conjoin(asked.filter, parse({"kind": kind})),
                partitions=partitions,
                now=self._clock(),
                show_superseded=True,
                order="oldest",
            )
        )

    async def _by_scope(self, ids: Iterable[str]) -> dict[Scope, list[Turn]]:
        turns = await self._store.turns(self._settings.tenant, list(ids))
        found: dict[Scope, list[Turn]] = {}
        for turn in turns:
            found.setdefault(turn.scope, []).append(turn)
        return found

    def _model_at_hand(self) -> Learner:
        if self._learner is None:
            raise ConfigurationError(NO_MODEL)
        return self._learner
