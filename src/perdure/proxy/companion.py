"""A memory beside a chat, for both faces: it never breaks the chat, whatever becomes of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from perdure.blocking import blocking
from perdure.errors import Closed, InvalidInput
from perdure.memory import AsyncMemory, Memory
from perdure.proxy import behind
from perdure.proxy.behind import Behind, Reading
from perdure.proxy.calls import Asked, Manner
from perdure.proxy.exchange import answered, with_memories

log = logging.getLogger("perdure.proxy")


class Companion:
    """The memory of a blocking client."""

    def __init__(self, memory: Memory, manner: Manner, *, ours: bool) -> None:
        self.memory = memory
        self.manner = manner
        self._ours = ours
        self._behind = Behind(memory, manner)

    def before(self, arguments: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
        """What is asked of the memory, and the chat's arguments with what it answered.

        Raises:
            InvalidInput: nobody is named, or a filter or a number is wrong.
        """
        asked, chat = self.manner.understood(arguments)
        try:
            block = _recall(self.memory, self._behind, asked)
        except InvalidInput:
            raise
        except Exception as error:  # noqa: BLE001  # it is not the chat's
            block = _without(error)
        return asked, _filled(chat, block)

    def after(self, asked: Asked, answer: Callable[[], Any]) -> None:
        """Remember the exchange, behind the answer."""
        try:
            _remember(self.memory, self._behind, asked, answered(answer()))
        except Exception as error:  # noqa: BLE001  # it is not the chat's
            _unremembered(error)

    def reading(self, asked: Asked) -> Reading | None:
        """To whom the answer is to be told while it comes in; None: it cannot be remembered."""
        try:
            return _begin(self.memory, self._behind, asked)
        except Exception as error:  # noqa: BLE001  # it is not the chat's
            _unremembered(error)
        return None

    def flush(self) -> None:
        """Wait until all is stored that was said until now."""
        _flush(self.memory, self._behind)

    def close(self) -> None:
        """Store what is under way, and close the memory if nobody else has it."""
        with suppress(Closed):  # by others, or before
            _finish(self.memory, self._behind)
        if self._ours:
            self.memory.close()


class AsyncCompanion:
    """The memory of an asynchronous client."""

    def __init__(self, memory: AsyncMemory, manner: Manner, *, ours: bool) -> None:
        self.memory = memory
        self.manner = manner
        self._ours = ours
        self._behind = Behind(memory, manner)

    async def before(self, arguments: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
        """As `Companion.before`."""
        asked, chat = self.manner.understood(arguments)
        return asked, _filled(chat, await behind.recall(self.memory, self._behind, asked))

    def after(self, asked: Asked, answer: Callable[[], Any]) -> None:
        """As `Companion.after`."""
        try:
            self._behind.remember(self.memory, asked, answered(answer()))
        except Exception as error:  # noqa: BLE001  # it is not the chat's
            _unremembered(error)

    def reading(self, asked: Asked) -> Reading:
        """To whom the answer is to be told while it comes in."""
        return self._behind.begin(self.memory, asked)

    async def flush(self) -> None:
        """As `Companion.flush`."""
        await behind.flush(self.memory, self._behind)

    async def close(self) -> None:
        """As `Companion.close`."""
        await behind.finish(self.memory, self._behind)
        if self._ours:
            await self.memory.close()


_recall = blocking(behind.recall)
_remember = blocking(behind.remember)
_begin = blocking(behind.begin)
_flush = blocking(behind.flush)
_finish = blocking(behind.finish)


def _filled(chat: dict[str, Any], block: str) -> dict[str, Any]:
    return {**chat, "messages": with_memories(chat["messages"], block)} if block else chat


def _without(error: Exception) -> str:
    log.warning("nothing was recalled: %s", behind.told(error))
    return ""


def _unremembered(error: Exception) -> None:
    log.warning("an exchange was not remembered: %s", behind.told(error))
