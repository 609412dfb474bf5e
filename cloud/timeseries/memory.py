"""A store in memory, for tests: the plainest reading of the port, by which the others are judged.

It keeps everything in dictionaries, without a bound, and loses it at the end of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import RLock
from zoneinfo import ZoneInfo

from cloud.timeseries.buckets import (
    END_OF_TIME_US,
    Sums,
    Window,
    check_window,
    day_start_us,
    first_hour_us,
    from_us,
    hour_start_us,
    iso_utc,
    merge_buckets,
    merge_totals,
    to_us,
    totals_every,
)
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
    Total,
    Where,
    WriteResult,
)
from cloud.timeseries.validity import refusal

Key = tuple[Measurement, str, int]
Tags = tuple[str, str, str, str]  # terminal, room, organisation, kind
RollupKey = tuple[Measurement, int, Tags, str]  # measurement, start of hour or day, tags, field
TAG_PLACE = {"terminal": 0, "room": 1, "organisation": 2, "kind": 3}


@dataclass(slots=True)
class MemoryTimeseries:
    """Points in a dictionary, rollups in two more."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    _points: dict[Key, Point] = field(default_factory=dict)
    _hourly: dict[RollupKey, Sums] = field(default_factory=dict)
    _daily: dict[RollupKey, Sums] = field(default_factory=dict)
    _due: set[tuple[Measurement, int]] = field(default_factory=set)
    _raw_since_us: int = 0
    _lock: RLock = field(default_factory=RLock)

    def write(self, points: Sequence[Point]) -> WriteResult:
        """See `Timeseries.write`."""
        refused: list[Refused] = []
        with self._lock:
            for point in points:
                reason = refusal(point) or self._refusal_by_age(point)
                if reason:
                    refused.append(Refused(point, reason))
                else:
                    self._put(point)
        return WriteResult(len(points) - len(refused), tuple(refused))

    def _refusal_by_age(self, point: Point) -> str | None:
        if point.effective_at_us >= self._raw_since_us:
            return None
        return f"older than the raw points that are kept, which begin at {iso_utc(self._raw_since_us)}"

    def _put(self, point: Point) -> None:
        key = (point.measurement, point.stream, point.number)
        before = self._points.get(key)
        for changed in (before, point):
            if changed:
                self._due.add((point.measurement, hour_start_us(changed.effective_at_us)))
        self._points[key] = point

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
        parts = self._parts(measurement, field_name, window, where)
        return merge_buckets(window, ((start_us, sums) for start_us, _, sums in parts))

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
        in_time = by in (GroupBy.HOUR, GroupBy.DAY)
        return merge_totals(
            (iso_utc(window.bucket_start_us(start_us)) if in_time else tags[TAG_PLACE[by]], sums)
            for start_us, tags, sums in self._parts(measurement, field_name, window, where)
        )

    def _window(self, start: datetime, end: datetime, every: timedelta, resolution: Resolution | None) -> Window:
        raw_since = from_us(self._raw_since_us)
        return check_window(start, end, every, resolution, zone=self.zone, raw_since=raw_since)

    def _parts(
        self, measurement: Measurement, field_name: str, window: Window, where: Where
    ) -> Iterator[tuple[int, Tags, Sums]]:
        """The field's values in the window, one by one or rolled up."""
        with self._lock:
            if window.resolution is Resolution.RAW:
                found = list(_values(self._in_order(), measurement))
            else:
                rollup = self._hourly if window.resolution is Resolution.HOURLY else self._daily
                found = [(key, _copy(sums)) for key, sums in sorted(rollup.items(), key=lambda item: item[0][1])]
        for (its_measurement, start_us, tags, name), sums in found:
            if its_measurement is not measurement or name != field_name:
                continue
            if window.start_us <= start_us < window.end_us and _is_within(tags, where):
                yield start_us, tags, sums

    def _in_order(self) -> list[Point]:
        return sorted(self._points.values(), key=lambda point: (point.effective_at_us, point.number))

    def latest(self, measurement: Measurement, terminals: Collection[str], since: datetime) -> dict[str, Latest]:
        """See `Timeseries.latest`."""
        since_us = to_us(since)
        newest: dict[str, Latest] = {}
        with self._lock:
            points = self._in_order()
        for point in points:
            wanted = point.measurement is measurement and point.terminal in terminals
            if wanted and point.effective_at_us >= since_us:
                fields = {n: v if isinstance(v, str) else float(v) for n, v in point.fields.items()}
                at = from_us(point.effective_at_us)
                newest[point.terminal] = Latest(point.terminal, at, point.number, fields)
        return newest

    def count_by_stream(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, StreamCount]:
        """See `Timeseries.count_by_stream`."""
        start_us = to_us(start) if start else 0
        end_us = to_us(end) if end else END_OF_TIME_US
        counts: dict[str, StreamCount] = {}
        with self._lock:
            for point in self._points.values():
                if start_us <= point.effective_at_us < end_us:
                    so_far = counts.get(point.stream, StreamCount(0, 0))
                    highest = max(so_far.highest, point.number)
                    counts[point.stream] = StreamCount(so_far.points + 1, highest)
        return counts

    def roll_up(self) -> int:
        """See `Timeseries.roll_up`."""
        with self._lock:
            due, self._due = self._due, set()
            if not due:
                return 0
            fresh: dict[RollupKey, Sums] = {}
            for measurement in {measurement for measurement, _ in due}:
                for (_, at_us, tags, name), sums in _values(self._in_order(), measurement):
                    hour = hour_start_us(at_us)
                    if (measurement, hour) in due:
                        _merge(fresh, (measurement, hour, tags, name), sums)
            _replace(self._hourly, due, fresh)
            self._roll_up_days({(m, day_start_us(hour, self.zone)) for m, hour in due})
            return len(due)

    def _roll_up_days(self, due: set[tuple[Measurement, int]]) -> None:
        fresh: dict[RollupKey, Sums] = {}
        for (measurement, hour, tags, name), sums in sorted(self._hourly.items(), key=lambda item: item[0][1]):
            day = day_start_us(hour, self.zone)
            if (measurement, day) in due:
                _merge(fresh, (measurement, day, tags, name), _copy(sums))
        _replace(self._daily, due, fresh)

    def expire(self, before: datetime) -> None:
        """See `Timeseries.expire`."""
        with self._lock:
            self.roll_up()
            self._raw_since_us = max(self._raw_since_us, hour_start_us(to_us(before)))
            self._keep_points(lambda at_us: at_us >= self._raw_since_us)

    def clear(self, since: datetime | None = None) -> None:
        """See `Timeseries.clear`."""
        since_us = first_hour_us(to_us(since), self.zone) if since else 0
        with self._lock:
            self._raw_since_us = min(self._raw_since_us, since_us)
            self._keep_points(lambda at_us: at_us < since_us)
            self._due = {(m, hour) for m, hour in self._due if hour < since_us}
            for rollup in (self._hourly, self._daily):
                for key in [key for key in rollup if key[1] >= since_us]:
                    del rollup[key]

    def _keep_points(self, is_kept: Callable[[int], bool]) -> None:
        self._points = {key: p for key, p in self._points.items() if is_kept(p.effective_at_us)}

    def close(self) -> None:
        """See `Timeseries.close`."""


