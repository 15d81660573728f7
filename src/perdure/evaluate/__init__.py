"""How well a memory finds what it was told: conversations, questions, and the turns that answer them."""

from __future__ import annotations

from perdure.evaluate.datasets import (
    Conversation,
    Question,
    Session,
    Utterance,
    read_conversations,
    read_longmemeval,
    read_questions,
)
from perdure.evaluate.retrieval import Searched, evaluate

__all__ = [
    "Conversation",
    "Question",
    "Searched",
    "Session",
    "Utterance",
    "evaluate",
    "read_conversations",
    "read_longmemeval",
    "read_questions",
]
