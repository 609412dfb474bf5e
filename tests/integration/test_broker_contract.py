"""What Roomlink needs of any broker, over each of them; where they differ, by their stated capabilities."""

import pytest
from paho.mqtt.client import MQTTMessage

from tests.mqtt import MqttClient, RefusedError, property_of
from tests.servers import CLOUD_USER, BrokerServer, wait_until

TERMINAL = "kiosk-1"
RECORDS = f"roomlink/v1/{TERMINAL}/up/records"
STATE = f"roomlink/v1/{TERMINAL}/up/state"
COMMANDS = f"roomlink/v1/{TERMINAL}/down/commands"
EVERYTHING_UP = "roomlink/v1/+/up/#"


@pytest.fixture
def broker(every_broker: BrokerServer) -> BrokerServer:
    """With one terminal registered."""
    every_broker.set_user(TERMINAL)
    every_broker.apply_users()
    return every_broker


def terminal(broker: BrokerServer, will: tuple[str, bytes, bool] | None = None) -> MqttClient:
    return MqttClient(broker.port, TERMINAL, broker.password(TERMINAL), will=will, tls=broker.tls(TERMINAL))


def cloud(broker: BrokerServer, client_id: str = "roomlink-cloud-1") -> MqttClient:
    return MqttClient(broker.cloud_port, CLOUD_USER, broker.password(), client_id=client_id)


def retained_at(broker: BrokerServer, topic: str) -> list[MQTTMessage]:
    """What a fresh subscriber of the cloud is handed first, up to a live message that follows it."""
    with cloud(broker, "fresh") as reader, terminal(broker) as writer:
        reader.subscribe(topic)
        reader.subscribe(RECORDS)
        writer.publish(RECORDS, b"fence")
        return reader.receive_until(b"fence")


