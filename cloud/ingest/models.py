"""Facts as terminals told them, the ids that keep them single, and the quarantine.

Written by ingest with the driver's bulk calls. Times are microseconds since 1970, UTC; `(stream, number)` is the
record in the journal.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId


class FactId(Base):
    """A fact's record id (16 bytes of its UUID) and the record that counts; a copy elsewhere is a repeat."""

    __tablename__ = "fact_ids"
    __table_args__ = ({"sqlite_with_rowid": False},)

    record_id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    stream: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(BigInteger)


class CheckIn(Base):
    """One check-in of any outcome. `member_id` is the link, NULL for guests and for references nobody knows (yet).

    `said_at` and `said_occurrence_id` are the terminal's own words; `effective_at` and `occurrence_id` count.
    `waits` marks a reference that a late member or credential may still link. `id` rises with arrival.
    """

    __tablename__ = "check_ins"
    __table_args__ = (
        Index("ix_check_ins_stream_number", "stream", "number", unique=True),
        Index("ix_check_ins_occurrence_id_effective_at", "occurrence_id", "effective_at"),
        Index("ix_check_ins_member_id_effective_at", "member_id", "effective_at"),
        Index("ix_check_ins_received_at", "received_at"),
        Index("ix_check_ins_waits", "id", sqlite_where=text("waits = 1"), postgresql_where=text("waits = 1")),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    stream: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(BigInteger)
    record_id: Mapped[str] = mapped_column(Text)
    terminal_id: Mapped[str] = mapped_column(Text)
    room_id: Mapped[str | None] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    occurrence_id: Mapped[str | None] = mapped_column(Text)
    said_occurrence_id: Mapped[str | None] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    issuer: Mapped[str | None] = mapped_column(Text)
    credential_id: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    waits: Mapped[int] = mapped_column(default=0)
    effective_at: Mapped[int] = mapped_column(BigInteger)
    uncertainty_us: Mapped[int] = mapped_column(BigInteger)
    basis: Mapped[int]
    flags: Mapped[str] = mapped_column(Text)
    received_at: Mapped[int] = mapped_column(BigInteger)
    linked_at: Mapped[int | None] = mapped_column(BigInteger)
    said_at: Mapped[int] = mapped_column(BigInteger)


class CheckOut(Base):
    """A member left."""

    __tablename__ = "check_outs"
    __table_args__ = (
        Index("ix_check_outs_occurrence_id_effective_at", "occurrence_id", "effective_at"),
        Index(
            "ix_check_outs_unlinked",
            "credential_id",
            sqlite_where=text("member_id IS NULL"),
            postgresql_where=text("member_id IS NULL"),
        ),
    )

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    record_id: Mapped[str] = mapped_column(Text)
    terminal_id: Mapped[str] = mapped_column(Text)
    room_id: Mapped[str | None] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    occurrence_id: Mapped[str | None] = mapped_column(Text)
    issuer: Mapped[str | None] = mapped_column(Text)
    credential_id: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str | None] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    effective_at: Mapped[int] = mapped_column(BigInteger)
    uncertainty_us: Mapped[int] = mapped_column(BigInteger)
    basis: Mapped[int]
    received_at: Mapped[int] = mapped_column(BigInteger)
    said_at: Mapped[int] = mapped_column(BigInteger)


class Interaction(Base):
    """Touches of one screen within one minute."""

    __tablename__ = "interactions"
    __table_args__ = (Index("ix_interactions_room_id_minute_at", "room_id", "minute_at"),)

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text)
    room_id: Mapped[str | None] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    screen: Mapped[str] = mapped_column(Text)
    minute_at: Mapped[int] = mapped_column(BigInteger)
    touches: Mapped[int]
    help: Mapped[int]
    effective_at: Mapped[int] = mapped_column(BigInteger)


class Quarantine(Base):
    """What could not be understood: a record of the journal, a payload that was no batch, or a refused point.

    `bytes` is its beginning; a record's whole line is in the journal. Nothing here is ever silently removed but
    payloads and points beyond their bound, oldest first.
    """

    __tablename__ = "quarantine"
    __table_args__ = (
        Index("ix_quarantine_state_id", "state", "id"),
        Index("ix_quarantine_terminal_id_kind", "terminal_id", "kind"),
        Index("ix_quarantine_terminal_id_received_at", "terminal_id", "received_at"),
        Index("ix_quarantine_stream_number_kind", "stream", "number", "kind", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text)
    stream: Mapped[str | None] = mapped_column(Text)
    number: Mapped[int | None] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    bytes: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(Text)
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[int | None] = mapped_column(BigInteger)
    decision_reason: Mapped[str | None] = mapped_column(Text)
