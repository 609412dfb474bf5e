"""Compares, stream by stream, what the terminal has said, the journal, the ledger and the time series.

Promises that a difference which waiting cannot explain is told: a log line, a metric, and `wrong` in the API. Counts what is
really there; what ought to be there was counted by ingest when it stored the batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

import structlog
from prometheus_client import Gauge
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.bulk import Bulk
from cloud.clock import Clock, to_us
from cloud.database import transaction
from cloud.errors import CloudError
from cloud.journal import projector
from cloud.journal.models import Stream
from cloud.timeseries.port import Timeseries, TimeseriesError

STREAMS_AT_ONCE: Final = 200
EVERY_S: Final = 30.0

WRONG = Gauge("roomlink_reconcile_wrong_streams", "Streams whose journal, ledger and series differ, without a reason.")
WAITING = Gauge("roomlink_reconcile_waiting_records", "Records that terminals have spoken of and that are not stored.")

log = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """`waiting`: the terminal has more; `behind`: the series has not everything yet; `wrong`: something is missing."""

    EQUAL = "equal"
    WAITING = "waiting"
    BEHIND = "behind"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A stream's numbers, in records. None where it cannot be counted: journal shortened, points expired, store away.

    `points` are those that the store ought to have: what it refused for ever is in quarantine and not among them.
    """

    stream: str
    terminal: str
    opened_at: int
    said: int
    stored: int
    journal: int | None
    facts: int
    ledger: int
    points: int
    is_projected: bool
    series: int | None = None

    @property
    def verdict(self) -> Verdict:
        """What the numbers mean together. The series is counted last, so it may be ahead, and that is well."""
        if self.journal not in {None, self.stored} or self.ledger != self.facts:
            return Verdict.WRONG
        if self.series is not None and self.series < self.points:
            return Verdict.WRONG if self.is_projected else Verdict.BEHIND
        return Verdict.WAITING if self.said > self.stored else Verdict.EQUAL


def reconcile(session: Session, ids: Sequence[str]) -> list[Reconciled]:
    """These streams, in order of their ids, without the series."""
    bulk = Bulk.of(session)
    streams = sorted(
        bulk.rows_in(
            "SELECT stream, terminal_id, opened_at, said_through, through, facts, points FROM streams WHERE stream IN",
            ids,
        )
    )
    first, journal = _journal(bulk, ids)
    ledger, refused, unread = _ledger(bulk, ids), _refused(bulk, ids), _unread(bulk, ids)
    return [
        Reconciled(
            stream=stream,
            terminal=terminal,
            opened_at=opened_at,
            said=max(said, through),
            stored=through,
            journal=journal.get(stream, 0) if first.get(stream, 1) == 1 else None,
            facts=facts,
            ledger=ledger.get(stream, 0),
            points=points - refused.get(stream, 0),
            is_projected=stream not in unread,
        )
        for stream, terminal, opened_at, said, through, facts, points in streams
    ]


def with_series(
    found: Sequence[Reconciled], store: Callable[[], Timeseries], points_since_at: int | None
) -> list[Reconciled]:
    """The same with what the series holds, asked now. A stream opened before `points_since_at` has lost old points."""
    try:
        counted = store().count_by_stream()
    except (CloudError, TimeseriesError):
        return list(found)
    return [
        each
        if points_since_at is not None and each.opened_at < points_since_at
        else replace(each, series=counted[each.stream].points if each.stream in counted else 0)
        for each in found
    ]


class Reconciler:
    """Goes round all streams; its `turn` is for a Loop."""

    def __init__(
        self, engine: Engine, clock: Clock, store: Callable[[], Timeseries], points_kept: timedelta | None
    ) -> None:
        self._engine, self._clock, self._store, self._points_kept = engine, clock, store, points_kept
        self._suspected: frozenset[str] = frozenset()

    def turn(self) -> float:
        """Once round. What is wrong twice in a row is told: once may be a batch stored between two of our questions."""
        found = with_series(self._all(), self._store, self.points_since_at())
        wrong = {each.stream: each for each in found if each.verdict is Verdict.WRONG}
        sure = [each for stream, each in wrong.items() if stream in self._suspected]
        WRONG.set(len(sure))
        WAITING.set(sum(each.said - each.stored for each in found))
        for each in sure:
            _tell(each)
        self._suspected = frozenset(wrong)
        return EVERY_S

    def points_since_at(self) -> int | None:
        """Single points that are older may be gone; None where they are kept for ever."""
        return None if self._points_kept is None else to_us(self._clock() - self._points_kept)

    def _all(self) -> list[Reconciled]:
        found: list[Reconciled] = []
        more = True
        while more:
            with transaction(self._engine, read_only=True) as session:
                query = select(Stream.stream).where(Stream.stream > (found[-1].stream if found else ""))
                ids = session.scalars(query.order_by(Stream.stream).limit(STREAMS_AT_ONCE)).all()
                page = reconcile(session, ids)
            found += page
            more = len(page) == STREAMS_AT_ONCE
        return found


def _tell(each: Reconciled) -> None:
    log.error(
        "records_differ", terminal=each.terminal, stream=each.stream, stored=each.stored, journal=each.journal,
        facts=each.facts, ledger=each.ledger, points=each.points, series=each.series,
    )  # fmt: skip


def _journal(bulk: Bulk, ids: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The first number and how many records, of each stream that is in the journal."""
    rows = bulk.rows_in(
        "SELECT stream, MIN(first), SUM(count) FROM journal WHERE stream IN", ids, tail=" GROUP BY stream"
    )
    return {row[0]: row[1] for row in rows}, {row[0]: int(row[2]) for row in rows}


def _ledger(bulk: Bulk, ids: Sequence[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for table in ("check_ins", "check_outs", "interactions"):
        statement = f"SELECT stream, COUNT(*) FROM {table} WHERE stream IN"  # noqa: S608
        for stream, count in bulk.rows_in(statement, ids, tail=" GROUP BY stream"):
            counted[stream] = counted.get(stream, 0) + count
    return counted


def _refused(bulk: Bulk, ids: Sequence[str]) -> dict[str, int]:
    """Points that the store will never take."""
    statement = "SELECT stream, COUNT(*) FROM quarantine WHERE kind = 'point' AND state <> 'replayed' AND stream IN"
    return dict(bulk.rows_in(statement, ids, tail=" GROUP BY stream"))


def _unread(bulk: Bulk, ids: Sequence[str]) -> set[str]:
    """Streams with batches that the projector has not read yet."""
    rows = bulk.rows_in(
        "SELECT DISTINCT stream FROM journal WHERE id > ? AND stream IN", ids, (projector.cursor(bulk),)
    )
    return {row[0] for row in rows}
