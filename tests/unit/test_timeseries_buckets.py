"""Hours, days and resolutions of the time series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.timeseries.buckets import (
    DAY_US,
    HOUR_US,
    Sums,
    check_window,
    choose_resolution,
    day_start_us,
    from_us,
    merge_buckets,
    next_day_start_us,
    to_us,
)
from cloud.timeseries.port import QuestionInvalid, Resolution

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ZONES = ["UTC", "Asia/Shanghai", "Asia/Kathmandu", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]
INSTANTS_US = st.integers(min_value=to_us(datetime(2012, 1, 2, tzinfo=UTC)), max_value=to_us(NOON) + 20 * 365 * DAY_US)


@pytest.mark.parametrize(
    ("span", "every", "expected"),
    [
        (HOUR, None, Resolution.RAW),
        (3 * DAY, None, Resolution.RAW),
        (4 * DAY, None, Resolution.HOURLY),
        (62 * DAY, None, Resolution.HOURLY),
        (365 * DAY, None, Resolution.DAILY),
        (365 * DAY, HOUR, Resolution.HOURLY),
        (365 * DAY, DAY, Resolution.DAILY),
        (365 * DAY, timedelta(minutes=5), Resolution.RAW),
    ],
)
def test_the_span_chooses_the_resolution(span: timedelta, every: timedelta | None, expected: Resolution) -> None:
    assert choose_resolution(NOON - span, NOON, every) is expected


def test_hours_take_the_place_of_raw_points_that_have_expired() -> None:
    assert choose_resolution(NOON - HOUR, NOON, timedelta(minutes=5), raw_since=NOON) is Resolution.HOURLY
    assert choose_resolution(NOON - HOUR, NOON, timedelta(minutes=5), raw_since=NOON - HOUR) is Resolution.RAW


@given(INSTANTS_US, st.sampled_from(ZONES))
def test_a_day_holds_its_own_beginning_and_whole_hours(instant_us: int, name: str) -> None:
    zone = ZoneInfo(name)
    day_us = day_start_us(instant_us, zone)
    next_us = next_day_start_us(instant_us, zone)
    assert day_start_us(day_us, zone) == day_us
    assert day_start_us(next_us, zone) == next_us
    assert 22 * HOUR_US < next_us - day_us < 26 * HOUR_US
    assert day_start_us(instant_us - instant_us % HOUR_US, zone) == day_us
    assert day_us - HOUR_US < instant_us < next_us


def test_days_of_summer_time_changes_have_23_and_25_hours() -> None:
    zone = ZoneInfo("America/New_York")
    for date, hours in (("2026-03-08T12:00:00+00:00", 23), ("2026-11-01T12:00:00+00:00", 25)):
        start_us = day_start_us(to_us(datetime.fromisoformat(date)), zone)
        assert next_day_start_us(start_us, zone) - start_us == hours * HOUR_US


@pytest.mark.parametrize("instant", ["1970-01-01T00:00:00+00:00", "2038-01-19T03:14:08.000001+00:00"])
def test_microseconds_go_there_and_back(instant: str) -> None:
    at = datetime.fromisoformat(instant)
    assert from_us(to_us(at)) == at
    assert to_us(at.astimezone(ZoneInfo("Asia/Shanghai"))) == to_us(at)


def test_a_naive_time_is_turned_down() -> None:
    with pytest.raises(QuestionInvalid, match="no time zone"):
        to_us(datetime(2026, 1, 1))  # noqa: DTZ001 - what is tested


def test_rollups_are_asked_for_whole_hours_and_days() -> None:
    begin, end = NOON + timedelta(minutes=20), NOON + timedelta(minutes=70)
    hours = check_window(begin, end, HOUR, Resolution.HOURLY, zone=ZoneInfo("UTC"))
    assert (from_us(hours.start_us), from_us(hours.end_us)) == (NOON, NOON + 2 * HOUR)
    days = check_window(begin, end, HOUR, Resolution.DAILY, zone=ZoneInfo("UTC"))
    assert (from_us(days.start_us), from_us(days.end_us)) == (NOON - 12 * HOUR, NOON + 12 * HOUR)
    assert days.every_us == DAY_US
    raw = check_window(begin, end, HOUR, Resolution.RAW, zone=ZoneInfo("UTC"))
    assert (from_us(raw.start_us), from_us(raw.end_us)) == (begin, end)


VALUES = st.lists(st.tuples(st.integers(0, 3 * HOUR_US), st.integers(-1000, 1000)), min_size=1)


@given(VALUES, st.randoms(use_true_random=False))
def test_sums_come_to_the_same_in_whatever_pieces_they_are_added(values: list[tuple[int, int]], chance: Random) -> None:
    base_us = to_us(NOON)
    values = list(dict(values).items())
    parts = [
        (base_us + at_us, Sums(1, float(value), float(value), float(value), float(value), base_us + at_us))
        for at_us, value in values
    ]
    chance.shuffle(parts)
    window = check_window(NOON, NOON + 4 * HOUR, DAY, Resolution.RAW, zone=ZoneInfo("UTC"))
    (bucket,) = merge_buckets(window, parts)
    numbers = [value for _, value in values]
    assert (bucket.count, bucket.minimum, bucket.maximum) == (len(values), min(numbers), max(numbers))
    assert bucket.mean == pytest.approx(sum(numbers) / len(numbers))
    assert bucket.last == max(values)[1]
