"""Who gets in at the terminals' listener of Mosquitto by certificate, and what an operator sees of those who do not."""

import re
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from tests.authorities import Authorities, Identity
from tests.mqtt import MqttClient, RefusedError
from tests.process import ROOT
from tests.servers import CLOUD_USER, HOST, MosquittoServer, MutualTlsMosquitto, ServerError, wait_until

NEAR = "kiosk-1"
FENCE = b"fence"


@pytest.fixture
def server(mutual_tls: MutualTlsMosquitto) -> MutualTlsMosquitto:
    """With one terminal, which has a certificate."""
    mutual_tls.set_user(NEAR)
    return mutual_tls


def sign_in(server: MutualTlsMosquitto, tls: ssl.SSLContext | None, client_id: str = NEAR) -> MqttClient:
    return MqttClient(server.port, NEAR, "a password", client_id=client_id, tls=tls)


def records(terminal: str = NEAR) -> str:
    return f"roomlink/v1/{terminal}/up/records"


def refused_identity(server: MutualTlsMosquitto, case: str, folder: Path) -> Identity | None:
    """A certificate for the terminal's own name that must not do."""
    made = server.authorities
    match case:
        case "none":
            return None
        case "other authority":
            return Authorities(folder / "other").terminal(NEAR)
        case "other authority of the same name":
            return Authorities(folder / "other", "Test").terminal(NEAR)
        case "expired":
            return made.terminal(NEAR, begins=-timedelta(days=100), lasts=timedelta(days=90))
        case "not yet valid":
            return made.terminal(NEAR, begins=timedelta(days=3))
        case "of a server":
            return made.server(NEAR)
        case _:
            identity = made.terminal(NEAR)
            made.revoke(identity)
            server.apply_users()
            return identity


CASES = {
    "none": "peer did not return a certificate",
    "other authority": "certificate verify failed",
    "other authority of the same name": "certificate verify failed",
    "expired": "certificate verify failed",
    "not yet valid": "certificate verify failed",
    "of a server": "certificate verify failed",
    "revoked": "certificate verify failed",
}


@pytest.mark.parametrize(("case", "said"), CASES.items(), ids=CASES)
def test_certificate_that_does_not_do_is_refused_and_the_log_tells_address_and_kind(
    server: MutualTlsMosquitto, tmp_path: Path, case: str, said: str
) -> None:
    """Whose certificate it was, or why it failed, it does not say."""
    identity = refused_identity(server, case, tmp_path)
    before = len(server.process.log())
    with pytest.raises(RefusedError) as refused:
        sign_in(server, server.authorities.context(identity))
    assert refused.value.reason is None  # in the handshake: MQTT is not spoken
    assert wait_until(lambda: re.search(failed(server, said), server.process.log()[before:]) is not None)
    log = server.process.log()[before:]
    assert NEAR not in log
    sign_in(server, server.tls(NEAR)).close()


def test_log_tells_of_the_address_of_who_speaks_in_clear_or_old_tls(server: MutualTlsMosquitto) -> None:
    with pytest.raises(RefusedError):
        sign_in(server, None)
    assert wait_until(lambda: re.search(failed(server, "error:"), server.process.log()) is not None)


def failed(server: MutualTlsMosquitto, said: str) -> str:
    """What the log tells of a handshake that failed: on one line, or two where what came took more than one read."""
    at_once = rf"Client connection from {HOST} failed: .*{said}"
    later = rf"New connection from {HOST}:\d+ on port {server.port}\.\n(?:.*\n)*?.*OpenSSL Error.*{said}"
    return f"{at_once}|{later}"


def test_log_tells_of_foreign_subscriptions_and_oversized_packets_but_not_of_denied_publishes(
    server: MutualTlsMosquitto,
) -> None:
    with sign_in(server, server.tls(NEAR)) as near:
        near.subscribe("$share/ingest/roomlink/v1/+/up/#")
        near.publish(records("kiosk-2"), b"denied, which only the sender is told")
        near.publish(records(), bytes(1_100_000))
    assert wait_until(lambda: f"Client {NEAR} disconnected due to oversize packet." in server.process.log())
    log = server.process.log()
    assert f"{NEAR} 1 $share/ingest/roomlink/v1/+/up/#" in log
    assert re.search(rf"New client connected from {HOST}:\d+ as {NEAR} ", log)
    assert "kiosk-2" not in log


