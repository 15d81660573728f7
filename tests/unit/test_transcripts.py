"""Transcripts become messages, or an error that names the line."""

import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidInput
from perdure.transcripts import Reading, detect, parse


def messages(text, **options):
    return [message for session in parse(text, **options).sessions for message in session.messages]


def said(text, **options):
    return [(m.get("name"), m["content"], m.get("timestamp")) for m in messages(text, **options)]


# --- text ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "[2024-05-08 14:03] Anna: hello",
        "[2024-05-08T14:03:00Z] Anna: hello",
        "[8 May 2024, 14:03] Anna: hello",
        "[Wed, 8 May 2024, 2:03 PM] Anna: hello",
        "Anna (8 May 2024, 14:03): hello",
        "Anna (8th May 2024 at 2:03 p.m.): hello",
        "Anna [May 8, 2024 14:03]: hello",
        "2024/05/08, 14:03 - Anna: hello",
        "08.05.24, 14:03 - Anna: hello",
        "[08.05.2024, 14:03:00] Anna: hello",
        "\u200e[08.05.2024, 2:03:00\u202fPM] Anna: hello",
    ],
)
def test_a_line_with_speaker_and_moment_is_a_message(line):
    assert said(line) == [("Anna", "hello", "2024-05-08T14:03:00+00:00")]


def test_lines_without_a_moment_go_on_with_the_message():
    text = "[2024-05-08 14:03] Anna: shopping\nEggs: six\n\nand milk\n[2024-05-08 14:04] Ben: ok"
    assert [content for _, content, _ in said(text)] == ["shopping\nEggs: six\n\nand milk", "ok"]


@pytest.mark.parametrize(
    "heading", ["# 8 May 2024", "--- 2024-05-08 ---", "=== May 8th, 2024 ===", "## Wed 8 May 2024:"]
)
def test_a_date_line_dates_what_follows_and_starts_a_session(heading):
    transcript = parse(f"Anna: before\n{heading}\n\nAnna: hi\nBen: hello\n# 9 May 2024\nAnna: again")
    assert [len(session.messages) for session in transcript.sessions] == [1, 2, 1]
    first, second, third = (session.messages[0].get("timestamp") for session in transcript.sessions)
    assert (first, second, third) == (None, "2024-05-08T00:00:00+00:00", "2024-05-09T00:00:00+00:00")


def test_times_alone_take_the_date_of_the_line_above():
    assert said("# 8 May 2024\n[14:03] Anna: hi")[0][2] == "2024-05-08T14:03:00+00:00"


def test_one_date_past_the_twelfth_decides_the_order_of_all():
    day = "08/05/2024, 14:03 - Anna: a\n13/05/2024, 14:03 - Ben: b"
    month = "5/8/24, 2:03 PM - Anna: a\n5/13/24, 2:03 PM - Ben: b"
    assert [m["timestamp"][:10] for m in messages(day)] == ["2024-05-08", "2024-05-13"]
    assert [m["timestamp"][:10] for m in messages(month)] == ["2024-05-08", "2024-05-13"]


def test_an_order_of_day_and_month_that_nothing_shows_is_asked_for():
    text = "08/05/2024, 14:03 - Anna: hi"
    with pytest.raises(InvalidInput, match=r"line 1: .*--day-first or --month-first"):
        parse(text)
    assert messages(text, reading=Reading(day_first=True))[0]["timestamp"][:10] == "2024-05-08"
    assert messages(text, reading=Reading(day_first=False))[0]["timestamp"][:10] == "2024-08-05"


def test_both_orders_in_one_file_are_refused():
    with pytest.raises(InvalidInput, match="line 1 writes the day first, line 2 the month"):
        parse("13/05/2024, 14:03 - Anna: a\n05/13/2024, 14:03 - Ben: b")


def test_times_without_an_offset_are_of_the_zone_given():
    lisbon = timezone(timedelta(hours=1))
    text = "[2024-05-08 14:03] Anna: a\n[2024-05-08 14:03+05:30] Anna: b"
    stamps = [m["timestamp"] for m in messages(text, reading=Reading(zone=lisbon))]
    assert stamps == ["2024-05-08T14:03:00+01:00", "2024-05-08T14:03:00+05:30"]


