"""The uplink and the doctor over TLS: a trusted certificate carries records, another one is refused in words."""

import ipaddress
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.clock import Clock
from edge.doctor import check_broker, check_certificate
from edge.link import Address, Link
from edge.links import Links
from edge.outbox import Outbox
from edge.settings import Broker, Settings
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, Method, Outcome
from tests.cloud_behind_broker import CloudBehindBroker
from tests.process import HOST, free_port
from tests.servers import MosquittoServer, wait_until

TERMINAL = "kiosk-1"


def make_certificate(folder: Path, days: int) -> tuple[Path, Path]:
    """A self-signed certificate for loopback, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker of a test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


def start_broker(folder: Path, days: int) -> MosquittoServer:
    certificate, key = make_certificate(folder / "tls", days)
    port = free_port()
    listener = f"listener {port} {HOST}\ncertfile {certificate}\nkeyfile {key}"
    server = MosquittoServer(folder / "broker", {TERMINAL: "secret"}, changes={"listener 1883": listener})
    server.port = port
    return server


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MosquittoServer]:
    with start_broker(tmp_path, 365) as server:
        yield server


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    return tmp_path / "tls" / "cert.pem"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal=TERMINAL)
    yield outbox
    outbox.close()


def links(broker: MosquittoServer, outbox: Outbox, ca_file: Path | None) -> Links:
    clock = Clock()
    address = Address(HOST, broker.port, TERMINAL, "secret", tls=True, ca_file=ca_file)
    birth = {"boot": clock.boot, "profile": "kiosk", "versions": {}}
    return Links([Link(address, outbox, Uplink(outbox, resend_timeout_s=2.0), birth=birth)])


def settings(broker: MosquittoServer, folder: Path, ca_file: Path | None) -> Settings:
    return Settings.model_validate(
        {
            "terminal": TERMINAL,
            "data_dir": folder,
            "password": "secret",
            "broker": Broker(host=HOST, port=broker.port, tls=True, ca_file=ca_file),
        }
    )


def test_records_pass_over_tls_in_large_batches(broker: MosquittoServer, outbox: Outbox, trusted: Path) -> None:
    clock = Clock()
    outbox.append([CheckIn(**clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT) for _ in range(1000)])
    with CloudBehindBroker(broker) as cloud:
        served = links(broker, outbox, trusted)
        served.start()
        assert wait_until(lambda: outbox.status().depth == 0)
        served.stop()
        assert len(cloud.double.check_in_ids()) == 1000


def test_untrusted_certificate_is_refused(broker: MosquittoServer, outbox: Outbox) -> None:
    served = links(broker, outbox, None)
    served.start()
    assert wait_until(lambda: outbox.next_connection()[1] > 2)
    assert not served.status().connected
    served.stop()


def test_doctor_says_how_long_the_certificate_is_trusted(
    broker: MosquittoServer, trusted: Path, tmp_path: Path
) -> None:
    found = check_certificate(settings(broker, tmp_path, trusted))
    assert found.well
    assert "trusted for 36" in found.line()
    assert check_broker(settings(broker, tmp_path, trusted)).well


def test_doctor_names_a_certificate_that_is_not_trusted(broker: MosquittoServer, tmp_path: Path) -> None:
    found = check_certificate(settings(broker, tmp_path, None))
    assert not found.well
    assert "self-signed certificate" in found.line()
    assert not check_broker(settings(broker, tmp_path, None)).well


def test_doctor_names_a_certificate_that_expires_soon(tmp_path: Path) -> None:
    with start_broker(tmp_path, 5) as server:
        found = check_certificate(settings(server, tmp_path, tmp_path / "tls" / "cert.pem"))
    assert not found.well
    assert "expires in " in found.line()
