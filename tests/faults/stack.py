"""The real processes of the fault tests: Mosquitto, database, cloud, three kiosks, and a proxy on each side of the broker.

Each can be killed, cut off, rolled back, wiped and started again. Called by the harness.
"""

import json
import secrets
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.world import Api, World, make_world
from tests.faults.proxy import Proxy
from tests.faults.series import FileSeries, SeriesStore, ServerSeries
from tests.process import HOST, Process, accepts, free_port
from tests.servers import CLOUD_USER, MosquittoServer, PostgresServer

KIOSKS = ("kiosk-fault-a", "kiosk-fault-b", "kiosk-fault-c")
MEMBERS = 40
FIRST_VISITORS = 10


@dataclass(frozen=True)
class Parts:
    """What it is made of: `postgresql` or `sqlite`, `duckdb` or `influx`, and the modules that are started as the cloud and as
    the kiosks; a test starts others, which break a promise. ``pace`` is visitors per second at each kiosk."""

    store: str = "postgresql"
    series: str = "duckdb"
    cloud: str = "cloud"
    kiosk: str = "tests.faults.kiosk"
    pace: float = 20.0
    resend_timeout_s: float = 2.0


@dataclass(frozen=True)
class Queue:
    """A kiosk's stream, its last number, and through which it is known to be stored."""

    stream: str
    last: int
    through: int

    @property
    def depth(self) -> int:
        """Records that are not known to be stored."""
        return self.last - self.through


@dataclass
class Kiosk:
    """One kiosk process, its disk and its journal."""

    name: str
    folder: Path
    process: Process
    pace: float
    program: str
    starts: int = 0
    copies: list[Path] = field(default_factory=list)

    @property
    def disk(self) -> Path:
        """The folder that a fault may copy back, clone or wipe; the journal is not in it."""
        return self.folder / "disk"

    @property
    def journal(self) -> Path:
        """What the kiosk itself says."""
        return self.folder / "journal"

    @property
    def clock_offset(self) -> Path:
        """Microseconds that its wall clock is off, and what it claims."""
        return self.folder / "clock"

    def start(self) -> None:
        """Start the agent and its visitors."""
        self.starts += 1
        command = [sys.executable, "-m", self.program, "--config", str(self.folder / "kiosk.toml")]
        command += ["--cards", str(self.folder / "cards.json"), "--journal", str(self.journal)]
        command += ["--pace", str(self.pace), "--seed", str(self.starts)]
        self.process.spawn(command, ready=lambda: self.process.running)

    def depth(self) -> int | None:
        """Records on its disk that are not known to be stored; None while there is no outbox that can be read."""
        queue = self.queue()
        return None if queue is None else queue.depth

    def is_open(self) -> bool:
        """Whether the first visitors have been let in, and are stored."""
        queue = self.queue()
        return queue is not None and queue.through >= FIRST_VISITORS

    def queue(self) -> Queue | None:
        """What its disk says; None while there is no outbox that can be read."""
        try:
            connection = sqlite3.connect(f"file:{self.disk / 'outbox.db'}?mode=ro", uri=True, timeout=5)
            try:
                return Queue(*connection.execute("SELECT stream, last, through FROM stream").fetchone())
            finally:
                connection.close()
        except (sqlite3.Error, TypeError):  # TypeError: no stream yet
            return None