def test_roles_are_told_from_names():
    text = "User: hi\nAssistant: hello\nAnna: me too\nRobby: beep"
    found = messages(text, reading=Reading(assistants=frozenset({"assistant", "robby"})))
    assert [(m["role"], m.get("name")) for m in found] == [
        ("user", None),
        ("assistant", None),
        ("user", "Anna"),
        ("assistant", "Robby"),
    ]


def test_only_named_speakers_start_a_message_when_they_are_named():
    text = "Anna: look:\nNote: fragile\nBen: ok"
    assert parse(text).speakers == {"Anna": 1, "Note": 1, "Ben": 1}
    assert parse(text, reading=Reading(speakers=frozenset({"Anna", "Ben"}))).speakers == {"Anna": 1, "Ben": 1}


def test_notices_and_left_out_media_are_reported_and_not_said():
    text = (
        "13/05/2024, 14:03 - Messages and calls are end-to-end encrypted.\n"
        "13/05/2024, 14:04 - Anna: <Media omitted>\n13/05/2024, 14:05 - Anna: see?"
    )
    transcript = parse(text)
    assert [m["content"] for m in transcript.sessions[0].messages] == ["see?"]
    assert [(left.line, left.reason) for left in transcript.left_out] == [
        (1, "a notice that nobody said"),
        (2, "no text"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("just some prose", "line 1: neither JSON nor a conversation"),
        ("oh\nAnna: hi", "line 1: nobody is named"),
        ("Anna: hi\n# 9 May 2024\nlost words", "line 3: nobody is named"),
        ("[2024-02-30 14:03] Anna: hi", "line 1: there is no '2024-02-30 14:03'"),
        ("[8 Foo 2024, 14:03] Anna: hi", "line 1: there is no '8 Foo 2024"),
        ("[2024-05-08 25:03] Anna: hi", "line 1: there is no"),
        ("[2024-05-08 14:03 PM] Anna: hi", "line 1: there is no"),
        ("[14:03] Anna: hi", "line 1: a time without a date"),
        ("[2024-05-08 14:03] Anna: <Media omitted>", "holds no messages"),
    ],
)
def test_text_that_would_need_a_guess_is_refused_with_its_line(text, message):
    with pytest.raises(InvalidInput, match=message):
        parse(text)


# --- messages in JSON ----------------------------------------------------------------------------------------


def test_a_list_of_messages_is_one_session():
    listed = [
        {"role": "user", "content": "hi", "name": "Maya", "timestamp": "2024-05-08T14:03:00+02:00"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {}}],
        },
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    transcript = parse(json.dumps(listed, indent=1))
    assert transcript.format == "messages"
    assert list(transcript.sessions[0].messages) == [
        listed[0],
        {"role": "assistant", "content": listed[1]["content"]},
        {"role": "assistant", "content": ""},
    ]


def test_json_lines_and_conversations_with_messages_are_read():
    lines = '{"role": "user", "content": "a"}\n{"role": "user", "content": "b"}\n'
    assert [m["content"] for m in messages(lines)] == ["a", "b"]
    grouped = '[{"id": 7, "title": "T", "messages": [{"role": "user", "content": "a"}]},\n {"messages": []}]'
    (session,) = parse(grouped).sessions
    assert (session.id, session.title, len(session.messages)) == ("7", "T", 1)


