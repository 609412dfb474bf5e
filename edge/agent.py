"""One terminal's agent: the parts of one process, made from its settings and wired together.

Promises to start without a network, a cloud or a sound disk, and to stop in order. Called by the command line.
"""

import contextlib
import importlib.metadata
import logging
import platform
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from edge import actions, own_log, screenshot
from edge.clock import Clock
from edge.commands import Action, CommandFailed, Commands
from edge.doctor import Finding, check_clock, check_cloud, check_disk, check_outbox, check_privacy
from edge.errors import SettingsError
from edge.fetcher import Fetcher, FetchError, HttpSource
from edge.health import HealthSampler
from edge.link import Address, Link
from edge.links import Links, LinkStatus
from edge.membership import Membership
from edge.mode import ModeFile
from edge.outbox import Limits, Outbox
from edge.settings import Settings
from edge.tls import broker_context
from edge.twin import TwinStore
from edge.uplink import Uplink

if TYPE_CHECKING:
    from edge.kiosk.app import KioskApp

log = logging.getLogger(__name__)

MIB: Final = 1024 * 1024
DAY_US: Final = 86_400_000_000
VERSION: Final = 80
"""Characters of a version that is told."""
SHOWN: Final = ("page_alive", "camera_fps")
"""Metrics of the kiosk that are not well at 0."""


class Agent:
    """Outbox, twin, uplink, health and, where one is set, the kiosk."""

    def __init__(self, settings: Settings) -> None:
        password = _password(settings)
        with contextlib.suppress(OSError):  # the outbox says what is wrong with the disk
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings
        self.clock = clock_of(settings)
        self._membership = Membership(settings, self.clock) if settings.has_certificate else None
        self.outbox = Outbox.open(
            settings.outbox_file,
            terminal=settings.terminal,
            limits=limits_of(settings),
            clock=self.clock,
            versions=versions(),
        )
        self.twin = TwinStore(self.outbox, settings.data_dir, settings.profile)
        self._mode = ModeFile(settings.data_dir / "mode.json")
        self._uplink = Uplink(self.outbox, resend_timeout_s=settings.resend_timeout_s)
        self._birth: dict[str, Any] = {"boot": self.clock.boot, "profile": settings.profile, "versions": versions()}
        self._renewal = None if self._membership is None else self._membership.renewal()
        self.outbox.signer = None if self._membership is None else self._membership.signer()
        self.ended_for_restart = threading.Event()
        self._commands = Commands(self.outbox, self.clock, self._actions())
        self._link = Link(
            address_of(settings, password, None if self._membership is None else self._sign_in),
            self.outbox,
            self._uplink,
            birth=self._birth,
            twin=self.twin,
            on_command=self._commands.receive,
        )
        self._links = Links([self._link])
        self._tell_mode()
        trusted = None if self._membership is None else self._membership.cloud_context
        self._password = self._for_files(password)
        self._source = HttpSource(
            settings.cloud_url, settings.terminal, self._password, settings.cloud_ca_file, trusted
        )
        self._fetcher = Fetcher(self.twin, self._source)
        self.kiosk = self._new_kiosk() if settings.kiosk is not None else None
        self._health = HealthSampler(self.outbox, self.clock, settings.data_dir, self._measure)

    def start(self) -> None:
        """Start all threads. Raises SettingsError where the kiosk's port is taken; then nothing runs.

        The kiosk begins once the kept twin, revocations and roster are in force, some seconds for 100,000 members: it would
        say green to a revoked card before.
        """
        wake = self._wake
        self.twin.listen(self._apply_twin)
        self.twin.load()
        if self._membership is not None:
            self._membership.hand_over_twin(self.twin)
        self._fetcher.load_kept()
        self.outbox.on_append = wake
        self.twin.listen(wake)
        if self.kiosk is not None:
            try:
                self.kiosk.start()
            except BaseException:
                self.outbox.close()
                raise
        self._fetcher.start()
        self._commands.start()
        self._links.start()
        self._health.start()
        if self._renewal is not None:
            self._renewal.start()

    def stop(self) -> None:
        """End the parts in order, say farewell to the broker, close the file."""
        if self.kiosk is not None:
            self.kiosk.stop()
        if self._renewal is not None:
            self._renewal.stop()
        self._health.stop()
        self._fetcher.stop()
        self._links.stop()
        self._commands.stop()
        self.outbox.close()

    def uplink_status(self) -> LinkStatus:
        """Whether the broker is connected, since when, and what is on its way."""
        return self._links.status()

    def _actions(self) -> Mapping[str, Action]:
        return {
            "identify": actions.identify(self._identify),
            "sync_now": actions.sync_now(self._sync),
            "self_test": actions.self_test(self._examine),
            "restart_agent": actions.restart_agent(self.ended_for_restart.set),
            "reboot": actions.reboot(self.settings.reboot_hook),
            "enter_maintenance": actions.maintenance(self._change_mode, begins=True),
            "leave_maintenance": actions.maintenance(self._change_mode, begins=False),
            "set_volume": actions.set_volume(self._change_mode),
            "screenshot": actions.screenshot(self._picture, self._send_in),
            "upload_logs": actions.upload_logs(self._log, self._send_in, own_log.LINES, own_log.MOST_LINES),
        }

    def _identify(self, seconds: float) -> None:
        if self.kiosk is None or not self.kiosk.pages:
            raise CommandFailed("not_possible", "No screen of this terminal is open, so nobody would see it.")
        self.kiosk.identify(seconds)

    def _picture(self) -> bytes:
        return screenshot.take(self.kiosk, self.settings.screenshot_hook, self.settings.data_dir)

    def _log(self, lines: int) -> bytes:
        return own_log.tail(self.settings.data_dir, lines, [self._password()])

    def _send_in(self, path: str, content: bytes) -> None:
        try:
            self._source.send(path, content)
        except FetchError as error:
            raise CommandFailed("error", str(error)) from error

    def _change_mode(self, **fields: Any) -> None:
        self._mode.change(**fields)
        self._tell_mode()
        self._link.want_birth()
        self._wake()

    def _tell_mode(self) -> None:
        """In the birth whether it is out of service, and all of it in the reported twin."""
        mode = self._mode.current()
        self._birth["state"] = "maintenance" if mode.maintenance else "online"
        self.twin.tell({"maintenance": "on" if mode.maintenance else "off", "volume": str(mode.volume)})

    def _sync(self) -> Mapping[str, str]:
        self._link.want_sync()
        self._wake()
        status = self.outbox.status()
        return {"waiting": str(status.depth), "stored_through": str(status.through)}

    def _examine(self) -> list[Finding]:
        """What does not disturb what runs: the camera and the broker's connection are in use, so they speak for themselves."""
        found = [check(self.settings) for check in (check_disk, check_privacy, check_outbox, check_clock, check_cloud)]
        measured = self.kiosk.measure() if self.kiosk is not None else {}
        return found + [Finding(each, measured[each] > 0, f"{measured[each]:g}") for each in SHOWN if each in measured]

    def _measure(self) -> dict[str, float]:
        """Of this terminal's parts: what its kiosk tells, and how long the cloud takes to answer while there is a connection."""
        metrics = {} if self.kiosk is None else self.kiosk.measure()
        status = self.uplink_status()
        if status.connected and status.answer_s is not None:
            metrics["answer_ms"] = status.answer_s * 1000
        return metrics

    def _sign_in(self) -> ssl.SSLContext:
        """For a connection: its certificate, its key for the batches that it carries, and its end in the birth."""
        assert self._membership is not None  # noqa: S101 - else the link would have no such way to sign in
        present = self._membership.present()
        self.outbox.signer = present.batch_signer()
        self._birth["versions"] = versions() | {"certificate_until": f"{present.ends_at:%Y-%m-%d}"}
        return broker_context(self.settings, present, self.clock)

    def _for_files(self, at_start: str) -> Callable[[], str]:
        """Tells the password: that of the newest claim, which counts without a restart; or another that the settings have."""
        member = self._membership
        if member is None or at_start not in {"", member.password()}:
            return lambda: at_start
        return lambda: member.password() or at_start

    def _wake(self) -> None:
        self._links.wake(self._link)

    def _apply_twin(self) -> None:
        desired = self.twin.current()
        if desired is not None:
            self._uplink.resend_timeout_s = desired.resend_timeout_s
            self._health.every_s = desired.health_every_s

    def _new_kiosk(self) -> "KioskApp":
        from edge.kiosk.app import KioskApp

        return KioskApp(self.outbox, self.twin, self.uplink_status, self.clock, self.settings, self._mode.current)


