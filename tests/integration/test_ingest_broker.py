"""The whole line with real parts: Mosquitto, `python -m cloud serve`, terminals that are nothing but MQTT clients."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select, update

from cloud.attendance.models import Attendance
from cloud.clock import utc_now
from cloud.counters import Counts, advance
from cloud.database import transaction
from cloud.ingest.models import CheckIn
from cloud.terminals.models import Terminal
from firmware_specs.messages import Birth, Death, Reported, Stored, StoredError
from firmware_specs.topics import Channel, downward, topic
from firmware_specs.wire import decode_desired, decode_stored, encode
from tests.cloud import CloudServer
from tests.mqtt import MqttClient
from tests.pen import Pen
from tests.process import ROOT
from tests.servers import MosquittoServer, PostgresServer, wait_until
from tests.town import TERMINALS, Town, add_member, migrated, person, settle

Start = Callable[..., CloudServer]


@pytest.fixture
def mosquitto(mosquitto: MosquittoServer) -> MosquittoServer:
    for terminal in (*TERMINALS, "stranger"):
        mosquitto.set_user(terminal)
    mosquitto.apply_users()
    return mosquitto


@pytest.fixture
def start(tmp_path: Path, ledger_url: str, town: Town, mosquitto: MosquittoServer) -> Iterator[Start]:
    """Starts clouds over the same ledger and broker, without a console where none is needed; all are stopped in the end."""
    clouds: list[CloudServer] = []

    def start(*, command: str = "worker", program: str = "cloud", **settings: str) -> CloudServer:
        cloud = CloudServer(tmp_path / f"cloud-{len(clouds)}", ledger_url, mosquitto, settings, command, program)
        clouds.append(cloud)
        cloud.start()
        return cloud

    yield start
    for cloud in clouds:
        cloud.kill()


class Kiosk:
    """A connection that sends a pen's batches and keeps what comes down."""

    def __init__(self, broker: MosquittoServer, pen: Pen, *, will: bool = False, connection: int = 1) -> None:
        self.pen, self.connection = pen, connection
        self.state = topic(pen.terminal, Channel.STATE)
        death = encode(Death(incarnation=pen.stream, connection=connection))
        self.client = MqttClient(
            broker.port, pen.terminal, broker.password(pen.terminal), will=(self.state, death, True) if will else None
        )
        self.client.subscribe(downward(pen.terminal))

    def born(self) -> None:
        birth = Birth(incarnation=self.pen.stream, connection=self.connection, boot=self.pen.boot, profile="kiosk",
                      versions={"agent": "0"})  # fmt: skip
        self.client.publish(self.state, encode(birth), retain=True)

    def report(self, version: tuple[int, int]) -> None:
        reported = encode(Reported(version=version, applied=True))
        self.client.publish(topic(self.pen.terminal, Channel.REPORTED), reported, retain=True)

    def send(self, payload: bytes) -> None:
        self.client.publish(topic(self.pen.terminal, Channel.RECORDS), payload)

    def next(self, channel: Channel, within_s: float = 10.0) -> bytes:
        while not (message := self.client.receive(within_s)).topic.endswith(channel):
            pass
        return bytes(message.payload)

    def answer(self) -> Stored:
        return decode_stored(self.next(Channel.STORED))

    def ask(self, payload: bytes) -> Stored:
        self.send(payload)
        return self.answer()

    def __enter__(self) -> "Kiosk":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def kiosk_of(mosquitto: MosquittoServer, town: Town, terminal: str = "kiosk-1", **options: Any) -> Kiosk:
    return Kiosk(mosquitto, Pen(terminal=terminal, config=town.twins.get(terminal, (0, 0))), **options)


