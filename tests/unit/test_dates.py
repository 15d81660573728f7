"""Times in texts are found, resolved against the moment of speaking, and nothing else is taken for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.engine.dates import date_text, mention_text, mentions, question_interval
from perdure.types import Mention

ZONE = timezone(timedelta(hours=2))
SAID = datetime(2023, 5, 10, 14, 30, tzinfo=ZONE)  # a Wednesday
DAY = timedelta(days=1)

DAYS = {
    "yesterday": "2023-05-09",
    "the day before yesterday": "2023-05-08",
    "tomorrow": "2023-05-11",
    "the day after tomorrow": "2023-05-12",
    "today": "2023-05-10",
    "three days ago": "2023-05-07",
    "in 10 days": "2023-05-20",
    "two days from now": "2023-05-12",
    "last Tuesday": "2023-05-09",
    "last wed": "2023-05-03",
    "on Friday": "2023-05-12",
    "Sunday": "2023-05-07",
    "this Wednesday": "2023-05-10",
    "next Wednesday": "2023-05-17",
    "this past Friday": "2023-05-05",
    "Friday next week": "2023-05-19",
    "8 May 2023": "2023-05-08",
    "the 8th of May": "2023-05-08",
    "May 8th, 2023": "2023-05-08",
    "May 8": "2023-05-08",
    "on may 8th": "2023-05-08",
    "Dec. 25, 2022": "2022-12-25",
    "Sept 3": "2023-09-03",
    "3 January": "2023-01-03",
    "28 December": "2022-12-28",
    "14 May last year": "2022-05-14",
    "Monday, 8 May 2023": "2023-05-08",
    "on the 5th.": "2023-05-05",
    "the 28th of last month": "2023-04-28",
    "2024-05-08": "2024-05-08",
    "2024/05/08": "2024-05-08",
    "2024.05.08": "2024-05-08",
    "8.5.2024": "2024-05-08",
    "08. 05. 2024": "2024-05-08",
    "13/4/2024": "2024-04-13",
    "4/13/2024": "2024-04-13",
    "2024年5月8日": "2024-05-08",
    "5月8日": "2023-05-08",
    "2024년 5월 8일": "2024-05-08",
    "Christmas Eve": "2022-12-24",
    "last Christmas": "2022-12-25",
    "next Halloween": "2023-10-31",
    "last Thanksgiving": "2022-11-24",
    "New Year's Eve": "2022-12-31",
}

SPANS = {
    "last week": ("2023-05-01", "2023-05-08"),
    "the week before last": ("2023-04-24", "2023-05-01"),
    "this weekend": ("2023-05-13", "2023-05-15"),
    "over the weekend": ("2023-05-06", "2023-05-08"),
    "two weeks ago": ("2023-04-23", "2023-04-30"),
    "in two weeks": ("2023-05-21", "2023-05-28"),
    "a few weeks ago": ("2023-04-09", "2023-04-30"),
    "the past two weeks": ("2023-04-26", "2023-05-11"),
    "the next 3 days": ("2023-05-10", "2023-05-14"),
    "8-10 May": ("2023-05-08", "2023-05-11"),
    "last month": ("2023-04-01", "2023-05-01"),
    "next month": ("2023-06-01", "2023-07-01"),
    "a couple of months ago": ("2023-03-01", "2023-04-01"),
    "in May": ("2023-05-01", "2023-06-01"),
    "in December": ("2022-12-01", "2023-01-01"),
    "early in March": ("2023-03-01", "2023-04-01"),
    "May 2022": ("2022-05-01", "2022-06-01"),
    "June last year": ("2022-06-01", "2022-07-01"),
    "in June last year": ("2022-06-01", "2022-07-01"),
    "until January of 2018": ("2018-01-01", "2018-02-01"),
    "last May": ("2022-05-01", "2022-06-01"),
    "next January": ("2024-01-01", "2024-02-01"),
    "from November to January": ("2022-11-01", "2023-02-01"),
    "2024年": ("2024-01-01", "2025-01-01"),
    "last summer": ("2022-06-01", "2022-09-01"),
    "this summer": ("2023-06-01", "2023-09-01"),
    "winter of 2021": ("2021-12-01", "2022-03-01"),
    "last year": ("2022-01-01", "2023-01-01"),
    "three years ago": ("2020-01-01", "2021-01-01"),
    "in 2019": ("2019-01-01", "2020-01-01"),
    "2019": ("2019-01-01", "2020-01-01"),
    "2019-2021": ("2019-01-01", "2022-01-01"),
    "in the 90s": ("1990-01-01", "2000-01-01"),
    "the 1960s": ("1960-01-01", "1970-01-01"),
    "since March": ("2023-03-01", "2023-05-10T14:30"),
    "since 2016": ("2016-01-01", "2023-05-10T14:30"),
    "since June": ("2022-06-01", "2023-05-10T14:30"),
    "last night": ("2023-05-09T18:00", "2023-05-10T05:00"),
    "tonight": ("2023-05-10T18:00", "2023-05-11T05:00"),
    "this morning": ("2023-05-10T05:00", "2023-05-10T12:00"),
    "yesterday evening": ("2023-05-09T18:00", "2023-05-10T00:00"),
    "tomorrow at 3pm": ("2023-05-11T15:00", "2023-05-11T16:00"),
    "last night at 2 am": ("2023-05-10T02:00", "2023-05-10T03:00"),
    "8 May 2023, 10:30": ("2023-05-08T10:30", "2023-05-08T11:30"),
    "2024-05-08T10:00:00Z": ("2024-05-08T12:00", "2024-05-08T13:00"),
    "2024-05-08 10:00-05:00": ("2024-05-08T17:00", "2024-05-08T18:00"),
    "an hour ago": ("2023-05-10T13:00", "2023-05-10T14:00"),
}

NOTHING = """
may I come in? | we march on | march 5 miles | may 8 people come? | wait a second in the sun | 2000 calories
in 2000 calories | 3/4/2024 | 12.30 | version 1.2.2024 | every Friday | Fridays | once in a week | 31 April 2023
30 Feb 2023 | the 5th floor | I came in 2nd | my 90s playlist | in my 20s | 555-2023-05-08 | 1.2.3.2024 | 2024-13-45
Call 2019 times | room 2019 | augustus | mayonnaise | June said hello | 10月38日 | I sat in the fall | 5 | 5個月
"""

RELATIVE = [text for text in {**DAYS, **SPANS} if "day" in text or "week" in text or "night" in text]
anywhen = st.datetimes(
    timezones=st.sampled_from([UTC, ZONE, ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")])
)
pieces = st.sampled_from(
    [
        *DAYS,
        *SPANS,
        "since ",
        "the ",
        "a few",
        "of",
        "last ",
        " ",
        "\n",
        "  ",
        "may",
        "31",
        "2023",
        "-",
        ".",
        ":",
        "İ",
        "99",
    ]
)


def moment(text: str, zone: tzinfo = ZONE) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def only(text: str, said: datetime = SAID) -> Mention:
    found = mentions(text, said)
    assert len(found) == 1, f"{text!r}: {found}"
    return found[0]


@pytest.mark.parametrize("text", DAYS)
def test_a_day_is_found_and_resolved(text: str) -> None:
    found = only(f"We met: {text}")
    assert (found.start, found.end) == (moment(DAYS[text]), moment(DAYS[text]) + DAY)


@pytest.mark.parametrize("text", SPANS)
def test_a_stretch_of_time_is_found_and_resolved(text: str) -> None:
    found = only(text)
    assert (found.start, found.end) == tuple(map(moment, SPANS[text]))


@pytest.mark.parametrize(
    "text", [text.strip() for text in NOTHING.replace("\n", "|").split("|") if text.strip()]
)
def test_what_is_no_time_is_left_alone(text: str) -> None:
    assert mentions(text, SAID) == ()


@pytest.mark.parametrize("text", ["yesterday", "in May", "8 May 2023", "last week", "class of 2019"])
def test_english_is_read_only_where_the_language_is_english(text: str) -> None:
    assert mentions(text, SAID, "de") == mentions(text, SAID, None) == ()
    assert len(mentions(text, SAID, "en-GB")) == 1


def test_numeric_dates_are_read_in_every_language() -> None:
    found = mentions("Am 8.5.2024 um neun, 于2024年5月9日, 2024-05-10 14:00", SAID, "de")
    assert [mention_text(mention, ZONE) for mention in found] == ["8 May 2024", "9 May 2024", "10 May 2024"]


def test_a_mention_carries_its_words_in_their_own_case() -> None:
    assert only("İ met her LAST Friday!").text == "LAST Friday"
    assert only("I live here since March").text == "since March"


def test_several_times_come_in_the_order_of_the_text() -> None:
    found = mentions("Yesterday we booked for 8 July, after the trip in 2019.", SAID)
    assert [mention.text for mention in found] == ["Yesterday", "8 July", "2019"]


def test_yesterday_is_the_speakers_own() -> None:
    just_after_midnight = datetime(2023, 5, 10, 0, 30, tzinfo=ZONE)
    assert only("yesterday", just_after_midnight).start == datetime(2023, 5, 8, 22, tzinfo=UTC)
    assert only("yesterday", just_after_midnight.astimezone(UTC)).start == datetime(2023, 5, 8, tzinfo=UTC)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert only("yesterday", datetime(2023, 5, 10)).start == datetime(2023, 5, 9, tzinfo=UTC)


def test_a_day_lasts_23_or_25_hours_when_the_clock_is_put_forward_or_back() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    spring, autumn = (
        only("26.3.2023", datetime(2023, 4, 1, tzinfo=berlin)),
        only("29.10.2023", datetime(2023, 4, 1, tzinfo=berlin)),
    )
    assert (spring.end - spring.start, autumn.end - autumn.start) == (
        timedelta(hours=23),
        timedelta(hours=25),
    )


def test_an_hour_that_the_clock_skips_still_lasts_an_hour() -> None:
    found = only("26.3.2023 2:30", datetime(2023, 4, 1, tzinfo=ZoneInfo("Europe/Berlin")))
    assert found.end - found.start == timedelta(hours=1)


@given(st.text(), anywhen, st.sampled_from(["en", "de", None]))
def test_any_text_can_be_read_at_any_time(text: str, said: datetime, language: str | None) -> None:
    for mention in mentions(text, said, language):
        assert mention.start < mention.end


@given(st.lists(pieces, max_size=8), anywhen)
def test_any_pile_of_times_can_be_read_at_any_time(words: list[str], said: datetime) -> None:
    text = " ".join(words)
    for mention in mentions(text, said):
        assert mention.start < mention.end
        assert mention.start.utcoffset() == timedelta()
        assert mention.text in text
    question_interval(text, said)


@pytest.mark.parametrize("said", [datetime.min, datetime.max, datetime.min.replace(tzinfo=ZONE)])
def test_at_the_ends_of_time_nothing_overflows(said: datetime) -> None:
    for text in {**DAYS, **SPANS}:
        mentions(text, said)
        question_interval(f"before {text}", said)


@given(
    st.sampled_from(RELATIVE), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(-9, 9)
)
def test_weeks_later_the_same_words_mean_weeks_later(text: str, said: datetime, weeks: int) -> None:
    if any(name in text for name in ("May", "Christmas", "month", "20", "New")):
        return
    later = weeks * 7 * DAY
    one, other = only(text, said), only(text, said + later)
    assert (other.start - one.start, other.end - one.end) == (later, later)


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)), st.integers(0, 86_399))
def test_the_hour_of_speaking_does_not_change_the_day_that_is_meant(day: datetime, second: int) -> None:
    midnight = day.replace(hour=0, minute=0, second=0, microsecond=0)
    for text in ("on Friday", "May 8", "last Monday", "in May", "on the 5th."):
        assert mentions(text, midnight) == mentions(text, midnight + timedelta(seconds=second))


def test_a_long_text_is_read_in_linear_time() -> None:
    for text in ("in  " * 50_000, "may " * 50_000, "1" * 200_000, "2023-" * 40_000, " " * 200_000 + "today"):
        mentions(text, SAID)


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("What did I do last week?", "2023-05-01", "2023-05-08"),
        ("What happened in May 2023?", "2023-05-01", "2023-06-01"),
        ("Where was I on 01.01.2024?", "2024-01-01", "2024-01-02"),
        ("What happened in June?", "2022-06-01", "2022-07-01"),
        ("Whom did I meet on Friday?", "2023-05-05", "2023-05-06"),
        ("And on July 4?", "2022-07-04", "2022-07-05"),
        ("What has changed since March?", "2023-03-01", "2023-05-10T14:30"),
        ("What did I do after 3 March?", "2023-03-04", "2023-05-10T14:30"),
        ("Between March and May 2022?", "2022-03-01", "2022-06-01"),
        ("Between 8 May 2022 and 3 June 2022?", "2022-05-08", "2022-06-04"),
    ],
)
def test_a_question_has_its_own_time(question: str, start: str, end: str) -> None:
    found = question_interval(question, SAID)
    assert found is not None
    assert (found.start, found.end) == (moment(start), moment(end))


def test_before_has_no_beginning() -> None:
    found = question_interval("What did I do before May 2022?", SAID)
    assert found is not None
    assert (found.start.year, found.end) == (1, moment("2022-05-01"))


def test_a_question_without_a_time_has_none() -> None:
    assert question_interval("What is my sister's name?", SAID) is None
    assert question_interval("What did I do yesterday?", SAID, "de") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("yesterday", "9 May 2023"),
        ("last night", "9 May 2023"),
        ("last month", "April 2023"),
        ("last week", "May 2023"),
        ("last year", "2022"),
        ("last summer", "2022"),
        ("in the 90s", ""),
    ],
)
def test_a_mention_is_indexed_by_words_as_exact_as_it_is(text: str, words: str) -> None:
    assert mention_text(only(text), ZONE) == words
    assert mention_text(only(text)) == words


def test_a_day_is_written_as_people_write_it() -> None:
    assert date_text(datetime(2023, 5, 8, tzinfo=UTC)) == "8 May 2023"
