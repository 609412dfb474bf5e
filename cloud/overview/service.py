"""The numbers of the overview and of every page's frame, read once a second for all open pages together.

`Pulse` is compared with the one before: equal means that no page has to change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.alarms import open_alarms
from cloud.alarms import service as alarms
from cloud.alarms.open_alarms import Attention
from cloud.alarms.rules import RuleKind
from cloud.attendance import service as attendance
from cloud.checkins import service as checkins
from cloud.checkins.service import Seen
from cloud.organisations import service as organisations
from cloud.overview import positions
from cloud.overview.positions import Standing
from cloud.paging import MAX_LIMIT, Paging
from cloud.quarantine import service as quarantine
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import fleet as terminals

QUIET = timedelta(minutes=5)
"""A terminal that is connected and has had records for so long without any being stored needs a look."""

A_MOMENT = timedelta(minutes=5)
"""What other processes received by clocks that are a little ahead of ours is of today, too."""

SHOWN = 12
"""Check-ins on the board."""

ALARMS = 6
"""Open alarms under "Needs attention"; the rest are behind its link."""

MARKS = 10
"""Marks that are told; the list of terminals shows the rest."""

DIFFERING = 6
"""Terminals that are named because stored records differ."""

ROOMS = 8
"""Rooms under "Rooms now"."""


@dataclass(frozen=True)
class Frame:
    """What every page shows beside its own."""

    organisation: str
    organisation_en: str
    zone: ZoneInfo
    quarantined: int
    alarms: int = 0
    alarms_changed: int = 0
    """Grows with everything that happens to an alarm, so that pages that show some are told."""


@dataclass(frozen=True)
class RoomNow:
    """A room in which something goes on, and how many members are counted there."""

    room_id: str
    number: str
    occurrence_id: str
    title: str
    title_en: str
    starts_at: datetime
    ends_at: datetime
    here: int


@dataclass(frozen=True)
class Trouble:
    """Something that needs a hand: `kind` is its word in the catalogue."""

    kind: str
    terminal_id: str
    mark: str = ""
    since: datetime | None = None
    count: int = 1
    others: tuple[str, ...] = ()
    """Terminals beside it, by name."""
    unnamed: int = 0
    """Terminals beyond these."""


@dataclass(frozen=True)
class Pulse:
    """What there is to know at a glance."""

    frame: Frame
    standing: Standing
    newest_check_in: int
    check_ins: tuple[Seen, ...]
    today: int
    yesterday_until_now: int
    activities_now: int
    rooms_now: tuple[RoomNow, ...]
    rooms: int
    presence: tuple[tuple[str, int], ...]
    attention: tuple[Attention, ...]
    troubles: tuple[Trouble, ...]
    heard_at: datetime | None

    @property
    def terminals(self) -> int:
        """All that are in service."""
        return sum(count for _, count in self.presence)


class Overview:
    """Reads pulses. Remembers for each scope what was at this time yesterday, which changes slowly."""

    def __init__(self) -> None:
        self._yesterday: dict[Scope, tuple[datetime, int]] = {}

    def pulse(self, session: Session, scope: Scope, now: datetime) -> Pulse:
        """The present one."""
        frame = frame_of(session, scope)
        fleet = terminals.summary(session, scope)
        return Pulse(
            frame=frame,
            standing=positions.standing(session, now),
            newest_check_in=checkins.newest_id(session),
            check_ins=tuple(checkins.latest(session, scope, SHOWN)),
            today=checkins.count_received(session, scope, _midnight(now, frame.zone), now + A_MOMENT),
            yesterday_until_now=self._until_now_yesterday(session, scope, now, frame.zone),
            activities_now=activities.count_on(session, scope, now),
            rooms_now=_rooms_now(session, scope, now)[:ROOMS],
            rooms=rooms.count(session, scope),
            presence=fleet.presence,
            attention=open_alarms.first(session, scope, now, ALARMS),
            troubles=_troubles(session, scope, now, frame),
            heard_at=fleet.heard_at,
        )

    def _until_now_yesterday(self, session: Session, scope: Scope, now: datetime, zone: ZoneInfo) -> int:
        """At most half a minute old: nobody acts upon it."""
        if scope not in self._yesterday or abs(now - self._yesterday[scope][0]) > timedelta(seconds=30):
            until = now - timedelta(days=1)
            self._yesterday[scope] = (now, checkins.count_received(session, scope, _midnight(until, zone), until))
        return self._yesterday[scope][1]


def frame_of(session: Session, scope: Scope) -> Frame:
    """What every page needs before its own."""
    top = organisations.top(session, scope)
    return Frame(
        organisation=top.name if top else "",
        organisation_en=top.name_en if top else "",
        zone=ZoneInfo(top.timezone if top else "Asia/Shanghai"),
        quarantined=quarantine.count_open(session, scope),
        alarms=alarms.count_active(session, scope),
        alarms_changed=alarms.newest_event(session),
    )


def _rooms_now(session: Session, scope: Scope, now: datetime) -> tuple[RoomNow, ...]:
    found = activities.list_occurrences(
        session, scope, Paging(MAX_LIMIT), from_at=now, until_at=now + timedelta(seconds=1)
    ).rows
    on = [each for each in found if each.cancelled_at is None]
    here = attendance.counts(session, [each.id for each in on])
    plates = rooms.plates(session, {each.room_id for each in on})
    titles = activities.titles(session, {each.activity_id for each in on})
    shown = [
        RoomNow(each.room_id, plates.get(each.room_id, ""), each.id, *titles.get(each.activity_id, ("", "")),
                each.starts_at, each.ends_at, here.get(each.id, 0))
        for each in on
    ]  # fmt: skip
    return tuple(sorted(shown, key=lambda room: (-room.here, room.number, room.occurrence_id)))


def _troubles(session: Session, scope: Scope, now: datetime, frame: Frame) -> tuple[Trouble, ...]:
    """What no open alarm tells: records that differ, marks, who is away, who stores nothing; and the quarantine."""
    marked = terminals.marked(session, scope, MARKS, open_alarms.count_marks_told)
    told = open_alarms.marks_told(session, [each.id for each in marked])
    found = _differing(session, scope)
    found += [
        Trouble("mark", terminal.id, mark=mark, since=terminal.marked_at)
        for terminal in marked
        for mark in terminal.marks
        if (terminal.id, mark) not in told
    ][:MARKS]
    away = terminals.away(session, scope, but=open_alarms.about(RuleKind.ABSENCE))
    if away is not None:
        found.append(Trouble("away", away.terminal_id, since=away.since_at, count=away.count))
    waiting = positions.waiting_longest(session, scope, now - QUIET, open_alarms.about(RuleKind.NOTHING_STORED))
    if waiting is not None:
        terminal_id, since_at, count = waiting
        found.append(Trouble("nothing_stored", terminal_id, since=since_at, count=count))
    if frame.quarantined:
        found.append(Trouble("quarantine", "", count=frame.quarantined))
    return tuple(found)


def _differing(session: Session, scope: Scope) -> list[Trouble]:
    wrong = positions.wrong(session, scope, DIFFERING)
    if wrong is None:
        return []
    first, *others = wrong.terminal_ids
    unnamed = wrong.terminals - len(wrong.terminal_ids)
    return [Trouble("differing", first, count=wrong.streams, others=tuple(others), unnamed=unnamed)]


def _midnight(now: datetime, zone: ZoneInfo) -> datetime:
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
