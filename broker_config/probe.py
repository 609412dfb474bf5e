"""One MQTT 5 connection that tries what a broker lets it do: connects, waits for every answer, keeps what arrives.

Promises that nothing is waited for longer than WITHIN_S, and that it never connects again by itself.
Used by broker_config/check.py.
"""

import contextlib
import queue
import socket
import ssl
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

WITHIN_S: Final = 10.0
QUIET_S: Final = 1.0
"""How long nothing must come after the broker's last answer, for nothing to be counted as delivered."""
KEEPALIVE_ASKED_S: Final = 65_535


class RefusedError(Exception):
    """The connection did not come about, or ended before an answer came: with the reason that was told."""


@dataclass(frozen=True)
class Ask:
    """How to connect. `tls` None: in clear. `will` is a topic."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    client_id: str
    user: str | None = None
    will: str | None = None


class Probe:
    """The connection; RefusedError when it does not come about, OSError when nobody listens."""

    def __init__(self, ask: Ask) -> None:
        self.delivered: queue.Queue[MQTTMessage] = queue.Queue()  # unbounded: lives for seconds
        self.ended = threading.Event()
        self.granted: Properties | None = None
        self._answers: queue.Queue[ReasonCode | None] = queue.Queue()
        self._client = _client(ask)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda _c, _u, _m, reasons, _p: self._answers.put(reasons[0])
        self._client.on_publish = lambda _c, _u, _m, reason, _p: self._answers.put(reason)
        self._client.on_message = lambda _c, _u, message: self.delivered.put(message)
        self._connect(ask)

    def subscribe(self, topic: str) -> None:
        """Whatever the broker answers: what counts is what it delivers."""
        self._client.subscribe(topic, 1)
        self._answer()

    def may_publish(self, topic: str, payload: bytes = b"roomlink check", *, retain: bool = False) -> bool:
        """Whether the broker took it (the reason code in PUBACK, MQTT 5, 3.4.2.1); False too when it hung up."""
        self._client.publish(topic, payload, 1, retain)
        try:
            return not self._answer().is_failure
        except RefusedError:
            return False

    def receives(self) -> bool:
        """Whether anything was, or is still being, delivered."""
        with contextlib.suppress(queue.Empty):
            self.delivered.get(timeout=QUIET_S)
            return True
        return False

    def cut(self) -> None:
        """End the TCP connection without DISCONNECT, so that the will fires."""
        connection: Any = self._client.socket()
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
        self.ended.wait(WITHIN_S)

    def limit(self, name: str) -> int | None:
        """A property of CONNACK by its name in paho; None where the broker did not send it."""
        return getattr(self.granted, name, None)

    def close(self) -> None:
        """End it in order."""
        self._client.disconnect()
        self._release()

    def _connect(self, ask: Ask) -> None:
        try:
            self._client.connect(ask.host, ask.port, keepalive=KEEPALIVE_ASKED_S, clean_start=True)
        except (ssl.SSLError, ConnectionResetError, BrokenPipeError) as error:
            self._release()
            raise RefusedError(f"refused in the TLS handshake ({error})") from error
        self._client.loop_start()
        try:
            reason = self._answer()
        except RefusedError:
            self._release()
            raise
        if reason.is_failure:
            self._release()
            raise RefusedError(f"refused with {reason.getName()!r}")

    def _answer(self) -> ReasonCode:
        try:
            answer = self._answers.get(timeout=WITHIN_S)
        except queue.Empty:
            raise RefusedError(f"no answer within {WITHIN_S:.0f} s") from None
        if answer is None:
            raise RefusedError("the broker ended the connection")
        return answer

    def _on_connect(self, _c: Client, _u: object, _f: object, reason: ReasonCode, got: Properties | None) -> None:
        self.granted = got
        self._answers.put(reason)

    def _on_disconnect(self, *_: object) -> None:
        self.ended.set()
        self._answers.put(None)

    def _release(self) -> None:
        """paho leaves its wake-up sockets to the garbage collector."""
        self._client.loop_stop()
        self._client._reset_sockets()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _client(ask: Ask) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=ask.client_id, protocol=MQTTv5, reconnect_on_failure=False)
    client.connect_timeout = WITHIN_S
    if ask.tls is not None:
        client.tls_set_context(ask.tls)
    if ask.user is not None:
        client.username_pw_set(ask.user, "no password")
    if ask.will is not None:
        client.will_set(ask.will, b"roomlink check", qos=1, properties=Properties(PacketTypes.WILLMESSAGE))  # type: ignore[no-untyped-call]
    return client
