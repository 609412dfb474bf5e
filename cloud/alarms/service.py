"""Alarms for people and programs: listed, looked at, acknowledged, commented, put to sleep. Raising is the evaluator's part.

Promises that whether an alarm is active and whether somebody has acknowledged it are two things; that nobody sees an alarm
without a terminal in the own scope, nor acts on one that reaches beyond it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field
from sqlalchemy import ColumnElement, func, select, true
from sqlalchemy.orm import Session

from cloud.alarms import events
from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Reach
from cloud.alarms.models import Alarm, AlarmCondition, AlarmEvent, AlarmMember, AlarmRule
from cloud.alarms.rules import Severity
from cloud.audit.service import Change, note
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from cloud.forms import Form, InstantUs, Sentence
from cloud.paging import Found, Paging, find
from cloud.scope import Scope
from cloud.terminals import service as terminals

KEPT_DAYS: Final = 400
"""So long a cleared alarm is kept, with what happened to it."""
MOST_COMMENTS: Final = 200
EVENTS_SHOWN: Final = 500
LONGEST_SNOOZE: Final = timedelta(days=30)


class AlarmState(StrEnum):
    """Active or cleared."""

    ACTIVE = "active"
    CLEARED = "cleared"


class AcknowledgeForm(Form):
    """That somebody knows of it; what they say is optional."""

    comment: Sentence | None = None


class CommentForm(Form):
    """What somebody found or did."""

    comment: Sentence


class SnoozeForm(Form):
    """Until when nobody wants to be reminded of it; null ends that."""

    until_at: InstantUs | None
    reason: Annotated[Sentence | None, Field(default=None)] = None


@dataclass(frozen=True)
class Wanted:
    """Which alarms of a list; None for any."""

    state: AlarmState | None = None
    acknowledged: bool | None = None
    severity: Severity | None = None
    rule_id: str | None = None
    terminal_id: str | None = None


def list_alarms(session: Session, scope: Scope, paging: Paging, wanted: Wanted) -> Found[Alarm]:
    """Newest first."""
    query = select(Alarm).where(within(scope))
    if wanted.state is not None:
        cleared = Alarm.cleared_at.is_not(None)
        query = query.where(cleared if wanted.state is AlarmState.CLEARED else ~cleared)
    if wanted.acknowledged is not None:
        acknowledged = Alarm.acknowledged_at.is_not(None)
        query = query.where(acknowledged if wanted.acknowledged else ~acknowledged)
    if wanted.severity is not None:
        query = query.where(Alarm.severity == wanted.severity)
    if wanted.rule_id is not None:
        query = query.where(Alarm.rule_id == wanted.rule_id)
    if wanted.terminal_id is not None:
        of_it = select(AlarmMember.alarm_id).where(AlarmMember.terminal_id == wanted.terminal_id, _member_within(scope))
        query = query.where(Alarm.id.in_(of_it))
    return find(session, query, [Alarm.raised_at, Alarm.id], paging, newest_first=True)


def get(session: Session, scope: Scope, alarm_id: str, *, to_edit: bool = False) -> Alarm:
    """NotFound outside the scope, too. Forbidden to edit one that also reaches terminals beyond the scope."""
    query = select(Alarm).where(Alarm.id == alarm_id, within(scope))
    alarm = session.scalar(query.with_for_update() if to_edit else query)
    if alarm is None:
        raise NotFound(f"There is no alarm {alarm_id}.", code="no_alarm", id=alarm_id)
    if to_edit and scope.path != "/":
        inside = terminals.within(scope, AlarmMember.terminal_id)
        beyond = select(AlarmMember.terminal_id).where(AlarmMember.alarm_id == alarm_id, ~inside)
        if session.scalar(beyond.limit(1)) is not None:
            raise Forbidden("It reaches terminals beyond your branch; somebody there must act.", code="alarm_beyond")
    return alarm


def count_active(session: Session, scope: Scope) -> int:
    """How many are not cleared."""
    query = select(func.count()).select_from(Alarm).where(Alarm.cleared_at.is_(None), within(scope))
    return session.scalar(query) or 0


def newest_event(session: Session) -> int:
    """A number that grows with everything that happens to any alarm."""
    return session.scalar(select(func.max(AlarmEvent.id))) or 0


def rules_of(session: Session, alarms: Sequence[Alarm]) -> Mapping[str, AlarmRule]:
    """The rules of these alarms, deleted ones among them, by id."""
    found = session.scalars(select(AlarmRule).where(AlarmRule.id.in_({alarm.rule_id for alarm in alarms})))
    return {rule.id: rule for rule in found}


def members(session: Session, scope: Scope, alarm_id: str, paging: Paging) -> Found[AlarmMember]:
    """The terminals of an alarm, those in the scope, by id."""
    get(session, scope, alarm_id)
    query = select(AlarmMember).where(AlarmMember.alarm_id == alarm_id, _member_within(scope))
    return find(session, query, [AlarmMember.terminal_id], paging)


def values_now(session: Session, rule_id: str, terminal_ids: Sequence[str]) -> Mapping[str, float | None]:
    """The newest value of each of these for which the rule's condition holds."""
    query = select(AlarmCondition.terminal_id, AlarmCondition.value).where(
        AlarmCondition.rule_id == rule_id, AlarmCondition.terminal_id.in_(terminal_ids)
    )
    return dict(session.execute(query).all())


