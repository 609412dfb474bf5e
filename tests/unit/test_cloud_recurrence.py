"""Which instants a rule means, in the wall time of a zone with changes of clocks, and in bounded time."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.activities.recurrence import check_rule, starts

BERLIN, SHANGHAI, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai"), ZoneInfo("UTC")


def expand(
    rule: str | None, first_at: datetime, zone: ZoneInfo, days: float, after: datetime | None = None
) -> list[str]:
    begin = (after or first_at).astimezone(UTC)
    found = starts(rule and check_rule(rule), first_at.astimezone(UTC), zone, begin, begin + timedelta(days=days))
    return [f"{at:%m-%dT%H:%M}" for at in found]


def test_without_a_rule_there_is_one_start() -> None:
    first_at = datetime(2026, 11, 23, 9, tzinfo=SHANGHAI)
    assert expand(None, first_at, SHANGHAI, 60) == ["11-23T01:00"]


def test_a_weekly_activity_keeps_its_wall_time_over_a_change_of_clocks() -> None:
    first_at = datetime(2026, 10, 20, 10, tzinfo=BERLIN)
    assert expand("FREQ=WEEKLY", first_at, BERLIN, 15) == ["10-20T08:00", "10-27T09:00", "11-03T09:00"]


def test_a_wall_time_that_is_skipped_moves_on_by_the_gap() -> None:
    first_at = datetime(2027, 3, 27, 2, 30, tzinfo=BERLIN)
    assert expand("FREQ=DAILY", first_at, BERLIN, 2.9) == ["03-27T01:30", "03-28T01:30", "03-29T00:30"]


def test_a_wall_time_that_comes_twice_is_its_first() -> None:
    first_at = datetime(2026, 10, 24, 2, 30, tzinfo=BERLIN)
    assert expand("FREQ=DAILY", first_at, BERLIN, 3) == ["10-24T00:30", "10-25T00:30", "10-26T01:30"]


def test_hours_and_minutes_recur_evenly_over_a_change_of_clocks() -> None:
    first_at = datetime(2026, 10, 24, 23, 30, tzinfo=BERLIN)
    found = expand("FREQ=MINUTELY;INTERVAL=15", first_at, BERLIN, 0.25)
    assert len(found) == len(set(found)) == 24


def test_until_is_an_instant_in_utc() -> None:
    first_at = datetime(2026, 11, 23, 7, tzinfo=SHANGHAI)  # 23:00 the day before in UTC
    assert expand("FREQ=DAILY;UNTIL=20261124T230000Z", first_at, SHANGHAI, 60) == [
        "11-22T23:00",
        "11-23T23:00",
        "11-24T23:00",
    ]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3", ["11-24T01:00", "11-26T01:00", "12-01T01:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["11-27T01:00", "12-25T01:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1", ["12-01T01:00", "01-01T01:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["12-31T01:00"]),
        ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24", ["12-24T01:00"]),
    ],
)
def test_the_rules_of_a_calendar_are_taken(rule: str, found: list[str]) -> None:
    first_at = datetime(2026, 11, 23, 9, tzinfo=SHANGHAI)
    assert expand(rule, first_at, SHANGHAI, 45) == found


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "weekly",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=1",
        "FREQ=MINUTELY;INTERVAL=15;BYMONTH=2",
        "FREQ=DAILY;BYDAY=MO;INTERVAL=7",
        "FREQ=DAILY;BYHOUR=8",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=99999",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;UNTIL=20271399T000000Z",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=WEEKLY;BYDAY=2TU",
        "FREQ=MONTHLY;BYDAY=5TU",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=20",
        "FREQ=MONTHLY;BYSETPOS=6;BYDAY=MO",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2,4;BYMONTHDAY=31",
        "FREQ=YEARLY;BYMONTH=13",
        "FREQ=YEARLY;BYEASTER=0",
        "FREQ=WEEKLY\nEXDATE:20270101T000000Z",
        "RRULE:FREQ=WEEKLY",
    ],
)
def test_a_rule_that_is_wrong_or_never_comes_true_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_rule(rule)


@given(
    frequency=st.sampled_from(["MINUTELY;INTERVAL=15", "HOURLY", "HOURLY;INTERVAL=5", "DAILY", "DAILY;INTERVAL=3"]),
    first_at=st.datetimes(datetime(2020, 2, 20), datetime(2020, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001
    ahead_h=st.integers(0, 24 * 40),
    zone=st.sampled_from([BERLIN, SHANGHAI]),
)
@settings(max_examples=25, deadline=None)
def test_leaping_ahead_finds_what_going_through_finds(
    frequency: str, first_at: datetime, ahead_h: int, zone: ZoneInfo
) -> None:
    first_at = first_at.replace(microsecond=0)
    after = first_at + timedelta(hours=ahead_h)
    before = after + timedelta(days=2)
    leapt = list(starts(f"FREQ={frequency}", first_at, zone, after, before))
    through = [at for at in starts(f"FREQ={frequency};COUNT=10000", first_at, zone, first_at, before) if at >= after]
    assert leapt == through


@pytest.mark.parametrize(
    "rule",
    ["FREQ=MINUTELY;INTERVAL=10", "FREQ=DAILY;BYMONTH=2", "FREQ=YEARLY;INTERVAL=1000;BYMONTH=2;BYMONTHDAY=29"],
)
def test_the_dearest_rules_are_expanded_in_bounded_time(rule: str) -> None:
    began = time.monotonic()
    expand(rule, datetime(1970, 1, 1, tzinfo=UTC), UTC_ZONE, 60, after=datetime(2026, 11, 23, tzinfo=UTC))
    assert time.monotonic() - began < 5
