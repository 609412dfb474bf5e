"""How far records have come: what terminals have said, the journal, the ledger, the time series.

Sums over streams. A stream that its terminal has left behind can bring nothing more, so only the newest waits. What is
in ledger and series is what the reconciler counted there, with the time of its counting, and never computed.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, case, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from cloud.clock import from_us, to_us
from cloud.ingest.reconcile import Difference, Reconciled, reconcile
from cloud.journal import comparison
from cloud.journal.models import Cursor, JournalBatch, Stream, WrongStream
from cloud.scope import Scope
from cloud.terminals import fleet

NOT_COUNTED: Final = "–"
"""Shown in the place of a number that nobody has counted."""

STALE: Final = timedelta(minutes=10)
"""A comparison that is older is not called one any more: a round takes half a minute, or a few where there is much."""


@dataclass(frozen=True)
class Compared:
    """What the reconciler counted over all streams. `series` is None where the time series could not be asked."""

    finished_at: datetime
    facts: int
    ledger: int
    points: int
    series: int | None
    differing: int

    def is_stale(self, now: datetime) -> bool:
        """Whether it says nothing about now."""
        return now - self.finished_at > STALE


@dataclass(frozen=True)
class Standing:
    """The numbers of all streams, in records. `waiting_since` is when the longest-waiting stream was last stored.

    `waiting` is the least that there can be where `is_least`: a terminal in service, or one that holds some, is not connected and
    may have more.
    `series_behind` records were not handed to the time series yet. `compared` is None before the first comparison.
    """

    stored: int
    waiting: int
    is_least: bool
    waiting_since: datetime | None
    series_behind: int
    series_behind_since: datetime | None
    per_second: float
    last_minute: int
    compared: Compared | None

    @property
    def said(self) -> int:
        """What terminals have said they recorded."""
        return self.stored + self.waiting


@dataclass(frozen=True)
class StreamStanding:
    """One stream's numbers. `counted` is what is there now, but for its points: they are those of `compared_at`, and the
    `series` that of them was there; None where it was not counted."""

    counted: Reconciled
    chain: str
    said_at: datetime
    stored_at: datetime
    behind: int
    compared_at: datetime | None
    parent: str | None
    gap: str | None

    @property
    def stream(self) -> str:
        """Its id."""
        return self.counted.stream

    @property
    def said(self) -> int:
        """Records that the terminal has, as far as it has said."""
        return self.counted.said

    @property
    def stored(self) -> int:
        """Records that were stored."""
        return self.counted.stored

    @property
    def series(self) -> int | None:
        """Points that were counted in the time series."""
        return self.counted.series

    @property
    def waiting(self) -> int:
        """Records that the terminal has and the cloud has not, as far as it has said."""
        return max(self.said - self.stored, 0)

    @property
    def difference(self) -> Difference | None:
        """What no waiting can explain, as the reconciler judges it."""
        return self.counted.difference

    @property
    def is_journal_off(self) -> bool:
        """Whether the journal, where it is whole, does not hold what was stored."""
        return self.counted.journal not in {None, self.stored}

    @property
    def differing(self) -> int:
        """By how many facts journal and ledger differ: none, unless something is broken."""
        return abs(self.counted.facts - self.counted.ledger)

    @property
    def missing(self) -> int:
        """Points that were not there when they were counted."""
        return 0 if self.series is None else max(self.counted.points - self.series, 0)

    @property
    def unhanded(self) -> int:
        """Points that the projector has passed over without handing them to the time series."""
        counted = self.counted
        is_known = counted.is_projected and counted.journal is not None
        return max(counted.made - counted.handed, 0) if is_known else 0

    def is_stale(self, now: datetime) -> bool:
        """Whether its points were not counted of late."""
        return self.compared_at is None or now - self.compared_at > STALE


def standing(session: Session, now: datetime) -> Standing:
    """Of the whole cloud."""
    waiting, since, silent = _waiting(session)
    behind, behind_since = _behind(session)
    return Standing(
        stored=int(session.scalar(select(func.sum(Stream.through))) or 0),
        waiting=waiting,
        is_least=silent > 0 or _is_any_silent(session),
        waiting_since=from_us(since) if since else None,
        series_behind=behind,
        series_behind_since=behind_since,
        per_second=_received(session, now - timedelta(seconds=10)) / 10,
        last_minute=_received(session, now - timedelta(seconds=60)),
        compared=_compared(session),
    )


def streams_of(session: Session, terminal_id: str, limit: int = 5) -> list[StreamStanding]:
    """A terminal's newest streams, and of the others as many that are wrong; newest first. To be called in a transaction that
    sees one moment (`Cloud.reading`): a batch that is stored between two questions would be a difference."""
    own = select(Stream).where(Stream.terminal_id == terminal_id).order_by(Stream.opened_at.desc()).limit(limit)
    rows = list(session.scalars(own))
    rest = own.where(Stream.stream.in_(select(WrongStream.stream)), Stream.stream.not_in([row.stream for row in rows]))
    rows += session.scalars(rest)
    cursor, compared = _cursor(session), _compared(session)
    ids = [row.stream for row in rows]
    counted = {each.stream: each for each in reconcile(session, ids, 0)}
    points = comparison.points_of(session, ids)
    return [_stream(session, row, counted[row.stream], points.get(row.stream), compared, cursor) for row in rows]


@dataclass(frozen=True)
class Wrong:
    """Streams that differ: how many, and of which terminals, the first by their ids."""

    streams: int
    terminals: int
    terminal_ids: tuple[str, ...]


def wrong(session: Session, scope: Scope, limit: int) -> Wrong | None:
    """Those of terminals in the scope, at most `limit` of which are named; None where there is none."""
    query = (
        select(Stream.terminal_id, func.count())
        .join(WrongStream, WrongStream.stream == Stream.stream)
        .where(fleet.is_within(scope, Stream.terminal_id))
    )
    found = session.execute(query.group_by(Stream.terminal_id).order_by(Stream.terminal_id)).all()
    if not found:
        return None
    return Wrong(sum(count for _, count in found), len(found), tuple(terminal for terminal, _ in found[:limit]))


def waiting_by_terminal(session: Session, terminal_ids: list[str]) -> dict[str, tuple[int, int]]:
    """(stored through, waiting) of each terminal's newest stream; those never heard of are left out."""
    query = (
        select(Stream.terminal_id, Stream.through, Stream.said_through)
        .where(Stream.terminal_id.in_(terminal_ids))
        .order_by(Stream.opened_at)
    )
    return {terminal: (through, max(said - through, 0)) for terminal, through, said in session.execute(query)}


