"""Thousands of terminals in a ledger, as a fleet leaves them after some weeks: written into the tables, for tests and the bench.

They differ in everything that a list can be filtered and sorted by, in a way that their number decides: two fleets of one size
are equal.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from cloud.alarms.models import Alarm, AlarmMember, AlarmRule
from cloud.clock import to_us
from cloud.database import transaction
from cloud.journal.models import Stream
from cloud.organisations.models import Organisation
from cloud.rooms.models import Room
from cloud.terminals.models import PresenceChange, Terminal
from cloud.terminals.versions import order_of

VERSIONS: Final = ("1.4.2", "1.4.2", "1.10.0", "1.9.3")
STATES: Final = ("offline", "suspect", "asleep", "maintenance", "never")
SEVERITIES: Final = ("critical", "warning", "info")
ALARM_EVERY, FLAPPING_EVERY, OUT_EVERY, AWAY_EVERY = 40, 97, 61, 11
SETTINGS: Final[dict[str, Any]] = {"language": "zh", "resend_timeout_s": 20.0, "health_every_s": 60.0, "volume": 70}


@dataclass(frozen=True)
class Many:
    """Ids, in the order of their numbers; the first organisation is the root of the others."""

    organisations: list[str]
    paths: list[str]
    rooms: list[str]
    terminals: list[str]

    def organisation_of(self, terminal: int) -> int:
        """The number of the organisation of a terminal's room; -1 where it has no room."""
        return room_of(terminal, len(self.rooms)) % len(self.organisations) if is_placed(terminal) else -1


def is_placed(terminal: int) -> bool:
    """Whether it has a room: a few wait for one."""
    return terminal % 211 != 210


def room_of(terminal: int, rooms: int) -> int:
    """The number of its room."""
    return terminal % rooms


