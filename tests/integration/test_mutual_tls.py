"""A claimed terminal's whole agent at a real Mosquitto that knows it by its certificate alone, with clocks right and wrong."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from cloud.certificates.authority import make_terminal
from edge import identity
from edge.agent import Agent
from edge.doctor import check_broker, check_certificate, check_identity, check_privacy, sign_in
from edge.errors import SettingsError
from edge.identity import BrokerAt, Claim
from edge.settings import Settings, load_settings
from firmware_specs import signing
from firmware_specs.messages import CheckIn, Method, Outcome
from firmware_specs.wire import decode_batch
from tests.cloud_behind_broker import CloudBehindBroker
from tests.enrolment_double import DAY, TERMINAL, EnrolmentDouble, Pki, pem
from tests.process import HOST, wait_until
from tests.tls_broker import TlsBroker

NOW = datetime.now(UTC)


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path / "pki")


@pytest.fixture
def broker(tmp_path: Path, pki: Pki) -> Iterator[TlsBroker]:
    with TlsBroker(tmp_path / "broker", pki, pki.server_files("broker", NOW)) as server:
        yield server


def put_identity(
    folder: Path, pki: Pki, port: int, begins_at: datetime = NOW, cloud_url: str = f"https://{HOST}:1"
) -> Settings:
    """As `edge claim` would leave it."""
    key = identity.pending_key(folder / "identity")
    leaf = make_terminal(pki.issuer, TERMINAL, key.public_key, begins_at)
    told = Claim(
        terminal=TERMINAL,
        profile="kiosk",
        broker=BrokerAt(host=HOST, port=port),
        cloud_url=cloud_url,
        password="for files",
    )
    chain, root = pem(leaf, pki.issuer.certificate).encode(), pem(pki.root.certificate).encode()
    twin = {"v": 1, "version": [1, 1], "language": "en", "resend_timeout_s": 1.0}
    identity.keep_claim(folder / "identity", told, chain, root, json.dumps(twin).encode())
    return load_settings(None, Settings, data_dir=folder)


def clock_says(settings: Settings, quality: str) -> Settings:
    file = settings.data_dir / "offset"
    file.write_text(f"0 {quality}")
    return settings.model_copy(update={"clock_offset_file": file})


def check_in(agent: Agent) -> None:
    agent.outbox.append([CheckIn(**agent.clock.stamp((0, 0)), method=Method.GUEST, outcome=Outcome.VISIT)])


def header_of(payload: bytes) -> bytes:
    return payload.partition(b"\n")[0]


def keys_of(settings: Settings) -> dict[str, EllipticCurvePublicKey]:
    known = identity.load(settings.identity_dir)
    assert known is not None
    return {signing.key_id(known.signer.public_key): known.signer.public_key}


def stored(agent: Agent) -> bool:
    return agent.outbox.status().depth == 0


def test_claimed_terminal_sends_signed_batches_without_a_password(broker: TlsBroker, pki: Pki, tmp_path: Path) -> None:
    settings = put_identity(tmp_path / "data", pki, broker.port)
    agent = Agent(settings)
    check_in(agent)
    with CloudBehindBroker(broker) as cloud:
        agent.start()
        assert wait_until(lambda: stored(agent))
        agent.stop()
        assert len(cloud.double.check_in_ids()) == 1
        birth = next(state for state in cloud.states if state.event == "birth")
    assert len(cloud.double.payloads) >= 2  # the question, too
    for payload in cloud.double.payloads:
        decode_batch(payload)
        assert signing.verify(TERMINAL, header_of(payload), keys_of(settings))
    assert birth.versions["certificate_until"] == f"{NOW + 90 * DAY:%Y-%m-%d}"
    assert "secret" not in broker.process.log()


def test_first_twin_is_in_force_before_the_first_connection(pki: Pki, tmp_path: Path) -> None:
    settings = put_identity(tmp_path / "data", pki, 1)
    agent = Agent(settings)
    agent.start()
    assert agent.twin.version == (1, 1)
    agent.stop()
    assert not (settings.identity_dir / "desired.json").exists()
    again = Agent(settings)
    again.start()
    assert again.twin.version == (1, 1)
    again.stop()


@pytest.mark.parametrize(
    ("begins_at", "what"),
    [(NOW - 300 * DAY, "has expired"), (NOW + 300 * DAY, "is not yet valid")],
    ids=["expired", "not yet"],
)
@pytest.mark.parametrize("quality", ["synced", "holdover", "unset"])
def test_dates_of_the_broker_count_only_for_a_clock_that_is_right(
    begins_at: datetime, what: str, quality: str, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By the machine's clock the broker's certificate is out of date; only a synced clock may say so."""
    with TlsBroker(tmp_path / "broker", pki, pki.server_files("broker", begins_at)) as broker:
        settings = clock_says(put_identity(tmp_path / "data", pki, broker.port), quality)
        agent = Agent(settings)
        with CloudBehindBroker(broker):
            caplog.set_level("INFO")
            agent.start()
            right = quality == "synced"
            assert wait_until(lambda: what in caplog.text if right else stored(agent))
            assert agent.uplink_status().connected != right
            agent.stop()
        assert (what in check_certificate(settings).line()) == right


