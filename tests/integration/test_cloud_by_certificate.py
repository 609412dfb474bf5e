"""The cloud signs in at its own listener by certificate, where no password opens it, and ends a terminal's session there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.broker import Broker, Tls, context_of
from cloud.certificates.takeover import take_over
from cloud.errors import StartError, Unavailable
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.mqtt import MqttClient
from tests.process import HOST, wait_until
from tests.servers import CLOUD_USER, MutualTlsMosquitto
from tests.town import TERMINALS, settle

KIOSK = TERMINALS[0]


class ByCertificate(MutualTlsMosquitto):
    """The cloud's listener as its README shows it: a certificate in the place of the password."""

    def __init__(self, directory: Path) -> None:
        certificates = directory / "certificates"
        lines = [
            *(f"{option} {certificates / name}.pem" for option, name in FILES.items()),
            "tls_version tlsv1.2",
            "require_certificate true",
            "use_identity_as_username true",
        ]
        super().__init__(directory, changes={"password_file /mosquitto/users/cloud": "\n".join(lines)})
        self.own = self.authorities.terminal(CLOUD_USER)


FILES = {"cafile": "ca", "certfile": "server", "keyfile": "server-key", "crlfile": "revoked"}


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[ByCertificate]:
    server = ByCertificate(tmp_path / "broker")
    server.set_user(KIOSK)
    server.set_user(CLOUD_USER)
    with server:
        yield server


def tls_of(broker: ByCertificate) -> Tls:
    return Tls(broker.authorities.root_file, broker.own.certificate, broker.own.key)


def test_worker_gets_its_subscription_by_certificate(broker: ByCertificate, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    settle(migrated(url)).engine.dispose()
    settings = {
        "ROOMLINK_MQTT_CA_FILE": str(broker.authorities.root_file),
        "ROOMLINK_MQTT_CERTIFICATE_FILE": str(broker.own.certificate),
        "ROOMLINK_MQTT_KEY_FILE": str(broker.own.key),
    }
    with CloudServer(tmp_path / "cloud", url, broker, settings, command="worker") as cloud:
        assert cloud.connections() == 1


def test_password_alone_opens_nothing_there(broker: ByCertificate) -> None:
    trusting = Tls(broker.authorities.root_file)
    with pytest.raises(Unavailable):
        take_over(Broker(HOST, broker.cloud_port, CLOUD_USER, broker.password(), trusting), KIOSK)


def test_terminals_session_is_ended_by_the_clouds_certificate(broker: ByCertificate) -> None:
    terminal = MqttClient(broker.port, KIOSK, "", tls=broker.tls(KIOSK))
    take_over(Broker(HOST, broker.cloud_port, CLOUD_USER, None, tls_of(broker)), KIOSK)
    assert wait_until(lambda: "already connected, closing old connection" in broker.process.log())
    terminal.close()


def test_files_that_are_not_there_are_named(tmp_path: Path, broker: ByCertificate) -> None:
    with pytest.raises(StartError, match="ROOMLINK_MQTT_CA_FILE"):
        context_of(Tls(tmp_path / "nothing.pem"))
    with pytest.raises(StartError, match="ROOMLINK_MQTT_CERTIFICATE_FILE"):
        context_of(Tls(broker.authorities.root_file, tmp_path / "nothing.pem"))
