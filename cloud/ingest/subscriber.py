"""The thin part that speaks MQTT: hears every terminal by an unshared subscription, and publishes the answers.

Promises that `on_message` only hands over, so that the network loop never waits. An unshared subscription, because a
terminal could join a shared one on Mosquitto and swallow messages.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from cloud.ingest import metrics
from cloud.ingest.line import Answer
from firmware_specs.errors import TopicError
from firmware_specs.topics import PREFIX, Channel, check_terminal_id, every

Hear = Callable[[str, bytes, bool], None]
"""Takes terminal, payload and whether it is a retained copy. Must not block."""

KEEPALIVE_S = 30

log = structlog.get_logger(__name__)


class Subscriber:
    """One connection to the broker, made again by itself whenever it is lost."""

    def __init__(
        self, host: str, port: int, user: str, password: str | None, *, client_id: str, hears: Mapping[Channel, Hear]
    ) -> None:
        self._where = host, port
        self._hears = hears
        self.connected = threading.Event()
        self.on_connected: Callable[[], None] = lambda: None
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTv5)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=15)
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        for channel, hear in hears.items():
            self._client.message_callback_add(every(channel), _hearing(channel, hear))

    def start(self) -> None:
        """Connect, in paho's own thread, as soon as the broker can be reached."""
        self._client.connect_async(*self._where, keepalive=KEEPALIVE_S, clean_start=True)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye."""
        self._client.disconnect()
        self._client.loop_stop()

    def answer(self, answers: Sequence[Answer]) -> None:
        """Publish on `down/stored`, QoS 0: the terminal's repeat covers a loss."""
        for answer in answers:
            self._client.publish(f"{PREFIX}/{answer.terminal}/{Channel.STORED}", answer.payload(), 0)

    def publish_retained(self, terminal: str, channel: Channel, payload: bytes) -> bool:
        """Publish at QoS 1, retained; False when it could not even be queued."""
        return self._client.publish(f"{PREFIX}/{terminal}/{channel}", payload, 1, retain=True).rc == 0

    def _on_connect(self, client: Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            log.error("broker_refused", reason=reason.getName())
            return
        client.subscribe([(every(channel), 1) for channel in self._hears])
        metrics.CONNECTED.set(1)
        self.connected.set()
        log.info("broker_connected", host=self._where[0], port=self._where[1])
        self.on_connected()

    def _on_disconnect(self, _client: Client, _user: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        metrics.CONNECTED.set(0)
        if self.connected.is_set():
            log.warning("broker_lost", reason=reason.getName())
        self.connected.clear()


def _hearing(channel: Channel, hear: Hear) -> Callable[[Client, Any, MQTTMessage], None]:
    start, end = len(PREFIX) + 1, -len(channel) - 1

    def on_message(_client: Client, _user: Any, message: MQTTMessage) -> None:
        terminal = message.topic[start:end]
        try:
            check_terminal_id(terminal)
        except TopicError:
            return
        hear(terminal, bytes(message.payload), message.retain)

    return on_message
