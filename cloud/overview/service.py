"""The numbers of the overview and of every page's frame, read once a second for all open pages together.

`Pulse` is compared with the one before: equal means that no page has to change.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from cloud.activities import service as activities
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

SHOWN = 12
"""Check-ins on the board."""

ROOMS = 8
"""Rooms under "Rooms now"."""


@dataclass(frozen=True)
class Frame:
    """What every page shows beside its own."""

    organisation: str
    organisation_en: str
    zone: ZoneInfo
    quarantined: int


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
    troubles: tuple[Trouble, ...]
    heard_at: datetime | None

    @property
    def terminals(self) -> int:
        """All that are enabled."""
        return sum(count for _, count in self.presence)


class Overview:
    """Reads pulses. Remembers where in the ids the days begin, so that each second costs what came since."""

    def __init__(self) -> None:
        self._days: dict[datetime, int] = {}
        self._yesterday: dict[Scope, tuple[datetime, int]] = {}
        self._ledger = positions.LedgerCount()

    def pulse(self, session: Session, scope: Scope, now: datetime) -> Pulse:
        """The present one."""
        frame = frame_of(session, scope)
        on = _rooms_now(session, scope, now)
        terminals_now = terminals.summary(session, scope)
        return Pulse(
            frame=frame,
            standing=positions.standing(session, now, self._ledger),
            newest_check_in=checkins.newest_id(session),
            check_ins=tuple(checkins.latest(session, scope, SHOWN)),
            today=self._today(session, scope, now, frame.zone),
            yesterday_until_now=self._until_now_yesterday(session, scope, now, frame.zone),
            activities_now=len(on),
            rooms_now=on[:ROOMS],
            rooms=rooms.count(session, scope),
            presence=terminals_now.presence,
            troubles=_troubles(session, scope, now, frame),
            heard_at=terminals_now.heard_at,
        )

    def _today(self, session: Session, scope: Scope, now: datetime, zone: ZoneInfo) -> int:
        first = self._first_of(session, _midnight(now, zone))
        return checkins.count_between(session, scope, first, checkins.newest_id(session) + 1)

    def _until_now_yesterday(self, session: Session, scope: Scope, now: datetime, zone: ZoneInfo) -> int:
        """At most half a minute old: it changes slowly, and nobody acts upon it."""
        if scope not in self._yesterday or now - self._yesterday[scope][0] > timedelta(seconds=30):
            until = checkins.first_received_since(session, now - timedelta(days=1))
            first = self._first_of(session, _midnight(now - timedelta(days=1), zone))
            self._yesterday[scope] = (now, checkins.count_between(session, scope, first, until))
        return self._yesterday[scope][1]

    def _first_of(self, session: Session, midnight: datetime) -> int:
        if midnight not in self._days:
            first = checkins.first_received_since(session, midnight)
            if first > checkins.newest_id(session):
                return first  # nothing yet: what comes may get this id or a higher one
            self._days = {day: known for day, known in self._days.items() if midnight - day < timedelta(days=3)}
            self._days[midnight] = first
        return self._days[midnight]


def frame_of(session: Session, scope: Scope) -> Frame:
    """What every page needs before its own."""
    top = organisations.top(session, scope)
    return Frame(
        organisation=top.name if top else "",
        organisation_en=top.name_en if top else "",
        zone=ZoneInfo(top.timezone if top else "Asia/Shanghai"),
        quarantined=quarantine.count_open(session, scope),
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
    """Marks first, then terminals that are away, then those that store nothing, then the quarantine."""
    found = [
        Trouble("mark", terminal.id, mark=mark, since=terminal.presence_at)
        for terminal in terminals.marked(session, scope, 10)
        for mark in terminal.marks[:2]
    ]
    away = terminals.away(session, scope)
    if away:
        since = min((each.presence_at for each in away if each.presence_at), default=None)
        found.append(Trouble("away", away[0].id, since=since, count=len(away)))
    waiting = positions.waiting_longest(session, now - QUIET)
    if waiting is not None:
        terminal_id, since_at, count = waiting
        found.append(Trouble("nothing_stored", terminal_id, since=since_at, count=count))
    if frame.quarantined:
        found.append(Trouble("quarantine", "", count=frame.quarantined))
    return tuple(found)


def _midnight(now: datetime, zone: ZoneInfo) -> datetime:
    return now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
