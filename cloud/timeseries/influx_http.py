"""Talks to one InfluxDB 2: lines in, answers out, buckets made; its refusals become ours.

Nothing is sent in the background: a call returns when the server has answered, or raises. Called by the store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.flux_csv_parser import FluxCsvParserException, FluxQueryException
from influxdb_client.client.flux_table import TableList
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.domain.bucket import Bucket
from influxdb_client.domain.bucket_retention_rules import BucketRetentionRules
from urllib3.exceptions import HTTPError

from cloud.timeseries.influx_lines import Line
from cloud.timeseries.port import TimeseriesUnavailable

LINES_PER_REQUEST = 5_000  # InfluxDB's own advice
RETRY_S = 5.0
RETRY_AFTER_SETTING_S = 60.0  # where somebody has to change something first
HOUR_S, DAY_S = 3600, 86_400
_DROPPED = re.compile(r"dropped=(\d+)")
_REFUSED_LINES = (400, 422)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that the server will never take, by its place in the batch, and what it said."""

    place: int
    reason: str


class InfluxServer:
    """One organisation on one server."""

    def __init__(self, url: str, token: str, organisation: str, *, timeout_s: float = 10.0) -> None:
        self._url = url
        self._organisation = organisation
        timeout_ms = int(timeout_s * 1_000)
        self._client = InfluxDBClient(url, token, org=organisation, timeout=timeout_ms, enable_gzip=True)
        self._writes = self._client.write_api(write_options=SYNCHRONOUS)
        self._queries = self._client.query_api()

    def write(self, bucket: str, lines: Sequence[Line]) -> list[RefusedLine]:
        """Store the lines; those that it refuses for ever come back. Raises TimeseriesUnavailable."""
        places = sorted(range(len(lines)), key=lambda place: lines[place].time_ns)
        refused: list[RefusedLine] = []
        for begin in range(0, len(places), LINES_PER_REQUEST):
            refused += self._write_some(bucket, lines, places[begin : begin + LINES_PER_REQUEST])
        return refused

    def _write_some(self, bucket: str, lines: Sequence[Line], places: list[int]) -> list[RefusedLine]:
        """Write, and where a part is refused, halve until the refused lines are alone.

        Lines are in order of time, so that those before the retention lie together and are found in few halvings.
        Writing a line again changes nothing.
        """
        refusal = self._post(bucket, "\n".join(lines[place].text for place in places))
        if refusal is None:
            return []
        dropped = _DROPPED.search(refusal)
        if len(places) == 1 or (dropped and int(dropped.group(1)) == len(places)):
            return [RefusedLine(place, refusal) for place in places]
        middle = len(places) // 2
        first = self._write_some(bucket, lines, places[:middle])
        return first + self._write_some(bucket, lines, places[middle:])

    def _post(self, bucket: str, body: str) -> str | None:
        """Send lines; the server's words when it refuses some or all of them for what they are."""
        with self._explaining():
            try:
                self._writes.write(bucket, record=body)  # in nanoseconds, unless said otherwise
            except InfluxDBError as error:
                message = _message(error)
                # 2.0 answered 500 where later versions answer 422.
                if _status(error) in _REFUSED_LINES or "partial write" in message:
                    return message
                if _status(error) == 413:
                    return f"too large: {message}"
                raise
        return None

    def ask(self, flux: str) -> TableList:
        """The tables that a Flux script gives."""
        with self._explaining():
            return self._queries.query(flux)

    def delete(self, bucket: str, start: datetime, stop: datetime) -> None:
        """Delete all points of the interval."""
        with self._explaining():
            self._client.delete_api().delete(start, stop, "", bucket)

    def keep_bucket(self, name: str) -> int:
        """Make the bucket if it is missing, without an end; its retention in seconds, 0 for ever."""
        with self._explaining():
            bucket = self._find(name)
            if bucket is None:
                bucket = self._client.buckets_api().create_bucket(
                    bucket_name=name, retention_rules=retention(0), org=self._organisation
                )
            return int(bucket.retention_rules[0].every_seconds) if bucket.retention_rules else 0

    def set_retention(self, name: str, retention_s: int) -> None:
        """Change how long the bucket keeps points; 0 is for ever."""
        with self._explaining():
            bucket = self._find(name)
            if bucket is None:
                raise self._unavailable(f"has no bucket {name!r}", RETRY_AFTER_SETTING_S)
            bucket.retention_rules = [retention(retention_s)]
            self._client.buckets_api().update_bucket(bucket)

    def _find(self, name: str) -> Bucket | None:
        try:
            buckets = self._client.buckets_api()
            found = buckets.find_buckets(name=name, org=self._organisation)  # type: ignore[no-untyped-call]
        except InfluxDBError as error:
            if _status(error) == 404 and "bucket" in _message(error):
                return None
            raise
        return found.buckets[0] if found.buckets else None

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """What goes wrong, as TimeseriesUnavailable in words that say what to do."""
        try:
            yield
        except InfluxDBError as error:
            raise self._explain(error) from error
        except (FluxQueryException, FluxCsvParserException) as error:
            raise self._unavailable(f"gave an answer that cannot be read: {error}", RETRY_S) from error
        except HTTPError as error:
            raise self._unavailable(f"does not answer: {error}", RETRY_S) from error

    def _explain(self, error: InfluxDBError) -> TimeseriesUnavailable:
        status, message = _status(error), _message(error)
        if status in (401, 403):
            return self._unavailable(
                f"refuses the token ({status}, {message}): it must be valid for organisation "
                f"{self._organisation!r} and may read, write and make its buckets",
                RETRY_AFTER_SETTING_S,
            )
        if status == 404 or not status:
            return self._unavailable(f"does not know what is asked for: {message}", RETRY_AFTER_SETTING_S)
        return self._unavailable(f"cannot do it now ({status}, {message})", _retry_after_s(error))

    def _unavailable(self, reason: str, retry_after_s: float) -> TimeseriesUnavailable:
        return TimeseriesUnavailable(f"InfluxDB at {self._url} {reason}", retry_after_s)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()  # type: ignore[no-untyped-call]


def retention(retention_s: int) -> BucketRetentionRules:
    """The rule that keeps points so long; 0 is for ever."""
    return BucketRetentionRules(  # type: ignore[no-untyped-call]
        type="expire",
        every_seconds=retention_s,
        shard_group_duration_seconds=shard_duration_s(retention_s),
    )


def shard_duration_s(retention_s: int) -> int:
    """How much time a shard covers: as InfluxDB chooses for new buckets, and less than the retention, as it demands."""
    if retention_s == 0 or retention_s > 180 * DAY_S:
        return 7 * DAY_S
    return DAY_S if retention_s >= 2 * DAY_S else HOUR_S


def _status(error: InfluxDBError) -> int:
    return int(getattr(error, "status", None) or 0)


def _message(error: InfluxDBError) -> str:
    message = error.message
    return message.decode("utf-8", "replace") if isinstance(message, bytes) else str(message)


def _retry_after_s(error: InfluxDBError) -> float:
    """The seconds of Retry-After; its other form, a date, is not sent by InfluxDB."""
    try:
        return max(0.0, float(error.retry_after or RETRY_S))
    except ValueError:
        return RETRY_S
