"""A kiosk for tests: a real outbox, a stepped clock, a twin that is set by hand, and cards signed by a test issuer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.clock import SteppedClock
from edge.errors import OutboxError
from edge.kept_commands import KeptCommand
from edge.kiosk.decision import RosterLookup, to_us
from edge.kiosk.session import Seen, Session, Touched
from edge.kiosk.views import Touch
from edge.mode import Mode
from edge.outbox import Accepted, Outbox, Status
from edge.store import Store
from firmware_specs.credentials import Credential, card_id_from_random, sign
from firmware_specs.messages import CheckIn, Desired, IssuerKey, Occurrence, OrganisationFacts, Record, RoomFacts
from firmware_specs.wire import decode_record

START = datetime(2026, 11, 23, 1, 24, tzinfo=UTC)
"""09:24 on Monday 23 November where the room is."""
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEY_ID = "0a0b0c0d"
PIN = "2580"


def occurrence(
    activity: str, title: str, title_en: str, start: datetime, hours: float, *, audience: Sequence[str] = ()
) -> Occurrence:
    """One date of an activity; its check-in opens half an hour before."""
    return Occurrence(
        id=f"{activity}/{start:%Y%m%dT%H%M%SZ}",
        title=title,
        title_en=title_en,
        starts_at=to_us(start),
        ends_at=to_us(start + timedelta(hours=hours)),
        opens_at=to_us(start - timedelta(minutes=30)),
        audience=list(audience),
    )


TALK = occurrence(
    "talk", "健康讲座：冬季用药安全", "Health talk: using medicines safely", START + timedelta(minutes=6), 1.5
)
PHONES = occurrence("phones", "手机课堂", "Smartphone class", START + timedelta(hours=4, minutes=36), 2)


def twin(*occurrences: Occurrence, version: int = 1, pin_hash: str | None = None, **other: Any) -> Desired:
    """A desired twin of room 302 with the test issuer's key."""
    return Desired(
        version=(1, version),
        room=RoomFacts(id="r302", number="302", name="梧桐社区活动室", name_en="Wutong community room"),
        organisation=OrganisationFacts(id="b1", name="梧桐社区", timezone="Asia/Shanghai"),
        occurrences=list(occurrences),
        issuer_keys=[IssuerKey(issuer="LOCAL", key_id=KEY_ID, public_key=KEY.public_key().public_bytes_raw().hex())],
        staff_pin_hash=pin_hash,
        **other,
    )


def hash_pin(pin: str = PIN) -> str:
    """An argon2 hash as the cloud makes it, but cheap."""
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(pin)


def card(number: int = 1, *, valid_days: tuple[float, float] = (-30, 300)) -> Credential:
    """The claims of one of many cards, each of another member."""
    return Credential(
        "LOCAL",
        f"{number:021d}A",
        card_id_from_random(number),
        KEY_ID,
        START + timedelta(days=valid_days[0]),
        START + timedelta(days=valid_days[1]),
    )


def code(credential: Credential, key: Ed25519PrivateKey = KEY) -> str:
    """What its QR code says."""
    return sign(credential, key)


@dataclass
class HandTwin:
    """A twin that is set by hand."""

    desired: Desired | None = None
    members: RosterLookup | None = None
    revoked_ids: frozenset[str] = frozenset()

    def current(self) -> Desired | None:
        return self.desired

    def roster(self) -> RosterLookup | None:
        return self.members

    def revoked(self) -> frozenset[str]:
        return self.revoked_ids


@dataclass
class FakeRoster:
    """Organisations by subject and by card id."""

    subjects: dict[str, set[str]] = field(default_factory=dict)
    cards: dict[str, set[str]] = field(default_factory=dict)

    def lookup_subject(self, subject: str) -> frozenset[str] | None:
        return frozenset(self.subjects[subject]) if subject in self.subjects else None

    def lookup_card(self, credential_id: str) -> frozenset[str] | None:
        return frozenset(self.cards[credential_id]) if credential_id in self.cards else None


class BreakableOutbox(Outbox):
    """A real outbox whose disk can be made to fail: set ``broken``."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.broken: OutboxError | None = None
        self.depth: int | None = None
        self.oldest_at_us: int | None = None

    def append(
        self, records: Sequence[Record], *, accepted: Sequence[Accepted] = (), commands: Sequence[KeptCommand] = ()
    ) -> int:
        if self.broken is not None:
            raise self.broken
        return super().append(records, accepted=accepted, commands=commands)

    def status(self) -> Status:
        status = super().status()
        status = replace(status, state=status.state if self.broken is None else self.broken.state)
        if self.depth is not None:
            status = replace(status, depth=self.depth, oldest_at_us=self.oldest_at_us)
        return status


class Stage:
    """A session with everything around it in hand. Time passes only by `wait`."""

    def __init__(self, folder: Path, desired: Desired | None = None, *, has_camera: bool = True) -> None:
        self.clock = SteppedClock(to_us(START))
        self.twin = HandTwin(desired)
        self.outbox = BreakableOutbox.open(folder / "outbox.db", terminal="kiosk-302-a", clock=self.clock)
        self.now_s = 1000.0
        self.connected = self.camera = True
        self.mode = Mode()
        self.shown: list[dict[str, Any]] = []
        self.listeners: list[Callable[[dict[str, Any]], None]] = [self.shown.append]
        self.session = Session(
            terminal="kiosk-302-a",
            outbox=self.outbox,
            twin=self.twin,
            clock=self.clock,
            connected=lambda: self.connected,
            camera=lambda: self.camera,
            has_camera=has_camera,
            show=self._show,
            mode=lambda: self.mode,
            mono_s=lambda: self.now_s,
        )
        self.session.step()

    def _show(self, snapshot: dict[str, Any]) -> None:
        for listen in self.listeners:
            listen(snapshot)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.stop()
        self.outbox.close()

    def see(self, *texts: str) -> dict[str, Any]:
        """Codes come into view, one after the other; the view after the last."""
        for text in texts:
            self.session.put(Seen(text, self.now_s))
            self.session.step()
        return self.view

    def touch(self, touch: Touch, digits: str = "", *, view: int | None = None) -> dict[str, Any]:
        """A touch on the view in force; the view after it."""
        self.session.put(Touched(touch, self.view["number"] if view is None else view, digits))
        self.session.step()
        return self.view

    def wait(self, seconds: float) -> dict[str, Any]:
        """Let time pass on all clocks; the view after it."""
        self.now_s += seconds
        self.clock.step(seconds)
        self.session.step()
        return self.view

    @property
    def snapshot(self) -> dict[str, Any]:
        return self.shown[-1]

    @property
    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = self.snapshot["view"]
        return view

    @property
    def line(self) -> str:
        sentence: str = self.snapshot["line"]["words"]["zh"]
        return sentence

    def check_ins(self) -> list[CheckIn]:
        """The check-ins in the outbox."""
        return [record for record in self.records() if isinstance(record, CheckIn)]

    def records(self) -> list[Record]:
        """Everything in the outbox but `started`."""
        outgoing = self.outbox.next_batch(200, 64 * 1024)
        lines = outgoing.payload.splitlines()[1:] if outgoing else []
        return [record for record in map(decode_record, lines) if record.type != "started"]
