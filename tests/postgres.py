"""A real PostgreSQL for tests: its own cluster in its own directory, durable as in production.

Promises that what was committed is there after `kill` and `start`. Used through tests/servers.py.
"""

import os
import re
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql

from tests.process import HOST, Process, Server, find_program, free_port


class PostgresServer(Server):
    """PostgreSQL with durability as in production, on loopback, passwords required.

    Its directory is made and removed here: under root, the server runs as the user `postgres` (initdb refuses
    root), who could not enter a test's own directory.
    """

    SUPERUSER = "roomlink"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are parameters of postgresql.conf: `{"fsync": "off"}` where speed is all."""
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
        self._postgres = find_program("postgres", "postgresql", *versions)
        self._password = secrets.token_urlsafe(24)
        self.directory = Path(tempfile.mkdtemp(prefix="roomlink-pg-"))
        if self._user:
            shutil.chown(self.directory, self._user, self._user)
        self._data = self.directory / "data"
        self.process = Process(self.directory / "server.log")
        self._settings = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": "60",
        } | dict(settings or {})
        self._initialise()

    def _initialise(self) -> None:
        password_file = self.directory / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self._password)
        if self._user:
            shutil.chown(password_file, self._user)
        initdb = [str(self._postgres.with_name("initdb")), f"--pgdata={self._data}", "--encoding=UTF8"]
        initdb += ["--locale=C.UTF-8", "--auth=scram-sha-256", f"--username={self.SUPERUSER}"]
        Process(self.directory / "initdb.log").run([*initdb, f"--pwfile={password_file}"], user=self._user)
        password_file.unlink()

    def start(self) -> None:
        """Start it, and return when it answers a query; after a kill it first replays its log."""
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        self.process.spawn([str(self._postgres), "-D", str(self._data), *options], ready=self._answers, user=self._user)

    def _answers(self) -> bool:
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user=self.SUPERUSER,
            password=self._password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        )

    def stop(self) -> None:
        """Fast shutdown: sessions are cut, everything is written (postgres(1), SIGINT)."""
        self.process.stop(signal.SIGINT)

    def create_database(self, name: str | None = None) -> str:
        """Make an empty database, replacing one of the same name, and return its SQLAlchemy address."""
        name = name or f"test_{secrets.token_hex(8)}"
        self.drop_database(name)
        with self._connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return f"postgresql+psycopg://{self.SUPERUSER}:{self._password}@{HOST}:{self.port}/{name}"

    def drop_database(self, name: str) -> None:
        """Remove a database if it is there, and cut its sessions."""
        with self._connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Stop it for good and remove its directory."""
        self.kill()
        shutil.rmtree(self.directory)


def _version(bin_directory: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", bin_directory.parent.name))
