"""What only Mosquitto can do, and its traps: access rules, two listeners, reload, persistence.

Refusal is looked for in what is delivered: with an access file, SUBACK grants everything.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mqtt import MqttClient, RefusedError
from tests.servers import CLOUD_USER, MosquittoServer, wait_until

NEAR, FAR = "kiosk-1", "kiosk-2"
FENCE = b"fence"


def up(terminal: str, leaf: str = "records") -> str:
    return f"roomlink/v1/{terminal}/up/{leaf}"


def down(terminal: str, leaf: str = "commands") -> str:
    return f"roomlink/v1/{terminal}/down/{leaf}"


@pytest.fixture
def server(mosquitto: MosquittoServer) -> MosquittoServer:
    """With two terminals registered."""
    mosquitto.set_user(NEAR)
    mosquitto.set_user(FAR)
    mosquitto.apply_users()
    return mosquitto


@pytest.fixture
def near(server: MosquittoServer) -> Iterator[MqttClient]:
    with MqttClient(server.port, NEAR, server.password(NEAR)) as client:
        yield client


@pytest.fixture
def far(server: MosquittoServer) -> Iterator[MqttClient]:
    with MqttClient(server.port, FAR, server.password(FAR)) as client:
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


@pytest.mark.parametrize("name", ["+", "a#", "+/up/#", "kiosk-2/up"])
def test_user_name_with_a_wildcard_or_a_level_widens_nothing(
    server: MosquittoServer, far: MqttClient, cloud: MqttClient, name: str
) -> None:
    server.set_user(name)
    server.apply_users()
    cloud.subscribe("roomlink/v1/+/up/#")
    with MqttClient(server.port, name, server.password(name)) as odd:
        odd.subscribe("roomlink/v1/#")
        odd.publish(up(FAR), b"forged")
        cloud.publish(down(FAR), b"secret")
        far.publish(up(FAR), FENCE)
        assert cloud.receive_until(FENCE) == []
        odd.close()
        assert odd.messages.empty()


def test_will_outside_the_own_subtree_is_accepted_and_dropped(server: MosquittoServer, cloud: MqttClient) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    MqttClient(server.port, NEAR, server.password(NEAR), will=(up(FAR, "state"), b"died", True)).cut()
    MqttClient(server.port, NEAR, server.password(NEAR), will=(up(NEAR, "state"), FENCE, False)).cut()
    assert cloud.receive_until(FENCE) == []


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
        MqttClient(server.port, CLOUD_USER, server.password())


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


def test_reload_admits_and_strikes_off_without_cutting_the_others(
    server: MosquittoServer, near: MqttClient, far: MqttClient, cloud: MqttClient
) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    server.set_user("kiosk-3")
    old = server.password(FAR)
    server.remove_user(FAR)
    server.apply_users()
    with MqttClient(server.port, "kiosk-3", server.password("kiosk-3")):
        near.publish(up(NEAR), b"undisturbed")
    assert cloud.receive().payload == b"undisturbed"
    assert not near.ended.is_set()
    assert far.ended.wait(10)  # the reload itself cuts who is no longer in the file
    with pytest.raises(RefusedError):
        MqttClient(server.port, FAR, old)


def test_changed_password_cuts_the_session_and_replaces_the_old_one(server: MosquittoServer, near: MqttClient) -> None:
    old = server.password(NEAR)
    server.set_user(NEAR)
    server.apply_users()
    assert near.ended.wait(10)
    with pytest.raises(RefusedError):
        MqttClient(server.port, NEAR, old)
    MqttClient(server.port, NEAR, server.password(NEAR)).close()


@pytest.mark.parametrize("content", ["no colon\n", f"{NEAR}:$7$101$cut\n", "", None])
def test_broken_password_file_lets_nobody_in_and_a_sound_one_heals_it(
    server: MosquittoServer, near: MqttClient, content: str | None
) -> None:
    sound = server.password_file.read_text()
    server.password_file.unlink()
    if content is not None:
        server.password_file.write_text(content)
    server.reload()
    assert near.ended.wait(10)
    for user, password in [(NEAR, server.password(NEAR)), (NEAR, "wrong"), (None, None)]:
        with pytest.raises(RefusedError):
            MqttClient(server.port, user, password, client_id="anyone")
    server.password_file.write_text(sound)
    server.reload()
    MqttClient(server.port, NEAR, server.password(NEAR)).close()


def test_retained_messages_are_lost_where_persistence_is_off(tmp_path: Path) -> None:
    with MosquittoServer(tmp_path, {NEAR: "one"}, changes={"persistence true": "persistence false"}) as server:
        with MqttClient(server.port, NEAR, "one") as near:
            near.publish(up(NEAR, "state"), b"born", retain=True)
        server.restart()
        with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="reader") as cloud:
            cloud.subscribe("roomlink/v1/+/up/#")
            with MqttClient(server.port, NEAR, "one") as near:
                near.publish(up(NEAR), FENCE)
            assert cloud.receive_until(FENCE) == []


def test_log_tells_of_refusals_and_holds_no_payload(server: MosquittoServer, near: MqttClient) -> None:
    near.publish(up(NEAR), b"private words")
    with pytest.raises(RefusedError):
        MqttClient(server.port, FAR, "wrong")
    assert wait_until(lambda: "disconnected, not authorised" in server.process.log())
    assert "private words" not in server.process.log()
