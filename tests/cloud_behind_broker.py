"""The cloud double behind a real broker, in a thread of its own: for terminals that speak MQTT.

Promises to answer every batch of every terminal, and to keep their births and deaths in the order of their coming.
"""

import threading
from types import TracebackType
from typing import Protocol, Self

from paho.mqtt.client import MQTTMessage

from firmware_specs.presence_messages import Birth, Death
from firmware_specs.topics import Channel, every, parse, topic
from firmware_specs.wire import decode_state, encode
from tests.cloud_double import CloudDouble
from tests.mqtt import MqttClient
from tests.servers import CLOUD_USER


class CloudSide(Protocol):
    """Where a broker takes the cloud."""

    cloud_port: int

    def password(self) -> str: ...


class CloudBehindBroker:
    """`leave` and `come_back` are the cloud's restart; what it has stored stays."""

    def __init__(self, broker: CloudSide) -> None:
        self.double = CloudDouble()
        self.states: list[Birth | Death] = []
        self._broker = broker
        self._stopping = threading.Event()
        self.come_back()

    def come_back(self) -> None:
        """Connect, subscribe, and answer."""
        self.client = MqttClient(
            self._broker.cloud_port, CLOUD_USER, self._broker.password(), client_id="roomlink-cloud-1"
        )
        self.client.subscribe(every(Channel.RECORDS))
        self.client.subscribe(every(Channel.STATE))
        self._stopping.clear()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def leave(self) -> None:
        """Disconnect."""
        self._stopping.set()
        self.client.messages.put(MQTTMessage())
        self._thread.join()
        self.client.close()

    def send(self, terminal: str, channel: Channel, payload: bytes, *, retain: bool = False) -> None:
        """Something downward."""
        self.client.publish(topic(terminal, channel), payload, retain=retain)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            message = self.client.receive(3600)
            if not self._stopping.is_set() or message.payload:
                self._take(message)

    def _take(self, message: MQTTMessage) -> None:
        to, payload = parse(message.topic), bytes(message.payload)
        if to.channel is Channel.STATE:
            self.states.append(decode_state(payload))
        elif (answer := self.double.answer(to.terminal, payload)) is not None:
            self.client.publish(topic(to.terminal, Channel.STORED), encode(answer), qos=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()
