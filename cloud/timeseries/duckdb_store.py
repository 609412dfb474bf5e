"""The embedded store: one DuckDB file, owned by this process, written in columns and in few large commits.

A write is one transaction: words, points, and which hours are due. What `write` accepted survives a kill.
The projector writes; questions run beside it, each on a cursor of its own.
"""

# ruff: noqa: S608 - names of our own tables and columns are spelled into SQL, and nothing else
from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import RLock
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
from numpy.typing import NDArray

from cloud.timeseries.buckets import (
    END_OF_TIME_US,
    HOUR_US,
    Window,
    check_window,
    day_start_us,
    first_hour_us,
    from_us,
    hour_start_us,
    iso_utc,
    merge_buckets,
    to_us,
    totals_every,
)
from cloud.timeseries.duckdb_columns import Columns, NeedsCloserLook, Words, last_of_each_key, to_columns
from cloud.timeseries.duckdb_queries import (
    Parameter,
    filter_of,
    newest,
    stream_rows,
    sums_by,
    time_group,
    totals_by,
)
from cloud.timeseries.duckdb_rollups import roll_up_days, roll_up_slice
from cloud.timeseries.duckdb_schema import DuckDBLimits, connect, read_meta, write_meta
from cloud.timeseries.port import (
    EVERYWHERE,
    Bucket,
    GroupBy,
    Latest,
    Measurement,
    Point,
    Refused,
    Resolution,
    StreamCount,
    TimeseriesUnavailable,
    Total,
    Where,
    WriteResult,
)
from cloud.timeseries.validity import refusal

UTC_ZONE = ZoneInfo("UTC")


