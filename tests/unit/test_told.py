"""Which sentences say the same: in doubt they do not, however near a model of meaning finds them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.learning.reconcile import _alike
from perdure.engine.learning.told import told
from perdure.types import Claim

SAME = Claim(subject="User", attribute="thing")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User moved from Berlin to Paris.", "User moved from Paris to Berlin."),
        ("User flies to Rome.", "User flies from Rome."),
        ("The dog bit the cat.", "The cat bit the dog."),
        ("The meeting is before lunch.", "The meeting is after lunch."),
        ("User has two cats.", "User has three cats."),
        ("User has 2 cats.", "User has 3 cats."),
        ("The freezer is at -18 degrees.", "The freezer is at 18 degrees."),
        ("User likes coffee.", "User dislikes coffee."),
        ("User can eat nuts.", "User can't eat nuts."),
        ("User can eat nuts.", "User cannot eat nuts."),
        ("User is a nurse.", "User was a nurse."),
        ("User's wife is Ann.", "User's ex-wife is Ann."),
        ("User turned the heating on.", "User turned the heating off."),
        ("User drinks tea in the morning.", "User drinks tea in the evening."),
        ("User's sister is older.", "User's sister is younger."),
        ("User lives in York.", "User lives in New York."),
        ("User programs in C++.", "User programs in C#."),
        ("User loves 🍕", "User loves 🍣"),
        ("🐶", "🐱"),
        ("User pays 5 €.", "User pays 5 $."),
        ("User isst Fleisch.", "User isst kein Fleisch."),
        ("User mange de la viande.", "User ne mange pas de la viande."),
        ("La cita es el martes.", "La cita es el lunes."),
        ("用户喜欢猫。", "用户喜欢狗。"),
        ("用户吃肉。", "用户不吃肉。"),
        ("ユーザーは肉を食べる。", "ユーザーは肉を食べない。"),
        ("사용자는 고양이를 좋아한다", "사용자는 강아지를 좋아한다"),
        ("ผู้ใช้ชอบแมว", "ผู้ใช้ชอบสุนัข"),
        ("उपयोगकर्ता दिल्ली में रहता है", "उपयोगकर्ता मुंबई में रहता है"),
        ("المستخدم يعيش في القاهرة", "المستخدم يعيش في دبي"),
        ("Пользователь ест мясо.", "Пользователь не ест мясо."),
    ],
)
def test_what_is_near_and_yet_another_thing_is_not_the_same(one: str, other: str) -> None:
    assert not _alike(one, other, SAME, SAME, 1.0)
    assert not _alike(other, one, None, None, 1.0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("User lives in Lisbon.", "user lives in lisbon!"),
        ("User lives in Lisbon.", "User is living in Lisbon."),
        ("User lives in Lisbon.", "The user lives in Lisbon"),
        ("User lives in Lisbon.", "User now lives in Lisbon."),
        ("User does not smoke.", "User doesn't smoke."),
        ("User has 2 cats.", "User has 2 cats at home."),
        ("User wohnt in Köln.", "USER WOHNT IN KÖLN"),
        ("用户喜欢猫。", "用户喜欢猫！"),
    ],
)
def test_the_same_in_nearly_the_same_words_is_the_same(one: str, other: str) -> None:
    assert _alike(one, other, SAME, SAME, 0.97)
    assert _alike(other, one, SAME, SAME, 0.97)


def test_another_subject_or_too_little_nearness_is_not_the_same() -> None:
    other = Claim(subject="Tom", attribute="thing")
    assert not _alike("User lives in Lisbon.", "User now lives in Lisbon.", SAME, other, 1.0)
    assert not _alike("User lives in Lisbon.", "User now lives in Lisbon.", SAME, SAME, 0.9)
    assert not _alike("User lives in Lisbon.", "User now lives in Lisbon.", None, None, None)


@given(st.text(), st.text())
def test_a_sentence_is_like_itself_and_likeness_goes_both_ways(one: str, other: str) -> None:
    assert _alike(one, one, SAME, SAME, None)
    assert told(one).agrees_with(told(one))
    assert not told(one).contradicts(told(one))
    assert told(one).contradicts(told(other)) == told(other).contradicts(told(one))
    assert _alike(one, other, SAME, SAME, 1.0) == _alike(other, one, SAME, SAME, 1.0)
