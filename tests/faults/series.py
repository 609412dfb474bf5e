"""The time-series store behind the cloud of the fault tests: a DuckDB file, or a small double of InfluxDB. Both can fail.

Counts the points by itself, not by the product's code. Called by stack, faults and account.
"""

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import duckdb

from tests.influx_double import ORG, TOKEN, Failure, InfluxDouble

Heal = Callable[[], None]

BUCKET = "faults"
REFUSALS = (
    Failure(500),
    Failure(503),
    Failure(503, headers={"Retry-After": "1"}),
    Failure(429, headers={"Retry-After": "1"}),
    Failure(0),
)
"""What a server answers that will be well again; the last one breaks the connection."""
MANY = 1_000_000
"""More requests than a round has."""


class SeriesStore(Protocol):
    """What the harness needs of a store."""

    needs_restart: bool
    """Whether it can only fail while the cloud starts."""

    def settings(self) -> dict[str, object]:
        """The cloud's settings that name it."""
        ...

    def fail(self, kind: int) -> Heal:
        """From now on nothing can be written; ``kind`` chooses how."""
        ...

    def attendance(self) -> dict[str, int]:
        """Points of attendance by stream. The cloud must have stopped."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class FileSeries:
    """DuckDB: one process at a time may open the file."""

    needs_restart = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def settings(self) -> dict[str, object]:
        return {"timeseries_url": f"duckdb:///{self._path}"}

    def fail(self, kind: int) -> Heal:
        """Another process has the file: this one."""
        return duckdb.connect(str(self._path)).close

    def attendance(self) -> dict[str, int]:
        with contextlib.closing(duckdb.connect(str(self._path), read_only=True)) as series:
            query = "SELECT word, count(*) FROM attendance JOIN words ON words.id = attendance.stream GROUP BY word"
            return {str(stream): int(count) for stream, count in series.execute(query).fetchall()}

    def close(self) -> None:
        """It is only a file."""


class ServerSeries:
    """InfluxDB's double, in a thread of the harness."""

    needs_restart = False

    def __init__(self) -> None:
        self._double = InfluxDouble()
        self._double.__enter__()

    def settings(self) -> dict[str, object]:
        address = urlsplit(self._double.url).netloc
        return {"timeseries_url": f"influx+http://{address}/{quote(ORG)}/{BUCKET}", "timeseries_token": TOKEN}

    def fail(self, kind: int) -> Heal:
        with self._double.lock:
            self._double.failures.extend([REFUSALS[kind % len(REFUSALS)]] * MANY)
        return self._be_well

    def attendance(self) -> dict[str, int]:
        points = {
            (tags, at_ns)
            for (measurement, tags, _), values in self._double.buckets[BUCKET].series.items()
            if measurement == "attendance"
            for at_ns in values
        }
        return dict(Counter(dict(tags)["stream"] for tags, _ in points))

    def close(self) -> None:
        self._double.stop()

    def _be_well(self) -> None:
        with self._double.lock:
            self._double.failures.clear()
