"""The journal: positions of streams, the batches as received, the epoch, and how far each reader has come.

Written by ingest with the driver's bulk calls; read by projector, rebuild, reconciler and retention.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId


class Stream(Base):
    """How far a stream is stored, and whose it is for ever. Times are microseconds since 1970, UTC.

    `last_…` tells of the newest stored record: the neighbour from which a later one's time may be bounded.
    `said_through` is how far the terminal says it has records, unproven. `gap_…` is what `started` declared.
    `facts` and `points` count what the journal's records must have become in the ledger and in the time series.
    """

    __tablename__ = "streams"
    __table_args__ = (Index("ix_streams_terminal_id_opened_at", "terminal_id", "opened_at"),)

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text)
    through: Mapped[int] = mapped_column(BigInteger)
    chain: Mapped[str] = mapped_column(Text)
    parent_stream: Mapped[str | None] = mapped_column(Text)
    parent_through: Mapped[int | None] = mapped_column(BigInteger)
    parent_chain: Mapped[str | None] = mapped_column(Text)
    gap_stream: Mapped[str | None] = mapped_column(Text)
    gap_first: Mapped[int | None] = mapped_column(BigInteger)
    gap_last: Mapped[int | None] = mapped_column(BigInteger)
    gap_reason: Mapped[str | None] = mapped_column(Text)
    opened_at: Mapped[int] = mapped_column(BigInteger)
    last_stored_at: Mapped[int] = mapped_column(BigInteger)
    last_effective_at: Mapped[int | None] = mapped_column(BigInteger)
    last_uncertainty_us: Mapped[int | None] = mapped_column(BigInteger)
    last_boot: Mapped[str | None] = mapped_column(Text)
    last_mono_ms: Mapped[int | None] = mapped_column(BigInteger)
    facts: Mapped[int] = mapped_column(BigInteger)
    points: Mapped[int] = mapped_column(BigInteger)
    said_through: Mapped[int] = mapped_column(BigInteger)
    said_at: Mapped[int] = mapped_column(BigInteger)


class JournalBatch(Base):
    """One batch, its bytes as received: `header` the line, `lines` packed by `cloud.journal.format`.

    `fixed` is what was decided about each record when it was stored: effective time, room, repeat. `id` rises, but
    on PostgreSQL a lower one may be committed after a higher one.
    """

    __tablename__ = "journal"
    __table_args__ = (
        UniqueConstraint("stream", "first"),
        Index("ix_journal_received_at", "received_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    stream: Mapped[str] = mapped_column(Text)
    first: Mapped[int] = mapped_column(BigInteger)
    count: Mapped[int]
    prev: Mapped[str] = mapped_column(Text)
    chain: Mapped[str] = mapped_column(Text)
    header: Mapped[bytes] = mapped_column(LargeBinary)
    lines: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[int] = mapped_column(BigInteger)
    epoch: Mapped[int] = mapped_column(BigInteger)
    fixed: Mapped[bytes] = mapped_column(LargeBinary)


class Epoch(Base):
    """The one row: made anew by every restore."""

    __tablename__ = "epoch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    epoch: Mapped[int] = mapped_column(BigInteger)


class Cursor(Base):
    """How far a reader of the journal has come: every batch up to `journal_id` is behind it."""

    __tablename__ = "projector_cursor"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    journal_id: Mapped[int] = mapped_column(BigInteger)


class Again(Base):
    """Records whose batch the projector has to write onward once more, for they were replayed. One row a replay.

    `kind` is what was replayed: a `record`, which makes a new point, or a `point` that was refused.
    """

    __tablename__ = "projector_again"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    journal_id: Mapped[int] = mapped_column(BigInteger)
    number: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)


class SeriesDay(Base):
    """How many points of a stream the projector has `handed` to the time series, by UTC day of their effective time.

    `accepted` of them the store said it keeps. Days of which the store has let go are added up in the row of day 0.
    """

    __tablename__ = "series_days"
    __table_args__ = (Index("ix_series_days_day_at", "day_at"),)

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    day_at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    handed: Mapped[int] = mapped_column(BigInteger)
    accepted: Mapped[int] = mapped_column(BigInteger)


class Comparison(Base):
    """The one row: what the reconciler counted when it last had been round all streams. Times in microseconds.

    `facts` ought to be in the ledger and `ledger` were; `points` from `since_at` on ought to be in the time series and
    `series` were, NULL where it could not be asked. `wrong` and `behind` are numbers of streams.
    """

    __tablename__ = "comparison"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    began_at: Mapped[int] = mapped_column(BigInteger)
    finished_at: Mapped[int] = mapped_column(BigInteger)
    streams: Mapped[int] = mapped_column(BigInteger)
    stored: Mapped[int] = mapped_column(BigInteger)
    facts: Mapped[int] = mapped_column(BigInteger)
    ledger: Mapped[int] = mapped_column(BigInteger)
    points: Mapped[int] = mapped_column(BigInteger)
    series: Mapped[int | None] = mapped_column(BigInteger)
    since_at: Mapped[int | None] = mapped_column(BigInteger)
    behind: Mapped[int] = mapped_column(BigInteger)
    wrong: Mapped[int] = mapped_column(BigInteger)


class StreamComparison(Base):
    """The points of one stream, as they were counted for `Comparison`: those that ought to be there, those that were."""

    __tablename__ = "stream_comparisons"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    points: Mapped[int] = mapped_column(BigInteger)
    series: Mapped[int] = mapped_column(BigInteger)


class WrongStream(Base):
    """A stream that was wrong when `Comparison` was written: there are as many as its `wrong`, but 1,000 at most."""

    __tablename__ = "wrong_streams"

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