def test_password_or_no_tls_gets_nobody_in(server: MutualTlsMosquitto) -> None:
    with pytest.raises(RefusedError):
        sign_in(server, None)
    with pytest.raises(RefusedError):
        MqttClient(server.port, CLOUD_USER, server.password(), tls=server.tls(None))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused_even_where_the_machine_would_allow_it(tmp_path: Path, version: ssl.TLSVersion) -> None:
    weak = {"tls_version tlsv1.2": "tls_version tlsv1.2\nciphers ALL:@SECLEVEL=0"}
    with MutualTlsMosquitto(tmp_path, {NEAR: "-"}, changes=weak) as server:
        tls = server.tls(NEAR)
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = version
        with pytest.raises(RefusedError):
            sign_in(server, tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(server: MutualTlsMosquitto, version: ssl.TLSVersion) -> None:
    tls = server.tls(NEAR)
    tls.minimum_version = tls.maximum_version = version
    sign_in(server, tls).close()


def test_name_is_the_certificates_whatever_the_terminal_says(server: MutualTlsMosquitto) -> None:
    server.set_user("kiosk-2")
    with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="ingest-1") as cloud:
        cloud.subscribe("roomlink/v1/+/up/#")
        with MqttClient(server.port, "kiosk-2", "-", client_id="kiosk-2", tls=server.tls(NEAR)) as liar:
            answer = liar.publish(records("kiosk-2"), b"forged")
            assert answer is not None
            assert answer.getName() == "Not authorized"
            liar.publish(records(), FENCE)
        assert cloud.receive_until(FENCE) == []


def test_someone_elses_client_id_takes_over_nobody(server: MutualTlsMosquitto) -> None:
    server.set_user("kiosk-2")
    with sign_in(server, server.tls(NEAR)) as near, sign_in(server, server.tls("kiosk-2"), client_id=NEAR) as thief:
        assert thief.publish(records("kiosk-2"), b"own").getName() != "Not authorized"  # type: ignore[union-attr]
        near.publish(records(), b"alive")
        assert not near.ended.is_set()


def test_cloud_cuts_the_open_session_of_a_revoked_terminal_which_cannot_return(server: MutualTlsMosquitto) -> None:
    tls = server.tls(NEAR)
    with sign_in(server, tls) as near:
        server.remove_user(NEAR)
        server.apply_users()
        near.publish(records(), b"still open: a list is asked for at the handshake only")
        assert not near.ended.is_set()
        with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id=NEAR):
            assert near.ended.wait(10)
    with pytest.raises(RefusedError):
        sign_in(server, tls)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_session_from_before_the_revocation_does_not_open_the_door(
    server: MutualTlsMosquitto, version: ssl.TLSVersion
) -> None:
    """A resumed TLS session skips the certificates, and so the list: Mosquitto must not resume any."""
    tls = server.tls(NEAR)
    tls.minimum_version = tls.maximum_version = version
    answer, session = knock(server, tls, None)
    assert answer[:1] == CONNACK
    assert session is not None
    server.remove_user(NEAR)
    server.apply_users()
    answer, _ = knock(server, tls, session)
    assert answer[:1] != CONNACK


CONNACK = b"\x20"


def knock(
    server: MutualTlsMosquitto, tls: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bytes, ssl.SSLSession | None]:
    """Connect by hand, resuming a TLS session where there is one; the first bytes of the answer, and the session."""
    packet = b"\x10\x14\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x07" + NEAR.encode()
    try:
        with (
            socket.create_connection((HOST, server.port), timeout=10) as plain,
            tls.wrap_socket(plain, server_hostname=HOST, session=session) as secured,
        ):
            secured.sendall(packet)
            answer = secured.recv(100)
            return answer, secured.session
    except (ssl.SSLError, ConnectionError):
        return b"", None


def admits(server: MutualTlsMosquitto, tls: ssl.SSLContext) -> bool:
    try:
        sign_in(server, tls).close()
    except RefusedError:
        return False
    return True