@pytest.mark.parametrize("quality", ["synced", "holdover"])
def test_broker_of_another_root_is_refused_whatever_the_clock(
    quality: str, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Pki(tmp_path / "other")
    with TlsBroker(tmp_path / "broker", other, other.server_files("broker", NOW)) as broker:
        caplog.set_level("INFO")
        agent = Agent(clock_says(put_identity(tmp_path / "data", pki, broker.port), quality))
        agent.start()
        assert wait_until(lambda: "certificate verify failed" in caplog.text)
        assert not agent.uplink_status().connected
        agent.stop()


def test_broker_under_another_name_is_refused_with_a_wrong_clock(
    broker: TlsBroker, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = clock_says(put_identity(tmp_path / "data", pki, broker.port), "unset")
    at = settings.broker.model_copy(update={"host": "127.0.0.2"})
    settings = settings.model_copy(update={"broker": at})
    broker.stop()
    conf = tmp_path / "broker" / "mosquitto.conf"
    conf.write_text(conf.read_text().replace(f"listener {broker.port} {HOST}", f"listener {broker.port}"))
    broker.start()
    agent = Agent(settings)
    agent.start()
    assert wait_until(lambda: "IP address mismatch" in caplog.text)
    agent.stop()


def test_certificate_that_is_exchanged_counts_from_the_next_connection(
    broker: TlsBroker, pki: Pki, tmp_path: Path
) -> None:
    settings = put_identity(tmp_path / "data", pki, broker.port, NOW - 70 * DAY)
    agent = Agent(settings)
    with CloudBehindBroker(broker) as cloud:
        agent.start()
        assert wait_until(lambda: stored(agent))
        known = identity.load(settings.identity_dir)
        assert known is not None
        later = make_terminal(pki.issuer, TERMINAL, known.signer.public_key, NOW)
        identity.keep_renewal(known, pem(later, pki.issuer.certificate).encode(), known.claim.broker)
        cloud.leave()
        broker.restart()
        cloud.come_back()
        until = f"{NOW + 90 * DAY:%Y-%m-%d}"
        assert wait_until(
            lambda: any(s.event == "birth" and s.versions["certificate_until"] == until for s in cloud.states)
        )
        agent.stop()


@pytest.mark.parametrize("quality", ["synced", "unset"])
def test_terminal_back_from_a_long_holiday_lets_itself_in_again(
    quality: str, broker: TlsBroker, pki: Pki, tmp_path: Path
) -> None:
    """Its certificate ended 210 days ago, so the broker refuses it until it has renewed; what it kept arrives then."""
    with EnrolmentDouble(pki, broker_port=broker.port) as enrolment, CloudBehindBroker(broker) as cloud:
        settings = put_identity(tmp_path / "data", pki, broker.port, NOW - 300 * DAY, enrolment.url)
        assert sign_in(settings) == "it closed the connection without an answer"
        agent = Agent(clock_says(settings, quality))
        check_in(agent)
        agent.start()
        assert wait_until(lambda: stored(agent), within_s=40)
        agent.stop()
        assert enrolment.renewals == 1
        assert len(cloud.double.check_in_ids()) == 1
        assert signing.verify(TERMINAL, header_of(cloud.double.payloads[-1]), keys_of(settings))


def test_damaged_identity_costs_the_connection_and_no_check_in_and_is_mended_without_a_restart(
    broker: TlsBroker, pki: Pki, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = put_identity(tmp_path / "data", pki, broker.port)
    key = settings.identity_dir / "key.pem"
    whole = key.read_bytes()
    key.write_bytes(whole[:50])
    caplog.set_level("INFO")
    agent = Agent(settings)
    with CloudBehindBroker(broker) as cloud:
        agent.start()
        check_in(agent)
        assert wait_until(lambda: "not reachable" in caplog.text)
        assert f"{key} is damaged. Claim this terminal again" in caplog.text
        assert not check_identity(settings).well
        key.write_bytes(whole)
        assert wait_until(lambda: stored(agent))
        agent.stop()
    assert signing.verify(TERMINAL, header_of(cloud.double.payloads[-1]), keys_of(settings))


@pytest.mark.parametrize(
    ("own", "damaged", "used"),
    [(None, False, "claimed anew"), (None, True, "claimed anew"), ("its own", False, "its own")],
)
def test_password_of_another_claim_counts_for_files_without_a_restart(
    pki: Pki, tmp_path: Path, own: str | None, damaged: bool, used: str
) -> None:
    put_identity(tmp_path / "data", pki, 1)
    file = tmp_path / "data" / "identity" / identity.CLAIM
    told = Claim.model_validate_json(file.read_bytes())
    given = {"cloud_url": "http://x.invalid"} | ({} if own is None else {"password": own})
    settings = load_settings(None, Settings, data_dir=tmp_path / "data", **given)
    if damaged:
        file.write_bytes(b"{")
        settings = settings.model_copy(update={"password": None})
    agent = Agent(settings)
    identity.write_private(file, told.model_copy(update={"password": "claimed anew"}).model_dump_json().encode())
    with agent._source._client() as client:
        (sent,) = list(client.auth.auth_flow(client.build_request("GET", "/")))  # type: ignore[union-attr]
    agent.outbox.close()
    assert base64.b64decode(sent.headers["Authorization"].split()[1]) == f"{TERMINAL}:{used}".encode()


def test_doctor_looks_with_the_certificate(broker: TlsBroker, pki: Pki, tmp_path: Path) -> None:
    settings = put_identity(tmp_path / "data", pki, broker.port)
    assert check_broker(settings).line().endswith(" takes the certificate")
    assert check_certificate(settings).well
    assert check_privacy(settings).well
    assert check_identity(settings).line() == (
        f"ok    identity: {TERMINAL}, certificate good for 90 more days, "
        f"renewed from {NOW - DAY + 91 * DAY * 2 / 3:%Y-%m-%d} on"
    )


def test_doctor_names_what_ends_soon_or_has_ended(pki: Pki, tmp_path: Path) -> None:
    soon = check_identity(put_identity(tmp_path / "soon", pki, 1, NOW - 80 * DAY))
    assert "good for 10 more days" in soon.line()
    assert "the agent renews it there by itself, for a year yet" in soon.advice
    ended = check_identity(put_identity(tmp_path / "ended", pki, 1, NOW - 100 * DAY - timedelta(minutes=1)))
    assert "the certificate ended 10 days ago by this clock" in ended.line()


def test_settings_of_another_terminal_are_a_sentence(pki: Pki, tmp_path: Path) -> None:
    put_identity(tmp_path / "data", pki, 1)
    settings = load_settings(None, Settings, data_dir=tmp_path / "data", terminal="kiosk-9")
    with pytest.raises(SettingsError, match=r"Setting terminal is kiosk-9, and .* belongs to kiosk-302-a"):
        Agent(settings)
    assert "leave terminal out of them" in check_identity(settings).line()