def test_json_timestamps_are_seconds_or_iso_in_the_zone_given():
    text = '[{"role": "user", "content": "a", "created_at": 0}, {"role": "user", "content": "b", "timestamp": "2024-05-08T14:03"}]'
    assert [m["timestamp"] for m in messages(text)] == [
        "1970-01-01T00:00:00+00:00",
        "2024-05-08T14:03:00+00:00",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"role": "user", "content": "a"},\n {"role": "user" "content": "b"}]', "line 2: not JSON"),
        ('[{"role": "user", "content": "a"},\n', "line 2: not JSON"),
        ('[{"role": "user", "content": "a"}]\nx', "line 1: 'x' follows the end"),
        (
            '[{"role": "user", "content": "a"},\n\n {"content": "b"}]',
            r"line 3 \(item 2\): no role; expected one of user",
        ),
        ('{"role": "user", "content": "a"}\n"b"', r"line 2 \(item 2\): a str; expected messages like"),
        ('[{"role": "user", "content": 5}]', r"the content is a int; expected a text or a list of parts"),
        ('[{"role": "boss", "content": "a"}]', "the role 'boss'; expected one of user"),
        ('[{"role": "user", "content": "a", "name": 3}]', "a name that is a int"),
        ('[{"role": "user", "content": "a", "timestamp": "soon"}]', "the timestamp 'soon' is no moment"),
        ('[{"messages": "a"}]', "messages is no list"),
        ("[]", "holds no messages"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_json_that_is_no_transcript_is_refused_with_its_line(text, message):
    with pytest.raises(InvalidInput, match=message):
        parse(text)


# --- ChatGPT's export ----------------------------------------------------------------------------------------


def node(parent, *children, **message):
    return {"parent": parent, "children": list(children), "message": message or None}


def spoken(text, role="user", **more):
    content = {"content_type": "text", "parts": [text]}
    return {"author": {"role": role}, "content": content, "create_time": 1715177000.5, **more}


def export(**changes):
    mapping = {
        "root": node(None, "system"),
        "system": node("root", "q", **spoken("be kind", role="system")),
        "q": node("system", "a1", "a2", **spoken("which dog?")),
        "a1": node("q", **spoken("a first answer", role="assistant")),
        "a2": node("q", "hidden", **spoken("a better answer", role="assistant", create_time=None)),
        "hidden": node("a2", "tool", **spoken("x", metadata={"is_visually_hidden_from_conversation": True})),
        "tool": node("hidden", "last", **spoken("search()", role="assistant", recipient="browser")),
        "last": node("tool", **spoken("thanks")),
    }
    return {
        "id": "c1",
        "title": "Dogs",
        "create_time": 1715170000,
        "mapping": mapping,
        "current_node": "last",
    } | changes


def test_the_branch_that_was_seen_last_is_read_from_an_export():
    transcript = parse(json.dumps([export()]))
    (session,) = transcript.sessions
    assert (transcript.format, session.id, session.title) == ("openai", "c1", "Dogs")
    assert [(m["role"], m["content"]) for m in session.messages] == [
        ("user", "which dog?"),
        ("assistant", "a better answer"),
        ("user", "thanks"),
    ]
    assert {m["timestamp"] for m in session.messages} == {"2024-05-08T14:03:20.500000+00:00"}
    assert [left.reason for left in transcript.left_out] == [
        "a message of the role 'system'",
        "hidden from the conversation",
        "addressed to a tool",
    ]


def test_images_of_an_export_stay_beside_the_words():
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file://1"}
    one = node(
        None, **spoken("") | {"content": {"content_type": "multimodal_text", "parts": [picture, "my dog"]}}
    )
    (message,) = messages(json.dumps([export(mapping={"n": one}, current_node="n")]))
    assert message["content"] == [picture, {"type": "text", "text": "my dog"}]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current_node": None}, "2 branches; expected 'current_node'"),
        ({"current_node": "gone"}, "the node 'gone' is missing"),
        ({"mapping": {"n": node("n", **spoken("a"))}, "current_node": "n"}, "its own ancestor"),
        ({"mapping": []}, "no conversation; expected an object with 'mapping'"),
    ],
)
def test_an_export_with_a_broken_tree_is_refused(changes, message):
    with pytest.raises(InvalidInput, match=rf"line 1 \(item 1\): .*{message}"):
        parse(json.dumps([export(**changes)]))


def test_the_format_is_told_from_the_text():
    assert detect('\ufeff[{"mapping": {}}]') == "openai"
    assert detect('{"role": "user", "content": "a"}') == "messages"
    assert detect("[2024-05-08 14:03] Anna: hello") == "text"


# --- properties ----------------------------------------------------------------------------------------------

names = st.sampled_from(["Anna", "Ben O'Neill", "Élodie", "Dr. Wu"])
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30)
moments = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(
    lambda t: t.replace(second=0, microsecond=0)
)
talks = st.lists(st.tuples(names, words, moments), min_size=1, max_size=8)


@given(talks)
def test_what_is_written_with_moments_is_read_again(talk):
    text = "\n".join(f"[{when:%Y-%m-%d %H:%M}] {who}: {what}" for who, what, when in talk)
    expected = [(who, what, when.replace(tzinfo=UTC).isoformat()) for who, what, when in talk]
    assert said(text) == expected


@given(talks)
def test_messages_written_as_json_are_read_again(talk):
    listed = [
        {"role": "user", "content": what, "name": who, "timestamp": when.replace(tzinfo=UTC).isoformat()}
        for who, what, when in talk
    ]
    assert messages(json.dumps(listed)) == listed
    assert messages("\n".join(map(json.dumps, listed))) == listed


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(InvalidInput):
        assert parse(text).sessions
