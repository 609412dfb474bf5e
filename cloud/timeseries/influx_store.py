"""The production store: InfluxDB 2, three buckets: raw points, hours and days.

A write returns when the server has the points. Hours that points come into are marked in the raw bucket first, and
rolled up from there by this service, so that late points are counted and a crash forgets nothing. One process writes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from threading import RLock
from zoneinfo import ZoneInfo

from cloud.timeseries.buckets import (
    END_OF_TIME_US,
    HOUR_US,
    SECOND_US,
    Window,
    check_window,
    first_hour_us,
    from_us,
    hour_start_us,
    iso_utc,
    merge_buckets,
    merge_totals,
    to_us,
    totals_every,
)
from cloud.timeseries.influx_answers import newest_of, sums_of, text_of, time_of_us, whole_number_of
from cloud.timeseries.influx_flux import (
    Source,
    due_question,
    field_conditions,
    newest_question,
    streams_question,
    sums_question,
    where_conditions,
)
from cloud.timeseries.influx_http import InfluxServer
from cloud.timeseries.influx_lines import LineMaker, due_line
from cloud.timeseries.influx_rollups import DueHour, InfluxBuckets, InfluxRollups
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
READ_AGAIN_AFTER = timedelta(hours=1)
RETENTION_SLACK_S = 2 * 3600  # a retention this close to the wanted one is left as it is


def utc_now() -> datetime:
    """The time, for the horizon that moves with the retention."""
    return datetime.now(UTC)


class InfluxTimeseries:
    """`Timeseries` in InfluxDB 2. The server need not be up when it is made."""

    def __init__(
        self,
        server: InfluxServer,
        bucket: str,
        *,
        zone: ZoneInfo = UTC_ZONE,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._server = server
        self._buckets = InfluxBuckets(bucket)
        self._rollups = InfluxRollups(server, self._buckets, zone)
        self._zone = zone
        self._now = now
        self._lock = RLock()
        self._retention_s = 0  # of the raw bucket, as last seen
        self._buckets_seen_at: datetime | None = None
        self._due_read_at: datetime | None = None
        self._raw_from_us = 0  # where a rebuild began, while there is no retention
        self._due: set[DueHour] = set()  # as marked in the server; bounded by terminals times hours not rolled up

    def _keep_buckets(self) -> None:
        """See to the buckets, on first use and now and then: another process may have changed the retention."""
        if not self._is_old(self._buckets_seen_at):
            return
        self._retention_s = self._server.keep_bucket(self._buckets.raw)
        self._server.keep_bucket(self._buckets.hourly)
        self._server.keep_bucket(self._buckets.daily)
        self._buckets_seen_at = self._now()

    def _keep_due(self) -> None:
        """Learn what is marked as due, on the first write and now and then: by a former process, or by one that
        projected until now. Every mark of this process is among them."""
        if not self._is_old(self._due_read_at):
            return
        self._due = {
            (
                Measurement(text_of(record, "measurement")),
                text_of(record, "terminal"),
                time_of_us(record, "_time"),
            )
            for table in self._server.ask(due_question(self._buckets.raw))
            for record in table.records
        }
        self._due_read_at = self._now()

    def _is_old(self, read_at: datetime | None) -> bool:
        return read_at is None or self._now() - read_at >= READ_AGAIN_AFTER

    def _raw_since_us(self) -> int:
        """The first hour of which all raw points are there: the first whole one within the retention."""
        with self._lock:
            self._keep_buckets()
            if not self._retention_s:
                return self._raw_from_us
            return hour_start_us(to_us(self._now()) - self._retention_s * SECOND_US + HOUR_US - 1)

    def write(self, points: Sequence[Point]) -> WriteResult:
        """See `Timeseries.write`. Batches of more than 5,000 points are sent as several requests."""
        with self._lock:
            raw_since_us = self._raw_since_us()
            refused: list[Refused] = []
            kept: list[Point] = []
            for point in points:
                reason = refusal(point) or _refusal_by_age(point, raw_since_us)
                if reason:
                    refused.append(Refused(point, reason))
                else:
                    kept.append(point)
            self._mark_due(kept)
            maker = LineMaker()
            lines = [maker.point(point) for point in kept]
            refused += [
                Refused(kept[line.place], f"InfluxDB refuses it: {line.reason}")
                for line in self._server.write(self._buckets.raw, lines)
            ]
        return WriteResult(len(points) - len(refused), tuple(refused))

    def _mark_due(self, points: list[Point]) -> None:
        """Marks come before the points: a mark too many costs a query, one too few a chart's truth."""
        self._keep_due()
        hours = {(p.measurement, p.terminal, hour_start_us(p.effective_at_us)) for p in points} - self._due
        lines = [due_line(*hour, is_pending=True) for hour in sorted(hours)]
        refused = self._server.write(self._buckets.raw, lines)
        if refused:
            raise TimeseriesUnavailable(f"InfluxDB refuses to mark hours as due: {refused[0].reason}", 60.0)
        self._due |= hours

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
        source = self._source(measurement, field_name, window, where)
        if source is None:
            return []
        tables = self._server.ask(sums_question(source, [], window.step_us, window.resolution))
        return merge_buckets(
            window, ((part.start_us, part.sums) for part in sums_of(tables, [], window.bucket_start_us))
        )

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
        source = self._source(measurement, field_name, window, where)
        if source is None:
            return []
        in_time = by in (GroupBy.HOUR, GroupBy.DAY)
        group = [] if in_time else [by.value]
        every_us, bucket_start_us = (window.step_us, window.bucket_start_us) if in_time else (None, None)
        tables = self._server.ask(sums_question(source, group, every_us, window.resolution))
        return merge_totals(
            (iso_utc(part.start_us) if in_time else part.group[0], part.sums)
            for part in sums_of(tables, group, bucket_start_us)
        )

    def _window(self, start: datetime, end: datetime, every: timedelta, resolution: Resolution | None) -> Window:
        raw_since = from_us(self._raw_since_us())
        return check_window(start, end, every, resolution, zone=self._zone, raw_since=raw_since)

    def _source(self, measurement: Measurement, field_name: str, window: Window, where: Where) -> Source | None:
        """Where the answer is; None when there cannot be one (InfluxDB calls an empty range an error)."""
        is_raw = window.resolution is Resolution.RAW
        start_us = max(window.start_us, self._raw_since_us()) if is_raw else window.start_us
        if where.is_nowhere() or start_us >= window.end_us:
            return None
        conditions = field_conditions(measurement, field_name, window.resolution) + where_conditions(where)
        return Source(self._buckets.of(window.resolution), start_us, window.end_us, tuple(conditions))

    def latest(self, measurement: Measurement, terminals: Collection[str], since: datetime) -> dict[str, Latest]:
        """See `Timeseries.latest`. Times that are uncertain by a millisecond or more come back in milliseconds."""
        since_us = max(to_us(since), self._raw_since_us())
        if not terminals:
            return {}
        return newest_of(self._server.ask(newest_question(self._buckets.raw, measurement, terminals, since_us)))

    def count_by_stream(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, StreamCount]:
        """See `Timeseries.count_by_stream`."""
        start_us = max(to_us(start) if start else 0, self._raw_since_us())
        end_us = to_us(end) if end else END_OF_TIME_US
        if start_us >= end_us:
            return {}
        found: dict[str, dict[str, int]] = {"points": {}, "highest": {}}
        for table in self._server.ask(streams_question(self._buckets.raw, start_us, end_us)):
            for record in table.records:
                found[record["result"]][text_of(record, "stream")] = whole_number_of(record)
        highest = found["highest"]
        return {stream: StreamCount(count, highest[stream]) for stream, count in found["points"].items()}

    def roll_up(self) -> int:
        """See `Timeseries.roll_up`. Writes and questions get their turn between the slices."""
        with self._lock:
            raw_since_us = self._raw_since_us()
            self._keep_due()
            for hour in [hour for hour in self._due if hour[2] < raw_since_us]:
                self._due.discard(hour)  # its raw points are not all there any more, its rollup is
            due = sorted(self._due)
        for hours in self._rollups.slices(due):
            with self._lock:
                self._rollups.roll_up(hours)
                done = [due_line(*hour, is_pending=False) for hour in hours]
                self._server.write(self._buckets.raw, done)
                self._due.difference_update(hours)
        return len(due)

    def expire(self, before: datetime) -> None:
        """See `Timeseries.expire`. The bucket's retention does it, from now on by itself; an hour at least."""
        with self._lock:
            self.roll_up()
            age_us = to_us(self._now()) - hour_start_us(to_us(before))
            wanted_s = max(3600, age_us // SECOND_US)
            self._keep_buckets()
            if not self._retention_s or abs(self._retention_s - wanted_s) > RETENTION_SLACK_S:
                self._server.set_retention(self._buckets.raw, wanted_s)
                self._retention_s, self._raw_from_us = wanted_s, 0

    def clear(self, since: datetime | None = None) -> None:
        """See `Timeseries.clear`. The retention is lifted where that needs it, until `expire` sets it again."""
        since_us = first_hour_us(to_us(since), self._zone) if since else 0
        with self._lock:
            if self._raw_since_us() > since_us:
                self._server.set_retention(self._buckets.raw, 0)
                self._retention_s, self._raw_from_us = 0, since_us
            for resolution in Resolution:
                self._server.delete(self._buckets.of(resolution), from_us(since_us), from_us(END_OF_TIME_US))
            self._due = {hour for hour in self._due if hour[2] < since_us}

    def close(self) -> None:
        """See `Timeseries.close`."""
        self._server.close()


def _refusal_by_age(point: Point, raw_since_us: int) -> str | None:
    if point.effective_at_us >= raw_since_us:
        return None
    return f"older than the raw points that are kept, which begin at {iso_utc(raw_since_us)}"
