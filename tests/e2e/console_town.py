"""A small made-up town for tests of the console: written into a real database by the services and, for what only
ingest writes, straight into its tables. Everybody in it has an obviously invented name."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import uuid4

from PIL import Image
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.accounts import service as accounts
from cloud.accounts.service import Role
from cloud.activities import service as activities
from cloud.activities.service import ActivityForm
from cloud.alarms import service as alarms
from cloud.attendance.models import Attendance
from cloud.audit.service import Change
from cloud.clock import to_us
from cloud.commands.models import Bulk, Command, Upload
from cloud.database import transaction
from cloud.ingest.models import CheckIn, Quarantine
from cloud.journal.models import Stream
from cloud.members import service as members
from cloud.members.service import MemberForm
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationForm
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomForm
from cloud.scope import EVERYWHERE
from cloud.terminals import service as terminals
from cloud.terminals.models import MarkSet, PresenceChange, ReportedTwin, Terminal
from cloud.terminals.service import NewTerminalForm
from cloud.timeseries.port import Measurement, Point
from cloud.timeseries.stores import open_store

PASSWORD = "a-password-of-tests"
PEOPLE = (
    "测试甲",
    "测试乙",
    "样例丙",
    "样例丁",
    "Test Alpha",
    "Test Beta",
    "Sample Gamma",
    "Sample Delta Longname-Example",
)
ROOMS = (("302", "梧桐活动室", "Wutong Room"), ("105", "书画室", "Brush Room"), ("210", "阅览室", "Reading Room"))
ACTIVITIES = (
    ("健康讲座：冬季用药安全", "Health talk: medicines in winter"),
    ("书法班", "Calligraphy class"),
    ("读书会", "Reading circle"),
)


@dataclass
class Town:
    """What was made, by id."""

    engine: Engine
    organisation_id: str
    rooms: list[str]
    occurrences: list[str]
    members: list[str]
    terminals: list[str]
    streams: list[str]
    numbers: int = 0

    def check_in(self, member: int | None = 0, room: int = 0, **said: object) -> None:
        """One check-in arrives, as ingest would write it."""
        now = datetime.now(UTC)
        self.numbers += 1
        row = self._row(member, room, to_us(now))
        for name, value in said.items():
            setattr(row, name, value)
        with transaction(self.engine) as session:
            session.add(row)
            session.get_one(Stream, row.stream).facts += 1
            if row.member_id and row.outcome == "accepted":
                session.merge(Attendance(
                    occurrence_id=row.occurrence_id, member_id=row.member_id, effective_at=now,
                    terminal_id=row.terminal_id, room_id=row.room_id, organisation_id=row.organisation_id,
                    stream=row.stream, number=row.number, method=row.method, flags=[], uncertainty_us=0,
                ))  # fmt: skip

    def alarms(self) -> list[str]:
        """Ids of those that the service has raised, at most two."""
        with transaction(self.engine, read_only=True) as session:
            return [each.id for each in alarms.list_alarms(session, EVERYWHERE, Paging(2), alarms.Wanted()).rows]

    def _row(self, member: int | None, room: int, at: int) -> CheckIn:
        return CheckIn(
            stream=self.streams[room], number=self.numbers, record_id=str(uuid4()), terminal_id=self.terminals[room],
            room_id=self.rooms[room], organisation_id=self.organisation_id, occurrence_id=self.occurrences[room],
            said_occurrence_id=self.occurrences[room], method="qr", outcome="accepted", issuer="ROOMLINK",
            credential_id=secrets.token_hex(8), subject="s" * 22, waits=0 if member is not None else 1,
            member_id=None if member is None else self.members[member], effective_at=at, uncertainty_us=0, basis=0,
            flags="", received_at=at, linked_at=at, said_at=at,
        )  # fmt: skip


def settle(engine: Engine) -> Town:
    """Make the town: an organisation, three rooms with something on, eight people, four terminals, two accounts."""
    now = datetime.now(UTC)
    change = Change("test", now)
    with transaction(engine) as session:
        accounts.create_account(session, change, EVERYWHERE, "operator", PASSWORD, Role.OPERATOR)
        accounts.create_account(session, change, EVERYWHERE, "viewer", PASSWORD, Role.VIEWER)
        accounts.create_account(session, change, EVERYWHERE, "admin", PASSWORD, Role.ADMIN)
        form = OrganisationForm(name="样例街道", name_en="Sample District")
        organisation = organisations.create(session, change, EVERYWHERE, form).id
        below = OrganisationForm(name="样例社区", name_en="Sample Community", parent_id=organisation)
        organisations.create(session, change, EVERYWHERE, below)
        room_ids = [_room(session, change, organisation, *each) for each in ROOMS]
        occurrences = [
            _occurrence(session, change, room_id, *titles) for room_id, titles in zip(room_ids, ACTIVITIES, strict=True)
        ]
        people = [
            members.create(session, change, EVERYWHERE, MemberForm(
                organisation_id=organisation, display_name=name, external_id=f"T{number:03}")).id
            for number, name in enumerate(PEOPLE, 1)
        ]  # fmt: skip
        streams = [str(uuid4()) for _ in room_ids]
        fleet = _terminals(session, change, room_ids, streams, now)
    return Town(engine, organisation, room_ids, occurrences, people, fleet, streams)


def tell_history(session: Session, terminal_id: str, now: datetime) -> None:
    """What a link and its marks were like, as ingest writes it: connected, lost, a broker that was away, flapping."""
    told = [
        ("online", "birth", 211, 400, 1, False), ("offline", "lost", 211, 330, 1, False), ("online", "birth", 212, 324, 1, False),
        ("online", "broker", 212, 200, 2, False), ("offline", "lost", 219, 12, 14, True), ("online", "birth", 220, 3, 1, False),
    ]  # fmt: skip
    for number, (presence, cause, connection, minutes, times, flapping) in enumerate(told, 1):
        at = now - timedelta(minutes=minutes)
        recent = [to_us(at) - 60_000_000 * each for each in range(times if flapping else 0)]
        session.add(PresenceChange(
            terminal_id=terminal_id, number=number, began_at=at - timedelta(minutes=times - 1), at=at, presence=presence,
            cause=cause, connection=connection, times=times, flapping=flapping, recent=recent,
        ))  # fmt: skip
    session.add(MarkSet(terminal_id=terminal_id, at=now - timedelta(minutes=340), mark="two_devices"))
    for number, (minutes, applied, problems, changed) in enumerate(
        [(322, False, [], []), (90, False, ["The roster cannot be fetched."], []), (80, True, [], ["language"])], 1
    ):
        session.add(ReportedTwin(
            terminal_id=terminal_id, number=number, at=now - timedelta(minutes=minutes), twin_epoch=1, twin_number=40 + number,
            applied=applied, problems=problems, changed=changed,
        ))  # fmt: skip


def sample_attendance(address: str, terminal_id: str) -> None:
    """Check-ins of two hours of yesterday, as the projector would have written them."""
    series = open_store(address)
    start = to_us(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=20))
    series.write([
        Point(Measurement.ATTENDANCE, "1" * 8, number, start + number * 90_000_000, 0, terminal_id, "", "", "accepted",
              {"heads": float(number % 9 != 0)})
        for number in range(1, 60)
    ])  # fmt: skip
    series.close()


def sample_health(address: str, terminal_id: str, minutes: int = 50) -> None:
    """An hour's samples of a kiosk, as the projector would have written them before the service starts."""
    series = open_store(address)
    now = to_us(datetime.now(UTC))
    longer = [
        Point(
            Measurement.HEALTH, "2" * 8, hour, now - hour * 3_600_000_000, 0, terminal_id, "", "", "kiosk",
            {"cpu_percent": 30 + hour * 7 % 40, "disk_percent": 29 - hour / 60, "network_signal_dbm": -60.0 - hour % 9},
        )
        for hour in range(2, 24 * 40)
        if not 200 < hour < 260
    ]  # fmt: skip
    points = [
        Point(
            Measurement.HEALTH, "0" * 8, number, now - (minutes - number) * 60_000_000, 0, terminal_id, "", "", "kiosk",
            {"outbox_depth": float(abs(number - 25)), "cpu_percent": 40 + number % 7, "disk_percent": 29.0,
             "camera_fps": 14 + number % 2, "page_alive": 1.0, "page_answer_ms": 22.0, "network_up": 1.0,
             "network_wireless": 0.0, "answer_ms": 18.0, "under_voltage": 0.0, "memory_percent": 41.0},
        )
        for number in range(1, minutes)
        if not 30 < number < 36
    ]  # fmt: skip
    series.write(longer + points)
    series.close()


