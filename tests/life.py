"""Cloud, Mosquitto by mutual TLS and an agent as processes; the broker reads the files that the cloud publishes.

For tests that claim a terminal, let it work, and shut it out.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.world import Api, make_world
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.process import HOST, ROOT, Process, wait_until
from tests.servers import CLOUD_USER, PublishedTlsMosquitto

TERMINAL, OPERATOR = "kiosk-1", "test"
EDGE = [sys.executable, "-m", "edge"]


@dataclass
class Life:
    """All parts, and the terminal's folder. Its agent is started by whoever needs it."""

    folder: Path
    cloud: CloudServer
    broker: PublishedTlsMosquitto
    api: Api
    password: str
    """OPERATOR's."""
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


@contextmanager
def living(folder: Path) -> Iterator[Life]:
    """Start cloud and broker with an authority between them and one registered terminal; stop all at the end."""
    url = f"sqlite:///{folder}/ledger.db"
    migrated(url).dispose()
    published = folder / "authority"
    broker = PublishedTlsMosquitto(folder / "broker", published)
    broker.set_user(CLOUD_USER)
    settings = {
        "ROOMLINK_AUTHORITY_DIR": str(published),
        "ROOMLINK_TERMINALS_MQTT_HOST": HOST,
        "ROOMLINK_TERMINALS_MQTT_PORT": str(broker.port),
        "ROOMLINK_MOSQUITTO_PID_FILE": str(broker.pid_file),
    }
    cloud = CloudServer(folder / "cloud", url, broker, settings)
    passphrase = folder / "passphrase"
    passphrase.write_text("a passphrase of a test\n")
    cloud.run("ca", "init", "--root", str(folder / "root.p12"), "--name", "Test", "--passphrase-file", str(passphrase))
    cloud.run("ca", "server", HOST, "--to", str(published))
    cloud.start_waiting()
    try:
        assert wait_until(lambda: (published / "revoked.pem").exists() and (published / "ca.pem").exists())
        broker.start()
        cloud.wait_for_broker(1)
        password = _said(cloud, "user", "add", OPERATOR, "--role", "admin")
        api = Api(cloud.url, _said(cloud, "token", "add", OPERATOR, "--name", "test", "--role", "admin"))
        make_world(api, [TERMINAL], 1, lambda _line: None)
        life = Life(folder, cloud, broker, api, password)
        try:
            yield life
        finally:
            life.agent.kill()
            api.close()
    finally:
        cloud.close()
        broker.close()


def _said(cloud: CloudServer, *command: str) -> str:
    """The last line that a command prints: the secret that it made."""
    cloud.run(*command)
    return cloud.process.log_path.with_name("command.log").read_text().strip().splitlines()[-1]
