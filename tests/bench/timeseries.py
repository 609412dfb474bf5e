"""How fast the embedded time series takes points, and answers over five million of them.

One year of health from 100 terminals in 50 rooms, a sample every ten minutes with twelve fields, in order of time,
5,000 points a write, through the port as the projector does it. `python -m tests.bench.timeseries [points]`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter

from cloud.timeseries.buckets import to_us
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.port import GroupBy, Measurement, Point, Timeseries, Where
from cloud.timeseries.validity import NUMERIC_FIELDS

TERMINALS, ROOMS, ORGANISATIONS = 100, 50, 5
EVERY = timedelta(minutes=10)
POINTS = 5_256_000  # a year of it
BATCH = 5_000
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
FIELDS = NUMERIC_FIELDS[Measurement.HEALTH][:12]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HEALTH = Measurement.HEALTH


def measure(points: int = POINTS) -> dict[str, float]:
    """Points per second written, rolled up and written again; milliseconds of each question and of the slowest."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(DuckDBTimeseries(Path(folder) / "series.duckdb")) as store,
    ):
        figures = {"series_write.points_per_s": write_rate(store, points)}
        began = perf_counter()
        store.roll_up()
        figures["series_rollup.points_per_s"] = points / (perf_counter() - began)
        figures |= question_times(store, BEGIN + EVERY * (points // TERMINALS))
        figures["series_repeat.points_per_s"] = write_rate(store, min(points, 10 * BATCH))
        return figures


def write_rate(store: Timeseries, points: int) -> float:
    """Points per second within `write`; making the points is the projector's work and not counted."""
    within_s = 0.0
    for batch in batches(points):
        began = perf_counter()
        result = store.write(batch)
        within_s += perf_counter() - began
        if result.accepted != len(batch):
            raise RuntimeError(f"{len(batch) - result.accepted} points were refused")
    return points / within_s


def batches(points: int) -> Iterator[list[Point]]:
    """The year, a batch at a time."""
    for first in range(0, points, BATCH):
        yield [sample(place) for place in range(first, min(first + BATCH, points))]


def sample(place: int) -> Point:
    """The point at a place in the year: all terminals in turn, then ten minutes later again."""
    terminal, number = place % TERMINALS, place // TERMINALS + 1
    return Point(
        HEALTH,
        f"stream-{terminal}",
        number,
        to_us(BEGIN + EVERY * (number - 1)) + terminal * 1_000,
        0,
        f"kiosk-{terminal}",
        f"room-{terminal % ROOMS}",
        f"organisation-{terminal % ORGANISATIONS}",
        "kiosk",
        {name: float((place * 7919 + offset) % 1000) for offset, name in enumerate(FIELDS)},
    )


def question_times(store: Timeseries, end: datetime) -> dict[str, float]:
    """Milliseconds: the median of nine runs of each, and the slowest run of all after each one's first."""
    room, newest = Where(rooms=["room-7"]), [f"kiosk-{number}" for number in range(TERMINALS)]
    middle = BEGIN + (end - BEGIN) / 2
    questions: dict[str, Callable[[], object]] = {
        "room_day": lambda: store.series(HEALTH, "cpu_percent", middle, middle + DAY, EVERY, room),
        "fleet_hour": lambda: store.totals(HEALTH, "cpu_percent", GroupBy.TERMINAL, middle, middle + HOUR),
        "year_by_day": lambda: store.series(HEALTH, "cpu_percent", BEGIN, end, DAY),
        "year_by_room": lambda: store.totals(HEALTH, "cpu_percent", GroupBy.ROOM, BEGIN, end),
        "latest": lambda: store.latest(HEALTH, newest, end - HOUR),
        "count_day": lambda: store.count_by_stream(middle, middle + DAY),
        "count_all": store.count_by_stream,
    }
    figures, slowest_ms = {}, 0.0
    for name, ask in questions.items():
        first_ms, *times_ms = [timed_ms(ask) for _ in range(10)]
        figures[f"query_ms.{name}"] = median(times_ms)
        figures[f"query_ms.{name}_first"] = first_ms
        slowest_ms = max(slowest_ms, *times_ms)
    return figures | {"query_ms.max": slowest_ms}


def timed_ms(ask: Callable[[], object]) -> float:
    """How long one answer takes. An empty one would measure nothing."""
    began = perf_counter()
    answer = ask()
    took_ms = (perf_counter() - began) * 1_000
    if not answer:
        raise RuntimeError("a question without an answer")
    return took_ms


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=1))
