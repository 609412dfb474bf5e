"""Real brokers and databases on free loopback ports, for integration tests, faults, smoke and bench.

Each starts, stops, is killed and starts again on the same port, works as root and as a plain user, and is
stopped by whoever made it (`close`, or `with`). A missing program fails with the command that installs it.
"""

import json
import os
import secrets
import shutil
import ssl
import sys
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from broker_config.passwords import ask_for_reload, hash_password, read_password_file, write_password_file
from broker_config.watch import FILES
from tests.authorities import Authorities, Identity, write_broker_files
from tests.postgres import PostgresServer
from tests.process import (
    HOST,
    ROOT,
    Process,
    Server,
    ServerError,
    accepts,
    find_program,
    free_port,
    wait_until,
)

__all__ = [
    "CLOUD_USER",
    "HOST",
    "BrokerServer",
    "Capabilities",
    "EmbeddedBroker",
    "MosquittoServer",
    "MutualTlsMosquitto",
    "PostgresServer",
    "PublishedTlsMosquitto",
    "ServerError",
    "free_port",
    "wait_until",
]

CLOUD_USER = "roomlink-cloud"
MOSQUITTO_CONF = ROOT / "broker_config" / "mosquitto"


@dataclass(frozen=True)
class Capabilities:
    """What a broker can do beyond the contract's needs; tests ask here, and test both answers."""

    access_rules: bool
    """A terminal is kept to its own subtree."""
    user_name_is_client_id: bool
    """A terminal cannot take over another's session by giving its client id."""
    reloads_users: bool
    """Users may be added and struck off while it runs."""
    says_why_refused: bool
    """A refused CONNECT is answered with a reason code; otherwise the connection is just closed."""
    announces_maximum_packet_size: bool
    """CONNACK carries it (MQTT 5, 3.2.2.3.6), so that clients can split what does not fit."""
    keeps_retained_over_restart: bool
    """Retained messages are there again after a stop and a start."""


class BrokerServer(Server):
    """What tests do with either broker. Terminals use `port`, the cloud's services `cloud_port`."""

    capabilities: Capabilities
    port: int
    cloud_port: int

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.process = Process(directory / "server.log")
        self._users: dict[str, str] = {}

    def set_user(self, name: str, password: str | None = None) -> str:
        """Add a user or change its password, random when None; returns it. Valid from `apply_users` on."""
        self._users[name] = password or secrets.token_urlsafe(32)
        self._write_user(name, self._users[name])
        return self._users[name]

    def _set_users(self, users: Mapping[str, str] | None) -> None:
        for name, password in ({CLOUD_USER: None} | dict(users or {})).items():
            self.set_user(name, password)

    def remove_user(self, name: str) -> None:
        """Strike a user off, from `apply_users` on."""
        del self._users[name]
        self._write_user(name, None)

    def password(self, name: str = CLOUD_USER) -> str:
        """In clear, for the client that signs in."""
        return self._users[name]

    def tls(self, name: str | None) -> ssl.SSLContext | None:
        """How this terminal's connections are secured, or those of somebody without a certificate; None: in clear."""
        return None

    @abstractmethod
    def _write_user(self, name: str, password: str | None) -> None:
        """Write one user to where the broker reads them, None to strike it off; all others stay."""

    @abstractmethod
    def apply_users(self) -> None:
        """Make changed users valid: by a reload where the broker can, else by a restart, which cuts all."""

    @abstractmethod
    def wipe(self) -> None:
        """Throw away what a stopped broker has kept on disk."""


