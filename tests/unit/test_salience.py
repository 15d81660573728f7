"""What says something is listed; what only holds a conversation together is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.salience import salience
from perdure.types import LISTED_SALIENCE


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


SAYS_SOMETHING = lines("""
    I love hiking
    I'm vegetarian
    My name is Sam
    I live in Berlin
    I am 34
    I'm allergic to peanuts
    I have two dogs
    My birthday is 8 May
    I prefer tea
    I hate cilantro
    I quit smoking
    We moved to Oslo
    Our budget is $5000
    I was diagnosed with diabetes
    I went to a LGBTQ support group yesterday and it was so powerful.
    Call me Max
    Always answer in French
    Never use emojis
    Please use metric units
    Don't call me before noon
    Deploy only after the tests pass
    The meeting is on Friday
    Flight LH440 leaves at 7pm
    The server runs PostgreSQL 16
    Rex died yesterday
    She got married last week
    Thanks! I got the job at Acme
    Hi! I'm Anna from Lisbon.
    Did you hear? I passed my driving test
    Can you recommend a restaurant? I don't eat meat.
""")

ONLY_CONTEXT = lines("""
    ok
    ok, thanks
    Okay, sounds good!
    haha true
    Haha, I know right
    Good morning!
    What's up?
    How are you?
    Hey, how's it going?
    lol
    Yes
    Yes, please
    No
    Thanks so much!
    You're welcome
    Wow, that's amazing!
    See you later
    Sounds good, talk to you soon
    Nice to meet you
    Congrats!
    I'm glad to hear that!
    That's great
    I see
    I agree
    Got it
    Sure, no problem
    Hmm, I don't know
    Interesting
    👍
    😂😂😂
    ...
    Really?
    Why?
    What do you think?
    What time is it?
    Where is it?
    How was your day?
    Can you help me?
    Tell me more
""")

ASSISTANT_SAYS_SOMETHING = lines("""
    Paris is the capital of France and has about two million inhabitants.
    You mentioned that your sister Anna lives in Rome.
    Here is a plan: run three times a week, rest on Sunday, and stretch every morning.
    I recommend the Dolomites for hiking in September.
    Sure! The recipe needs 300 g of flour, two eggs and butter. Let me know if you need anything else!
""")

ASSISTANT_CHATS = lines("""
    That's great! How can I help?
    You're welcome! Let me know if you need anything else.
    I'm happy to help! What would you like to know?
    Sure! What kind of restaurant are you looking for?
    I'm sorry to hear that.
    How can I assist you today?
    Great question!
    I hope this helps!
""")


@pytest.mark.parametrize("text", SAYS_SOMETHING)
def test_a_statement_is_listed(text: str) -> None:
    assert salience(text, "user") >= LISTED_SALIENCE


@pytest.mark.parametrize("text", ["", "   ", *ONLY_CONTEXT])
def test_what_only_holds_the_conversation_together_is_not_listed(text: str) -> None:
    assert salience(text, "user") < LISTED_SALIENCE


@pytest.mark.parametrize("text", ASSISTANT_SAYS_SOMETHING)
def test_an_assistant_that_tells_something_is_listed(text: str) -> None:
    assert salience(text, "assistant") >= LISTED_SALIENCE


@pytest.mark.parametrize("text", ASSISTANT_CHATS)
def test_an_assistants_courtesies_are_not_listed(text: str) -> None:
    assert salience(text, "assistant") < LISTED_SALIENCE


@pytest.mark.parametrize(
    "text",
    [
        "我喜欢在周末去爬山",
        "我妹妹住在上海",
        "私は東京に住んでいます",
        "Ich wohne in Berlin und arbeite als Lehrer",
        "J'habite à Paris depuis 2019",
    ],
)
def test_a_statement_in_another_language_is_listed(text: str) -> None:
    assert salience(text, "user", language=None) >= LISTED_SALIENCE


@pytest.mark.parametrize(
    "text", ["好的", "谢谢", "はい", "你好吗？", "Danke", "Merci beaucoup", "Wie geht's?", "👍", "42"]
)
def test_a_courtesy_in_another_language_is_not_listed(text: str) -> None:
    assert salience(text, "user", language="xx") < LISTED_SALIENCE


@pytest.mark.parametrize("text", ["My sister Anna lives in Rome", "The Dolomites are best in September"])
def test_a_question_says_less_than_the_same_words_as_a_statement(text: str) -> None:
    assert salience(f"{text}?", "user") < salience(text, "user")


@given(st.text(), st.sampled_from(["user", "assistant", "tool"]), st.sampled_from(["en", "de", None]))
def test_salience_is_between_nothing_and_all(text: str, role: str, language: str | None) -> None:
    assert 0 <= salience(text, role, language=language) < 1


@given(st.sampled_from(SAYS_SOMETHING), st.sampled_from(ONLY_CONTEXT))
def test_small_talk_takes_nothing_from_a_statement(statement: str, small_talk: str) -> None:
    assert salience(f"{small_talk}\n{statement}", "user") >= LISTED_SALIENCE
