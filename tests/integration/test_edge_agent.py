"""The agent as a process: it appears, takes its twin, reports, says farewell, and comes back with all it had."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edge.agent import Agent
from edge.fetcher import Fetcher
from edge.inspection import OutboxReport, read_outbox
from edge.kiosk.app import KioskApp
from edge.settings import Settings
from firmware_specs.messages import Desired, Reported
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import decode_reported, decode_state, encode
from tests.mqtt import MqttClient
from tests.process import ROOT, Process, free_port, wait_until
from tests.servers import CLOUD_USER, MosquittoServer
from tests.unit.twin_files import Files, desired, revocations, roster

TERMINAL = "kiosk-302-a"
EDGE = [sys.executable, "-m", "edge"]


class Kiosk:
    """An agent's folder, settings and process."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self.folder = folder
        self.config = folder / "kiosk.toml"
        self.config.write_text(
            f'terminal = "{TERMINAL}"\ndata_dir = "{folder}/data"\npassword = "{password}"\nclock_trusted = true\n'
            f'[broker]\nhost = "127.0.0.1"\nport = {port}\n[kiosk]\npage_port = 0\n'
        )
        self.process = Process(folder / "agent.log")

    def start(self) -> None:
        self.process.spawn(
            [*EDGE, "run", "--config", str(self.config)], ready=lambda: "is running" in self.process.log()
        )

    def report(self) -> OutboxReport:
        report = read_outbox(self.folder / "data" / "outbox.db")
        assert isinstance(report, OutboxReport)
        return report

    def command(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [*EDGE, name, "--config", str(self.config), *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def kiosk(mosquitto: MosquittoServer, tmp_path: Path) -> Iterator[Kiosk]:
    password = mosquitto.set_user(TERMINAL)
    mosquitto.apply_users()
    kiosk = Kiosk(tmp_path, mosquitto.port, password)
    yield kiosk
    kiosk.process.kill()


@pytest.fixture
def cloud(mosquitto: MosquittoServer) -> Iterator[MqttClient]:
    with MqttClient(mosquitto.cloud_port, CLOUD_USER, mosquitto.password(), client_id="roomlink-cloud-1") as client:
        client.subscribe("roomlink/v1/+/up/state")
        client.subscribe("roomlink/v1/+/up/reported")
        yield client


def test_agent_appears_takes_its_twin_and_says_farewell(kiosk: Kiosk, cloud: MqttClient) -> None:
    kiosk.start()
    birth = decode_state(bytes(cloud.receive().payload))
    assert isinstance(birth, Birth)
    desired = Desired(version=(1, 5), language="en", health_every_s=5.0)
    cloud.publish(f"roomlink/v1/{TERMINAL}/down/desired", encode(desired), retain=True)
    in_force = {
        "language": "en",
        "health_every_s": "5",
        "resend_timeout_s": "20",
        "maintenance": "off",
        "volume": "100",
    }
    said = Reported(version=(1, 5), applied=True, settings=in_force)
    assert decode_reported(bytes(cloud.receive().payload)) == said
    assert kiosk.process.stop(signal.SIGTERM) == 0
    death = decode_state(bytes(cloud.receive().payload))
    assert isinstance(death, Death)
    assert (death.reason, death.connection) == ("stopped", birth.connection)
    assert kiosk.report().depth >= 2


def test_killed_agent_is_declared_dead_and_counts_on_when_it_returns(kiosk: Kiosk, cloud: MqttClient) -> None:
    kiosk.start()
    first = decode_state(bytes(cloud.receive().payload))
    kiosk.process.kill()
    death = decode_state(bytes(cloud.receive().payload))
    assert isinstance(death, Death)
    assert (death.reason, death.connection) == ("lost", first.connection)
    kiosk.start()
    second = decode_state(bytes(cloud.receive().payload))
    assert (second.incarnation, second.event) == (first.incarnation, "birth")
    assert second.connection > first.connection


def test_agent_without_a_camera_is_small(kiosk: Kiosk, cloud: MqttClient) -> None:
    kiosk.start()
    cloud.receive()
    assert psutil.Process(kiosk.process.pid).memory_info().rss < 75 * 1024 * 1024


def test_second_agent_on_the_same_folder_ends_with_a_sentence(kiosk: Kiosk, cloud: MqttClient) -> None:
    kiosk.start()
    second = kiosk.command("run")
    assert second.returncode == 1
    assert "Another agent is using" in second.stderr
    assert "Traceback" not in second.stderr


def test_outbox_and_doctor_look_at_a_running_agent_without_disturbing_it(kiosk: Kiosk, cloud: MqttClient) -> None:
    kiosk.start()
    cloud.receive()
    said = json.loads(kiosk.command("outbox", "--json").stdout)
    assert (said["terminal"], said["through"]) == (TERMINAL, 0)
    assert "waiting" in kiosk.command("outbox").stdout
    doctor = kiosk.command("doctor")
    assert "the agent is running, so its connection is left alone" in doctor.stdout
    assert "WRONG cloud: cloud_url is not set" in doctor.stdout
    assert doctor.returncode == 1
    assert kiosk.report().connection == 1


def test_doctor_signs_in_where_no_agent_runs(kiosk: Kiosk, cloud: MqttClient) -> None:
    (kiosk.folder / "data").mkdir()
    assert "takes the password" in kiosk.command("doctor").stdout
    kiosk.config.write_text(kiosk.config.read_text().replace('password = "', 'password = "not'))
    wrong = kiosk.command("doctor").stdout
    assert "WRONG broker" in wrong
    assert "Not authorized" in wrong


@pytest.mark.parametrize("command", ["run", "doctor", "outbox", "fleet"])
def test_missing_setting_is_one_sentence_and_status_2(command: str, tmp_path: Path) -> None:
    config = tmp_path / "kiosk.toml"
    config.write_text("")
    done = subprocess.run(
        [*EDGE, command, "--config", str(config)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Setting ")
    assert done.stderr.count("\n") == 1


def test_outbox_that_is_not_there_is_a_sentence(kiosk: Kiosk) -> None:
    done = kiosk.command("outbox")
    assert done.returncode == 1
    assert "There is no outbox at" in done.stderr


def test_agent_runs_where_its_folder_cannot_be_made(kiosk: Kiosk, cloud: MqttClient) -> None:
    text = kiosk.config.read_text().replace(f"{kiosk.folder}/data", "/proc/nothing/data")
    kiosk.config.write_text(text)
    kiosk.start()
    birth = decode_state(bytes(cloud.receive().payload))
    assert isinstance(birth, Birth)
    assert wait_until(lambda: "cannot be used" in kiosk.process.log())
    assert kiosk.process.stop(signal.SIGTERM) == 0


def test_kiosk_begins_only_when_revocations_and_roster_are_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.model_validate(
        {
            "terminal": TERMINAL,
            "data_dir": tmp_path / "data",
            "password": "secret",
            "broker": {"host": "127.0.0.1", "port": free_port()},
            "kiosk": {"page_port": 0},
        }
    )
    files = Files()
    before = Agent(settings)
    before.twin.receive(
        desired(4, roster=files.offer(roster("org_a")), revocations=files.offer(revocations(1, "0" * 16)))
    )
    Fetcher(before.twin, files).fetch_missing()
    before.outbox.close()
    agent, began = Agent(settings), threading.Event()
    start = KioskApp.start

    def look_and_start(kiosk: KioskApp) -> None:
        assert agent.twin.revoked() == {"0" * 16}
        assert agent.twin.roster() is not None
        began.set()
        start(kiosk)

    monkeypatch.setattr(KioskApp, "start", look_and_start)
    agent.start()
    agent.stop()
    assert began.is_set()
    assert settings.data_dir.stat().st_mode & 0o077 == 0
