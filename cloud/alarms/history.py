"""What alarms a terminal was in, for its timeline: when they were raised, came back, were acknowledged, and went.

Reads only; the caller has asked whether the terminal is in the scope. Of an alarm of several terminals only what happened
while this one was in it. Rows come newest first, bounded by the caller's limit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, or_, select
from sqlalchemy.orm import Session

from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Reach
from cloud.alarms.models import Alarm, AlarmEvent, AlarmMember, AlarmRule
from cloud.paging import Before, newest

TOLD: Final = (
    EventKind.RAISED,
    EventKind.REOPENED,
    EventKind.GROUPED,
    EventKind.CLEARED,
    EventKind.ACKNOWLEDGED,
)
_OWN: Final = Alarm.reach == Reach.TERMINAL


@dataclass(frozen=True)
class Happened:
    """Something that happened to an alarm that the terminal was in, or to the terminal within it; `detail` as events have it."""

    at: datetime
    key: int | str
    what: str
    alarm: Alarm
    rule: AlarmRule
    who: str | None
    detail: Mapping[str, Any]


def events(session: Session, terminal_id: str, before: Before | None, limit: int) -> list[Happened]:
    """What happened to the alarms."""
    query = (
        select(AlarmEvent)
        .join(AlarmMember, AlarmMember.alarm_id == AlarmEvent.alarm_id)
        .join(Alarm, Alarm.id == AlarmEvent.alarm_id)
        .where(AlarmMember.terminal_id == terminal_id, AlarmEvent.kind.in_(TOLD), or_(_OWN, _while_in_it()))
    )
    rows = newest(session, query, AlarmEvent.at, AlarmEvent.id, before, limit)
    alarms = _alarms(session, {row.alarm_id for row in rows})
    return [Happened(row.at, row.id, row.kind, *alarms[row.alarm_id], row.who, row.detail) for row in rows]


def joined(session: Session, terminal_id: str, before: Before | None, limit: int) -> list[Happened]:
    """When it fell, too, and came into an alarm of others that was there."""
    query = _memberships(terminal_id).where(AlarmMember.raised_at > Alarm.raised_at)
    rows = newest(session, query, AlarmMember.raised_at, AlarmMember.alarm_id, before, limit)
    alarms = _alarms(session, {row.alarm_id for row in rows})
    return [
        Happened(row.raised_at, row.alarm_id, "joined", *alarms[row.alarm_id], None, {"value": row.value})
        for row in rows
    ]


def recovered(session: Session, terminal_id: str, before: Before | None, limit: int) -> list[Happened]:
    """When it was well again, and the alarm went on for others."""
    goes_on = or_(Alarm.cleared_at.is_(None), AlarmMember.over_at < Alarm.cleared_at)
    query = _memberships(terminal_id).where(AlarmMember.over_at.is_not(None), goes_on)
    rows = newest(session, query, AlarmMember.over_at, AlarmMember.alarm_id, before, limit)
    alarms = _alarms(session, {row.alarm_id for row in rows})
    return [
        Happened(row.over_at, row.alarm_id, "recovered", *alarms[row.alarm_id], None, {})
        for row in rows
        if row.over_at is not None
    ]


def _memberships(terminal_id: str) -> Select[AlarmMember]:
    """In alarms of several."""
    query = select(AlarmMember).join(Alarm, Alarm.id == AlarmMember.alarm_id)
    return query.where(AlarmMember.terminal_id == terminal_id, ~_OWN)


def _while_in_it() -> ColumnElement[bool]:
    """Of one that came back, its members' earlier times are not known any more: all of it is told."""
    since = AlarmEvent.at >= AlarmMember.raised_at
    until = or_(AlarmMember.over_at.is_(None), AlarmEvent.at <= AlarmMember.over_at)
    return or_(Alarm.times > 1, and_(since, until))


def _alarms(session: Session, ids: set[str]) -> dict[str, tuple[Alarm, AlarmRule]]:
    query = select(Alarm, AlarmRule).join(AlarmRule, AlarmRule.id == Alarm.rule_id).where(Alarm.id.in_(ids))
    return {alarm.id: (alarm, rule) for alarm, rule in session.execute(query)}
