"""What InfluxDB answers, read: tables of records into sums, newest points and counts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

from influxdb_client.client.flux_table import FluxRecord, FluxTable

from cloud.timeseries.buckets import Sums, from_us, to_us
from cloud.timeseries.influx_lines import fields_read, read_tag
from cloud.timeseries.port import Latest

BucketStart = Callable[[int], int]  # from an instant to the start of its bucket, both in microseconds


@dataclass(frozen=True, slots=True)
class Part:
    """The sums of a group in the bucket that starts at `start_us` (0 where time was not divided)."""

    start_us: int
    group: tuple[str, ...]
    sums: Sums


def sums_of(tables: Iterable[FluxTable], group: Sequence[str], bucket_start_us: BucketStart | None) -> list[Part]:
    """The answer to `influx_flux.sums_question`, put together by bucket, oldest first.

    Without `bucket_start_us`, time was not divided. The five sums are put together apart from each other: a rollup's
    `last` lies at its own time within the bucket.
    """
    found: defaultdict[tuple[int, tuple[str, ...]], dict[str, FluxRecord]] = defaultdict(dict)
    for table in tables:
        for record in table.records:
            start_us = bucket_start_us(time_of_us(record, "_start")) if bucket_start_us else 0
            key = (start_us, tuple(_group_value(record, column) for column in group))
            _take_in(found[key], record)
    # A point that arrived between two of the sums is in some of them: it is counted next time.
    whole = [(key, results) for key, results in found.items() if len(results) == len(_TAKE_IN)]
    return [Part(start_us, names, _sums(results)) for (start_us, names), results in sorted(whole, key=itemgetter(0))]


def _take_in(results: dict[str, FluxRecord], record: FluxRecord) -> None:
    name = str(record["result"])
    results[name] = _TAKE_IN[name](results[name], record) if name in results else record


def _added(one: FluxRecord, other: FluxRecord) -> FluxRecord:
    one.values["_value"] += other["_value"]
    return one


def _lesser(one: FluxRecord, other: FluxRecord) -> FluxRecord:
    return other if other["_value"] < one["_value"] else one


def _greater(one: FluxRecord, other: FluxRecord) -> FluxRecord:
    return other if other["_value"] > one["_value"] else one


def _later(one: FluxRecord, other: FluxRecord) -> FluxRecord:
    return other if other["_time"] >= one["_time"] else one


_TAKE_IN: dict[str, Callable[[FluxRecord, FluxRecord], FluxRecord]] = {
    "n": _added,
    "total": _added,
    "minimum": _lesser,
    "maximum": _greater,
    "last": _later,
}


def _group_value(record: FluxRecord, column: str) -> str:
    """A tag's value, or, from the column `_field`, a name that was written as it is."""
    return str(record[column]) if column == "_field" else text_of(record, column)


def _sums(results: dict[str, FluxRecord]) -> Sums:
    return Sums(
        int(results["n"]["_value"]),
        float(results["total"]["_value"]),
        float(results["minimum"]["_value"]),
        float(results["maximum"]["_value"]),
        float(results["last"]["_value"]),
        time_of_us(results["last"], "_time"),
    )


def newest_of(tables: Iterable[FluxTable]) -> dict[str, Latest]:
    """The newest point of each terminal, out of the last values of all their series and fields."""
    values: defaultdict[tuple[str, str, int], dict[str, float | int | str]] = defaultdict(dict)
    for table in tables:
        for record in table.records:
            point = (text_of(record, "terminal"), text_of(record, "stream"), time_of_us(record, "_time"))
            values[point][str(record["_field"])] = record["_value"]
    newest: dict[str, Latest] = {}
    for (terminal, _, at_us), fields in values.items():
        number = fields.get("number")
        so_far = newest.get(terminal)
        if not isinstance(number, int) or (so_far and (to_us(so_far.effective_at), so_far.number) > (at_us, number)):
            continue  # the last value of a field that later points did not have
        newest[terminal] = Latest(terminal, from_us(at_us), number, fields_read(fields))
    return newest


def text_of(record: FluxRecord, column: str) -> str:
    """A tag's value."""
    return read_tag(str(record[column]))


def whole_number_of(record: FluxRecord) -> int:
    """The record's value, where it is a count or a number."""
    return int(record["_value"])


def time_of_us(record: FluxRecord, column: str) -> int:
    """A time in microseconds; the nanoseconds below tell records apart and are not a time."""
    instant = record[column]
    if not isinstance(instant, datetime):
        raise TypeError(f"{column} of {record} is no time")
    return to_us(instant)
