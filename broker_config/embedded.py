"""The embedded broker: rumqttd out of the iotcore wheel, for demo, smoke test and trials on one machine.

It listens on 127.0.0.1 only, having no access rules: who has a password may read and write every topic.
It keeps nothing over a restart, and reads its users once, at the start.
Run by `python -m broker_config embedded`.
"""

import json
import logging
import signal
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from iotcore import IotCoreBroker
from pydantic import TypeAdapter, ValidationError

HOST = "127.0.0.1"
MAX_PAYLOAD_BYTES = 1024 * 1024
MAX_INFLIGHT = 200
MAX_CONNECTIONS = 10_000
CONNECT_TIMEOUT_MS = 10_000

SEGMENT_BYTES = 4 * 1024 * 1024
SEGMENT_COUNT = 4
"""Of a subscription's log the newest 16 MiB stay. What a slow reader loses so, its terminal sends again."""

_READY_WITHIN_S = 10.0
_Users = TypeAdapter(dict[str, str])


class EmbeddedBrokerError(Exception):
    """The broker cannot start as asked, in one sentence for a person. A retry helps only for a busy port."""


def read_users(path: Path) -> dict[str, str]:
    """User names to passwords, from a JSON object that nobody but its owner may read (mode 0600)."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text("utf-8")
    except OSError as error:
        raise EmbeddedBrokerError(f"Cannot read the users file {path}: {error.strerror}.") from error
    if mode & 0o077:
        raise EmbeddedBrokerError(f"The users file {path} is open to others (mode {mode:04o}): chmod 600 it.")
    try:
        users = _Users.validate_json(text, strict=True)
    except ValidationError as error:
        raise EmbeddedBrokerError(f'The users file {path} is not JSON like {{"name": "password"}}.') from error
    if not users or not all(name and password for name, password in users.items()):
        raise EmbeddedBrokerError(f"The users file {path} names nobody, or has an empty name or password.")
    return users


def rumqttd_toml(port: int, users: Mapping[str, str]) -> str:
    """rumqttd's configuration: one MQTT 5 listener on loopback."""
    auth = "\n".join(f"{_quoted(name)} = {_quoted(password)}" for name, password in users.items())
    return f"""
id = 0

[router]
id = 0
max_connections = {MAX_CONNECTIONS}
max_outgoing_packet_count = {MAX_INFLIGHT}
max_segment_size = {SEGMENT_BYTES}
max_segment_count = {SEGMENT_COUNT}

[v5.1]
name = "mqtt5"
listen = "{HOST}:{port}"
next_connection_delay_ms = 0

[v5.1.connections]
connection_timeout_ms = {CONNECT_TIMEOUT_MS}
max_payload_size = {MAX_PAYLOAD_BYTES}
max_inflight_count = {MAX_INFLIGHT}
dynamic_filters = true

[v5.1.connections.auth]
{auth}
"""


def serve(port: int, users: Mapping[str, str], ready: Callable[[], None]) -> None:
    """Run the broker until SIGTERM or SIGINT, and call `ready` once it accepts connections.

    Must be called in the main thread. Raises EmbeddedBrokerError when the port is taken.
    """
    _quieten()
    # Blocked before the broker's threads exist: they inherit it, and only sigwait() sees the signals.
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    broker = _configured(port, users)
    try:
        broker.check_ports()
    except OSError as error:
        raise EmbeddedBrokerError(f"Port {port} of {HOST} is taken: choose another with --port.") from error
    broker.start()
    if not _accepts(port):
        raise EmbeddedBrokerError(f"Nothing answers on port {port} of {HOST}: choose another with --port.")
    ready()
    signal.sigwait(stop_signals)


def _quoted(text: str) -> str:
    """A TOML basic string: as JSON writes it, but DEL escaped and no surrogate pairs (TOML 1.0, String)."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _configured(port: int, users: Mapping[str, str]) -> IotCoreBroker:
    """rumqttd reads its configuration from a file: here one of mode 0600 (mkstemp(3)), gone right after."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as file:
        file.write(rumqttd_toml(port, users))
        file.flush()
        return IotCoreBroker(config_path=file.name)


def _accepts(port: int) -> bool:
    pause = threading.Event()
    for _ in range(int(_READY_WITHIN_S / 0.02)):
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            pause.wait(0.02)
        else:
            return True
    return False


def _quieten() -> None:
    """rumqttd opens a span at level ERROR for every packet, and its spans arrive as log records."""
    for name in ("rumqttd", "tracing"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
