"""Quiet hours: a span of the day by the clock of one time zone, on some days of the week. Pure.

Promises that where the clock is put back or forward the end is the later of the two that it could be.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

DAY: Final = timedelta(days=1)


class Weekday(StrEnum):
    """A day on which quiet hours begin."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


@dataclass(frozen=True, slots=True)
class Quiet:
    """From `start` to `end` of `zone`, over midnight where `end` is not later; equal ones are a whole day."""

    zone: ZoneInfo
    start: time
    end: time
    days: frozenset[Weekday]

    @property
    def is_always(self) -> bool:
        """Whether they never end."""
        return self.start == self.end and len(self.days) == len(Weekday)


def quiet_until(quiet: Quiet, at: datetime) -> datetime | None:
    """When the quiet hours that are on at `at` are over, with those that follow without a break; None when none are on."""
    end = at.astimezone(UTC)
    for _ in Weekday:
        after = _end_of_span(quiet, end)
        if after is None:
            break
        end = after
    return None if end == at else end


def _end_of_span(quiet: Quiet, at: datetime) -> datetime | None:
    """Of the one that began today or yesterday and is on at `at`."""
    today = at.astimezone(quiet.zone).date()
    for day in (today - DAY, today):
        if tuple(Weekday)[day.weekday()] not in quiet.days:
            continue
        last = day if quiet.end > quiet.start else day + DAY
        end = max(_instant(last, quiet.end, quiet.zone, fold) for fold in (0, 1))
        if _instant(day, quiet.start, quiet.zone, 0) <= at < end:
            return end
    return None


def _instant(day: date, at: time, zone: ZoneInfo, fold: int) -> datetime:
    return datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC)
