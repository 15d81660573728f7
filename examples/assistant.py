"""An assistant that remembers: what it was told yesterday is in its prompt today."""

from __future__ import annotations

from perdure import Memory


def prompt(memory: Memory, user_id: str, question: str) -> str:
    """The question, below what is known of the user: what one would hand to a language model."""
    known = memory.search(question, user_id=user_id, top_k=3)["results"]
    lines = [f"- {result['created_at'][:10]}: {result['memory']}" for result in known]
    return "\n".join(["What you know of the user:", *lines, "", f"User: {question}"])


def main() -> None:
    with Memory({"path": "assistant.db"}) as memory:
        memory.add(
            [
                {"role": "user", "content": "I'm training for a half marathon in October."},
                {"role": "assistant", "content": "Great! How is it going?"},
                {"role": "user", "content": "My left knee hurts after ten kilometres."},
                {"role": "user", "content": "I can only run in the evening, the kids are up early."},
            ],
            user_id="sam",
            timestamp="2025-06-02T19:30:00+02:00",
        )
        print(prompt(memory, "sam", "Can you plan my running week?"))


if __name__ == "__main__":
    main()
