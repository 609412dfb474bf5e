"""The thin part that speaks MQTT: hears every terminal by an unshared subscription, and publishes the answers.

Promises that `on_message` only hands over, so that the network loop never waits. An unshared subscription, because a
terminal could join a shared one on Mosquitto and swallow messages.
"""

import random
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from cloud.broker import Broker, client_for
from cloud.clock import Clock, to_us, utc_now
from cloud.ingest import metrics
from cloud.ingest.line import Answer
from firmware_specs.errors import TopicError
from firmware_specs.messages import Stored, StoredError
from firmware_specs.topics import PREFIX, Channel, check_terminal_id, every
from firmware_specs.wire import decode_command, encode

Hear = Callable[[str, bytes, bool], None]
"""Takes terminal, payload and whether it is a retained copy. Must not block."""

KEEPALIVE_S: Final = 30
SECOND_US: Final = 1_000_000
BUSY_AFTER_S: Final = 10.0
"""A terminal that found no slot free comes back after one to three of these."""
ANSWERED: Final = 50_000
"""Terminals that are remembered as known."""

log = structlog.get_logger(__name__)


class Subscriber:
    """One connection to the broker, made again by itself whenever it is lost."""

    def __init__(
        self, broker: Broker, *, client_id: str, hears: Mapping[Channel, Hear], clock: Clock = utc_now
    ) -> None:
        self._broker, self._hears, self._clock = broker, hears, clock
        self._by_channel: Mapping[str, Hear] = {str(channel): hear for channel, hear in hears.items()}
        self._answered: dict[str, int] = {}
        self._answered_lock = threading.Lock()  # every worker answers, each in a thread of its own
        self.on_lost: Callable[[], None] = lambda: None
        self.connected = threading.Event()
        self._client = client_for(broker, client_id)
        self._client.reconnect_delay_set(min_delay=1, max_delay=15)
        self._client.max_inflight_messages_set(1000)
        self._client.max_queued_messages_set(10_000)
        self._client.on_socket_open = _send_at_once
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, in paho's own thread, as soon as the broker can be reached."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S, clean_start=True)
        self._client.loop_start()

    def unsubscribe(self) -> None:
        """Hear no more; answers still go out."""
        if self.connected.is_set():
            self._client.unsubscribe([every(channel) for channel in self._hears])

    def stop(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def answer(self, answers: Sequence[Answer]) -> None:
        """Publish on `down/stored`, QoS 0: the terminal's repeat covers a loss."""
        for answer in answers:
            self._client.publish(f"{PREFIX}/{answer.terminal}/{Channel.STORED}", answer.payload, 0)
        with self._answered_lock:
            self._answered.update((answer.terminal, answer.epoch) for answer in answers)
            while len(self._answered) > ANSWERED:
                del self._answered[next(iter(self._answered))]

    def answer_busy(self, terminal: str) -> None:
        """Every slot is taken: ask it to come later, each at another time. Only one that was answered before: a stranger
        gets no answer."""
        epoch = self._answered.get(terminal)
        if epoch is None:
            return
        later = random.uniform(BUSY_AFTER_S, 3 * BUSY_AFTER_S)  # noqa: S311 - to spread the senders, not a secret
        busy = Stored(epoch=epoch, error=StoredError.BUSY, retry_after_s=round(later, 3))
        self._client.publish(f"{PREFIX}/{terminal}/{Channel.STORED}", encode(busy), 0)

    def publish_desired(self, terminal: str, payload: bytes) -> bool:
        """Publish a twin at QoS 1, retained; False while there is no connection, or no room among what is on its way."""
        if not self.connected.is_set():
            return False
        return self._client.publish(f"{PREFIX}/{terminal}/{Channel.DESIRED}", payload, 1, retain=True).rc == 0

    def publish_command(self, terminal: str, payload: bytes, expires_s: int) -> bool:
        """Publish a command at QoS 1 that is worth nothing after `expires_s`; False as for twins."""
        if not self.connected.is_set():
            return False
        topic = f"{PREFIX}/{terminal}/{Channel.COMMANDS}"
        return self._client.publish(topic, payload, 1, properties=_expiring(expires_s)).rc == 0

    def _on_message(self, _client: Client, _user: Any, message: MQTTMessage) -> None:
        """By hand and not by paho's filters, which cost more than all else here."""
        terminal, _, channel = message.topic[len(PREFIX) + 1 :].partition("/")
        hear = self._by_channel.get(channel)
        if hear is None:
            return
        try:
            check_terminal_id(terminal)
        except TopicError:
            return
        hear(terminal, bytes(message.payload), message.retain)

    def _on_connect(self, client: Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("broker_refused", reason=reason.getName())
            return
        self._send_again(client)
        client.subscribe([(every(channel), 1) for channel in self._hears])

    def _send_again(self, client: Client) -> None:
        """What the broker has not acknowledged, each command with what is left of its time. Left to paho, it would go with its
        whole expiry, and a terminal whose clock is not synced would act late (firmware_specs/README.md, 7)."""
        now = to_us(self._clock())
        for message in client.drop_out_messages():
            properties = message.properties
            if hasattr(properties, "MessageExpiryInterval"):  # commands only
                left_s = (decode_command(bytes(message.payload)).deadline_at - now) // SECOND_US
                if left_s < 1:
                    continue
                properties = _expiring(left_s)
            client.publish(message.topic, message.payload, message.qos, message.retain, properties)

    def _on_subscribe(self, _client: Client, _user: Any, _message: int, reasons: Any, _properties: Any) -> None:
        if any(reason.is_failure for reason in reasons):
            log.error("broker_refuses_subscription", reasons=[reason.getName() for reason in reasons])
            return
        metrics.CONNECTED.set(1)
        self.connected.set()
        log.info("broker_connected", host=self._broker.host, port=self._broker.port)

    def _on_disconnect(self, _client: Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        metrics.CONNECTED.set(0)
        if self.connected.is_set():
            log.warning("broker_lost", reason=reason.getName())
            self.on_lost()
        self.connected.clear()


def _expiring(seconds: int) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.MessageExpiryInterval = seconds
    return properties


def _send_at_once(_client: Client, _user: Any, connected: Any) -> None:
    """Without Nagle's algorithm (RFC 896): an answer would wait for the broker's delayed ACK of the PUBACK before it, 40 ms."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
