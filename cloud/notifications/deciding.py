"""What a receiver is told: from an event of an alarm, by escalation, and whether still when its turn comes. Pure.

Promises that what is decided from how an alarm stands is decided anew each time, so that a restart changes nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from cloud.alarms.events import EventKind
from cloud.alarms.rules import Severity
from cloud.alarms.standing import Standing
from cloud.notifications.quiet import Quiet, quiet_until


class What(StrEnum):
    """What somebody is told of an alarm. `escalated` is told to those only who are told after a while."""

    RAISED = "raised"
    REOPENED = "reopened"
    GREW = "grew"
    ACKNOWLEDGED = "acknowledged"
    CLEARED = "cleared"
    ESCALATED = "escalated"


class State(StrEnum):
    """Where a notification is. `dead`: given up, until a person sends it again. `dropped`: not worth telling any more."""

    WAITING = "waiting"
    SENDING = "sending"
    DELIVERED = "delivered"
    DEAD = "dead"
    DROPPED = "dropped"


BEGINNINGS: Final = frozenset({What.RAISED, What.REOPENED, What.ESCALATED})
"""From one of these on a receiver knows of an alarm, and wants to hear what becomes of it."""
SETTLES: Final = timedelta(minutes=10)
"""An alarm that came back before is told as cleared when it has been so for as long as it could come back as the same one."""
_ORDER: Final = tuple(Severity)


@dataclass(frozen=True, slots=True)
class Listener:
    """A receiver as far as it decides. `path` is its organisation's, `/` for the whole tree; no rule ids mean all rules."""

    id: str
    path: str
    severity: Severity
    rule_ids: frozenset[str]
    what: frozenset[What]
    after: timedelta
    since_at: datetime
    zone: ZoneInfo
    quiet: Quiet | None = None
    through: Severity | None = None

    def is_about(self, alarm: Standing) -> bool:
        """Whether it is told of this alarm at all."""
        return (
            reaches(alarm.severity, self.severity)
            and (not self.rule_ids or alarm.rule_id in self.rule_ids)
            and (self.path == "/" or any(path.startswith(self.path) for path in alarm.paths))
        )


