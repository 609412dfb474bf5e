"""Attendance (written by ingest by upsert, the earlier time wins) and corrections (entries with who and why).

`occurrence_id` and `member_id` carry no foreign keys: the hot path writes here, and a kiosk may name an
occurrence that the cloud learns of later.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant, JsonText


class Attendance(Base):
    """One member at one occurrence. (stream, number) is the record that counts.

    A correction adds a row, or sets `removed_at`: then it counts no more, whatever record arrives later.
    """

    __tablename__ = "attendance"
    __table_args__ = (
        Index("ix_attendance_member_id_effective_at", "member_id", "effective_at"),
        Index("ix_attendance_effective_at", "effective_at"),
    )

    occurrence_id: Mapped[str] = mapped_column(Text, primary_key=True)
    member_id: Mapped[str] = mapped_column(Text, primary_key=True)
    effective_at: Mapped[datetime] = mapped_column(Instant)
    uncertainty_us: Mapped[int] = mapped_column(BigInteger, default=0)
    terminal_id: Mapped[str | None] = mapped_column(Text)
    room_id: Mapped[str | None] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    stream: Mapped[str | None] = mapped_column(Text)
    number: Mapped[int | None] = mapped_column(BigInteger)
    method: Mapped[str] = mapped_column(Text)
    flags: Mapped[list[str]] = mapped_column(JsonText, default=list, server_default="[]")
    corrected_at: Mapped[datetime | None] = mapped_column(Instant)
    removed_at: Mapped[datetime | None] = mapped_column(Instant)


class Correction(Base):
    """What a person decided about facts.

    Never an edit of them. Applied again by every rebuild, in order of `id`.
    """

    __tablename__ = "corrections"
    __table_args__ = (Index("ix_corrections_occurrence_id_member_id", "occurrence_id", "member_id"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    occurrence_id: Mapped[str | None] = mapped_column(Text)
    member_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    reason: Mapped[str] = mapped_column(Text)
    who: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant, index=True)
