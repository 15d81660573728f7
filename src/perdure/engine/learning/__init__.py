"""From turns to facts, by a language model: asked once, examined, reconciled with what is known."""

from perdure.engine.learning.learner import Learner, Outcome

__all__ = ["Learner", "Outcome"]
