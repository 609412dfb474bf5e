"""What is open now: the alarms about each terminal, and those that need a hand before others.

Promises that an alarm of many terminals is one line where it is told to people, and counts for each terminal that has not
recovered. Reads only. Called by the list of terminals and by the overview.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, Select, Subquery, case, func, literal, or_, select
from sqlalchemy.orm import Session

from cloud.alarms import service
from cloud.alarms.grouping import Reach
from cloud.alarms.models import Alarm, AlarmMember, AlarmRule
from cloud.alarms.rules import RuleKind, Severity
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms
from cloud.scope import Scope

RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}
"""The severest is 0."""
_SEVERITY: Final = case({severity.value: rank for severity, rank in RANK.items()}, value=Alarm.severity)


@dataclass(frozen=True)
class OpenAlarm:
    """An open alarm about a terminal, with its rule's names."""

    id: str
    severity: str
    name: str
    name_en: str


@dataclass(frozen=True)
class Attention:
    """An open alarm as it is told at a glance; `place` and `todo` are Chinese and English, empty where there is none."""

    id: str
    severity: str
    name: tuple[str, str]
    todo: tuple[str, str]
    place: tuple[str, str]
    reach: str
    members: int
    since_at: datetime
    acknowledged_by: str | None


def severest() -> Subquery:
    """`terminal_id` and `rank` of the severest open alarm of each terminal that has any."""
    query = select(AlarmMember.terminal_id, func.min(_SEVERITY).label("rank")).join(
        Alarm, Alarm.id == AlarmMember.alarm_id
    )
    open_ones = query.where(AlarmMember.over_at.is_(None), Alarm.cleared_at.is_(None))
    return open_ones.group_by(AlarmMember.terminal_id).subquery()


def about(kind: RuleKind | None = None) -> Select[str]:
    """The ids of the terminals about which an alarm is open, of one kind of rule where it is named."""
    query = select(AlarmMember.terminal_id).join(Alarm, Alarm.id == AlarmMember.alarm_id)
    query = query.where(AlarmMember.over_at.is_(None), Alarm.cleared_at.is_(None))
    if kind is None:
        return query
    return query.join(AlarmRule, AlarmRule.id == AlarmMember.rule_id).where(AlarmRule.kind == kind)


def of_terminals(session: Session, terminal_ids: Sequence[str]) -> Mapping[str, Sequence[OpenAlarm]]:
    """The open alarms of each of these (a page of them), the severest first, then the oldest."""
    columns = (AlarmMember.terminal_id, Alarm.id, Alarm.severity, AlarmRule.name, AlarmRule.name_en)
    query = (
        select(*columns)
        .join(Alarm, Alarm.id == AlarmMember.alarm_id)
        .join(AlarmRule, AlarmRule.id == Alarm.rule_id)
        .where(AlarmMember.terminal_id.in_(terminal_ids), AlarmMember.over_at.is_(None), Alarm.cleared_at.is_(None))
        .order_by(_SEVERITY, Alarm.since_at, Alarm.id)
    )
    found: dict[str, list[OpenAlarm]] = {}
    for terminal_id, *alarm in session.execute(query):
        found.setdefault(terminal_id, []).append(OpenAlarm(*alarm))
    return found


def marks_told(session: Session, terminal_ids: Sequence[str]) -> set[tuple[str, str | None]]:
    """(terminal, mark) of the marks of these terminals about which an alarm is open."""
    query = (
        select(AlarmMember.terminal_id, AlarmRule.mark)
        .join(AlarmRule, AlarmRule.id == AlarmMember.rule_id)
        .where(
            AlarmMember.terminal_id.in_(terminal_ids), AlarmMember.over_at.is_(None), AlarmRule.kind == RuleKind.MARK
        )
    )
    return {(terminal_id, mark) for terminal_id, mark in session.execute(query)}


def count_marks_told(terminal_id: ColumnElement[str], marks: ColumnElement[str]) -> ColumnElement[int]:
    """How many of the marks (JSON) of a terminal an alarm is open about, as a column of a query of terminals."""
    quoted = literal('"') + AlarmRule.mark + literal('"')
    query = (
        select(func.count(AlarmRule.mark.distinct()))
        .select_from(AlarmMember)
        .join(AlarmRule, AlarmRule.id == AlarmMember.rule_id)
        .where(
            AlarmMember.terminal_id == terminal_id, AlarmMember.over_at.is_(None), AlarmRule.kind == RuleKind.MARK,
            func.replace(marks, quoted, "") != marks,
        )
    )  # fmt: skip
    return query.scalar_subquery()


def first(session: Session, scope: Scope, now: datetime, limit: int) -> tuple[Attention, ...]:
    """The active ones that do not sleep: what nobody has acknowledged before the rest, then the severest, then the oldest."""
    awake = or_(Alarm.snoozed_until_at.is_(None), Alarm.snoozed_until_at <= now)
    query = (
        select(Alarm, AlarmRule)
        .join(AlarmRule, AlarmRule.id == Alarm.rule_id)
        .where(Alarm.cleared_at.is_(None), awake, service.within(scope))
        .order_by(Alarm.acknowledged_at.is_not(None), _SEVERITY, Alarm.since_at, Alarm.id)
        .limit(limit)
    )
    rows = session.execute(query).all()
    places = _places(session, [alarm for alarm, _ in rows])
    return tuple(
        Attention(alarm.id, alarm.severity, (rule.name, rule.name_en), (rule.todo, rule.todo_en), places[alarm.id],
                  alarm.reach, alarm.members, alarm.since_at, alarm.acknowledged_by)
        for alarm, rule in rows
    )  # fmt: skip


def _places(session: Session, alarms: Sequence[Alarm]) -> dict[str, tuple[str, str]]:
    """What each alarm's place is called; nothing for everywhere and for the cloud itself."""
    by_reach = {reach: {each.place_id for each in alarms if each.reach == reach} for reach in Reach}
    called = organisations.names(session, by_reach[Reach.ORGANISATION])
    for room_id, (number, name, name_en) in rooms.labels(session, by_reach[Reach.ROOM]).items():
        called[room_id] = (f"{number} {name}", f"{number} {name_en or name}")
    for terminal_id in by_reach[Reach.TERMINAL]:
        called[terminal_id] = (terminal_id, terminal_id)
    return {each.id: called.get(each.place_id, ("", "")) for each in alarms}
