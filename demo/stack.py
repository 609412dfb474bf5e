"""All parts of Roomlink on this machine, in one folder: broker, cloud, one real kiosk, a fleet of simulated ones.

The folder keeps everything, passwords included (mode 0600), so that a second start finds all data. Called by demo and smoke.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from demo.parts import HOST, ROOT, Part, PartError, accepts
from demo.world import Api, Card, Terminal, World, make_world

KIOSK = "kiosk-302-a"
OPERATOR = "demo"
FLEET_CHECK_INS_PER_S = 0.5


@dataclass(frozen=True)
class Ports:
    """Loopback ports: the cloud's HTTP, the broker's MQTT, the kiosk's page."""

    cloud: int
    broker: int
    kiosk: int


@dataclass(frozen=True)
class Kept:
    """What the first start made and later ones need: shown once by the API, so kept here."""

    operator_password: str
    token: str
    world: World


class Stack:
    """The parts, wired to each other. ``say`` tells a person what goes on."""

    def __init__(self, folder: Path, ports: Ports, say: Callable[[str], None]) -> None:
        self.folder = folder = folder.absolute()
        self.ports = ports
        self.say = say
        for each in (folder, folder / "logs", folder / "camera"):
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        broker = ["broker_config", "embedded", "--port", str(ports.broker), "--users", str(self._users_file)]
        self.broker = Part("broker", broker, folder / "logs" / "broker.log")
        self.cloud = Part("cloud", ["cloud", "serve", "--migrate"], folder / "logs" / "cloud.log", self._environment())
        kiosk = ["edge", "run", "--config", str(folder / "kiosk.toml")]
        self.kiosk = Part("kiosk", kiosk, folder / "logs" / "kiosk.log")

        fleet = ["edge", "fleet", "--config", str(folder / "fleet.toml")]
        self.fleet = Part("simulated kiosks", fleet, folder / "logs" / "fleet.log")

    @property
    def url(self) -> str:
        """The cloud's address."""
        return f"http://{HOST}:{self.ports.cloud}"

    @property
    def kiosk_url(self) -> str:
        """The kiosk page's address."""
        return f"http://{HOST}:{self.ports.kiosk}/"

    def start_cloud(self) -> None:
        """Start the cloud, and return when it answers."""
        self.cloud.start(lambda: self._answers("/healthz"), 60)

    def start_broker(self) -> None:
        """Start the broker, and return when it accepts connections."""
        self.broker.start(lambda: accepts(self.ports.broker))

    def start_kiosk(self, camera: str) -> None:
        """Start the real kiosk agent before ``camera``, and return when its page answers."""
        _write_private(self.folder / "kiosk.toml", self._kiosk_settings(camera))
        self.kiosk.start(lambda: accepts(self.ports.kiosk))

    def start_fleet(self, kept: Kept) -> None:
        """Start the simulated kiosks, and return when they run."""
        terminals = {each.id: each.password for each in kept.world.terminals if each.id != KIOSK}
        _write_private(self.folder / "fleet.json", json.dumps(terminals))
        _write_private(self.folder / "cards.txt", "\n".join(card.text for card in kept.world.cards))
        _write_private(self.folder / "fleet.toml", self._fleet_settings())
        self.fleet.start(lambda: self.fleet.running)

    def stop(self) -> None:
        """End all, terminals first, so that their farewells still arrive."""
        for part in (self.fleet, self.kiosk, self.cloud, self.broker):
            part.stop()

    def prepare(self, kiosks: int, members: int) -> Kept:
        """Make operator, world and broker users at the first start; the cloud must be running."""
        kept = self._read_kept()
        if kept is None:
            kept = self._make(kiosks, members)
            _write_private(self._kept_file, json.dumps(asdict(kept), ensure_ascii=False))
        users = {each.id: each.password for each in kept.world.terminals} | {"roomlink-cloud": self._secret("broker")}
        _write_private(self._users_file, json.dumps(users))
        return kept

    def cards_page(self, kept: Kept, count: int) -> str:
        """The address of a file with the first ``count`` cards on A4 pages; drawn by the cloud at the first start."""
        page = self.folder / "cards.html"
        if not page.exists():
            api = self.api(kept)
            try:
                ids = [card.credential_id for card in kept.world.cards[:count]]
                _write_private(page, api.get_bytes("/credentials/cards", credential_id=ids).decode())
            finally:
                api.close()
        return page.as_uri()

    def api(self, kept: Kept) -> Api:
        """The HTTP API as the demo's operator."""
        return Api(self.url, kept.token)

    # --- inside ---------------------------------------------------------------------------------------------------

    @property
    def _users_file(self) -> Path:
        return self.folder / "broker-users.json"

    @property
    def _kept_file(self) -> Path:
        return self.folder / "demo.json"

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=2).is_success
        except httpx.TransportError:
            return False

    def _environment(self) -> Mapping[str, str]:
        return {
            "ROOMLINK_DATABASE_URL": f"sqlite:///{self.folder / 'ledger.db'}",
            "ROOMLINK_TIMESERIES_URL": f"duckdb:///{self.folder / 'series.duckdb'}",
            "ROOMLINK_DATA_DIR": str(self.folder / "cloud"),
            "ROOMLINK_HOST": HOST,
            "ROOMLINK_PORT": str(self.ports.cloud),
            "ROOMLINK_MQTT_HOST": HOST,
            "ROOMLINK_MQTT_PORT": str(self.ports.broker),
            "ROOMLINK_MQTT_PASSWORD": self._secret("broker"),
            "ROOMLINK_ISSUER": "DEMO",
        }

    def _secret(self, name: str) -> str:
        path = self.folder / f"{name}.secret"
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _kiosk_settings(self, camera: str) -> str:
        terminal = next(each for each in self._kept().world.terminals if each.id == KIOSK)
        _write_private(self.folder / "kiosk.password", terminal.password)
        return "\n".join(
            (
                f'terminal = "{KIOSK}"',
                f'data_dir = "{self.folder / "kiosk"}"',
                f'password_file = "{self.folder / "kiosk.password"}"',
                f'cloud_url = "{self.url}"',
                "clock_trusted = true",
                "[broker]",
                f'host = "{HOST}"',
                f"port = {self.ports.broker}",
                "[kiosk]",
                f'camera = "{camera}"',
                f"page_port = {self.ports.kiosk}",
                "",
            )
        )

    def _fleet_settings(self) -> str:
        return "\n".join(
            (
                f'data_dir = "{self.folder / "fleet"}"',
                f'terminals_file = "{self.folder / "fleet.json"}"',
                f'cards_file = "{self.folder / "cards.txt"}"',
                f'cloud_url = "{self.url}"',
                f"check_ins_per_s = {FLEET_CHECK_INS_PER_S}",
                "clock_trusted = true",
                "[broker]",
                f'host = "{HOST}"',
                f"port = {self.ports.broker}",
                "",
            )
        )

    def _kept(self) -> Kept:
        kept = self._read_kept()
        if kept is None:
            raise PartError(f"{self._kept_file} is missing; remove {self.folder} and start again.")
        return kept

    def _read_kept(self) -> Kept | None:
        if not self._kept_file.exists():
            return None
        document = json.loads(self._kept_file.read_text("utf-8"))
        world = World(
            tuple(Terminal(**each) for each in document["world"]["terminals"]),
            tuple(Card(**each) for each in document["world"]["cards"]),
        )
        return Kept(document["operator_password"], document["token"], world)

    def _make(self, kiosks: int, members: int) -> Kept:
        password = self._command("user", "add", OPERATOR, "--role", "admin")
        token = self._command("token", "add", OPERATOR, "--name", "demo", "--role", "admin")
        ids = [KIOSK, *(f"kiosk-sim-{index:02d}" for index in range(1, kiosks + 1))]
        api = Api(self.url, token)
        try:
            return Kept(password, token, make_world(api, ids, members, self.say))
        finally:
            api.close()

    def _command(self, *arguments: str) -> str:
        """Run one of the cloud's commands; the last line that it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "cloud", *arguments],
            cwd=ROOT,
            env={**os.environ, **self._environment()},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PartError(
                f"python -m cloud {' '.join(arguments[:2])} ended with {done.returncode}: {done.stderr[-600:]}"
            )
        return done.stdout.strip().splitlines()[-1]


def _write_private(path: Path, text: str) -> None:
    """For nobody but its owner; whole or not at all."""
    draft = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.rename(path)
