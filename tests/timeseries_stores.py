"""The stores that the time series' contract is tried on, and points to write into them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.influx_http import InfluxServer
from cloud.timeseries.influx_store import InfluxTimeseries
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import FieldValue, Measurement, Point, Timeseries
from tests.influx_double import ORG, TOKEN, InfluxDouble
from tests.influx_real import real_influx

# Recent, as InfluxDB refuses what its retention has passed, and on the hour so that edges can be told.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
STREAM = "0190aaaa-0000-4000-8000-000000000001"
OTHER_STREAM = "0190aaaa-0000-4000-8000-000000000002"
HEALTH = Measurement.HEALTH
SORTS = ["memory", "duckdb", "influx-double"] + ["influx"] * (real_influx() is not None)

MakeStore = Callable[[str], Timeseries]  # from a time zone's name


def make_empty(sort: str, zone: ZoneInfo, folder: Path, stack: ExitStack) -> Timeseries:
    """A store that is empty."""
    if sort == "memory":
        return MemoryTimeseries(zone=zone)
    if sort == "duckdb":
        return DuckDBTimeseries(folder / "series.duckdb", zone=zone)
    real = real_influx()
    if sort == "influx" and real is not None:
        store = InfluxTimeseries(InfluxServer(real.url, real.token, real.org), real.bucket, zone=zone)
        store.clear()
        return store
    double = stack.enter_context(InfluxDouble())
    return InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series", zone=zone)


def point(
    number: int,
    at: datetime = NOON,
    fields: Mapping[str, FieldValue] | None = None,
    *,
    measurement: Measurement = HEALTH,
    stream: str = STREAM,
    terminal: str = "kiosk-1",
    room: str = "room-1",
    organisation: str = "north",
    kind: str = "kiosk",
    uncertainty_us: int = 0,
) -> Point:
    """A point with everything about it that a test does not care for."""
    at_us = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    chosen = {"cpu_percent": float(number)} if fields is None else fields
    return Point(measurement, stream, number, at_us, uncertainty_us, terminal, room, organisation, kind, chosen)


def cpu(store: Timeseries, start: datetime = NOON, end: datetime = NOON + DAY, **options: object) -> list[float]:
    """The sums of CPU load by hour: mean times count."""
    buckets = store.series(HEALTH, "cpu_percent", start, end, HOUR, **options)  # type: ignore[arg-type]
    return [round(bucket.mean * bucket.count, 6) for bucket in buckets]
