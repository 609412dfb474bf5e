"""Charts and widgets as markup: what they draw, and the table that says the same."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.console import charts, widgets
from cloud.console.charts import Reading
from cloud.console.words import Language, Words

WORDS = Words(Language.ENGLISH, ZoneInfo("UTC"))
START = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
END = START + timedelta(hours=1)


def readings(*minutes: int) -> list[Reading]:
    return [Reading(START + timedelta(minutes=minute), float(minute)) for minute in minutes]


def test_an_area_ends_at_its_newest_value_and_has_every_value_in_a_table() -> None:
    drawn = charts.area(WORDS, "Waiting records", readings(0, 1, 2, 3), START, END)
    assert 'aria-label="Waiting records: 3"' in drawn
    assert drawn.count("<polyline") == 1
    assert drawn.count('<tr role="row">') == 5
    assert ">08:30<" in drawn
    assert ">09:30<" in drawn


def test_a_hole_in_the_samples_is_a_hole_in_the_line() -> None:
    drawn = charts.area(WORDS, "Processor", readings(0, 1, 2, 30, 31, 32), START, END)
    assert drawn.count("<polyline") == 2


def test_one_sample_is_drawn_too_and_none_is_no_error() -> None:
    assert charts.area(WORDS, "Disk", readings(5), START, END).count("<polyline") == 1
    assert "–" in charts.area(WORDS, "Disk", [], START, END)


def test_step_that_is_missing_between_means_is_a_hole() -> None:
    """Of hours one that is missing is an hour without a sample, although three times the usual step have not passed."""
    drawn = charts.area(WORDS, "Processor", readings(0, 10, 20, 40, 50), START, END, step=timedelta(minutes=10))
    assert drawn.count("<polyline") == 2


def test_samples_that_are_farther_apart_than_a_step_are_one_line() -> None:
    drawn = charts.area(WORDS, "Processor", readings(0, 10, 20, 40, 50), START, END, step=timedelta(minutes=1))
    assert drawn.count("<polyline") == 1


def test_mean_lies_over_the_band_between_least_and_greatest_and_the_table_says_both() -> None:
    means = [Reading(START, 50.0, 0.0, 100.0), Reading(START + timedelta(minutes=10), 50.0, 25.0, 75.0)]
    drawn = charts.area(WORDS, "Processor", means, START, END, 100.0, timedelta(minutes=10))
    assert 'points="0.0,2.0 62.2,19.5 62.2,54.5 0.0,72.0"' in drawn
    assert "50 (25 – 75)" in drawn


def test_values_below_zero_are_drawn_below_zero() -> None:
    drawn = charts.area(WORDS, "Clock, ms", [Reading(START, -50.0), Reading(END, 50.0)], START, END)
    assert 'points="0.0,72.0 373.0,2.0"' in drawn


def test_long_span_is_said_by_its_days() -> None:
    drawn = charts.area(WORDS, "Disk", readings(0), START, START + timedelta(days=7))
    assert ">23 Nov 2026<" in drawn
    assert ">30 Nov 2026<" in drawn


def test_bars_are_as_high_as_their_counts_and_at_most_twelve() -> None:
    drawn = charts.bars(WORDS, "Arrivals", [(f"{n:02}:00", n) for n in range(1, 21)])
    assert drawn.count("<rect") == charts.MAX_BARS
    assert f'height="{charts.BARS}"' in drawn
    assert ">20<" in drawn


def test_progress_says_figure_and_total_and_never_divides_by_nothing() -> None:
    assert 'aria-valuenow="64"' in widgets.bar("Importing", 64_120, 100_000, "64,120 of 100,000 rows")
    assert 'aria-valuenow="0"' in widgets.bar("Importing", 0, 0, "")


def test_evidence_shows_reached_and_open_stops_and_the_word() -> None:
    drawn = widgets.evidence(3, 4, "In ledger")
    assert drawn.count('<i class="on">') == 3
    assert drawn.count("<i>") == 1
    assert "In ledger" in drawn
