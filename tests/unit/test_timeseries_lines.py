"""Line protocol and Flux, as the InfluxDB adapter spells them; read back by the double's own readers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.timeseries.buckets import Sums
from cloud.timeseries.influx_flux import Source, due_question, field_conditions, instant, is_one_of, text
from cloud.timeseries.influx_lines import LineMaker, due_line, point_ns, read_tag, rollup_lines, written_tag
from cloud.timeseries.port import FieldValue, Measurement, Point, Resolution
from cloud.timeseries.validity import refusal
from tests.influx_double_flux import FluxError, Series, evaluate
from tests.influx_double_lines import LineError, parse_lines

POINT = Point(Measurement.HEALTH, "stream-1", 1, 1_795_435_200_000_000, 0, "kiosk-1", "room-1", "north", "kiosk", {})
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f\\" + "".join(map(chr, range(32)))))
FIELD_NAMES = NAMES.filter(
    lambda n: n and not n.startswith(("_", "text/")) and n not in ("number", "uncertainty_us", "time")
)
FIELDS = st.dictionaries(
    FIELD_NAMES.map(lambda name: name[:60]),
    st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"])),
    max_size=5,
)


@given(NAMES, NAMES, NAMES, FIELDS)
def test_whatever_is_accepted_reads_back_as_it_was(
    room: str, organisation: str, kind: str, fields: dict[str, FieldValue]
) -> None:
    point = replace(POINT, room=room, organisation=organisation, kind=kind, fields=fields)
    if refusal(point):
        return
    (read,) = parse_lines(LineMaker().point(point).text)
    tags = {name: read_tag(value) for name, value in read.tags}
    assert tags == {
        "stream": "stream-1",
        "terminal": "kiosk-1",
        "room": room,
        "organisation": organisation,
        "kind": kind,
    }
    numbers = {name: float(value) for name, value in fields.items() if not isinstance(value, str)}
    texts = {f"text/{name}": value for name, value in fields.items() if isinstance(value, str)}
    assert read.fields == {"number": 1, "uncertainty_us": 0, **numbers, **texts}


def test_lines_are_put_together_by_newlines_even_when_texts_hold_some() -> None:
    maker = LineMaker()
    points = [replace(POINT, number=n, fields={"note": 'a\nb "c" \\ d,e=f'}) for n in (1, 2)]
    read = parse_lines("\n".join(maker.point(point).text for point in points))
    assert [line.fields["number"] for line in read] == [1, 2]
    assert {line.fields["text/note"] for line in read} == {'a\nb "c" \\ d,e=f'}


@given(NAMES)
def test_every_tag_is_written_as_something_and_read_as_itself(value: str) -> None:
    assert written_tag(value)
    assert read_tag(written_tag(value)) == value


@given(st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 10), st.integers(0, 10))
def test_two_records_of_a_stream_share_a_time_only_a_thousand_apart(
    number: int, other: int, at_us: int, other_at_us: int
) -> None:
    one = point_ns(replace(POINT, number=number, effective_at_us=at_us))
    two = point_ns(replace(POINT, number=other, effective_at_us=other_at_us))
    assert (one == two) == (at_us == other_at_us and (number - other) % 1_000 == 0)


@given(st.integers(1, 10**12), st.integers(0, 999_999))
def test_a_million_records_with_one_uncertain_time_have_times_of_their_own_within_its_millisecond(
    number: int, further: int
) -> None:
    one = point_ns(replace(POINT, number=number, uncertainty_us=1_000))
    two = point_ns(replace(POINT, number=number + further, uncertainty_us=1_000))
    assert (one == two) == (further == 0)
    assert one // 1_000_000 == two // 1_000_000 == POINT.effective_at_us // 1_000


def test_marks_and_rollups_are_lines_too() -> None:
    mark = due_line(Measurement.HEALTH, "kiosk 1", 3_600_000_000, is_pending=True)
    sums = Sums(2, 3.5, 1.0, 2.5, 2.5, 3_700_000_000)
    counted, last = rollup_lines(Measurement.HEALTH, ("kiosk 1", "", "north", "tv"), "a,b=c d", 3_600_000_000, sums)
    read = parse_lines("\n".join(line.text for line in (mark, counted, last)))
    assert [line.time_ns for line in read] == [3_600_000_000_000, 3_600_000_000_000, 3_700_000_000_000]
    assert read[0].fields == {"pending": 1.0}
    assert read[1].fields == {"n": 2, "total": 3.5, "minimum": 1.0, "maximum": 2.5}
    assert read[2].fields == {"last": 2.5}
    assert dict(read[1].tags)["field"] == "a,b=c d"


@pytest.mark.parametrize(
    "line",
    [
        "health",
        "health number=1i",
        "health,room= number=1i 1",
        "health number=1i noon",
        "health number=nan 1",
        ",a=b c=1 1",
    ],
)
def test_the_double_knows_a_bad_line(line: str) -> None:
    with pytest.raises(LineError):
        parse_lines(line)


@given(NAMES, st.text(st.characters(exclude_categories=["Cs"])))
def test_no_value_can_break_out_of_a_flux_literal(value: str, other: str) -> None:
    series: Series = {
        ("health", (("room", value),), "cpu_percent"): {1_000: 1.0},
        ("health", (("room", value + "x"),), "cpu_percent"): {1_000: 2.0},
    }
    conditions = (
        *field_conditions(Measurement.HEALTH, "cpu_percent", Resolution.RAW),
        is_one_of("room", [value, other] if other != value + "x" else [value]),
    )
    (tables,) = evaluate(Source("b", 0, 10, conditions).flux(), {"b": series}).values()
    assert [row["_value"] for table in tables for row in table.rows] == [1.0]


def test_interpolation_is_escaped() -> None:
    assert text("${1 + 1}") == '"\\${1 + 1}"'
    with pytest.raises(FluxError, match="interpolation"):
        evaluate('from(bucket: "${1}")', {})


def test_times_are_written_to_the_microsecond_and_not_beyond_the_last() -> None:
    assert instant(1_795_435_200_000_001) == "2026-11-23T12:00:00.000001Z"
    assert instant(10**18) == "2262-04-11T23:47:16.854774Z"


def test_the_double_notices_what_a_server_would_not_run() -> None:
    for script in (
        due_question("missing"),
        'from(bucket: "b") |> range(start: 1970-01-01T00:00:01Z, stop: 1970-01-01T00:00:01Z)',
        'from(bucket: "b") |> median()',
        'from(bucket: "b") |> filter(fn: (r) => r.room == )',
        'from(bucket: "b") |> sum()',
        'from(bucket: "b") |> group(columns: ["room"])',
    ):
        series: Series = {
            ("health", (("room", "a"),), "reason"): {1: "text"},
            ("health", (("room", "a"),), "touches"): {1: 1.0},
        }
        with pytest.raises(FluxError):
            evaluate(script, {"b": series})
