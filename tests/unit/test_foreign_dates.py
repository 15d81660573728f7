"""Times in other languages than English are found and resolved as in English, and nothing else is taken for one."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure import Memory
from perdure.engine.dates import mentions, question_interval
from perdure.engine.dates.languages import LANGUAGES
from perdure.engine.dates.vocabulary import vocabulary
from perdure.engine.words.language import CODES, detect
from perdure.engine.words.segment import normalize, segment

ZONE = timezone(timedelta(hours=2))
SAID = datetime(2023, 5, 10, 14, 30, tzinfo=ZONE)  # a Wednesday
TABLE: dict[str, dict[str, dict[str, str]]] = tomllib.loads(
    (Path(__file__).parents[1] / "fixtures" / "times.toml").read_text(encoding="utf-8")
)
CASES = [(language, sentence) for language, sentences in TABLE.items() for sentence in sentences]

NOTHING = {
    "de": """so | mit | die Sonne | morgens | Guten Morgen | der Morgen | jeden Montag | in den letzten Wochen | 3 Jahre
        ein Mai ohne Regen | Version 1.2.2024 | in 2000 Metern | um 15 Uhr | im Sommer | 1.5 Wochen | vor der Tür
        Mo | Di | Frau Mai | zwei Wochen""",
    "fr": """le mardi | tous les mardis | mars | la planète Mars | cette semaine-là | en 2000 mots | dans la semaine
        sept | il a été | un jour | à 15h""",
    "es": "los lunes | por la mañana | toda la mañana | hoy en día | mi tío Domingo | esta | en 2000 palabras",
    "it": "il lunedì | di sera | 3 set | fa caldo | sei anni | a | in due giorni",
    "pt": "segunda | a segunda vez | Sexta | hoje em dia | há muito tempo | em geral",
    "nl": "elke maandag | de morgen | over maart | zo | 20 uur",
    "ru": "среда | лето | три года | два дня | март | двадцать один",
    "pl": "co tydzień | w niedziele | lata | maj",
    "tr": "pazar | geçen gün | bu yazı | üç yıl | birçok yıl önce | toplantıdan iki hafta sonra",
    "zh": "每周二 | 聊天 | 周围 | 三年 | 工作一天后 | 天天 | 星期天气",
    "ja": "毎週火曜日 | 三年間 | 火 | 毎日 | 翌日",
    "ko": "매주 화요일 | 3년 동안 | 물 | 일",
    "ar": "كل ثلاثاء | في هذا اليوم | ثلاث سنوات",
    "hi": "कल | परसों | हर मंगलवार | तीन साल | कई साल पहले",
}


def span(text: str) -> tuple[datetime, datetime]:
    first, _, last = text.partition("/")
    start = datetime.fromisoformat(first).replace(tzinfo=ZONE)
    if not last:
        return start, start + timedelta(days=1)
    return start, SAID if last == "now" else datetime.fromisoformat(last).replace(tzinfo=ZONE)


def read(sentence: str, language: str | None) -> list[tuple[str, datetime, datetime]]:
    return [(found.text, found.start, found.end) for found in mentions(sentence, SAID, language)]


def meant(language: str, sentence: str) -> list[tuple[str, datetime, datetime]]:
    return [(words, *span(when)) for words, when in TABLE[language][sentence].items()]


def code_of(sentence: str) -> str | None:
    """What the engine takes a sentence for."""
    return CODES.get(detect(segment(normalize(sentence))))


def test_every_language_that_is_read_has_sentences() -> None:
    assert TABLE.keys() == LANGUAGES == NOTHING.keys()


@pytest.mark.parametrize(("language", "sentence"), CASES)
def test_the_times_of_a_sentence_are_found_and_resolved(language: str, sentence: str) -> None:
    assert read(sentence, language) == meant(language, sentence)


@pytest.mark.parametrize(("language", "sentence"), CASES)
def test_in_a_language_that_is_taken_for_another_a_time_is_rather_missed(
    language: str, sentence: str
) -> None:
    found = read(sentence, code_of(sentence))
    assert [time for time in found if time not in meant(language, sentence)] == []


@pytest.mark.parametrize("language", TABLE)
def test_most_languages_are_told_by_their_words_however_short_the_sentence(language: str) -> None:
    told = [read(sentence, code_of(sentence)) == meant(language, sentence) for sentence in TABLE[language]]
    assert sum(told) >= 0.9 * len(told)


def test_how_many_sentences_are_read_rightly_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for language, sentences in TABLE.items():
        known = sum(read(sentence, language) == meant(language, sentence) for sentence in sentences)
        told = sum(read(sentence, code_of(sentence)) == meant(language, sentence) for sentence in sentences)
        lines.append(f"{language} {known} and {told} of {len(sentences)}")
    with capsys.disabled():
        print("\ntimes read, where the language is known and where it is guessed:", "; ".join(lines))
    assert len(lines) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        (language, text.strip())
        for language, texts in NOTHING.items()
        for text in texts.replace("\n", "|").split("|")
        if text.strip()
    ],
)
def test_what_is_no_time_is_left_alone(language: str, text: str) -> None:
    assert mentions(text, SAID, language) == ()


def test_an_english_text_stays_english_whatever_words_are_in_it() -> None:
    text = "My friend Domani says hier and mayo, and that the rent is due next week."
    assert [words for words, *_ in read(text, "en")] == ["next week"]


def test_a_number_beside_a_month_is_not_its_day() -> None:
    assert read("Im Mai 15 Leute, am 3.15 Mai.", "de") == [("Mai", *span("2023-05-01/2023-06-01"))]


def test_other_languages_are_not_read() -> None:
    assert mentions("Igår var jag på bio.", SAID, "sv") == ()
    assert mentions("Вчера я был дома.", SAID, "el") == ()


def test_a_text_is_read_in_the_language_of_its_words() -> None:
    assert len(mentions("Gestern war ich im Kino.", SAID, "fr")) == 1
    assert mentions("Вчера я был дома.", SAID, "en") == ()


def test_numeric_dates_stand_beside_those_in_words() -> None:
    found = read("Am 8.5.2024 um neun, gestern und am 9. Mai 2024 nicht.", "de")
    assert [words for words, *_ in found] == ["8.5.2024", "gestern", "9. Mai 2024"]


def test_yesterday_is_the_speakers_own() -> None:
    tokyo = datetime(2023, 5, 10, 0, 30, tzinfo=ZoneInfo("Asia/Tokyo"))
    [found] = mentions("昨日、歯医者に行きました。", tokyo, "ja")
    assert (found.start, found.end) == (
        datetime(2023, 5, 8, 15, tzinfo=UTC),
        datetime(2023, 5, 9, 15, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("question", "language", "start", "end"),
    [
        ("Was habe ich letzte Woche gemacht?", "de", "2023-05-01", "2023-05-08"),
        ("Was ist im Juni passiert?", "de", "2022-06-01", "2022-07-01"),
        ("Wen habe ich am Freitag getroffen?", "de", "2023-05-05", "2023-05-06"),
        ("Was war zwischen März und Mai 2022?", "de", "2022-03-01", "2022-06-01"),
        ("Was hat sich seit März geändert?", "de", "2023-03-01", "2023-05-10T14:30"),
        ("Was habe ich nach dem 3. März gemacht?", "de", "2023-03-04", "2023-05-10T14:30"),
        ("Qu'est-ce que j'ai fait entre mars et mai 2022 ?", "fr", "2022-03-01", "2022-06-01"),
        ("¿Qué hice el viernes?", "es", "2023-05-05", "2023-05-06"),
        ("Что я делал в июне?", "ru", "2022-06-01", "2022-07-01"),
        ("先週何をしましたか？", "ja", "2023-05-01", "2023-05-08"),
    ],
)
def test_a_question_has_its_own_time(question: str, language: str, start: str, end: str) -> None:
    found = question_interval(question, SAID, language)
    assert found is not None
    assert (found.start, found.end) == (span(start)[0], span(end)[0])
    assert found.text in question


def test_before_has_no_beginning() -> None:
    found = question_interval("Was habe ich vor Mai 2022 gemacht?", SAID, "de")
    assert found is not None
    assert (found.start.year, found.end) == (1, span("2022-05-01")[0])


anywhen = st.datetimes(timezones=st.sampled_from([UTC, ZONE, ZoneInfo("America/New_York")]))
codes = st.sampled_from([*sorted(LANGUAGES), "en", "sv", None])


@given(st.text(), anywhen, codes)
def test_any_text_can_be_read_in_any_language(text: str, said: datetime, language: str | None) -> None:
    for mention in mentions(text, said, language):
        assert mention.start < mention.end
    question_interval(text, said, language)


@given(st.data(), anywhen, st.sampled_from(sorted(LANGUAGES)))
def test_any_pile_of_a_languages_words_can_be_read(
    data: st.DataObject, said: datetime, language: str
) -> None:
    known = vocabulary(language).words
    words = sorted(" ".join((first, *rest)) for first, entries in known.items() for rest, _ in entries)
    marks = [".", ",", "-", "3", "31", "2019", "15:30", "\n", "9h15", "1er", "İ"]
    text = data.draw(st.lists(st.sampled_from([*words, *marks]), max_size=12).map(" ".join))
    for mention in mentions(text, said, language):
        assert mention.start < mention.end
        assert mention.text in text
    question_interval(text, said, language)


def test_a_long_text_is_read_in_linear_time() -> None:
    for words in ("lunes ", "de ", "en 2019 ", "el ", "1 ", "en marzo de ", "yesterday ", "mañana por "):
        mentions(words * (64_000 // len(words)), SAID, "es")
    for words in ("最", "一", "在昨天", "上周二"):
        mentions(words * (64_000 // len(words)), SAID, "zh")


def test_english_and_texts_without_telling_words_load_no_locale_data() -> None:
    code = (
        "import sys; from datetime import datetime; from perdure.engine.dates import mentions as read\n"
        "read('Yesterday, in May 2022, we met.', datetime.now(), 'en'); read('Wir gehen.', datetime.now(), None)\n"
        "assert 'dateparser' not in sys.modules\n"
        "read('Gestern war ich dort.', datetime.now(), 'en'); assert 'dateparser' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_german_add_keeps_its_times() -> None:
    with Memory({"embedder": None, "store": "memory"}) as memory:
        added = memory.add("Gestern war ich beim Arzt.", user_id="ida", timestamp="2023-05-10T00:30+02:00")
        [mention] = memory.get(added["results"][0]["id"])["mentions"]
    assert mention == {
        "text": "Gestern",
        "start": "2023-05-08T22:00:00+00:00",
        "end": "2023-05-09T22:00:00+00:00",
    }


@pytest.mark.parametrize(
    ("said", "question", "day"),
    [
        ("I swam in the lake.", "Where was I swimming on 3 May 2023?", 3),
        ("I swam in the lake.", "Was the lake cold two weeks ago?", 12),
        ("Ich war im See schwimmen.", "Wo war ich am 3. Mai 2023 schwimmen?", 3),
        ("Ich war im See schwimmen.", "War der See vor zwei Wochen kalt?", 12),
        ("Ich war im See schwimmen.", "War der See am vorletzten Tag kalt?", 20),
    ],
)
def test_a_question_prefers_what_was_said_in_its_time(said: str, question: str, day: int) -> None:
    with Memory({"embedder": None, "store": "memory"}) as memory:
        for on in (1, 3, 12, 20):
            memory.add(said, user_id="uwe", timestamp=f"2023-05-{on:02}T18:00+02:00", idempotency_key=str(on))
        found = memory.search(question, user_id="uwe", reference_date="2023-05-26", threshold=0)["results"]
    assert len(found) == 4
    assert found[0]["created_at"] == f"2023-05-{day:02}T16:00:00+00:00"
