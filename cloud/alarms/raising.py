"""Brings the alarms into line with the conditions: raises what is due and in no alarm, clears what is over.

Compares what is with what ought to be, so that a turn that is repeated, by this process or another, raises nothing twice.
Writes within the caller's transaction; called by the evaluator.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud.alarms import events, reading
from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Due, Joining, Open, Raising, Reach, group, totals_of
from cloud.alarms.judging import Judging, Key
from cloud.alarms.looks import NotOnline
from cloud.alarms.reading import Member, Window
from cloud.alarms.rules import SAMPLED, SECOND_US, Condition, Place, Rule
from cloud.bulk import Bulk, Row
from cloud.database import new_id
from cloud.terminals.presence import Presence

COMES_BACK_WITHIN_US: Final = 600 * SECOND_US
"""What comes back so soon after it cleared is the same alarm again, counted and not spammed."""
FRESH_US: Final = 3600 * SECOND_US
"""A sample that is older, of a terminal that sends what it kept for days, raises nothing any more."""

_MEMBER: Final = """INSERT INTO alarm_members (alarm_id, terminal_id, rule_id, since_at, raised_at, over_at, value)
VALUES (?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (alarm_id, terminal_id) DO UPDATE SET since_at = excluded.since_at,
raised_at = excluded.raised_at, over_at = NULL, value = excluded.value"""
_ALARM: Final = (
    "id",
    "rule_id",
    "reach",
    "place_id",
    "severity",
    "since_at",
    "until_at",
    "raised_at",
    "times",
    "members",
)
_COUNT: Final = """UPDATE alarms SET members =
(SELECT COUNT(*) FROM alarm_members m WHERE m.alarm_id = alarms.id AND m.over_at IS NULL) WHERE id = ?"""


@dataclass(frozen=True, slots=True)
class Situation:
    """All that decides: conditions, what is in maintenance, who is not online, and when. Times in microseconds."""

    judging: Judging
    windows: Sequence[Window]
    not_online: Mapping[str, NotOnline]
    now: int

    def fell_at(self, place: Place, condition: Condition) -> int | None:
        """When it counts as fallen: not before the end of a maintenance window. None while it is held back."""
        if (gone := self.not_online.get(place.terminal)) is not None and gone.presence is Presence.MAINTENANCE:
            return None
        ends = [each.ends_at for each in self.windows if each.covers(place)]
        if any(ends_at > self.now for ends_at in ends):
            return None
        return max([condition.since_at, *ends])

    def is_fresh(self, rule: Rule, place: Place, condition: Condition) -> bool:
        """Whether the newest observation is of our time."""
        apart_us = int(3 * place.health_every_s * SECOND_US)
        return rule.kind not in SAMPLED or self.now - condition.seen_at <= max(FRESH_US, apart_us)


@dataclass(slots=True)
class Settled:
    """What was done. `held_back`: something is due, and must be looked at again though nothing changes."""

    raised: int = 0
    cleared: int = 0
    held_back: bool = False


@dataclass(slots=True)
class _Writing:
    """Rows that are gathered, to be written with few statements."""

    now: int
    over: list[Row] = field(default_factory=list)
    members: list[Row] = field(default_factory=list)
    alarms: list[Row] = field(default_factory=list)
    again: list[Row] = field(default_factory=list)
    spans: list[Row] = field(default_factory=list)
    counted: set[str] = field(default_factory=set)
    why: dict[str, str] = field(default_factory=dict)
    into: dict[str, str] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)


def settle(bulk: Bulk, situation: Situation) -> Settled:
    """Raise and clear."""
    judging, now = situation.judging, situation.now
    members = reading.members(bulk)
    writing, settled = _Writing(now), Settled()
    for key, member in members.items():
        condition = judging.get(*key)
        if condition is None or not condition.active:
            writing.over.append((now, member.alarm_id, member.terminal))
            writing.counted.add(member.alarm_id)
            writing.why[member.alarm_id] = _why(judging, key)
    due, near = _candidates(situation, members, settled)
    if due:
        _raise(bulk, situation, due, near, writing)
    settled.raised = len(writing.alarms) + len(writing.again)
    settled.cleared = _write(bulk, writing)
    return settled


def _why(judging: Judging, key: Key) -> str:
    rule, place = judging.rules.get(key[0]), judging.place(key[1])
    if rule is None:
        return "rule_gone"
    return "well" if place is not None and rule.is_about(place) else "not_about"


def _candidates(
    situation: Situation, members: Mapping[Key, Member], settled: Settled
) -> tuple[dict[str, list[Due]], dict[str, list[Due]]]:
    """By rule: what is to be raised, and what may fall together with it."""
    due: dict[str, list[Due]] = {}
    near: dict[str, list[Due]] = {}
    for key, condition in situation.judging.items():
        rule_id, terminal = key
        member, rule, place = members.get(key), situation.judging.rules.get(rule_id), situation.judging.place(terminal)
        if rule is None or place is None:
            continue
        if member is not None:
            if member.reach is Reach.TERMINAL and condition.active:
                near.setdefault(rule_id, []).append(Due(terminal, member.since_at, condition.value, member.alarm_id))
            continue
        fell_at = situation.fell_at(place, condition)
        if fell_at is None:
            settled.held_back = True
            continue
        if condition.active and not situation.is_fresh(rule, place, condition):
            continue  # until a new sample comes: time does not make it fresher
        (due if condition.active else near).setdefault(rule_id, []).append(Due(terminal, fell_at, condition.value))
    return due, near


def _raise(
    bulk: Bulk,
    situation: Situation,
    due: Mapping[str, list[Due]],
    near: Mapping[str, list[Due]],
    writing: _Writing,
) -> None:
    places = situation.judging.places
    never = [each for each, found in situation.not_online.items() if found.presence is Presence.NEVER]
    totals = totals_of(places.values(), never)
    groups = reading.groups(bulk)
    cleared = reading.cleared_since(bulk, situation.now - COMES_BACK_WITHIN_US)
    for rule_id, found in sorted(due.items()):
        open_ = [Open(each.id, *each[2:]) for each in groups if each.rule_id == rule_id]
        grouped = group(found, near.get(rule_id, ()), open_, places, totals)
        for joining in grouped.joined:
            _note_joining(writing, rule_id, joining)
        for raising in grouped.raised:
            before = cleared.pop((rule_id, raising.reach, raising.place_id), None)  # it comes back once
            _note_raising(writing, situation.judging.rules[rule_id], raising, before)


def _note_joining(writing: _Writing, rule_id: str, joining: Joining) -> None:
    writing.spans.append((joining.until_at, joining.alarm_id))
    writing.events.append(_event(writing, joining.alarm_id, EventKind.GREW, joining.members))
    _note_members(writing, rule_id, joining.alarm_id, joining.members)


def _note_raising(writing: _Writing, rule: Rule, raising: Raising, before: str | None) -> None:
    alarm_id = before or new_id("alm")
    span = (raising.since_at, raising.until_at, writing.now)
    if before is None:
        place = (rule.id, raising.reach.value, raising.place_id, rule.severity.value)
        writing.alarms.append((alarm_id, *place, *span, 1, len(raising.members)))
    else:
        writing.again.append((*span, alarm_id))
    kind = EventKind.RAISED if before is None else EventKind.REOPENED
    writing.events.append(_event(writing, alarm_id, kind, raising.members))
    for absorbed in [each.alarm_id for each in raising.members if each.alarm_id]:
        writing.into[absorbed] = alarm_id
    writing.over += [(writing.now, each.alarm_id, each.terminal) for each in raising.members if each.alarm_id]
    writing.counted |= {each.alarm_id for each in raising.members if each.alarm_id}
    _note_members(writing, rule.id, alarm_id, raising.members)


def _event(writing: _Writing, alarm_id: str, kind: EventKind, members: Sequence[Due]) -> Row:
    """How many, and the value where there is one terminal."""
    value = members[0].value if len(members) == 1 else None
    return events.event(alarm_id, writing.now, kind, members=len(members), value=value)


def _note_members(writing: _Writing, rule_id: str, alarm_id: str, members: Iterable[Due]) -> None:
    writing.counted.add(alarm_id)
    writing.members += [(alarm_id, each.terminal, rule_id, each.since_at, writing.now, each.value) for each in members]


def _write(bulk: Bulk, writing: _Writing) -> int:
    """All of it; how many alarms were cleared."""
    bulk.run_many(
        "UPDATE alarm_members SET over_at = ? WHERE alarm_id = ? AND terminal_id = ? AND over_at IS NULL", writing.over
    )
    bulk.insert("alarms", _ALARM, writing.alarms)
    bulk.run_many(
        "UPDATE alarms SET since_at = ?, until_at = ?, raised_at = ?, cleared_at = NULL, cleared_why = NULL, "
        "times = times + 1 WHERE id = ?",
        writing.again,
    )
    bulk.run_many(_MEMBER, writing.members)
    bulk.run_many("UPDATE alarms SET until_at = ? WHERE id = ?", writing.spans)
    bulk.run_many(_COUNT, [(each,) for each in sorted(writing.counted)])
    empty = bulk.rows_in(
        "SELECT id FROM alarms WHERE members = 0 AND cleared_at IS NULL AND id IN", sorted(writing.counted)
    )
    for (alarm_id,) in empty:
        into = writing.into.get(alarm_id)
        why = "grouped" if into else writing.why.get(alarm_id, "well")
        bulk.run("UPDATE alarms SET cleared_at = ?, cleared_why = ? WHERE id = ?", (writing.now, why, alarm_id))
        kind = EventKind.GROUPED if into else EventKind.CLEARED
        writing.events.append(events.event(alarm_id, writing.now, kind, why=why, into=into))
    events.append(bulk, writing.events)
    return len(empty)
