"""Words: where they begin and end, what they mean to the index, and how questions are read."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.words import analyze, pieces, read_query
from perdure.engine.words.analysis import SHORT_QUESTION, STANDING, TELLS_TIME, language_of
from perdure.engine.words.dates import spell_days
from perdure.engine.words.language import LANGUAGES, detect, token
from perdure.engine.words.segment import normalize, segment

DAY = datetime(2023, 5, 8, tzinfo=UTC)


def words(text: str) -> list[str]:
    return segment(normalize(text))


def meet(query: str, text: str) -> bool:
    """Whether a query's words are among the stored words of a text."""
    found = analyze(text, speaker=None, said_at=DAY)
    held = set(np.frombuffer(found.words, "<u8").tolist())
    looked_up = read_query(query).hashes([language_of(found.flags)])
    return bool(looked_up) and all(held & set(hashes) for hashes in looked_up)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't panic, it's snake_case!", ["don", "t", "panic", "it", "s", "snake", "case"]),
        ("ﬁne Ｗｉｄｅ ＣＡＦÉ", ["fine", "wide", "café"]),
        ("हिन्दी में नमस्ते", ["हिन्दी", "में", "नमस्ते"]),
        ("مُحَمَّد هنا", ["مُحَمَّد", "هنا"]),
        ("猫", ["猫"]),
        ("黑猫跑", ["黑猫", "猫跑", "黑", "猫", "跑"]),
        ("ありがと", ["あり", "りが", "がと"]),
        ("iPhone手机", ["iphone", "手机", "手", "机"]),
        ("고양이 밥", ["고양", "양이", "밥"]),
        ("", []),
        ("🙂 !!", []),
    ],
)
def test_words_are_found_in_any_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I went to a support group yesterday and it was so powerful.", "english"),
        ("Thanks Mel!", "english"),
        ("Ich habe gestern mit meiner Schwester gesprochen", "german"),
        ("¿Dónde está mi perro y cómo se llama?", "spanish"),
        ("Je ne sais pas où est mon chat", "french"),
        ("Мы переехали в Берлин", "russian"),
        ("Ми переїхали до Берліна", ""),
        ("我养了一只猫", ""),
        ("Wczoraj poszłam z siostrą do kina w Warszawie i było świetnie", ""),
        ("", "english"),
    ],
)
def test_a_language_is_known_or_none_is_assumed(text: str, language: str) -> None:
    assert detect(words(text)) == language


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("parties", "We had a party"),
        ("Which houses?", "Ich habe nicht zu Hause houses gesagt und das ist gut"),
        ("Häuser", "Das Haus und die Häuser sind nicht groß"),
        ("gato", "¿Dónde está el gato y cómo se llama?"),
        ("cafe", "We met at the café"),
        ("猫叫什么？", "我的猫叫小黑"),
        ("10.01.2024", "see you on 10 January 2024"),
        ("Jan 10, 2024", "see you on 2024-01-10"),
        ("in May 2023", "It was May 3rd, 2023"),
    ],
)
def test_a_query_meets_a_text_whatever_language_each_was_taken_for(query: str, text: str) -> None:
    assert meet(query, text)


@given(
    st.text(alphabet=st.characters(categories=["L", "N"]), min_size=1, max_size=12),
    st.sampled_from(
        TEXTS := (
            "and then we went to {} with the others",
            "und dann sind wir mit den anderen nach {} gefahren",
            "{}",
        )
    ),
)
def test_the_same_word_always_meets_itself(word: str, text: str) -> None:
    in_text = analyze(text.format(word), speaker=None, said_at=DAY)
    held = set(np.frombuffer(in_text.words, "<u8").tolist())
    for hashes in read_query(word).hashes([language_of(in_text.flags)]):
        assert not hashes or held & set(hashes)


@given(st.text())
def test_any_text_can_be_analysed(text: str) -> None:
    found = analyze(text, speaker=text, said_at=DAY)
    assert len(found.words) % 8 == len(found.speaker) % 8 == len(found.date) % 8 == 0
    assert 0 <= language_of(found.flags) < len(LANGUAGES)
    assert "".join(pieces(text)) or not text
    read_query(text)


def test_hashes_are_the_same_for_ever() -> None:
    assert token("parties", "english") == 1514443382687829671
    assert token("the", "english") is None


def test_flags_tell_what_a_text_is_for() -> None:
    def flags(text: str) -> int:
        return analyze(text, speaker=None, said_at=DAY).flags & 0xFF

    assert flags("Where did you go?") == SHORT_QUESTION
    assert flags("word " * 40 + "?") == 0
    assert flags("We met two weeks ago") == TELLS_TIME
    assert flags("Always answer in French, please") == STANDING


def test_a_long_text_is_embedded_in_overlapping_pieces() -> None:
    text = " ".join(map(str, range(200)))
    parts = [part.split() for part in pieces(text)]
    assert [part[0] for part in parts] == ["0", "75", "150"]
    assert parts[-1][-1] == "199"
    assert pieces("short") == ["short"]
    assert pieces("") == [""]
    assert len(pieces("猫" * 300)) == 2


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("2024-03-15", "15 march 2024"),
        ("13/2/2024 and 2/13/2024", "13 february 2024 and 13 february 2024"),
        ("the 10th of feb 2024", "the 10 february 2024"),
        ("it may be", "it may be"),
        ("2024-99-99", "2024-99-99"),
        ("5 marbles", "5 marbles"),
    ],
)
def test_dates_are_spelt_in_one_way(text: str, spelt: str) -> None:
    assert spell_days(text) == spelt


@pytest.mark.parametrize(
    ("text", "question", "statement"),
    [
        ("Where is Ann?", True, False),
        ("tell me where Ann is", True, False),
        ("I am so tired of the rain", False, True),
        ("food preferences", False, False),
    ],
)
def test_keywords_are_neither_a_question_nor_a_statement(
    text: str, *, question: bool, statement: bool
) -> None:
    assert read_query(text).is_statement == statement
    assert not (question and read_query(text).is_statement)


def test_a_query_names_each_stem_once() -> None:
    query = read_query("When did my party of parties start on 7 May 2023?")
    assert query.words == ("party", "start", "7", "mayday", "2023")
    assert query.asks_when
    assert query.first_person
    assert [day.isoformat() for day in query.days] == ["2023-05-07"]


def test_every_process_takes_a_text_for_the_same_language() -> None:
    """Of "la casa de Maria" five languages say the same; the hashes of texts differ by process."""
    program = (
        "from perdure.engine.words.language import detect; "
        "print([detect(text.split()) for text in ('la casa de maria', 'que la vida', 'un la de se', 'die in der')])"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in "1234"
    }
    assert len(told) == 1
