"""The real cloud as a process, for integration tests: `python -m cloud serve`, stopped by whoever made it."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.process import HOST, Process, Server, ServerError, accepts, free_port, wait_until
from tests.servers import BrokerServer


class CloudServer(Server):
    """`serve` on a free port, or `worker`, with a broker and a ledger that run already."""

    def __init__(
        self,
        directory: Path,
        ledger_url: str,
        broker: BrokerServer,
        settings: Mapping[str, str] | None = None,
        command: str = "serve",
        program: str = "cloud",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port, self.command, self.program = free_port(), command, program
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

    def start(self) -> None:
        """Start it, and return when it serves and has its subscription."""
        before = self.connections()
        self.spawn(lambda: self.connections() > before and (self.command != "serve" or accepts(self.port)))

    def start_waiting(self) -> None:
        """Start it, and return when it runs, whoever has the subscription."""
        self.spawn(lambda: self.command != "serve" or accepts(self.port))

    def spawn(self, ready: Callable[[], bool]) -> None:
        """Start it, and return when `ready()`."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        self.process.spawn(["env", *variables, sys.executable, "-m", self.program, self.command], ready=ready)

    def run(self, *arguments: str) -> None:
        """One of the cloud's commands over the same ledger, to its end; ServerError with its log where it fails."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        log = self.process.log_path.with_name("command.log")
        Process(log).run(["env", *variables, sys.executable, "-m", "cloud", *arguments])

    def connections(self) -> int:
        """How often it has got its subscription."""
        return self.process.log().count('"broker_connected"')

    def wait_for_broker(self, times: int) -> None:
        """Until it has had its subscription that many times."""
        if not wait_until(lambda: self.connections() >= times):
            raise ServerError(f"no subscription:\n{self.process.log_tail()}")

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"
