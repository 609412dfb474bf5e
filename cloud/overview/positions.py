"""How far records have come: what terminals have said, the journal, the ledger, the time series.

Sums over streams. A stream that its terminal has left behind can bring nothing more, so only the newest waits.
"""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session, aliased

from cloud.clock import from_us, to_us
from cloud.ingest.models import CheckIn, CheckOut, Interaction
from cloud.ingest.reconcile import WRONG, Reconciled, reconcile
from cloud.journal.models import Cursor, JournalBatch, Stream

FACTS = (CheckIn, CheckOut, Interaction)
"""The ledger's tables that records become rows of."""


@dataclass(frozen=True)
class Standing:
    """The four numbers, in records; of the ledger, in facts, which are a part of the records.

    `facts` is how many the journal's batches brought, `ledger` how many are there. `waiting_since` is when the
    longest-waiting stream was last stored.
    """

    stored: int
    facts: int
    ledger: int
    waiting: int
    waiting_since: datetime | None
    series_behind: int
    series_behind_since: datetime | None
    per_second: float
    last_minute: int
    differing: int

    @property
    def said(self) -> int:
        """What terminals have said they recorded."""
        return self.stored + self.waiting

    @property
    def series(self) -> int:
        """What the time series has been given."""
        return self.stored - self.series_behind


@dataclass(frozen=True)
class StreamStanding:
    """One stream's numbers."""

    stream: str
    chain: str
    said: int
    said_at: datetime
    stored: int
    stored_at: datetime
    series: int
    facts: int
    ledger: int
    parent: str | None
    gap: str | None

    @property
    def waiting(self) -> int:
        """Records that the terminal has and the cloud has not, as far as it has said."""
        return max(self.said - self.stored, 0)

    @property
    def differing(self) -> int:
        """By how many facts journal and ledger differ: none, unless something is broken."""
        return abs(self.facts - self.ledger)


class LedgerCount:
    """Counts the ledger's facts for the overview, as rarely as counting takes long: a count reads every row.

    Promises that both numbers are of one moment, so that a difference is one.
    """

    def __init__(self, share: float = 0.02) -> None:
        self._share = share
        self._next_s = 0.0
        self._counted = (0, 0)

    def read(self, session: Session) -> tuple[int, int]:
        """(facts that the journal brought, facts that are there), at most a few counts old."""
        begun = time.monotonic()
        if begun >= self._next_s:
            there = sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in FACTS)
            self._counted = (int(session.scalar(select(func.sum(Stream.facts))) or 0), there)
            ended = time.monotonic()
            self._next_s = ended + (ended - begun) / self._share
        return self._counted


def standing(session: Session, now: datetime, ledger: LedgerCount) -> Standing:
    """Of the whole cloud."""
    facts, there = ledger.read(session)
    waiting, since = session.execute(
        select(func.sum(Stream.said_through - Stream.through), func.min(Stream.last_stored_at)).where(
            Stream.said_through > Stream.through, _is_newest()
        )
    ).one()
    behind, behind_since = _behind(session)
    return Standing(
        stored=int(session.scalar(select(func.sum(Stream.through))) or 0),
        facts=facts,
        ledger=there,
        waiting=int(waiting or 0),
        waiting_since=from_us(since) if since else None,
        series_behind=behind,
        series_behind_since=behind_since,
        per_second=_received(session, now - timedelta(seconds=10)) / 10,
        last_minute=_received(session, now - timedelta(seconds=60)),
        differing=differing(),
    )


def streams_of(session: Session, terminal_id: str, limit: int = 5) -> list[StreamStanding]:
    """A terminal's streams, newest first."""
    query = select(Stream).where(Stream.terminal_id == terminal_id).order_by(Stream.opened_at.desc()).limit(limit)
    cursor = _cursor(session)
    rows = session.scalars(query).all()
    counted = {each.stream: each for each in reconcile(session, [row.stream for row in rows])}
    return [_stream(session, row, counted[row.stream], cursor) for row in rows]


def differing() -> int:
    """How many streams the reconciler of this process found to differ without a reason, when it last went round."""
    return int(sum(sample.value for metric in WRONG.collect() for sample in metric.samples))


def waiting_by_terminal(session: Session, terminal_ids: list[str]) -> dict[str, tuple[int, int]]:
    """(stored through, waiting) of each terminal's newest stream; those never heard of are left out."""
    query = (
        select(Stream.terminal_id, Stream.through, Stream.said_through)
        .where(Stream.terminal_id.in_(terminal_ids))
        .order_by(Stream.opened_at)
    )
    return {terminal: (through, max(said - through, 0)) for terminal, through, said in session.execute(query)}


def waiting_longest(session: Session, before: datetime) -> tuple[str, datetime, int] | None:
    """(terminal, last stored, how many terminals) of those that have records and stored none since `before`."""
    stuck = (Stream.said_through > Stream.through, Stream.last_stored_at < to_us(before), _is_newest())
    first = session.execute(
        select(Stream.terminal_id, Stream.last_stored_at).where(*stuck).order_by(Stream.last_stored_at).limit(1)
    ).first()
    if first is None:
        return None
    count = session.scalar(select(func.count()).where(*stuck)) or 1
    return first.terminal_id, from_us(first.last_stored_at), count


def _stream(session: Session, row: Stream, counted: Reconciled, cursor: int) -> StreamStanding:
    first_unread = session.scalar(
        select(func.min(JournalBatch.first)).where(JournalBatch.stream == row.stream, JournalBatch.id > cursor)
    )
    gap = None if row.gap_reason is None else f"{row.gap_first}–{row.gap_last} ({row.gap_reason})"
    return StreamStanding(
        stream=row.stream,
        chain=row.chain,
        said=max(row.said_through, row.through),
        said_at=from_us(row.said_at),
        stored=row.through,
        stored_at=from_us(row.last_stored_at),
        series=row.through if first_unread is None else first_unread - 1,
        facts=counted.facts,
        ledger=counted.ledger,
        parent=row.parent_stream,
        gap=gap,
    )


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
