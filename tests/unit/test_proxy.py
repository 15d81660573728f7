"""What of a chat goes to the memory and comes from it, decided without either."""

from __future__ import annotations

import copy
import json
import pickle
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.recalled import framed, without_recalled
from perdure.errors import InvalidInput, MissingScope, UnknownArgument
from perdure.proxy.calls import Manner
from perdure.proxy.delegate import Delegate
from perdure.proxy.exchange import QUESTION, answered, piece, question, said, with_memories
from perdure.proxy.values import ChatCompletion, ChatCompletionChunk, Choice, Message, ToolCall

BLOCK = framed("Quoted.\n- a memory")
CONTENTS = st.one_of(
    st.text(),
    st.none(),
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"type": st.just("text"), "text": st.text()}),
            st.fixed_dictionaries({"type": st.just("image_url"), "image_url": st.just({"url": "x"})}),
        )
    ),
)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": CONTENTS}
    )
)


def user(content, **more):
    return {"role": "user", "content": content, **more}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


# What is searched for


def test_the_last_message_of_the_user_is_the_question():
    messages = [
        user("I live in Lisbon, by the river."),
        assistant("Nice."),
        user("Where was I born, do you know?"),
    ]
    assert question(messages) == "Where was I born, do you know?"


def test_a_brief_message_is_searched_for_with_the_end_of_what_came_before():
    before = "a" * 300 + " Shall I book the hotel in Porto?"
    asked = question([assistant(before), user("Yes, please.")])
    assert asked.endswith("Shall I book the hotel in Porto?\nYes, please.")
    assert len(asked) < 200


def test_instructions_are_never_searched_for():
    assert question([{"role": "system", "content": "Be kind."}, user("And you?")]) == "And you?"
    assert question([{"role": "system", "content": "Be kind."}]) == ""


def test_of_a_long_message_both_ends_are_searched_for():
    asked = question([user("Begin. " + "x" * 10_000 + " Does it end?")])
    assert asked.startswith("Begin. ")
    assert asked.endswith(" Does it end?")
    assert len(asked) < QUESTION + 10


def test_in_a_turn_with_tools_the_question_stays_the_same():
    first = [user("What is the weather where I live?")]
    second = [
        *first,
        assistant(None, tool_calls=[{"id": "1"}]),
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    assert question(first) == question(second)


def test_who_brings_memories_along_is_asked_for_none():
    assert question([user(f"{BLOCK}\n\nWhere do I live, roughly?")]) == ""


@given(MESSAGES)
def test_a_question_is_something_that_can_be_searched_for(messages):
    asked = question(messages)
    assert asked == "" or asked.strip()
    asked.encode()
    assert "\0" not in asked


# Where memories go


def test_memories_go_before_what_the_user_said_last():
    messages = [user("Hello"), assistant("Hi"), user("Where do I live?"), {"role": "tool", "content": "x"}]
    made = with_memories(messages, BLOCK)
    assert made[2] == user(f"{BLOCK}\n\nWhere do I live?")
    assert [made[0], made[1], made[3]] == [messages[0], messages[1], messages[3]]


def test_a_message_of_parts_gets_one_more():
    picture = {"type": "image_url", "image_url": {"url": "data:..."}}
    [made] = with_memories([user([picture], name="Maya")], BLOCK)
    assert made == user([{"type": "text", "text": BLOCK}, picture], name="Maya")


def test_a_clients_own_message_is_filled_too():
    class Theirs(SimpleNamespace):
        def model_dump(self, *, exclude_none):
            return {"role": self.role, "content": self.content}

    assert with_memories([Theirs(role="user", content="hi")], BLOCK) == [user(f"{BLOCK}\n\nhi")]


@given(MESSAGES)
def test_what_was_given_is_left_as_it_was_and_comes_back_out_of_what_is_sent(messages):
    before = copy.deepcopy(messages)
    made = with_memories(messages, BLOCK)
    assert messages == before
    assert len(made) == len(messages)
    for old, new in zip(messages, made, strict=True):
        if new == old:
            continue
        if isinstance(old["content"], str):
            assert without_recalled(new["content"]).strip() == old["content"].strip()
        else:
            assert new["content"][1:] == old["content"]


# What is remembered


def test_what_the_user_said_since_the_last_answer_is_new():
    messages = [
        {"role": "system", "content": "Be kind."},
        user("Old."),
        assistant("Old too."),
        user("One.", name="Maya"),
        user("Two."),
    ]
    assert said(messages) == [user("One.", name="Maya"), user("Two.")]


def test_after_a_call_of_a_tool_nothing_of_the_user_is_new():
    messages = [user("Weather?"), assistant(None, tool_calls=[{}]), {"role": "tool", "content": "sunny"}]
    assert said(messages) == []


def test_a_message_without_text_is_not_said():
    assert said([user([{"type": "image_url", "image_url": {"url": "x"}}]), user(None), user("  ")]) == []


def test_the_answer_is_the_text_of_the_first_choice():
    choices = [{"index": 1, "message": assistant("second")}, {"index": 0, "message": assistant("first")}]
    assert answered({"choices": choices}) == "first"
    assert (
        answered(SimpleNamespace(choices=[SimpleNamespace(index=0, message=SimpleNamespace(content="x"))]))
        == "x"
    )
    assert (
        answered({"choices": [{"message": assistant([{"type": "text", "text": "in parts"}])}]}) == "in parts"
    )


@pytest.mark.parametrize(
    "other",
    [
        None,
        7,
        {},
        {"choices": None},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"index": 0, "message": assistant(None, tool_calls=[{}])}]},
        {"choices": [{"index": 0, "message": {"refusal": "no"}}]},
    ],
)
def test_what_has_no_text_is_no_answer(other):
    assert answered(other) == piece(other) == ""


