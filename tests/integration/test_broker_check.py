"""`python -m broker_config check` over real brokers: a good one keeps every rule, and each weakness is found by name."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from broker_config.rules import RULES
from tests.mqtt import MqttClient
from tests.process import ROOT
from tests.servers import CLOUD_USER, HOST, MosquittoServer, MutualTlsMosquitto, free_port

OWN, OTHER, REVOKED = "check-own", "check-other", "check-revoked"
ALL = {rule.promise for rule in RULES}


def prepared(folder: Path, changes: Mapping[str, str] | None = None) -> MutualTlsMosquitto:
    """A broker with the three terminals of a check, one of them revoked."""
    server = MutualTlsMosquitto(folder, changes=changes)
    for name in (OWN, OTHER, REVOKED):
        server.set_user(name)
    server.authorities.revoke(server.identity(REVOKED))
    server.revocations.write_bytes(server.authorities.revocations())
    return server


def arguments(server: MutualTlsMosquitto, *, alone: bool = False) -> list[str]:
    given = ["--host", HOST, "--port", str(server.port), "--ca", str(server.authorities.root_file)]
    pairs = {"": OWN} if alone else {"": OWN, "other-": OTHER, "revoked-": REVOKED}
    for prefix, name in pairs.items():
        identity = server.identity(name)
        given += [f"--{prefix}certificate", str(identity.certificate), f"--{prefix}key", str(identity.key)]
    return given if alone else [*given, "--cloud-port", str(server.cloud_port)]


def run(given: list[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "broker_config", "check", *given]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def broken(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The promises that are not kept."""
    lines = [line.removeprefix("BROKEN").strip() for line in done.stdout.splitlines() if line.startswith("BROKEN")]
    return {promise for promise in ALL for line in lines if line.startswith(promise)}


def test_good_broker_keeps_every_rule_and_nothing_of_the_check(tmp_path: Path) -> None:
    with prepared(tmp_path) as server:
        done = run(arguments(server))
        with MqttClient(server.cloud_port, CLOUD_USER, server.password(), client_id="later") as cloud:
            cloud.subscribe("roomlink/v1/+/up/#")
            with MqttClient(server.port, OWN, None, tls=server.tls(OWN)) as own:
                own.publish(f"roomlink/v1/{OWN}/up/records", b"fence")
            assert cloud.receive_until(b"fence") == []
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["kept"] * len(RULES), done.stdout + done.stderr
    assert done.returncode == 0


def test_with_one_certificate_the_rest_is_said_to_be_not_tried(tmp_path: Path) -> None:
    with prepared(tmp_path) as server:
        done = run(arguments(server, alone=True))
    verdicts = [line.split("  ")[0].strip() for line in done.stdout.splitlines()]
    assert verdicts.count("not tried") == 3
    assert set(verdicts) == {"kept", "not tried"}, done.stdout
    assert done.returncode == 0


WEAKNESSES: dict[str, tuple[dict[str, str], set[str]]] = {
    "no access file": (
        {"acl_file /mosquitto/config/terminals.acl": ""},
        {
            "a terminal writes nowhere else",
            "a terminal writes no topic below its own up/ that the contract does not name",
            "a terminal is delivered nothing but what lies below its own down/",
            "a will outside the own subtree is dropped",
        },
    ),
    "anonymous": (
        {
            "require_certificate true": "require_certificate false",
            "use_identity_as_username true": "",
            "use_username_as_clientid true": "",
            "allow_anonymous false": "allow_anonymous true",
        },
        {
            "nobody gets in without a certificate",
            "a certificate of another authority is refused",
            "a revoked certificate is refused",
            "the client id is the certificate's name, whatever the terminal says",
            "nobody gets in at the cloud's listener without its password",
        },
    ),
    "no revocation list": ({"crlfile /mosquitto/certificates/revoked.pem": ""}, {"a revoked certificate is refused"}),
    "free client ids": (
        {"use_username_as_clientid true": ""},
        {"the client id is the certificate's name, whatever the terminal says"},
    ),
    "old TLS": (
        {"tls_version tlsv1.2": "tls_version tlsv1.1\nciphers ALL:@SECLEVEL=0"},
        {"TLS 1.0 and 1.1 are refused"},
    ),
    "no packet limit": (
        {"max_packet_size 1048576": ""},
        {"a packet beyond the announced limit, of at most 1 MiB, ends the connection"},
    ),
    "no keepalive limit": ({"max_keepalive 300": ""}, {"a keepalive is at most ten minutes"}),
}


