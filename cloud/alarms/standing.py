"""How alarms stand, for those who tell people of them: the notifier. Levels, not events.

Promises no name of a person: whoever acknowledged an alarm is not in it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Reach
from cloud.alarms.models import Alarm
from cloud.alarms.rules import Severity
from cloud.bulk import Bulk, Row
from cloud.clock import from_us


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm as it is now. `first_raised_at` is when it was raised, however often it came back since (`times`).

    `paths` are those of the organisations in which its terminals stand; none for the cloud itself. `room_id` is empty where it
    is of no one room.
    """

    id: str
    rule_id: str
    name: str
    name_en: str
    todo: str
    todo_en: str
    severity: Severity
    reach: Reach
    place_id: str
    room_id: str
    members: int
    since_at: datetime
    first_raised_at: datetime
    times: int
    cleared_at: datetime | None = None
    cleared_why: str | None = None
    acknowledged_at: datetime | None = None
    snoozed_until_at: datetime | None = None
    paths: tuple[str, ...] = ()

    def is_asleep(self, at: datetime) -> bool:
        """Whether nobody wants to be reminded of it then."""
        return self.cleared_at is None and self.snoozed_until_at is not None and self.snoozed_until_at > at


def standings(session: Session, alarm_ids: Iterable[str]) -> Mapping[str, Standing]:
    """Those of these alarms that are kept, by id."""
    bulk, wanted = Bulk.of(session), sorted(set(alarm_ids))
    paths, first = _paths(bulk, wanted), _first_raised(bulk, wanted)
    rows = bulk.rows_in(
        "SELECT a.id, a.rule_id, r.name, r.name_en, r.todo, r.todo_en, a.severity, a.reach, a.place_id, t.room_id, a.members, "
        "a.since_at, a.raised_at, a.times, a.cleared_at, a.cleared_why, a.acknowledged_at, a.snoozed_until_at FROM alarms a "
        "JOIN alarm_rules r ON r.id = a.rule_id LEFT JOIN terminals t ON a.reach = 'terminal' AND t.id = a.place_id "
        "WHERE a.id IN",
        wanted,
    )
    return {row[0]: _standing(row, first.get(row[0]) or row[12], paths.get(row[0], ())) for row in rows}


def is_active(alarm_id: InstrumentedAttribute[str], since: datetime) -> ColumnElement[bool]:
    """The condition that the alarm of this id is active, or has been so since then."""
    return exists().where(Alarm.id == alarm_id, Alarm.cleared_at.is_(None) | (Alarm.cleared_at >= since))


def wanting_a_hand(session: Session) -> list[str]:
    """The ids of the alarms that are active and that nobody has acknowledged."""
    query = "SELECT id FROM alarms WHERE cleared_at IS NULL AND acknowledged_at IS NULL ORDER BY raised_at, id"
    return [alarm_id for (alarm_id,) in Bulk.of(session).rows(query)]


def _standing(row: Row, first_raised_at: int, paths: tuple[str, ...]) -> Standing:
    reach, place_id = Reach(row[7]), row[8]
    return Standing(
        row[0], row[1], row[2], row[3], row[4], row[5], Severity(row[6]), reach, place_id,
        place_id if reach is Reach.ROOM else row[9] or "", row[10], from_us(row[11]), from_us(first_raised_at), row[13],
        _instant(row[14]), row[15], _instant(row[16]), _instant(row[17]), paths,
    )  # fmt: skip


def _first_raised(bulk: Bulk, alarm_ids: list[str]) -> dict[str, int]:
    query = "SELECT alarm_id, MIN(at) FROM alarm_events WHERE kind = ? AND alarm_id IN"
    return dict(bulk.rows_in(query, alarm_ids, (EventKind.RAISED.value,), " GROUP BY alarm_id"))


def _paths(bulk: Bulk, alarm_ids: list[str]) -> dict[str, tuple[str, ...]]:
    rows = bulk.rows_in(
        "SELECT DISTINCT m.alarm_id, o.path FROM alarm_members m JOIN terminals t ON t.id = m.terminal_id "
        "JOIN rooms r ON r.id = t.room_id JOIN organisations o ON o.id = r.organisation_id WHERE m.alarm_id IN",
        alarm_ids,
    )
    found: dict[str, tuple[str, ...]] = {}
    for alarm_id, path in sorted(rows):
        found[alarm_id] = (*found.get(alarm_id, ()), path)
    return found


def _instant(at: int | None) -> datetime | None:
    return None if at is None else from_us(at)