def clock_of(settings: Settings) -> Clock:
    """The terminal's clock."""
    marker = settings.data_dir / "clock-synced"
    return Clock(trusted=settings.clock_trusted, marker=marker, offset_file=settings.clock_offset_file)


def limits_of(settings: Settings) -> Limits:
    """The outbox's limits from its settings."""
    space = settings.outbox
    reserved_mb = space.max_mb / 2 if space.reserved_mb is None else min(space.reserved_mb, space.max_mb)
    return Limits(space.max_mb * MIB, int(reserved_mb * MIB), int(space.keep_days * DAY_US))


def address_of(settings: Settings, password: str, sign_in: Callable[[], ssl.SSLContext] | None = None) -> Address:
    """The broker's address and the terminal's name there; by ``sign_in`` where the broker speaks TLS, else by password."""
    broker = settings.broker
    at = (broker.host, broker.port, settings.terminal)
    if sign_in is not None and broker.tls:
        return Address(*at, None, tls=True, keepalive_s=broker.keepalive_s, sign_in=sign_in)
    return Address(*at, password, broker.tls, broker.ca_file, broker.keepalive_s)


def _password(settings: Settings) -> str:
    """For files, and for a broker without certificates. A claim that is damaged has none to tell: all else goes on."""
    try:
        return settings.read_password()
    except SettingsError:
        if not settings.has_certificate:
            raise
        return ""


def versions() -> dict[str, str]:
    """What runs here, for births and `started` records."""
    try:
        agent = importlib.metadata.version("roomlink")
    except importlib.metadata.PackageNotFoundError:
        agent = "0.1.0"  # run from a checkout
    return {"agent": agent, "python": platform.python_version(), "kernel": platform.release()[:VERSION]} | _system()


def _system() -> dict[str, str]:
    """The operating system by its own name (os-release(5)), where it tells one."""
    try:
        return {"system": platform.freedesktop_os_release().get("PRETTY_NAME", "")[:VERSION]}
    except OSError:
        return {}
