"""The verbs that make text for a prompt: what answers a question, and what is known of somebody."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import inf
from numbers import Real
from typing import Any, TypeVar, get_args

from perdure.engine import requests
from perdure.engine.calls import verb
from perdure.engine.context import Composed, Count, Format, compose, exchanges, fold, partners, profiled
from perdure.engine.core import Core
from perdure.engine.form import Form, Line, short
from perdure.engine.recall import Hit, Seen
from perdure.engine.requests import When
from perdure.engine.scoping import ids, insist
from perdure.engine.shape import Context, MemoryDict, Profile
from perdure.engine.tokens import estimated_tokens
from perdure.errors import InvalidInput
from perdure.types import LISTED_SALIENCE, UNTRUSTED, Memory

R = TypeVar("R")

BUDGET = 2_000
"""Tokens that a context has when its caller says nothing."""
LOOKED_AT = 50
"""So many of the best are candidates for a context; the budget and the threshold decide."""
INLINE_LINES = 200
"""So many lines are weighed on the event loop (about 10 milliseconds); more of them in a thread."""


class Prompting(Core):
    """Memories for prompts."""

    @verb
    async def context(
        self,
        query: str,
        *,
        budget_tokens: int = BUDGET,
        format: Format = "text",
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        filters: Mapping[str, Any] | None = None,
        categories: Sequence[str] | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        threshold: float | None = None,
        rerank: bool | None = None,
        trusted_only: bool = False,
        as_of: When | None = None,
        known_at: When | None = None,
        reference_date: When | None = None,
        show_expired: bool = False,
        show_superseded: bool = False,
        count_tokens: Count | None = None,
        full_ids: bool = False,
    ) -> Context:
        """What answers a question, as a block for a prompt: dated, sourced, quoted, best first.

        Turns that follow each other are shown together; a question comes with its answer, and an answer with its
        question; what is said twice is shown once. Where and when to search is told as to `search`.

        Args:
            budget_tokens: the block has no more tokens than this.
            format: "text"; "xml", the same in tags; "messages", the text as a system message for chat APIs.
            top_k: how many memories are looked at, 50 when left out; `limit` is the same.
            trusted_only: nothing that came from a tool or from the web; without it, such lines say so.
            count_tokens: a model's own tokenizer; without it tokens are estimated.
            full_ids: show whole ids, for a model that is to use them, and not only their last letters.
        """
        await self._turns.take()
        budget, count = _budget(budget_tokens), _counter(count_tokens)
        if format not in get_args(Format):
            raise InvalidInput(f"format={format!r}: give 'text', 'messages' or 'xml'")
        asked: dict[str, Any] = {
            "reach": self._reach(
                ids(user_id, agent_id, app_id, run_id), filters, categories, trusted_only=trusted_only
            ),
            "limit": requests.limit(top_k, limit, LOOKED_AT),
            "threshold": requests.threshold(threshold, self._default_threshold),
            "rerank": self._reranker is not None if rerank is None else rerank,
            "explain": False,
            "as_of": requests.moment(as_of, "as_of"),
            "known_at": requests.moment(known_at, "known_at"),
            "reference": requests.moment(reference_date, "reference_date"),
            "show_expired": show_expired,
            "show_superseded": show_superseded,
        }
        shape: dict[str, Any] = {
            "budget": budget,
            "format": format,
            "trusted_only": trusted_only,
            "full_ids": full_ids,
            "count": count_tokens,
        }
        make = partial(self._contexts, asked=asked, **{**shape, "count": count})
        made: list[Context] = await self._answered("context", [query], make, {**asked, **shape})
        return made[0]

    async def _contexts(
        self,
        texts: Sequence[str],
        seen: Sequence[Seen],
        *,
        asked: Mapping[str, Any],
        budget: int,
        format: Format,
        trusted_only: bool,
        full_ids: bool,
        count: Count,
    ) -> list[Context]:
        """The block for one text."""
        [hits] = await self._hits(texts, seen, **asked)
        found = [_line(hit) for hit in hits]
        lines = fold(found)
        neighbours = await self._recall.versions(exchanges(lines, found))
        if trusted_only:
            neighbours = {place: one for place, one in neighbours.items() if one.origin not in UNTRUSTED}
        beside = partners(lines, neighbours)
        form = Form(xml=format == "xml", names=_names([*lines, *beside.values()], full=full_ids))
        work = partial(compose, lines, beside, budget=budget, count=count, form=form)
        made = await self._weighed(work, len(lines))
        shown: Context = {
            "context": _as_messages(made.text) if format == "messages" else made.text,
            "results": await self._shown(made),
            "tokens": made.tokens,
            "omitted": made.omitted,
        }
        return [{**shown, "notes": seen[0].notes} if seen[0].notes else shown]

    @verb
    async def profile(
        self,
        *,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
        app_id: str | None = None,
        categories: Sequence[str] | None = None,
        budget_tokens: int | None = None,
        top_k: int | None = None,
        limit: int | None = None,
        trusted_only: bool = False,
        as_of: When | None = None,
        known_at: When | None = None,
        count_tokens: Count | None = None,
        full_ids: bool = False,
    ) -> Profile:
        """What is known of somebody, by category: facts before turns, newest first, what `get_all` would list.

        Args:
            user_id: whose profile; at least one of the four ids is needed.
            categories: only these, in this order; else all there are. What has none is under "other".
            budget_tokens: the text has no more tokens than this; left out, there is room for all.
            top_k: how many memories at most, 100 when left out; `limit` is the same.
            count_tokens: as for `context`; likewise `full_ids` and `trusted_only`.

        Raises:
            MissingScope: nobody is named.
        """
        named, wanted = ids(user_id, agent_id, app_id, run_id), requests.categories(categories)
        insist(self._reach(named), "profile")
        budget, count = inf if budget_tokens is None else _budget(budget_tokens), _counter(count_tokens)
        most = requests.limit(top_k, limit, 100)
        memories: list[Memory] = []
        await self._open()
        for kind in ({"ne": "turn"}, {"eq": "turn"}):
            memories += await self._find(
                self._reach(named, {"kind": kind}, categories, trusted_only=trusted_only),
                limit=most - len(memories),
                min_salience=LISTED_SALIENCE,
                as_of=requests.moment(as_of, "as_of"),
                known_at=requests.moment(known_at, "known_at"),
            )
        lines = fold(Line(memory=memory, text=memory.text) for memory in memories)
        form = Form(names=_names(lines, full=full_ids))
        work = partial(profiled, lines, wanted, budget=budget, count=count, form=form)
        groups, made = await self._weighed(work, len(lines))
        shown = {shape["id"]: shape for shape in await self._shown(made)}
        return {
            "profile": {name: [shown[line.memory.id] for line in held] for name, held in groups.items()},
            "text": made.text,
            "tokens": made.tokens,
            "omitted": made.omitted,
        }

    async def _weighed(self, work: Callable[[], R], lines: int) -> R:
        made: R = await self._work(work) if lines > INLINE_LINES else work()
        return made

    async def _shown(self, made: Composed) -> list[MemoryDict]:
        shaped = await self._told([line.memory for line in made.lines])
        for line, shape in zip(made.lines, shaped, strict=True):
            if line.score is not None:
                shape["score"] = round(line.score, 6)
        return shaped


def _line(hit: Hit) -> Line:
    return Line(memory=hit.memory, text=hit.memory.text, score=hit.score, before=hit.before, after=hit.after)


def _names(lines: Sequence[Line], *, full: bool) -> dict[str, str]:
    names = [line.memory.id for line in lines]
    return dict(zip(names, names, strict=True)) if full else short(names)


def _as_messages(text: str) -> list[Any]:
    return [{"role": "system", "content": text}] if text else []


def _budget(value: object) -> int:
    return requests.count(value, "budget_tokens")


def _counter(count: Count | None) -> Count:
    if count is not None and not callable(count):
        raise InvalidInput("count_tokens is no function: give one that tells how many tokens a text has")
    return estimated_tokens if count is None else partial(_counted, count)


def _counted(count: Count, text: str) -> int:
    """What a caller's function says; what goes wrong in it is the caller's to mend."""
    asked = "give a function that takes a text and answers how many tokens it has"
    try:
        tokens = count(text)
    except Exception as error:
        raise InvalidInput(f"count_tokens failed with {type(error).__name__}: {asked}") from error
    if not isinstance(tokens, Real) or not tokens >= 0:
        raise InvalidInput(f"count_tokens answered with a {type(tokens).__name__}: {asked}")
    return tokens
