"""Rollups in InfluxDB: computed by its storage, put together and written by this service.

Not by InfluxDB tasks: those run by the clock over a fixed time back and pass over what comes later than that.
An hour is made anew from its raw points, a day from its hours; both overwrite what was there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from zoneinfo import ZoneInfo

from cloud.timeseries.buckets import HOUR_US, day_start_us, hour_start_us, next_day_start_us
from cloud.timeseries.influx_answers import BucketStart, Part, sums_of
from cloud.timeseries.influx_flux import Source, numeric_conditions, rollup_conditions, sums_question
from cloud.timeseries.influx_http import InfluxServer
from cloud.timeseries.influx_lines import TAG_NAMES, Line, rollup_lines
from cloud.timeseries.port import Measurement, Resolution, TimeseriesUnavailable

DueHour = tuple[Measurement, str, int]  # measurement, terminal, start of the hour in microseconds
TERMINALS_PER_SLICE = 100


@dataclass(frozen=True, slots=True)
class InfluxBuckets:
    """The names of the three buckets."""

    raw: str

    @property
    def hourly(self) -> str:
        """Rollups by hour."""
        return f"{self.raw}_hourly"

    @property
    def daily(self) -> str:
        """Rollups by day."""
        return f"{self.raw}_daily"

    def of(self, resolution: Resolution) -> str:
        """The bucket that holds a resolution."""
        return {
            Resolution.RAW: self.raw,
            Resolution.HOURLY: self.hourly,
            Resolution.DAILY: self.daily,
        }[resolution]


class InfluxRollups:
    """Makes hours and days anew."""

    def __init__(self, server: InfluxServer, buckets: InfluxBuckets, zone: ZoneInfo) -> None:
        self._server = server
        self._buckets = buckets
        self._zone = zone

    def slices(self, due: Iterable[DueHour]) -> Iterator[list[DueHour]]:
        """The due hours in pieces of one question each: a measurement, a day, and a bounded number of terminals."""
        of_days: defaultdict[tuple[Measurement, int], defaultdict[str, list[DueHour]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for measurement, terminal, hour_us in sorted(due):
            day = (measurement, day_start_us(hour_us, self._zone))
            of_days[day][terminal].append((measurement, terminal, hour_us))
        for _, of_terminals in sorted(of_days.items()):
            hours = iter(of_terminals.values())
            while piece := list(islice(hours, TERMINALS_PER_SLICE)):
                yield [hour for of_terminal in piece for hour in of_terminal]

    def roll_up(self, hours: list[DueHour]) -> None:
        """Make the hours of a slice anew, then their day. Hours in between are made anew too, to the same effect."""
        measurement = hours[0][0]
        terminals = {terminal for _, terminal, _ in hours}
        first_us, last_us = min(hour for *_, hour in hours), max(hour for *_, hour in hours)
        raw = Source(self._buckets.raw, first_us, last_us + HOUR_US, tuple(numeric_conditions(measurement, terminals)))
        of_hours = self._parts(raw, "_field", Resolution.RAW, hour_start_us)
        self._write(measurement, self._buckets.hourly, of_hours)
        day_us = day_start_us(first_us, self._zone)
        hourly = Source(
            self._buckets.hourly,
            hour_start_us(day_us),
            hour_start_us(next_day_start_us(day_us, self._zone)),
            tuple(rollup_conditions(measurement, terminals)),
        )
        of_day = self._parts(hourly, "field", Resolution.HOURLY, lambda _: day_us)
        self._write(measurement, self._buckets.daily, of_day)

    def _parts(
        self, source: Source, field_column: str, resolution: Resolution, bucket_start_us: BucketStart
    ) -> list[Part]:
        """The sums of every bucket, series and field."""
        group = [*TAG_NAMES, field_column]
        tables = self._server.ask(sums_question(source, group, HOUR_US, resolution))
        return sums_of(tables, group, bucket_start_us)

    def _write(self, measurement: Measurement, bucket: str, parts: Iterable[Part]) -> None:
        lines: list[Line] = []
        for part in parts:
            terminal, room, organisation, kind, field_name = part.group
            tags = (terminal, room, organisation, kind)
            lines += rollup_lines(measurement, tags, field_name, part.start_us, part.sums)
        refused = self._server.write(bucket, lines)
        if refused:
            raise TimeseriesUnavailable(f"InfluxDB refuses a rollup: {refused[0].reason}", 60.0)