def _values(points: Iterable[Point], measurement: Measurement) -> Iterator[tuple[RollupKey, Sums]]:
    """Every numeric field of every point, as a rollup of one."""
    for point in points:
        if point.measurement is not measurement:
            continue
        tags = (point.terminal, point.room, point.organisation, point.kind)
        for name, raw in point.fields.items():
            if not isinstance(raw, str):
                value, at_us = float(raw), point.effective_at_us
                yield (measurement, at_us, tags, name), Sums(1, value, value, value, value, at_us)


def _is_within(tags: Tags, where: Where) -> bool:
    return all(tags[TAG_PLACE[tag]] in values for tag, values in where.by_tag())


def _copy(sums: Sums) -> Sums:
    return Sums(sums.count, sums.total, sums.minimum, sums.maximum, sums.last, sums.last_at_us)


def _merge(rollup: dict[RollupKey, Sums], key: RollupKey, sums: Sums) -> None:
    if key in rollup:
        rollup[key].add(sums)
    else:
        rollup[key] = sums


def _replace(rollup: dict[RollupKey, Sums], due: set[tuple[Measurement, int]], fresh: dict[RollupKey, Sums]) -> None:
    for key in [key for key in rollup if (key[0], key[1]) in due]:
        del rollup[key]
    rollup.update(fresh)
