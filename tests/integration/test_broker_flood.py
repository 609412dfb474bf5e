"""What a terminal that floods the production broker can do to the others: bounds, by counts and never by times."""

import itertools
import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion

from tests.mqtt import MqttClient, RefusedError
from tests.process import HOST
from tests.servers import CLOUD_USER, MutualTlsMosquitto

FLOODER, HONEST = "kiosk-1", "kiosk-2"
EVERYTHING_UP = "roomlink/v1/+/up/#"
INFLIGHT, QUEUED = 20, 200
SMALL_BOUNDS = {
    "max_inflight_messages 500": f"max_inflight_messages {INFLIGHT}",
    "max_queued_messages 10000": f"max_queued_messages {QUEUED}",
}
LONGEST_RUN = 4_000
"""Messages of the flood between two of the honest terminal's, at the cloud. Some hundreds are usual."""


def records(terminal: str) -> str:
    return f"roomlink/v1/{terminal}/up/records"


def terminal(server: MutualTlsMosquitto, name: str) -> MqttClient:
    return MqttClient(server.port, name, None, tls=server.tls(name))


@pytest.fixture
def server(mutual_tls: MutualTlsMosquitto) -> MutualTlsMosquitto:
    mutual_tls.set_user(FLOODER)
    mutual_tls.set_user(HONEST)
    return mutual_tls


class Unanswering:
    """The cloud's subscription as it is when the cloud is stuck: takes what comes, and acknowledges nothing until told."""

    def __init__(self, server: MutualTlsMosquitto) -> None:
        self.taken: queue.Queue[MQTTMessage] = queue.Queue()
        self._subscribed = threading.Event()
        self._client = Client(
            CallbackAPIVersion.VERSION2, "stuck", protocol=MQTTv5, reconnect_on_failure=False, manual_ack=True
        )
        self._client.username_pw_set(CLOUD_USER, server.password())
        self._client.on_message = lambda _c, _u, message: self.taken.put(message)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect(HOST, server.cloud_port)
        self._client.loop_start()
        self._client.subscribe(EVERYTHING_UP, 1)
        assert self._subscribed.wait(10)

    def next(self) -> bytes:
        """The next message, acknowledged."""
        message = self.taken.get(timeout=10)
        self._client.ack(message.mid, message.qos)
        return bytes(message.payload)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[MutualTlsMosquitto]:
    with MutualTlsMosquitto(tmp_path / "small", changes=SMALL_BOUNDS) as server:
        server.set_user(FLOODER)
        server.set_user(HONEST)
        yield server


def test_beyond_the_queues_bound_messages_are_dropped_and_the_broker_serves_on(small: MutualTlsMosquitto) -> None:
    """What is dropped was never acknowledged by the cloud: its terminal sends it again."""
    cloud = Unanswering(small)
    with terminal(small, FLOODER) as flooder:
        for number in range(3 * (INFLIGHT + QUEUED)):
            answer = flooder.publish(records(FLOODER), str(number).encode())
            assert answer is not None
    arrived = [cloud.next() for _ in range(INFLIGHT + QUEUED)]
    assert arrived == [str(number).encode() for number in range(INFLIGHT + QUEUED)]
    with terminal(small, HONEST) as honest:
        honest.publish(records(HONEST), b"next")
    assert cloud.next() == b"next"
    cloud.close()


def test_flood_of_one_terminal_leaves_every_message_of_another(server: MutualTlsMosquitto) -> None:
    with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="ingest-1") as cloud:
        cloud.subscribe(EVERYTHING_UP)
        over, flood = threading.Event(), threading.Thread(target=lambda: pour(server, over))
        flood.start()
        sent = [f"honest {number}".encode() for number in range(50)]
        try:
            assert cloud.receive().payload == b"flood"  # it is under way
            with terminal(server, HONEST) as honest:
                for payload in sent:
                    assert honest.publish(records(HONEST), payload) is not None
        finally:
            over.set()
            flood.join()
        with terminal(server, HONEST) as honest:
            honest.publish(records(HONEST), b"fence")
        arrived = [bytes(message.payload) for message in cloud.receive_until(b"fence")]
    assert [payload for payload in arrived if payload != b"flood"] == sent
    assert longest_run(arrived) <= LONGEST_RUN


def pour(server: MutualTlsMosquitto, over: threading.Event) -> None:
    """Publish as fast as the network takes it, at QoS 0, which waits for no answer."""
    with terminal(server, FLOODER) as flooder:
        while not over.is_set():
            flooder.publish_unanswered(records(FLOODER), b"flood")


def longest_run(arrived: list[bytes]) -> int:
    """The most messages of the flood in a row, from the first of the honest ones to the last."""
    marks = [at for at, payload in enumerate(arrived) if payload != b"flood"]
    return max(after - before - 1 for before, after in itertools.pairwise(marks))


def test_connections_beyond_the_bound_are_refused_and_cut_nobody(tmp_path: Path) -> None:
    bound = {"max_connections 20000": "max_connections 3"}
    with MutualTlsMosquitto(tmp_path, changes=bound) as server:
        names = [f"kiosk-{number}" for number in range(5)]
        for name in names:
            server.set_user(name)
        inside = [terminal(server, name) for name in names[:3]]
        for name in names[3:]:
            with pytest.raises(RefusedError):
                terminal(server, name)
        with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="ingest-1") as cloud:
            cloud.subscribe(EVERYTHING_UP)
            for name, client in zip(names, inside, strict=False):
                client.publish(records(name), name.encode())
            assert [cloud.receive().payload.decode() for _ in inside] == names[:3]
        for client in inside:
            client.close()
