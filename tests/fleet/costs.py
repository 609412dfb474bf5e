"""What each kind of process costs: CPU time over a span, resident memory, open files. Called by the driver."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True)
class Spent:
    """CPU seconds by kind of process, until a moment of the monotonic clock."""

    at_s: float
    cpu_s: Mapping[str, float]

    def cores_since(self, earlier: "Spent") -> dict[str, float]:
        """Cores in use between the two, by kind."""
        span_s = max(self.at_s - earlier.at_s, 1e-9)
        return {kind: round((spent - earlier.cpu_s.get(kind, 0.0)) / span_s, 3) for kind, spent in self.cpu_s.items()}


class Meter:
    """Over the processes of each kind, with all their children."""

    def __init__(self, pids: Mapping[str, list[int]]) -> None:
        self._pids = pids

    def spent(self) -> Spent:
        """CPU time until now."""
        return Spent(time.monotonic(), {kind: sum(map(_cpu_s, self._of(kind))) for kind in self._pids})

    def memory_mb(self) -> dict[str, float]:
        """Resident, MiB."""
        return {kind: round(sum(map(_resident, self._of(kind))) / MIB, 1) for kind in self._pids}

    def open_files(self) -> dict[str, int]:
        """File descriptors, sockets among them."""
        return {kind: sum(map(_open_files, self._of(kind))) for kind in self._pids}

    def _of(self, kind: str) -> list[psutil.Process]:
        found = []
        for pid in self._pids[kind]:
            process = psutil.Process(pid)
            own = pid == os.getpid()  # the driver, whose children are all the others
            found += [process] if own else [process, *process.children(recursive=True)]
        return found


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _resident(process: psutil.Process) -> float:
    try:
        return float(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0.0


def _open_files(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except psutil.NoSuchProcess:
        return 0
