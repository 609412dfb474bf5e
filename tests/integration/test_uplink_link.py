"""One link in its darker hours: refused, silent, cut, taken over, told nonsense; and what it leaves behind."""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import Clock
from edge.errors import OutboxReadOnly
from edge.link import Address, Link
from edge.links import FAREWELL_WITHIN_S, LEAVE_WITHIN_S, Links
from edge.outbox import Outbox
from edge.twin import TwinStore
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, Desired, Method, Outcome
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.topics import Channel
from firmware_specs.wire import decode_state, encode
from tests.cloud_behind_broker import CloudBehindBroker
from tests.mqtt import MqttClient
from tests.process import HOST, free_port
from tests.relay import Relay
from tests.servers import CLOUD_USER, MosquittoServer, wait_until

TERMINAL = "kiosk-1"


@pytest.fixture
def broker(mosquitto: MosquittoServer) -> MosquittoServer:
    mosquitto.set_user(TERMINAL, "secret")
    mosquitto.apply_users()
    return mosquitto


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal=TERMINAL)
    yield outbox
    outbox.close()


class Terminal:
    """A link in its thread."""

    def __init__(self, port: int, outbox: Outbox, password: str = "secret", twin: TwinStore | None = None) -> None:
        self.clock = Clock()
        self.outbox = outbox
        birth = {"boot": self.clock.boot, "profile": "kiosk", "versions": {}}
        address = Address(HOST, port, TERMINAL, password, keepalive_s=2)
        self.link = Link(address, outbox, Uplink(outbox, resend_timeout_s=1.0), birth=birth, twin=twin)
        self.links = Links([self.link])
        outbox.on_append = lambda: self.links.wake(self.link)
        self.links.start()

    def check_in(self) -> None:
        self.outbox.append([CheckIn(**self.clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT)])

    def connected(self) -> bool:
        return self.links.status().connected

    def stop(self) -> None:
        self.links.stop()


def tries(outbox: Outbox) -> int:
    """How often a connection has been tried; asking counts as one."""
    return outbox.next_connection()[1] - 1


def test_wrong_password_is_tried_ever_more_rarely(broker: MosquittoServer, outbox: Outbox) -> None:
    terminal = Terminal(broker.port, outbox, "wrong")
    assert wait_until(lambda: terminal.link._failures >= 2)
    assert not terminal.connected()
    terminal.stop()
    assert tries(outbox) < 10


def test_broker_that_never_answers_is_given_up_and_tried_again(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.link.CONNECT_WITHIN_S", 0.2)
    with socket.create_server((HOST, free_port())) as silent:
        terminal = Terminal(silent.getsockname()[1], outbox)
        assert wait_until(lambda: terminal.link._failures >= 2)
        started_s = time.monotonic()
        terminal.stop()
        assert time.monotonic() - started_s < 3


CONNACK = b"\x20\x03\x00\x00\x00"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"220 smtp ready\r\n",
        b"\x20\x05\x00\x00\x02\x99\x99",  # CONNACK with a property that there is not
        b"\x20\x03\x00\x77\x00",  # CONNACK with a reason that there is not
        CONNACK + b"\x90\x00",  # SUBACK without an id
        CONNACK + b"\x30\x01\x00",  # PUBLISH without a topic
        CONNACK + b"\xe0\x01\x33",  # DISCONNECT with a reason that there is not
        b"\x30\xff\xff\xff\xff\xff",  # a length of five bytes
    ],
)
def test_server_that_speaks_no_mqtt_costs_a_connection_and_not_the_uplink(said: bytes, outbox: Outbox) -> None:
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(10.0)
        terminal = Terminal(server.getsockname()[1], outbox)
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(said)
        assert wait_until(lambda: terminal.link._failures >= 2)
        assert not terminal.connected()
        terminal.stop()


def test_network_that_falls_silent_is_noticed_by_the_keepalive(broker: MosquittoServer, outbox: Outbox) -> None:
    with Relay(broker.port) as relay:
        terminal = Terminal(relay.port, outbox)
        assert wait_until(terminal.connected)
        relay.deaf.set()
        assert wait_until(lambda: not terminal.connected())
        relay.deaf.clear()
        assert wait_until(terminal.connected)
        terminal.stop()


def test_nonsense_from_the_cloud_is_passed_over(broker: MosquittoServer, outbox: Outbox) -> None:
    with CloudBehindBroker(broker) as cloud:
        terminal = Terminal(broker.port, outbox)
        assert wait_until(terminal.connected)
        for payload in (b"", b"{", b'{"epoch":1}', b"\xff" * 100, b"[" * 5000):
            cloud.send(TERMINAL, Channel.STORED, payload)
            cloud.send(TERMINAL, Channel.DESIRED, payload)
            cloud.send(TERMINAL, Channel.COMMANDS, payload)
        cloud.client.publish(f"roomlink/v1/{TERMINAL}/down/other", b"what")
        terminal.check_in()
        assert wait_until(lambda: outbox.status().depth == 0)
        assert tries(outbox) == 1
        terminal.stop()


