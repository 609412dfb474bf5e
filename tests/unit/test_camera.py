"""The camera's life over sources that end, fail, hang and come back."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.kiosk.camera import Camera, CameraState, Frame

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PATIENCE_S = 10.0


class Tape:
    """A source that gives `frames` pictures of one brightness each, then None.

    From picture number `hold_from` on it waits for `hold` first.
    """

    def __init__(self, frames: int, hold: threading.Event | None = None, hold_from: int = 1) -> None:
        self._left = iter(range(1, frames + 1))
        self._hold, self._hold_from = hold, hold_from
        self.closed = threading.Event()

    def read(self) -> NDArray[np.uint8] | None:
        value = next(self._left, None)
        if self._hold is not None and (value is None or value >= self._hold_from):
            assert self._hold.wait(PATIENCE_S)
        return None if value is None else np.full((4, 4), value % 256, np.uint8)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def cameras() -> Iterator[Callable[..., Camera]]:
    made: list[Camera] = []

    def make(sources: list[Tape | None], hung_after_s: float = PATIENCE_S) -> Camera:
        left = iter(sources)
        camera = Camera(
            "tape",
            opener=lambda: next(left, None),
            now=lambda: NOON,
            first_pause_s=0.01,
            hung_after_s=hung_after_s,
        )
        made.append(camera)
        return camera

    yield make
    for camera in made:
        camera.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.005)


def frame_of(camera: Camera, after: int) -> Frame:
    frame = camera.latest(after, PATIENCE_S)
    assert frame is not None
    return frame


def test_latest_gives_only_the_newest_frame(cameras: Callable[..., Camera]) -> None:
    paused = threading.Event()
    camera = cameras([Tape(5, paused, hold_from=6)])
    camera.start()
    wait_until(lambda: camera.statistics().frames == 5)
    assert frame_of(camera, 0).number == 5
    assert frame_of(camera, 4).image[0, 0] == 5
    paused.set()


def test_latest_waits_no_longer_than_asked(cameras: Callable[..., Camera]) -> None:
    camera = cameras([None])
    camera.start()
    assert camera.latest(0, 0.01) is None


def test_latest_gives_no_frame_twice(cameras: Callable[..., Camera]) -> None:
    hold = threading.Event()
    hold.set()
    camera = cameras([Tape(10**6, hold)])
    camera.start()
    first = frame_of(camera, 0)
    assert frame_of(camera, first.number).number > first.number


def test_missing_camera_is_searched_for_without_an_exception(cameras: Callable[..., Camera]) -> None:
    camera = cameras([None, None, Tape(3)])
    camera.start()
    wait_until(lambda: camera.statistics().frames == 3)
    assert camera.statistics().openings == 1


def test_unplugged_camera_is_opened_again_and_numbers_go_on(cameras: Callable[..., Camera]) -> None:
    lost = Tape(2)
    camera = cameras([lost, None, Tape(2)])
    camera.start()
    wait_until(lambda: camera.statistics().frames == 4)
    assert lost.closed.is_set()
    assert camera.statistics().openings == 2


def test_lost_camera_leaves_no_old_frame_behind(cameras: Callable[..., Camera]) -> None:
    camera = cameras([Tape(2)])
    camera.start()
    wait_until(lambda: camera.statistics().frames == 2 and camera.statistics().state is CameraState.SEARCHING)
    assert camera.latest(0, 0.0) is None


def test_hung_camera_is_given_up_and_another_attempt_made(cameras: Callable[..., Camera]) -> None:
    never = threading.Event()
    hung = Tape(1, never)
    camera = cameras([hung, Tape(3)], hung_after_s=0.05)
    camera.start()
    wait_until(lambda: camera.statistics().frames == 3)
    never.set()
    assert hung.closed.wait(PATIENCE_S)
    assert camera.statistics().frames == 3, "a frame of the abandoned capture was delivered"


def test_hung_attempts_are_bounded(cameras: Callable[..., Camera]) -> None:
    never = threading.Event()
    opened = count()
    tapes = [Tape(1, never) for _ in range(50)]

    def opener() -> Tape:
        return tapes[next(opened)]

    camera = Camera("tape", opener=opener, hung_after_s=0.02, first_pause_s=0.001)
    camera.start()
    try:
        wait_until(lambda: next(opened) >= 3)
        assert camera.latest(0, 0.3) is None
        assert next(opened) <= 8  # three hung, and the four looks of this test
    finally:
        never.set()
        camera.stop()


def test_source_that_raises_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Tape):
        def read(self) -> NDArray[np.uint8] | None:
            raise OSError("the driver went away")

    tapes = iter([Broken(1), Tape(1)])
    camera = Camera("tape", opener=lambda: next(tapes, None), first_pause_s=0.001)
    camera.start()
    wait_until(lambda: camera.statistics().frames == 1)
    camera.stop()
    assert "the driver went away" in caplog.text


def test_statistics_name_last_frame_and_last_decode(cameras: Callable[..., Camera]) -> None:
    camera = cameras([Tape(3)])
    assert camera.statistics().state is CameraState.STOPPED
    assert camera.statistics().last_frame_at is None
    camera.start()
    wait_until(lambda: camera.statistics().frames == 3)
    camera.decoded()
    figures = camera.statistics()
    assert (figures.last_frame_at, figures.last_decode_at) == (NOON, NOON)


def test_stop_closes_the_source_and_can_be_repeated(cameras: Callable[..., Camera]) -> None:
    tape = Tape(10**6)
    camera = cameras([tape])
    camera.start()
    frame_of(camera, 0)
    camera.stop()
    assert tape.closed.wait(PATIENCE_S)
    camera.stop()
    assert camera.statistics().state is CameraState.STOPPED


def test_stopped_camera_can_be_started_again(cameras: Callable[..., Camera]) -> None:
    camera = cameras([Tape(10**6), Tape(10**6)])
    camera.start()
    first = frame_of(camera, 0)
    camera.stop()
    camera.start()
    assert frame_of(camera, first.number).number > first.number


def test_starting_twice_is_refused(cameras: Callable[..., Camera]) -> None:
    camera = cameras([Tape(1)])
    camera.start()
    with pytest.raises(RuntimeError):
        camera.start()
