"""Questions to InfluxDB as Flux. Pure.

Every question has one shape, of few and old functions: from, range, filter, window, an aggregate, group, an aggregate
again. The first aggregate comes right after the filters, where InfluxDB computes it in its storage. Values are always
escaped literals; source: Flux language specification, "String literals" and "Date and time literals".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cloud.timeseries.buckets import END_OF_TIME_US, from_us
from cloud.timeseries.influx_lines import DUE, written_tag
from cloud.timeseries.port import Measurement, Resolution, Where
from cloud.timeseries.validity import TEXT_PREFIX

# What is asked of raw points: aggregate within a series, then over series. `number` is in every point.
RAW_SUMS = {
    "n": ("count", "sum"),
    "total": ("sum", "sum"),
    "minimum": ("min", "min"),
    "maximum": ("max", "max"),
    "last": ("last", "last"),
}
# What is asked of rollups, each of the field of its name.
ROLLUP_SUMS = RAW_SUMS | {"n": ("sum", "sum")}
_OWN_FIELDS = ("number", "uncertainty_us")
_ESCAPES = str.maketrans(
    {"\\": "\\\\", '"': '\\"', "$": "\\$", "\n": "\\n", "\r": "\\r", "\t": "\\t"},
)


def text(value: str) -> str:
    """A Flux string literal. A `$` is escaped since "${...}" would be computed."""
    return f'"{value.translate(_ESCAPES)}"'


def instant(at_us: int) -> str:
    """A Flux time literal, in RFC 3339."""
    return from_us(min(at_us, END_OF_TIME_US - 1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True, slots=True)
class Source:
    """Which points a pipeline begins with."""

    bucket: str
    start_us: int
    end_us: int
    conditions: tuple[str, ...]

    def flux(self) -> str:
        """The beginning of the pipeline."""
        filters = "".join(f"\n  |> filter(fn: (r) => {condition})" for condition in self.conditions)
        limits = f"range(start: {instant(self.start_us)}, stop: {instant(self.end_us)})"
        return f"from(bucket: {text(self.bucket)})\n  |> {limits}{filters}"


def is_one_of(column: str, values: Iterable[str]) -> str:
    """A condition: the column has one of the values."""
    return " or ".join(f"r.{column} == {text(value)}" for value in sorted(values))


def where_conditions(where: Where) -> list[str]:
    """Conditions on tags. None of the restrictions may be empty."""
    return [is_one_of(tag, map(written_tag, values)) for tag, values in where.by_tag()]


def field_conditions(measurement: Measurement, field_name: str, resolution: Resolution) -> list[str]:
    """Conditions for the values of one field."""
    is_raw = resolution is Resolution.RAW
    of_field = is_one_of("_field", [field_name]) if is_raw else is_one_of("field", [written_tag(field_name)])
    return [is_one_of("_measurement", [measurement.value]), of_field]


def rollup_conditions(measurement: Measurement, terminals: Iterable[str]) -> list[str]:
    """Conditions for the rollups of some terminals."""
    return [
        is_one_of("_measurement", [measurement.value]),
        is_one_of("terminal", map(written_tag, terminals)),
    ]


def numeric_conditions(measurement: Measurement, terminals: Iterable[str]) -> list[str]:
    """Conditions for all numbers that rollups are made of, of some terminals."""
    others = " and ".join(f"r._field != {text(name)}" for name in _OWN_FIELDS)
    prefix = TEXT_PREFIX.replace("/", r"\/")
    return [
        *rollup_conditions(measurement, terminals),
        f"{others} and r._field !~ /^{prefix}/",
    ]


def sums_question(source: Source, group: Sequence[str], every_us: int | None, resolution: Resolution) -> str:
    """One script with one result per sum: n, total, minimum, maximum, last.

    Each repeats the whole pipeline: a pipeline with two successors would not be computed in the storage.
    """
    asked = RAW_SUMS if resolution is Resolution.RAW else ROLLUP_SUMS
    columns = [*group, "_start"] if every_us else list(group)
    scripts = []
    for name, (within, over) in asked.items():
        conditions = source.conditions
        if resolution is not Resolution.RAW:
            conditions = (*conditions, is_one_of("_field", [name]))
        whole = Source(source.bucket, source.start_us, source.end_us, conditions)
        scripts.append(_aggregated(whole, columns, every_us, within, over) + f"\n  |> yield(name: {text(name)})")
    return "\n\n".join(scripts)


def _aggregated(source: Source, columns: list[str], every_us: int | None, within: str, over: str) -> str:
    window = f"\n  |> window(every: {every_us}us)" if every_us else ""
    names = ", ".join(text(column) for column in columns)
    in_order = '\n  |> sort(columns: ["_time"])' if over == "last" else ""
    return f"{source.flux()}{window}\n  |> {within}()\n  |> group(columns: [{names}]){in_order}\n  |> {over}()"


def streams_question(bucket: str, start_us: int, end_us: int) -> str:
    """How many points each stream has, and the highest number."""
    source = Source(bucket, start_us, end_us, (is_one_of("_field", ["number"]),))
    points = _aggregated(source, ["stream"], None, "count", "sum")
    highest = _aggregated(source, ["stream"], None, "max", "max")
    return f'{points}\n  |> yield(name: "points")\n\n{highest}\n  |> yield(name: "highest")'


def newest_question(bucket: str, measurement: Measurement, terminals: Iterable[str], since_us: int) -> str:
    """The last value of every series and field of the terminals."""
    conditions = rollup_conditions(measurement, terminals)
    return f"{Source(bucket, since_us, END_OF_TIME_US, tuple(conditions)).flux()}\n  |> last()"


def due_question(bucket: str) -> str:
    """The hours that are marked to be rolled up."""
    conditions = (is_one_of("_measurement", [DUE]), "r._value == 1.0")
    return Source(bucket, 0, END_OF_TIME_US, conditions).flux()
