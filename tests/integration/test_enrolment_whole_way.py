"""A terminal's life with real parts: authority made by command, claimed by code, in by certificate, its batches signed and
verified from an export, then revoked: its session cut, its certificate refused, what it sends not taken.

Cloud, Mosquitto by mutual TLS and the agent are processes; the broker reads the files that the cloud publishes.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from demo.world import Api, make_world
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.process import HOST, ROOT, Process, wait_until
from tests.servers import CLOUD_USER, PublishedTlsMosquitto

TERMINAL = "kiosk-1"
EDGE = [sys.executable, "-m", "edge"]


@dataclass
class Life:
    """All parts, and the terminal's folder."""

    folder: Path
    cloud: CloudServer
    broker: PublishedTlsMosquitto
    api: Api
    agent: Process = field(init=False)

    def __post_init__(self) -> None:
        self.agent = Process(self.folder / "agent.log")

    @property
    def disk(self) -> Path:
        return self.folder / "terminal"

    def claim(self) -> subprocess.CompletedProcess[str]:
        code = self.api.post(f"/terminals/{TERMINAL}/claim-code")["code"]
        command = [*EDGE, "claim", self.cloud.url, code, "--data-dir", str(self.disk)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    def start_agent(self) -> None:
        self.agent.spawn([*EDGE, "run", "--data-dir", str(self.disk)], ready=lambda: "is running" in self.agent.log())

    def presence(self) -> str:
        return str(self.api.get(f"/terminals/{TERMINAL}")["presence"])

    def stored(self) -> int:
        return sum(each["through"] for each in self.api.pages("/streams", terminal_id=TERMINAL))

    def export(self) -> Path:
        file = self.folder / "journal.jsonl"
        self.cloud.run("export", "journal", TERMINAL, "--to", str(file))
        return file


def verified(file: Path, root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "firmware_specs", "verify", str(file), "--root", str(root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    migrated(url).dispose()
    published = tmp_path / "authority"
    broker = PublishedTlsMosquitto(tmp_path / "broker", published)
    broker.set_user(CLOUD_USER)
    settings = {
        "ROOMLINK_AUTHORITY_DIR": str(published),
        "ROOMLINK_TERMINALS_MQTT_HOST": HOST,
        "ROOMLINK_TERMINALS_MQTT_PORT": str(broker.port),
        "ROOMLINK_MOSQUITTO_PID_FILE": str(broker.pid_file),
    }
    cloud = CloudServer(tmp_path / "cloud", url, broker, settings)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("a passphrase of a test\n")
    cloud.run(
        "ca", "init", "--root", str(tmp_path / "root.p12"), "--name", "Test", "--passphrase-file", str(passphrase)
    )
    cloud.run("ca", "server", HOST, "--to", str(published))
    cloud.start_waiting()
    try:
        assert wait_until(lambda: (published / "revoked.pem").exists() and (published / "ca.pem").exists())
        broker.start()
        cloud.wait_for_broker(1)
        api = Api(cloud.url, _token(cloud))
        make_world(api, [TERMINAL], 1, lambda _line: None)
        life = Life(tmp_path, cloud, broker, api)
        yield life
        life.agent.kill()
        api.close()
    finally:
        cloud.close()
        broker.close()


def _token(cloud: CloudServer) -> str:
    cloud.run("user", "add", "test", "--role", "admin")
    cloud.run("token", "add", "test", "--name", "test", "--role", "admin")
    return (cloud.process.log_path.with_name("command.log").read_text()).strip().splitlines()[-1]


def test_terminal_is_claimed_signs_what_it_sends_and_is_shut_out_when_it_is_revoked(life: Life) -> None:
    claimed = life.claim()
    assert claimed.returncode == 0, claimed.stderr
    life.start_agent()
    assert wait_until(lambda: life.presence() == "online", 60)
    assert wait_until(lambda: life.stored() >= 2, 60)

    file = life.export()
    root = life.disk / "identity" / "root.pem"
    good = verified(file, root)
    assert (good.returncode, "ok: " in good.stdout) == (0, True), good.stdout + good.stderr
    assert "ok: 0 batches" not in good.stdout
    file.write_text("\n".join(_altered(line) for line in file.read_text().splitlines()) + "\n")
    assert verified(file, root).returncode == 1

    before = life.stored()
    life.api.post(f"/terminals/{TERMINAL}/revoke", reason="it was stolen")
    assert wait_until(lambda: life.presence() == "offline", 60)
    assert wait_until(lambda: "certificate verify failed" in life.broker.process.log(), 60)
    assert life.presence() == "offline"
    assert life.stored() == before
    certificates = life.api.get(f"/terminals/{TERMINAL}/certificates")["items"]
    assert [each["revoked_at"] is not None for each in certificates] == [True]


def _altered(line: str) -> str:
    """A line of the export in which a record tells another story."""
    fields = json.loads(line)
    if "payload" in fields:
        told = base64.b64decode(fields["payload"]).replace(b'"type":"started"', b'"type":"startle"')
        fields["payload"] = base64.b64encode(told).decode()
    return json.dumps(fields)


def test_used_code_claims_nothing(life: Life) -> None:
    code = life.api.post(f"/terminals/{TERMINAL}/claim-code")["code"]
    path = f"{life.cloud.url}/api/v1/enrolment/claims/owner"
    assert httpx.post(path, json={"code": code}).json() == {"terminal": TERMINAL}
    assert life.claim().returncode == 0
    assert httpx.post(path, json={"code": code}).status_code == 404
