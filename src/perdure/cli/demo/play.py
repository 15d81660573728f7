"""The demonstration itself: the story is lived through, then the questions are asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from perdure.cli.demo.story import Question, Session, Story
from perdure.evaluate.metrics import percentile
from perdure.moments import iso

Told = Callable[[int, int], None]


class Clock:
    """A clock that is set: the story's days have to be lived through for the memory to know when it learned what."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The moment that it was set to."""
        return self.at


async def play(memory: Any, clock: Clock, story: Story, told: Told) -> dict[str, Any]:
    """Tell the story, ask the questions, and answer what came of it, as `perdure demo --json` prints it.

    Args:
        memory: an empty one, living by `clock`.
        told: is told how many sessions are told, of how many.
    """
    ids: dict[str, str] = {}
    await memory.search("hello", user_id=story.questions[0].user)  # opens the store and loads the model
    started = perf_counter()
    for done, session in enumerate(story.sessions, 1):
        ids |= await _tell(memory, clock, session)
        told(done, len(story.sessions))
    spent = perf_counter() - started
    clock.at = story.sessions[-1].end + timedelta(days=1)
    await memory.search(
        "hello", user_id=story.questions[0].user
    )  # the first search reads what all others share
    answers = [await _ask(memory, question, ids) for question in story.questions]
    return {
        "told": {
            "users": len({session.user for session in story.sessions}),
            "sessions": len(story.sessions),
            "turns": len(ids),
            "from": iso(story.sessions[0].start),
            "to": iso(story.sessions[-1].end),
        },
        "answers": answers,
        "right": sum(answer["right"] for answer in answers),
        "speed": _speed(len(ids), spent, answers),
    }


async def _tell(memory: Any, clock: Clock, session: Session) -> dict[str, str]:
    """Add a session; the turns that the memory's ids stand for."""
    clock.at = session.end
    added = await memory.add(
        [turn.message for turn in session.turns], user_id=session.user, run_id=session.id
    )
    return {result["id"]: turn.id for result, turn in zip(added["results"], session.turns, strict=True)}


async def _ask(memory: Any, question: Question, ids: dict[str, str]) -> dict[str, Any]:
    started = perf_counter()
    found = await memory.search(question.ask, user_id=question.user, top_k=3, known_at=question.known_at)
    spent = perf_counter() - started
    best = found["results"][0] if found["results"] else None
    turn = ids.get(best["source_ids"][0]) if best else None
    return {
        "part": question.part,
        "user": question.user,
        "question": question.ask,
        "known_at": iso(question.known_at) if question.known_at else None,
        "answer": best,
        "turn": turn,
        "expected": question.source,
        "right": turn == question.source,
        "ms": round(1000 * spent, 2),
    }


def _speed(turns: int, seconds: float, answers: Sequence[dict[str, Any]]) -> dict[str, Any]:
    spent = [answer["ms"] for answer in answers]
    return {
        "add_seconds": round(seconds, 3),
        "adds_per_second": round(turns / seconds),
        "search_p50_ms": percentile(spent, 0.5),
        "search_max_ms": max(spent),
    }
