"""Where frames come from: a V4L2 device, a video file, a folder of pictures.

`open_source` gives None for what is not there, never an exception; `read` gives None when it is gone.
Called by `camera`, in its capture thread only.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
DEVICES = "/dev/"
MAX_PICTURES = 10_000  # of one folder
MAX_FAILURES = 5  # frames in a row that may be broken before a device counts as gone


class FrameSource(Protocol):
    """Something that gives grey pictures until it gives None."""

    def read(self) -> NDArray[np.uint8] | None:
        """The next picture, waiting for it; None when there is no more."""

    def close(self) -> None:
        """Let go of the device or file."""


def open_source(source: str, width: int, height: int, frames_per_s: float) -> FrameSource | None:
    """A device by number or path, a folder, or a video file; None when it is not there or cannot be read."""
    path = Path(source)
    if source.isdecimal() or source.startswith(DEVICES):
        return _open_device(source, width, height, frames_per_s)
    if path.is_dir():
        return Folder(path, frames_per_s)
    if not path.is_file():
        return None
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    return Video(capture) if capture.isOpened() else None


def _open_device(source: str, width: int, height: int, frames_per_s: float) -> FrameSource | None:
    device: int | str = int(source) if source.isdecimal() else source
    node = Path(f"{DEVICES}video{source}" if source.isdecimal() else source)
    if not node.exists():  # OpenCV would only warn on stderr, once per attempt
        return None
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)  # type: ignore[call-overload,unused-ignore]
    if not capture.isOpened():
        return None
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # raw 720p does not fit USB 2
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return Device(capture, frames_per_s)


class Device:
    """A live camera. Every frame is fetched, so that none is stale; `frames_per_s` of them are decoded."""

    def __init__(self, capture: cv2.VideoCapture, frames_per_s: float) -> None:
        self._capture = capture
        self._pace = Pace(frames_per_s)

    def read(self) -> NDArray[np.uint8] | None:
        """The first frame once the last one is 1/`frames_per_s` old."""
        for _ in range(MAX_FAILURES):
            if not self._fetched():
                return None
            done, image = self._capture.retrieve()
            if done:
                return grey(image)
        return None

    def _fetched(self) -> bool:
        """Let frames go by until one is due; False when the device gives no more."""
        while self._capture.grab():
            if self._pace.due():
                return True
        return False

    def close(self) -> None:
        """Release the device."""
        self._capture.release()


class Video:
    """A video file from its beginning to its end and again, at its own frame rate."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        rate = capture.get(cv2.CAP_PROP_FPS)
        self._pace = Pace(rate if 1 <= rate <= 120 else 10.0)

    def read(self) -> NDArray[np.uint8] | None:
        """The next frame at its time; after the last the first."""
        done, image = self._capture.read()
        if not done:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            done, image = self._capture.read()
        if not done:
            return None
        self._pace.wait()
        return grey(image)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class Folder:
    """The pictures of a folder by name, over and over; read anew each round, so pictures may come and go."""

    def __init__(self, path: Path, frames_per_s: float) -> None:
        self._path = path
        self._pace = Pace(frames_per_s)
        self._left: list[Path] = []

    def read(self) -> NDArray[np.uint8] | None:
        """The next picture that can be read; None when the folder is gone or holds none."""
        for attempt in range(2):
            while self._left:
                image = _load(self._left.pop(0))
                if image is not None:
                    self._pace.wait()
                    return image
            if attempt == 0:
                self._left = self._listing()
        return None

    def close(self) -> None:
        """Nothing is held open."""

    def _listing(self) -> list[Path]:
        try:
            names = sorted(p for p in self._path.iterdir() if p.suffix.lower() in PICTURES)
        except OSError:
            return []
        return names[:MAX_PICTURES]


class Pace:
    """Keeps a rate by the monotonic clock; what was late is not caught up."""

    def __init__(self, per_s: float) -> None:
        self._period_s = 1 / per_s
        self._next_mono_s = time.monotonic()

    def due(self) -> bool:
        """Whether the next one's time has come; if so the one after is planned."""
        now_s = time.monotonic()
        if now_s < self._next_mono_s:
            return False
        self._next_mono_s = max(self._next_mono_s + self._period_s, now_s)
        return True

    def wait(self) -> None:
        """Sleep until the next one's time."""
        time.sleep(max(0.0, self._next_mono_s - time.monotonic()))
        self.due()


def grey(image: Any) -> NDArray[np.uint8]:
    """One channel of bytes, from what OpenCV captured."""
    return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image)


def _load(path: Path) -> NDArray[np.uint8] | None:
    from edge.kiosk.pictures import PictureError, load_grey

    try:
        return load_grey(path)
    except PictureError:
        return None
