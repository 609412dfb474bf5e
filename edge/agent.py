"""One terminal's agent: the parts of one process, made from its settings and wired together.

Promises to start without a network, a cloud or a sound disk, and to stop in order. Called by the command line.
"""

import importlib.metadata
import logging
import platform
from typing import Final

from edge.clock import Clock
from edge.link import Address, Link
from edge.links import Links, LinkStatus
from edge.outbox import Limits, Outbox
from edge.settings import Settings
from edge.uplink import Uplink

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
DAY_US: Final = 86_400_000_000


class Agent:
    """Outbox, twin, uplink, health and, where one is set, the kiosk."""

    def __init__(self, settings: Settings) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        password = settings.read_password()
        self.settings = settings
        self.clock = Clock(trusted=settings.clock_trusted, offset_file=settings.clock_offset_file)
        self.outbox = Outbox.open(
            settings.outbox_file,
            terminal=settings.terminal,
            limits=limits_of(settings),
            clock=self.clock,
            versions=versions(),
        )
        uplink = Uplink(self.outbox, resend_timeout_s=settings.resend_timeout_s)
        birth = {"boot": self.clock.boot, "profile": settings.profile, "versions": versions()}
        self._link = Link(address_of(settings, password), self.outbox, uplink, birth=birth)
        self._links = Links([self._link])
        self.outbox.on_append = lambda: self._links.wake(self._link)

    def start(self) -> None:
        """Start all threads; returns at once."""
        self._links.start()

    def stop(self) -> None:
        """Farewell to the broker, then close the file."""
        self._links.stop()
        self.outbox.close()

    def uplink_status(self) -> LinkStatus:
        """Whether the broker is connected, since when, and what is on its way."""
        return self._links.status()


def limits_of(settings: Settings) -> Limits:
    """The outbox's limits from its settings."""
    space = settings.outbox
    reserved_mb = space.max_mb / 2 if space.reserved_mb is None else min(space.reserved_mb, space.max_mb)
    return Limits(space.max_mb * MIB, int(reserved_mb * MIB), int(space.keep_days * DAY_US))


def address_of(settings: Settings, password: str) -> Address:
    """The broker's address and the terminal's name there."""
    broker = settings.broker
    return Address(
        broker.host, broker.port, settings.terminal, password, broker.tls, broker.ca_file, broker.keepalive_s
    )


def versions() -> dict[str, str]:
    """What runs here, for births and `started` records."""
    try:
        agent = importlib.metadata.version("roomlink")
    except importlib.metadata.PackageNotFoundError:
        agent = "0.1.0"
    return {"agent": agent, "python": platform.python_version()}
