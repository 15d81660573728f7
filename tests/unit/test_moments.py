"""Moments are read as callers write them, kept exactly and shown in one way."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.errors import InvalidInput
from perdure.moments import from_micros, iso, micros, parse_moment

NEW_YEAR = datetime(2025, 1, 1, 10, tzinfo=UTC)
NEW_YEAR_SECONDS = 1_735_725_600
PARIS = timezone(timedelta(hours=1))

anything = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(), st.dates(), st.datetimes()
)
# UTC must be able to hold it, also after an offset of a day.
aware = st.datetimes(
    min_value=datetime(1, 1, 2),
    max_value=datetime(9999, 12, 30),
    timezones=st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone),
)


class Nowhere(tzinfo):
    """A zone that does not know its offset."""

    def utcoffset(self, dt: datetime | None) -> None:
        return None

    dst = tzname = utcoffset


@pytest.mark.parametrize(
    "value",
    [
        NEW_YEAR,
        NEW_YEAR.replace(tzinfo=None),
        NEW_YEAR.replace(tzinfo=Nowhere()),
        NEW_YEAR.astimezone(ZoneInfo("Asia/Tokyo")),
        NEW_YEAR_SECONDS,
        float(NEW_YEAR_SECONDS),
        NEW_YEAR_SECONDS * 1_000,
        str(NEW_YEAR_SECONDS),
        f"{NEW_YEAR_SECONDS}.0",
        f" {NEW_YEAR_SECONDS}000 ",
        "2025-01-01T10:00:00Z",
        "2025-01-01 10:00",
        "2025-01-01T11:00:00.000000+01:00",
        "2025-01-01 11:00:00 +0100",
        "20250101T100000Z",
    ],
)
def test_one_moment_has_many_spellings(value: object) -> None:
    assert parse_moment(value) == NEW_YEAR


def test_the_zone_that_was_given_is_kept() -> None:
    assert parse_moment("2025-01-01T00:30:00+01:00").utcoffset() == timedelta(hours=1)
    assert parse_moment(datetime(2025, 7, 1, tzinfo=ZoneInfo("Europe/Paris"))).utcoffset() == timedelta(
        hours=2
    )


@pytest.mark.parametrize("value", ["2025-01-31", "20250131", date(2025, 1, 31)])
def test_a_bare_date_is_its_first_moment_or_its_last(value: object) -> None:
    assert parse_moment(value) == datetime(2025, 1, 31, tzinfo=UTC)
    assert parse_moment(value, day_end=True) == datetime(2025, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)


def test_the_end_of_the_day_is_only_for_bare_dates() -> None:
    assert parse_moment("2025-01-31T00:00:00Z", day_end=True) == datetime(2025, 1, 31, tzinfo=UTC)


def test_the_last_day_of_time_has_an_end() -> None:
    assert parse_moment("9999-12-31", day_end=True) == datetime.max.replace(tzinfo=UTC)


def test_fractions_of_a_second_are_exact_in_digits_and_floats() -> None:
    assert parse_moment("1735725600.123457").microsecond == 123_457
    assert parse_moment(1735725600.123457).microsecond == 123_457
    assert parse_moment(-0.5) == datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        b"2025-01-01",
        [],
        "",
        "tomorrow",
        "2025",
        "2025-13-01",
        "2025-02-29",
        "01.02.2025",
        "nan",
        "inf",
        "1e9",
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        10**18,
        pytest.param(10**5000, id="an integer too long to print"),
        "9" * 5000,
        "٢٠٢٥٠١٠١١١",
        "9999-12-31T23:59:59-05:00",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_moment_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_moment(value, name="created_after")
    message = str(refused.value)
    assert message.startswith("created_after=")
    assert "ISO 8601" in message
    assert len(message) < 300


@given(anything)
def test_any_value_becomes_a_moment_of_utc_or_is_refused(value: object) -> None:
    try:
        moment = parse_moment(value)
    except InvalidInput:
        return
    assert from_micros(micros(moment)) == moment


@given(aware)
def test_what_is_shown_is_read_back_to_the_microsecond(moment: datetime) -> None:
    assert parse_moment(iso(moment)) == moment
    assert iso(moment).endswith("+00:00")


@given(aware)
def test_what_is_kept_is_read_back_to_the_microsecond(moment: datetime) -> None:
    assert from_micros(micros(moment)) == moment


@given(aware, aware)
def test_kept_moments_are_in_the_order_of_time(one: datetime, other: datetime) -> None:
    assert (micros(one) < micros(other)) == (one < other)


def test_whole_seconds_are_shown_without_a_fraction() -> None:
    assert iso(datetime(2025, 1, 1, 11, tzinfo=PARIS)) == "2025-01-01T10:00:00+00:00"
    assert iso(datetime(2025, 1, 1, 10, 0, 0, 1, tzinfo=UTC)) == "2025-01-01T10:00:00.000001+00:00"


def test_a_moment_without_a_zone_is_utc_everywhere() -> None:
    bare = NEW_YEAR.replace(tzinfo=None)
    assert iso(bare) == iso(NEW_YEAR)
    assert micros(bare) == micros(NEW_YEAR)
