"""Rollups of the embedded store: the hours that points came into are made anew from the raw points, then their days.

Each slice is one transaction of its caller's, so a crash leaves what is due due. Called by the store, under its lock.
"""

# ruff: noqa: S608 - names of our own tables and columns are spelled into SQL, and nothing else
from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

import duckdb
import numpy as np

from cloud.timeseries.buckets import DAY_US, HOUR_US, day_start_us
from cloud.timeseries.port import Measurement
from cloud.timeseries.validity import NUMERIC_FIELDS

# Hours of one terminal that are rolled up in one transaction: about a million raw points at one a minute.
HOURS_PER_SLICE = 20_000
_TAGS = "terminal, room, organisation, kind"
_SUMS = "count(value), sum(value), min(value), max(value), arg_max(value, at_us), max(at_us)"
_MERGED_SUMS = "sum(n)::BIGINT, sum(total), min(minimum), max(maximum), arg_max(last, last_at_us), max(last_at_us)"


def roll_up_slice(connection: duckdb.DuckDBPyConnection, measurement: Measurement, zone: ZoneInfo) -> int:
    """Make the oldest due hours and their days anew; say how many hours of one terminal those were."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE doing AS SELECT DISTINCT terminal, hour_us FROM due "
        f"WHERE measurement = ? ORDER BY hour_us LIMIT {HOURS_PER_SLICE}",
        [measurement.value],
    )
    bounds = connection.execute("SELECT count(*), min(hour_us), max(hour_us) FROM doing").fetchone()
    if bounds is None or not bounds[0]:
        return 0
    count, first_us, last_us = (int(bound) for bound in bounds)
    _roll_up_hours(connection, measurement, first_us, last_us + HOUR_US)
    hours = connection.execute("SELECT DISTINCT hour_us FROM doing").fetchall()
    roll_up_days(connection, measurement, {day_start_us(hour, zone) for (hour,) in hours}, zone)
    connection.execute(
        "DELETE FROM due USING doing WHERE due.measurement = ? AND due.terminal = doing.terminal "
        "AND due.hour_us = doing.hour_us",
        [measurement.value],
    )
    return count


def _roll_up_hours(connection: duckdb.DuckDBPyConnection, measurement: Measurement, start_us: int, end_us: int) -> None:
    connection.execute(
        f"DELETE FROM {measurement}_hourly AS old USING doing "
        "WHERE old.at_us >= ? AND old.at_us < ? AND old.terminal = doing.terminal AND old.at_us = doing.hour_us",
        [start_us, end_us],
    )
    named = ", ".join(f'"{name}"' for name in NUMERIC_FIELDS[measurement])
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE doing_points AS SELECT doing.hour_us, raw.* EXCLUDE (stream, number, texts) "
        f"FROM {measurement} AS raw JOIN doing ON raw.terminal = doing.terminal "
        f"AND raw.at_us - raw.at_us % {HOUR_US} = doing.hour_us WHERE raw.at_us >= ? AND raw.at_us < ?",
        [start_us, end_us],
    )
    connection.execute(
        f"INSERT INTO {measurement}_hourly SELECT hour_us, {_TAGS}, field, {_SUMS} FROM ("
        f"UNPIVOT (SELECT hour_us, at_us, {_TAGS}, {named} FROM doing_points) ON {named} "
        f"INTO NAME field VALUE value) GROUP BY hour_us, {_TAGS}, field"
    )
    connection.execute(
        f"INSERT INTO {measurement}_hourly SELECT hour_us, {_TAGS}, field, {_SUMS} FROM ("
        f"SELECT hour_us, at_us, {_TAGS}, other.key AS field, other.value::DOUBLE AS value "
        "FROM (SELECT * FROM doing_points WHERE numbers IS NOT NULL) AS points, "
        f"json_each(points.numbers) AS other) GROUP BY hour_us, {_TAGS}, field"
    )
    connection.execute("DROP TABLE doing_points")


def roll_up_days(
    connection: duckdb.DuckDBPyConnection, measurement: Measurement, days: Iterable[int], zone: ZoneInfo
) -> None:
    """Make the days, given by their starts in microseconds, anew from their hours."""
    hours = [
        (day, hour)
        for day in sorted(days)
        for hour in range(day, day + DAY_US + 2 * HOUR_US, HOUR_US)  # a day has 25 hours when summer time ends
        for hour in [hour - hour % HOUR_US]
        if day_start_us(hour, zone) == day
    ]
    if not hours:
        return
    columns = np.array(hours, dtype=np.int64)
    connection.register("day_hours", {"day_us": columns[:, 0].copy(), "hour_us": columns[:, 1].copy()})
    try:
        connection.execute(f"DELETE FROM {measurement}_daily WHERE at_us IN (SELECT day_us FROM day_hours)")
        connection.execute(
            f"INSERT INTO {measurement}_daily SELECT day_us, {_TAGS}, field, {_MERGED_SUMS} "
            f"FROM {measurement}_hourly AS hourly JOIN day_hours ON hourly.at_us = day_hours.hour_us "
            f"WHERE hourly.at_us >= ? AND hourly.at_us <= ? GROUP BY day_us, {_TAGS}, field",
            [hours[0][1], hours[-1][1]],
        )
    finally:
        connection.unregister("day_hours")
