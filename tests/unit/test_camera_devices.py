"""A device's frames: all fetched, some decoded, and its end noticed. Over a fake of OpenCV's capture."""

from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edge.kiosk import sources
from edge.kiosk.sources import MAX_FAILURES, Device, Folder, Pace, Video, grey, open_source


class Capture:
    """What `cv2.VideoCapture` does: `grabs` frames, of which the first `broken` cannot be decoded."""

    def __init__(self, grabs: int, broken: int = 0, *, opened: bool = True) -> None:
        self.grabs, self.broken, self.opened = grabs, broken, opened
        self.grabbed = self.retrieved = 0
        self.settings: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opened

    def set(self, key: int, value: float) -> bool:
        self.settings[key] = value
        return True

    def get(self, key: int) -> float:
        return 0.0 if key == cv2.CAP_PROP_FPS else -1.0

    def grab(self) -> bool:
        self.grabbed += 1
        return self.grabbed <= self.grabs

    def retrieve(self) -> tuple[bool, Any]:
        self.retrieved += 1
        return (True, np.zeros((2, 3, 3), np.uint8)) if self.retrieved > self.broken else (False, None)

    def read(self) -> tuple[bool, Any]:
        return self.retrieve() if self.grab() else (False, None)

    def release(self) -> None:
        self.released = True


def device(capture: Capture, frames_per_s: float = 1e6) -> Device:
    return Device(cast("cv2.VideoCapture", capture), frames_per_s)


def test_device_gives_grey_frames_until_it_is_gone() -> None:
    capture = Capture(2)
    source = device(capture)
    first = source.read()
    assert first is not None
    assert first.shape == (2, 3)
    assert source.read() is not None
    assert source.read() is None
    source.close()
    assert capture.released


def test_frames_beyond_the_rate_are_fetched_but_not_decoded() -> None:
    capture = Capture(1000)
    source = device(capture, frames_per_s=1e-3)
    assert source.read() is not None
    assert source.read() is None
    assert (capture.grabbed, capture.retrieved) == (1001, 1)


def test_some_broken_frames_are_passed_over() -> None:
    assert device(Capture(10, broken=MAX_FAILURES - 1)).read() is not None


def test_device_of_broken_frames_counts_as_gone() -> None:
    capture = Capture(1000, broken=1000)
    assert device(capture).read() is None
    assert capture.retrieved == MAX_FAILURES


def test_device_is_asked_for_compressed_frames_and_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, capture = tmp_path / "video0", Capture(1)
    asked: list[tuple[object, ...]] = []

    def opened(*names: object) -> Capture:
        asked.append(names)
        return capture

    node.touch()
    monkeypatch.setattr(sources, "DEVICES", f"{tmp_path}/")
    monkeypatch.setattr(cv2, "VideoCapture", opened)
    assert isinstance(open_source(str(node), 640, 480, 10), Device)
    assert asked == [(str(node), cv2.CAP_V4L2)]
    assert capture.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert (capture.settings[cv2.CAP_PROP_FRAME_WIDTH], capture.settings[cv2.CAP_PROP_BUFFERSIZE]) == (640, 1)


def test_device_that_another_program_holds_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video3").touch()
    monkeypatch.setattr(sources, "DEVICES", f"{tmp_path}/")
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: Capture(0, opened=False))
    assert open_source("3", 640, 480, 10) is None


def test_video_that_cannot_be_rewound_ends() -> None:
    video = Video(cast("cv2.VideoCapture", Capture(0)))
    assert video.read() is None


def test_empty_and_missing_folders_give_no_frame(tmp_path: Path) -> None:
    assert Folder(tmp_path, 10).read() is None
    assert Folder(tmp_path / "missing", 10).read() is None


def test_pace_does_not_catch_up_what_was_late() -> None:
    pace = Pace(1e-3)
    assert pace.due()
    assert not pace.due()


def test_grey_frames_stay_as_they_are() -> None:
    frame = np.zeros((2, 3), np.uint8)
    assert grey(frame) is frame
