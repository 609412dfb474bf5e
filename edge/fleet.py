"""Many simulated kiosks in one process, on the real outbox, uplink, twin and decision; for demo, bench and faults.

Promises that what a fleet sends is what as many kiosks would send: each has its own file, connection and decisions, and its own
key and certificate where its folder holds those of a claim. Cards are shown at random, at a given rate over the whole fleet. Run
by `python -m edge fleet`.
"""

import contextlib
import heapq
import json
import logging
import random
import resource
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from edge import identity
from edge.agent import versions
from edge.clock import Clock
from edge.errors import IdentityError, OutboxError, SettingsError
from edge.fetcher import Fetcher, HttpSource
from edge.kiosk.register import Register
from edge.link import Address, Link
from edge.links import Links
from edge.outbox import Limits, Outbox
from edge.settings import IDENTITY, FleetSettings
from edge.tls import broker_context, client_context
from edge.twin import TwinStore
from edge.uplink import Uplink
from firmware_specs.messages import Health

log = logging.getLogger(__name__)

FILES_EVERY_S: Final = 0.5
OPEN_FILES_EACH: Final = 8
_Passwords: Final = TypeAdapter(dict[str, str])


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """``shown``: cards shown; ``kept``: those on the disk of their kiosk; ``waiting``: records not known to be stored."""

    terminals: int
    connected: int
    shown: int
    kept: int
    waiting: int


