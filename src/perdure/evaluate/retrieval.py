"""Tells a memory conversations, asks it the questions, and compares what it finds with where the answers stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

from perdure.evaluate.datasets import Conversation, Question, Session
from perdure.evaluate.metrics import auc, mean, ndcg, percentile, recall, reciprocal_rank

ROLES = frozenset({"user", "assistant"})
"""Speakers that are a role; all others are people with a name."""

Progress = Callable[[str, int, int], None]
"""Told what is being done (`add` or `ask`), how much is done, and of how much."""


class Searches(Protocol):
    """The two verbs that are measured."""

    async def add(self, messages: Any, *, user_id: str, run_id: str) -> Any:
        """As `AsyncMemory.add`."""

    async def search(
        self, query: str, *, user_id: str, top_k: int, threshold: float | None, reference_date: Any
    ) -> Any:
        """As `AsyncMemory.search`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """What came of one question: turns and their sessions as ranked, and what the scores say."""

    question: Question
    scores: Mapping[str, float]
    """Of each turn, in the order of the ranking."""
    sessions: tuple[str, ...]
    """Each at its first appearance."""
    kept: frozenset[str]
    """The turns that are above the default threshold."""
    top_score: float
    seconds: float

    @property
    def turns(self) -> tuple[str, ...]:
        """The turns as ranked."""
        return tuple(self.scores)

    @property
    def right(self) -> tuple[str, ...]:
        """Those of the first ten turns that answer."""
        return tuple(turn for turn in self.turns[:10] if turn in self.question.turns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What came of a question about another conversation: nothing, at best."""

    top_score: float
    answered: bool
    """Whether anything is above the default threshold."""


async def evaluate(
    memory: Searches,
    conversations: Sequence[Conversation],
    questions: Sequence[Question],
    *,
    depth: int = 200,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tell, ask and compare; each conversation is a user of its own.

    Args:
        memory: an empty one.
        depth: how many turns are ranked; sessions follow the first of their turns, so that ten of them need many.
        progress: is told what is being done.

    Returns:
        `turn` and `session`: for `all`, `no_adversarial` and each category, `n` and the means over the questions
        that have an answer; `latency_ms` of an ordinary search (ten results, default threshold); `add`: turns,
        seconds and turns a second; `abstention`: how many questions have no answer; `not_asked`: how many belong to
        no conversation given; `foreign`: how questions about other conversations are told apart.
    """
    report_progress = progress or _unheard
    homes: dict[str, str] = {}
    sittings: dict[str, str] = {}
    started = perf_counter()
    sessions = [(c, s) for c in conversations for s in c.sessions]
    for done, (conversation, session) in enumerate(sessions, 1):
        for turn, memory_id in await _tell(memory, conversation, session):
            homes[memory_id], sittings[turn] = turn, session.id
        report_progress("add", done, len(sessions))
    told = perf_counter() - started
    known = {conversation.id for conversation in conversations}
    asked = [question for question in questions if question.conversation in known]
    strangers = _strangers(conversations, asked)
    searched = []
    for done, question in enumerate(asked, 1):
        searched.append(await _ask(memory, question, homes, sittings, depth))
        report_progress("ask", done, len(asked) + len(strangers))
    foreign = []
    for done, (home, question) in enumerate(strangers, len(asked) + 1):
        foreign.append(await _ask_stranger(memory, home, question))
        report_progress("ask", done, len(asked) + len(strangers))
    counts = {"not_asked": len(questions) - len(asked), "add": _speed(len(homes), told)}
    return report(searched, foreign) | counts


def report(searched: Sequence[Searched], foreign: Sequence[Foreign]) -> dict[str, Any]:
    """The measures of what was found, as `evaluate` describes them."""
    by_turn = [one for one in searched if one.question.turns]
    by_session = [one for one in searched if one.question.sessions]
    seconds = [1000 * one.seconds for one in searched]
    return {
        "questions": len(searched),
        "abstention": sum(1 for one in searched if not one.question.turns and not one.question.sessions),
        "turn": _grouped(by_turn, _turn_measures),
        "session": _grouped(by_session, _session_measures),
        "latency_ms": {
            "p50": _rounded(percentile(seconds, 0.5)),
            "p95": _rounded(percentile(seconds, 0.95)),
            "mean": _rounded(mean(seconds)),
        },
        "foreign": _apart(searched, foreign),
    }


def _unheard(stage: str, done: int, total: int) -> None:
    """Progress that nobody follows."""
    del stage, done, total


async def _tell(memory: Searches, conversation: Conversation, session: Session) -> list[tuple[str, str]]:
    """Add a session; its turns' own ids beside those that they got: `conversation/turn`, memory."""
    messages = []
    for turn in session.turns:
        said: dict[str, Any] = {
            "role": turn.speaker if turn.speaker in ROLES else "user",
            "content": turn.text,
        }
        if turn.speaker not in ROLES:
            said["name"] = turn.speaker
        if at := turn.at or session.at:
            said["timestamp"] = at
        messages.append(said)
    if not any(turn.text.strip() for turn in session.turns):
        return []
    added = await memory.add(messages, user_id=conversation.id, run_id=session.id)
    pairs = zip(session.turns, added["results"], strict=True)
    return [(f"{conversation.id}/{turn.id}", result["id"]) for turn, result in pairs if result["id"]]


async def _ask(
    memory: Searches, question: Question, homes: Mapping[str, str], sittings: Mapping[str, str], depth: int
) -> Searched:
    about: dict[str, Any] = {"user_id": question.conversation, "reference_date": question.asked_at}
    started = perf_counter()
    kept = (await memory.search(question.text, top_k=10, threshold=None, **about))["results"]
    seconds = perf_counter() - started
    found = (await memory.search(question.text, top_k=depth, threshold=0.0, **about))["results"]
    turns = _turns(found, homes)
    home = f"{question.conversation}/"
    return Searched(
        question=question,
        scores={turn.removeprefix(home): score for turn, score in turns.items()},
        sessions=tuple(dict.fromkeys(sittings[turn] for turn in turns)),
        kept=frozenset(turn.removeprefix(home) for turn in _turns(kept, homes)),
        top_score=found[0]["score"] if found else 0.0,
        seconds=seconds,
    )


def _turns(results: Iterable[Mapping[str, Any]], homes: Mapping[str, str]) -> dict[str, float]:
    """The turns that results come from, each at its first appearance, and the score that it has there."""
    turns: dict[str, float] = {}
    for result in results:
        for source in result["source_ids"]:
            if source in homes:
                turns.setdefault(homes[source], result["score"])
    return turns


def _strangers(
    conversations: Sequence[Conversation], asked: Sequence[Question]
) -> list[tuple[str, Question]]:
    """Each question with another conversation: the one before its own."""
    if len(conversations) < 2:
        return []
    before = {c.id: conversations[place - 1].id for place, c in enumerate(conversations)}
    return [(before[question.conversation], question) for question in asked]


async def _ask_stranger(memory: Searches, home: str, question: Question) -> Foreign:
    about: dict[str, Any] = {"user_id": home, "top_k": 1, "reference_date": question.asked_at}
    found = (await memory.search(question.text, threshold=0.0, **about))["results"]
    kept = (await memory.search(question.text, threshold=None, **about))["results"]
    return Foreign(top_score=found[0]["score"] if found else 0.0, answered=bool(kept))


Measures = Callable[[Searched], Mapping[str, float]]


def _turn_measures(one: Searched) -> dict[str, float]:
    gold = one.question.turns
    return {
        "R@5": recall(one.turns, gold, 5),
        "R@10": recall(one.turns, gold, 10),
        "NDCG@10": ndcg(one.turns, gold, 10),
        "MRR": reciprocal_rank(one.turns, gold),
    }


def _session_measures(one: Searched) -> dict[str, float]:
    share = recall(one.sessions, one.question.sessions, 10)
    return {"any@10": float(share > 0), "all@10": float(share == 1), "R@10": share}


def _grouped(searched: Sequence[Searched], measures: Measures) -> dict[str, dict[str, float | int | None]]:
    categories = sorted({one.question.category for one in searched})
    groups = {
        "all": searched,
        "no_adversarial": [o for o in searched if o.question.category != "adversarial"],
    }
    groups |= {name: [one for one in searched if one.question.category == name] for name in categories}
    return {name: _means([measures(one) for one in group]) for name, group in groups.items()}


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, float | int | None]:
    names = rows[0] if rows else ()
    return {"n": len(rows)} | {name: _rounded(mean([row[name] for row in rows])) for name in names}


def _apart(searched: Sequence[Searched], foreign: Sequence[Foreign]) -> dict[str, float | int | None]:
    """How well scores tell questions that have an answer from those about other conversations.

    At the default threshold, and at the one that keeps 95 % of the right hits.
    """
    own = [one.top_score for one in searched if one.question.turns or one.question.sessions]
    strange = [one.top_score for one in foreign]
    right = [one.scores[turn] for one in searched for turn in one.right]
    least = percentile(right, 0.05)
    return {
        "n": len(foreign),
        "auc": _rounded(auc(own, strange)),
        "foreign_without_result": _rounded(mean([float(not one.answered) for one in foreign])),
        "right_hits_kept": _rounded(
            mean([float(turn in one.kept) for one in searched for turn in one.right])
        ),
        "threshold_keeping_95": _rounded(least),
        "foreign_below_it": None
        if least is None
        else _rounded(mean([float(score < least) for score in strange])),
    }


def _speed(turns: int, seconds: float) -> dict[str, float | int | None]:
    return {
        "turns": turns,
        "seconds": _rounded(seconds),
        "per_second": _rounded(turns / seconds if seconds else None),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
