"""The cloud's only sense of time: aware UTC datetimes inside, integer microseconds since 1970 outside.

Promises that an instant survives the way there and back exactly. Used everywhere; a test passes its own
`Clock`.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]
"""Gives the present instant, aware and in UTC."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The system's clock."""
    return datetime.now(UTC)


def to_us(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC, exact. ValueError for a naive datetime."""
    if at.tzinfo is None:
        raise ValueError("an instant must say its time zone")
    return (at - EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The instant `us` microseconds after 1970-01-01 UTC. OverflowError outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=us)
