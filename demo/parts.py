"""The commands that the demo spawns: each a process with a log file, ended in the reverse order of its start.

A part that does not come up is reported with the end of its log. Called by the demo and the smoke test.
"""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
STOP_WITHIN_S = 20.0
LOG_TAIL_LINES = 15
LOG_TAIL_CHARACTERS = 400


class PartError(Exception):
    """A part did not come up, or went away; the message is for a person."""


@dataclass
class Part:
    """One command. ``name`` is what a person reads; ``log`` takes all it prints, mode 0600."""

    name: str
    arguments: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self, ready: Callable[[], bool], within_s: float = 30.0) -> None:
        """Spawn it and return when ``ready()``; PartError with the end of its log otherwise."""
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C reaches the demo, which ends its parts in order
            )
        if not wait_until(lambda: not self.running or ready(), within_s) or not self.running:
            self.kill()
            raise PartError(f"The {self.name} did not come up. The end of {self.log}:\n{self.log_tail()}")

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.process is not None and self.process.poll() is None

    def stop(self) -> None:
        """Ask it to end, and kill it where it does not within 20 s."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process = None

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def log_tail(self) -> str:
        """The last lines of its log, the end of each: where a traceback says what it was."""
        lines = self.log.read_text("utf-8", "replace").splitlines()[-LOG_TAIL_LINES:]
        return "\n".join(line[-LOG_TAIL_CHARACTERS:] for line in lines)


def wait_until(holds: Callable[[], bool], within_s: float, every_s: float = 0.05) -> bool:
    """Poll until ``holds()``; whether it did so in time."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def accepts(port: int) -> bool:
    """Whether something listens on this loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def busy(port: int) -> bool:
    """Whether this loopback port cannot be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def free_ports(count: int) -> list[int]:
    """Ports below the ephemeral range, where no client of ours can be given one by chance before its part takes it."""
    start = 15_000 + os.getpid() * 7 % 8_000
    free = (port for port in range(start, 32_000) if not busy(port) and not accepts(port))
    return list(itertools.islice(free, count))
