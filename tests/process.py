"""A server's process and its loopback port: what every real server of the tests is made of.

Promises that what was started here is stopped here, and that a failure shows the end of the server's log.
Used by tests/servers.py, and by tests that spawn our own commands.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

ROOT = Path(__file__).parent.parent
HOST = "127.0.0.1"
START_WITHIN_S = 20.0
STOP_WITHIN_S = 20.0
RUN_WITHIN_S = 120.0
"""For a command that runs to its end: a backup on a busy machine takes its time."""


class ServerError(RuntimeError):
    """A server did not do what was asked in time; the message ends with the last lines of its log."""


def free_port() -> int:
    """A port nobody listens on, below the kernel's ephemeral range.

    From that range, a client that dials a stopped server could be given the very port it dials, connect to
    itself, and keep the server from starting again. Test processes that run side by side draw from ports of their own.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    own = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = random.randrange(15_000 + own, max(lowest, 25_000), workers)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port


def wait_until(holds: Callable[[], bool], within_s: float = START_WITHIN_S, every_s: float = 0.02) -> bool:
    """Poll until `holds()`; whether it did so before the deadline."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


def accepts(port: int) -> bool:
    """Whether something accepts connections on this loopback port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def find_program(name: str, package: str, *folders: Path) -> Path:
    """Path of a program, in `folders` or on PATH; ServerError with what installs it when it is missing."""
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    if found := shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"):
        return Path(found)
    raise ServerError(f"{name} is not installed. Run: sudo apt-get install -y --no-install-recommends {package}")


class Process:
    """One server process with its log file; knows how to start, stop and kill it, not what it serves."""

    def __init__(self, log_path: Path) -> None:
        self.log_path = log_path
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def pid(self) -> int:
        """Process id; ServerError when it was not started."""
        if self._popen is None:
            raise ServerError("not started")
        return self._popen.pid

    def spawn(self, command: list[str], *, ready: Callable[[], bool], user: str | None = None) -> None:
        """Start it and return when `ready()`; ServerError with its log when it ends or takes too long."""
        self._begin(command, user)
        if not wait_until(lambda: not self.running or ready()) or not self.running:
            self.kill()
            raise ServerError(f"{' '.join(command)} did not start:\n{self.log_tail()}")

    def _begin(self, command: list[str], user: str | None) -> None:
        if self.running:
            raise ServerError(f"already running: {command[0]}")
        groups: list[str | int] | None = None if user is None else []
        with self.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=ROOT if user is None else self.log_path.parent,
                start_new_session=True,  # Ctrl-C is for the test, which stops its servers in order
                user=user,
                group=user,
                extra_groups=groups,
            )

    def run(self, command: list[str], *, user: str | None = None) -> None:
        """Run it to its end; ServerError with the log's end when its exit status is not 0."""
        self._begin(command, user)
        status = self.wait(RUN_WITHIN_S)
        if status != 0:
            raise ServerError(f"{' '.join(command)} ended with {status}:\n{self.log_tail()}")

    def wait(self, within_s: float = STOP_WITHIN_S) -> int:
        """Wait for it to end; its exit status. ServerError when it took longer, and was killed."""
        if self._popen is None:
            raise ServerError("not started")
        try:
            return self._popen.wait(within_s)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise ServerError(f"did not end within {within_s:g} s:\n{self.log_tail()}") from error

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to stop and wait; its exit status, None when it was not running. ServerError if it stays."""
        if self._popen is None:
            return None
        self._popen.send_signal(with_signal)
        status = self.wait()
        self._popen = None
        return status

    def kill(self) -> None:
        """SIGKILL it and all its children, as a cut of power would, and reap it."""
        popen, self._popen = self._popen, None
        if popen is None:
            return
        children: list[psutil.Process] = []
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(popen.pid).children(recursive=True)
        popen.kill()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        popen.wait()
        psutil.wait_procs(children, timeout=STOP_WITHIN_S)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, SIGSTOP and SIGCONT among them."""
        os.kill(self.pid, number)

    def log(self) -> str:
        """All it has said since the first start."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = 15) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


class Server(ABC):
    """A server with a process, which `with` starts and closes."""

    process: Process

    @abstractmethod
    def start(self) -> None: ...

    def stop(self) -> None:
        """Ask it to stop, and wait until it is gone."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL, children included; returns when they are gone."""
        self.process.kill()

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop it for good."""
        self.stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
