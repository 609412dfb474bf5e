"""A kiosk of the town that is nothing but an MQTT client with a pen, and what the ledger says meanwhile."""

from typing import Any

from sqlalchemy import func, select

from cloud.database import transaction
from cloud.ingest.models import CheckIn
from cloud.terminals.models import Terminal
from firmware_specs.messages import Reported, Stored
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.topics import Channel, downward, topic
from firmware_specs.wire import decode_stored, encode
from tests.mqtt import MqttClient
from tests.pen import Pen
from tests.servers import MosquittoServer
from tests.town import Town


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
