"""`python -m edge doctor`: looks at each thing the terminal needs, one line each with what to do about what is wrong.

Promises to change nothing and not to disturb a running agent. Called by the command line.
"""

import contextlib
import ipaddress
import os
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from edge import identity
from edge.clock import Clock
from edge.errors import IdentityError
from edge.inspection import read_outbox
from edge.settings import Settings
from edge.tls import broker_context, client_context, cloud_context
from edge.twin import KINDS
from firmware_specs.messages import Clock as Quality

TIMEOUT_S: Final = 5.0
CAMERA_WITHIN_S: Final = 5.0
LOW_DISK_MB: Final = 500
SLOW_WRITE_MS: Final = 50.0
EXPIRES_SOON_DAYS: Final = 21
RENEWAL_IS_LATE_DAYS: Final = 21
"""Of 90 days' life a certificate is renewed with 30 left."""
MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is well, what was seen, and what to do if it is not."""

    what: str
    well: bool
    seen: str
    advice: str = ""

    def line(self) -> str:
        """As printed."""
        return f"{'ok   ' if self.well else 'WRONG'} {self.what}: {self.seen}" + (
            f" -> {self.advice}" if self.advice else ""
        )


def examine(settings: Settings) -> list[Finding]:
    """Every finding, in the order in which they are worth mending."""
    checks: list[Callable[[Settings], Finding]] = [
        check_disk,
        check_privacy,
        check_outbox,
        check_clock,
        check_identity,
        check_camera,
        check_broker,
        check_certificate,
        check_cloud,
    ]
    return [check(settings) for check in checks]


def check_disk(settings: Settings) -> Finding:
    """Room, and how long a durable write takes."""
    folder = settings.data_dir
    try:
        started_s = time.perf_counter()
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        write_ms = (time.perf_counter() - started_s) * 1000
        disk = os.statvfs(folder)
    except OSError as error:
        advice = f"make {folder} a folder that this user may write, on a disk mounted read-write"
        return Finding("disk", False, f"{folder}: {error.strerror}", advice)
    free_mb = disk.f_bavail * disk.f_frsize / MIB
    seen = f"{free_mb:,.0f} MB free, a durable write takes {write_ms:.1f} ms"
    if free_mb < max(LOW_DISK_MB, settings.outbox.max_mb):
        return Finding("disk", False, seen, f"free space, or set outbox.max_mb below {free_mb:.0f}")
    if write_ms > SLOW_WRITE_MS:
        return Finding("disk", False, seen, "this disk is slow or failing: check-ins will be felt as slow, replace it")
    return Finding("disk", True, seen)


def check_privacy(settings: Settings) -> Finding:
    """Whether records, roster, revocations and the password are for the agent's user only."""
    files = [settings.password_file] if settings.password_file is not None else []
    folder, outbox = settings.data_dir, settings.outbox_file
    files += [folder, *(folder / kind for kind in KINDS), *sorted(folder.glob(f"{outbox.name}*"))]
    files += [settings.identity_dir, *sorted(settings.identity_dir.glob("*"))]
    open_to_others = [file for file in files if _is_open_to_others(file)]
    if open_to_others:
        named = ", ".join(str(file) for file in open_to_others[:5])
        return Finding("privacy", False, f"others may read {named}", "chmod go= of each, as the agent's user")
    return Finding("privacy", True, "the folder, its files and the password are for one user only")


def _is_open_to_others(file: Path) -> bool:
    with contextlib.suppress(OSError):
        return bool(file.stat().st_mode & 0o077)
    return False


def check_outbox(settings: Settings) -> Finding:
    """Whether the file can be read, and what waits in it."""
    if not settings.outbox_file.exists():
        return Finding("outbox", True, "not there yet, it is made at the first start")
    report = read_outbox(settings.outbox_file)
    if isinstance(report, str):
        return Finding("outbox", False, report, "start the agent: it moves a damaged file aside and goes on")
    return Finding("outbox", True, f"{report.depth} records wait, stored through {report.through} of {report.last}")


