"""A language model that answers as a script says, whatever it is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from perdure.testing.dialogues.script import RECALLED, Dialogue, Stated, Step
from perdure.testing.models import Answer, Fault, SeenPrompt

_NUMBERED: Final = re.compile(r"([MT])\d+\Z")
_MEMORY: Final = re.compile(r"\{memory: (.*?)\}")


class ScriptedModel:
    """Answers for a `ModelServer`: knows the step by the new turns of a prompt, and memories by their texts."""

    def __init__(self, *dialogues: Dialogue) -> None:
        self._steps = [step for dialogue in dialogues for step in dialogue.steps]

    def __call__(self, prompt: SeenPrompt) -> Answer:
        """What the script says for these turns; a fault, when they are not in it."""
        lines = shown(prompt)
        step = self._step([line for name, line in lines.items() if name.startswith("T")])
        if step is None:
            return Fault(status=400, message="no step of the script has these turns")
        memories = {line["text"]: int(name[1:]) for name, line in lines.items() if name.startswith("M")}
        facts = {"facts": [_told(fact, memories) for fact in step.facts], "relations": []}
        written = step.answer.replace("{facts}", json.dumps(facts, ensure_ascii=False))
        return _MEMORY.sub(lambda found: json.dumps(memories.get(found[1])), written)

    def _step(self, turns: list[Mapping[str, str]]) -> Step | None:
        """The step with these texts; of several, the one whose time is that of the first turn."""
        texts = [turn["text"] for turn in turns]
        found = [step for step in self._steps if texts_of(step) == texts]
        at = turns[0]["at"] if turns else ""
        return next(
            (step for step in found if at.endswith(f"{step.at:%Y-%m-%d %H:%M}")), next(iter(found), None)
        )


def shown(prompt: SeenPrompt) -> dict[str, Mapping[str, str]]:
    """The memories (`M1`) and new turns (`T1`) that a prompt shows, by their names, in order."""
    found: dict[str, Mapping[str, str]] = {}
    for text in prompt.content.splitlines():
        try:
            line = json.loads(text)
        except ValueError:  # words for the model after the lines
            continue
        if isinstance(line, dict) and _NUMBERED.match(str(line.get("line"))):
            found[line["line"]] = line
    return found


def texts_of(step: Step) -> list[str]:
    """The texts that a model is shown for a step: without instructions, and what was recalled is left out."""
    return [
        str(message["content"]).replace(RECALLED, "").strip()
        if RECALLED in message["content"]
        else message["content"]
        for message in step.said
        if message.get("role") not in ("system", "developer")
    ]


def _told(fact: Stated, memories: Mapping[str, int]) -> dict[str, Any]:
    """A fact in the form that models are asked for."""
    subject, _, attribute = fact.about.partition(": ")
    named = memories.get(fact.replaces or fact.confirms or "")
    action = "add" if named is None else "replace" if fact.replaces else "confirm"
    return {
        "text": fact.text,
        "turns": list(fact.turns),
        "subject": subject,
        "attribute": attribute,
        "from": fact.since,
        "to": fact.until,
        "categories": list(fact.categories),
        "action": action,
        "memory": named,
    }
