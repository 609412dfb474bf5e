"""The cloud's connection to a real Mosquitto when it hangs and is lost: what was on its way goes again, and in time."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cloud.broker import Broker
from cloud.clock import to_us, utc_now
from cloud.ingest.subscriber import Subscriber
from firmware_specs.command_messages import Command
from firmware_specs.topics import Channel
from firmware_specs.wire import encode
from tests.mqtt import MqttClient, property_of
from tests.process import HOST
from tests.relay import Relay
from tests.servers import CLOUD_USER, MosquittoServer

KIOSK = "kiosk-1"


class Cloud:
    """The subscriber behind a relay; `shift` moves its clock."""

    def __init__(self, relay: Relay, password: str) -> None:
        self.shift = timedelta(0)
        broker = Broker(HOST, relay.port, CLOUD_USER, password)
        hears = {Channel.STATE: lambda *_: None}
        self.subscriber = Subscriber(broker, client_id="ingest-1", hears=hears, clock=lambda: utc_now() + self.shift)
        self.subscriber.start()
        assert self.subscriber.connected.wait(20)

    def command(self, lasts_s: int) -> bytes:
        """A command that was given for so many seconds."""
        issued = to_us(utc_now() + self.shift)
        told = Command(
            id=str(uuid.uuid4()),
            name="identify",
            arguments={},
            issued_at=issued,
            deadline_at=issued + lasts_s * 1_000_000,
        )
        payload = encode(told)
        assert self.subscriber.publish_command(KIOSK, payload, lasts_s)
        return payload


@pytest.fixture
def kiosk(mosquitto: MosquittoServer) -> Iterator[MqttClient]:
    mosquitto.set_user(KIOSK, "secret")
    mosquitto.apply_users()
    with MqttClient(mosquitto.port, KIOSK, "secret") as client:
        client.subscribe(f"roomlink/v1/{KIOSK}/down/#")
        yield client


@pytest.fixture
def relay(mosquitto: MosquittoServer) -> Iterator[Relay]:
    with Relay(mosquitto.cloud_port) as relay:
        yield relay


@pytest.fixture
def cloud(mosquitto: MosquittoServer, relay: Relay) -> Iterator[Cloud]:
    cloud = Cloud(relay, mosquitto.password())
    yield cloud
    cloud.subscriber.stop()
    cloud.subscriber._client._reset_sockets()  # which paho leaves to the garbage collector


def test_what_hung_in_a_lost_connection_goes_again_with_what_is_left_of_its_time(
    cloud: Cloud, relay: Relay, kiosk: MqttClient
) -> None:
    """A terminal whose clock is not synced goes by the message's expiry: the whole of it once more would let it act late."""
    relay.deaf.set()
    assert cloud.subscriber.publish_desired(KIOSK, b"twin")
    cloud.command(60)
    lasting = cloud.command(600)
    cloud.shift = timedelta(seconds=300)
    relay.cut()
    twin, told = kiosk.receive(), kiosk.receive()
    assert (twin.payload, told.payload) == (b"twin", lasting)
    assert property_of(twin.properties, "MessageExpiryInterval") is None
    assert 290 <= (property_of(told.properties, "MessageExpiryInterval") or 0) <= 300
    assert cloud.subscriber.connected.wait(20)
    assert kiosk.receive_until(cloud.command(10)) == []
