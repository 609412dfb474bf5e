"""A terminal's measurements over any span: as few points as a chart can show, from raw points or from hours or days.

Promises that an answer has at most MOST_POINTS points whatever the span, and that a store that is away is said to be away.
Called by the routes and the page of this feature: first in a transaction for what the terminal measures, then outside of it for
that, so that a store that does not answer holds no connection to the ledger.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.orm import Session

from cloud.errors import Fault, Invalid, Unavailable
from cloud.scope import Scope
from cloud.terminals import service as terminals
from cloud.timeseries.buckets import HOURLY_SPAN, RAW_SPAN, choose_resolution
from cloud.timeseries.port import Bucket, Latest, Measurement, Resolution, Timeseries, TimeseriesError, Where
from firmware_specs import profiles
from firmware_specs.profiles import Metric

MOST_POINTS: Final = 1_000
LONGEST: Final = timedelta(days=990)
"""By days, as nothing is coarser."""
LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
RETRY_AFTER_S: Final = 5
NEWEST_WITHIN: Final = timedelta(days=2)
"""Two samples at the rarest: they are a day apart at most."""

MINUTES: Final = tuple(timedelta(minutes=each) for each in (1, 2, 5, 10, 15, 30, 60))
RAW_STEPS: Final = (*(timedelta(seconds=each) for each in (5, 10, 15, 30)), *MINUTES)
HOURLY_STEPS: Final = tuple(timedelta(hours=each) for each in (1, 2, 3, 6, 12, 24))
DAY: Final = timedelta(days=1)


class Span(StrEnum):
    """What is offered for a choice; any other is said by its two ends."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    @property
    def length(self) -> timedelta:
        """A month has 31 days and a year 366, so that none is cut."""
        return {"hour": timedelta(hours=1), "day": DAY, "week": 7 * DAY, "month": 31 * DAY, "year": 366 * DAY}[
            self.value
        ]


@dataclass(frozen=True)
class Plan:
    """From when until when, in steps of what, from which copy of the points.

    Where raw points of the span have expired, the store takes hours instead.
    """

    from_at: datetime
    until_at: datetime
    every: timedelta
    resolution: Resolution


@dataclass(frozen=True)
class Readings:
    """One metric over a plan; steps without a sample are left out."""

    metric: str
    told: Metric
    points: Sequence[Bucket]


def plan(from_at: datetime, until_at: datetime, most: int = MOST_POINTS) -> Plan:
    """The finest steps that give at most `most` points, or days where those are more. Invalid for a span that has none."""
    length = until_at - from_at
    if length <= timedelta(0):
        raise _unfit("query.until_at", "must be after the start", "span_ends")
    if length > LONGEST:
        raise _unfit("query.from_at", f"at most {LONGEST.days} days can be shown at once", "span_long", n=LONGEST.days)
    if until_at > LATEST:
        raise _unfit("query.until_at", "is too far ahead", "span_ahead")
    steps = RAW_STEPS if length <= RAW_SPAN else HOURLY_STEPS if length <= HOURLY_SPAN else (DAY,)
    least = length / max(most - 2, 1)  # the first and the last step may be cut
    every = next((step for step in steps if step >= least), steps[-1])
    return Plan(from_at, until_at, every, choose_resolution(from_at, until_at, every))


def measured(profile: str) -> Mapping[str, Metric]:
    """What terminals of this profile measure; of a profile that this program does not know, what kiosks do."""
    return profiles.load(profile if profile in profiles.NAMES else "kiosk").telemetry


def measured_by(session: Session, scope: Scope, terminal_id: str) -> Mapping[str, Metric]:
    """What this terminal measures. NotFound outside the scope."""
    return measured(terminals.get(session, scope, terminal_id).profile)


def readings(
    series: Callable[[], Timeseries],
    terminal_id: str,
    planned: Plan,
    known: Mapping[str, Metric],
    among: Sequence[str] | None = None,
) -> list[Readings]:
    """Of what it measures (`among` these, in their order) all that there are points of. Unavailable while the store is away."""
    names = list(known) if among is None else [name for name in among if name in known]
    return [each for each in _read(series, terminal_id, planned, known, names) if each.points]


def reading(
    series: Callable[[], Timeseries], terminal_id: str, planned: Plan, known: Mapping[str, Metric], metric: str
) -> Readings:
    """One metric, also where there are no points of it. Invalid for one that it does not measure."""
    if metric not in known:
        raise _unfit("query.metric", f"is not measured by this terminal; it measures {', '.join(known)}", "no_metric")
    return _read(series, terminal_id, planned, known, [metric])[0]


def newest(series: Callable[[], Timeseries], terminal_id: str, now: datetime) -> Latest | None:
    """Its newest sample of the last NEWEST_WITHIN. Unavailable while the store is away."""
    with _asking():
        return series().latest(Measurement.HEALTH, [terminal_id], now - NEWEST_WITHIN).get(terminal_id)


def _read(
    series: Callable[[], Timeseries], terminal_id: str, planned: Plan, known: Mapping[str, Metric], names: Sequence[str]
) -> list[Readings]:
    where = Where(terminals=[terminal_id])
    from_at, until_at, every = planned.from_at, planned.until_at, planned.every
    with _asking():
        store = series()
        return [
            Readings(name, known[name], store.series(Measurement.HEALTH, name, from_at, until_at, every, where))
            for name in names
        ]


@contextmanager
def _asking() -> Iterator[None]:
    try:
        yield
    except TimeseriesError as error:
        raise Unavailable(
            "The time series are not available now.", retry_after_s=RETRY_AFTER_S, code="series_away"
        ) from error


def _unfit(where: str, says: str, code: str, **values: object) -> Invalid:
    return Invalid("The span or the metric cannot be shown.", [Fault(where, says, code, values)], code="no_chart")
