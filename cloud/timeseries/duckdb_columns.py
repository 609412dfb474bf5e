"""Points turned into columns: numpy arrays that DuckDB takes in at once, ids in place of words.

Every value is checked on the way, a column at a time; what fails is looked at point by point by its caller.
Pure but for the dictionary of words that it reads and extends.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cloud.timeseries.buckets import END_OF_TIME_US
from cloud.timeseries.port import FieldValue, Measurement, Point
from cloud.timeseries.validity import (
    MAX_FIELDS,
    NUMERIC_FIELDS,
    refusal_of_fields,
    refusal_of_name,
)

Columns = dict[str, NDArray[np.generic]]
_NUMBER_TYPES = {float, int, bool, type(None)}
_TAGS = ("terminal", "room", "organisation", "kind")


class NeedsCloserLook(Exception):
    """A column holds something that may have to be refused; no retry of the same columns helps."""


@dataclass(slots=True)
class Words:
    """Ids for streams and tags. `fresh` are those that are not in the file yet.

    Bounded by the streams, terminals, rooms and organisations there ever were.
    """

    ids: dict[str, int] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    fresh: list[tuple[int, str]] = field(default_factory=list)

    def ids_of(self, column: list[str]) -> NDArray[np.int32]:
        """The ids of a column of words; new ones are checked and get the next ids."""
        known = self.ids
        try:
            return np.array([known[word] for word in column], dtype=np.int32)
        except KeyError:
            for word in column:
                if word not in known:
                    self._learn(word)
            return np.array([known[word] for word in column], dtype=np.int32)

    def _learn(self, word: str) -> None:
        if refusal_of_name(word):
            raise NeedsCloserLook(word)
        self.fresh.append((len(self.words), word))
        self.ids[word] = len(self.words)
        self.words.append(word)

    def known_ids(self, words: Iterable[str]) -> list[int]:
        """The ids of those words that have one."""
        return [self.ids[word] for word in words if word in self.ids]


def to_columns(measurement: Measurement, points: Sequence[Point], words: Words) -> Columns:
    """The points of one measurement as columns. Raises NeedsCloserLook where a point may have to be refused."""
    streams = [point.stream for point in points]
    if "" in streams:
        raise NeedsCloserLook("a stream without a name")
    columns: Columns = {
        "stream": words.ids_of(streams),
        "number": _whole_numbers([point.number for point in points], lowest=1),
        "at_us": _whole_numbers([p.effective_at_us for p in points], lowest=0, highest=END_OF_TIME_US - 1),
        "uncertainty_us": _whole_numbers([point.uncertainty_us for point in points], lowest=0),
        "terminal": words.ids_of([point.terminal for point in points]),
        "room": words.ids_of([point.room for point in points]),
        "organisation": words.ids_of([point.organisation for point in points]),
        "kind": words.ids_of([point.kind for point in points]),
    }
    columns.update(_field_columns(measurement, points))
    return columns


def _whole_numbers(values: list[int], *, lowest: int, highest: int = 2**63 - 1) -> NDArray[np.int64]:
    try:
        column = np.array(values, dtype=np.int64)
    except (OverflowError, TypeError, ValueError) as error:
        raise NeedsCloserLook from error
    if column.min() < lowest or column.max() > highest:
        raise NeedsCloserLook
    return column


def _field_columns(measurement: Measurement, points: Sequence[Point]) -> Columns:
    """The numeric fields that have a column of their own, and the rest as JSON."""
    fields = [point.fields for point in points]
    present: set[str] = set().union(*fields)
    numeric = NUMERIC_FIELDS[measurement]
    columns: Columns = {name: _doubles([f.get(name) for f in fields]) for name in numeric if name in present}
    if not present.issubset(numeric):
        others = [_others(measurement, point) for point in points]
        columns["numbers"] = np.array([numbers for numbers, _ in others], dtype=object)
        columns["texts"] = np.array([texts for _, texts in others], dtype=object)
    return columns


def _doubles(values: list[FieldValue | None]) -> NDArray[np.float64]:
    """The values, with NaN (in DuckDB: NULL) for those that are not there."""
    if not set(map(type, values)) <= _NUMBER_TYPES:
        raise NeedsCloserLook
    try:
        column = np.array(values, dtype=np.float64)
    except OverflowError as error:
        raise NeedsCloserLook from error
    if np.isfinite(column).sum() != len(values) - values.count(None):
        raise NeedsCloserLook
    return column


def _others(measurement: Measurement, point: Point) -> tuple[str | None, str | None]:
    """A point's fields without a column: its numbers and its texts, as JSON objects."""
    numeric = NUMERIC_FIELDS[measurement]
    rest = {name: value for name, value in point.fields.items() if name not in numeric}
    if not rest:
        return None, None
    if len(point.fields) > MAX_FIELDS or refusal_of_fields(measurement, rest):
        raise NeedsCloserLook
    numbers = {name: float(value) for name, value in rest.items() if not isinstance(value, str)}
    texts = {name: value for name, value in rest.items() if isinstance(value, str)}
    return json.dumps(numbers) if numbers else None, json.dumps(texts) if texts else None


def last_of_each_key(columns: Columns) -> Columns:
    """The columns without rows whose (stream, number) comes again further down."""
    stream, number = columns["stream"], columns["number"]
    order = np.lexsort((number, stream))
    again = (stream[order][1:] == stream[order][:-1]) & (number[order][1:] == number[order][:-1])
    if not again.any():
        return columns
    kept = np.ones(len(order), dtype=bool)
    kept[order[:-1][again]] = False
    return {name: column[kept] for name, column in columns.items()}
