"""Counts what the projector has handed to the time series, by stream and UTC day: what the reconciler expects to find there.

Promises that each point counts once, however often its batch is written, for it is counted where the cursor moves.
Written by the projector within its transaction; read by the reconciler.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from cloud.bulk import Bulk
from cloud.timeseries.port import Point

DAY_US: Final = 86_400_000_000
OLDER: Final = -1
"""The row in place of the days that have expired: how much was handed over in them, and nothing that is still there."""


def add(bulk: Bulk, handed: Iterable[Point], accepted: Iterable[Point]) -> None:
    """Points that were handed over the first time, and points that the store newly keeps."""
    all_of = _by_day(handed)
    kept = all_of if accepted is handed else _by_day(accepted)
    rows = [(*key, all_of[key], kept[key]) for key in sorted(all_of.keys() | kept.keys())]
    bulk.run_many(_ADD, rows)


def let_go(bulk: Bulk, before_at: int) -> None:
    """The store is about to forget what is older: days that begin before then are added up, and not expected any more."""
    bulk.run(_FOLD, (OLDER, OLDER, before_at))
    bulk.run("DELETE FROM series_days WHERE day_at <> ? AND day_at < ?", (OLDER, before_at))


def forget(bulk: Bulk) -> None:
    """The series begins anew."""
    bulk.run("DELETE FROM series_days")


def first_whole_day(at: int) -> int:
    """The start of the first UTC day that begins at or after `at` (microseconds)."""
    return -(-at // DAY_US) * DAY_US


def _by_day(points: Iterable[Point]) -> Counter[tuple[str, int]]:
    return Counter((point.stream, point.effective_at_us // DAY_US * DAY_US) for point in points)


_ADD: Final = """INSERT INTO series_days (stream, day_at, handed, accepted) VALUES (?, ?, ?, ?)
ON CONFLICT (stream, day_at) DO UPDATE SET handed = series_days.handed + excluded.handed,
accepted = series_days.accepted + excluded.accepted"""

_FOLD: Final = """INSERT INTO series_days (stream, day_at, handed, accepted)
SELECT stream, ?, SUM(handed), 0 FROM series_days WHERE day_at <> ? AND day_at < ? GROUP BY stream
ON CONFLICT (stream, day_at) DO UPDATE SET handed = series_days.handed + excluded.handed"""
