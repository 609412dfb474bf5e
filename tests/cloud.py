"""The real cloud as a process, for integration tests: `python -m cloud serve`, stopped by whoever made it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.process import HOST, Process, Server, accepts, free_port
from tests.servers import BrokerServer


class CloudServer(Server):
    """`serve` on a free port, with a broker and a ledger that run already."""

    def __init__(
        self, directory: Path, ledger_url: str, broker: BrokerServer, settings: Mapping[str, str] | None = None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.process = Process(directory / "cloud.log")
        self.environment = {
            "ROOMLINK_DATABASE_URL": ledger_url,
            "ROOMLINK_DATA_DIR": str(directory),
            "ROOMLINK_HOST": HOST,
            "ROOMLINK_PORT": str(self.port),
            "ROOMLINK_MQTT_HOST": HOST,
            "ROOMLINK_MQTT_PORT": str(broker.cloud_port),
            "ROOMLINK_MQTT_PASSWORD": broker.password(),
            **(settings or {}),
        }
        self._broker = broker

    def start(self) -> None:
        """Start it, and return when it serves and is connected to the broker."""
        before = self.process.log().count("broker_connected")
        self.process.spawn(
            [
                "env",
                *(f"{name}={value}" for name, value in self.environment.items()),
                sys.executable,
                "-m",
                "cloud",
                "serve",
            ],
            ready=lambda: accepts(self.port) and self.process.log().count("broker_connected") > before,
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"
