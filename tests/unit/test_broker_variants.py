"""The brokers' configurations side by side: the same rules in Mosquitto and EMQX, and a README that explains every line."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from broker_config.watch import FILES
from firmware_specs.topics import PREFIX, Channel
from tests.process import ROOT

MOSQUITTO = ROOT / "broker_config" / "mosquitto"
EMQX = ROOT / "broker_config" / "emqx"
HAPROXY = ROOT / "broker_config" / "haproxy"
CLOUD = "roomlink-cloud"


def lines(path: Path, comment: str = "#") -> list[str]:
    """Without comments and empty lines."""
    return [
        line.strip() for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith(comment)
    ]


def sections(path: Path) -> list[list[str]]:
    """What stands before the first listener, then each listener's lines."""
    found: list[list[str]] = [[]]
    for line in lines(path):
        if line.startswith("listener "):
            found.append([])
        found[-1].append(line)
    return found


def test_mosquittos_variants_differ_in_the_terminals_listener_alone() -> None:
    production, passwords = sections(MOSQUITTO / "mosquitto.conf"), sections(MOSQUITTO / "passwords.conf")
    assert production[0] == passwords[0]
    assert production[1][0] == "listener 8883"
    assert passwords[1][0] == "listener 1883"
    assert production[2:] == passwords[2:]
    assert [section[0] for section in production[2:]] == ["listener 1884"]


@pytest.mark.parametrize("name", ["mosquitto.conf", "passwords.conf"])
def test_every_listener_refuses_the_anonymous_and_has_its_bounds(name: str) -> None:
    shared, *listeners = sections(MOSQUITTO / name)
    for listener in listeners:
        options = dict(line.split(" ", 1) for line in listener)
        assert options["allow_anonymous"] == "false"
        assert options["acl_file"]
        assert int(options["max_connections"]) > 0
    bounded = {line.split()[0] for line in shared}
    assert {
        "max_packet_size",
        "max_inflight_messages",
        "max_queued_messages",
        "max_queued_bytes",
        "max_keepalive",
    } <= bounded


def test_watcher_gives_the_files_that_mosquitto_reads() -> None:
    read = re.findall(
        r"^\w+file /mosquitto/certificates/(\S+)$", (MOSQUITTO / "mosquitto.conf").read_text(), re.MULTILINE
    )
    assert sorted(read) == sorted(FILES)


@pytest.mark.parametrize("name", ["mosquitto.conf", "passwords.conf"])
def test_readme_explains_every_option_of_mosquitto(name: str) -> None:
    text = (MOSQUITTO / "README.md").read_text("utf-8")
    for option in {line.split()[0] for line in lines(MOSQUITTO / name)}:
        assert f"`{option}" in text, option


def hocon(path: Path) -> dict[str, str]:
    """Each value of an EMQX configuration by its whole name; of HOCON what this file uses, and nothing else."""
    found: dict[str, str] = {}
    within: list[str] = []
    for line in lines(path):
        if opened := re.fullmatch(r"([\w.]+)(?: =)? ?[{\[]", line):
            within.append(opened[1])
        elif line == "{":
            within.append("0")
        elif line in {"}", "]"}:
            within.pop()
        elif given := re.fullmatch(r'([\w.]+) = (true|false|\w+|"[^"]*"|\[("[^"]*"(, )?)+\])', line):
            name = ".".join([*within, given[1]])
            assert name not in found, name
            found[name] = given[2].strip('"')
        else:
            raise AssertionError(f"cannot be read: {line}")
    assert within == []
    return found


def rules() -> Iterator[tuple[str, str, str, list[str]]]:
    """EMQX's access rules: permission, who, action, topics."""
    whole = r'\{(allow|deny), (all|\{username, "[^"]+"\})(?:, (\w+), \[("[^"]+"(?:, "[^"]+")*)\])?\}\.'
    for line in lines(EMQX / "acl.conf", "%%"):
        read = re.fullmatch(whole, line)
        assert read, line
        yield read[1], read[2], read[3] or "all", re.findall(r'"([^"]+)"', read[4] or '"#"')


def mosquitto_rules(name: str, kind: str) -> set[tuple[str, str]]:
    found = re.findall(rf"^{kind} (read|write) (\S+)$", (MOSQUITTO / name).read_text(), re.MULTILINE)
    return {({"read": "subscribe", "write": "publish"}[action], topic) for action, topic in found}


