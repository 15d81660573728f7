"""What people are shown: times as they write them, and never a command to their terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.cli import output, views
from perdure.cli.demo.story import read_story


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2025-03-13T00:00:00", "2025-03-14T00:00:00", "13 Mar 2025"),
        ("2025-03-13T09:30:00", "2025-03-13T09:31:00", "13 Mar 2025 09:30"),
        ("2025-03-15T00:00:00", "2025-03-17T00:00:00", "15-16 Mar 2025"),
        ("2025-03-31T00:00:00", "2025-04-07T00:00:00", "31 Mar 2025 to 6 Apr 2025"),
        ("2025-03-01T00:00:00", "2025-04-01T00:00:00", "Mar 2025"),
        ("2025-01-01T00:00:00", "2026-01-01T00:00:00", "2025"),
        ("2025-12-01T00:00:00", "2026-01-01T00:00:00", "Dec 2025"),
    ],
)
def test_a_span_of_time_is_told_as_people_write_it(start, end, shown):
    assert views.span({"text": "then", "start": f"{start}+00:00", "end": f"{end}+00:00"}) == shown


@given(st.text())
def test_no_text_can_command_the_terminal(text):
    shown = output.line(text).plain
    assert len(shown) == len(text)
    assert not any(
        (ord(letter) < 32 and letter not in "\t\n") or 127 <= ord(letter) < 160 for letter in shown
    )


def test_the_story_names_its_turns_and_every_question_a_turn_of_its_user():
    story = read_story()
    turns = {turn.id for session in story.sessions for turn in session.turns}
    assert len(turns) == sum(len(session.turns) for session in story.sessions) == 94
    asked = [question for question in story.questions if question.source]
    assert all(question.source in turns and question.source.startswith(question.user) for question in asked)
    assert [question.ask for question in story.questions if not question.source] == ["What is my blood type?"]
    assert [session.start for session in story.sessions] == sorted(
        session.start for session in story.sessions
    )