def story(session: Session, alarm_id: str) -> Sequence[AlarmEvent]:
    """What happened to it, newest first; the last EVENTS_SHOWN."""
    query = select(AlarmEvent).where(AlarmEvent.alarm_id == alarm_id)
    return session.scalars(query.order_by(AlarmEvent.id.desc()).limit(EVENTS_SHOWN)).all()


def acknowledge(session: Session, change: Change, scope: Scope, alarm_id: str, form: AcknowledgeForm) -> Alarm:
    """Conflict when somebody has already."""
    alarm = get(session, scope, alarm_id, to_edit=True)
    if alarm.acknowledged_at is not None:
        raise Conflict(
            f"It was acknowledged already, by {alarm.acknowledged_by}.", code="acknowledged", who=alarm.acknowledged_by
        )
    alarm.acknowledged_at, alarm.acknowledged_by = change.at, change.who
    return _changed(session, change, alarm, EventKind.ACKNOWLEDGED, "alarm.acknowledge", comment=form.comment)


def comment(session: Session, change: Change, scope: Scope, alarm_id: str, form: CommentForm) -> Alarm:
    """Conflict beyond MOST_COMMENTS."""
    alarm = get(session, scope, alarm_id, to_edit=True)
    query = select(func.count()).where(AlarmEvent.alarm_id == alarm_id, AlarmEvent.kind == EventKind.COMMENTED)
    if (session.scalar(query) or 0) >= MOST_COMMENTS:
        raise Conflict(f"It has {MOST_COMMENTS} comments already.", code="too_many_comments", n=MOST_COMMENTS)
    return _changed(session, change, alarm, EventKind.COMMENTED, "alarm.comment", comment=form.comment)


def snooze(session: Session, change: Change, scope: Scope, alarm_id: str, form: SnoozeForm) -> Alarm:
    """Conflict for a cleared one; Invalid for a time that is past or too far away."""
    alarm = get(session, scope, alarm_id, to_edit=True)
    if alarm.cleared_at is not None:
        raise Conflict("It has cleared already.", code="alarm_cleared")
    if form.until_at is not None and not change.at < form.until_at <= change.at + LONGEST_SNOOZE:
        says = f"must lie ahead, by {LONGEST_SNOOZE.days} days at most"
        raise Invalid(
            "The alarm is not put to sleep.",
            [Fault("body.until_at", says, "snooze_span", {"n": LONGEST_SNOOZE.days})],
            code="not_snoozed",
        )
    alarm.snoozed_until_at, alarm.snoozed_by = form.until_at, change.who if form.until_at else None
    kind = EventKind.SNOOZED if form.until_at else EventKind.WOKEN
    until = to_us(form.until_at) if form.until_at else None
    return _changed(
        session, change, alarm, kind, f"alarm.{'snooze' if until else 'wake'}", comment=form.reason, until=until
    )


def _changed(session: Session, change: Change, alarm: Alarm, kind: EventKind, action: str, **detail: Any) -> Alarm:
    """Into the audit and into the alarm's own story."""
    session.flush()
    said = {name: value for name, value in detail.items() if value is not None}
    note(session, change, action, alarm.id, rule=alarm.rule_id, **said)
    events.append(Bulk.of(session), [events.event(alarm.id, to_us(change.at), kind, change.who, **said)])
    return alarm


def within(scope: Scope) -> ColumnElement[bool]:
    """The condition that an alarm has a terminal in the scope."""
    if scope.path == "/":
        return true()
    return Alarm.id.in_(select(AlarmMember.alarm_id).where(_member_within(scope)))


def _member_within(scope: Scope) -> ColumnElement[bool]:
    return terminals.within(scope, AlarmMember.terminal_id)


def is_group(alarm: Alarm) -> bool:
    """Whether it is about terminals that fell together."""
    return alarm.reach not in {Reach.TERMINAL, Reach.CLOUD}
