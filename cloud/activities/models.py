"""Activities and their occurrences (the dates of an activity)."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant, JsonText


class Activity(Base):
    """What happens in a room, once or by an RRULE (RFC 5545) in `timezone`.

    `audience` names organisations, each with those below it; empty means everybody. Check-in opens
    `opens_before_s` seconds before the start. Occurrences are made as far as `expanded_until_at`.
    """

    __tablename__ = "activities"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    room_id: Mapped[str] = mapped_column(Text, ForeignKey("rooms.id"), index=True)
    organisation_id: Mapped[str] = mapped_column(Text, ForeignKey("organisations.id"), index=True)
    title: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text, default="")
    starts_at: Mapped[datetime] = mapped_column(Instant)
    duration_s: Mapped[int]
    opens_before_s: Mapped[int] = mapped_column(default=1800)
    timezone: Mapped[str] = mapped_column(Text)
    rrule: Mapped[str | None] = mapped_column(Text)
    audience: Mapped[list[str]] = mapped_column(JsonText, default=list)
    version: Mapped[int] = mapped_column(default=1)
    cancelled_at: Mapped[datetime | None] = mapped_column(Instant)
    expanded_until_at: Mapped[datetime | None] = mapped_column(Instant, index=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


class Occurrence(Base):
    """One date of an activity: id is activity id, `/`, UTC start (`20261123T093000Z`)."""

    __tablename__ = "occurrences"
    __table_args__ = (Index("ix_occurrences_room_id_starts_at", "room_id", "starts_at"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    activity_id: Mapped[str] = mapped_column(Text, ForeignKey("activities.id"), index=True)
    room_id: Mapped[str] = mapped_column(Text, ForeignKey("rooms.id"))
    organisation_id: Mapped[str] = mapped_column(Text, ForeignKey("organisations.id"))
    starts_at: Mapped[datetime] = mapped_column(Instant, index=True)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    cancelled_at: Mapped[datetime | None] = mapped_column(Instant)
