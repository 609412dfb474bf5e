"""A plain MQTT 5 client for tests: connects, waits for every answer, keeps what arrives in order.

Promises that nothing is waited for longer than WITHIN_S, and that it never connects again by itself.
"""

import queue
import socket
import ssl
import threading
import time
import warnings
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.process import HOST

WITHIN_S = 10.0


class RefusedError(Exception):
    """The broker refused CONNECT; `reason` is its word, or None when it just closed the connection."""

    def __init__(self, reason: str | None) -> None:
        super().__init__(reason)
        self.reason = reason


class MqttClient:
    """One connection; `will` is (topic, payload, retain), `session_expiry_s` keeps the session after it, `tls` secures it."""

    def __init__(
        self,
        port: int,
        user: str | None,
        password: str | None,
        *,
        client_id: str | None = None,
        will: tuple[str, bytes, bool] | None = None,
        session_expiry_s: int | None = None,
        clean_start: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()  # unbounded: a test sends a handful
        self.ended = threading.Event()
        self.properties = _properties(PacketTypes.CONNACK)
        self._answers: queue.Queue[ReasonCode | None] = queue.Queue()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=user if client_id is None else client_id,
            protocol=MQTTv5,
            reconnect_on_failure=False,
        )
        self._client.username_pw_set(user, password)
        if tls is not None:
            self._client.tls_set_context(tls)
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1, retain=will[2])
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda _c, _u, _m, reasons, _p: self._answers.put(reasons[0])
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self._answers.put(reason)
        self._client.on_message = lambda _c, _u, message: self.messages.put(message)
        self._connect(port, session_expiry_s, clean_start=clean_start)

    def _connect(self, port: int, session_expiry_s: int | None, *, clean_start: bool) -> None:
        properties = _properties(PacketTypes.CONNECT, SessionExpiryInterval=session_expiry_s)
        if not self._dial(port, properties, clean_start=clean_start):
            self._release()
            raise RefusedError(None)
        self._client.loop_start()
        reason = self._answer()
        if reason is None or reason.is_failure:
            self._release()
            raise RefusedError(None if reason is None else reason.getName())

    def _dial(self, port: int, properties: Properties, *, clean_start: bool) -> bool:
        """False when it was refused in the TLS handshake, before there was an MQTT to say why."""
        with warnings.catch_warnings():  # paho leaves such a socket to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                self._client.connect(HOST, port, keepalive=30, clean_start=clean_start, properties=properties)
            except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
                error.__traceback__ = None  # which holds the socket
                return False
            return True

    def _on_connect(self, _c: Client, _u: object, _f: object, reason: ReasonCode, got: Properties | None) -> None:
        self.properties = got or self.properties
        self._answers.put(reason)

    def _on_disconnect(self, *_: object) -> None:
        self.ended.set()
        self._answers.put(None)

    def _answer(self) -> ReasonCode | None:
        return self._answers.get(timeout=WITHIN_S)

    def subscribe(self, topic: str, qos: int = 1) -> ReasonCode | None:
        """The broker's answer; what it grants is not always what it delivers."""
        self._client.subscribe(topic, qos)
        return self._answer()

    def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expires_s: int | None = None
    ) -> ReasonCode | None:
        """The reason in PUBACK; None when the connection ended instead."""
        properties = _properties(PacketTypes.PUBLISH, MessageExpiryInterval=expires_s)
        self._client.publish(topic, payload, qos, retain, properties)
        return self._answer()

    def publish_unanswered(self, topic: str, payload: bytes) -> None:
        """QoS 0, waiting only until the network has taken it: a flood must not fill the sender's own memory."""
        self._client.publish(topic, payload, 0).wait_for_publish(WITHIN_S)

    def receive(self, within_s: float = WITHIN_S) -> MQTTMessage:
        """The next message; queue.Empty when none comes in time."""
        return self.messages.get(timeout=within_s)

    def receive_until(self, payload: bytes) -> list[MQTTMessage]:
        """All messages up to and without the one with this payload: a fence after what must not have come."""
        before: list[MQTTMessage] = []
        deadline = time.monotonic() + WITHIN_S
        while (message := self.receive(max(0.01, deadline - time.monotonic()))).payload != payload:
            before.append(message)
        return before

    def peer_serial(self) -> int:
        """The serial number of the certificate that the broker showed."""
        connection: Any = self._client.socket()
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number

    def cut(self) -> None:
        """End the TCP connection without DISCONNECT, as a lost network does."""
        connection: Any = self._client.socket()
        connection.shutdown(socket.SHUT_RDWR)
        self.ended.wait(WITHIN_S)
        self._release()

    def close(self) -> None:
        """Send DISCONNECT: the will does not fire."""
        self._client.disconnect()
        self._release()

    def _release(self) -> None:
        """paho leaves its wake-up sockets to the garbage collector, which warns, and warnings are errors."""
        self._client.loop_stop()
        self._client._reset_sockets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def property_of(properties: Properties | None, name: str) -> int | None:
    """An MQTT 5 property by its name in paho, None where it was not sent."""
    return getattr(properties, name, None)


def _properties(packet: int, **values: int | None) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        if value is not None:
            setattr(properties, name, value)
    return properties
