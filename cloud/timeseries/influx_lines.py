"""Points and rollups as InfluxDB line protocol. Pure.

Source: InfluxDB 2 reference, "Line protocol". A series is measurement and tags; a point is a series and a time in
nanoseconds, and writing it again overwrites its fields. The stream is a tag, so two streams never meet in a point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cloud.timeseries.buckets import Sums
from cloud.timeseries.port import FieldValue, Measurement, Point
from cloud.timeseries.validity import TEXT_PREFIX

Tags = tuple[str, str, str, str]  # terminal, room, organisation, kind
TAG_NAMES = ("terminal", "room", "organisation", "kind")
DUE = "due"  # the measurement that marks hours to be rolled up: _value 1.0, or 0.0 once they are
_NS_PER_MS, _US_PER_MS = 1_000_000, 1_000

_KEY_ESCAPES = str.maketrans({",": "\\,", "=": "\\=", " ": "\\ "})
_TEXT_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\"})


def point_ns(point: Point) -> int:
    """The point's time in nanoseconds: its effective time, told apart from its stream's others by its number.

    A time known to the microsecond keeps it, and gets number mod 1,000 below it: a second record of the same stream,
    microsecond and remainder would have to be written 1,000 records, so at least 1,000 transactions, later in that
    same microsecond. A time that is uncertain by a millisecond or more may be an estimate that thousands of records
    share; of it the millisecond is kept, and number mod 1,000,000 is put below that. No bucket's edge is crossed.
    """
    if point.uncertainty_us < _US_PER_MS:
        return point.effective_at_us * 1_000 + point.number % 1_000
    return point.effective_at_us // _US_PER_MS * _NS_PER_MS + point.number % _NS_PER_MS


def written_tag(value: str) -> str:
    """A tag's value as it is written. Line protocol has no empty one: "" is "-", and what begins with "-" gets another."""
    return f"-{value}" if not value or value.startswith("-") else value


def read_tag(written: str) -> str:
    """The value that `written_tag` made this of."""
    return written.removeprefix("-")


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be written, and its time, by which a batch is put in order."""

    text: str
    time_ns: int


class LineMaker:
    """Makes lines, remembering the series it has spelled. Bounded by what one batch holds: make one per batch."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], str] = {}

    def point(self, point: Point) -> Line:
        """The line of a valid point."""
        tags = (point.kind, point.organisation, point.room, point.stream, point.terminal)
        key = (point.measurement.value, *tags)
        series = self._series.get(key)
        if series is None:
            names = ("kind", "organisation", "room", "stream", "terminal")
            series = _series(point.measurement.value, zip(names, tags, strict=True))
            self._series[key] = series
        fields = "".join(f",{_field(name, value)}" for name, value in point.fields.items())
        time_ns = point_ns(point)
        text = f"{series} number={point.number}i,uncertainty_us={point.uncertainty_us}i{fields} {time_ns}"
        return Line(text, time_ns)


def due_line(measurement: Measurement, terminal: str, hour_us: int, *, is_pending: bool) -> Line:
    """The mark that an hour of a terminal has to be rolled up, or has been."""
    series = _series(DUE, (("measurement", measurement.value), ("terminal", terminal)))
    return Line(f"{series} pending={float(is_pending)} {hour_us * 1_000}", hour_us * 1_000)


def rollup_lines(measurement: Measurement, tags: Tags, field_name: str, start_us: int, sums: Sums) -> tuple[Line, Line]:
    """An hour or day of a field. `last` is written at its own time, so that later ones win over all series.

    A `last` that a remade rollup leaves behind is earlier in the hour than the new one, which hides it.
    """
    terminal, room, organisation, kind = tags
    series = _series(
        measurement.value,
        (
            ("field", field_name),
            ("kind", kind),
            ("organisation", organisation),
            ("room", room),
            ("terminal", terminal),
        ),
    )
    start_ns, last_ns = start_us * 1_000, sums.last_at_us * 1_000
    counted = f"n={sums.count}i,total={sums.total!r},minimum={sums.minimum!r},maximum={sums.maximum!r}"
    return (
        Line(f"{series} {counted} {start_ns}", start_ns),
        Line(f"{series} last={sums.last!r} {last_ns}", last_ns),
    )


def _series(measurement: str, tags: Iterable[tuple[str, str]]) -> str:
    spelled = "".join(f",{name}={written_tag(value).translate(_KEY_ESCAPES)}" for name, value in tags)
    return measurement + spelled


def _field(name: str, value: FieldValue) -> str:
    """All numbers are floats: a field that is an integer here and a float there is a conflict in InfluxDB."""
    if isinstance(value, str):
        return f'{TEXT_PREFIX}{name.translate(_KEY_ESCAPES)}="{value.translate(_TEXT_ESCAPES)}"'
    return f"{name.translate(_KEY_ESCAPES)}={float(value)!r}"


def fields_read(written: Mapping[str, float | int | str]) -> dict[str, float | str]:
    """The fields of a point, by the names they had."""
    own = ("number", "uncertainty_us")
    return {
        name.removeprefix(TEXT_PREFIX) if isinstance(value, str) else name: value
        for name, value in written.items()
        if name not in own
    }
