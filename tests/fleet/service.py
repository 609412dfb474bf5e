"""What a fleet under test talks to: Mosquitto by mutual TLS, the cloud, and HAProxy before the broker for those to be cut off.

Everything is started here and stopped here. Called by the driver.
"""

import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud.database import create_engine_for
from demo.world import Api
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.process import HOST, Process, accepts, find_program, free_port
from tests.servers import CLOUD_USER, PostgresServer, PublishedTlsMosquitto

ACCOUNT = "fleet"


class Cable:
    """HAProxy before the broker, passing TLS through. Stopped by a signal, it neither passes nor refuses anything."""

    def __init__(self, folder: Path, target: int, most: int) -> None:
        self.port = free_port()
        self.process = Process(folder / "haproxy.log")
        self._file = folder / "haproxy.cfg"
        self._file.write_text(
            f"global\n  maxconn {2 * most + 100}\n  nbthread 1\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30m\n  timeout server 30m\n"
            f"frontend terminals\n  bind {HOST}:{self.port} backlog 4096\n  default_backend broker\n"
            f"backend broker\n  server one {HOST}:{target}\n"
        )

    def start(self) -> None:
        """Pass on."""
        program = find_program("haproxy", "haproxy")
        self.process.spawn([str(program), "-f", str(self._file)], ready=lambda: accepts(self.port))

    def pull(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        self.process.signal(signal.SIGSTOP)

    def plug(self) -> None:
        """It comes through again."""
        self.process.signal(signal.SIGCONT)


@dataclass
class Service:
    """All of it, in one folder."""

    folder: Path
    store: str
    most: int
    ingest_processes: int
    token: str = field(default="", init=False)
    password: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.published = self.folder / "authority"
        self.postgres = PostgresServer() if self.store == "postgresql" else None
        self.broker = PublishedTlsMosquitto(self.folder / "broker", self.published)
        self.broker.set_user(CLOUD_USER)
        self.cable = Cable(self.folder, self.broker.port, self.most)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.cable.process.kill()
        if hasattr(self, "cloud"):
            self.engine.dispose()
            self.cloud.close()
        self.broker.close()
        if self.postgres:
            self.postgres.close()

    def api(self) -> Api:
        """The HTTP API as an administrator's program."""
        return Api(self.cloud.url, self.token)

    @property
    def root(self) -> Path:
        """What terminals trust."""
        return self.published / "root.pem"

    def _start(self) -> None:
        if self.postgres:
            self.postgres.start()
        self.url = self.postgres.create_database() if self.postgres else f"sqlite:///{self.folder}/ledger.db"
        migrated(self.url).dispose()
        self.cloud = CloudServer(self.folder / "cloud", self.url, self.broker, self._settings())
        self.engine = create_engine_for(self.url)
        self._found_authority()
        self.broker.start()
        self.cable.start()
        self.cloud.start()
        self.password = self._said("user", "add", ACCOUNT, "--role", "admin")
        self.token = self._said("token", "add", ACCOUNT, "--name", ACCOUNT, "--role", "admin")

    def _found_authority(self) -> None:
        passphrase = self.folder / "passphrase"
        passphrase.write_text("a passphrase of a test\n")
        root = ("--root", str(self.folder / "root.p12"), "--passphrase-file", str(passphrase))
        self.cloud.run("ca", "init", "--name", "Fleet", *root)
        self.cloud.run("ca", "server", HOST, "--to", str(self.published))

    def _said(self, *arguments: str) -> str:
        """The last line that one of the cloud's commands printed."""
        self.cloud.run(*arguments)
        return self.cloud.process.log_path.with_name("command.log").read_text().strip().splitlines()[-1]

    def _settings(self) -> dict[str, str]:
        return {
            "ROOMLINK_AUTHORITY_DIR": str(self.published),
            "ROOMLINK_TERMINALS_MQTT_HOST": HOST,
            "ROOMLINK_TERMINALS_MQTT_PORT": str(self.broker.port),
            "ROOMLINK_MOSQUITTO_PID_FILE": str(self.broker.pid_file),
            "ROOMLINK_INGEST_PROCESSES": str(self.ingest_processes),
            "ROOMLINK_ISSUER": "FLEET",
        }