def waiting_of(terminal_id: InstrumentedAttribute[str]) -> ColumnElement[int]:
    """How many records wait on the terminal whose id is in the column, by its newest stream, plus one; 0 where it has none."""
    waiting = case((Stream.said_through > Stream.through, Stream.said_through - Stream.through), else_=0)
    newest = select(waiting).where(Stream.terminal_id == terminal_id).order_by(Stream.opened_at.desc()).limit(1)
    return func.coalesce(newest.scalar_subquery() + 1, 0)


def waiting_longest(
    session: Session, scope: Scope, before: datetime, but: Select[str]
) -> tuple[str, datetime, int] | None:
    """(terminal, last stored, how many terminals) of those in service that have records and stored none since `before`, but
    for some."""
    stuck = (
        Stream.said_through > Stream.through,
        Stream.last_stored_at < to_us(before),
        _is_newest(),
        Stream.terminal_id.not_in(but),
        fleet.is_in_service(scope, Stream.terminal_id),
    )
    first = session.execute(
        select(Stream.terminal_id, Stream.last_stored_at).where(*stuck).order_by(Stream.last_stored_at).limit(1)
    ).first()
    if first is None:
        return None
    count = session.scalar(select(func.count()).where(*stuck)) or 1
    return first.terminal_id, from_us(first.last_stored_at), count


def _stream(
    session: Session,
    row: Stream,
    counted: Reconciled,
    points: comparison.Points | None,
    compared: Compared | None,
    cursor: int,
) -> StreamStanding:
    first_unread = session.scalar(
        select(func.min(JournalBatch.first)).where(JournalBatch.stream == row.stream, JournalBatch.id > cursor)
    )
    gap = None if row.gap_reason is None else f"{row.gap_first}–{row.gap_last} ({row.gap_reason})"
    is_counted = points is not None and compared is not None and compared.series is not None
    counted = replace(counted, points=points[0] if points else 0, series=points[1] if points and is_counted else None)
    return StreamStanding(
        counted=counted,
        chain=row.chain,
        said_at=from_us(row.said_at),
        stored_at=from_us(row.last_stored_at),
        behind=0 if first_unread is None else row.through - first_unread + 1,
        compared_at=compared.finished_at if compared and is_counted else None,
        parent=row.parent_stream,
        gap=gap,
    )


def _compared(session: Session) -> Compared | None:
    row = comparison.latest(session)
    if row is None:
        return None
    return Compared(from_us(row.finished_at), row.facts, row.ledger, row.points, row.series, row.wrong)


def _waiting(session: Session) -> tuple[int, int | None, int]:
    """How many records wait on terminals, when the first of these was last stored, and how many of these are not connected."""
    silent = case((fleet.is_connected(Stream.terminal_id), 0), else_=1)
    query = select(
        func.sum(Stream.said_through - Stream.through), func.min(Stream.last_stored_at), func.sum(silent)
    ).where(Stream.said_through > Stream.through, _is_newest())
    waiting, since, silent_ones = session.execute(query).one()
    return int(waiting or 0), since, int(silent_ones or 0)


def _is_any_silent(session: Session) -> bool:
    """Whether a terminal in service that has a stream is not connected: nobody knows what it has recorded since."""
    return session.scalar(select(Stream.stream).where(fleet.is_silent(Stream.terminal_id)).limit(1)) is not None


def _is_newest() -> ColumnElement[bool]:
    later = aliased(Stream)
    newer = select(later.stream).where(later.terminal_id == Stream.terminal_id, later.opened_at > Stream.opened_at)
    return ~newer.exists()


def _cursor(session: Session) -> int:
    """How far the slowest reader of the journal has come."""
    return session.scalar(select(func.min(Cursor.journal_id))) or 0


def _behind(session: Session) -> tuple[int, datetime | None]:
    unread = JournalBatch.id > _cursor(session)
    records, since = session.execute(
        select(func.sum(JournalBatch.count), func.min(JournalBatch.received_at)).where(unread)
    ).one()
    return int(records or 0), from_us(since) if since else None


def _received(session: Session, since: datetime) -> int:
    query = select(func.sum(JournalBatch.count)).where(JournalBatch.received_at >= to_us(since))
    return int(session.scalar(query) or 0)