class FaultStack:
    """All of it."""

    def __init__(self, folder: Path, parts: Parts, seed: int) -> None:
        self.folder, self.parts = folder, parts
        self.postgres = PostgresServer() if parts.store == "postgresql" else None
        self.series: SeriesStore = ServerSeries() if parts.series == "influx" else FileSeries(folder / "series.duckdb")
        self.broker = MosquittoServer(folder / "broker")
        self.broker.set_user(CLOUD_USER)
        self.uplink = Proxy(free_port(), self.broker.port, seed)
        self.downlink = Proxy(free_port(), self.broker.cloud_port, seed + 1)
        self.cloud = Process(folder / "cloud.log")
        self.worker = Process(folder / "worker.log")
        self.backup: Path | None = None
        self.port = free_port()
        self.kiosks = [self._kiosk(name) for name in KIOSKS]
        self.world: World | None = None
        self.token = ""

    def __enter__(self) -> Self:
        """Start everything and make the world."""
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        if self.postgres:
            self.postgres.start()
        self.database_url = self.postgres.create_database() if self.postgres else f"sqlite:///{self.folder}/ledger.db"
        self._write_cloud_settings()
        self.broker.start()
        self.uplink.start()
        self.downlink.start()
        self.start_cloud()
        self._make_world()
        for kiosk in self.kiosks:
            kiosk.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End everything."""
        for kiosk in self.kiosks:
            kiosk.process.kill()
        self.worker.kill()
        self.cloud.kill()
        self.uplink.stop()
        self.downlink.stop()
        self.broker.close()
        self.series.close()
        if self.postgres:
            self.postgres.close()

    def start_cloud(self) -> None:
        """Start the service, and return when it answers."""
        command = self.command("serve", "--migrate", program=self.parts.cloud)
        self.cloud.spawn(command, ready=lambda: accepts(self.port))

    def command(self, *arguments: str, program: str = "cloud") -> list[str]:
        """One of the cloud's commands."""
        return [sys.executable, "-m", program, "--config", str(self.folder / "cloud.toml"), *arguments]

    def run_command(self, *arguments: str) -> None:
        """Run one of the cloud's commands to its end; ServerError with its log where it fails."""
        Process(self.folder / "command.log").run(self.command(*arguments))

    def make_backup(self) -> None:
        """Back the ledger up, beside the running service."""
        backup = self.folder / f"ledger-{secrets.token_hex(4)}.backup"
        self.run_command("backup", str(backup))
        self.backup = backup

    # --- inside ---------------------------------------------------------------------------------------------------

    def _kiosk(self, name: str) -> Kiosk:
        folder = self.folder / name
        (folder / "disk").mkdir(parents=True)
        return Kiosk(name, folder, Process(folder / "kiosk.log"), self.parts.pace, self.parts.kiosk)

    def _write_cloud_settings(self) -> None:
        settings = {
            "database_url": self.database_url,
            **self.series.settings(),
            "data_dir": str(self.folder / "cloud"),
            "port": self.port,
            "mqtt_port": self.downlink.port,
            "mqtt_password": self.broker.password(),
            "mosquitto_password_file": str(self.broker.password_file),
            "mosquitto_pid_file": str(self.broker.pid_file),
            "issuer": "FAULTS",
            "streams_per_day": 10_000,  # within an hour a kiosk's disk is lost here more often than elsewhere in a year
        }
        _write_toml(self.folder / "cloud.toml", settings)

    def _make_world(self) -> None:
        Process(self.folder / "user.log").run(self.command("user", "add", "faults", "--role", "admin"))
        token = Process(self.folder / "token.log")
        token.run(self.command("token", "add", "faults", "--name", "faults", "--role", "admin"))
        self.token = token.log().strip().splitlines()[-1]
        api = Api(f"http://{HOST}:{self.port}", self.token)
        self.world = make_world(
            api, list(KIOSKS), MEMBERS, lambda _line: None, resend_timeout_s=self.parts.resend_timeout_s
        )
        api.close()
        cards = json.dumps([{"text": card.text, "member_id": card.member_id} for card in self.world.cards])
        for kiosk, terminal in zip(self.kiosks, self.world.terminals, strict=True):
            (kiosk.folder / "cards.json").write_text(cards)
            kiosk.clock_offset.write_text("0 synced")
            settings = {
                "terminal": kiosk.name,
                "data_dir": str(kiosk.disk),
                "password": terminal.password,
                "cloud_url": f"http://{HOST}:{self.port}",
                "resend_timeout_s": self.parts.resend_timeout_s,
                "clock_offset_file": str(kiosk.clock_offset),
                "broker": {"host": HOST, "port": self.uplink.port, "keepalive_s": 5},
            }
            _write_toml(kiosk.folder / "kiosk.toml", settings)


def _write_toml(path: Path, settings: dict[str, object]) -> None:
    path.touch(mode=0o600)
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")


def new_copy_name(folder: Path) -> Path:
    """A name for one more copy of a disk."""
    return folder / f"copy-{secrets.token_hex(4)}"