@pytest.mark.parametrize(("changes", "found"), WEAKNESSES.values(), ids=WEAKNESSES.keys())
def test_each_weakness_is_found_and_nothing_else(tmp_path: Path, changes: dict[str, str], found: set[str]) -> None:
    with prepared(tmp_path, changes) as server:
        done = run(arguments(server))
    assert broken(done) == found, done.stdout + done.stderr
    assert done.returncode == 1
    assert all(line.rstrip().endswith(".") for line in done.stdout.splitlines() if line.startswith("BROKEN"))


TOO_WIDE: dict[str, tuple[str, set[str]]] = {
    "writes everywhere": (
        "pattern read roomlink/v1/%u/down/#\npattern write roomlink/#\n",
        {
            "a terminal writes nowhere else",
            "a terminal writes no topic below its own up/ that the contract does not name",
            "a will outside the own subtree is dropped",
        },
    ),
    "writes anything below its own up/": (
        "pattern write roomlink/v1/%u/up/#\npattern read roomlink/v1/%u/down/#\n",
        {"a terminal writes no topic below its own up/ that the contract does not name"},
    ),
    "reads everywhere": (
        "pattern write roomlink/v1/%u/up/state\npattern read #\n",
        {"a terminal is delivered nothing but what lies below its own down/"},
    ),
}


@pytest.mark.parametrize(("rules", "found"), TOO_WIDE.values(), ids=TOO_WIDE.keys())
def test_access_file_that_is_too_wide_is_found(tmp_path: Path, rules: str, found: set[str]) -> None:
    wide = tmp_path / "wide.acl"
    wide.write_text(rules)
    with prepared(tmp_path / "broker", {"acl_file /mosquitto/config/terminals.acl": f"acl_file {wide}"}) as server:
        assert broken(run(arguments(server))) == found


def test_list_that_the_broker_could_not_read_is_found(tmp_path: Path) -> None:
    with prepared(tmp_path) as server:
        server.revocations.write_bytes(b"")
        server.reload()
        assert broken(run(arguments(server))) == {"a revoked certificate is refused"}


def test_missing_access_file_is_found_with_one_certificate_alone(tmp_path: Path) -> None:
    with prepared(tmp_path, {"acl_file /mosquitto/config/terminals.acl": ""}) as server:
        done = run(arguments(server, alone=True))
    assert broken(done) == {
        "a terminal writes nowhere else",
        "a terminal writes no topic below its own up/ that the contract does not name",
        "a terminal is delivered nothing but what lies below its own down/",
    }


def test_broker_without_tls_is_found_and_the_rest_not_tried(tmp_path: Path) -> None:
    with prepared(tmp_path / "given") as given, MosquittoServer(tmp_path / "plain") as plain:
        there = arguments(given, alone=True)
        there[there.index("--port") + 1] = str(plain.port)
        done = run(there)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("BROKEN     the broker proves itself")
    assert all(line.startswith("not tried") for line in lines[1:])
    assert done.returncode == 1


def test_clouds_listener_out_of_reach_is_as_it_should_be(tmp_path: Path) -> None:
    with prepared(tmp_path) as server:
        done = run([*arguments(server, alone=True), "--cloud-port", str(free_port())])
    assert "kept       nobody gets in at the cloud's listener" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


def test_certificate_for_another_host_is_found(tmp_path: Path) -> None:
    with prepared(tmp_path) as server:
        there = arguments(server, alone=True)
        there[there.index("--host") + 1] = "localhost"
        done = run(there)
    assert done.stdout.startswith("BROKEN     the broker proves itself")
    assert done.returncode == 1


def test_what_cannot_be_tried_is_one_sentence_and_status_2(tmp_path: Path) -> None:
    server = prepared(tmp_path)
    given = arguments(server, alone=True)
    nobody = list(given)
    nobody[nobody.index("--port") + 1] = str(free_port())
    no_file = list(given)
    no_file[no_file.index("--certificate") + 1] = str(tmp_path / "none.pem")
    half = [*given, "--other-certificate", str(server.identity(OTHER).certificate)]
    for arguments_given in (nobody, no_file, half):
        done = run(arguments_given)
        assert done.returncode == 2, done.stdout
        assert len(done.stderr.splitlines()) == 1
        assert done.stderr.endswith(".\n")
