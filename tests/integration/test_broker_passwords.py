"""Mosquitto by passwords: users that come and go while it runs, broken password files, persistence, the log.

What holds by password and by certificate alike is in test_broker_mosquitto.py.
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


def terminal(server: MosquittoServer, name: str) -> MqttClient:
    return MqttClient(server.port, name, server.password(name))


@pytest.fixture
def server(mosquitto: MosquittoServer) -> MosquittoServer:
    """With two terminals registered."""
    mosquitto.set_user(NEAR)
    mosquitto.set_user(FAR)
    mosquitto.apply_users()
    return mosquitto


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


def test_reload_admits_and_strikes_off_without_cutting_the_others(
    server: MosquittoServer, near: MqttClient, far: MqttClient, cloud: MqttClient
) -> None:
    cloud.subscribe("roomlink/v1/+/up/#")
    server.set_user("kiosk-3")
    old = server.password(FAR)
    server.remove_user(FAR)
    server.apply_users()
    with terminal(server, "kiosk-3"):
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
    terminal(server, NEAR).close()


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
    terminal(server, NEAR).close()


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
