"""The whole service as an operator runs it: Mosquitto, the cloud on SQLite and DuckDB, a world made through the HTTP API.

Terminals are registered and have real passwords and twins, cards are signed and read from their printed pictures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from cloud.database import create_engine_for
from demo.world import Api, World, make_world
from tests.cloud import CloudServer
from tests.ledgers import migrated
from tests.process import HOST, ROOT, Process
from tests.servers import CLOUD_USER, MosquittoServer, wait_until


@dataclass(frozen=True)
class Service:
    """All of it, running."""

    folder: Path
    broker: MosquittoServer
    cloud: CloudServer
    engine: Engine
    token: str
    password: str
    world: World

    def api(self) -> Api:
        """The HTTP API as an admin."""
        return Api(self.cloud.url, self.token)

    def password_of(self, terminal: str) -> str:
        """As it was told at its registration."""
        return next(each.password for each in self.world.terminals if each.id == terminal)

    def write_kiosk(self, terminal: str, disk: Path, kiosk: Mapping[str, object] | None) -> Path:
        """The settings of an agent for one of the terminals; the file's path."""
        disk.mkdir(parents=True, exist_ok=True)
        settings: dict[str, object] = {
            "terminal": terminal,
            "data_dir": str(disk),
            "password": self.password_of(terminal),
            "cloud_url": self.cloud.url,
            "clock_trusted": True,
            "broker": {"host": HOST, "port": self.broker.port},
        }
        return write_toml(disk / "kiosk.toml", settings | ({"kiosk": dict(kiosk)} if kiosk is not None else {}))


@contextmanager
def service(folder: Path, terminals: list[str], members: int) -> Iterator[Service]:
    """Start it in `folder`, and end it."""
    url = f"sqlite:///{folder}/ledger.db"
    migrated(url).dispose()
    with MosquittoServer(folder / "broker") as broker:
        broker.set_user(CLOUD_USER)
        broker.apply_users()
        files = {
            "ROOMLINK_MOSQUITTO_PASSWORD_FILE": str(broker.password_file),
            "ROOMLINK_MOSQUITTO_PID_FILE": str(broker.pid_file),
            "ROOMLINK_ISSUER": "BENCH",
        }
        with CloudServer(folder / "cloud", url, broker, files) as cloud:
            password = _command(cloud, "user", "add", "bench", "--role", "admin")
            token = _command(cloud, "token", "add", "bench", "--name", "bench", "--role", "admin")
            api = Api(cloud.url, token)
            try:
                world = make_world(api, terminals, members, lambda _line: None)
            finally:
                api.close()
            engine = create_engine_for(url)
            yield Service(folder, broker, cloud, engine, token, password, world)
            engine.dispose()


@contextmanager
def agent(config: Path, command: str = "run") -> Iterator[Process]:
    """`python -m edge run` (or `fleet`) with that configuration, ended with the block."""
    process = Process(config.with_suffix(".log"))
    process.spawn([sys.executable, "-m", "edge", command, "--config", str(config)], ready=lambda: process.running)
    try:
        yield process
    finally:
        process.stop()


def until(what: str, within_s: float, holds: object) -> None:
    """Wait for it; RuntimeError when it does not come."""
    assert callable(holds)
    if not wait_until(holds, within_s):
        raise RuntimeError(f"not within {within_s:.0f} s: {what}")


def write_toml(path: Path, settings: Mapping[str, object]) -> Path:
    """Values and one level of tables, for nobody but the owner."""
    path.touch(mode=0o600)
    tables = {name: value for name, value in settings.items() if isinstance(value, Mapping)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _command(cloud: CloudServer, *arguments: str) -> str:
    """One of the cloud's commands; the last line that it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "cloud", *arguments],
        cwd=ROOT,
        env={**os.environ, **cloud.environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1]
