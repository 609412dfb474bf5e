"""Times that people fill in: on the clock of a zone, which may be put forward or back in between."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud.console.dialogs import instant
from cloud.readings.service import plan

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("start", "end", "length"),
    [
        ("2026-10-25T00:30", "2026-10-25T04:30", timedelta(hours=5)),
        ("2026-03-29T00:30", "2026-03-29T04:30", timedelta(hours=3)),
        ("2026-06-01T00:30", "2026-06-01T04:30", timedelta(hours=4)),
    ],
)
def test_a_span_in_which_clocks_change_is_as_long_as_it_was(start: str, end: str, length: timedelta) -> None:
    planned = plan(instant(start, BERLIN), instant(end, BERLIN))
    assert planned.until_at - planned.from_at == length


def test_a_time_is_that_of_the_zone() -> None:
    assert instant("2026-06-01T08:00", ZoneInfo("Asia/Shanghai")) == datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "tomorrow", "0001-01-01T00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"isoformat|0001"):
        instant(text, ZoneInfo("Asia/Shanghai"))
