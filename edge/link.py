"""One terminal's MQTT 5 connections by paho-mqtt, without a thread of its own: connect, presence, messages both ways.

Promises a clean start each time (docs/decisions/0009-clean-start.md), a will that names its connection, a birth after SUBACK.
Driven by edge/links.py, which serves one or many of them in one thread.
"""

import logging
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.errors import IdentityError, OutboxError
from edge.outbox import Outbox
from edge.tls import client_context
from edge.uplink import Uplink
from firmware_specs.errors import ContractError
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.topics import Channel, downward, parse, topic
from firmware_specs.wire import decode_stored, encode

log = logging.getLogger(__name__)

CONNECT_WITHIN_S: Final = 10.0
STEADY_S: Final = 10.0
"""A connection that lived so long was a good one: the next try comes soon."""
MOST_RECONNECT_S: Final = 60.0
MOST_WAITING: Final = 256
"""Messages of the cloud that wait to be handled; the oldest go, because the cloud repeats what matters."""
_PUBLISH_OVERHEAD: Final = 32  # fixed header, lengths, packet id and expiry (MQTT 5, 3.3)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and who one is there. ``sign_in`` makes the TLS context for each connection anew, with the
    certificate that is in force then; it raises IdentityError, and there is no password beside it."""

    host: str
    port: int
    terminal: str
    password: str | None
    tls: bool = False
    ca_file: Path | None = None
    keepalive_s: int = 30
    sign_in: Callable[[], ssl.SSLContext] | None = None


class Twin(Protocol):
    """What the link needs of the twin (edge.twin.TwinStore)."""

    def receive(self, payload: bytes) -> int | None:
        """A desired twin arrived; its epoch, or None where it could not be read."""
        ...

    def reported(self) -> bytes | None:
        """The reported twin to publish, retained; None where it was given out already in this connection."""
        ...

    def connected(self) -> None:
        """A connection begins: the reported twin is to be given out again."""
        ...


class Link:
    """One terminal at its broker. All methods are called by one thread; times are seconds of a monotonic clock."""

    def __init__(
        self,
        address: Address,
        outbox: Outbox,
        uplink: Uplink,
        *,
        birth: Mapping[str, Any],
        twin: Twin | None = None,
        on_command: Callable[[bytes, int | None], None] | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self.address = address
        self.uplink = uplink
        self.is_connected = False
        self.since_s: float | None = None
        self._outbox = outbox
        self._twin = twin
        self._on_command = on_command
        self._birth = birth
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not secrets
        self._client: Client | None = None
        self._arrived: deque[MQTTMessage] = deque(maxlen=MOST_WAITING)
        self._granted: ReasonCode | None = None
        self._max_packet_bytes: int | None = None
        self._presence: tuple[str, int] = ("", 0)
        self._began_s = 0.0
        self._connect_at_s = 0.0
        self._failures = 0
        self._sync_wanted = self._birth_wanted = False
        self._farewell: int | None = None
        self._leaving = False

    def want_birth(self) -> None:
        """What the birth says has changed: give it out again, under the same connection; callable from any thread."""
        self._birth_wanted = True

    def want_sync(self) -> None:
        """Ask the cloud at the next tick how far it is; callable from any thread."""
        self._sync_wanted = True

    # --- for the loop ---------------------------------------------------------------------------------------------

    def fileno(self) -> int | None:
        """The socket to watch; None while there is none."""
        connected = None if self._client is None else self._client.socket()
        return None if connected is None else connected.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether bytes wait for the socket to take them."""
        return self._client is not None and self._client.want_write()

    def ready(self, *, readable: bool, writable: bool) -> None:
        """The socket has something to read or takes bytes."""
        if self._client is not None and readable:
            self._client.loop_read()
            while _holds_decrypted(self._client.socket()):
                self._client.loop_read()
        if self._client is not None and writable:
            self._client.loop_write()

    def tick(self, now_s: float) -> float:
        """Do all that is due; returns when to be called again at the latest."""
        if self._client is None:
            if now_s >= self._connect_at_s:
                self._connect(now_s)
        else:
            self._client.loop_misc()
            self._handle_arrived(now_s)
            self._check(now_s)
        if self.is_connected:
            if self._birth_wanted:
                self._give_birth()
            if self._sync_wanted:
                self._sync_wanted = False
                self.uplink.sync(now_s)
            self._send(now_s)
        return self._next_tick_s(now_s)

    def _next_tick_s(self, now_s: float) -> float:
        if self._client is None:
            return self._connect_at_s
        wake_at_s = self.uplink.wake_at_s
        return min(now_s + 1.0, now_s + 1.0 if wake_at_s is None else max(now_s, wake_at_s))

    # --- connecting -----------------------------------------------------------------------------------------------

    def _connect(self, now_s: float) -> None:
        """A new client for each connection: nothing of the last one can be sent again by the library."""
        self._presence = self._number()
        self._began_s = now_s
        self._granted = None
        try:
            client = self._new_client()
            client.connect(self.address.host, self.address.port, self.address.keepalive_s, clean_start=True)
        except (OSError, ValueError, IdentityError) as error:
            log.info("broker %s:%d not reachable: %s", self.address.host, self.address.port, error)
            self._retry_later(now_s)
            return
        self._client = client

    def _number(self) -> tuple[str, int]:
        """Counted on the disk; where that is full or read-only, from what was counted last. Never backward, once it is well."""
        try:
            return self._outbox.next_connection(self._presence[1])
        except OutboxError:
            stream = self._outbox.status().stream or self._presence[0] or "00000000-0000-0000-0000-000000000000"
            return stream, self._presence[1] + 1

    def _new_client(self) -> Client:
        name = self.address.terminal
        client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_WITHIN_S
        client.username_pw_set(name, self.address.password)
        if self.address.sign_in is not None:
            client.tls_set_context(self.address.sign_in())
        elif self.address.tls:
            client.tls_set_context(client_context(self.address.ca_file))
        client.will_set(topic(name, Channel.STATE), encode(self._death("lost")), qos=1, retain=True)
        client.on_socket_open = _send_at_once
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = lambda _client, _data, message: self._arrived.append(message)
        return client

    def _death(self, reason: str) -> Death:
        incarnation, connection = self._presence
        return Death.model_validate({"incarnation": incarnation, "connection": connection, "reason": reason})

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, got: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("the broker refused the connection: %s", reason)
            return
        self._max_packet_bytes = getattr(got, "MaximumPacketSize", None)
        client.subscribe(downward(self.address.terminal), qos=1)

    def _on_subscribe(
        self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode], _got: Properties | None
    ) -> None:
        self._granted = reasons[0]

    def _on_publish(
        self, _client: Client, _data: object, mid: int, reason: ReasonCode, _got: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("the broker refused a message: %s", reason)
        if mid == self._farewell:
            self.leave()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, reason: ReasonCode, _got: Properties | None
    ) -> None:
        log.info("connection %d ended: %s", self._presence[1], reason)

    # --- while connected ------------------------------------------------------------------------------------------

    def _check(self, now_s: float) -> None:
        """See whether the connection came up, took too long, or is gone."""
        if self._client is None:
            return
        if self._client.socket() is None:
            self._lost(now_s)
        elif not self.is_connected and self._granted is not None:
            self._begin(now_s)
        elif not self.is_connected and now_s - self._began_s > CONNECT_WITHIN_S:
            log.info("the broker did not answer within %g s", CONNECT_WITHIN_S)
            self._lost(now_s)

    def _begin(self, now_s: float) -> None:
        """Subscribed: say that one is there, then ask how far the cloud is."""
        if self._granted is not None and self._granted.is_failure:
            log.warning("the broker refused the subscription: %s", self._granted)
            self._lost(now_s)
            return
        self._give_birth()
        self.is_connected, self.since_s = True, now_s
        if self._twin is not None:
            self._twin.connected()
        room = None if self._max_packet_bytes is None else self._max_packet_bytes - _PUBLISH_OVERHEAD
        self.uplink.connected(
            now_s, None if room is None else room - len(topic(self.address.terminal, Channel.RECORDS))
        )
        log.info("connected to %s:%d, connection %d", self.address.host, self.address.port, self._presence[1])

    def _give_birth(self) -> None:
        self._birth_wanted = False
        incarnation, connection = self._presence
        birth = Birth.model_validate({**self._birth, "incarnation": incarnation, "connection": connection})
        self._publish(Channel.STATE, encode(birth), retain=True)

    def _send(self, now_s: float) -> None:
        while (publish := self.uplink.step(now_s)) is not None:
            self._publish(Channel.RECORDS, publish.payload, expires_s=publish.expires_s)
        reported = None if self._twin is None else self._twin.reported()
        if reported is not None:
            self._publish(Channel.REPORTED, reported, retain=True)

    def _publish(
        self, channel: Channel, payload: bytes, *, retain: bool = False, expires_s: int | None = None
    ) -> int | None:
        """The packet's identifier; None without a connection."""
        if self._client is None:
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if expires_s is not None:
            properties.MessageExpiryInterval = expires_s
        return self._client.publish(topic(self.address.terminal, channel), payload, 1, retain, properties).mid

    def _handle_arrived(self, now_s: float) -> None:
        while self._arrived:
            message = self._arrived.popleft()
            try:
                expires_in_s = getattr(message.properties, "MessageExpiryInterval", None)
                self._handle(now_s, parse(message.topic).channel, bytes(message.payload), expires_in_s)
            except ContractError as error:
                log.warning("message on %s not understood: %s", message.topic, error)
            except OutboxError as error:
                log.warning("message on %s not applied: %s", message.topic, error)

    def _handle(self, now_s: float, channel: Channel, payload: bytes, expires_in_s: int | None) -> None:
        if channel is Channel.STORED:
            self.uplink.answered(now_s, decode_stored(payload))
        elif channel is Channel.DESIRED and self._twin is not None:
            self.uplink.heard(now_s, self._twin.receive(payload))
        elif channel is Channel.COMMANDS and self._on_command is not None:
            self._on_command(payload, expires_in_s)

    # --- the end of a connection ----------------------------------------------------------------------------------

    def _lost(self, now_s: float) -> None:
        steady = self.is_connected and self.since_s is not None and now_s - self.since_s >= STEADY_S
        self._drop()
        self._failures = 0 if steady else self._failures
        self._retry_later(now_s)

    def _drop(self) -> None:
        client, self._client = self._client, None
        was_connected, self.is_connected, self.since_s = self.is_connected, False, None
        self._arrived.clear()
        if was_connected:
            self.uplink.disconnected()
        if client is not None:
            client.on_disconnect = None
            client._sock_close()  # paho has no public way to end a connection without DISCONNECT, which would hold back the will

    def _retry_later(self, now_s: float) -> None:
        """Full jitter over an exponential window, so that a thousand terminals do not come back at once."""
        window_s = min(MOST_RECONNECT_S, 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._connect_at_s = now_s + self._chance.uniform(window_s / 4, window_s)

    def farewell(self, reason: str = "stopped") -> None:
        """Say that one goes, and disconnect once the broker has it: the will does not fire. `is_gone` says when that is done.

        Closed with the PUBACK unread, a socket is reset (RFC 1122, 4.2.2.13), and the broker may miss the DISCONNECT.
        """
        if self._client is not None and self.is_connected:
            self._farewell = self._publish(Channel.STATE, encode(self._death(reason)), retain=True)
        else:
            self.leave()

    def leave(self) -> None:
        """Disconnect whether the broker has answered the farewell or not."""
        if self._client is not None and not self._leaving:
            self._leaving = True
            self._client.disconnect()

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended, or its end has been sent."""
        if self._client is None or self._client.socket() is None:
            return True
        return self._leaving and not self._client.want_write()

    def fail(self, now_s: float) -> None:
        """After an error that nobody foresaw: begin again with a new connection."""
        self._lost(now_s)

    def close(self) -> None:
        """Drop what is left of the connection."""
        self._drop()


def _send_at_once(_client: Client, _data: object, connected: Any) -> None:
    """Without Nagle's algorithm (RFC 896): the end of a batch would wait for the broker's delayed ACK, 40 ms for each."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _holds_decrypted(connected: object) -> bool:
    """Whether TLS has read more from the network than was asked for: the selector does not see that."""
    return isinstance(connected, ssl.SSLSocket) and connected.pending() > 0
