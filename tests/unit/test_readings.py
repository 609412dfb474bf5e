"""Spans of measurements: never more points than a chart can show, from the copy of the points that fits, gaps left out."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.clock import to_us
from cloud.console.words import Language, Words
from cloud.errors import Invalid
from cloud.readings import service
from cloud.readings.service import LONGEST, MOST_POINTS, Span, plan
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import Measurement, Point, Resolution, Where
from firmware_specs import profiles

START = datetime(2026, 3, 1, 8, 17, 3, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("span", "most", "every", "resolution"),
    [
        (Span.HOUR, 1_000, timedelta(seconds=5), Resolution.RAW),
        (Span.DAY, 1_000, timedelta(minutes=2), Resolution.RAW),
        (Span.WEEK, 1_000, timedelta(hours=1), Resolution.HOURLY),
        (Span.MONTH, 1_000, timedelta(hours=1), Resolution.HOURLY),
        (Span.YEAR, 1_000, timedelta(days=1), Resolution.DAILY),
        (Span.HOUR, 250, timedelta(seconds=15), Resolution.RAW),
        (Span.MONTH, 250, timedelta(hours=3), Resolution.HOURLY),
    ],
)
def test_span_chooses_steps_and_the_copy_of_the_points(
    span: Span, most: int, every: timedelta, resolution: Resolution
) -> None:
    planned = plan(START, START + span.length, most)
    assert (planned.every, planned.resolution) == (every, resolution)


@given(
    st.timedeltas(min_value=timedelta(milliseconds=1), max_value=LONGEST),
    st.timedeltas(timedelta(0), timedelta(days=1)),
)
def test_no_span_has_more_points_than_are_asked_for(length: timedelta, later: timedelta) -> None:
    """As the stores make their steps: aligned to multiples of the step, widened to whole hours or days for rollups."""
    planned = plan(START + later, START + later + length)
    steps = length // planned.every + 2 if planned.resolution is not Resolution.RAW else -(-length // planned.every) + 1
    assert steps <= MOST_POINTS


@pytest.mark.parametrize(
    ("from_at", "until_at", "code"),
    [
        (START, START, "span_ends"),
        (START, START - timedelta(hours=1), "span_ends"),
        (START, START + LONGEST + timedelta(seconds=1), "span_long"),
        (datetime(9998, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), "span_ahead"),
    ],
)
def test_span_that_cannot_be_shown_is_refused_with_where_and_why(
    from_at: datetime, until_at: datetime, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        plan(from_at, until_at)
    assert [fault.code for fault in refused.value.faults] == [code]


@pytest.mark.parametrize("span", list(Span))
def test_a_store_gives_as_few_points_as_planned_and_leaves_a_gap_empty(span: Span) -> None:
    """A sample a minute (an hour apart for long spans), but for the third quarter of the span."""
    planned = plan(START, START + span.length)
    apart = max(timedelta(minutes=1), span.length / 5_000)
    times = [START + n * apart for n in range(span.length // apart)]
    kept = [at for at in times if not 0.5 <= (at - START) / span.length < 0.75]
    store = MemoryTimeseries(UTC_ZONE)
    store.write([
        Point(Measurement.HEALTH, "s" * 8, number, to_us(at), 0, "kiosk-1", "", "", "kiosk", {"cpu_percent": 40.0})
        for number, at in enumerate(kept, 1)
    ])  # fmt: skip
    store.roll_up()
    points = store.series(
        Measurement.HEALTH,
        "cpu_percent",
        planned.from_at,
        planned.until_at,
        planned.every,
        Where(terminals=["kiosk-1"]),
    )
    assert 0 < len(points) <= MOST_POINTS
    gap = (START + span.length / 2 + planned.every, START + span.length * 3 / 4 - planned.every)
    assert not [point for point in points if gap[0] < point.start_at < gap[1]]


def test_every_measurement_of_every_profile_has_a_name_in_the_console() -> None:
    for language in Language:
        words = Words(language, UTC_ZONE)
        assert [
            name
            for profile in profiles.NAMES
            for name in service.measured(profile)
            if not words.maybe(f"metric.{name}")
        ] == []


def test_profile_that_nobody_knows_measures_what_kiosks_do() -> None:
    assert service.measured("robot") == service.measured("kiosk")
    assert "camera_fps" not in service.measured("tv")
