"""What a call says to the memory, and what it says to the chat: told apart purely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self, TypedDict, get_type_hints

from perdure.arguments import shown
from perdure.errors import InvalidInput, MissingScope, UnknownArgument
from perdure.proxy.exchange import question, said


class Ids(TypedDict, total=False):
    """Whose memory it is."""

    user_id: str | None
    agent_id: str | None
    run_id: str | None
    app_id: str | None


class Options(Ids, total=False):
    """What a client is told when it is made; the ids hold where a call names no other."""

    metadata: Mapping[str, Any] | None
    """Kept with all that is remembered."""
    filters: Mapping[str, Any] | None
    """Which memories may be recalled."""
    top_k: int | None
    """How many memories are recalled at most: 10, where nothing is said."""
    budget_tokens: int
    """Tokens that they may have together: 2,000."""
    recall_timeout: float
    """Seconds after which the chat goes on without memories: 5."""
    finish_streams: bool
    """Whether a streamed answer is read to its end that its reader left: True."""


IDS: Final = ("user_id", "agent_id", "app_id", "run_id")
"""The first of them that is given says in which partition a memory is."""
OURS: Final = (*IDS, "filters", "top_k", "limit")
"""Arguments of the memory; no chat has one of these names."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One call, as far as the memory is concerned."""

    ids: Ids
    question: str
    """What is searched for; empty: nothing is."""
    said: Sequence[Mapping[str, Any]]
    """The user's new messages."""
    metadata: Mapping[str, Any] | None
    filters: Mapping[str, Any] | None
    top_k: int | None
    limit: int | None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a client recalls and remembers, where a call says nothing else."""

    ids: Ids
    metadata: Mapping[str, Any] | None = None
    filters: Mapping[str, Any] | None = None
    top_k: int | None = 10
    budget_tokens: int = 2_000
    recall_timeout: float = 5.0
    finish_streams: bool = True
    takes_metadata: bool = False
    """Whether a call's `metadata` is the memory's; else it is the chat's own argument of that name."""

    def __post_init__(self) -> None:
        """Refuse what would look like a memory that fails.

        Raises:
            InvalidInput: a time or metadata that is none.
        """
        _metadata(self.metadata)
        seconds: object = self.recall_timeout
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise InvalidInput(f"recall_timeout={shown(seconds)}: give a number of seconds greater than 0")

    @classmethod
    def of(cls, options: Options, *, takes_metadata: bool) -> Self:
        """What a client was told when it was made.

        Raises:
            UnknownArgument: an option that there is not.
        """
        known = get_type_hints(Options)
        if unknown := options.keys() - known:
            raise UnknownArgument(f"no argument is called {min(unknown)!r}; there are {', '.join(known)}")
        others: dict[str, Any] = {name: value for name, value in options.items() if name not in IDS}
        return cls(ids=_ids(options, {}), takes_metadata=takes_metadata, **others)

    def ours(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call that are the memory's."""
        names = (*OURS, "metadata") if self.takes_metadata else OURS
        return {
            name: arguments[name] for name in names if name in arguments and not _left_out(arguments[name])
        }

    def understood(self, arguments: Mapping[str, Any]) -> tuple[Asked, dict[str, Any]]:
        """The memory's part of a call, and the chat's.

        Raises:
            MissingScope: nobody is named.
            InvalidInput: metadata that is none.
        """
        given = self.ours(arguments)
        chat = {name: value for name, value in arguments.items() if name not in given}
        if not (ids := _ids(given, self.ids)):
            raise MissingScope(
                "nobody is named whose memory this is: give user_id, agent_id or run_id to the call, or to the client"
            )
        metadata = _metadata(given.get("metadata"))
        messages = _listed(chat.get("messages"))
        if messages is not None:
            chat["messages"] = messages  # a generator can be read only once
        top_k, limit = given.get("top_k"), given.get("limit")
        return Asked(
            ids=ids,
            question=question(messages or []),
            said=said(messages or []),
            metadata={**_metadata(self.metadata), **metadata} or None,
            filters=given.get("filters") or self.filters,
            top_k=self.top_k if top_k is None and limit is None else top_k,
            limit=limit,
        ), chat


def _left_out(value: object) -> bool:
    """Whether an argument says nothing: OpenAI's helpers hand on a placeholder of theirs for what they were not given."""
    return not value and type(value).__module__.partition(".")[0] == "openai"


def _metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"metadata is a {type(value).__name__}: give a dictionary")
    return value


def _ids(given: Mapping[str, Any], otherwise: Mapping[str, Any]) -> Ids:
    """The ids that are given, in one order."""
    named: Any = {name: value for name in IDS if (value := given.get(name) or otherwise.get(name))}
    ids: Ids = named
    return ids


def _listed(messages: object) -> list[Any] | None:
    """The messages; None: it is for the chat to say what is wrong with them."""
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        return None
    return list(messages)
