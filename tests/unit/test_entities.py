"""Entities: names found in small conversations of many languages, merged hardly ever, the same in every order."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.entities import MENTIONED_WITH, chosen, graph, survey
from perdure.engine.entities.merging import key
from perdure.engine.entities.spelling import fold
from perdure.engine.entities.tokens import read
from perdure.types import Claim, Memory, Relation, Scope

START = datetime(2025, 3, 1, tzinfo=UTC)


def said(text: str, number: int = 1, **more: object) -> Memory:
    at = START + timedelta(minutes=number)
    memory = Memory(
        id=f"m{number:03}",
        text=text,
        scope=Scope(user_id="maya"),
        said_at=at,
        recorded_at=at,
        valid_from=at,
        session="s",
        place=number,
        ord=number,
    )
    return replace(memory, **more)


def talk(*texts: str, speaker: str | None = None) -> list[Memory]:
    return [said(text, place, speaker=speaker) for place, text in enumerate(texts, 1)]


def names(memories: list[Memory], **options: object) -> set[str]:
    return {entity.name for entity in survey(memories, **options).entities.values()}


def kinds(memories: list[Memory]) -> dict[str, str]:
    return {entity.name: entity.kind for entity in survey(memories).entities.values()}


CONVERSATIONS = {
    "english": (
        [
            "My sister Ann lives in Porto.",
            "Will you come? I work at Acme Robotics with Bob.",
            "Bob said that Dr. Lee will bring the old Gibson guitar on Friday.",
            "Everyone liked the food. Thankfully, my son slept.",
        ],
        {
            "Ann": "person",
            "Porto": "place",
            "Acme Robotics": "organisation",
            "Bob": "person",
            "Lee": "person",
            "Gibson": "thing",
        },
    ),
    "german": (
        [
            "Meine Schwester Anna wohnt in Hamburg.",
            "Ich mag den Kuchen, und der Hund heißt Bello.",
            "Herr Müller arbeitet bei Siemens. Die Katze schläft im Garten.",
            "Gestern war ich mit Annas Freund im Park und habe Kaffee getrunken.",
        ],
        {
            "Anna": "person",
            "Hamburg": "place",
            "Bello": "thing",
            "Müller": "person",
            "Siemens": "organisation",
        },
    ),
    "spanish": (
        [
            "Mi hermana Lucía vive en Sevilla.",
            "Ayer Lucía y yo fuimos a Madrid con el perro.",
            "Trabajo en Telefónica. El domingo llovió mucho.",
        ],
        {"Lucía": "person", "Sevilla": "place", "Madrid": "place", "Telefónica": "organisation"},
    ),
    "russian": (
        [
            "Моя сестра Анна живёт в Москве.",
            "Вчера я ходил с Анной в кино, и Иван сказал, что фильм хороший.",
            "Мой друг Иван работает в Яндексе.",
        ],
        {"Анна": "person", "Москве": "place", "Иван": "person", "Яндексе": "organisation"},
    ),
    "japanese": (
        [
            "姉の花子さんは東京に住んでいます。",
            "昨日田中さんに会いました。お母さんも元気です。",
            "マイケルさんと映画を見て、コーヒーを飲みました。",
        ],
        {"花子": "person", "東京": "place", "田中": "person", "マイケル": "person"},
    ),
    "chinese": (
        [
            "我姐姐叫李娜，她住在上海。",
            "昨天我和李娜去了公园。",
            "我的同事王小明在腾讯公司工作，他喜欢喝咖啡。",
        ],
        {"李娜": "person", "上海": "place", "王小明": "person", "腾讯公司": "organisation"},
    ),
    "arabic": (
        [
            "أختي سارة تعيش في القاهرة.",
            "ذهبت مع سارة إلى السوق.",
            "صديقي أحمد مهندس، وقال أحمد إن الطقس جميل.",
        ],
        {"سارة": "person", "القاهرة": "place", "أحمد": "person"},
    ),
    "korean": (
        ["제 친구 민수는 서울에 살아요.", "어제 지은 씨를 만났어요.", "커피를 마셨어요."],
        {"민수": "person", "서울": "place", "지은": "person"},
    ),
    "french": (
        ["Ma sœur Élodie habite à Lyon.", "Hier, Elodie et moi avons vu l'ami d'Antoine."],
        {"Elodie": "person", "Lyon": "place", "Antoine": "person"},
    ),
}


@pytest.mark.parametrize("language", CONVERSATIONS)
def test_the_names_of_a_conversation_are_found_with_their_kinds_and_nothing_else(language):
    texts, found = CONVERSATIONS[language]
    assert kinds(talk(*texts)) == found


def test_a_word_is_judged_by_how_it_is_written_elsewhere():
    assert names(talk("I think that Rose will come.", "Rose called.")) == {"Rose"}
    roses = ["a rose is a rose", "the rose grows", "one more rose"]
    assert names(talk("I think that Rose will come.", *roses)) == set()


def test_a_german_noun_is_no_name_also_where_a_short_text_does_not_look_german():
    texts = ["Gehe ins Kino", "Wir waren gestern im Kino, das Kino war voll.", "Müsli gekauft, Kühe gesehen"]
    assert names(talk(*texts)) == set()


def test_code_addresses_and_headlines_make_no_names():
    texts = [
        "see `Widget` and ```\nclass Gadget(Base): pass\n```",
        "at https://Example.com/Page or Some@Mail.com or src/Main/App",
        "The Best Ways To Cook Rice",
        "WE ARE SO HAPPY TODAY",
    ]
    assert names(talk(*texts)) == set()


def test_a_name_of_several_words_is_one_name_also_where_a_sentence_begins():
    found = survey(talk("We flew to New York in May.", "New York was loud. The new bed was soft."))
    assert {entity.name: len(entity.memory_ids) for entity in found.entities.values()} == {"New York": 2}


def test_speakers_are_people_and_what_they_say_is_theirs():
    found = survey(talk("ok then", "fine", speaker="noor")).entities["noor"]
    assert (found.name, found.kind, found.memory_ids) == ("noor", "person", ("m001", "m002"))


def test_facts_name_entities_and_tell_their_kinds():
    fact = said(
        "She moved.",
        kind="fact",
        claim=Claim(subject="Ines", attribute="home"),
        relations=(Relation(subject="Ines", relation="works_at", object="cashew farm"),),
    )
    assert kinds([fact]) == {"Ines": "person", "cashew farm": "organisation"}


# --- what is the same --------------------------------------------------------------------------------------------


def test_a_first_name_joins_the_only_full_name_and_says_why():
    found = survey(talk("My sister Ann came.", "We met Ann Smith."))
    assert found.entities["ann smith"].aliases == ("Ann",)
    assert found.entities["ann smith"].merged == {"Ann": "the only name that begins with it"}
    assert found.key("ANN") == "ann smith"


@pytest.mark.parametrize(
    "texts",
    [
        ("My sister Ann came.", "We met Ann Smith.", "We met Ann Jones."),
        ("We met Ann Smith.", "We met Ann Smyth."),
        ("I saw Apple in the news.", "He bought Apple Watch bands."),
    ],
)
def test_names_that_may_be_two_stay_apart(texts):
    assert all(not entity.aliases for entity in survey(talk(*texts)).entities.values())


def test_what_stands_in_brackets_keeps_two_of_one_name_apart():
    sister = said("Ann is a nurse.", 1, claim=Claim(subject="Ann (sister)", attribute="job"))
    boss = said("Ann likes tea.", 2, claim=Claim(subject="Ann (boss)", attribute="drink"))
    found = survey([sister, boss, said("My sister Ann called.", 3)])
    assert {e.name: e.memory_ids for e in found.entities.values()} == {
        "Ann (sister)": ("m001",),
        "Ann (boss)": ("m002",),
        "Ann": ("m003",),
    }


def test_case_accents_and_possessives_make_no_second_name():
    found = survey(talk("My friend José came.", "I saw Jose and José's dog.", "hey JOSÉ's here"))
    assert set(found.entities) == {"jose"}
    assert found.entities["jose"].merged["Jose"] == "differs by case or accents only"


@pytest.mark.parametrize("pair", [("Ann", "Ann Smith"), ("Ann Smith", "Ann")])
def test_what_is_wanted_apart_is_not_merged(pair):
    talked = talk("My sister Ann came.", "We met Ann Smith.")
    assert names(talked) == {"Ann Smith"}
    assert names(talked, apart=[pair]) == {"Ann", "Ann Smith"}


def test_two_spellings_can_be_kept_apart():
    talked = talk("My friend José came.", "My friend Jose left.")
    assert len(names(talked)) == 1
    assert names(talked, apart=[("José", "Jose")]) == {"José", "Jose"}


def test_the_cases_of_a_russian_name_are_one_unless_they_can_be_two_peoples():
    woman = talk("Моя подруга Анна пришла.", "Я видел, как Анну ждала Мария.", "Я был там с Анной.")
    assert {"Анна", "Мария"} == names(woman)
    both = talk("Мой друг Александр пришёл.", "Моя подруга Александра ушла.")
    assert names(both) == {"Александр", "Александра"}
    man = talk("Мой друг Сергей пришёл.", "Я видел Сергея вчера.", "Мы были там с Сергеем.")
    assert names(man) == {"Сергей"}


# --- properties ------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        "I",
        "we",
        "saw",
        "met",
        "my",
        "sister",
        "Ann",
        "Smith",
        "Bob",
        "Lee",
        "in",
        "Porto",
        "said",
        "that",
        "and",
        "the",
        "old",
        "Rose",
        "rose",
        "'s",
        ",",
        ".",
        "Mr",
        "called",
    ]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
TALKS = st.lists(TEXTS, min_size=1, max_size=6)


@given(TALKS, st.randoms())
def test_the_order_of_memories_changes_nothing(texts, random):
    memories = talk(*texts)
    shuffled = random.sample(memories, len(memories))
    one, other = graph(memories), graph(shuffled)
    assert (dict(one.entities), one.edges) == (dict(other.entities), other.edges)
    assert list(one.entities) == list(other.entities)


@given(TALKS)
def test_a_memory_about_something_else_merges_and_splits_nothing(texts):
    before = survey(talk(*texts)).entities
    unrelated = said("Yesterday Walter painted his boat in Bergen; Walter Gropius watched.", 999)
    after = survey([*talk(*texts), unrelated]).entities
    assert {name: after.get(name) for name in before} == dict(before)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_text_can_be_read(texts):
    found = graph(talk(*texts))
    assert all(entity.name.strip() and entity.memory_ids for entity in found.entities.values())


@given(st.text())
def test_a_fold_is_final(name):
    assert fold(fold(name)) == fold(name)
    assert key(name) == fold(name)


@given(st.text())
def test_reading_keeps_every_word_in_order(text):
    folds = [token.fold for token in read(text).tokens]
    assert folds == [token.fold for token in read(text + "\n").tokens]


# --- relations ---------------------------------------------------------------------------------------------------------


def fact(number: int, home: str, **more: object) -> Memory:
    relation = Relation(subject="Maya", relation="lives in", object=home)
    return said(f"Maya lives in {home}.", number, kind="fact", relations=(relation,), place=None, **more)


def test_what_facts_state_is_one_edge_with_all_that_state_it():
    [edge] = graph([fact(1, "Porto"), fact(2, "PORTO")]).edges
    assert (edge.source, edge.relationship, edge.destination, edge.stated) == (
        "maya",
        "lives in",
        "porto",
        True,
    )
    assert edge.memory_ids == ("m001", "m002")
    assert (edge.valid_from, edge.valid_to) == (START + timedelta(minutes=1), None)


def test_a_relation_that_is_over_is_an_edge_of_its_own():
    over = START + timedelta(days=3)
    edges = graph([fact(1, "Porto", valid_to=over), fact(2, "Porto")]).edges
    assert {(edge.valid_to, edge.memory_ids) for edge in edges} == {(over, ("m001",)), (None, ("m002",))}


def test_what_is_mentioned_together_only_once_is_nothing():
    assert graph(talk("I saw Ann in Porto.")).edges == ()


def test_what_is_mentioned_together_in_a_memory_and_in_turns_that_follow_is_counted():
    talked = talk("I saw Ann in Porto.", "It was fun.", "I like Porto.", "But did Ann?")
    [edge] = graph(talked).edges
    assert (edge.source, edge.relationship, edge.destination, edge.stated) == (
        "ann",
        MENTIONED_WITH,
        "porto",
        False,
    )
    assert edge.memory_ids == ("m001", "m003", "m004")
    apart = [*talked[:3], replace(talked[3], session="another")]
    assert graph(apart).edges == ()


def test_a_fact_and_the_turn_that_it_came_from_count_once():
    turn = said("I saw Ann in Porto.", 1)
    learned = said("Maya saw Ann in Porto.", 2, kind="fact", sources=("m001",), place=None)
    assert graph([replace(turn, sources=("m001",)), learned]).edges == ()


def test_a_list_of_names_says_nothing_of_any_two():
    crowd = ", ".join(f"B{'abcdefghijk'[n]}lt" for n in range(11))
    assert graph(talk(f"I met {crowd}.", f"I saw {crowd}.")).edges == ()


def test_what_is_stated_is_not_also_mentioned_together():
    talked = [*talk("I met Maya in Porto.", "We saw Maya in Porto."), fact(3, "Porto")]
    assert [edge.stated for edge in graph(talked).edges] == [True]


def test_the_neighbourhood_of_one_ends_at_its_depth():
    chain = [
        said("so", n, kind="fact", place=None, relations=(Relation(subject=a, relation="knows", object=b),))
        for n, (a, b) in enumerate([("Ann", "Bob"), ("Bob", "Cy"), ("Cy", "Dee")], 1)
    ]
    whole = graph(chain)
    near = {depth: set(chosen(whole, "ANN", depth=depth, most=50).entities) for depth in range(4)}
    assert near == {0: {"ann"}, 1: {"ann", "bob"}, 2: {"ann", "bob", "cy"}, 3: {"ann", "bob", "cy", "dee"}}
    assert list(chosen(whole, "bob", depth=2, most=2).entities) == ["bob", "cy"]
    assert dict(chosen(whole, "Zed", depth=2, most=50).entities) == {}


def test_a_first_name_that_is_nobodys_means_all_that_begin_with_it():
    whole = graph(talk("We met Ann Smith.", "We met Ann Jones."))
    assert set(chosen(whole, "ann", depth=0, most=50).entities) == {"ann smith", "ann jones"}


@pytest.mark.parametrize(
    "unit", ["x", "A.", "a/", "/a.", "@", "a@", ".", "`a", "iVBORw0KGgo", "漢A", "_"], ids=ascii
)
def test_one_long_word_is_read_in_linear_time(unit):
    text = (unit * 262_144)[:262_144]
    started = time.perf_counter()
    graph([said(text)])
    assert time.perf_counter() - started < 10  # in quadratic time it takes minutes


def test_addresses_and_paths_are_no_names_wherever_they_begin():
    text = "Ann wrote (to Bob@Example.org, from Src/Main.Py) about a/B, \\Host and ../Cy. Zed@"
    assert [token.text for token in read(text).tokens] == [
        "Ann",
        "wrote",
        "to",
        "from",
        "about",
        "and",
        "Zed",
    ]
