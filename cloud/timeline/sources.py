"""The lists that a terminal's timeline is made of, each read from the feature that keeps it.

Each function gives at most `limit` events before a place, newest first. None of them names a member.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud.alarms import history as alarm_history
from cloud.alarms.history import Happened
from cloud.audit import service as auditing
from cloud.clock import EPOCH, to_us
from cloud.commands import service as commands
from cloud.paging import Before
from cloud.quarantine import service as quarantined
from cloud.terminals import history
from cloud.timeseries.port import Measurement, Timeseries, Where

HOUR: Final = timedelta(hours=1)
LOOKS_BACK: Final = (timedelta(days=2), timedelta(days=60), timedelta(days=800))
"""How far back from its place a page looks for hours with check-ins: no further than the first that gives enough of them, nor
than the other lists fill the page."""


class Sort(StrEnum):
    """What a timeline is filtered by."""

    CONNECTION = "connection"
    ALARM = "alarm"
    TWIN = "twin"
    COMMAND = "command"
    MARK = "mark"
    CHECK_IN = "check_in"
    AUDIT = "audit"


@dataclass(frozen=True)
class Event:
    """Something at a time: a word for what it was, and what is known of it (times in microseconds).

    `key` tells it from others of its source at that time.
    """

    at: datetime
    sort: Sort
    what: str
    key: int | str
    detail: Mapping[str, Any] = field(default_factory=dict)
    row: Any = field(default=None, compare=False)
    """An entry of the audit itself, for pages, which say it in words."""


@dataclass(frozen=True)
class Asked:
    """Whose events, when that is asked, and where they are kept. What is older than `since` has no place on the page."""

    session: Session
    id: str
    now: datetime
    series: Callable[[], Timeseries]
    since: datetime = EPOCH


def presence(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Connections: what it became; `flapping` for a link that came and went so many `times` since `began_at`."""
    return [
        Event(
            line.at,
            Sort.CONNECTION,
            "flapping" if line.flapping else line.presence,
            line.number,
            {"presence": line.presence, "cause": line.cause, "connection": line.connection, "times": line.times,
             "began_at": to_us(line.began_at)},
        )
        for line in history.presence(asked.session, asked.id, before, limit)
    ]  # fmt: skip


def told(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Twins that were published, with the parts that differ from the one before."""
    return [
        Event(each.at, Sort.TWIN, "told", each.number, {"version": [each.epoch, each.number], "parts": each.parts})
        for each in history.twins(asked.session, asked.id, before, limit)
    ]


def reported(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Twins that it reported, where it said something new: which version, and which settings in force are others than before.

    `pending`: taken, and nothing is wrong, but its files are still on their way.
    """
    return [
        Event(
            each.at,
            Sort.TWIN,
            "applied" if each.applied else "refused" if each.problems else "pending",
            each.number,
            {"version": [each.twin_epoch, each.twin_number], "problems": each.problems, "changed": each.changed},
        )
        for each in history.reported(asked.session, asked.id, before, limit)
    ]


def asked_for(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Commands, when they were asked for and by whom."""
    return [
        Event(
            each.asked_at, Sort.COMMAND, "asked", each.id, {"command": each.name, "who": each.asked_by, "id": each.id}
        )
        for each in commands.asked(asked.session, asked.id, before, limit)
    ]


def ended(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Commands, when they ended and how."""
    return [
        Event(
            each.settled_at,
            Sort.COMMAND,
            each.state,
            each.id,
            {"command": each.name, "reason": each.reason, "id": each.id},
        )
        for each in commands.ended(asked.session, asked.id, before, limit)
        if each.settled_at is not None
    ]


def alarms(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Alarms that it was in: raised, come back, acknowledged, cleared, become part of a larger one."""
    return [_alarm(each) for each in alarm_history.events(asked.session, asked.id, before, limit)]


def alarms_joined(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Alarms of others that it came into."""
    return [_alarm(each) for each in alarm_history.joined(asked.session, asked.id, before, limit)]


def alarms_left(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Alarms of several that went on without it."""
    return [_alarm(each) for each in alarm_history.recovered(asked.session, asked.id, before, limit)]


def marks(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Marks, when they were set."""
    return [
        Event(each.at, Sort.MARK, each.mark, each.mark)
        for each in history.marks(asked.session, asked.id, before, limit)
    ]


def quarantine(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """What could not be understood, counted by the hour."""
    hours = quarantined.by_hour(asked.session, asked.id, history.until_hour(before), limit)
    return [
        Event(at, Sort.MARK, "quarantine", 0, {"count": count, "until": _until(at, asked.now)}) for at, count in hours
    ]


def check_ins(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """Check-ins of any outcome, counted by the hour; `heads` are those that came in."""
    until = history.until_hour(before) or history.hour_of(asked.now) + HOUR
    where, least = Where(terminals=[asked.id]), history.hour_of(asked.since)
    found: list[Event] = []
    for back in LOOKS_BACK if least < until else ():
        start = max(until - back, least)
        hours = asked.series().series(Measurement.ATTENDANCE, "heads", start, until, HOUR, where)
        found = [
            Event(
                hour.start_at,
                Sort.CHECK_IN,
                "check_ins",
                0,
                {
                    "count": hour.count,
                    "heads": round(hour.mean * hour.count),
                    "until": _until(hour.start_at, asked.now),
                },
            )
            for hour in reversed(hours)
        ]
        if len(found) >= limit or start == least:
            break
    return found[:limit]


def audit(asked: Asked, before: Before | None, limit: int) -> Sequence[Event]:
    """What people did to it, but for commands, which have lists of their own; without the addresses it was done from."""
    return [
        Event(
            entry.at,
            Sort.AUDIT,
            entry.action,
            entry.id,
            {"who": entry.who, "detail": entry.detail, "before": entry.before},
            entry,
        )
        for entry in auditing.of_subject(asked.session, asked.id, before, limit, without="command.")
    ]


def _until(hour: datetime, now: datetime) -> int:
    """Until when an hour was counted: of the present one, until now."""
    return to_us(max(hour, min(hour + HOUR, now)))


def _alarm(each: Happened) -> Event:
    told = {
        "id": each.alarm.id, "severity": each.alarm.severity, "reach": each.alarm.reach, "who": each.who,
        "name": each.rule.name, "name_en": each.rule.name_en, "kind": each.rule.kind, "metric": each.rule.metric,
    }  # fmt: skip
    more = {name: each.detail.get(name) for name in ("members", "value", "why", "into")}
    return Event(each.at, Sort.ALARM, each.what, each.key, told | more)