def check_clock(settings: Settings) -> Finding:
    """Whether the clock is set and disciplined."""
    clock = Clock(trusted=settings.clock_trusted, offset_file=settings.clock_offset_file)
    seen = f"{datetime.fromtimestamp(clock.now_us() / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC, {clock.quality().value}"
    if clock.quality() is Quality.SYNCED:
        return Finding("clock", True, seen)
    advice = "start a time service (systemctl enable --now systemd-timesyncd)"
    return Finding("clock", False, seen, f"{advice}, or set clock_trusted = true where the host keeps the time")


def check_identity(settings: Settings) -> Finding:
    """Whether the terminal was claimed, and until when its certificate is good."""
    try:
        known = identity.load(settings.identity_dir)
    except IdentityError as error:
        return Finding("identity", False, str(error), "check-ins work without, and wait here")
    if known is None:
        return Finding("identity", True, "not claimed: it signs in by its password")
    now = datetime.fromtimestamp(Clock(offset_file=settings.clock_offset_file).now_us() / 1e6, UTC)
    days = (known.ends_at - now) / timedelta(days=1)
    seen = f"{known.terminal}, certificate good for {days:.0f} more days, renewed from {known.renews_at:%Y-%m-%d} on"
    if days < 0:
        seen = f"{known.terminal}, the certificate ended {-days:.0f} days ago by this clock"
    if known.terminal != settings.terminal:
        advice = f"the settings say {settings.terminal}: leave terminal out of them"
        return Finding("identity", False, seen, advice)
    if days < RENEWAL_IS_LATE_DAYS:
        advice = f"see that {settings.cloud_url} can be reached: the agent renews it there by itself, for a year yet"
        return Finding("identity", False, seen, advice)
    return Finding("identity", True, seen)


def check_camera(settings: Settings) -> Finding:
    """Whether one frame comes."""
    source = "" if settings.kiosk is None else settings.kiosk.camera
    if not source:
        return Finding("camera", True, "none is set")
    from edge.kiosk.camera import Camera

    camera = Camera(source)
    camera.start()
    try:
        frame = camera.latest(0, CAMERA_WITHIN_S)
    finally:
        camera.stop()
    if frame is None:
        advice = "plug it in, see that the agent is not using it, and set kiosk.camera, such as '0' or '/dev/video0'"
        return Finding("camera", False, f"{source}: no frame within {CAMERA_WITHIN_S:g} s", advice)
    return Finding("camera", True, f"{source}: frames of {frame.image.shape[1]} x {frame.image.shape[0]}")


def check_broker(settings: Settings) -> Finding:
    """Whether it answers; and, where no agent is running, whether it takes the password."""
    broker = settings.broker
    where = f"{broker.host}:{broker.port}"
    try:
        socket.create_connection((broker.host, broker.port), TIMEOUT_S).close()
    except OSError as error:
        return Finding(
            "broker", False, f"{where}: {error}", "see broker.host and broker.port, the network, and the firewall"
        )
    if agent_is_running(settings.outbox_file):
        return Finding("broker", True, f"{where} answers; the agent is running, so its connection is left alone")
    refused = sign_in(settings)
    if refused is not None:
        return Finding(
            "broker",
            False,
            f"{where}: {refused}",
            "see terminal and password_file, or the certificate, and the terminal's page in the console",
        )
    return Finding("broker", True, f"{where} takes the {'certificate' if _by_certificate(settings) else 'password'}")


