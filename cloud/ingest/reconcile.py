"""Compares, stream by stream, what the terminal has said, the journal, the ledger and the time series.

Promises that a difference which waiting cannot explain is told: a log line, a metric, and `wrong` in the API; and that what was
counted is written down with its time, for the console. What ought to be there was counted by ingest and the projector.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Final

import structlog
from prometheus_client import Gauge
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.bulk import Bulk
from cloud.clock import Clock, from_us, to_us
from cloud.database import transaction
from cloud.errors import CloudError
from cloud.journal import comparison, handed, projector, retention
from cloud.journal.models import Stream
from cloud.journal.reading import one_snapshot
from cloud.timeseries.port import StreamCount, Timeseries, TimeseriesError

STREAMS_AT_ONCE: Final = 20
"""Streams of one turn, whose batches and facts are counted along an index: some million rows where there are years of them."""
EVERY_S: Final = 30.0
REST: Final = 4.0
"""After a turn it rests this many times as long, so that it never takes more than a fifth of a core."""
WINDOW: Final = timedelta(days=400)
"""Points that are older are not counted again, even where they are kept."""
STORES_LAG: Final = timedelta(hours=3)
"""A store may let go of points a little before they are due (InfluxDB's retention is in whole hours)."""

WRONG = Gauge("roomlink_reconcile_wrong_streams", "Streams whose journal, ledger and series differ, without a reason.")
WAITING = Gauge("roomlink_reconcile_waiting_records", "Records that terminals have spoken of and that are not stored.")

log = structlog.get_logger(__name__)


class Verdict(StrEnum):
    """`waiting`: the terminal has more; `behind`: the series has not everything yet; `wrong`: something is missing."""

    EQUAL = "equal"
    WAITING = "waiting"
    BEHIND = "behind"
    WRONG = "wrong"


class Difference(StrEnum):
    """What is `wrong`: the journal has not what was stored, the ledger not its facts, the series not its points; or points
    were never handed to it."""

    JOURNAL = "journal"
    LEDGER = "ledger"
    POINTS = "points"
    HANDED = "handed"


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A stream's numbers, in records. None where it cannot be counted: journal shortened, store away.

    `made` points the journal's records ought to become, and `handed` were handed to the store. `points` of them, of the
    days that are compared, the store has accepted; `series` it has.
    """

    stream: str
    terminal: str
    said: int
    stored: int
    journal: int | None
    facts: int
    ledger: int
    made: int
    handed: int
    points: int
    is_projected: bool
    series: int | None = None

    @property
    def difference(self) -> Difference | None:
        """The first that no waiting can explain. The series is counted last, so it may be ahead, and that is well."""
        if self.journal not in {None, self.stored}:
            return Difference.JOURNAL
        if self.ledger != self.facts:
            return Difference.LEDGER
        if self.series is not None and self.series < self.points:
            return Difference.POINTS
        if self.is_projected and self.journal is not None and self.handed < self.made:
            return Difference.HANDED
        return None

    @property
    def verdict(self) -> Verdict:
        """What the numbers mean together."""
        if self.difference:
            return Verdict.WRONG
        if not self.is_projected:
            return Verdict.BEHIND
        return Verdict.WAITING if self.said > self.stored else Verdict.EQUAL


def window_start(bulk: Bulk, now_at: int, points_kept: timedelta | None) -> int:
    """The UTC day from which on points are compared: all of its points are there still."""
    present_at = retention.present_at(bulk, now_at)
    kept = min(points_kept or WINDOW, WINDOW)
    begin_at = from_us(now_at if present_at is None else present_at) - kept + STORES_LAG
    return handed.first_whole_day(to_us(begin_at))


def reconcile(session: Session, ids: Sequence[str], since_at: int) -> list[Reconciled]:
    """These streams, in order of their ids, without the series; points of the days from `since_at` on."""
    bulk = Bulk.of(session)
    streams = sorted(
        bulk.rows_in(
            "SELECT stream, terminal_id, said_through, through, facts, points FROM streams WHERE stream IN", ids
        )
    )
    first, journal = _journal(bulk, ids)
    ledger, unread, days = _ledger(bulk, ids), _unread(bulk, ids), _days(bulk, ids, since_at)
    return [
        Reconciled(
            stream=stream,
            terminal=terminal,
            said=max(said, through),
            stored=through,
            journal=journal.get(stream, 0) if first.get(stream, 1) == 1 else None,
            facts=facts,
            ledger=ledger.get(stream, 0),
            made=made,
            handed=days.get(stream, (0, 0))[0],
            points=days.get(stream, (0, 0))[1],
            is_projected=stream not in unread,
        )
        for stream, terminal, said, through, facts, made in streams
    ]


def with_series(found: Sequence[Reconciled], store: Callable[[], Timeseries], since_at: int) -> list[Reconciled]:
    """The same with what the series holds, asked now; without it while the store is away."""
    counted = _count_series(store, since_at)
    return list(found) if counted is None else _joined(found, counted)


@dataclass(slots=True)
class _Round:
    """One time round all streams, in turns."""

    began_at: int
    since_at: int
    found: list[Reconciled] = field(default_factory=list)


class Reconciler:
    """Goes round all streams, a part in each `turn`, which is for a Loop."""

    def __init__(
        self, engine: Engine, clock: Clock, store: Callable[[], Timeseries], points_kept: timedelta | None
    ) -> None:
        self._engine, self._clock, self._store, self._points_kept = engine, clock, store, points_kept
        self._suspected: frozenset[str] = frozenset()
        self._round: _Round | None = None
        self._written: dict[str, comparison.Points] = {}

    def turn(self) -> float:
        """The next streams; at the end of the round what was found is written down."""
        begun_s = time.monotonic()
        with transaction(self._engine, read_only=True) as session:
            one_snapshot(bulk := Bulk.of(session))
            if self._round is None:
                now_at = to_us(self._clock())
                self._round = _Round(now_at, window_start(bulk, now_at, self._points_kept))
            page = self._next(session, self._round)
        self._round.found += page
        if len(page) == STREAMS_AT_ONCE:
            return REST * (time.monotonic() - begun_s)
        self._finish(self._round)
        self._round = None
        return max(EVERY_S, REST * (time.monotonic() - begun_s))

    def _next(self, session: Session, present: _Round) -> list[Reconciled]:
        query = select(Stream.stream).where(Stream.stream > (present.found[-1].stream if present.found else ""))
        ids = session.scalars(query.order_by(Stream.stream).limit(STREAMS_AT_ONCE)).all()
        return reconcile(session, ids, present.since_at)

    def _finish(self, done: _Round) -> None:
        """What is wrong twice in a row is told: once may be a batch stored between two of our questions."""
        counted = _count_series(self._store, done.since_at)
        found = done.found if counted is None else _joined(done.found, counted)
        wrong = {each.stream: each for each in found if each.verdict is Verdict.WRONG}
        sure = [each for stream, each in wrong.items() if stream in self._suspected]
        WRONG.set(len(sure))
        WAITING.set(sum(each.said - each.stored for each in found))
        for each in sure:
            _tell(each)
        self._suspected = frozenset(wrong)
        self._write(done, found, sure, is_series_counted=counted is not None)

    def _write(
        self, done: _Round, found: Sequence[Reconciled], wrong: Sequence[Reconciled], *, is_series_counted: bool
    ) -> None:
        """The sums, which streams are wrong, and of the streams what has changed since it was written."""
        now = {each.stream: (each.points, each.series) for each in found if each.series is not None}
        sums = comparison.Sums(
            began_at=done.began_at,
            finished_at=to_us(self._clock()),
            streams=len(found),
            stored=sum(each.stored for each in found),
            facts=sum(each.facts for each in found),
            ledger=sum(each.ledger for each in found),
            points=sum(each.points for each in found),
            series=sum(each.series or 0 for each in found) if is_series_counted else None,
            since_at=done.since_at,
            behind=sum(each.verdict is Verdict.BEHIND for each in found),
            wrong=len(wrong),
        )
        changed = {stream: points for stream, points in now.items() if self._written.get(stream) != points}
        with transaction(self._engine) as session:
            comparison.write(Bulk.of(session), sums, changed, [each.stream for each in wrong])
        self._written |= changed


def _count_series(store: Callable[[], Timeseries], since_at: int) -> Mapping[str, StreamCount] | None:
    try:
        return store().count_by_stream(from_us(since_at))
    except (CloudError, TimeseriesError):
        return None


def _joined(found: Sequence[Reconciled], counted: Mapping[str, StreamCount]) -> list[Reconciled]:
    none = StreamCount(0, 0)
    return [replace(each, series=counted.get(each.stream, none).points) for each in found]


def _tell(each: Reconciled) -> None:
    log.error(
        "records_differ", terminal=each.terminal, stream=each.stream, stored=each.stored, journal=each.journal,
        facts=each.facts, ledger=each.ledger, made=each.made, handed=each.handed, points=each.points, series=each.series,
    )  # fmt: skip


def _journal(bulk: Bulk, ids: Sequence[str]) -> tuple[dict[str, int], dict[str, int]]:
    """The first number and how many records, of each stream that is in the journal."""
    rows = bulk.rows_in(
        "SELECT stream, MIN(first), SUM(count) FROM journal WHERE stream IN", ids, tail=" GROUP BY stream"
    )
    return {row[0]: row[1] for row in rows}, {row[0]: int(row[2]) for row in rows}


def _ledger(bulk: Bulk, ids: Sequence[str]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for table in ("check_ins", "check_outs", "interactions", "command_words"):
        statement = f"SELECT stream, COUNT(*) FROM {table} WHERE stream IN"  # noqa: S608
        for stream, count in bulk.rows_in(statement, ids, tail=" GROUP BY stream"):
            counted[stream] = counted.get(stream, 0) + count
    return counted


def _days(bulk: Bulk, ids: Sequence[str], since_at: int) -> dict[str, tuple[int, int]]:
    """Points handed to the store ever, and those of them that it has to have; none while it is about to be made anew."""
    if projector.cursor(bulk) == projector.STARTS_OVER:
        return {}
    rows = bulk.rows_in(
        "SELECT stream, SUM(handed), SUM(CASE WHEN day_at >= ? THEN accepted ELSE 0 END) FROM series_days WHERE stream IN",
        ids,
        (since_at,),
        tail=" GROUP BY stream",
    )
    return {stream: (int(all_of), int(kept)) for stream, all_of, kept in rows}


def _unread(bulk: Bulk, ids: Sequence[str]) -> set[str]:
    """Streams with batches that the projector has not read yet, or has to read again."""
    rows = bulk.rows_in(
        "SELECT s.stream FROM streams s WHERE (SELECT j.id FROM journal j WHERE j.stream = s.stream "
        "ORDER BY j.first DESC LIMIT 1) > ? AND s.stream IN",
        ids,
        (projector.cursor(bulk),),
    )
    again = bulk.rows("SELECT DISTINCT j.stream FROM projector_again a JOIN journal j ON j.id = a.journal_id")
    return {row[0] for row in (*rows, *again)}