def test_error_that_nobody_foresaw_costs_a_connection_and_no_more(
    broker: MosquittoServer, outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = TwinStore(outbox, tmp_path)
    broken = threading.Event()

    def receive(payload: bytes) -> int:
        if not broken.is_set():
            broken.set()
            raise RuntimeError("nobody foresaw this")
        return 1

    monkeypatch.setattr(twin, "receive", receive)
    with CloudBehindBroker(broker) as cloud:
        cloud.send(TERMINAL, Channel.DESIRED, encode(Desired(version=(1, 1))), retain=True)
        terminal = Terminal(broker.port, outbox, twin=twin)
        assert wait_until(lambda: broken.is_set() and terminal.connected())
        terminal.check_in()
        assert wait_until(lambda: outbox.status().depth == 0)
        terminal.stop()


def test_connection_that_is_taken_over_comes_back(broker: MosquittoServer, outbox: Outbox) -> None:
    terminal = Terminal(broker.port, outbox)
    assert wait_until(terminal.connected)
    with contextlib.closing(MqttClient(broker.port, TERMINAL, "secret")):
        assert wait_until(lambda: not terminal.connected())
    assert wait_until(terminal.connected)
    terminal.stop()


def test_birth_stays_retained_and_the_farewell_replaces_it(broker: MosquittoServer, outbox: Outbox) -> None:
    terminal = Terminal(broker.port, outbox)
    assert wait_until(terminal.connected)
    assert isinstance(retained_state(broker), Birth)
    terminal.stop()
    last = retained_state(broker)
    assert isinstance(last, Death)
    assert last.reason == "stopped"


def test_farewell_of_a_terminal_whose_broker_is_slow_is_its_last_word(broker: MosquittoServer, outbox: Outbox) -> None:
    """It hangs up after the answer: closed before it, the socket would be reset under the broker, and the will be sent."""
    terminal = Terminal(broker.port, outbox)
    assert wait_until(terminal.connected)
    broker.process.signal(signal.SIGSTOP)
    stopping = threading.Thread(target=terminal.stop)
    stopping.start()
    stopping.join(FAREWELL_WITHIN_S / 2)
    waited = stopping.is_alive()
    broker.process.signal(signal.SIGCONT)
    stopping.join()
    last = retained_state(broker)
    assert (waited, isinstance(last, Death) and last.reason) == (True, "stopped")


def test_network_that_is_gone_holds_up_a_stop_no_longer_than_its_bound(broker: MosquittoServer, outbox: Outbox) -> None:
    with Relay(broker.port) as relay:
        terminal = Terminal(relay.port, outbox)
        assert wait_until(terminal.connected)
        relay.deaf.set()
        started_s = time.monotonic()
        terminal.stop()
        assert FAREWELL_WITHIN_S <= time.monotonic() - started_s < FAREWELL_WITHIN_S + LEAVE_WITHIN_S + 1


def retained_state(broker: MosquittoServer) -> Birth | Death:
    with MqttClient(broker.cloud_port, CLOUD_USER, broker.password(), client_id="looker") as looker:
        looker.subscribe(f"roomlink/v1/{TERMINAL}/up/state")
        return decode_state(bytes(looker.receive().payload))


def test_outbox_that_cannot_count_still_connects(
    broker: MosquittoServer, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "next_connection", refuse)
    terminal = Terminal(broker.port, outbox)
    assert wait_until(terminal.connected)
    terminal.stop()


def test_connections_that_the_disk_did_not_take_are_counted_once_it_does(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = Link(Address(HOST, free_port(), TERMINAL, "secret"), outbox, Uplink(outbox), birth={})
    link.tick(0.0)
    with monkeypatch.context() as read_only:
        read_only.setattr(outbox, "next_connection", refuse)
        for now_s in (100.0, 200.0, 300.0):
            link.tick(now_s)
    link.tick(400.0)
    assert outbox.next_connection()[1] == 6


def refuse(*_: object) -> tuple[str, int]:
    raise OutboxReadOnly("read-only")


def test_batch_larger_than_the_brokers_packets_is_split(outbox: Outbox, tmp_path: Path) -> None:
    changes = {"max_packet_size 1048576": "max_packet_size 8192"}
    small = MosquittoServer(tmp_path / "small", {TERMINAL: "secret"}, changes=changes)
    with small, CloudBehindBroker(small) as cloud:
        terminal = Terminal(small.port, outbox)
        for _ in range(100):
            terminal.check_in()
        assert wait_until(lambda: outbox.status().depth == 0)
        terminal.stop()
        assert max(len(payload) for payload in cloud.double.payloads) < 8192
        assert tries(outbox) == 1