def sign_in(settings: Settings) -> str | None:
    """Connect and disconnect once; why that failed, or None."""
    from paho.mqtt.client import Client, ConnectFlags, MQTTv5
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    answers: list[ReasonCode] = []

    def heard(_c: Client, _d: object, _f: ConnectFlags, reason: ReasonCode, _p: Properties | None) -> None:
        answers.append(reason)

    client = Client(CallbackAPIVersion.VERSION2, settings.terminal, protocol=MQTTv5, reconnect_on_failure=False)
    client.on_connect = heard
    try:
        client.username_pw_set(settings.terminal, None if _by_certificate(settings) else settings.read_password())
        if settings.broker.tls:
            client.tls_set_context(_broker_context(settings))
        client.connect(settings.broker.host, settings.broker.port, keepalive=10)
        until_s = time.monotonic() + TIMEOUT_S
        while not answers and client.socket() is not None and time.monotonic() < until_s:
            client.loop(0.1)
    except (OSError, IdentityError) as error:
        return str(error)
    finally:
        client.disconnect()
        client.loop(0.1)
        client._reset_sockets()  # paho leaves its wake-up sockets to the garbage collector
    if not answers:
        return "it closed the connection without an answer"
    return str(answers[0]) if answers[0].is_failure else None


def _by_certificate(settings: Settings) -> bool:
    return settings.has_certificate and settings.broker.tls


def _broker_context(settings: Settings) -> ssl.SSLContext:
    """As the agent's link makes it; raises IdentityError, OSError."""
    known = identity.load(settings.identity_dir)
    if known is None:
        return client_context(settings.broker.ca_file)
    clock = Clock(trusted=settings.clock_trusted, offset_file=settings.clock_offset_file)
    return broker_context(settings, known, clock)


def agent_is_running(outbox_file: Path) -> bool:
    """Whether a running agent holds the outbox."""
    import fcntl

    try:
        with Path(f"{outbox_file}.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def check_certificate(settings: Settings) -> Finding:
    """Whether the broker's certificate is trusted, and for how long."""
    broker = settings.broker
    if not broker.tls:
        return Finding("certificate", True, "not used: broker.tls is false")
    try:
        context = _broker_context(settings)
        with (
            socket.create_connection((broker.host, broker.port), TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as secured,
        ):
            certificate = secured.getpeercert() or {}
    except (OSError, ValueError, IdentityError) as error:
        return Finding("certificate", False, str(error), "see broker.ca_file, broker.host and the clock")
    expires_s = ssl.cert_time_to_seconds(str(certificate.get("notAfter", "Jan  1 00:00:00 1970 GMT")))
    days = (expires_s - time.time()) / 86_400
    if days < EXPIRES_SOON_DAYS:
        return Finding("certificate", False, f"expires in {days:.0f} days", "renew the broker's certificate")
    return Finding("certificate", True, f"trusted for {days:.0f} more days")


def check_cloud(settings: Settings) -> Finding:
    """Whether the cloud's HTTP answers, for roster and revocations."""
    if not settings.cloud_url:
        return Finding(
            "cloud",
            False,
            "cloud_url is not set",
            "set it, such as 'https://roomlink.example.org'; check-ins work without",
        )
    import httpx

    if _is_readable_on_the_way(settings.cloud_url):
        advice = "use https://: the terminal's password and the roster go over the network in the clear"
        return Finding("cloud", False, f"{settings.cloud_url} is not encrypted", advice)
    verify: ssl.SSLContext | bool = True
    try:
        known = identity.load(settings.identity_dir)
        if known is not None or settings.cloud_ca_file is not None:
            clock = Clock(trusted=settings.clock_trusted, offset_file=settings.clock_offset_file)
            verify = cloud_context(settings.cloud_ca_file, known, clock)
        answer = httpx.get(f"{settings.cloud_url.rstrip('/')}/healthz", timeout=TIMEOUT_S, verify=verify)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, IdentityError) as error:
        return Finding(
            "cloud", False, f"{settings.cloud_url}: {error}", "see cloud_url and the network; check-ins work without"
        )
    seen = f"{settings.cloud_url} answers {answer.status_code}"
    return Finding("cloud", answer.is_success, seen, "" if answer.is_success else "see cloud_url, and the cloud's log")


def _is_readable_on_the_way(url: str) -> bool:
    """Plain HTTP to anywhere but this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    with contextlib.suppress(ValueError):
        return not ipaddress.ip_address(parts.hostname or "").is_loopback
    return parts.hostname != "localhost"
