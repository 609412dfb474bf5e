"""From a revocation to the broker: the list signed, judged and published, the open session cut, ingest deaf to it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from sqlalchemy import Engine, text

from cloud.audit.service import Change
from cloud.broker import Broker
from cloud.bulk import Bulk
from cloud.certificates import authorities, authority, issuing, keeper, lists, metrics, publishing, service, takeover
from cloud.certificates.authority import Authority
from cloud.certificates.keeper import Keeper
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.ingest.lookups import Lookups
from cloud.keybox import KeyBox
from cloud.loop import Loop
from cloud.scope import EVERYWHERE
from cloud.settings import Settings
from cloud.terminals import enabling, replacing
from cloud.terminals import service as terminals
from cloud.terminals.replacing import ReplaceForm
from firmware_specs.messages import StoredError
from tests.enrolment import add_intermediate, found_authority
from tests.integration.conftest import Start
from tests.integration.town_line import answers, ingest, pen
from tests.mqtt import MqttClient
from tests.office import settings_for
from tests.process import HOST, free_port, wait_until
from tests.servers import CLOUD_USER, MosquittoServer
from tests.town import Town

LASTS = timedelta(days=60)
KIOSK, OTHER = "kiosk-1", "kiosk-2"


@dataclass
class Hall:
    """A ledger with an authority and certified terminals; `shift` moves the clock, `cuts` are those that were asked for."""

    engine: Engine
    settings: Settings
    root: Authority
    shift: timedelta = timedelta(0)
    cuts: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return self.settings.authority_folder()

    def keeper(self) -> Keeper:
        return Keeper(
            self.engine,
            lambda: utc_now() + self.shift,
            KeyBox(self.settings.authority_key()),
            self.folder,
            LASTS,
            self.cuts.append,
        )

    def certify(self, terminal: str) -> int:
        """A certificate; its serial."""
        with transaction(self.engine) as session:
            box, key = KeyBox(self.settings.authority_key()), authority.new_key().public_key()
            given = issuing.give_terminal(session, box, terminal, key, utc_now() + self.shift)
        return x509.load_pem_x509_certificate(given.certificate.encode()).serial_number

    def revoke(self, terminal: str) -> None:
        with transaction(self.engine) as session:
            service.revoke(session, Change("test", utc_now() + self.shift), EVERYWHERE, terminal, "it was stolen")

    def stand(self, terminal: str, *, enabled: bool) -> None:
        change = Change("test", utc_now() + self.shift)
        with transaction(self.engine) as session:
            version = terminals.get(session, EVERYWHERE, terminal).version
            enabling.enable(session, change, EVERYWHERE, terminal, version, enabled=enabled)

    def revoked(self) -> list[set[int]]:
        """What the broker reads: the serials of each list."""
        found = (self.folder / publishing.REVOKED).read_bytes()
        pems = [part + b"-----END X509 CRL-----\n" for part in found.split(b"-----END X509 CRL-----\n") if part.strip()]
        return [{each.serial_number for each in x509.load_pem_x509_crl(pem)} for pem in pems]


@pytest.fixture
def hall(town: Town, tmp_path: Path) -> Hall:
    settings = settings_for(tmp_path / "cloud")
    return Hall(town.engine, settings, found_authority(town.engine, settings, utc_now()))


@pytest.fixture
def log() -> Iterator[list[structlog.typing.EventDict]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def test_a_revocation_is_in_the_list_and_the_session_cut_until_the_broker_must_have_read_it(hall: Hall) -> None:
    stolen, kept = hall.certify(KIOSK), hall.certify(OTHER)
    running = hall.keeper()
    running.turn()
    assert hall.revoked() == [set()]
    hall.revoke(KIOSK)
    running.turn()
    assert hall.revoked() == [{stolen}]
    assert kept not in hall.revoked()[0]
    assert hall.cuts == [KIOSK]
    hall.shift = keeper.SETTLED_AFTER
    running.turn()
    running.turn()
    assert hall.cuts == [KIOSK, KIOSK]


def test_a_list_is_made_daily_with_a_higher_number_and_outlives_a_restart(hall: Hall) -> None:
    hall.keeper().turn()
    first = (hall.folder / publishing.REVOKED).read_bytes()
    hall.keeper().turn()
    assert (hall.folder / publishing.REVOKED).read_bytes() == first
    hall.shift = timedelta(days=1, seconds=1)
    hall.keeper().turn()
    second = (hall.folder / publishing.REVOKED).read_bytes()
    numbers = [
        x509.load_pem_x509_crl(each).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for each in (first, second)
    ]
    assert numbers[0] < numbers[1]
    before, after = lists.ends_at(first), lists.ends_at(second)
    assert before is not None
    assert after is not None
    assert after - before >= timedelta(days=1)


def test_a_backup_brings_the_newest_intermediate_back_into_use(hall: Hall) -> None:
    box, now = KeyBox(hall.settings.authority_key()), utc_now() + timedelta(hours=1)
    newest = authority.make_intermediate(hall.root, "Town terminals 2", now)
    with transaction(hall.engine) as session:
        authorities.put_back(session, Change("test", now), newest, hall.root.certificate, box)
    with transaction(hall.engine, read_only=True) as session:
        in_use = authorities.needed(session, now)
    assert authorities.certificate_of(in_use) == newest.certificate


def test_a_retired_authority_still_has_its_list(hall: Hall) -> None:
    old = hall.certify(KIOSK)
    add_intermediate(hall.engine, hall.settings, hall.root, "Town terminals 2", utc_now())
    new = hall.certify(OTHER)
    hall.revoke(KIOSK)
    hall.revoke(OTHER)
    hall.keeper().turn()
    assert hall.revoked() == [{old}, {new}]
    chain = (hall.folder / publishing.CHAIN).read_bytes()
    assert len(x509.load_pem_x509_certificates(chain)) == 2


def test_files_that_somebody_changed_are_put_right(hall: Hall) -> None:
    running = hall.keeper()
    running.turn()
    good = (hall.folder / publishing.REVOKED).read_bytes()
    (hall.folder / publishing.REVOKED).write_bytes(good[:100])
    running.turn()
    assert (hall.folder / publishing.REVOKED).read_bytes() == good
    (hall.folder / publishing.CHAIN).unlink()
    running.turn()
    assert (hall.folder / publishing.CHAIN).exists()


def test_while_no_list_can_be_published_the_session_is_cut_again_and_again(hall: Hall) -> None:
    stolen = hall.certify(KIOSK)
    running = hall.keeper()
    running.turn()
    hidden = hall.settings.authority_key().rename(hall.settings.data_dir / "away")
    hall.revoke(KIOSK)
    hall.shift = 2 * keeper.SETTLED_AFTER
    for _ in range(2):
        with pytest.raises(Unavailable):
            running.turn()
    assert hall.cuts == [KIOSK, KIOSK]
    hidden.rename(hall.settings.authority_key())
    running.turn()
    running.turn()
    assert hall.revoked() == [{stolen}]
    assert hall.cuts == [KIOSK] * 3


def test_a_list_that_runs_out_is_told_in_time(hall: Hall, log: list[structlog.typing.EventDict]) -> None:
    running = hall.keeper()
    running.turn()
    assert metrics.REMAINING._value.get() == pytest.approx(LASTS.total_seconds(), abs=60)
    hall.settings.authority_key().rename(hall.settings.data_dir / "away")
    hall.shift = timedelta(days=31)
    for _ in range(2):
        with pytest.raises(Unavailable):
            running.turn()
    assert metrics.REMAINING._value.get() == pytest.approx(timedelta(days=29).total_seconds(), abs=60)
    assert [each["days_left"] for each in log if each["event"] == "revocation_list_runs_out"] == [29.0]


def test_a_list_that_was_signed_while_the_clock_was_ahead_is_made_anew(hall: Hall) -> None:
    hall.shift = timedelta(days=400)
    hall.keeper().turn()
    hall.shift = timedelta(0)
    hall.keeper().turn()
    ends_at = lists.ends_at((hall.folder / publishing.REVOKED).read_bytes())
    assert ends_at is not None
    assert abs(ends_at - utc_now() - LASTS) < timedelta(minutes=1)


def test_a_retired_authority_whose_key_is_lost_holds_up_no_other_list(
    hall: Hall, log: list[structlog.typing.EventDict]
) -> None:
    hall.certify(KIOSK)
    running = hall.keeper()
    running.turn()
    hall.settings.authority_key().unlink()
    add_intermediate(hall.engine, hall.settings, hall.root, "Town terminals 2", utc_now())
    new = hall.certify(OTHER)
    for terminal in (KIOSK, OTHER):
        hall.revoke(terminal)
    running.turn()
    running.turn()
    assert hall.revoked() == [set(), {new}]
    assert [each["event"] for each in log].count("revocation_list_not_signed") == 1
    hall.shift = LASTS + timedelta(days=1)
    running.turn()
    assert hall.revoked() == [{new}]


def test_another_process_publishes_and_leaves_signing_and_cutting_to_the_one(hall: Hall) -> None:
    hall.keeper().turn()
    stolen = hall.certify(KIOSK)
    hall.revoke(KIOSK)
    idle = hall.keeper()
    idle.is_mine = lambda: False
    idle.turn()
    assert (hall.revoked(), hall.cuts) == ([set()], [])
    hall.keeper().turn()
    assert (hall.revoked(), hall.cuts) == ([{stolen}], [KIOSK])


def test_a_disabled_terminal_is_cut_and_held_on_the_list_until_it_is_enabled(hall: Hall) -> None:
    held = hall.certify(KIOSK)
    hall.certify(OTHER)
    running = hall.keeper()
    running.turn()
    hall.stand(KIOSK, enabled=False)
    running.turn()
    assert (hall.revoked(), hall.cuts) == ([{held}], [KIOSK])
    listed = x509.load_pem_x509_crl((hall.folder / publishing.REVOKED).read_bytes())
    reason = next(iter(listed)).extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.certificate_hold
    hall.shift = 2 * keeper.SETTLED_AFTER
    running.turn()
    hall.stand(KIOSK, enabled=True)
    running.turn()
    assert (hall.revoked(), hall.cuts) == ([set()], [KIOSK] * 2)


def test_a_terminal_that_was_revoked_is_cut_though_it_was_enabled_again_at_once(hall: Hall) -> None:
    stolen = hall.certify(KIOSK)
    hall.revoke(KIOSK)
    hall.stand(KIOSK, enabled=True)
    hall.keeper().turn()
    assert (hall.revoked(), hall.cuts) == ([{stolen}], [KIOSK])


def test_a_terminal_that_is_replaced_and_shut_out_at_once_is_held_and_cut_like_any_disabled_one(hall: Hall) -> None:
    held = hall.certify(KIOSK)
    running = hall.keeper()
    running.turn()
    form = ReplaceForm(by="kiosk-2", reason="its screen is broken", disable=True)
    with transaction(hall.engine) as session:
        session.execute(text("UPDATE terminals SET room_id = NULL WHERE id = 'kiosk-2'"))
        replacing.replace(session, Change("test", utc_now()), EVERYWHERE, KIOSK, 1, form)
    running.turn()
    assert (hall.revoked(), hall.cuts) == ([{held}], [KIOSK])


def test_what_has_ended_leaves_the_list(hall: Hall) -> None:
    hall.certify(KIOSK)
    hall.revoke(KIOSK)
    hall.keeper().turn()
    hall.shift = timedelta(days=92)
    hall.keeper().turn()
    assert hall.revoked() == [set()]


def test_ingest_knows_a_revoked_terminal_no_more(hall: Hall) -> None:
    hall.certify(KIOSK)
    with transaction(hall.engine, read_only=True) as session:
        assert set(Lookups().terminals(Bulk.of(session), [KIOSK, OTHER])) == {KIOSK, OTHER}
    hall.revoke(KIOSK)
    with transaction(hall.engine, read_only=True) as session:
        assert set(Lookups().terminals(Bulk.of(session), [KIOSK, OTHER])) == {OTHER}


def test_who_was_revoked_and_enabled_again_is_believed_by_a_signature_only(hall: Hall, town: Town) -> None:
    hall.certify(KIOSK)
    hall.revoke(KIOSK)
    with transaction(hall.engine) as session:
        session.execute(text("UPDATE terminals SET enabled = TRUE WHERE id = :id"), {"id": KIOSK})
    unsigned = pen(town)
    unsigned.health()
    (answer,) = answers(ingest(town, unsigned.delivery()))
    assert (answer.through, answer.error) == (0, StoredError.BAD_SIGNATURE)


def broker_at(mosquitto: MosquittoServer) -> Broker:
    return Broker(HOST, mosquitto.cloud_port, CLOUD_USER, mosquitto.password())


def test_an_open_session_is_cut_within_ten_seconds(hall: Hall, town_broker: MosquittoServer) -> None:
    hall.certify(KIOSK)
    running = hall.keeper()
    running.cut = lambda terminal: takeover.take_over(broker_at(town_broker), terminal)
    running.pid_file = town_broker.pid_file
    loop = Loop("revocation", running.turn)
    with (
        MqttClient(town_broker.port, OTHER, town_broker.password(OTHER)) as other,
        MqttClient(town_broker.port, KIOSK, town_broker.password(KIOSK)) as kiosk,
    ):
        loop.start()
        try:
            assert not kiosk.ended.is_set()
            hall.revoke(KIOSK)
            assert kiosk.ended.wait(10)
            assert wait_until(lambda: not _asked(hall))
            assert not other.ended.is_set()
            assert loop.trouble is None
        finally:
            loop.stop()
    assert "Reloading config" in town_broker.process.log()


def test_a_broker_that_is_away_is_tried_until_it_is_back(hall: Hall, town_broker: MosquittoServer) -> None:
    hall.certify(KIOSK)
    running = hall.keeper()
    running.cut = lambda terminal: takeover.take_over(broker_at(town_broker), terminal)
    running.turn()
    town_broker.stop()
    hall.revoke(KIOSK)
    with pytest.raises(Unavailable) as refused:
        running.turn()
    assert refused.value.code == "broker_away"
    assert _asked(hall) == 1
    town_broker.start()
    with MqttClient(town_broker.port, KIOSK, town_broker.password(KIOSK)) as kiosk:
        running.turn()
        assert kiosk.ended.wait(10)


def test_a_broker_that_knows_the_cloud_no_more_is_named(town_broker: MosquittoServer) -> None:
    with pytest.raises(Unavailable, match="Not authorized"):
        takeover.take_over(Broker(HOST, town_broker.cloud_port, CLOUD_USER, "wrong"), KIOSK)
    with pytest.raises(Unavailable, match="cannot be reached"):
        takeover.take_over(Broker(HOST, free_port(), CLOUD_USER, "wrong"), KIOSK)


def _asked(hall: Hall) -> int:
    with transaction(hall.engine, read_only=True) as session:
        return session.scalar(text("SELECT COUNT(*) FROM session_cuts")) or 0


def test_the_service_does_it_whoever_revoked(hall: Hall, start: Start, town_broker: MosquittoServer) -> None:
    stolen = hall.certify(KIOSK)
    keys = {"ROOMLINK_AUTHORITY_KEY_FILE": str(hall.settings.authority_key())}
    folder = {"ROOMLINK_AUTHORITY_DIR": str(hall.folder), "ROOMLINK_MOSQUITTO_PID_FILE": str(town_broker.pid_file)}
    serving = start(command="serve", **keys, **folder)
    with MqttClient(town_broker.port, KIOSK, town_broker.password(KIOSK)) as kiosk:
        hall.revoke(KIOSK)
        assert kiosk.ended.wait(10)
    assert wait_until(lambda: not _asked(hall))
    assert hall.revoked() == [{stolen}]
    assert [line for line in serving.process.log().splitlines() if "put_off" in line] == []
