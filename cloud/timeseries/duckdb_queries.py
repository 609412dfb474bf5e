"""Questions to the embedded store: SQL put together from a checked window, ids in place of words.

Only column names from the schema are ever spelled into SQL; values are parameters. Called by the store.
"""

# ruff: noqa: S608 - names of our own tables and columns are spelled into SQL, and nothing else
from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

from cloud.timeseries.buckets import Sums, Window, from_us, iso_utc, merge_totals
from cloud.timeseries.duckdb_columns import Words
from cloud.timeseries.port import GroupBy, Latest, Measurement, Resolution, Total, Where
from cloud.timeseries.validity import NUMERIC_FIELDS

Parameter = str | int | list[int]
_RAW_SUMS = "count(value), sum(value), min(value), max(value), arg_max(value, at_us), max(at_us)"
_ROLLUP_SUMS = "sum(n)::BIGINT, sum(total), min(minimum), max(maximum), arg_max(last, last_at_us), max(last_at_us)"


class Ask(Protocol):
    """Runs one question and gives its rows."""

    def __call__(self, sql: str, parameters: list[Parameter]) -> list[tuple[object, ...]]: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition in SQL and its parameters."""

    sql: str
    parameters: list[Parameter]


def filter_of(window: Window, where: Where, words: Words) -> Filter:
    """The rows in the window that satisfy `where`."""
    sql, parameters = "at_us >= ? AND at_us < ?", list[Parameter]([window.start_us, window.end_us])
    for tag, values in where.by_tag():
        sql += f" AND {tag} IN (SELECT unnest(?::INTEGER[]))"
        parameters.append(words.known_ids(values))
    return Filter(sql, parameters)


def sums_by(
    ask: Ask, measurement: Measurement, field_name: str, window: Window, condition: Filter, group: str
) -> Iterator[tuple[int, Sums]]:
    """The field's sums by a group: an integer expression over a row."""
    if window.resolution is Resolution.RAW:
        value, parameters = _raw_value(measurement, field_name)
        sql = (
            f"SELECT grp, {_RAW_SUMS} FROM (SELECT {group} AS grp, at_us, {value} AS value FROM {measurement} "
            f"WHERE {condition.sql}) WHERE value IS NOT NULL GROUP BY grp ORDER BY grp"
        )
        rows = ask(sql, [*parameters, *condition.parameters])
    else:
        sql = (
            f"SELECT {group} AS grp, {_ROLLUP_SUMS} FROM {measurement}_{window.resolution} "
            f"WHERE {condition.sql} AND field = ? GROUP BY grp ORDER BY grp"
        )
        rows = ask(sql, [*condition.parameters, field_name])
    for grp, count, total, minimum, maximum, last, last_at_us in rows:
        sums = Sums(_int(count), _float(total), _float(minimum), _float(maximum), _float(last), _int(last_at_us))
        yield _int(grp), sums


def time_group(window: Window) -> str:
    """The bucket of a row in SQL."""
    if window.resolution is Resolution.DAILY:
        return "at_us"
    return f"at_us - at_us % {window.step_us}"


def _raw_value(measurement: Measurement, field_name: str) -> tuple[str, list[Parameter]]:
    if field_name in NUMERIC_FIELDS[measurement]:
        return f'"{field_name}"', []
    pointer = "/" + field_name.replace("~", "~0").replace("/", "~1")
    return "json_extract(numbers, ?)::DOUBLE", [pointer]


def totals_by(
    ask: Ask,
    measurement: Measurement,
    field_name: str,
    window: Window,
    condition: Filter,
    by: GroupBy,
    words: Words,
) -> list[Total]:
    """The field's totals by a tag, or by hour or day."""
    in_time = by in (GroupBy.HOUR, GroupBy.DAY)
    group = time_group(window) if in_time else by.value
    return merge_totals(
        (iso_utc(window.bucket_start_us(key)) if in_time else words.words[key], sums)
        for key, sums in sums_by(ask, measurement, field_name, window, condition, group)
    )


def newest(ask: Ask, measurement: Measurement, terminals: Collection[str], since_us: int, words: Words) -> list[Latest]:
    """The newest raw point of each terminal that has one."""
    numeric = NUMERIC_FIELDS[measurement]
    named = "".join(f', "{name}"' for name in numeric)
    rows = ask(
        f"SELECT terminal, at_us, number, numbers, texts{named} FROM {measurement} "
        "WHERE at_us >= ? AND terminal IN (SELECT unnest(?::INTEGER[])) "
        "QUALIFY row_number() OVER (PARTITION BY terminal ORDER BY at_us DESC, number DESC) = 1",
        [since_us, words.known_ids(terminals)],
    )
    found = []
    for terminal, at_us, number, numbers, texts, *values in rows:
        fields: dict[str, float | str] = {
            name: value for name, value in zip(numeric, values, strict=True) if isinstance(value, float)
        }
        for others in (numbers, texts):
            if isinstance(others, str):
                fields.update(json.loads(others))
        found.append(Latest(words.words[_int(terminal)], from_us(_int(at_us)), _int(number), fields))
    return found


def stream_rows(ask: Ask, start_us: int, end_us: int) -> list[tuple[int, int, int]]:
    """Stream, how many raw points, highest number; over all measurements."""
    every = " UNION ALL ".join(
        f"SELECT stream, count(*) AS n, max(number) AS highest FROM {measurement} "
        "WHERE at_us >= ? AND at_us < ? GROUP BY stream"
        for measurement in Measurement
    )
    rows = ask(
        f"SELECT stream, sum(n)::BIGINT, max(highest) FROM ({every}) GROUP BY stream",
        [start_us, end_us] * len(Measurement),
    )
    return [(_int(stream), _int(count), _int(highest)) for stream, count, highest in rows]


def _int(value: object) -> int:
    assert isinstance(value, int)  # noqa: S101 - the column's type, said to the type checker
    return value


def _float(value: object) -> float:
    assert isinstance(value, float)  # noqa: S101 - the column's type, said to the type checker
    return value
