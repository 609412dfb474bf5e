"""The start commands of docker-compose.yml run outside a container, on no more files than the image holds."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.mqtt import MqttClient, RefusedError
from tests.process import ROOT, Process, accepts
from tests.servers import MosquittoServer, MutualTlsMosquitto, wait_until

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
SECRET = "a-long-random-password"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A folder with what the Dockerfile's last stage copies."""
    folder = tmp_path / "image"
    final = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", final, re.MULTILINE):
        shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    assert command[0] == "python"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ROOMLINK_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *command[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_ours_are_all_of_one_image() -> None:
    assert {"cloud", "migrate", "broker-users"} <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_start_command_runs_with_what_the_image_holds(name: str, image: Path) -> None:
    ended = run([*SERVICES[name]["command"][:4], "--help"], image)
    assert ended.returncode == 0, ended.stderr
    assert "Usage" in ended.stdout


def test_image_starts_the_same_command_as_the_service() -> None:
    arguments = ", ".join(f'"{argument}"' for argument in SERVICES["cloud"]["command"])
    assert (ROOT / "Dockerfile").read_text("utf-8").rstrip().endswith(f"CMD [{arguments}]")


def test_first_start_makes_users_that_mosquitto_accepts_and_keeps_terminals_later(image: Path, tmp_path: Path) -> None:
    """broker-users, then Mosquitto by run.sh, then the cloud that adds a terminal and signals nobody."""
    secret = tmp_path / "broker_password"
    secret.write_text(SECRET + "\n")
    server = MosquittoServer(tmp_path / "broker", by_run_sh=True)
    server.password_file.unlink()
    server.cloud_password_file.unlink()
    here = {"/run/secrets/broker_password": str(secret), "/var/lib/roomlink-broker": str(server.directory)}
    command = [here.get(argument, argument) for argument in SERVICES["broker-users"]["command"]]
    assert run(command, image).stderr == ""
    with server:
        MqttClient(server.cloud_port, "roomlink-cloud", SECRET).close()
        password = server.set_user("kiosk-1")
        assert wait_until(lambda: admits(server, "kiosk-1", password))
        assert run(command, image).stderr == ""
        assert "kiosk-1:" in server.password_file.read_text()


def test_run_sh_tells_the_broker_nothing_of_a_missing_file_and_ends_with_it(tmp_path: Path) -> None:
    server = MosquittoServer(tmp_path, by_run_sh=True)
    password = server.set_user("kiosk-1")
    with server:
        with MqttClient(server.port, "kiosk-1", password) as kiosk:
            users = server.password_file.read_bytes()
            server.password_file.unlink()
            assert not kiosk.ended.wait(2.5)  # two looks of run.sh
            server.password_file.write_bytes(users + b"# told\n")
            assert wait_until(lambda: "Reloading config" in server.process.log())
            assert not kiosk.ended.is_set()
        broker = int(server.pid_file.read_text())
        assert server.process.stop() == 0
        assert not Path(f"/proc/{broker}").exists()


def test_run_sh_waits_for_certificates_and_says_for_which(tmp_path: Path) -> None:
    """So the broker may be started before there is a certificate authority."""
    server = MutualTlsMosquitto(tmp_path, by_run_sh=True)
    late = server.certificates / "revoked.pem"
    content = late.read_bytes()
    late.unlink()
    waiting = Process(tmp_path / "waiting.log")
    (server.directory / "data").mkdir()
    waiting.spawn(server.command(), ready=lambda: f"Waiting for {late}" in waiting.log())
    assert not accepts(server.port)
    late.write_bytes(content)
    assert wait_until(lambda: " running" in waiting.log())
    assert accepts(server.port)
    assert waiting.stop() == 0


def admits(server: MosquittoServer, user: str, password: str) -> bool:
    try:
        MqttClient(server.port, user, password).close()
    except RefusedError:
        return False
    return True
