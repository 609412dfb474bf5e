"""The small terminal, written from the contract's README alone, beside ours at the real broker and the real cloud."""

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from cloud.attendance.models import Attendance
from cloud.database import transaction
from cloud.ingest.models import CheckIn, Quarantine
from cloud.journal.models import Stream
from edge.clock import Clock
from edge.link import Address, Link
from edge.links import Links
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs import messages, presence_messages
from firmware_specs.topics import Channel, topic
from firmware_specs.wire import decode_state
from tests.cloud import CloudServer
from tests.mqtt import MqttClient
from tests.process import HOST, ROOT
from tests.servers import CLOUD_USER, MosquittoServer, wait_until
from tests.town import TERMINALS, Town, person

SMALL, OURS = TERMINALS
FILE = ROOT / "tests" / "contract" / "small_terminal.py"
WITHIN_S = 40


@pytest.fixture
def mosquitto(mosquitto: MosquittoServer) -> MosquittoServer:
    for terminal in TERMINALS:
        mosquitto.set_user(terminal)
    mosquitto.apply_users()
    return mosquitto


@pytest.fixture
def cloud(tmp_path: Path, ledger_url: str, town: Town, mosquitto: MosquittoServer) -> Iterator[CloudServer]:
    with CloudServer(tmp_path / "cloud", ledger_url, mosquitto) as server:
        yield server


class SmallTerminal:
    """Its command, with a database of its own."""

    def __init__(self, folder: Path, broker: MosquittoServer, town: Town) -> None:
        self.database = folder / "small.db"
        self.options = {
            "host": HOST,
            "port": broker.port,
            "terminal": SMALL,
            "password": broker.password(SMALL),
            "database": str(self.database),
            "occurrence": town.occurrence,
            "resend_timeout_s": 1.0,
        }

    @contextlib.contextmanager
    def started(self, *members: int, **options: Any) -> Iterator[subprocess.Popen[str]]:
        """Checks members in and ends by itself when all is stored; killed when left before."""
        told = self.options | options | {"cards": [person(number).card for number in members]}
        with subprocess.Popen([sys.executable, FILE, json.dumps(told)], stdout=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def run(self, *members: int, **options: Any) -> dict[str, Any]:
        """The same, and its state when it has ended."""
        with self.started(*members, **options) as process:
            return self.state_of(process)

    def state_of(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        """What it says at its end."""
        said, _ = process.communicate(timeout=WITHIN_S)
        assert process.returncode == 0
        state: dict[str, Any] = json.loads(said)
        return state

    def last(self) -> int:
        """Number of its last record on the disk; 0 while there is none."""
        with contextlib.closing(sqlite3.connect(self.database)) as sql, contextlib.suppress(sqlite3.OperationalError):
            return int(sql.execute("SELECT max(number) FROM records").fetchone()[0] or 0)
        return 0


@pytest.fixture
def small(tmp_path: Path, mosquitto: MosquittoServer, town: Town) -> SmallTerminal:
    return SmallTerminal(tmp_path, mosquitto, town)


def attending(town: Town) -> list[str]:
    with transaction(town.engine, read_only=True) as session:
        return sorted(session.scalars(select(Attendance.member_id)))


def facts(town: Town) -> int:
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(select(func.count()).select_from(Quarantine)) == 0
        return session.scalar(select(func.count()).select_from(CheckIn)) or 0


def test_its_check_ins_are_attendance_beside_those_of_our_agent(
    cloud: CloudServer, mosquitto: MosquittoServer, small: SmallTerminal, town: Town, tmp_path: Path
) -> None:
    clock = Clock()
    outbox = Outbox.open(tmp_path / "ours.db", terminal=OURS, clock=clock)
    stamp = clock.stamp(town.twins[OURS])
    card = messages.CredentialReference(id=person(2).card)
    outbox.append(
        [
            messages.CheckIn(
                **stamp, method=messages.Method.STAFF, outcome=messages.Outcome.ACCEPTED,
                credential=card, occurrence=town.occurrence,
            )
        ]
    )  # fmt: skip
    address = Address(HOST, mosquitto.port, OURS, mosquitto.password(OURS))
    birth = {"boot": clock.boot, "profile": "kiosk", "versions": {"agent": "test"}}
    links = Links([Link(address, outbox, Uplink(outbox, resend_timeout_s=1.0), birth=birth)])
    links.start()
    state = small.run(1)
    assert wait_until(lambda: outbox.status().depth == 0)
    links.stop()
    outbox.close()
    assert state["through"] == state["last"] == 2
    assert attending(town) == [person(1).member, person(2).member]
    assert facts(town) == 2


def test_it_survives_a_kill_and_a_restart_of_broker_and_cloud_without_loss_or_repeat(
    cloud: CloudServer, mosquitto: MosquittoServer, small: SmallTerminal, town: Town
) -> None:
    cloud.stop()
    with small.started(1, 2):
        assert wait_until(lambda: small.last() == 3)
    with small.started(3) as process:
        assert wait_until(lambda: small.last() == 5)
        mosquitto.restart()
        cloud.start()
        assert small.state_of(process)["through"] == 5
    assert attending(town) == [person(number).member for number in (1, 2, 3)]
    assert facts(town) == 3


def test_it_splits_what_does_not_fit_into_a_packet(cloud: CloudServer, small: SmallTerminal, town: Town) -> None:
    state = small.run(*[1, 2, 3] * 20, max_bytes=4096)
    assert state["through"] == 61
    assert facts(town) == 60
    assert len(attending(town)) == 3


def test_after_a_rollback_of_its_disk_it_continues_in_a_new_stream_with_every_fact_single(
    cloud: CloudServer, small: SmallTerminal, town: Town, tmp_path: Path
) -> None:
    old = small.run(1)
    shutil.copy(small.database, tmp_path / "older.db")
    small.run(2)
    for path in tmp_path.glob("small.db*"):
        path.unlink()
    shutil.copy(tmp_path / "older.db", small.database)
    new = small.run(3)
    assert new["stream"] != old["stream"]
    assert new["parent"]["stream"] == old["stream"]
    assert attending(town) == [person(number).member for number in (1, 2, 3)]
    assert facts(town) == 3
    with transaction(town.engine, read_only=True) as session:
        parents = session.scalars(select(Stream.parent_stream).where(Stream.stream == new["stream"])).all()
    assert parents == [old["stream"]]


def test_its_presence_is_retained_and_ends_with_a_farewell(
    cloud: CloudServer, mosquitto: MosquittoServer, small: SmallTerminal
) -> None:
    small.run(1)
    with MqttClient(mosquitto.cloud_port, CLOUD_USER, mosquitto.password(), client_id="roomlink-cloud-9") as client:
        client.subscribe(topic(SMALL, Channel.STATE))
        state = decode_state(bytes(client.receive().payload))
    assert isinstance(state, presence_messages.Death)
    assert (state.connection, state.reason) == (1, "stopped")
