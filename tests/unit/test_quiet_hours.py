"""Quiet hours by the clock of a place: over midnight, on some days, where the clock is changed, one after the other. Pure."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.notifications.quiet import Quiet, Weekday, quiet_until

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
DAILY = frozenset(Weekday)
NIGHT = Quiet(SHANGHAI, time(22), time(7), DAILY)
NOON = Quiet(SHANGHAI, time(12), time(14), DAILY)


def at(text: str, zone: ZoneInfo = SHANGHAI, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    ("quiet", "when", "until"),
    [
        (NIGHT, "2026-11-27 21:59:59", None),
        (NIGHT, "2026-11-27 22:00", "2026-11-28 07:00"),
        (NIGHT, "2026-11-28 06:59:59", "2026-11-28 07:00"),
        (NIGHT, "2026-11-28 07:00", None),
        (NOON, "2026-11-27 12:30", "2026-11-27 14:00"),
        (NOON, "2026-11-27 23:30", None),
    ],
)
def test_they_are_on_from_their_beginning_and_not_at_their_end(quiet: Quiet, when: str, until: str | None) -> None:
    assert quiet_until(quiet, at(when)) == (at(until) if until else None)


def test_the_day_on_which_they_begin_counts_and_not_the_one_on_which_they_end() -> None:
    friday = Quiet(SHANGHAI, time(22), time(7), frozenset({Weekday.FRIDAY}))
    assert quiet_until(friday, at("2026-11-28 03:00")) == at("2026-11-28 07:00")  # the night to Saturday
    assert quiet_until(friday, at("2026-11-27 03:00")) is None
    assert quiet_until(friday, at("2026-11-28 23:00")) is None


def test_those_that_follow_without_a_break_are_one() -> None:
    weekend = Quiet(SHANGHAI, time(0), time(0), frozenset({Weekday.SATURDAY, Weekday.SUNDAY}))
    assert quiet_until(weekend, at("2026-11-28 09:00")) == at("2026-11-30 00:00")
    assert quiet_until(weekend, at("2026-11-30 00:00")) is None


@pytest.mark.parametrize(
    ("quiet", "when", "until"),
    [
        # 2026-03-29 in Berlin: 02:00 is 03:00. The night has an hour less, and an end at 02:30 is the later of the two.
        (Quiet(BERLIN, time(22), time(7), DAILY), "2026-03-29T00:30+01:00", "2026-03-29T07:00+02:00"),
        (Quiet(BERLIN, time(22), time(2, 30), DAILY), "2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00"),
        # 2026-10-25: 03:00 is 02:00 again. An end at 02:30 is the second of the two, a beginning the first.
        (Quiet(BERLIN, time(22), time(2, 30), DAILY), "2026-10-25T02:15+02:00", "2026-10-25T02:30+01:00"),
        (Quiet(BERLIN, time(22), time(2, 30), DAILY), "2026-10-25T02:30+01:00", None),
        (Quiet(BERLIN, time(2, 30), time(7), DAILY), "2026-10-25T02:45+02:00", "2026-10-25T07:00+01:00"),
    ],
)
def test_the_clock_may_be_changed_in_them(quiet: Quiet, when: str, until: str | None) -> None:
    found = quiet_until(quiet, datetime.fromisoformat(when))
    assert found == (datetime.fromisoformat(until) if until else None)


def test_always_is_every_day_from_a_time_to_itself() -> None:
    assert Quiet(SHANGHAI, time(8), time(8), DAILY).is_always
    assert not Quiet(SHANGHAI, time(8), time(8), DAILY - {Weekday.MONDAY}).is_always
    assert not NIGHT.is_always


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from((0, 15, 30, 59)))


@given(
    st.builds(Quiet, st.sampled_from((SHANGHAI, BERLIN, ZoneInfo("Australia/Lord_Howe"))), TIMES, TIMES,
              st.frozensets(st.sampled_from(Weekday))),
    st.integers(0, 366 * 24 * 60).map(lambda minutes: NEW_YEAR + timedelta(minutes=minutes)),
)  # fmt: skip
def test_at_the_end_they_are_over_and_before_it_they_are_on(quiet: Quiet, when: datetime) -> None:
    until = quiet_until(quiet, when)
    if until is None or quiet.is_always:
        return
    assert when < until <= when + timedelta(days=8)
    assert quiet_until(quiet, until - timedelta(seconds=1)) == until
    assert quiet_until(quiet, until) is None