def count(town: Town, model: Any = CheckIn) -> int:
    with transaction(town.engine, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def presence(town: Town, terminal: str = "kiosk-1") -> str:
    with transaction(town.engine, read_only=True) as session:
        return session.scalars(select(Terminal.presence).where(Terminal.id == terminal)).one()


# --- records -----------------------------------------------------------------------------------------------------


def test_card_shown_at_a_kiosk_is_attendance_when_the_kiosk_is_told_it_is_stored(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    start(command="serve")
    with kiosk_of(mosquitto, town) as kiosk:
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        kiosk.pen.check_in(person(2), town.occurrence)
        stored = kiosk.ask(kiosk.pen.batch())
        assert (stored.through, stored.chain, stored.error) == (1, kiosk.pen.chain(1), None)
        with transaction(town.engine, read_only=True) as session:
            assert session.scalars(select(Attendance.member_id)).all() == [person(2).member]


def test_stranger_is_not_answered_and_hurts_nobody(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    cloud = start()
    with kiosk_of(mosquitto, town, "stranger") as stranger, kiosk_of(mosquitto, town) as kiosk:
        stranger.send(stranger.pen.batch())
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        assert wait_until(lambda: "unknown_terminals" in cloud.process.log())
        assert stranger.client.messages.empty()


def test_rubbish_is_answered_and_the_next_batch_is_stored(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    start()
    with kiosk_of(mosquitto, town) as kiosk:
        assert kiosk.ask(b"rubbish").error == StoredError.BROKEN
        assert kiosk.ask(b"x" * 500_000).error == StoredError.TOO_LARGE
        kiosk.pen.health()
        assert kiosk.ask(kiosk.pen.batch()).through == 1


def test_killed_between_commit_and_answer_everything_is_there_once(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    start(program="tests.integration.dying_cloud")
    with kiosk_of(mosquitto, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        kiosk.send(kiosk.pen.batch())
        assert wait_until(lambda: count(town) == 1)
        start()
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert (count(town), count(town, Attendance)) == (1, 1)


def test_stopped_cloud_stores_and_answers_what_it_has_heard(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    cloud = start()
    with kiosk_of(mosquitto, town) as kiosk:
        for number in range(1, 21):
            kiosk.pen.check_in(person(1), town.occurrence)
            assert kiosk.ask(kiosk.pen.batch(number)).through == number
        kiosk.pen.check_in(person(2), town.occurrence)
        kiosk.send(kiosk.pen.batch(21))
        cloud.process.stop()
        assert count(town) in {20, 21}
        if count(town) == 21:
            assert kiosk.answer().through == 21


def test_broker_that_comes_back_is_found_again(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    cloud = start()
    mosquitto.kill()
    assert wait_until(lambda: "broker_lost" in cloud.process.log())
    mosquitto.start()
    cloud.wait_for_broker(2)
    with kiosk_of(mosquitto, town) as kiosk:
        assert kiosk.ask(kiosk.pen.batch()).through == 0


def test_time_series_that_is_away_delays_nothing_else(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    cloud = start(
        command="serve", ROOMLINK_TIMESERIES_URL="influx+http://127.0.0.1:1/town/town", ROOMLINK_TIMESERIES_TOKEN="x"
    )
    with kiosk_of(mosquitto, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert count(town, Attendance) == 1
        assert wait_until(lambda: '"projector"' in cloud.process.log())
    cloud.stop()
    again = start(command="serve")
    assert wait_until(lambda: series_points(again) == 1)


def series_points(cloud: CloudServer) -> int:
    """What the stopped cloud's DuckDB file holds; the service owns it while it runs."""
    cloud.process.stop()
    from cloud.timeseries.stores import open_store

    store = open_store(f"duckdb:///{cloud.environment['ROOMLINK_DATA_DIR']}/timeseries.duckdb")
    points = sum(stream.points for stream in store.count_by_stream().values())
    store.close()
    cloud.start()
    return points


def test_database_that_goes_away_delays_and_loses_nothing(
    mosquitto: MosquittoServer, postgres: PostgresServer, tmp_path: Path, postgres_url: str
) -> None:
    town = settle(migrated(postgres_url))
    with CloudServer(tmp_path / "cloud", postgres_url, mosquitto) as cloud, kiosk_of(mosquitto, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        postgres.stop()
        try:
            kiosk.pen.check_in(person(2), town.occurrence)
            kiosk.send(kiosk.pen.batch(2))
            assert wait_until(lambda: "ledger_away" in cloud.process.log())
            assert kiosk.client.messages.empty()
        finally:
            postgres.start()
        assert kiosk.answer().through == 2
        assert count(town) == 2
        assert cloud.connections() == 1
    town.engine.dispose()


# --- several processes -------------------------------------------------------------------------------------------


def test_of_several_processes_one_has_the_subscription_and_another_takes_over(
    mosquitto: MosquittoServer, tmp_path: Path, postgres_url: str
) -> None:
    town = settle(migrated(postgres_url))
    first = CloudServer(tmp_path / "first", postgres_url, mosquitto, command="worker")
    second = CloudServer(tmp_path / "second", postgres_url, mosquitto, command="worker")
    with first, kiosk_of(mosquitto, town) as kiosk:
        second.start_waiting()
        kiosk.pen.check_in(person(1), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert second.connections() == 0
        first.kill()
        second.wait_for_broker(1)
        kiosk.pen.check_in(person(2), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 2
        assert count(town) == 2
    second.stop()
    town.engine.dispose()


def test_lines_in_processes_of_their_own_store_what_one_subscription_hears(
    mosquitto: MosquittoServer, tmp_path: Path, postgres_url: str
) -> None:
    town = settle(migrated(postgres_url))
    settings = {"ROOMLINK_INGEST_PROCESSES": "2"}
    with CloudServer(tmp_path / "cloud", postgres_url, mosquitto, settings, command="worker") as cloud:
        for terminal in TERMINALS:
            with kiosk_of(mosquitto, town, terminal) as kiosk:
                kiosk.pen.check_in(person(1), town.occurrence)
                kiosk.send(kiosk.pen.batch())
                assert kiosk.answer().through == 1
        for child in psutil.Process(cloud.process.pid).children():
            child.kill()
        with kiosk_of(mosquitto, town) as kiosk:
            kiosk.pen.check_in(person(2), town.occurrence)
            assert kiosk.ask(kiosk.pen.batch()).through == 1
        assert count(town) == 3
    town.engine.dispose()


def test_processes_are_for_postgresql_only(tmp_path: Path) -> None:
    migrated(f"sqlite:///{tmp_path}/ledger.db").dispose()
    environment = os.environ | {
        "ROOMLINK_DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db",
        "ROOMLINK_INGEST_PROCESSES": "2",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "cloud", "worker"],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert "PostgreSQL" in ended.stderr


# --- presence and twins ------------------------------------------------------------------------------------------


def test_presence_follows_births_wills_and_what_is_heard(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    cloud = start()
    kiosk = kiosk_of(mosquitto, town, will=True)
    kiosk.born()
    assert wait_until(lambda: presence(town) == "online")
    cloud.stop()
    cloud.start()
    assert wait_until(lambda: presence(town) == "suspect")
    kiosk.send(kiosk.pen.batch())
    assert wait_until(lambda: presence(town) == "online")
    kiosk.client.cut()
    assert wait_until(lambda: presence(town) == "offline")
    with kiosk_of(mosquitto, town, connection=2) as again:
        again.send(again.pen.batch())
        assert again.answer().through == 0
        assert presence(town) == "offline"
        again.born()
        assert wait_until(lambda: presence(town) == "online")


def test_will_that_fired_while_the_cloud_was_away_counts(start: Start, mosquitto: MosquittoServer, town: Town) -> None:
    cloud = start()
    kiosk = kiosk_of(mosquitto, town, will=True)
    kiosk.born()
    assert wait_until(lambda: presence(town) == "online")
    cloud.stop()
    kiosk.client.cut()
    cloud.start()
    assert wait_until(lambda: presence(town) == "offline")


def test_twin_is_pushed_when_something_changed_and_again_at_every_birth(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(mosquitto, town) as kiosk:
        first = decode_desired(kiosk.next(Channel.DESIRED))
        assert first.version > town.twins["kiosk-1"]
        assert first.room is not None
        with transaction(town.engine) as session:
            session.execute(update(Terminal).where(Terminal.id == "kiosk-1").values(settings={"language": "en"}))
            advance(session, Counts.TWIN_INPUTS)
        second = decode_desired(kiosk.next(Channel.DESIRED))
        assert (second.version > first.version, second.language) == (True, "en")
        kiosk.born()
        assert decode_desired(kiosk.next(Channel.DESIRED)).version == second.version
        kiosk.report(second.version)
    with kiosk_of(mosquitto, town) as later:
        assert decode_desired(later.next(Channel.DESIRED)).version == second.version
    assert wait_until(lambda: reported(town) == list(second.version))


def test_terminal_that_reports_an_older_twin_is_given_the_present_one(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    cloud = start()
    with kiosk_of(mosquitto, town) as kiosk:
        present = decode_desired(kiosk.next(Channel.DESIRED))
        cloud.stop()
        kiosk.report((1, 1))
        cloud.start()
        assert decode_desired(kiosk.next(Channel.DESIRED)).version == present.version


def reported(town: Town) -> Any:
    with transaction(town.engine, read_only=True) as session:
        found = session.scalars(select(Terminal.reported).where(Terminal.id == "kiosk-1")).one()
    return found and found["version"]


def test_member_who_is_registered_later_is_linked_by_itself(
    start: Start, mosquitto: MosquittoServer, town: Town
) -> None:
    start()
    with kiosk_of(mosquitto, town) as kiosk:
        kiosk.pen.check_in(person(9), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch()).through == 1
        with transaction(town.engine) as session:
            add_member(session, person(9), utc_now())
            advance(session, Counts.ROSTER)
        assert wait_until(lambda: count(town, Attendance) == 1)


def test_restored_backup_makes_a_terminal_send_again_what_came_after_it(
    start: Start, mosquitto: MosquittoServer, town: Town, tmp_path: Path
) -> None:
    cloud = start()

    def run(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "cloud", *arguments], env=os.environ | cloud.environment, cwd=ROOT, check=True
        )

    with kiosk_of(mosquitto, town) as kiosk:
        kiosk.pen.check_in(person(1), town.occurrence)
        before = kiosk.ask(kiosk.pen.batch())
        run("backup", str(tmp_path / "town.backup"))
        for number in (2, 3):
            kiosk.pen.check_in(person(number), town.occurrence)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 3
        run("restore", "--yes", str(tmp_path / "town.backup"))
        after = kiosk.ask(kiosk.pen.batch(4, 0))
        assert (after.through, after.epoch > before.epoch) == (1, True)
        assert kiosk.ask(kiosk.pen.batch(2)).through == 3
        assert (count(town), count(town, Attendance)) == (3, 3)
        run("rebuild", "ledger")
        assert (count(town), count(town, Attendance)) == (3, 3)
        run("rebuild", "series")
