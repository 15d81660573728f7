"""Conversations with what a model makes of them and what is to be known afterwards: written in TOML, played for real."""

from perdure.testing.dialogues.model import ScriptedModel
from perdure.testing.dialogues.play import Verbs, play
from perdure.testing.dialogues.script import Dialogue, Expected, Held, Stated, Step, read_dialogues

__all__ = [
    "Dialogue",
    "Expected",
    "Held",
    "ScriptedModel",
    "Stated",
    "Step",
    "Verbs",
    "play",
    "read_dialogues",
]
