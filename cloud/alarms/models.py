"""Rules, the alarms they raised, what is known meanwhile, and when nothing is to be raised.

`alarm_rules`, `maintenance_windows` and what people do about alarms are written by `alarms.service` and its neighbours; all
else by the evaluator with the driver's bulk calls. Times written by it are microseconds since 1970, UTC.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId, Instant, JsonText

IS_OPEN = text("over_at IS NULL")
IS_ACTIVE = text("cleared_at IS NULL")


class AlarmRule(Base):
    """What makes an alarm, of which terminals, and what to do then. `kind` and `compare` are words of `alarms.rules`.

    Without organisation, room and kind of terminal it is about all. A deleted rule stays for the alarms that name it.
    """

    __tablename__ = "alarm_rules"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool]
    organisation_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id"))
    room_id: Mapped[str | None] = mapped_column(Text, ForeignKey("rooms.id"))
    terminal_kind: Mapped[str | None] = mapped_column(Text)
    metric: Mapped[str | None] = mapped_column(Text)
    compare: Mapped[str | None] = mapped_column(Text)
    level: Mapped[float | None] = mapped_column(Double)
    clear_level: Mapped[float | None] = mapped_column(Double)
    for_s: Mapped[int]
    clear_for_s: Mapped[int]
    days: Mapped[float | None] = mapped_column(Double)
    wanted: Mapped[str | None] = mapped_column(Text)
    mark: Mapped[str | None] = mapped_column(Text)
    todo: Mapped[str] = mapped_column(Text)
    todo_en: Mapped[str] = mapped_column(Text)
    version: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)


class Alarm(Base):
    """One alarm: of a terminal, or of all that fell together, in a room, an organisation or everywhere (`reach`).

    `place_id` is the id of what it reaches, empty for everywhere and for the cloud itself. `since_at` and `until_at` are when
    the first and the last of its terminals fell; `members` counts those that have not recovered. `times` counts how often it
    came back. Active or cleared, and acknowledged or not, are two different things.
    """

    __tablename__ = "alarms"
    __table_args__ = (
        Index("ix_alarms_raised_at", "raised_at", "id"),
        Index("ix_alarms_cleared_at", "cleared_at"),
        Index("ix_alarms_active", "rule_id", sqlite_where=IS_ACTIVE, postgresql_where=IS_ACTIVE),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    rule_id: Mapped[str] = mapped_column(Text, ForeignKey("alarm_rules.id"))
    reach: Mapped[str] = mapped_column(Text)
    place_id: Mapped[str] = mapped_column(Text)
    severity: Mapped[str] = mapped_column(Text)
    since_at: Mapped[datetime] = mapped_column(Instant)
    until_at: Mapped[datetime] = mapped_column(Instant)
    raised_at: Mapped[datetime] = mapped_column(Instant)
    cleared_at: Mapped[datetime | None] = mapped_column(Instant)
    cleared_why: Mapped[str | None] = mapped_column(Text)
    times: Mapped[int] = mapped_column(default=1)
    members: Mapped[int]
    acknowledged_at: Mapped[datetime | None] = mapped_column(Instant)
    acknowledged_by: Mapped[str | None] = mapped_column(Text)
    snoozed_until_at: Mapped[datetime | None] = mapped_column(Instant)
    snoozed_by: Mapped[str | None] = mapped_column(Text)


class AlarmMember(Base):
    """A terminal of an alarm; `over_at` when it recovered. The index lets no terminal be in two open alarms of one rule.

    The cloud itself is the terminal without a name.
    """

    __tablename__ = "alarm_members"
    __table_args__ = (
        Index(
            "ix_alarm_members_open", "rule_id", "terminal_id", unique=True, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN
        ),
        Index("ix_alarm_members_terminal_id", "terminal_id", "raised_at"),
    )  # fmt: skip

    alarm_id: Mapped[str] = mapped_column(Text, ForeignKey("alarms.id"), primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text, primary_key=True)
    rule_id: Mapped[str] = mapped_column(Text)
    since_at: Mapped[datetime] = mapped_column(Instant)
    raised_at: Mapped[datetime] = mapped_column(Instant)
    over_at: Mapped[datetime | None] = mapped_column(Instant)
    value: Mapped[float | None] = mapped_column(Double)


class AlarmEvent(Base):
    """What happened to an alarm, append-only: ids rise in the order of commits, so that a reader's cursor misses none."""

    __tablename__ = "alarm_events"
    __table_args__ = (Index("ix_alarm_events_alarm_id", "alarm_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    alarm_id: Mapped[str] = mapped_column(Text, ForeignKey("alarms.id"))
    at: Mapped[datetime] = mapped_column(Instant)
    kind: Mapped[str] = mapped_column(Text)
    who: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonText)


class AlarmCondition(Base):
    """That a rule's condition holds for a terminal, since when, and whether for long enough (`alarms.rules.Condition`)."""

    __tablename__ = "alarm_conditions"

    rule_id: Mapped[str] = mapped_column(Text, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text, primary_key=True)
    since_at: Mapped[int] = mapped_column(BigInteger)
    active: Mapped[bool]
    well_since_at: Mapped[int | None] = mapped_column(BigInteger)
    value: Mapped[float | None] = mapped_column(Double)
    seen_at: Mapped[int] = mapped_column(BigInteger)


class NewestHealth(Base):
    """The newest health sample of a terminal: one row, whatever it sends. `at` is its effective time."""

    __tablename__ = "newest_health"

    terminal_id: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger)
    received_at: Mapped[int] = mapped_column(BigInteger)
    metrics: Mapped[str] = mapped_column(Text)


class AlarmTrail(Base):
    """Earlier values of a metric, far apart, by which a rate or a trend is judged: at most `alarms.trails.POINTS`."""

    __tablename__ = "alarm_trails"

    rule_id: Mapped[str] = mapped_column(Text, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text, primary_key=True)
    last_at: Mapped[int] = mapped_column(BigInteger)
    points: Mapped[str] = mapped_column(Text)


class AlarmProgress(Base):
    """The one row: up to which batch the journal was looked at, and which turn it was, so that two never count."""

    __tablename__ = "alarm_progress"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    journal_id: Mapped[int] = mapped_column(BigInteger)
    turn: Mapped[int] = mapped_column(BigInteger)


class MaintenanceWindow(Base):
    """A span in which nothing new is raised about an organisation with all below it, a room, a terminal, or anything."""

    __tablename__ = "maintenance_windows"
    __table_args__ = (Index("ix_maintenance_windows_ends_at", "ends_at", "id"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id"))
    room_id: Mapped[str | None] = mapped_column(Text, ForeignKey("rooms.id"))
    terminal_id: Mapped[str | None] = mapped_column(Text, ForeignKey("terminals.id"))
    starts_at: Mapped[datetime] = mapped_column(Instant)
    ends_at: Mapped[datetime] = mapped_column(Instant)
    reason: Mapped[str] = mapped_column(Text)
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Instant)