class SimulatedKiosk:
    """One kiosk without a camera and a screen. ``trusted`` is for files over HTTPS: reading the system's certificates takes
    longer than all else of a fetch, so a fleet does it once."""

    def __init__(
        self,
        settings: FleetSettings,
        terminal: str,
        password: str,
        clock: Clock,
        chance: random.Random,
        trusted: ssl.SSLContext,
    ) -> None:
        folder = settings.data_dir / terminal
        folder.mkdir(parents=True, exist_ok=True)
        claim = identity.load_claim(folder / IDENTITY)
        password = password if claim is None else claim.password
        space = settings.max_mb * 1024 * 1024
        self.clock = clock
        self.outbox = Outbox.open(
            folder / "outbox.db",
            terminal=terminal,
            limits=Limits(space, space // 2, ballast_bytes=0),
            clock=clock,
            versions=versions(),
        )
        self.twin = TwinStore(self.outbox, folder)
        self.register = Register(self.outbox, self.twin, clock, time.monotonic)
        self.uplink = Uplink(self.outbox, resend_timeout_s=settings.resend_timeout_s, chance=chance)
        self._settings, self._identity = settings, folder / IDENTITY
        self._birth: dict[str, Any] = {"boot": clock.boot, "profile": "kiosk", "versions": versions()}
        address = self._address(terminal, password, has_certificate=claim is not None)
        self.link = Link(address, self.outbox, self.uplink, birth=self._birth, twin=self.twin, chance=chance)
        source = HttpSource(settings.cloud_url, terminal, password, context=lambda: trusted)
        self.fetcher = Fetcher(self.twin, source, chance)
        self.retry_at_s = 0.0

    def _address(self, terminal: str, password: str, *, has_certificate: bool) -> Address:
        broker = self._settings.broker
        if has_certificate and broker.tls:
            at = (broker.host, broker.port, terminal)
            return Address(*at, None, tls=True, keepalive_s=broker.keepalive_s, sign_in=self._sign_in)
        return Address(broker.host, broker.port, terminal, password, broker.tls, broker.ca_file, broker.keepalive_s)

    def _sign_in(self) -> ssl.SSLContext:
        """For a connection, as an agent does it: its certificate, its key for the batches, and its end in the birth."""
        present = identity.load(self._identity)
        if present is None:
            raise IdentityError(f"{self._identity} is gone. {identity.AGAIN}")
        self.outbox.signer = present.batch_signer()
        self._birth["versions"] = versions() | {"certificate_until": f"{present.ends_at:%Y-%m-%d}"}
        return broker_context(self._settings, present, self.clock)

    def show(self, text: str) -> bool:
        """A card before the camera; whether the record is on the disk."""
        presented = self.register.read(text)
        with contextlib.suppress(OutboxError):
            self.register.check_in(presented)
            return True
        return False

    def sample(self, chance: random.Random) -> None:
        """A health record of invented, plausible values."""
        status = self.outbox.status()
        metrics = {
            "cpu_percent": round(max(1.0, chance.gauss(12, 6)), 1),
            "memory_percent": round(chance.gauss(41, 2), 1),
            "memory_mb": round(chance.gauss(120, 5), 1),
            "temperature_c": round(chance.gauss(48, 3), 1),
            "disk_percent": round(chance.gauss(23, 0.2), 1),
            "disk_free_bytes": round(chance.gauss(2e10, 5e7)),
            "outbox_depth": float(status.depth),
            "uptime_s": self.clock.mono_ms() / 1000,
            "camera_fps": round(chance.gauss(15, 0.3), 1),
            "page_alive": 1.0,
        }
        with contextlib.suppress(OutboxError):
            self.outbox.append([Health(**self.clock.stamp(self.outbox.config), metrics=metrics)])

    def health_every_s(self) -> float:
        """As the twin says."""
        desired = self.twin.current()
        return 60.0 if desired is None else desired.health_every_s

    def apply_twin(self) -> None:
        """Take over what the twin says about sending."""
        desired = self.twin.current()
        if desired is not None:
            self.uplink.resend_timeout_s = desired.resend_timeout_s


class Fleet:
    """All of them: one thread for the network, one for the files of twins, one for what happens in the rooms."""

    def __init__(self, settings: FleetSettings, count: int | None = None) -> None:
        self._settings = settings
        self._chance = random.Random(settings.seed)  # noqa: S311 - who comes when, not secrets
        passwords = _read_passwords(settings.terminals_file)
        self._cards = _read_cards(settings.cards_file)
        chosen = list(passwords.items())[:count]
        _allow_open_files(OPEN_FILES_EACH * len(chosen) + 256)
        clock, trusted = Clock(trusted=settings.clock_trusted), client_context(None)
        self.kiosks = [SimulatedKiosk(settings, name, secret, clock, self._chance, trusted) for name, secret in chosen]
        self._links = Links([kiosk.link for kiosk in self.kiosks])
        self._stopping = threading.Event()
        self._shown = self._kept = 0
        self._threads = [
            threading.Thread(target=self._live, name="rooms", daemon=True),
            threading.Thread(target=self._fetch, name="files", daemon=True),
        ]

    def start(self) -> None:
        """Connect all, and let people come."""
        for kiosk in self.kiosks:
            self._wire(kiosk)
        self._links.start()
        for thread in self._threads:
            thread.start()

    def stop_people(self) -> None:
        """Let nobody come any more; what was kept is still sent."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Let nobody come any more, say farewell, close the files."""
        self.stop_people()
        self._links.stop()
        for kiosk in self.kiosks:
            kiosk.outbox.close()

    def status(self) -> FleetStatus:
        """Counts over the whole fleet."""
        connected = sum(kiosk.link.is_connected for kiosk in self.kiosks)
        waiting = sum(kiosk.outbox.status().depth for kiosk in self.kiosks)
        return FleetStatus(len(self.kiosks), connected, self._shown, self._kept, waiting)

    def _wire(self, kiosk: SimulatedKiosk) -> None:
        def wake() -> None:
            self._links.wake(kiosk.link)

        kiosk.twin.listen(kiosk.apply_twin)
        kiosk.twin.load()
        kiosk.fetcher.load_kept()
        kiosk.twin.listen(wake)
        kiosk.outbox.on_append = wake

    def _live(self) -> None:
        """People come as a Poisson process; health samples are due one kiosk after the other."""
        now_s = time.monotonic()
        samples = [(now_s + self._chance.uniform(0, 5), index) for index in range(len(self.kiosks))]
        heapq.heapify(samples)
        next_card_s = now_s + self._pause_s()
        while not self._stopping.wait(max(0.0, min(next_card_s, samples[0][0]) - time.monotonic())):
            now_s = time.monotonic()
            if now_s >= next_card_s:
                self._show_card()
                next_card_s = max(next_card_s, now_s - 1.0) + self._pause_s()
            if now_s >= samples[0][0]:
                kiosk = self.kiosks[samples[0][1]]
                kiosk.sample(self._chance)
                heapq.heapreplace(samples, (now_s + kiosk.health_every_s(), samples[0][1]))

    def _pause_s(self) -> float:
        rate = self._settings.check_ins_per_s if self._cards else 0.0
        return self._chance.expovariate(rate) if rate else float("inf")

    def _show_card(self) -> None:
        kiosk, text = self._chance.choice(self.kiosks), self._chance.choice(self._cards)
        self._shown += 1
        self._kept += kiosk.show(text)

    def _fetch(self) -> None:
        while self._settings.cloud_url and not self._stopping.wait(FILES_EVERY_S):
            for kiosk in self.kiosks:
                if self._stopping.is_set():
                    return
                self._fetch_for(kiosk)

    def _fetch_for(self, kiosk: SimulatedKiosk) -> None:
        now_s = time.monotonic()
        if now_s >= kiosk.retry_at_s and kiosk.twin.missing() and not kiosk.fetcher.fetch_missing():
            kiosk.retry_at_s = now_s + kiosk.fetcher.retry_s()


def run(settings: FleetSettings, count: int | None, stop: threading.Event, report_every_s: float) -> None:
    """Run a fleet until ``stop``; prints its status as a JSON line every so often, and at the end."""
    fleet = Fleet(settings, count)
    fleet.start()
    while not stop.wait(report_every_s):
        _print_status(fleet)
    _print_status(fleet)
    fleet.stop()


def _print_status(fleet: Fleet) -> None:
    print(json.dumps(asdict(fleet.status())), flush=True)  # noqa: T201 - the command's output


def _read_passwords(file: Path) -> dict[str, str]:
    try:
        return _Passwords.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        raise SettingsError(
            f'Setting terminals_file: {file} is not a JSON object such as {{"kiosk-sim-01": "password"}}.'
        ) from None


def _read_cards(file: Path | None) -> Sequence[str]:
    if file is None:
        return []
    try:
        return [line for line in file.read_text("ascii").splitlines() if line]
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"Setting cards_file: {file} is not a text file with one card a line.") from None


def _allow_open_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