def settle_many(
    engine: Engine, now: datetime, *, terminals: int, rooms: int, organisations: int, long: bool = False
) -> Many:
    """Make them; with `long`, names are as long as names may be."""
    parents = [None if number == 0 else (number - 1) // 8 for number in range(organisations)]
    ids = [f"org_{number:016x}" for number in range(organisations)]
    paths: list[str] = []
    for number, parent in enumerate(parents):
        paths.append((paths[parent] if parent is not None else "/") + f"{ids[number]}/")
    made = Many(ids, paths, [f"rm_{number:016x}" for number in range(rooms)],
                [_name(number, rooms, long=long) for number in range(terminals)])  # fmt: skip
    with transaction(engine) as session:
        for number, parent in enumerate(parents):
            session.add(_organisation(made, number, parent, now, long=long))
            session.flush()
        session.execute(insert(Room), [_room(made, number, now, long=long) for number in range(rooms)])
        session.execute(insert(Terminal), [_terminal(made, number, now) for number in range(terminals)])
        session.execute(insert(Stream), [_stream(name, number, now) for number, name in enumerate(made.terminals)])
        _alarms(session, made, now)
        flapping = [_flapping(name, now) for name in made.terminals[::FLAPPING_EVERY]]
        if flapping:
            session.execute(insert(PresenceChange), flapping)
    return made


def _name(number: int, rooms: int, *, long: bool) -> str:
    kind = "tv" if number % 3 == 2 else "kiosk"
    tail = "-with-the-longest-name" if long else ""
    return f"{kind}-{100 + room_of(number, rooms)}-{number // rooms:02}{tail}"[:40]


def _organisation(made: Many, number: int, parent: int | None, now: datetime, *, long: bool) -> Organisation:
    more = "名称很长很长的文化活动中心社区服务站" if long else ""
    more_en = " Community Centre With a Remarkably Long Name" if long else ""
    return Organisation(
        id=made.organisations[number], parent_id=None if parent is None else made.organisations[parent],
        name=f"样例社区{number}{more}", name_en=f"Sample Community {number}{more_en}", path=made.paths[number],
        timezone="Asia/Shanghai", version=1, created_at=now,
    )  # fmt: skip


def _room(made: Many, number: int, now: datetime, *, long: bool) -> dict[str, Any]:
    owner = made.organisations[number % len(made.organisations)]
    more, more_en = ("多功能综合文化活动大厅", " Multi-Purpose Cultural Activity Hall") if long else ("", "")
    return {"id": made.rooms[number], "organisation_id": owner, "number": str(100 + number), "name": f"活动室{number}{more}",
            "name_en": f"Room {number}{more_en}", "version": 1, "created_at": now}  # fmt: skip


def _terminal(made: Many, number: int, now: datetime) -> dict[str, Any]:
    kind, version = made.terminals[number].partition("-")[0], VERSIONS[number % len(VERSIONS)]
    presence = STATES[number // AWAY_EVERY % len(STATES)] if number % AWAY_EVERY == 0 else "online"
    never = presence == "never"
    birth = {
        "v": 1, "event": "birth", "incarnation": _uuid(number), "connection": number % 50, "boot": _uuid(number + 1),
        "profile": kind, "versions": {"agent": version, "python": "3.11.2", "os": "Debian GNU/Linux 12"}, "state": "online",
    }  # fmt: skip
    heard = now - timedelta(seconds=number % 90 if presence == "online" else 3_600 + number)
    return {
        "id": made.terminals[number], "kind": kind, "profile": kind,
        "room_id": made.rooms[room_of(number, len(made.rooms))] if is_placed(number) else None,
        "password_hash": "x" * 97, "mqtt_password_hash": "", "enabled": number % OUT_EVERY != OUT_EVERY - 1, "settings": SETTINGS,
        "created_at": now - timedelta(days=90), "version": 1, "twin_settings": SETTINGS, "presence": presence,
        "presence_at": None if never else now - timedelta(minutes=number % 5_000), "birth": None if never else birth,
        "last_heard_at": None if never else heard, "agent_version": "" if never else version,
        "agent_order": "" if never else order_of(version), "incarnation": _uuid(number), "connection": number % 50,
        "reported": {"v": 1, "version": [1, number], "applied": True, "problems": []}, "reported_at": heard,
        "marks": ["fork"] if number % 500 == 7 else [], "marked_at": now if number % 500 == 7 else None,
    }  # fmt: skip


def _stream(name: str, number: int, now: datetime) -> dict[str, Any]:
    through = 5_000 + number
    return {
        "stream": _uuid(number), "terminal_id": name, "through": through, "chain": "0" * 64,
        "opened_at": to_us(now) - 10**12, "last_stored_at": to_us(now), "facts": through, "points": through,
        "said_through": through + (number % 13 if number % 4 == 0 else 0), "said_at": to_us(now),
    }  # fmt: skip


def _alarms(session: Session, made: Many, now: datetime) -> None:
    """One of a rule of each severity for every ALARM_EVERY-th terminal, and for every third of them a second one."""
    rules = [AlarmRule(
        id=f"alr_many_{each}", name=f"样例规则{number}", name_en=f"Sample rule {number}", kind="threshold", severity=each,
        enabled=True, for_s=0, clear_for_s=0, todo="请去看一看。", todo_en="Go and look.", version=1, created_at=now,
    ) for number, each in enumerate(SEVERITIES)]  # fmt: skip
    session.add_all(rules)
    session.flush()
    raised = [(number, SEVERITIES[number // ALARM_EVERY % 3]) for number in range(0, len(made.terminals), ALARM_EVERY)]
    raised += [(number, "info") for number, severity in raised[::3] if severity != "info"]
    alarms = [
        {"id": f"alm_many_{index}", "rule_id": f"alr_many_{severity}", "reach": "terminal", "place_id": made.terminals[number],
         "severity": severity, "since_at": now - timedelta(minutes=index), "until_at": now, "raised_at": now, "times": 1,
         "members": 1}
        for index, (number, severity) in enumerate(raised)
    ]  # fmt: skip
    members = [
        {
            "alarm_id": alarm["id"],
            "terminal_id": alarm["place_id"],
            "rule_id": alarm["rule_id"],
            "since_at": now,
            "raised_at": now,
        }
        for alarm in alarms
    ]
    if alarms:
        session.execute(insert(Alarm), alarms)
        session.execute(insert(AlarmMember), members)


def _flapping(name: str, now: datetime) -> dict[str, Any]:
    recent = [to_us(now - timedelta(minutes=each)) for each in range(12, 0, -1)]
    return {"terminal_id": name, "number": 9, "began_at": now - timedelta(minutes=12), "at": now - timedelta(minutes=1),
            "presence": "online", "cause": "birth", "connection": 9, "times": 12, "flapping": True, "recent": recent}  # fmt: skip


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"
