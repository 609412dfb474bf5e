"""The embedded broker as a command: its one line, its refusals, its end."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from broker_config.embedded import EmbeddedBrokerError, read_users
from tests.mqtt import MqttClient, RefusedError
from tests.process import ROOT
from tests.servers import HOST, EmbeddedBroker, free_port

COMMAND = [sys.executable, "-m", "broker_config", "embedded"]


def users_file(directory: Path, content: str = '{"kiosk-1": "one"}', mode: int = 0o600) -> Path:
    path = directory / "users.json"
    path.write_text(content, "utf-8")
    path.chmod(mode)
    return path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


def test_it_listens_on_loopback_only(embedded_broker: EmbeddedBroker) -> None:
    listening = [
        c.laddr.ip for c in psutil.Process(embedded_broker.process.pid).net_connections() if c.status == "LISTEN"
    ]
    assert listening == [HOST]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_one_line_when_ready_and_stops_cleanly(embedded_broker: EmbeddedBroker, number: signal.Signals) -> None:
    with MqttClient(embedded_broker.port, "roomlink-cloud", embedded_broker.password()):
        assert embedded_broker.process.stop(number) == 0
    assert embedded_broker.process.log() == f"MQTT 5 on {HOST}:{embedded_broker.port}, 1 users.\n"


def test_busy_port_is_named_with_its_option(tmp_path: Path) -> None:
    with socket.create_server((HOST, free_port())) as taken:
        port = taken.getsockname()[1]
        ended = run("--port", str(port), "--users", str(users_file(tmp_path)))
    assert ended.returncode == 2
    assert ended.stderr == f"Port {port} of {HOST} is taken: choose another with --port.\n"


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ('{"kiosk-1": "one"}', 0o644, "open to others (mode 0644)"),
        ('{"kiosk-1": "one"}', 0o640, "open to others (mode 0640)"),
        ('{"kiosk-1": 1}', 0o600, "is not JSON like"),
        ('["kiosk-1"]', 0o600, "is not JSON like"),
        ('{"kiosk-1": "on', 0o600, "is not JSON like"),
        ("{}", 0o600, "names nobody"),
        ('{"kiosk-1": ""}', 0o600, "empty name or password"),
    ],
)
def test_unsuitable_users_file_is_refused_in_one_sentence(tmp_path: Path, content: str, mode: int, said: str) -> None:
    with pytest.raises(EmbeddedBrokerError) as refused:
        read_users(users_file(tmp_path, content, mode))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_missing_users_file_ends_the_command_with_status_2(tmp_path: Path) -> None:
    ended = run("--port", str(free_port()), "--users", str(tmp_path / "none.json"))
    assert ended.returncode == 2
    assert ended.stderr == f"Cannot read the users file {tmp_path / 'none.json'}: No such file or directory.\n"


def test_names_and_passwords_of_any_characters_sign_in(tmp_path: Path) -> None:
    users = {'a"b\\c': "x\ty\n", "亭-1😀": "密码😀\x7f", "k.v = 1": "'''"}
    with EmbeddedBroker(tmp_path, users) as server:
        for name, password in users.items():
            MqttClient(server.port, name, password).close()
            with pytest.raises(RefusedError):
                MqttClient(server.port, name, password + "x")


def test_no_file_holds_the_passwords_while_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with EmbeddedBroker(tmp_path / "broker") as server:
        assert list(temporary.iterdir()) == []
        assert json.loads(server.users_file.read_text()) == {"roomlink-cloud": server.password()}
        assert server.password() not in " ".join(psutil.Process(server.process.pid).cmdline())


def test_help_needs_no_broker() -> None:
    ended = run("--help")
    assert ended.returncode == 0
    assert "--users" in ended.stdout
