"""Samples of the terminal's health, one record every so many seconds; the first thing to go when space runs short.

Promises never to disturb a check-in: a sample that finds no room is simply not taken. Runs in a thread of its own, which also
tries a disk that refused to write, so that the state on the screen is true again once it is well. Started by the agent.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from edge.clock import Clock, kernel_time
from edge.errors import OutboxError
from edge.machine import Machine
from edge.outbox import Outbox
from firmware_specs.messages import Health

log = logging.getLogger(__name__)

PROBE_EVERY_S: Final = 2.0
MIB: Final = 1024 * 1024
MACHINE: Final = Machine()

Measure = Callable[[], Mapping[str, float]]
"""More metrics of a part of the terminal, such as its camera; names as in the terminal's profile."""


class HealthSampler:
    """The thread. ``every_s`` may be changed while it runs, by the twin."""

    def __init__(self, outbox: Outbox, clock: Clock, data_dir: Path, more: Measure | None = None) -> None:
        self.every_s = 60.0
        self._outbox = outbox
        self._clock = clock
        self._data_dir = data_dir
        self._more = more
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="health", daemon=True)

    def start(self) -> None:
        """Take the first sample at once."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def sample(self) -> None:
        """Take and keep one sample; where there is no room, none."""
        metrics = measure(self._outbox, self._clock, self._data_dir) | dict(self._more() if self._more else {})
        with contextlib.suppress(OutboxError):
            self._outbox.append([Health(**self._clock.stamp(self._outbox.config), metrics=metrics)])

    def _serve(self) -> None:
        psutil.cpu_percent()  # the first call only begins to measure
        due_s = time.monotonic()
        while not self._stopping.is_set():
            if time.monotonic() >= due_s:
                due_s = time.monotonic() + self.every_s
                try:
                    self.sample()
                except Exception:  # the thread's outermost loop: the next sample is another one
                    log.exception("the terminal's health could not be measured")
            with contextlib.suppress(OutboxError):
                self._outbox.probe()
            self._stopping.wait(max(0.0, min(PROBE_EVERY_S, due_s - time.monotonic())))


def measure(outbox: Outbox, clock: Clock, data_dir: Path, machine: Machine = MACHINE) -> dict[str, float]:
    """What every terminal measures; names and units are in its profile. What the machine does not tell is left out."""
    status = outbox.status()
    memory = psutil.virtual_memory()
    metrics = {
        "cpu_percent": psutil.cpu_percent(),
        "memory_percent": memory.percent,
        "memory_mb": psutil.Process().memory_info().rss / MIB,
        "uptime_s": clock.mono_ms() / 1000,
        "outbox_depth": float(status.depth),
    }
    kernel = kernel_time()
    if kernel.synced:
        metrics["clock_offset_ms"] = kernel.offset_ms
    if status.oldest_at_us is not None:
        metrics["outbox_age_s"] = max(0.0, (clock.now_us() - status.oldest_at_us) / 1e6)
    with contextlib.suppress(OSError):
        disk = psutil.disk_usage(str(data_dir))
        metrics |= {"disk_percent": disk.percent, "disk_free_bytes": float(disk.free)}
    metrics |= machine.power() | machine.network()
    hottest_c = hottest()
    if hottest_c is not None:
        metrics["temperature_c"] = hottest_c
    return metrics


def hottest() -> float | None:
    """The highest temperature that the machine tells, °C; None where it tells none."""
    with contextlib.suppress(OSError, AttributeError):
        sensors = psutil.sensors_temperatures()
        return max((reading.current for group in sensors.values() for reading in group), default=None)
    return None