class DuckDBTimeseries:
    """`Timeseries` in one DuckDB file. Raises StoreLocked when another process has it."""

    def __init__(self, path: Path, *, zone: ZoneInfo = UTC_ZONE, limits: DuckDBLimits | None = None) -> None:
        self._path = path
        self._zone = zone
        self._limits = limits or DuckDBLimits()
        self._lock = RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._words = Words()
        self._highest: NDArray[np.int64] = np.zeros(0, dtype=np.int64)  # of each stream, by its word's id
        self._raw_since_us = 0
        self._is_closed = False
        with self._lock:
            self._open()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._is_closed:
            raise TimeseriesUnavailable(f"{self._path} has been closed")
        if self._connection is None:
            connection = connect(self._path, self._limits)
            self._read_state(connection)
            self._use_zone(connection)
            self._connection = connection
        return self._connection

    def _read_state(self, connection: duckdb.DuckDBPyConnection) -> None:
        """What is kept in memory beside the file: words, each stream's highest number, where raw points begin."""
        rows = connection.execute("SELECT word FROM words ORDER BY id").fetchall()
        words = [str(word) for (word,) in rows]
        self._words = Words({word: place for place, word in enumerate(words)}, words)
        self._raw_since_us = int(read_meta(connection, "raw_since_us") or 0)
        self._highest = np.zeros(len(words), dtype=np.int64)
        for measurement in Measurement:
            newest = connection.execute(f"SELECT stream, max(number) FROM {measurement} GROUP BY stream")
            for stream, number in newest.fetchall():
                self._highest[stream] = max(self._highest[stream], number)

    def _use_zone(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Days begin by the zone; when it is another than the file's, they are made anew."""
        if read_meta(connection, "zone") == self._zone.key:
            return
        connection.begin()
        for measurement in Measurement:
            hours = connection.execute(f"SELECT DISTINCT at_us FROM {measurement}_hourly").fetchall()
            connection.execute(f"DELETE FROM {measurement}_daily")
            days = {day_start_us(hour, self._zone) for (hour,) in hours}
            roll_up_days(connection, measurement, days, self._zone)
        write_meta(connection, "zone", self._zone.key)
        connection.commit()

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing, one at a time. DuckDB's failures become TimeseriesUnavailable."""
        with self._lock:
            connection = self._open()
            try:
                connection.begin()
                yield connection
                connection.commit()
            except duckdb.Error as error:
                self._start_over()
                raise TimeseriesUnavailable(f"{self._path}: {error}") from error
            except BaseException:
                connection.rollback()
                self._read_state(connection)
                raise

    def _start_over(self) -> None:
        """Let go of the connection: after a failed write to disk DuckDB may refuse everything until reopened."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def write(self, points: Sequence[Point]) -> WriteResult:
        """See `Timeseries.write`."""
        by_measurement: defaultdict[Measurement, list[Point]] = defaultdict(list)
        for point in points:
            by_measurement[point.measurement].append(point)
        refused: list[Refused] = []
        with self._transaction() as connection:
            written = [
                (measurement, last_of_each_key(columns))
                for measurement, group in by_measurement.items()
                if (columns := self._columns(measurement, group, refused)) is not None
            ]
            self._save_fresh_words(connection)
            for measurement, columns in written:
                self._put(connection, measurement, columns)
        for _, columns in written:
            streams = columns["stream"].astype(np.int64)
            np.maximum.at(self._highest, streams, columns["number"].astype(np.int64))
        return WriteResult(len(points) - len(refused), tuple(refused))

    def _columns(self, measurement: Measurement, points: list[Point], refused: list[Refused]) -> Columns | None:
        """The acceptable points as columns; the others go to `refused`."""
        try:
            columns = to_columns(measurement, points, self._words)
            if columns["at_us"].min() >= self._raw_since_us:
                return columns
        except NeedsCloserLook:
            pass
        kept = []
        for point in points:
            reason = refusal(point) or self._refusal_by_age(point)
            if reason:
                refused.append(Refused(point, reason))
            else:
                kept.append(point)
        return to_columns(measurement, kept, self._words) if kept else None

    def _refusal_by_age(self, point: Point) -> str | None:
        if point.effective_at_us >= self._raw_since_us:
            return None
        return f"older than the raw points that are kept, which begin at {iso_utc(self._raw_since_us)}"

    def _save_fresh_words(self, connection: duckdb.DuckDBPyConnection) -> None:
        fresh = self._words.fresh
        if not fresh:
            return
        ids = [word_id for word_id, _ in fresh]
        connection.execute("INSERT INTO words SELECT unnest(?), unnest(?)", [ids, [word for _, word in fresh]])
        self._highest = np.concatenate([self._highest, np.zeros(len(fresh), dtype=np.int64)])
        self._words.fresh = []

    def _put(self, connection: duckdb.DuckDBPyConnection, measurement: Measurement, columns: Columns) -> None:
        connection.register("staged", columns)
        try:
            if (columns["number"] <= self._highest[columns["stream"]]).any():
                self._take_out_repeats(connection, measurement)
            names = ", ".join(f'"{name}"' for name in columns)
            connection.execute(f"INSERT INTO {measurement} ({names}) SELECT {names} FROM staged")
            connection.execute(
                f"INSERT INTO due SELECT DISTINCT '{measurement}', terminal, at_us - at_us % {HOUR_US} FROM staged"
            )
        finally:
            connection.unregister("staged")

    def _take_out_repeats(self, connection: duckdb.DuckDBPyConnection, measurement: Measurement) -> None:
        same = "old.stream = staged.stream AND old.number = staged.number"
        connection.execute(
            f"INSERT INTO due SELECT DISTINCT '{measurement}', old.terminal, old.at_us - old.at_us % {HOUR_US} "
            f"FROM {measurement} AS old JOIN staged ON {same}"
        )
        connection.execute(f"DELETE FROM {measurement} AS old USING staged WHERE {same}")

    def series(
        self,
        measurement: Measurement,
        field_name: str,
        start: datetime,
        end: datetime,
        every: timedelta,
        where: Where = EVERYWHERE,
        resolution: Resolution | None = None,
    ) -> list[Bucket]:
        """See `Timeseries.series`."""
        window = self._window(start, end, every, resolution)
        condition = filter_of(window, where, self._words)
        return merge_buckets(window, sums_by(self._ask, measurement, field_name, window, condition, time_group(window)))

    def totals(
        self,
        measurement: Measurement,
        field_name: str,
        by: GroupBy,
        start: datetime,
        end: datetime,
        where: Where = EVERYWHERE,
        resolution: Resolution | None = None,
    ) -> list[Total]:
        """See `Timeseries.totals`."""
        window = self._window(start, end, totals_every(by), resolution)
        condition = filter_of(window, where, self._words)
        return totals_by(self._ask, measurement, field_name, window, condition, by, self._words)

    def _window(self, start: datetime, end: datetime, every: timedelta, resolution: Resolution | None) -> Window:
        raw_since = from_us(self._raw_since_us)
        return check_window(start, end, every, resolution, zone=self._zone, raw_since=raw_since)

    def _ask(self, sql: str, parameters: list[Parameter]) -> list[tuple[object, ...]]:
        try:
            with self._lock:
                cursor = self._open().cursor()
            try:
                return cursor.execute(sql, parameters).fetchall()
            finally:
                cursor.close()
        except duckdb.Error as error:
            raise TimeseriesUnavailable(f"{self._path}: {error}") from error

    def latest(self, measurement: Measurement, terminals: Collection[str], since: datetime) -> dict[str, Latest]:
        """See `Timeseries.latest`."""
        found = newest(self._ask, measurement, terminals, to_us(since), self._words)
        return {latest.terminal: latest for latest in found}

    def count_by_stream(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, StreamCount]:
        """See `Timeseries.count_by_stream`."""
        start_us = to_us(start) if start else 0
        end_us = to_us(end) if end else END_OF_TIME_US
        rows = stream_rows(self._ask, start_us, end_us)
        return {self._words.words[stream]: StreamCount(points, highest) for stream, points, highest in rows}

    def roll_up(self) -> int:
        """See `Timeseries.roll_up`. Writes and questions get their turn between the slices."""
        hours = 0
        for measurement in Measurement:
            while True:
                with self._transaction() as connection:
                    done = roll_up_slice(connection, measurement, self._zone)
                if not done:
                    break
                hours += done
        return hours

    def expire(self, before: datetime) -> None:
        """See `Timeseries.expire`."""
        horizon_us = hour_start_us(to_us(before))
        with self._lock:
            self.roll_up()
            horizon_us = max(horizon_us, self._raw_since_us)
            with self._transaction() as connection:
                for measurement in Measurement:
                    connection.execute(f"DELETE FROM {measurement} WHERE at_us < ?", [horizon_us])
                write_meta(connection, "raw_since_us", str(horizon_us))
            self._raw_since_us = horizon_us

    def clear(self, since: datetime | None = None) -> None:
        """See `Timeseries.clear`."""
        since_us = first_hour_us(to_us(since), self._zone) if since else 0
        with self._lock:
            raw_since_us = min(self._raw_since_us, since_us)
            with self._transaction() as connection:
                for measurement in Measurement:
                    for table in (measurement, f"{measurement}_hourly", f"{measurement}_daily"):
                        connection.execute(f"DELETE FROM {table} WHERE at_us >= ?", [since_us])
                connection.execute("DELETE FROM due WHERE hour_us >= ?", [since_us])
                write_meta(connection, "raw_since_us", str(raw_since_us))
            self._read_state(self._open())

    def close(self) -> None:
        """See `Timeseries.close`."""
        with self._lock:
            self._is_closed = True
            self._start_over()
