"""The kiosk's camera: frames from a V4L2 device, a looping video file or a folder of pictures.

Promises the newest frame only (one slot, no queue) and to come back by itself after a camera was unplugged or
its driver hung. Called by `eyes` and `scan`; no frame is ever written anywhere.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from edge.kiosk.sources import FrameSource, open_source

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HUNG_AFTER_S = 12.0  # OpenCV's own V4L2 time-out is 10 s
MAX_HUNG = 3  # threads given up; with so many, no further attempt until one returns
RATE_WINDOW = 30  # frames over which frames/s is taken


class CameraState(StrEnum):
    """What the screen and the doctor say about the camera."""

    STOPPED = "stopped"
    SEARCHING = "searching"  # not there, or lost: tried again after a pause
    RUNNING = "running"
    HUNG = "hung"  # the driver does not return


@dataclass(frozen=True)
class Frame:
    """A grey picture, its number (from 1, over reconnections), and time.monotonic() when it was captured."""

    number: int
    captured_mono_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class CameraStatistics:
    """A moment's figures; instants are aware UTC."""

    state: CameraState
    frames: int
    frames_per_s: float
    openings: int  # successful ones: 1 for a camera that was never lost
    last_frame_at: datetime | None
    last_decode_at: datetime | None


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Camera:
    """Captures in a thread of its own between `start` and `stop`.

    `source`: a device number ("0") or path ("/dev/video0"), a video file (looped at its own frame rate), or a
    folder of pictures (shown in the order of their names, one per 1/`frames_per_s`). At most `frames_per_s`
    frames a second are decoded from a device; the others are thrown away undecoded.
    """

    def __init__(
        self,
        source: str,
        *,
        width: int = 1280,
        height: int = 720,
        frames_per_s: float = 10.0,
        hung_after_s: float = HUNG_AFTER_S,
        first_pause_s: float = FIRST_PAUSE_S,
        now: Callable[[], datetime] = _utc_now,
        opener: Callable[[], FrameSource | None] | None = None,
    ) -> None:
        self._opener = opener or (lambda: open_source(source, width, height, frames_per_s))
        self._hung_after_s, self._first_pause_s = hung_after_s, first_pause_s
        self._now = now
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._capture = 0  # which capture thread may deliver: an abandoned one finds another number here
        self._ended = True
        self._hung = 0
        self._frame: Frame | None = None
        self._numbers = 0
        self._openings = 0
        self._progress_mono_s = 0.0
        self._times: deque[float] = deque(maxlen=RATE_WINDOW)
        self._state = CameraState.STOPPED
        self._last_frame_at: datetime | None = None
        self._last_decode_at: datetime | None = None

    def start(self) -> None:
        """Begin to capture; returns at once, whether or not a camera is there."""
        if self._supervisor is not None:
            raise RuntimeError("the camera was started before")
        self._stopping.clear()
        self._state = CameraState.SEARCHING
        self._supervisor = threading.Thread(target=self._supervise, name="camera", daemon=True)
        self._supervisor.start()

    def stop(self) -> None:
        """End capturing and release the device; a hung driver is left behind after 2 s."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        if self._supervisor is not None:
            self._supervisor.join()
        self._supervisor = None
        with self._changed:
            self._changed.wait_for(lambda: self._ended, 2.0)
            self._capture += 1
            self._state, self._frame = CameraState.STOPPED, None

    def latest(self, after: int, timeout_s: float) -> Frame | None:
        """The newest frame with a number above `after`, waiting up to `timeout_s` for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._fresh(after) or self._stopping.is_set(), timeout_s)
            return self._frame if self._fresh(after) else None

    def decoded(self) -> None:
        """Note that a code was read from one of the frames."""
        with self._changed:
            self._last_decode_at = self._now()

    def statistics(self) -> CameraStatistics:
        """The camera's figures now; the rate is 0 once no frame came for two seconds."""
        with self._changed:
            times = list(self._times)
            flowing = len(times) > 1 and time.monotonic() - times[-1] < 2.0 and times[-1] > times[0]
            rate = (len(times) - 1) / (times[-1] - times[0]) if flowing else 0.0
            return CameraStatistics(
                self._state, self._numbers, rate, self._openings, self._last_frame_at, self._last_decode_at
            )

    def _fresh(self, after: int) -> bool:
        return self._frame is not None and self._frame.number > after

    def _supervise(self) -> None:
        """Start captures, one after the other, with growing pauses; give up those that hang."""
        failures = 0
        while not self._stopping.is_set():
            frames_before = self._numbers
            hung = self._run_capture()
            failures = 0 if self._numbers > frames_before else failures + 1
            self._lost(CameraState.HUNG if hung else CameraState.SEARCHING)
            self._pause(failures)

    def _lost(self, state: CameraState) -> None:
        with self._changed:
            was, self._state, self._frame = self._state, state, None
        if was is not state and not self._stopping.is_set():
            log.warning("No pictures from the camera: %s", state)

    def _run_capture(self) -> bool:
        """One capture from opening to its end; True when it had to be given up."""
        with self._changed:
            self._capture += 1
            self._ended = False
            self._progress_mono_s = time.monotonic()
            number = self._capture
        threading.Thread(target=self._capture_frames, args=(number,), name="camera-read", daemon=True).start()
        with self._changed:
            while not self._ended and not self._stopping.is_set():
                left_s = self._progress_mono_s + self._hung_after_s - time.monotonic()
                if left_s <= 0:
                    self._capture += 1
                    self._hung += 1
                    return True
                self._changed.wait(left_s)
        return False

    def _pause(self, failures: int) -> None:
        """Wait before the next attempt: doubling, capped, and spread by chance over its upper half."""
        longest_s = min(LONGEST_PAUSE_S, self._first_pause_s * 2 ** min(failures, 10))
        pause_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads attempts, protects nothing
        while not self._stopping.wait(pause_s) and self._hung >= MAX_HUNG:
            pause_s = LONGEST_PAUSE_S

    def _capture_frames(self, number: int) -> None:
        source: FrameSource | None = None
        try:
            source = self._opener()
            if source is not None and self._opened(number):
                while (image := source.read()) is not None and self._deliver(number, image):
                    pass
        except Exception:  # the thread's outermost: whatever a driver did, the camera is tried again
            log.exception("The camera failed")
        finally:
            if source is not None:
                source.close()
            with self._changed:
                if number == self._capture:
                    self._ended = True
                else:
                    self._hung = max(0, self._hung - 1)
                self._changed.notify_all()

    def _opened(self, number: int) -> bool:
        with self._changed:
            self._openings += number == self._capture
            self._progress_mono_s = time.monotonic()
            return number == self._capture and not self._stopping.is_set()

    def _deliver(self, number: int, image: NDArray[np.uint8]) -> bool:
        """Put the frame into the slot; False when this capture should end."""
        with self._changed:
            if number != self._capture or self._stopping.is_set():
                return False
            self._numbers += 1
            self._progress_mono_s = time.monotonic()
            self._times.append(self._progress_mono_s)
            self._last_frame_at = self._now()
            self._frame = Frame(self._numbers, self._progress_mono_s, image)
            self._state = CameraState.RUNNING
            self._changed.notify_all()
            return True
