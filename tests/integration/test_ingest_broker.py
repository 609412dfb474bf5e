"""The whole line with real parts: Mosquitto, `python -m cloud serve`, a terminal that is nothing but an MQTT client."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud.attendance.models import Attendance
from cloud.database import transaction
from firmware_specs.messages import Stored
from firmware_specs.topics import Channel, downward, topic
from firmware_specs.wire import decode_stored
from tests.cloud import CloudServer
from tests.mqtt import MqttClient
from tests.pen import Pen
from tests.servers import MosquittoServer
from tests.town import TERMINALS, Town, person


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


class Kiosk:
    """A connection that sends a pen's batches and reads the answers."""

    def __init__(self, broker: MosquittoServer, pen: Pen) -> None:
        self.pen = pen
        self.client = MqttClient(broker.port, pen.terminal, broker.password(pen.terminal))
        self.client.subscribe(downward(pen.terminal))

    def send(self, payload: bytes) -> None:
        self.client.publish(topic(self.pen.terminal, Channel.RECORDS), payload)

    def answer(self) -> Stored:
        while not (message := self.client.receive()).topic.endswith(Channel.STORED):
            pass
        return decode_stored(bytes(message.payload))

    def ask(self, payload: bytes) -> Stored:
        self.send(payload)
        return self.answer()


def test_card_shown_at_a_kiosk_is_attendance_when_the_kiosk_is_told_it_is_stored(
    cloud: CloudServer, mosquitto: MosquittoServer, town: Town
) -> None:
    kiosk = Kiosk(mosquitto, Pen(config=town.twins["kiosk-1"]))
    with kiosk.client:
        assert kiosk.ask(kiosk.pen.batch()).through == 0
        kiosk.pen.check_in(person(2), town.occurrence)
        stored = kiosk.ask(kiosk.pen.batch())
        assert (stored.through, stored.chain, stored.error) == (1, kiosk.pen.chain(1), None)
        with transaction(town.engine, read_only=True) as session:
            assert session.scalars(select(Attendance.member_id)).all() == [person(2).member]
