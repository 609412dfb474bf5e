"""A small town in a ledger: one organisation, two rooms, an activity that is on, members with cards, terminals.

Made directly in the tables, so that tests of ingest need no other feature's service.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, update
from sqlalchemy.orm import Session

from cloud.activities.models import Activity, Occurrence
from cloud.clock import utc_now
from cloud.counters import Counter, Counts
from cloud.credentials.models import Credential, IssuerKey
from cloud.database import transaction
from cloud.journal.epoch import current_epoch
from cloud.members.models import Member
from cloud.organisations.models import Organisation
from cloud.rooms.models import Room
from cloud.terminals.models import Terminal, Twin

ORGANISATION, ROOM, OTHER_ROOM, ACTIVITY, KEY = "org_town", "rm_302", "rm_303", "act_taichi", "0a0b0c0d"
TERMINALS = ("kiosk-1", "kiosk-2")


@dataclass(frozen=True)
class Person:
    """A member and the card."""

    member: str
    subject: str
    card: str


@dataclass(frozen=True)
class Town:
    """What tests refer to: the engine, when it was settled, the twins' versions by terminal, what is on."""

    engine: Engine
    now: datetime
    twins: dict[str, tuple[int, int]]
    occurrence: str
    next_occurrence: str


def person(number: int) -> Person:
    """The `number`-th member that there may be."""
    return Person(f"mem_{number:016x}", f"{number:022d}", f"{number:016x}")


def settle(
    engine: Engine, *, terminals: tuple[str, ...] = TERMINALS, members: int = 3, now: datetime | None = None
) -> Town:
    """Fill the ledger. Every terminal stands in ROOM, where an activity has been on since half an hour before `now`."""
    now = now or utc_now()
    with transaction(engine) as session:
        _places(session, now)
        starts = now.replace(second=0, microsecond=0) - timedelta(minutes=30)
        occurrences = [_occurrence(starts), _occurrence(starts + timedelta(days=1))]
        session.add(
            Activity(
                id=ACTIVITY, room_id=ROOM, organisation_id=ORGANISATION, title="太极", starts_at=starts,
                duration_s=7200, timezone="UTC", created_at=now,
            )
        )  # fmt: skip
        session.flush()
        session.add_all(occurrences)
        for number in range(1, members + 1):
            add_member(session, person(number), now)
        epoch = current_epoch(session)
        twins = {terminal: (epoch, number) for number, terminal in enumerate(terminals, 1)}
        for terminal, version in twins.items():
            _terminal(session, terminal, version, now)
        session.execute(update(Counter).where(Counter.name == Counts.TWINS).values(value=len(twins)))
        return Town(engine, now, twins, *(occurrence.id for occurrence in occurrences))


def add_member(session: Session, who: Person, now: datetime, *, card: bool = True) -> None:
    """Register a member, with the card or without."""
    session.add(
        Member(
            id=who.member, organisation_id=ORGANISATION, display_name=f"Member {who.member[-4:]}",
            subject=who.subject, created_at=now,
        )
    )  # fmt: skip
    session.flush()
    if card:
        add_card(session, who, now)


def add_card(session: Session, who: Person, now: datetime) -> None:
    """Register a member's card."""
    session.add(
        Credential(
            id=who.card, member_id=who.member, issuer="TOWN", key_id=KEY, not_before_at=now,
            expires_at=now + timedelta(days=365), created_at=now,
        )
    )  # fmt: skip
    session.flush()


def _places(session: Session, now: datetime) -> None:
    session.add(Organisation(id=ORGANISATION, name="镇", path=f"/{ORGANISATION}/", timezone="UTC", created_at=now))
    session.flush()
    for room, number in ((ROOM, "302"), (OTHER_ROOM, "303")):
        session.add(Room(id=room, organisation_id=ORGANISATION, number=number, name="活动室", created_at=now))
    session.add(
        IssuerKey(
            key_id=KEY, issuer="TOWN", public_key="", private_key_encrypted="", created_at=now,
            signs_until_at=now, trusted_until_at=now,
        )
    )  # fmt: skip
    session.flush()


def _occurrence(starts: datetime) -> Occurrence:
    return Occurrence(
        id=f"{ACTIVITY}/{starts:%Y%m%dT%H%M%SZ}", activity_id=ACTIVITY, room_id=ROOM, organisation_id=ORGANISATION,
        starts_at=starts, ends_at=starts + timedelta(hours=2),
    )  # fmt: skip


def _terminal(session: Session, terminal: str, version: tuple[int, int], now: datetime) -> None:
    session.add(
        Terminal(
            id=terminal, kind="kiosk", profile="kiosk", room_id=ROOM, password_hash="", mqtt_password_hash="",
            created_at=now,
        )
    )  # fmt: skip
    session.flush()
    session.add(
        Twin(
            epoch=version[0], number=version[1], terminal_id=terminal, room_id=ROOM, organisation_id=ORGANISATION,
            document='{"resend_timeout_s":20.0}', created_at=now,
        )
    )  # fmt: skip
