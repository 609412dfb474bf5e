"""How the kiosks come to the broker: by password and in clear, or by certificate through mutual TLS (certificates.py).

Owns Mosquitto and the proxy before it. What a kiosk needs to sign in is given here, and given again when a fault took it away.
Made by the stack.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from demo.world import Api
from tests.faults.kiosks import Kiosk
from tests.faults.proxy import Proxy
from tests.process import HOST, free_port
from tests.servers import CLOUD_USER, MosquittoServer

RunCommand = Callable[..., None]
"""Runs one of the cloud's commands to its end; ServerError with its log where it fails."""


class Transport(Protocol):
    """What the stack and the faults need of either way."""

    @property
    def broker(self) -> MosquittoServer:
        """Mosquitto."""
        ...

    @property
    def uplink(self) -> Proxy:
        """Between kiosks and broker."""
        ...

    def cloud_settings(self) -> dict[str, object]:
        """The cloud's settings that tell of it."""
        ...

    def start(self, run: RunCommand) -> None:
        """Start broker and proxies; the ledger has its schema, and the cloud does not run yet."""
        ...

    def kiosk_settings(self, kiosk: Kiosk, passwords: Mapping[str, str]) -> dict[str, object]:
        """The kiosk's settings that tell how to sign in."""
        ...

    def let_in(self, kiosk: Kiosk, api: Api) -> None:
        """See that it can sign in, whatever happened to its disk and to the ledger."""
        ...

    def restored(self, run: RunCommand) -> None:
        """The ledger is as old as its backup, and the cloud does not run yet."""
        ...

    def stop(self) -> None:
        """End all that was started."""
        ...


class ByPassword:
    """Terminals sign in with what their registration told; the proxy sees every packet."""

    def __init__(self, folder: Path, cloud_port: int, seed: int) -> None:
        self.broker = MosquittoServer(folder / "broker")
        self.broker.set_user(CLOUD_USER)
        self.uplink = Proxy(free_port(), self.broker.port, seed)
        self._cloud_port = cloud_port

    def cloud_settings(self) -> dict[str, object]:
        return {
            "mosquitto_password_file": str(self.broker.password_file),
            "mosquitto_pid_file": str(self.broker.pid_file),
        }

    def start(self, run: RunCommand) -> None:
        self.broker.start()
        self.uplink.start()

    def kiosk_settings(self, kiosk: Kiosk, passwords: Mapping[str, str]) -> dict[str, object]:
        return {
            "terminal": kiosk.name,
            "password": passwords[kiosk.name],
            "cloud_url": f"http://{HOST}:{self._cloud_port}",
            "broker": {"host": HOST, "port": self.uplink.port, "keepalive_s": 5},
        }

    def let_in(self, kiosk: Kiosk, api: Api) -> None:
        """Its password is in its settings, which no fault touches."""

    def restored(self, run: RunCommand) -> None:
        """The broker has its own file of passwords."""

    def stop(self) -> None:
        self.uplink.stop()
        self.broker.close()
