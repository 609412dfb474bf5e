"""What the reconciler has counted, and when: written at the end of each round, read by the console.

Promises the numbers that were really counted, never ones computed from what ought to be there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.bulk import Bulk
from cloud.journal.models import Comparison, StreamComparison

Points = tuple[int, int]
"""Those that ought to be in the time series, and those that are."""

NAMED: Final = 1_000
"""Streams that are wrong are all counted, and so many of them named."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Over all streams; see `Comparison`."""

    began_at: int
    finished_at: int
    streams: int
    stored: int
    facts: int
    ledger: int
    points: int
    series: int | None
    since_at: int
    behind: int
    wrong: int


_NAMES: Final = tuple(each.name for each in fields(Sums))


def write(bulk: Bulk, sums: Sums, points: Mapping[str, Points], wrong: Sequence[str]) -> None:
    """The newest comparison takes the place of the one before; `points` of those streams that have changed. Of the streams
    that are `wrong`, the first `NAMED` are kept by name."""
    bulk.run(_SUMS, (1, *astuple(sums)))
    bulk.run_many(_STREAM, [(stream, *each) for stream, each in sorted(points.items())])
    bulk.run("DELETE FROM wrong_streams")
    bulk.insert_new("wrong_streams", ("stream",), [(stream,) for stream in sorted(wrong)[:NAMED]])


def latest(session: Session) -> Comparison | None:
    """None before the first."""
    return session.scalars(select(Comparison)).one_or_none()


def points_of(session: Session, streams: Sequence[str]) -> dict[str, Points]:
    """Of each stream that was compared."""
    rows = session.scalars(select(StreamComparison).where(StreamComparison.stream.in_(streams)))
    return {row.stream: (row.points, row.series) for row in rows}


_SUMS: Final = (
    f"INSERT INTO comparison (id, {', '.join(_NAMES)}) VALUES ({', '.join('?' * (len(_NAMES) + 1))}) "  # noqa: S608
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _NAMES)}"
)
_STREAM: Final = """INSERT INTO stream_comparisons (stream, points, series) VALUES (?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET points = excluded.points, series = excluded.series"""
