"""What only Mosquitto can do, and its traps, by password and by certificate: access rules, two listeners, take-over.

Refusal is looked for in what is delivered: with an access file, SUBACK grants everything.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt import MqttClient, RefusedError
from tests.servers import CLOUD_USER, MosquittoServer, MutualTlsMosquitto

NEAR, FAR = "kiosk-1", "kiosk-2"
FENCE = b"fence"


def up(terminal: str, leaf: str = "records") -> str:
    return f"roomlink/v1/{terminal}/up/{leaf}"


def down(terminal: str, leaf: str = "commands") -> str:
    return f"roomlink/v1/{terminal}/down/{leaf}"


def terminal(server: MosquittoServer, name: str, will: tuple[str, bytes, bool] | None = None) -> MqttClient:
    return MqttClient(server.port, name, server.password(name), will=will, tls=server.tls(name))


@pytest.fixture(params=[MosquittoServer, MutualTlsMosquitto], ids=["by password", "by certificate"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MosquittoServer]:
    """With two terminals registered."""
    server: MosquittoServer = request.param(tmp_path / "broker")
    server.set_user(NEAR)
    server.set_user(FAR)
    with server:
        yield server


@pytest.fixture
def near(server: MosquittoServer) -> Iterator[MqttClient]:
    with terminal(server, NEAR) as client:
        yield client


@pytest.fixture
def far(server: MosquittoServer) -> Iterator[MqttClient]:
    with terminal(server, FAR) as client:
        yield client


@pytest.fixture
def cloud(server: MosquittoServer) -> Iterator[MqttClient]:
    with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="ingest-1") as client:
        yield client


@pytest.mark.parametrize(
    "topic",
    [
        up(FAR),
        up(FAR, "state"),
        down(FAR),
        down(NEAR),
        up(NEAR, "anything"),
        up(NEAR, "records/anything"),
        f"roomlink/v1/{NEAR}",
        "roomlink/v2/kiosk-1/up/records",
        "elsewhere",
    ],
)
def test_terminal_cannot_publish_outside_what_it_may_write(
    server: MosquittoServer, near: MqttClient, far: MqttClient, cloud: MqttClient, topic: str
) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    far.subscribe(down(FAR, "#"))
    answer = near.publish(topic, b"forged", retain=True)
    assert answer is not None
    assert answer.getName() == "Not authorized"
    cloud.publish(down(FAR), FENCE)
    near.publish(up(NEAR), FENCE)
    assert far.receive_until(FENCE) == []
    assert cloud.receive_until(FENCE) == []


@pytest.mark.parametrize(
    "topic", ["#", "roomlink/#", "roomlink/v1/+/up/#", "roomlink/v1/+/down/#", down(FAR), "$SYS/#", up(NEAR)]
)
def test_terminal_is_delivered_nothing_outside_what_it_may_read(
    near: MqttClient, far: MqttClient, cloud: MqttClient, topic: str
) -> None:
    granted = near.subscribe(topic)
    assert granted is not None
    assert not granted.is_failure  # the trap: only delivery is filtered
    cloud.publish(down(FAR), b"secret", retain=True)
    far.publish(up(FAR), b"secret")
    near.publish(up(NEAR), b"own words")
    near.subscribe(down(NEAR))
    cloud.publish(down(NEAR), FENCE)
    assert near.receive_until(FENCE) == []


@pytest.mark.parametrize("topic", ["#", "roomlink/v1/+/up/#", "roomlink/v1/+/down/#", down(FAR)])
def test_terminal_is_handed_no_foreign_retained_message(
    near: MqttClient, far: MqttClient, cloud: MqttClient, topic: str
) -> None:
    cloud.publish(down(FAR), b"secret", retain=True)
    far.publish(up(FAR, "state"), b"secret", retain=True)
    near.subscribe(topic)
    near.subscribe(down(NEAR))
    cloud.publish(down(NEAR), FENCE)
    assert near.receive_until(FENCE) == []


@pytest.mark.parametrize("name", ["+", "a#", "+/up/#", "kiosk-2/up"])
def test_user_name_with_a_wildcard_or_a_level_widens_nothing(
    server: MosquittoServer, far: MqttClient, cloud: MqttClient, name: str
) -> None:
    server.set_user(name)
    server.apply_users()
    cloud.subscribe("roomlink/v1/+/up/#")
    with terminal(server, name) as odd:
        odd.subscribe("roomlink/v1/#")
        odd.publish(up(FAR), b"forged")
        cloud.publish(down(FAR), b"secret")
        far.publish(up(FAR), FENCE)
        assert cloud.receive_until(FENCE) == []
        odd.close()
        assert odd.messages.empty()


def test_will_outside_the_own_subtree_is_accepted_and_dropped(server: MosquittoServer, cloud: MqttClient) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    terminal(server, NEAR, will=(up(FAR, "state"), b"died", True)).cut()
    terminal(server, NEAR, will=(up(NEAR, "state"), FENCE, False)).cut()
    assert cloud.receive_until(FENCE) == []


def test_broker_keeps_no_retained_message_of_a_terminal_but_those_of_the_contract(
    server: MosquittoServer, near: MqttClient, far: MqttClient, cloud: MqttClient
) -> None:
    """Mosquitto bounds no number of retained messages: a terminal that could name topics could fill its memory and disk."""
    near.publish(up(NEAR, "state"), b"born", retain=True)
    for leaf in ("anything", "state/anything", "reported/1"):
        near.publish(up(NEAR, leaf), b"kept for ever", retain=True)
    near.close()
    terminal(server, NEAR, will=(up(NEAR, "will"), b"kept for ever", True)).cut()
    cloud.subscribe("roomlink/v1/+/up/#")
    far.publish(up(FAR), FENCE)
    assert [message.payload for message in cloud.receive_until(FENCE)] == [b"born"]


def test_terminal_in_the_clouds_shared_group_swallows_messages(
    near: MqttClient, far: MqttClient, cloud: MqttClient
) -> None:
    """Why the cloud must not share its subscription on Mosquitto: nobody receives what the thief got."""
    group = "$share/ingest/roomlink/v1/+/up/#"
    cloud.subscribe(group)
    near.subscribe(group)
    sent = [f"{number}".encode() for number in range(20)]
    for payload in sent:
        far.publish(up(FAR), payload)
    near.close()
    far.publish(up(FAR), FENCE)
    received = [message.payload for message in cloud.receive_until(FENCE)]
    assert len(received) < len(sent)
    assert near.messages.empty()


def test_unshared_subscription_cannot_be_robbed(near: MqttClient, far: MqttClient, cloud: MqttClient) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    near.subscribe("$share/ingest/roomlink/v1/+/up/#")
    sent = [f"{number}".encode() for number in range(20)]
    for payload in [*sent, FENCE]:
        far.publish(up(FAR), payload)
    assert [message.payload for message in cloud.receive_until(FENCE)] == sent


@pytest.mark.parametrize("topic", [up(NEAR), "roomlink/v1/announcement", "elsewhere"])
def test_cloud_writes_only_what_terminals_read(cloud: MqttClient, topic: str) -> None:
    answer = cloud.publish(topic, b"forged")
    assert answer is not None
    assert answer.getName() == "Not authorized"


def test_terminal_cannot_sign_in_where_client_ids_are_free(server: MosquittoServer) -> None:
    with pytest.raises(RefusedError):
        MqttClient(server.cloud_port, NEAR, server.password(NEAR), client_id=FAR)


def test_cloud_cannot_sign_in_at_the_terminals_listener(server: MosquittoServer) -> None:
    with pytest.raises(RefusedError):
        MqttClient(server.port, CLOUD_USER, server.password(), tls=server.tls(None))


def test_empty_client_id_is_refused_at_the_clouds_listener(server: MosquittoServer) -> None:
    with pytest.raises(RefusedError):
        MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="")


def test_cloud_cuts_a_terminals_session_by_taking_over_its_client_id(
    server: MosquittoServer, near: MqttClient, far: MqttClient
) -> None:
    with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id=NEAR):
        assert near.ended.wait(10)
    far.publish(up(FAR), b"still here")
    assert not far.ended.is_set()