def test_list_that_cannot_be_read_stops_the_start_but_at_a_reload_lets_the_revoked_in(tmp_path: Path) -> None:
    """Mosquitto's trap, for which the watcher is there (test_broker_watch.py)."""
    server = MutualTlsMosquitto(tmp_path, {NEAR: "-"})
    tls = server.tls(NEAR)
    server.remove_user(NEAR)
    server.revocations.write_bytes(server.authorities.revocations())
    with server:
        assert not admits(server, tls)
        server.revocations.write_bytes(b"")
        server.reload()
        assert admits(server, tls)
        assert "Unable to load certificate revocation file" in server.process.log()
    with pytest.raises(ServerError, match="Unable to load certificate revocation file"):
        server.start()


def test_list_that_has_ended_shuts_everyone_out(server: MutualTlsMosquitto) -> None:
    server.revocations.write_bytes(server.authorities.revocations(begins=-timedelta(days=30), lasts=timedelta(days=20)))
    server.reload()
    assert not admits(server, server.tls(NEAR))


def test_new_intermediate_needs_only_its_list_and_a_signal(server: MutualTlsMosquitto) -> None:
    """The terminal shows it, the root in `cafile` vouches for it; terminals of the old one stay as long as its list does."""
    made, old_list, before = server.authorities, server.authorities.revocations(), server.tls(NEAR)
    made.rotate()
    after = made.context(made.terminal(NEAR))
    assert not admits(server, after)
    server.revocations.write_bytes(old_list + made.revocations())
    server.reload()
    assert admits(server, after)
    assert admits(server, before)


def test_roots_come_and_go_by_a_signal(server: MutualTlsMosquitto, tmp_path: Path) -> None:
    other = Authorities(tmp_path / "other", "Another")
    other.root_file.write_bytes(server.authorities.root_file.read_bytes())  # the terminal goes on trusting this broker
    newcomer, ca, revocations = (
        other.context(other.terminal(NEAR)),
        server.authorities.ca(),
        server.revocations.read_bytes(),
    )
    (server.certificates / "ca.pem").write_bytes(ca + other.ca())
    server.revocations.write_bytes(revocations + other.revocations())
    server.reload()
    assert admits(server, newcomer)
    assert admits(server, server.tls(NEAR))
    (server.certificates / "ca.pem").write_bytes(ca)
    server.revocations.write_bytes(revocations)
    server.reload()
    assert not admits(server, newcomer)
    assert admits(server, server.tls(NEAR))


def test_passwords_and_certificates_at_once_as_the_readme_has_it(tmp_path: Path) -> None:
    """The terminals' section of passwords.conf, appended to mosquitto.conf."""
    with_passwords = MosquittoServer(tmp_path / "passwords", {"kiosk-2": "two"})
    section = with_passwords.configuration().split("# The terminals.")[1].partition("\n\n")[0]
    last = "max_connections 100"
    with MutualTlsMosquitto(tmp_path / "both", {NEAR: "-"}, changes={last: f"{last}\n\n#{section}"}) as server:
        assert admits(server, server.tls(NEAR))
        with MqttClient(with_passwords.port, "kiosk-2", "two") as second:
            assert second.publish(records("kiosk-2"), b"own") is not None
        with pytest.raises(RefusedError):
            MqttClient(with_passwords.port, NEAR, None)


def test_cloud_by_certificate_as_the_readme_has_it(tmp_path: Path) -> None:
    made = (ROOT / "broker_config/mosquitto/README.md").read_text("utf-8").split("the listener then has\n\n")[1]
    wanted = "\n".join(line.strip() for line in made.partition("\n\n")[0].splitlines())
    certificates = str(tmp_path / "broker" / "certificates")
    wanted = wanted.replace("/mosquitto/certificates", certificates)
    changes = {"password_file /mosquitto/users/cloud": wanted}
    with MutualTlsMosquitto(tmp_path / "broker", {NEAR: "-"}, changes=changes) as server:
        service = server.authorities.context(server.authorities.terminal(CLOUD_USER))
        with MqttClient(server.cloud_port, None, None, client_id="ingest-1", tls=service) as cloud:
            cloud.subscribe("roomlink/v1/+/up/#")
            with sign_in(server, server.tls(NEAR)) as near:
                near.publish(records(), FENCE)
            assert cloud.receive_until(FENCE) == []
        with pytest.raises(RefusedError):
            MqttClient(server.cloud_port, CLOUD_USER, server.password(), tls=server.tls(None))
