"""Receivers, what each of them is told of alarms, and up to where the alarms' events were read.

Receivers are written by `notifications.receivers`, the rest by the notifier; people send dead letters again through the service.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId, Instant, JsonText


class Receiver(Base):
    """Whom to tell of alarms, how, of which, and when not. Without an organisation it is of the whole tree.

    `since_at` is when it was made or last switched on: of what happened before it is not told. Secrets are encrypted under the
    key file; one that was replaced signs beside the new one until `previous_until_at`. A deleted one keeps its name, and
    its organisation as `deleted_from`, which holds up nobody who deletes that.
    """

    __tablename__ = "receivers"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    address: Mapped[str] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id"), index=True)
    severity: Mapped[str] = mapped_column(Text)
    rule_ids: Mapped[list[str]] = mapped_column(JsonText)
    what: Mapped[list[str]] = mapped_column(JsonText)
    after_minutes: Mapped[int]
    language: Mapped[str] = mapped_column(Text)
    timezone: Mapped[str] = mapped_column(Text)
    quiet_from: Mapped[str | None] = mapped_column(Text)
    quiet_until: Mapped[str | None] = mapped_column(Text)
    quiet_days: Mapped[list[str]] = mapped_column(JsonText)
    quiet_through: Mapped[str | None] = mapped_column(Text)
    enabled: Mapped[bool]
    secret_encrypted: Mapped[str | None] = mapped_column(Text)
    previous_secret_encrypted: Mapped[str | None] = mapped_column(Text)
    previous_until_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    since_at: Mapped[datetime] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)
    deleted_from: Mapped[str | None] = mapped_column(Text)
    tested_at: Mapped[datetime | None] = mapped_column(Instant)
    succeeded_at: Mapped[datetime | None] = mapped_column(Instant)
    failed_at: Mapped[datetime | None] = mapped_column(Instant)
    failure: Mapped[dict[str, Any] | None] = mapped_column(JsonText)


class Notification(Base):
    """That a receiver is told one thing about one alarm. `event_id` is the alarm's event, 0 for an escalation.

    The unique index makes a turn that is done twice change nothing. Those that are sent together have one `message_id`, which
    stays the same over all attempts. `why` says why it was not delivered: a code and its values.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_once", "receiver_id", "alarm_id", "what", "event_id", unique=True),
        Index("ix_notifications_due", "state", "due_at"),
        Index("ix_notifications_alarm_id", "alarm_id", "id"),
        Index("ix_notifications_message_id", "message_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    receiver_id: Mapped[str] = mapped_column(Text, ForeignKey("receivers.id"))
    alarm_id: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    event_id: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text)
    due_at: Mapped[datetime] = mapped_column(Instant)
    held: Mapped[bool]
    asked: Mapped[bool]
    attempts: Mapped[int]
    message_id: Mapped[str] = mapped_column(Text)
    claimed_until_at: Mapped[datetime | None] = mapped_column(Instant)
    settled_at: Mapped[datetime | None] = mapped_column(Instant)
    why: Mapped[dict[str, Any] | None] = mapped_column(JsonText)


class NotifierProgress(Base):
    """The one row: the last event of the alarms that was dealt with."""

    __tablename__ = "notifier_progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(BigInteger)