def quarantine(engine: Engine, terminal_id: str, content: bytes, reason: str = "unknown_type") -> None:
    """Something that nobody could understand."""
    with transaction(engine) as session:
        session.add(Quarantine(
            terminal_id=terminal_id, kind="payload", reason=reason, bytes=content,
            received_at=to_us(datetime.now(UTC)), state="open",
        ))  # fmt: skip


def _room(session: Session, change: Change, organisation: str, number: str, name: str, name_en: str) -> str:
    form = RoomForm(organisation_id=organisation, number=number, name=name, name_en=name_en)
    return rooms.create(session, change, EVERYWHERE, form).id


def _occurrence(session: Session, change: Change, room_id: str, title: str, title_en: str) -> str:
    starts = (change.at - timedelta(minutes=20)).replace(second=0, microsecond=0)
    form = ActivityForm(room_id=room_id, title=title, title_en=title_en, starts_at=starts, duration_s=5400, audience=())
    activity = activities.create(session, change, EVERYWHERE, form)
    return activities.occurrence_id(activity.id, starts)


def _terminals(
    session: Session, change: Change, room_ids: Sequence[str], streams: Sequence[str], now: datetime
) -> list[str]:
    names = ["kiosk-302-a", "kiosk-105-a", "kiosk-210-a"]
    for name, room_id, stream in zip(names, room_ids, streams, strict=True):
        terminals.register(session, change, EVERYWHERE, NewTerminalForm(id=name, room_id=room_id))
        terminal = session.get_one(Terminal, name)
        terminal.presence, terminal.presence_at, terminal.last_heard_at = "online", now, now
        session.add(Stream(
            stream=stream, terminal_id=name, through=48_219, chain="9f2c" * 16, opened_at=to_us(now),
            last_stored_at=to_us(now), said_through=48_231, said_at=to_us(now),
            facts=0, points=0,
        ))  # fmt: skip
    terminals.register(session, change, EVERYWHERE, NewTerminalForm(id="kiosk-spare-1"))
    tell_history(session, names[0], now)
    broken = session.get_one(Terminal, "kiosk-210-a")
    broken.presence, broken.presence_at, broken.marks = "offline", now - timedelta(minutes=26), ["fork"]
    return [*names, "kiosk-spare-1"]