class MosquittoServer(BrokerServer):
    """Mosquitto with passwords.conf, on other ports and paths."""

    variant = "passwords.conf"

    capabilities = Capabilities(
        access_rules=True,
        user_name_is_client_id=True,
        reloads_users=True,
        says_why_refused=True,
        announces_maximum_packet_size=True,
        keeps_retained_over_restart=True,
    )

    def __init__(
        self,
        directory: Path,
        users: Mapping[str, str] | None = None,
        *,
        changes: Mapping[str, str] | None = None,
        by_run_sh: bool = False,
    ) -> None:
        """`changes` replaces lines of the configuration: `{"persistence true": "persistence false"}`.

        `by_run_sh` starts it as docker-compose.yml does; it then reloads by itself when its users change.
        """
        super().__init__(directory)
        self._program = find_program("mosquitto", "mosquitto")
        self._by_run_sh = by_run_sh
        self.port, self.cloud_port = free_port(), free_port()
        self.password_file = directory / "terminals"
        self.cloud_password_file = directory / "cloud"
        self.pid_file = directory / "mosquitto.pid"
        self._data = directory / "data"
        self._conf = directory / "mosquitto.conf"
        self._conf.write_text(self._configuration(changes or {}))
        write_password_file(self.password_file, {})
        self._set_users(users)

    def configuration(self) -> str:
        """As it is on disk."""
        return self._conf.read_text()

    def _configuration(self, changes: Mapping[str, str]) -> str:
        lines = (MOSQUITTO_CONF / self.variant).read_text().splitlines()
        replaced = self._own_lines() | dict(changes)
        if missing := replaced.keys() - set(lines):
            raise ServerError(f"{self.variant} has no such line any more: {', '.join(missing)}")
        # As root it would drop to the user mosquitto, who cannot enter a test's private directory.
        own = [f"pid_file {self.pid_file}"] + (["user root"] if os.geteuid() == 0 else [])
        return "\n".join([*own, *(replaced.get(line, line) for line in lines), ""])

    def _own_lines(self) -> dict[str, str]:
        """Lines of the configuration to what stands there instead: this server's ports and paths."""
        return self._shared_lines() | {
            "listener 1883": f"listener {self.port} {HOST}",
            "password_file /mosquitto/users/terminals": f"password_file {self.password_file}",
        }

    def _shared_lines(self) -> dict[str, str]:
        return {
            "listener 1884": f"listener {self.cloud_port} {HOST}",
            "persistence_location /mosquitto/data/": f"persistence_location {self._data}/",
            "password_file /mosquitto/users/cloud": f"password_file {self.cloud_password_file}",
            "acl_file /mosquitto/config/terminals.acl": f"acl_file {MOSQUITTO_CONF / 'terminals.acl'}",
            "acl_file /mosquitto/config/cloud.acl": f"acl_file {MOSQUITTO_CONF / 'cloud.acl'}",
        }

    def _write_user(self, name: str, password: str | None) -> None:
        path = self.cloud_password_file if name == CLOUD_USER else self.password_file
        hashes = read_password_file(path)
        hashes.pop(name, None)
        write_password_file(path, hashes | ({name: hash_password(password)} if password else {}))

    def apply_users(self) -> None:
        self.reload()

    def reload(self) -> None:
        """SIGHUP, and wait until it says so; it then reads the files before it serves the next packet."""
        before = self.process.log().count("Reloading config")
        ask_for_reload(self.pid_file)
        if not wait_until(lambda: self.process.log().count("Reloading config") > before):
            raise ServerError(f"mosquitto did not reload:\n{self.process.log_tail()}")

    def start(self) -> None:
        """Start it, and return when both listeners accept."""
        self._data.mkdir(exist_ok=True)
        self.process.spawn(self.command(), ready=lambda: accepts(self.port) and accepts(self.cloud_port))

    def command(self) -> list[str]:
        """What starts it."""
        if self._by_run_sh:
            return ["sh", str(MOSQUITTO_CONF / "run.sh"), str(self._conf), *map(str, self._watched())]
        return [str(self._program), "-c", str(self._conf)]

    def _watched(self) -> list[Path]:
        """The files that run.sh looks at."""
        return [self.password_file]

    def wipe(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)


class MutualTlsMosquitto(MosquittoServer):
    """Mosquitto with mosquitto.conf: registering a terminal makes its certificate, striking it off revokes that."""

    variant = "mosquitto.conf"
    capabilities = replace(MosquittoServer.capabilities, says_why_refused=False)

    def __init__(
        self,
        directory: Path,
        users: Mapping[str, str] | None = None,
        *,
        changes: Mapping[str, str] | None = None,
        by_run_sh: bool = False,
    ) -> None:
        self.authorities = Authorities(directory / "authorities")
        self.certificates = directory / "certificates"
        self.revocations = self.certificates / "revoked.pem"
        self._identities: dict[str, Identity] = {}
        write_broker_files(self.authorities, self.certificates, HOST)
        super().__init__(directory, users, changes=changes, by_run_sh=by_run_sh)

    def _own_lines(self) -> dict[str, str]:
        files = {"cafile": "ca", "certfile": "server", "keyfile": "server-key", "crlfile": "revoked"}
        return (
            self._shared_lines()
            | {"listener 8883": f"listener {self.port} {HOST}"}
            | {
                f"{option} /mosquitto/certificates/{name}.pem": f"{option} {self.certificates / name}.pem"
                for option, name in files.items()
            }
        )

    def _write_user(self, name: str, password: str | None) -> None:
        if name == CLOUD_USER:
            super()._write_user(name, password)
        elif password is None:
            self.authorities.revoke(self._identities.pop(name))
        else:
            self._identities[name] = self.authorities.terminal(name)

    def apply_users(self) -> None:
        self.revocations.write_bytes(self.authorities.revocations())
        self.reload()

    def identity(self, name: str) -> Identity:
        """A registered terminal's certificate and key."""
        return self._identities[name]

    def tls(self, name: str | None) -> ssl.SSLContext:
        return self.authorities.context(None if name is None else self._identities[name])

    def _watched(self) -> list[Path]:
        return [self.cloud_password_file, *(self.certificates / name for name in FILES)]


class PublishedTlsMosquitto(MutualTlsMosquitto):
    """The same, with the files that a cloud publishes in `certificates`, and nothing of its own making."""

    def __init__(self, directory: Path, certificates: Path) -> None:
        self.certificates = certificates
        self._identities = {}
        MosquittoServer.__init__(self, directory)


class EmbeddedBroker(BrokerServer):
    """`python -m broker_config embedded`."""

    capabilities = Capabilities(
        access_rules=False,
        user_name_is_client_id=False,
        reloads_users=False,
        says_why_refused=False,
        announces_maximum_packet_size=False,
        keeps_retained_over_restart=False,
    )

    def __init__(self, directory: Path, users: Mapping[str, str] | None = None) -> None:
        super().__init__(directory)
        self.port = self.cloud_port = free_port()
        self.users_file = directory / "users.json"
        self._set_users(users)

    def _write_user(self, name: str, password: str | None) -> None:
        self.users_file.touch(mode=0o600)
        self.users_file.write_text(json.dumps(self._users), "utf-8")

    def apply_users(self) -> None:
        self.restart()

    def start(self) -> None:
        """Start it, and return when it accepts."""
        arguments = ["--port", str(self.port), "--users", str(self.users_file)]
        self.process.spawn(
            [sys.executable, "-m", "broker_config", "embedded", *arguments], ready=lambda: accepts(self.port)
        )

    def wipe(self) -> None:
        """It keeps nothing."""
