"""The terminal's clocks: wall clock, time since boot, and how far the wall clock is trusted.

Promises integer microseconds (UTC) and milliseconds of CLOCK_BOOTTIME, as the contract wants them.
Called by everything that makes a record or sends a batch.
"""

import contextlib
import ctypes
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from firmware_specs.messages import Clock as Quality

OFFSET_FILE_VARIABLE: Final = "ROOMLINK_EDGE_CLOCK_OFFSET_FILE"
EARLIEST_US: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z: this program did not exist before, so a clock that says so was never set."""

_STA_UNSYNC: Final = 0x0040  # adjtimex(2): the clock is not synchronised
_STA_NANO: Final = 0x2000
_TIME_ERROR: Final = 5
_LONG: Final = ctypes.sizeof(ctypes.c_long)  # struct timex: modes, padded; offset, freq, maxerror, esterror; status
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_BATTERY_CLOCKS: Final = Path("/sys/class/rtc")


class Clock:
    """The machine's own clocks.

    ``trusted`` is for machines whose host keeps the time, where the kernel does not know it. ``marker`` is a file that
    remembers, over restarts of the agent, in which boot the clock was last seen synchronised. ``offset_file`` holds
    microseconds to add to the wall clock and, after a blank, the quality to claim; it is read at each call (fault tests).
    """

    def __init__(self, *, trusted: bool = False, marker: Path | None = None, offset_file: Path | None = None) -> None:
        self.boot = boot_id()
        self._trusted = trusted
        self._marker = marker
        self._offset_file = offset_file
        self._was_synced = _read(marker) == self.boot

    def now_us(self) -> int:
        """Wall clock: microseconds since 1970, UTC."""
        return time.time_ns() // 1000 + int(self._claimed()[0])

    def mono_ms(self) -> int:
        """Milliseconds since boot, suspended time included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def quality(self) -> Quality:
        """`synced`: NTP says so, or ``trusted``. `holdover`: it did in this boot, or a battery kept the time. Else `unset`."""
        claimed = self._claimed()
        if len(claimed) > 1:
            return Quality(claimed[1])
        if self.now_us() < EARLIEST_US:
            return Quality.UNSET
        if self._trusted:
            return Quality.SYNCED
        if kernel_time().synced:
            self._remember()
            return Quality.SYNCED
        return Quality.HOLDOVER if self._was_synced or has_battery_clock() else Quality.UNSET

    def _remember(self) -> None:
        if self._was_synced:
            return
        self._was_synced = True
        if self._marker is not None:
            with contextlib.suppress(OSError):
                self._marker.write_text(self.boot, "ascii")

    def stamp(self, config: tuple[int, int]) -> dict[str, Any]:
        """The fields that every record carries; ``config`` is the version of the twin it is made under."""
        return {
            "id": str(uuid.uuid4()),
            "at": self.now_us(),
            "boot": self.boot,
            "mono_ms": self.mono_ms(),
            "clock": self.quality(),
            "config": config,
        }

    def _claimed(self) -> list[str]:
        return _read(self._offset_file).split() or ["0"]


class SteppedClock(Clock):
    """A clock that moves when told to; for tests, the simulation and replays."""

    def __init__(self, wall_us: int = 1_795_420_800_000_000, quality: Quality = Quality.SYNCED) -> None:
        self.boot = str(uuid.uuid4())
        self.wall_us = wall_us
        self.since_boot_ms = 60_000
        self.claimed = quality

    def now_us(self) -> int:
        """Where it was stepped to."""
        return self.wall_us

    def mono_ms(self) -> int:
        """Where it was stepped to."""
        return self.since_boot_ms

    def quality(self) -> Quality:
        """What it was told to claim."""
        return self.claimed

    def step(self, seconds: float) -> None:
        """Let both clocks run on."""
        self.wall_us += int(seconds * 1_000_000)
        self.since_boot_ms += int(seconds * 1000)

    def set_wall(self, wall_us: int) -> None:
        """Set the wall clock; the time since boot stays."""
        self.wall_us = wall_us


def boot_id() -> str:
    """The kernel's id of this boot; a random one where there is no /proc."""
    return _read(_BOOT_ID).strip() or str(uuid.uuid4())


def has_battery_clock() -> bool:
    """Whether the machine has a clock that runs while it is off; without one, the time after a start is a guess."""
    return _BATTERY_CLOCKS.is_dir() and any(_BATTERY_CLOCKS.iterdir())


@dataclass(frozen=True, slots=True)
class KernelTime:
    """What the kernel says of its clock: disciplined by NTP or PTP, and the offset estimated last."""

    synced: bool
    offset_ms: float


def kernel_time() -> KernelTime:
    """Ask the kernel (adjtimex(2), read only); not synced where it cannot be asked."""
    buffer = ctypes.create_string_buffer(512)  # struct timex: modes 0 asks and changes nothing
    try:
        state: int = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return KernelTime(synced=False, offset_ms=0.0)
    offset = int.from_bytes(buffer.raw[_LONG : 2 * _LONG], "little", signed=True)
    status = int.from_bytes(buffer.raw[5 * _LONG : 5 * _LONG + 4], "little")
    per_ms = 1e6 if status & _STA_NANO else 1e3
    return KernelTime(0 <= state != _TIME_ERROR and not status & _STA_UNSYNC, offset / per_ms)


def _read(file: Path | None) -> str:
    """A small file's text; empty where there is none."""
    if file is None:
        return ""
    try:
        return file.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