def test_emqx_allows_what_mosquitto_allows_and_denies_the_rest() -> None:
    found = list(rules())
    cloud = {
        (action, topic) for allow, who, action, topics in found for topic in topics if allow == "allow" and CLOUD in who
    }
    everyone = {
        (action, topic.replace("${username}", "%u"))
        for allow, who, action, topics in found
        for topic in topics
        if allow == "allow" and who == "all"
    }
    assert cloud == mosquitto_rules("cloud.acl", "topic")
    assert everyone == mosquitto_rules("terminals.acl", "pattern")
    assert found[-1] == ("deny", "all", "all", ["#"])
    assert found[2] == ("deny", f'{{username, "{CLOUD}"}}', "all", ["#"])  # before the rules for terminals
    assert hocon(EMQX / "emqx.conf")["authorization.no_match"] == "deny"


def test_terminals_may_write_exactly_the_topics_of_the_contract() -> None:
    upward = {f"{PREFIX}/%u/{channel}" for channel in Channel if channel.startswith("up/")}
    written = {topic for action, topic in mosquitto_rules("terminals.acl", "pattern") if action == "publish"}
    assert written == upward


def test_emqx_ties_name_and_client_id_to_the_certificate_where_terminals_come_in() -> None:
    conf = hocon(EMQX / "emqx.conf")
    listener = "listeners.ssl.terminals."
    assert conf[listener + "zone"] == "terminals"
    assert conf["zones.terminals.mqtt.peer_cert_as_username"] == "cn"
    assert conf["zones.terminals.mqtt.peer_cert_as_clientid"] == "cn"
    assert conf[listener + "ssl_options.verify"] == "verify_peer"
    assert conf[listener + "ssl_options.fail_if_no_peer_cert"] == "true"
    assert conf[listener + "ssl_options.versions"] == '["tlsv1.3", "tlsv1.2"]'
    assert conf[listener + "proxy_protocol"] == "true"
    cloud_zone = f"zones.{conf['listeners.tcp.cloud.zone']}.mqtt."
    assert not any(name.startswith(cloud_zone + "peer_cert") for name in conf)


def test_emqx_opens_no_other_listener_and_bounds_what_it_keeps() -> None:
    conf = hocon(EMQX / "emqx.conf")
    for default in ("tcp", "ssl", "ws", "wss"):
        assert conf[f"listeners.{default}.default.enable"] == "false"
    assert conf["mqtt.max_packet_size"] == "1MB"
    bounds = [
        "zones.terminals.mqtt.max_mqueue_len",
        "zones.cloud.mqtt.max_mqueue_len",
        "zones.terminals.mqtt.max_inflight",
    ]
    bounds += [f"listeners.{each}.max_connections" for each in ("ssl.terminals", "tcp.cloud")]
    assert all(int(conf[bound]) > 0 for bound in bounds)
    assert conf["retainer.backend.max_retained_messages"] != "0"


def test_emqx_configuration_holds_no_secret() -> None:
    assert not {name for name in hocon(EMQX / "emqx.conf") if re.search(r"cookie|secret|\.password$", name)}


def test_readme_explains_every_line_of_emqx() -> None:
    text = (EMQX / "README.md").read_text("utf-8")
    for name in hocon(EMQX / "emqx.conf"):
        assert f"`{name.rpartition('.')[2]}" in text, name
    for line in lines(EMQX / "acl.conf", "%%"):
        assert f"`{line}`" in text, line


def test_readme_explains_every_line_of_haproxy() -> None:
    text = (HAPROXY / "README.md").read_text("utf-8")
    for line in lines(HAPROXY / "haproxy.cfg"):
        first = line.split()[0]
        words = line.split()[:2] if first in {"option", "timeout", "tcp-request", "stats", "http-check"} else [first]
        assert f"`{' '.join(words)}" in text, line


def test_haproxy_passes_tls_through_to_the_brokers_of_the_cluster() -> None:
    text = (HAPROXY / "haproxy.cfg").read_text("utf-8")
    seeds = re.findall(r"emqx@([\d.]+)", hocon(EMQX / "emqx.conf")["cluster.static.seeds"])
    assert re.findall(r"^  server \S+ ([\d.]+):8883$", text, re.MULTILINE) == seeds
    assert re.findall(r"^  server \S+ ([\d.]+):1884$", text, re.MULTILINE) == seeds
    assert " crt " not in text
    assert "send-proxy-v2" in text