@pytest.mark.parametrize(
    ("user", "password"),
    [(TERMINAL, "wrong"), (TERMINAL, ""), ("nobody", "wrong"), (None, None)],
    ids=["wrong password", "empty password", "unknown name", "no name"],
)
def test_wrong_user_or_password_is_refused(broker: BrokerServer, user: str | None, password: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        MqttClient(broker.port, user, password, client_id="stranger", tls=broker.tls(None))
    assert (refused.value.reason is not None) == broker.capabilities.says_why_refused
    if broker.capabilities.says_why_refused:
        assert refused.value.reason == "Not authorized"


def test_terminal_and_cloud_exchange_messages(broker: BrokerServer) -> None:
    with cloud(broker) as service, terminal(broker) as kiosk:
        service.subscribe(EVERYTHING_UP)
        kiosk.subscribe(f"roomlink/v1/{TERMINAL}/down/#")
        kiosk.publish(RECORDS, b"up")
        assert service.receive().payload == b"up"
        service.publish(COMMANDS, b"down")
        assert kiosk.receive().payload == b"down"


def test_payload_of_a_million_bytes_passes_unchanged(broker: BrokerServer) -> None:
    payload = bytes(range(250)) * 4000
    with cloud(broker) as service, terminal(broker) as kiosk:
        service.subscribe(EVERYTHING_UP)
        kiosk.publish(RECORDS, payload)
        assert service.receive().payload == payload


def test_maximum_packet_size_is_announced_where_the_broker_says_so(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        announced = property_of(kiosk.properties, "MaximumPacketSize")
    assert announced == (1_048_576 if broker.capabilities.announces_maximum_packet_size else None)


def test_payload_beyond_the_limit_costs_the_sender_its_connection_and_nobody_else(
    broker: BrokerServer,
) -> None:
    with cloud(broker) as service, terminal(broker) as kiosk:
        service.subscribe(EVERYTHING_UP)
        kiosk.publish(RECORDS, bytes(1_100_000))
        assert kiosk.ended.wait(10)
        with terminal(broker) as again:
            again.publish(RECORDS, b"fence")
        assert service.receive_until(b"fence") == []


def test_retained_birth_reaches_a_later_subscriber(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"born", retain=True)
    assert [(m.topic, m.payload, m.retain) for m in retained_at(broker, STATE)] == [(STATE, b"born", True)]


def test_newer_retained_message_replaces_the_older(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"first", retain=True)
        kiosk.publish(STATE, b"second", retain=True)
    assert [m.payload for m in retained_at(broker, STATE)] == [b"second"]


def test_empty_retained_message_removes_it(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"born", retain=True)
        kiosk.publish(STATE, b"", retain=True)
    assert retained_at(broker, STATE) == []


def test_will_fires_and_is_retained_when_the_connection_is_lost(broker: BrokerServer) -> None:
    with cloud(broker) as service:
        service.subscribe(EVERYTHING_UP)
        terminal(broker, will=(STATE, b"died", True)).cut()
        message = service.receive()
        assert (message.topic, message.payload) == (STATE, b"died")
    assert [m.payload for m in retained_at(broker, STATE)] == [b"died"]


def test_will_stays_silent_after_a_disconnect(broker: BrokerServer) -> None:
    with cloud(broker) as service:
        service.subscribe(EVERYTHING_UP)
        terminal(broker, will=(STATE, b"died", True)).close()
        with terminal(broker) as kiosk:
            kiosk.publish(RECORDS, b"fence")
        assert service.receive_until(b"fence") == []


def test_second_connection_of_a_client_id_takes_over_the_first(broker: BrokerServer) -> None:
    first = terminal(broker)
    with terminal(broker) as second:
        assert first.ended.wait(10)
        assert not second.ended.is_set()
        second.publish(RECORDS, b"alive")


def test_foreign_client_id_takes_over_only_where_the_user_name_does_not_decide(broker: BrokerServer) -> None:
    broker.set_user("kiosk-2")
    broker.apply_users()
    with terminal(broker) as kiosk:
        password, tls = broker.password("kiosk-2"), broker.tls("kiosk-2")
        with MqttClient(broker.port, "kiosk-2", password, client_id=TERMINAL, tls=tls) as thief:
            thief.publish("roomlink/v1/kiosk-2/up/records", b"fence")
        if not broker.capabilities.user_name_is_client_id:
            assert kiosk.ended.wait(10)
        assert kiosk.ended.is_set() != broker.capabilities.user_name_is_client_id


def test_message_past_its_expiry_is_not_delivered(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"short-lived", retain=True, expires_s=1)
    assert wait_until(lambda: retained_at(broker, STATE) == [], within_s=10)


def test_message_within_its_expiry_is_delivered_with_what_is_left(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"long-lived", retain=True, expires_s=600)
    (message,) = retained_at(broker, STATE)
    left_s = property_of(message.properties, "MessageExpiryInterval")
    assert left_s is not None
    assert 590 <= left_s <= 600


def test_clean_start_forgets_what_came_in_between(broker: BrokerServer) -> None:
    password, tls = broker.password(TERMINAL), broker.tls(TERMINAL)
    keeping = MqttClient(broker.port, TERMINAL, password, session_expiry_s=60, tls=tls)
    keeping.subscribe(f"roomlink/v1/{TERMINAL}/down/#")
    keeping.cut()
    with cloud(broker) as service:
        service.publish(COMMANDS, b"missed")
        with terminal(broker) as kiosk:
            kiosk.subscribe(f"roomlink/v1/{TERMINAL}/down/#")
            service.publish(COMMANDS, b"fence")
            assert kiosk.receive_until(b"fence") == []


def test_retained_messages_over_a_restart_are_as_stated(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"born", retain=True)
    broker.restart()
    kept = [m.payload for m in retained_at(broker, STATE)]
    assert kept == ([b"born"] if broker.capabilities.keeps_retained_over_restart else [])


def test_wiped_broker_starts_empty_and_serves(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        kiosk.publish(STATE, b"born", retain=True)
    broker.stop()
    broker.wipe()
    broker.start()
    assert retained_at(broker, STATE) == []


def test_killed_broker_serves_again_on_the_same_port(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        broker.kill()
        assert kiosk.ended.wait(10)
    broker.start()
    with terminal(broker) as kiosk:
        kiosk.publish(RECORDS, b"alive")


def test_terminal_reaches_beyond_its_subtree_only_where_the_broker_has_no_rules(broker: BrokerServer) -> None:
    with cloud(broker) as service, terminal(broker) as kiosk:
        service.subscribe(EVERYTHING_UP)
        kiosk.publish("roomlink/v1/kiosk-2/up/records", b"forged")
        kiosk.publish(RECORDS, b"fence")
        forged = [m.payload for m in service.receive_until(b"fence")]
    assert forged == ([] if broker.capabilities.access_rules else [b"forged"])


def test_new_user_is_admitted_after_users_are_applied(broker: BrokerServer) -> None:
    with terminal(broker) as kiosk:
        broker.set_user("kiosk-2")
        broker.apply_users()
        assert kiosk.ended.wait(0) != broker.capabilities.reloads_users
    with MqttClient(broker.port, "kiosk-2", broker.password("kiosk-2"), tls=broker.tls("kiosk-2")):
        pass


def test_struck_off_user_is_refused_after_users_are_applied(broker: BrokerServer) -> None:
    password, tls = broker.password(TERMINAL), broker.tls(TERMINAL)
    broker.remove_user(TERMINAL)
    broker.apply_users()
    with pytest.raises(RefusedError):
        MqttClient(broker.port, TERMINAL, password, tls=tls)