@dataclass(frozen=True, slots=True)
class Told:
    """A notification that there is about the alarm in question."""

    id: int
    receiver_id: str
    what: What
    state: State
    attempts: int = 0
    held: bool = False
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Adding:
    """A new one; it is due at `due_at`."""

    receiver_id: str
    what: What
    event_id: int
    at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of an event: new notifications, and the ids of those that are not worth telling any more."""

    adding: list[Adding] = field(default_factory=list)
    dropping: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """On a notification whose turn has come: told now, not before `until`, or never, for the reason `dropped`."""

    until: datetime | None = None
    dropped: str | None = None


def reaches(severity: Severity, least: Severity) -> bool:
    """Whether it is at least as severe."""
    return _ORDER.index(severity) <= _ORDER.index(least)


def is_told(kind: EventKind) -> bool:
    """Whether anybody could be told of it. Escalation is told by how the alarm stands."""
    return kind.value in set(What) and kind is not EventKind.ESCALATED


def on_event(
    kind: EventKind,
    event_id: int,
    at: datetime,
    alarm: Standing,
    listeners: Iterable[Listener],
    told: Sequence[Told],
) -> Plan:
    """What an event leads to; most lead to nothing. `told` is what of the alarm was told or is to be."""
    plan = Plan()
    if not is_told(kind):
        return plan
    what = What(kind.value)
    settles = SETTLES if what is What.CLEARED and alarm.times > 1 else timedelta()
    for listener in listeners:
        if at < listener.since_at:
            continue
        own = [each for each in told if each.receiver_id == listener.id]
        recovered = [each.id for each in own if what is What.REOPENED and _is_untold(each, What.CLEARED)]
        plan.dropping.extend(recovered)
        if recovered and _knows(own):
            continue  # it was never told that it had cleared
        if what in listener.what and _concerns(what, listener, alarm, own):
            plan.adding.append(Adding(listener.id, what, event_id, at, at + settles))
    return plan


def is_escalated(listener: Listener, alarm: Standing, told: Sequence[Told], now: datetime) -> bool:
    """Whether nobody has acknowledged it for so long that this receiver is to be told; what was dropped counts as not told."""
    return (
        listener.after > timedelta()
        and alarm.cleared_at is None
        and alarm.acknowledged_at is None
        and not alarm.is_asleep(now)
        and listener.since_at <= alarm.first_raised_at <= now - listener.after
        and listener.is_about(alarm)
        and not any(
            each.receiver_id == listener.id and each.what is What.ESCALATED and each.state is not State.DROPPED
            for each in told
        )
    )


def judge(one: Told, alarm: Standing | None, listener: Listener | None, told: Sequence[Told], now: datetime) -> Verdict:
    """Whether it is still worth telling, and whether now. What was tried once, or asked for by a person, is told."""
    if one.asked or one.attempts:
        return Verdict()
    if listener is None:
        return Verdict(dropped="receiver_off")
    if alarm is None:
        return Verdict(dropped="alarm_gone")
    own = [each for each in told if each.receiver_id == one.receiver_id]
    reason = _outdated(one, alarm, own) or _unwanted(one, alarm, listener, own)
    if reason is not None:
        return Verdict(dropped=reason)
    until = held_until(listener, alarm, now)
    return Verdict(until=until if until > now else None)


def held_until(listener: Listener, alarm: Standing, now: datetime) -> datetime:
    """`now`, or when both its sleep and the receiver's quiet hours are over."""
    until = now
    if alarm.is_asleep(now):
        assert alarm.snoozed_until_at is not None  # noqa: S101
        until = alarm.snoozed_until_at
    breaks_through = listener.through is not None and reaches(alarm.severity, listener.through)
    if listener.quiet is not None and not breaks_through:
        until = quiet_until(listener.quiet, until) or until
    return until


def _is_untold(each: Told, what: What) -> bool:
    return each.what is what and each.state is State.WAITING and not each.attempts


def _knows(own: Sequence[Told]) -> bool:
    """Whether it was told of a beginning, or is still to be."""
    return any(each.what in BEGINNINGS and each.state not in {State.DROPPED, State.DEAD} for each in own)


def _concerns(what: What, listener: Listener, alarm: Standing, own: Sequence[Told]) -> bool:
    """A beginning those who are told of such an alarm, the rest those who know of it, wherever its terminals stand now."""
    if what in BEGINNINGS:
        return listener.is_about(alarm) and (_knows(own) or not listener.after)
    return _knows(own)


def _unwanted(one: Told, alarm: Standing, listener: Listener, own: Sequence[Told]) -> str | None:
    """Why it does not concern the receiver any more, which was changed since, or the terminal moved."""
    if one.what is What.ESCALATED or one.what in listener.what:
        later = one.what is What.RAISED and listener.after > timedelta()
        if not later and (listener.is_about(alarm) or (one.what not in BEGINNINGS and _was_told(own))):
            return None
    return "not_concerned"


def _was_told(own: Sequence[Told]) -> bool:
    return any(each.what in BEGINNINGS and (each.state is State.DELIVERED or each.attempts) for each in own)


def _outdated(one: Told, alarm: Standing, own: Sequence[Told]) -> str | None:
    """Why it is not worth telling any more. What was held back is told only if it is still so at the end."""
    if alarm.cleared_why == "grouped":
        return "grouped"
    if one.what is What.CLEARED:
        if alarm.cleared_at is None:
            return "came_back"
        return "cleared" if one.held and not _was_told(own) else None
    if alarm.cleared_at is not None and (one.held or one.what is What.ESCALATED):
        return "cleared"
    if alarm.acknowledged_at is not None and one.what is What.ESCALATED:
        return "acknowledged"
    return None
