"""Real files as cameras: generated videos and folders, through OpenCV, the gate and the decoder."""

import shutil
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import segno

from demo.video import write_room_video
from edge.kiosk import scan
from edge.kiosk.camera import Camera, CameraState, Frame
from edge.kiosk.eyes import sightings
from edge.kiosk.scan import scan_camera

PATIENCE_S = 20.0
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def cards(count: int) -> list[str]:
    """Texts as long as credentials."""
    rng = np.random.default_rng(count)
    return ["RL1:" + "".join(ALPHABET[i] for i in rng.integers(0, 45, 172)) for _ in range(count)]


@pytest.fixture
def started() -> Iterator[Callable[..., Camera]]:
    made: list[Camera] = []

    def start(source: Path | str, frames_per_s: float = 10.0) -> Camera:
        camera = Camera(str(source), frames_per_s=frames_per_s, first_pause_s=0.02)
        made.append(camera)
        camera.start()
        return camera

    yield start
    for camera in made:
        camera.stop()


def frame_of(camera: Camera, after: int = 0) -> Frame:
    frame = camera.latest(after, PATIENCE_S)
    assert frame is not None
    return frame


@pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
def test_every_card_of_a_generated_video_is_sighted_in_order(
    tmp_path: Path, started: Callable[..., Camera], size: tuple[int, int]
) -> None:
    texts, path = cards(3), tmp_path / "room.avi"
    write_room_video(path, texts, width=size[0], height=size[1], hold_s=1.5, pause_s=0.5)
    camera = started(path)
    stopping = threading.Event()
    seen = [sighting.text for sighting in islice(sightings(camera, stopping), 4)]
    assert seen == [*texts, texts[0]], "the video does not loop, or a card was told twice"
    assert camera.statistics().last_decode_at is not None


def test_video_keeps_its_own_rate(tmp_path: Path, started: Callable[..., Camera]) -> None:
    path = tmp_path / "room.avi"
    write_room_video(path, cards(1), width=320, height=240, frames_per_s=25)
    camera = started(path)
    first = frame_of(camera)
    later = frame_of(camera, first.number + 24)
    rate = (later.number - first.number) / (later.captured_mono_s - first.captured_mono_s)
    assert rate == pytest.approx(25, rel=0.2)
    assert camera.statistics().frames_per_s == pytest.approx(25, rel=0.2)


def test_frames_are_grey_and_of_the_videos_size(tmp_path: Path, started: Callable[..., Camera]) -> None:
    path = tmp_path / "room.avi"
    write_room_video(path, cards(1), width=320, height=240)
    image = frame_of(started(path)).image
    assert image.shape == (240, 320)
    assert image.dtype == np.uint8


def test_folder_shows_its_pictures_over_and_over_and_new_ones_too(
    tmp_path: Path, started: Callable[..., Camera]
) -> None:
    for name in ("B", "A"):
        segno.make_qr(name).save(str(tmp_path / f"{name}.png"), scale=8)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    camera = started(tmp_path, 20)
    stream = sightings(camera, threading.Event())
    assert [sighting.text for sighting in islice(stream, 3)] == ["A", "B", "A"]
    segno.make_qr("C").save(str(tmp_path / "C.png"), scale=8)
    assert "C" in [sighting.text for sighting in islice(stream, 6)]


def test_folder_that_goes_and_comes_back_is_recovered(tmp_path: Path, started: Callable[..., Camera]) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((40, 40), np.uint8))
    camera = started(folder, 50)
    number = frame_of(camera).number
    shutil.move(folder, tmp_path / "away")
    while (frame := camera.latest(number, 0.5)) is not None:
        number = frame.number
    assert camera.statistics().state is CameraState.SEARCHING
    shutil.move(tmp_path / "away", folder)
    assert frame_of(camera, number).number > number
    assert camera.statistics().openings == 2


@pytest.mark.parametrize("source", ["97", "/dev/video97", "no-such-video.avi"])
def test_missing_camera_is_searched_for_quietly(
    started: Callable[..., Camera], source: str, capfd: pytest.CaptureFixture[str]
) -> None:
    camera = started(source)
    assert camera.latest(0, 0.2) is None
    assert camera.statistics().state is CameraState.SEARCHING
    assert capfd.readouterr().err == ""


def test_file_that_is_no_video_is_no_camera(tmp_path: Path, started: Callable[..., Camera]) -> None:
    path = tmp_path / "text.avi"
    path.write_text("not a video")
    camera = started(path)
    assert camera.latest(0, 0.2) is None
    assert camera.statistics().openings == 0


def test_scan_prints_what_a_camera_sees(tmp_path: Path) -> None:
    texts, path = cards(2), tmp_path / "room.avi"
    write_room_video(path, texts, width=640, height=480, hold_s=1.0, pause_s=0.5)
    stopping = threading.Event()
    lines: list[str] = []

    class Output:
        def write(self, text: str) -> int:
            if text.strip():
                lines.append(text)
            if len(lines) == 2:
                stopping.set()
            return len(text)

        def flush(self) -> None:
            """Nothing is buffered."""

    scan_camera(str(path), stopping, output=Output())  # type: ignore[arg-type]
    assert lines == [f"{path}\t{text}" for text in texts]


def test_scan_names_a_missing_camera_and_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "FIRST_FRAME_S", 0.05)
    stopping = threading.Event()
    said: list[str] = []

    class Errors:
        def write(self, text: str) -> int:
            said.append(text)
            stopping.set()
            return len(text)

        def flush(self) -> None:
            """Nothing is buffered."""

    scan_camera("97", stopping, errors=Errors())  # type: ignore[arg-type]
    assert "".join(said) == "Camera 97 gives no picture; waiting for it.\n"


@pytest.mark.parametrize("count", [0, 201])
def test_video_of_no_or_too_many_cards_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="cards"):
        write_room_video(tmp_path / "room.avi", ["X"] * count)


def test_video_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot write"):
        write_room_video(tmp_path / "missing" / "room.avi", ["X"])