BULK = "7c0e6f6e-0000-4000-8000-000000000001"


def send_commands(town: Town) -> None:
    """A self-test that four terminals were told, each at another state; and a kiosk's screenshot and log."""
    now = datetime.now(UTC)
    told = {
        "done": {"disk": "ok: 12 MB free", "clock": "NOT WELL: never set"},
        "failed": {},
        "running": {},
        "queued": {},
    }
    with transaction(town.engine) as session:
        session.add(Bulk(id=BULK, name="self_test", arguments={}, asked_by="operator", asked_at=now))
        session.flush()
        for terminal, (state, results) in zip(town.terminals, told.items(), strict=True):
            session.add(_command("self_test", terminal, state, now, bulk=BULK, results=results))
        for name, kind, media_type, content in (
            ("screenshot", "screenshot", "image/png", _picture()),
            ("upload_logs", "logs", "text/plain; charset=utf-8", b"a line\n" * 4_000),
        ):
            sent = _command(name, town.terminals[0], "done", now, results={"bytes": str(len(content))})
            session.add(sent)
            session.flush()
            session.add(Upload(
                command_id=sent.id, terminal_id=sent.terminal_id, kind=kind, media_type=media_type, size=len(content),
                content=content, received_at=now, expires_at=now + timedelta(days=7),
            ))  # fmt: skip


def _command(name: str, terminal: str, state: str, now: datetime, **more: Any) -> Command:
    given = state != "queued"
    said = now if given else None
    ended = now if state in {"done", "failed"} else None
    fields = {"reason": "not_possible"} if state == "failed" else {}
    return Command(
        id=str(uuid4()), terminal_id=terminal, name=name, asked_by="operator", asked_at=now, state=state,
        deadline_at=now + timedelta(hours=1), given_at=said, said_at=said, settled_at=ended,
        **({"arguments": {}, "results": {}} | fields | more),
    )  # fmt: skip


def _picture() -> bytes:
    drawn = BytesIO()
    Image.new("RGB", (540, 960), "#0b5c8c").save(drawn, "PNG")
    return drawn.getvalue()
