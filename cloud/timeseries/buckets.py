"""The arithmetic of hours, days and buckets, which every store shares so that all give the same answers.

Pure. Times inside are integer microseconds since 1970, UTC. A day is made of whole UTC hours: an hour belongs to
the day of the store's time zone in which it ends, so rollups by day can be added up from rollups by hour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.timeseries.port import Bucket, GroupBy, QuestionInvalid, Resolution, Total

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
DAY_US = 24 * HOUR_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_TIME_US = 9_223_372_036_854_775  # the last microsecond that int64 nanoseconds reach, in the year 2262

RAW_SPAN = timedelta(days=3)
HOURLY_SPAN = timedelta(days=62)


def to_us(instant: datetime) -> int:
    """Microseconds since 1970. Raises QuestionInvalid for a naive time."""
    if instant.tzinfo is None:
        raise QuestionInvalid(f"{instant} has no time zone; times are aware, for example 2027-01-31T08:00:00Z")
    return (instant - EPOCH) // timedelta(microseconds=1)


def from_us(instant_us: int) -> datetime:
    """The aware UTC time."""
    return EPOCH + timedelta(microseconds=instant_us)


def hour_start_us(instant_us: int) -> int:
    """The beginning of its UTC hour."""
    return instant_us - instant_us % HOUR_US


def day_start_us(instant_us: int, zone: ZoneInfo) -> int:
    """The beginning of the day, in `zone`, in which its UTC hour ends."""
    local = from_us(hour_start_us(instant_us) + HOUR_US - 1).astimezone(zone)
    return to_us(local.replace(hour=0, minute=0, second=0, microsecond=0))


def next_day_start_us(instant_us: int, zone: ZoneInfo) -> int:
    """The beginning of the day after; days have 23 to 25 hours."""
    return day_start_us(day_start_us(instant_us, zone) + 26 * HOUR_US, zone)


def first_hour_us(instant_us: int, zone: ZoneInfo) -> int:
    """The beginning of the first UTC hour of its day."""
    return hour_start_us(day_start_us(instant_us, zone))


def choose_resolution(
    start: datetime,
    end: datetime,
    every: timedelta | None = None,
    raw_since: datetime | None = None,
) -> Resolution:
    """Raw points up to three days, hours up to two months, days beyond; never coarser than `every`.

    Where raw points from `start` on have expired, hours take their place, even if `every` is finer.
    """
    expired = raw_since is not None and start < raw_since
    span = end - start
    if not expired and (span <= RAW_SPAN or (every is not None and every < timedelta(hours=1))):
        return Resolution.RAW
    if span <= HOURLY_SPAN or (every is not None and every < timedelta(days=1)):
        return Resolution.HOURLY
    return Resolution.DAILY


@dataclass(frozen=True, slots=True)
class Window:
    """A checked question about time: from `start_us` to before `end_us`, in steps of `every_us`."""

    start_us: int
    end_us: int
    every_us: int
    resolution: Resolution
    zone: ZoneInfo

    @property
    def step_us(self) -> int:
        """The windows a store asks for: days are put together from hours afterwards, as they begin by the zone."""
        return HOUR_US if self.every_us == DAY_US else self.every_us

    def bucket_start_us(self, instant_us: int) -> int:
        """The beginning of the bucket that an instant falls into: a local day, or a multiple of `every_us`."""
        if self.every_us == DAY_US:
            return day_start_us(instant_us, self.zone)
        return instant_us - instant_us % self.every_us


def check_window(
    start: datetime,
    end: datetime,
    every: timedelta,
    resolution: Resolution | None,
    *,
    zone: ZoneInfo,
    raw_since: datetime | None = None,
) -> Window:
    """The question in microseconds, widened to whole hours or days where rollups answer it.

    Raises QuestionInvalid when it makes no sense.
    """
    start_us, end_us = to_us(start), to_us(end)
    if end_us < start_us:
        raise QuestionInvalid(f"the end, {end}, is before the start, {start}")
    every_us = every // timedelta(microseconds=1)
    if not SECOND_US <= every_us <= DAY_US:
        raise QuestionInvalid(f"buckets of {every} cannot be made; from one second to one day can")
    chosen = resolution or choose_resolution(start, end, every, raw_since)
    if chosen is Resolution.HOURLY:
        start_us, every_us = hour_start_us(start_us), max(every_us, HOUR_US)
        end_us = hour_start_us(end_us + HOUR_US - 1)
    if chosen is Resolution.DAILY:
        start_us, every_us = day_start_us(start_us, zone), DAY_US
        end_us = end_us if end_us == day_start_us(end_us, zone) else next_day_start_us(end_us, zone)
    return Window(start_us, end_us, every_us, chosen, zone)


def totals_every(by: GroupBy) -> timedelta:
    """The bucket that a grouping needs: an hour for hours, a day for all else."""
    return timedelta(hours=1) if by is GroupBy.HOUR else timedelta(days=1)


@dataclass(slots=True)
class Sums:
    """What a rollup keeps of a field in a bucket: enough to be merged with another and still be exact."""

    count: int
    total: float
    minimum: float
    maximum: float
    last: float
    last_at_us: int

    def add(self, other: Sums) -> None:
        """Take another's values in."""
        self.count += other.count
        self.total += other.total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        if other.last_at_us >= self.last_at_us:
            self.last, self.last_at_us = other.last, other.last_at_us


def merge_buckets(window: Window, parts: Iterable[tuple[int, Sums]]) -> list[Bucket]:
    """Put finer (start, sums) parts together into the window's buckets, oldest first."""
    merged: dict[int, Sums] = {}
    for start_us, sums in parts:
        begins = window.bucket_start_us(start_us)
        if begins in merged:
            merged[begins].add(sums)
        else:
            merged[begins] = sums
    return [to_bucket(start_us, merged[start_us]) for start_us in sorted(merged)]


def merge_totals(parts: Iterable[tuple[str, Sums]]) -> list[Total]:
    """Put (group, sums) parts together by group, in order of the groups' names."""
    merged: dict[str, Sums] = {}
    for group, sums in parts:
        if group in merged:
            merged[group].add(sums)
        else:
            merged[group] = sums
    return [Total(group, s.count, s.total, s.minimum, s.maximum) for group, s in sorted(merged.items())]


def to_bucket(start_us: int, sums: Sums) -> Bucket:
    """The sums, as an answer."""
    mean = sums.total / sums.count
    return Bucket(from_us(start_us), sums.count, sums.minimum, mean, sums.maximum, sums.last)


def iso_utc(instant_us: int) -> str:
    """The time as a total's group names it: 2027-01-31T08:00:00Z."""
    return from_us(instant_us).strftime("%Y-%m-%dT%H:%M:%SZ")