# Whose it is


def test_a_call_says_whose_memory_it_is_over_what_the_client_was_told():
    manner = Manner.of({"user_id": "maya", "agent_id": "chef"}, takes_metadata=False)
    asked, chat = manner.understood(
        {"model": "m", "messages": [user("hi")], "user_id": "rui", "run_id": None}
    )
    assert asked.ids == {"user_id": "rui", "agent_id": "chef"}
    assert chat == {"model": "m", "messages": [user("hi")]}


def test_nobodys_memory_is_refused():
    with pytest.raises(MissingScope, match="user_id"):
        Manner.of({}, takes_metadata=False).understood({"messages": []})


def test_metadata_is_the_memorys_or_the_chats():
    call = {"messages": [], "metadata": {"a": 1}, "user_id": "u"}
    asked, chat = Manner.of({"metadata": {"b": 2}}, takes_metadata=True).understood(call)
    assert (asked.metadata, "metadata" in chat) == ({"b": 2, "a": 1}, False)
    asked, chat = Manner.of({"metadata": {"b": 2}}, takes_metadata=False).understood(call)
    assert (asked.metadata, chat["metadata"]) == ({"b": 2}, {"a": 1})
    with pytest.raises(InvalidInput, match="metadata is a str"):
        Manner.of({}, takes_metadata=True).understood({**call, "metadata": "x"})


def test_messages_that_can_be_read_only_once_are_read_once():
    asked, chat = Manner.of({"user_id": "u"}, takes_metadata=False).understood(
        {"messages": (message for message in [user("a question, long enough?")])}
    )
    assert asked.question == "a question, long enough?"
    assert chat["messages"] == [user("a question, long enough?")]


@pytest.mark.parametrize("messages", [None, "hello", 7, {"role": "user"}])
def test_what_are_no_messages_is_left_to_the_chat(messages):
    asked, chat = Manner.of({"user_id": "u"}, takes_metadata=False).understood({"messages": messages})
    assert chat == {"messages": messages}
    assert (asked.question, asked.said) == ("", [])


def test_an_option_that_there_is_not_is_refused():
    with pytest.raises(UnknownArgument, match="'user'"):
        Manner.of({"user": "maya"}, takes_metadata=False)


# Our own values


COMPLETION = {
    "id": "1",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": assistant(
                None,
                tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            ),
        }
    ],
    "usage": {"prompt_tokens": 3},
    "x_vendor": {"a": [1]},
}


def test_an_answer_has_attributes_and_items():
    made = ChatCompletion(COMPLETION)
    assert made.choices[0].message.tool_calls[0].function.name == "f"
    assert made["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "f"
    assert (type(made.choices[0]), type(made.choices[0].message)) == (Choice, Message)
    assert isinstance(made.choices[0].message.tool_calls[0], ToolCall)
    assert made.x_vendor.a == [1]
    assert made.get("nothing") is None


def test_what_an_answer_may_have_and_has_not_is_none():
    made = ChatCompletionChunk({"choices": [{"delta": {}}]})
    assert (made.usage, made.choices[0].delta.content, made.choices[0].delta.role) == (None, None, None)
    with pytest.raises(AttributeError, match="no 'contents'"):
        made.choices[0].delta.contents  # noqa: B018  # looking is the test


def test_an_answer_goes_back_to_plain_values():
    made = ChatCompletion(COMPLETION)
    assert made.model_dump() == COMPLETION
    assert type(made.model_dump()["choices"][0]) is dict
    assert "content" not in made.model_dump(exclude_none=True)["choices"][0]["message"]
    assert json.loads(made.model_dump_json()) == COMPLETION
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made
    made.note = "mine"
    assert made["note"] == "mine"


# Standing for another


def test_a_delegate_passes_for_the_other_but_for_what_is_its_own():
    theirs = SimpleNamespace(a=1, b=2)
    made = Delegate(theirs, a="ours")
    assert isinstance(made, SimpleNamespace)
    assert (made.a, made.b, repr(made)) == ("ours", 2, repr(theirs))
    made.b = 3
    assert theirs.b == 3
    with pytest.raises(AttributeError):
        made.c  # noqa: B018  # looking is the test


@pytest.mark.parametrize("wrong", [5, "red", [("a", 1)], True, 0, ""])
def test_metadata_that_is_none_is_refused_when_a_client_is_made(wrong):
    with pytest.raises(InvalidInput, match=r"metadata is a .*: give a dictionary"):
        Manner.of({"user_id": "z", "metadata": wrong}, takes_metadata=False)
