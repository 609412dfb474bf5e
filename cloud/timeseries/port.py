"""The time-series port: what a point is, what a store promises, and how it says no.

A store keeps points, keyed by (stream, number), and rolls them up by hour and day; nothing in it names a member.
Called by the projector, which alone writes, and by the features' services, which ask; they name no concrete store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

FieldValue = float | int | str | bool


class Measurement(StrEnum):
    """What was measured; one table (DuckDB) or `_measurement` (InfluxDB) each."""

    ATTENDANCE = "attendance"
    INTERACTION = "interaction"
    PLAYBACK = "playback"
    HEALTH = "health"
    PRESENCE = "presence"


class Resolution(StrEnum):
    """Which copy of the points answers a question."""

    RAW = "raw"
    HOURLY = "hourly"
    DAILY = "daily"


class GroupBy(StrEnum):
    """What `totals` adds up by. Hours are UTC hours, days are days of the store's time zone."""

    TERMINAL = "terminal"
    ROOM = "room"
    ORGANISATION = "organisation"
    KIND = "kind"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Point:
    """One record, as a point: `number` of `stream`, at `effective_at_us` (microseconds since 1970, UTC).

    Tags are ids and words of few values, never a member; an unknown one is "". A number or a truth value in
    `fields` is kept as a double (truth as 1.0 and 0.0), a text as itself.
    """

    measurement: Measurement
    stream: str
    number: int
    effective_at_us: int
    uncertainty_us: int
    terminal: str
    room: str
    organisation: str
    kind: str
    fields: Mapping[str, FieldValue]


@dataclass(frozen=True, slots=True)
class Refused:
    """A point that no repetition will get into the store, and why, in words for the quarantine."""

    point: Point
    reason: str


@dataclass(frozen=True, slots=True)
class WriteResult:
    """How many points are now in the store (repeats included), and those that never will be."""

    accepted: int
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Where:
    """Which points a question is about. None: any; an empty collection: none at all."""

    terminals: Collection[str] | None = None
    rooms: Collection[str] | None = None
    organisations: Collection[str] | None = None
    kinds: Collection[str] | None = None

    def by_tag(self) -> list[tuple[str, Collection[str]]]:
        """The tags that are restricted, with the values they may have."""
        named = (
            ("terminal", self.terminals),
            ("room", self.rooms),
            ("organisation", self.organisations),
            ("kind", self.kinds),
        )
        return [(tag, values) for tag, values in named if values is not None]

    def is_nowhere(self) -> bool:
        """Whether no point can satisfy it."""
        return any(not values for _, values in self.by_tag())


EVERYWHERE = Where()


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a numeric field was between `start_at` and the next bucket; empty buckets are left out."""

    start_at: datetime
    count: int
    minimum: float
    mean: float
    maximum: float
    last: float


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a field over a group. `group` is a tag's value, or the hour's or day's start in ISO 8601, UTC."""

    group: str
    count: int
    total: float
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest point of a terminal."""

    terminal: str
    effective_at: datetime
    number: int
    fields: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StreamCount:
    """How many points of a stream there are, and the highest number among them: for the reconciler."""

    points: int
    highest: int


class Timeseries(Protocol):
    """A store of points. All times are aware; intervals hold their start and not their end.

    Methods may be called from several threads. Each raises `TimeseriesUnavailable` where a later try may help.
    """

    def write(self, points: Sequence[Point]) -> WriteResult:
        """Put the points in, all or none but the refused; a point already there is replaced by its repeat.

        When it returns, the accepted points are durable. Hand over thousands at a time.
        """

    def series(
        self,
        measurement: Measurement,
        field_name: str,
        start: datetime,
        end: datetime,
        every: timedelta,
        where: Where = EVERYWHERE,
        resolution: Resolution | None = None,
    ) -> list[Bucket]:
        """The numeric field over time, oldest first. `every` is at most a day; a day is one of the store's zone.

        Without a resolution `choose_resolution` picks one. Rollups count whole hours or days: those that start
        from `start`'s own on, and before `end`.
        """

    def totals(
        self,
        measurement: Measurement,
        field_name: str,
        by: GroupBy,
        start: datetime,
        end: datetime,
        where: Where = EVERYWHERE,
        resolution: Resolution | None = None,
    ) -> list[Total]:
        """The numeric field added up by group, groups in order of their names."""

    def latest(self, measurement: Measurement, terminals: Collection[str], since: datetime) -> dict[str, Latest]:
        """The newest point of each terminal that has one since then."""

    def count_by_stream(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, StreamCount]:
        """What is in the store as raw points, by stream, over all measurements."""

    def roll_up(self) -> int:
        """Make anew the hours and days that points came into since the last call; say how many hours those were."""

    def expire(self, before: datetime) -> None:
        """Roll up, then delete raw points older than the UTC hour of `before`; from then on such points are refused."""

    def clear(self, since: datetime | None = None) -> None:
        """Forget points and rollups from the beginning of `since`'s day on (all, without it), and expiry too.

        What follows is a rebuild: the journal is projected again from there, then rolled up, then expired.
        """

    def close(self) -> None:
        """Let go of the file or the connections. Calling it twice does no harm."""


class TimeseriesError(Exception):
    """Root of this package's errors.

    TimeseriesError
    ├── TimeseriesUnavailable   the store is down, busy, full or refuses its key: the same call may succeed later
    ├── StoreLocked             another process owns the file: no retry helps until it ends
    ├── StoreUnusable           the setting is wrong, or a newer program made the file: no retry helps
    └── QuestionInvalid         the caller asked for what no store answers: no retry helps
    """


class TimeseriesUnavailable(TimeseriesError):
    """The store cannot do it now; nothing of the call may be taken as done. Try again after `retry_after_s`."""

    def __init__(self, reason: str, retry_after_s: float = 5.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class StoreLocked(TimeseriesError):
    """Another process has the embedded store's file open."""


class StoreUnusable(TimeseriesError):
    """The store's address cannot be understood, or what is there is not a store this program can use."""


class QuestionInvalid(TimeseriesError):
    """The question makes no sense: naive times, an end before its start, buckets longer than a day."""
