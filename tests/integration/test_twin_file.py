"""A room with more coming occurrences than a twin can carry: the rest is fetched, and weeks offline it decides right."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.clock import to_us
from cloud.terminals.twin import renew_twins
from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.fetcher import Fetcher, HttpSource
from edge.kiosk.decision import Decision, Guest
from edge.kiosk.register import Register
from edge.outbox import Outbox
from edge.twin import TwinStore
from firmware_specs.fields import MAX_TWIN_BYTES
from firmware_specs.messages import Desired, FileReference, Flag, Outcome
from firmware_specs.roster import read_occurrences
from firmware_specs.wire import decode_desired
from tests.office import JSON, Office

EPOCH = 1_000
EVERY_S = 600
LASTS_S = 300


class Kiosk:
    """The real twin store, fetcher and register of a terminal whose clock is in hand."""

    def __init__(self, office: Office, terminal_id: str, password: str, folder: Path) -> None:
        self.id, self.password = terminal_id, password
        self.clock = SteppedClock(to_us(office.now()))
        self.outbox = Outbox.open(MEMORY, terminal=terminal_id, clock=self.clock)
        self.twin = TwinStore(self.outbox, folder / terminal_id)
        self.fetcher = Fetcher(self.twin, HttpSource(office.url, terminal_id, password))
        self.register = Register(self.outbox, self.twin, self.clock, lambda: 0.0)

    def guest_at(self, at_us: int) -> Decision:
        self.clock.set_wall(at_us)
        return self.register.check_in(Guest()).decision


@pytest.fixture
def busy_room(office: Office) -> JSON:
    """Something begins there every ten minutes and lasts five."""
    room = office.room(office.organisation()["id"])
    return office.activity(
        room["id"], rrule="FREQ=MINUTELY;INTERVAL=10", duration_s=LASTS_S, opens_before_s=0, title="满" * 60
    )


@pytest.fixture
def kiosk(office: Office, busy_room: JSON, tmp_path: Path) -> Iterator[Kiosk]:
    made = office.terminal(busy_room["room_id"])
    kiosk = Kiosk(office, made["terminal"]["id"], made["password"], tmp_path)
    yield kiosk
    kiosk.outbox.close()


def renew(office: Office) -> dict[str, bytes]:
    """The documents of all twins that are due, by terminal."""
    made: dict[str, bytes] = {}
    while twins := renew_twins(office.engine, EPOCH, office.now()):
        made |= {twin.terminal_id: twin.document.encode() for twin in twins}
    return made


def told(kiosk: Kiosk) -> tuple[Desired, FileReference]:
    """The twin in force, and the file that it names."""
    twin = kiosk.twin.current()
    assert twin is not None
    assert twin.occurrences_file is not None
    return twin, twin.occurrences_file


def day_us(twin: Desired, days: int) -> int:
    """As long after the first occurrence, a minute into one."""
    return twin.occurrences[0].starts_at + days * 86_400_000_000 + 60_000_000


def test_after_20_days_offline_the_kiosk_knows_what_is_on(office: Office, kiosk: Kiosk) -> None:
    document = renew(office)[kiosk.id]
    assert len(document) <= MAX_TWIN_BYTES
    kiosk.twin.receive(document)
    inline, file = told(kiosk)
    assert inline.occurrences_until is not None
    assert inline.occurrences_until < day_us(inline, 20)
    assert file.size > MAX_TWIN_BYTES
    assert kiosk.fetcher.fetch_missing()
    office_is_away = day_us(inline, 20)
    accepted = kiosk.guest_at(office_is_away)
    assert accepted.outcome is Outcome.ACCEPTED
    assert accepted.occurrence is not None
    assert accepted.occurrence.starts_at == office_is_away - 60_000_000
    between = kiosk.guest_at(office_is_away + LASTS_S * 1_000_000)
    assert (between.outcome, between.flags) == (Outcome.VISIT, ())
    assert between.next is not None
    assert between.next.starts_at == accepted.occurrence.starts_at + EVERY_S * 1_000_000


def test_without_its_file_the_kiosk_works_from_the_twin_and_then_says_that_it_does_not_know(
    office: Office, kiosk: Kiosk
) -> None:
    kiosk.twin.receive(renew(office)[kiosk.id])
    twin, _ = told(kiosk)
    soon = kiosk.guest_at(twin.occurrences[-1].starts_at)
    assert soon.occurrence == twin.occurrences[-1]
    late = kiosk.guest_at(day_us(twin, 20))
    assert (late.outcome, late.occurrence, late.flags) == (Outcome.ACCEPTED, None, (Flag.NO_SCHEDULE,))


def test_file_holds_every_occurrence_of_the_window_those_in_the_twin_included(office: Office, kiosk: Kiosk) -> None:
    twin = decode_desired(renew(office)[kiosk.id])
    assert twin.occurrences_file is not None
    source = HttpSource(office.url, kiosk.id, kiosk.password)
    content = b"".join(source.pieces(twin.occurrences_file))
    assert hashlib.sha256(content).hexdigest() == twin.occurrences_file.sha256
    head, found = read_occurrences(content.splitlines(keepends=True))
    assert found[: len(twin.occurrences)] == twin.occurrences
    assert len(found) > 29 * 86_400 / EVERY_S  # the window ends at a midnight, 30 to 31 days ahead
    assert head.until > to_us(office.now() + timedelta(days=29))


def test_a_change_far_ahead_gives_a_new_twin_with_a_new_file(office: Office, kiosk: Kiosk, busy_room: JSON) -> None:
    kiosk.twin.receive(renew(office)[kiosk.id])
    kiosk.fetcher.fetch_missing()
    before, old = told(kiosk)
    far = next(each for each in before.occurrences if each.starts_at > day_us(before, 20))
    with office.client() as client:
        assert client.delete(f"/api/v1/occurrences/{far.id}").status_code == 200
    kiosk.twin.receive(renew(office)[kiosk.id])
    assert told(kiosk)[1].sha256 != old.sha256
    assert kiosk.fetcher.fetch_missing()
    assert kiosk.guest_at(far.starts_at + 60_000_000).outcome is Outcome.VISIT


def test_a_room_whose_calendar_empties_needs_no_file_any_more(office: Office, kiosk: Kiosk, busy_room: JSON) -> None:
    kiosk.twin.receive(renew(office)[kiosk.id])
    with office.client() as client:
        path = f"/api/v1/activities/{busy_room['id']}"
        version = client.get(path).headers["etag"]
        assert client.delete(path, headers={"If-Match": version}).status_code == 200
    kiosk.twin.receive(renew(office)[kiosk.id])
    twin = kiosk.twin.current()
    assert twin is not None
    assert (twin.occurrences_file, twin.occurrences) == (None, [])
    assert renew(office) == {}
