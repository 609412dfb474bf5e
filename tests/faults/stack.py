"""The real processes of the fault tests: Mosquitto, database, cloud, three kiosks, and a proxy on each side of the broker.

Each can be killed, cut off, rolled back, wiped and started again. Called by the harness.
"""

import json
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.world import Api, World, make_world
from tests.faults.certificates import ByCertificate, Ledger
from tests.faults.kiosks import Kiosk, write_toml
from tests.faults.proxy import Proxy
from tests.faults.series import FileSeries, SeriesStore, ServerSeries
from tests.faults.transport import ByPassword, Transport
from tests.process import HOST, Process, accepts, free_port
from tests.servers import PostgresServer

KIOSKS = ("kiosk-fault-a", "kiosk-fault-b", "kiosk-fault-c")
MEMBERS = 40


@dataclass(frozen=True)
class Parts:
    """What it is made of: `postgresql` or `sqlite`, `duckdb` or `influx`, `mtls` or `password`, and the modules that are started
    as the cloud and as the kiosks; a test starts others, which break a promise. ``pace`` is visitors per second at each kiosk."""

    store: str = "postgresql"
    series: str = "duckdb"
    transport: str = "mtls"
    cloud: str = "cloud"
    kiosk: str = "tests.faults.kiosk"
    pace: float = 20.0
    resend_timeout_s: float = 2.0


class FaultStack:
    """All of it."""

    def __init__(self, folder: Path, parts: Parts, seed: int) -> None:
        self.folder, self.parts = folder, parts
        self.postgres = PostgresServer() if parts.store == "postgresql" else None
        self.series: SeriesStore = ServerSeries() if parts.series == "influx" else FileSeries(folder / "series.duckdb")
        self.port = free_port()
        self.certificates = ByCertificate(folder, self.port, seed) if parts.transport == "mtls" else None
        self.transport: Transport = self.certificates or ByPassword(folder, self.port, seed)
        self.broker = self.transport.broker
        self.uplink = self.transport.uplink
        self.downlink = Proxy(free_port(), self.broker.cloud_port, seed + 1)
        self.cloud = Process(folder / "cloud.log")
        self.worker = Process(folder / "worker.log")
        self.backup: Path | None = None
        self.backup_at_us = 0
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
        self.run_command("migrate")
        self.transport.start(self.run_command)
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
        self.downlink.stop()
        self.transport.stop()
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

    def api(self) -> Api:
        """The cloud's HTTP API as an administrator."""
        return Api(f"http://{HOST}:{self.port}", self.token)

    def let_in(self, kiosk: Kiosk) -> None:
        """See that a kiosk can sign in, whatever happened to its disk and to the ledger."""
        api = self.api()
        self.transport.let_in(kiosk, api)
        api.close()

    def ledger(self) -> Ledger:
        """Where the authority is."""
        return Ledger(self.database_url, self.folder / "cloud" / "authority.key")

    def make_backup(self) -> None:
        """Back the ledger up, beside the running service."""
        backup, self.backup_at_us = self.folder / f"ledger-{secrets.token_hex(4)}.backup", time.time_ns() // 1000
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
            **self.transport.cloud_settings(),
            "issuer": "FAULTS",
            "streams_per_day": 10_000,  # within an hour a kiosk's disk is lost here more often than elsewhere in a year
        }
        write_toml(self.folder / "cloud.toml", settings)

    def _make_world(self) -> None:
        Process(self.folder / "user.log").run(self.command("user", "add", "faults", "--role", "admin"))
        token = Process(self.folder / "token.log")
        token.run(self.command("token", "add", "faults", "--name", "faults", "--role", "admin"))
        self.token = token.log().strip().splitlines()[-1]
        api = self.api()
        self.world = make_world(
            api, list(KIOSKS), MEMBERS, lambda _line: None, resend_timeout_s=self.parts.resend_timeout_s
        )
        cards = json.dumps([{"text": card.text, "member_id": card.member_id} for card in self.world.cards])
        passwords = {terminal.id: terminal.password for terminal in self.world.terminals}
        for kiosk in self.kiosks:
            (kiosk.folder / "cards.json").write_text(cards)
            kiosk.clock_offset.write_text("0 synced")
            settings = {
                "data_dir": str(kiosk.disk),
                "resend_timeout_s": self.parts.resend_timeout_s,
                "clock_offset_file": str(kiosk.clock_offset),
                **self.transport.kiosk_settings(kiosk, passwords),
            }
            write_toml(kiosk.folder / "kiosk.toml", settings)
            self.transport.let_in(kiosk, api)
        api.close()
