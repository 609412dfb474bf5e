"""The terminal's clocks: wall clock, time since boot, and how far the wall clock is trusted.

Promises integer microseconds (UTC) and milliseconds of CLOCK_BOOTTIME, as the contract wants them.
Called by everything that makes a record or sends a batch.
"""

import ctypes
import time
import uuid
from pathlib import Path
from typing import Any, Final

from firmware_specs.messages import Clock as Quality

OFFSET_FILE_VARIABLE: Final = "ROOMLINK_EDGE_CLOCK_OFFSET_FILE"
EARLIEST_US: Final = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z: this program did not exist before, so a clock that says so was never set."""

_STA_UNSYNC: Final = 0x0040  # adjtimex(2): the clock is not synchronised
_TIME_ERROR: Final = 5
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The machine's own clocks.

    ``trusted`` is for machines whose host keeps the time, where the kernel does not know it. ``offset_file`` holds
    microseconds to add to the wall clock and, after a blank, the quality to claim; it is read at each call (fault tests).
    """

    def __init__(self, *, trusted: bool = False, offset_file: Path | None = None) -> None:
        self.boot = boot_id()
        self._trusted = trusted
        self._offset_file = offset_file

    def now_us(self) -> int:
        """Wall clock: microseconds since 1970, UTC."""
        return time.time_ns() // 1000 + int(self._claimed()[0])

    def mono_ms(self) -> int:
        """Milliseconds since boot, suspended time included."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def quality(self) -> Quality:
        """`unset` before EARLIEST_US, `synced` where the kernel says so or ``trusted``, else `holdover`."""
        claimed = self._claimed()
        if len(claimed) > 1:
            return Quality(claimed[1])
        if self.now_us() < EARLIEST_US:
            return Quality.UNSET
        return Quality.SYNCED if self._trusted or kernel_clock_synced() else Quality.HOLDOVER

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
        if self._offset_file is None:
            return ["0"]
        try:
            return self._offset_file.read_text("ascii").split() or ["0"]
        except OSError:
            return ["0"]


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
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return str(uuid.uuid4())


def kernel_clock_synced() -> bool:
    """Whether the kernel's clock is disciplined by NTP or PTP (adjtimex(2), read only)."""
    buffer = ctypes.create_string_buffer(512)  # struct timex: modes 0 asks and changes nothing
    try:
        state: int = ctypes.CDLL(None).adjtimex(buffer)
    except (OSError, AttributeError):
        return False
    status = int.from_bytes(buffer.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return state >= 0 and state != _TIME_ERROR and not status & _STA_UNSYNC


# struct timex begins: unsigned modes; long offset, freq, maxerror, esterror; int status.
_STATUS_OFFSET: Final = ctypes.sizeof(ctypes.c_long) * 5
