"""What every store of the time series promises about rollups, expiry and rebuilding."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud.timeseries.port import (
    Resolution,
    StreamCount,
    Timeseries,
    Where,
)
from tests.timeseries_stores import DAY, HEALTH, HOUR, NOON, STREAM, MakeStore, cpu, point


def test_rollups_say_the_same_as_the_raw_points(store: Timeseries) -> None:
    store.write(
        [
            point(n, NOON + n * timedelta(minutes=7), terminal=f"kiosk-{n % 3}", kind="tv" if n % 5 else "kiosk")
            for n in range(1, 400)
        ]
    )
    assert store.roll_up() > 0
    end = NOON + 3 * DAY
    for where in (Where(), Where(terminals=["kiosk-1"]), Where(kinds=["kiosk"])):
        by_hour = [
            store.series(HEALTH, "cpu_percent", NOON, end, HOUR, where, resolution)
            for resolution in (Resolution.RAW, Resolution.HOURLY)
        ]
        assert by_hour[0] == by_hour[1]
        start = NOON.replace(hour=0)
        by_day = [store.series(HEALTH, "cpu_percent", start, end, DAY, where, resolution) for resolution in Resolution]
        assert by_day[0] == by_day[1] == by_day[2]


def test_a_late_point_changes_the_rollups_of_its_hour_only(store: Timeseries) -> None:
    store.write([point(1, NOON), point(2, NOON + HOUR)])
    store.roll_up()
    assert store.roll_up() == 0
    store.write([point(3, NOON + timedelta(minutes=1))])
    assert cpu(store, resolution=Resolution.HOURLY) == [1.0, 2.0]
    assert store.roll_up() == 1
    assert cpu(store, resolution=Resolution.HOURLY) == [4.0, 2.0]
    (day,) = store.series(HEALTH, "cpu_percent", NOON, NOON + HOUR, DAY, resolution=Resolution.DAILY)
    assert (day.count, day.last) == (3, 2.0)


def test_a_repeat_does_not_count_twice_in_the_rollups(store: Timeseries) -> None:
    for _ in range(2):
        store.write([point(1), point(2)])
        store.roll_up()
    assert cpu(store, resolution=Resolution.HOURLY) == [3.0]


def test_expiry_deletes_raw_points_and_leaves_their_rollups(store: Timeseries) -> None:
    store.write([point(1, NOON - DAY), point(2, NOON)])
    store.expire(NOON - HOUR)
    assert store.count_by_stream() == {STREAM: StreamCount(1, 2)}
    assert cpu(store, NOON - DAY, resolution=Resolution.RAW) == [2.0]
    assert cpu(store, NOON - DAY, resolution=Resolution.HOURLY) == [1.0, 2.0]
    assert cpu(store, NOON - DAY) == [1.0, 2.0]  # of itself it asks what still has an answer


def test_a_point_older_than_the_raw_points_kept_is_refused_and_leaves_the_rollups_alone(store: Timeseries) -> None:
    store.write([point(1, NOON - DAY), point(2, NOON)])
    store.expire(NOON - HOUR)
    result = store.write([point(3, NOON - DAY), point(4, NOON)])
    assert result.accepted == 1
    assert "older than the raw points" in result.refused[0].reason
    store.roll_up()
    assert cpu(store, NOON - DAY, resolution=Resolution.HOURLY) == [1.0, 6.0]


def test_a_cleared_store_takes_all_points_again(store: Timeseries) -> None:
    points = [point(1, NOON - DAY), point(2, NOON)]
    store.write(points)
    store.expire(NOON)
    store.clear()
    assert store.count_by_stream() == {}
    assert cpu(store, NOON - DAY, resolution=Resolution.HOURLY) == []
    assert store.write(points).accepted == 2
    store.roll_up()
    assert cpu(store, NOON - DAY, resolution=Resolution.HOURLY) == [1.0, 2.0]


def test_clearing_from_a_day_on_leaves_what_is_older(store: Timeseries) -> None:
    store.write([point(1, NOON - DAY), point(2, NOON.replace(hour=0)), point(3, NOON)])
    store.roll_up()
    store.clear(since=NOON)
    assert store.count_by_stream() == {STREAM: StreamCount(1, 1)}
    for resolution in Resolution:
        found = store.series(HEALTH, "cpu_percent", NOON - DAY, NOON + DAY, DAY, resolution=resolution)
        assert [bucket.count for bucket in found] == [1]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York", "Asia/Kathmandu"])
def test_days_begin_where_the_rooms_are(make_store: MakeStore, zone: str) -> None:
    store = make_store(zone)
    midnight = NOON.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0)
    store.write([point(1, midnight - 2 * HOUR), point(2, midnight + HOUR), point(3, midnight + 22 * HOUR)])
    store.roll_up()
    for resolution in Resolution:
        before, after = store.series(HEALTH, "cpu_percent", midnight - DAY, midnight + DAY, DAY, resolution=resolution)
        assert (before.start_at, before.count) == (midnight - DAY, 1)
        assert (after.start_at, after.count, after.last) == (midnight, 2, 3.0)
