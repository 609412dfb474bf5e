"""What the decoder reads, in which order, and when it stops."""

from collections.abc import Callable
from itertools import count

import cv2
import numpy as np
import pytest
import segno
import zxingcpp
from numpy.typing import NDArray

from edge.kiosk.decoding import MAX_PIXELS, decode, read_all
from edge.kiosk.decoding.stages import STAGES

CARD = "RL1:6BFOXN*TS0BI$ZD4N9:9S6RCVN5+O30K3/XIV0W23NTDEMWK4MI6UOS03CR83KLBKAVN74.CH9UTV0:O9"
Picture = NDArray[np.uint8]


def code(text: str, scale: int = 4, level: str = "m") -> Picture:
    matrix = np.array([list(row) for row in segno.make_qr(text, error=level, boost_error=False).matrix])
    modules = np.pad(1 - matrix, 4, constant_values=1).astype(np.uint8) * 255
    return np.kron(modules, np.ones((scale, scale), np.uint8))


def placed(*codes: tuple[Picture, int, int], size: tuple[int, int] = (720, 1280)) -> Picture:
    """The codes on a grey wall, each with its top left corner at (x, y)."""
    wall = np.full(size, 140, np.uint8)
    for picture, x, y in codes:
        wall[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return wall


def ticking() -> Callable[[], float]:
    """A clock on which every look takes a second."""
    ticks = count()
    return lambda: float(next(ticks))


def test_clear_code_is_read_by_the_first_stage_with_its_centre() -> None:
    picture = code(CARD)
    reading = decode(placed((picture, 500, 200)), budget_s=1)
    assert reading is not None
    assert (reading.text, reading.stage) == (CARD, "plain")
    half = picture.shape[0] / 2
    assert reading.centre == pytest.approx((500 + half, 200 + half), abs=3)


def test_colour_picture_is_read() -> None:
    picture = cv2.cvtColor(placed((code(CARD), 500, 200)), cv2.COLOR_GRAY2BGR).astype(np.uint8)
    reading = decode(picture, budget_s=1)
    assert reading is not None
    assert reading.text == CARD


def test_nearest_the_centre_comes_first() -> None:
    picture = placed((code("FAR LEFT"), 20, 20), (code("NEAR"), 560, 300), (code("FAR RIGHT"), 1100, 500))
    texts = [reading.text for reading in read_all(picture, budget_s=1)]
    assert texts[0] == "NEAR"
    assert sorted(texts) == ["FAR LEFT", "FAR RIGHT", "NEAR"]


def test_empty_room_gives_nothing() -> None:
    assert decode(placed(), budget_s=1) is None


def test_other_formats_are_ignored() -> None:
    other = zxingcpp.create_barcode("NOT A QR CODE", zxingcpp.BarcodeFormat.Code128)
    image = np.array(other.to_image(scale=3), np.uint8)
    picture = placed((np.pad(image, 30, constant_values=255), 200, 200))
    assert zxingcpp.read_barcode(picture) is not None
    assert decode(picture, budget_s=1) is None


def test_binary_content_is_ignored() -> None:
    matrix = segno.make_qr(b"\x00\x01\xfe\xff\x80\x90", mode="byte").matrix
    modules = np.pad(1 - np.array([list(row) for row in matrix]), 4, constant_values=1).astype(np.uint8) * 255
    assert decode(placed((np.kron(modules, np.ones((6, 6), np.uint8)), 500, 200)), budget_s=1) is None


def test_chinese_text_is_read() -> None:
    reading = decode(placed((code("活动室 302"), 500, 200)), budget_s=1)
    assert reading is not None
    assert reading.text == "活动室 302"


def test_spent_budget_ends_after_the_first_stage() -> None:
    tiny = cv2.resize(code(CARD, 4), None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA).astype(np.uint8)
    hard = placed((tiny, 600, 300))
    thorough = decode(hard, budget_s=1000, clock=ticking())
    assert thorough is not None
    assert thorough.stage != STAGES[0].name
    assert decode(hard, budget_s=0, clock=ticking()) is None


def test_first_stage_runs_without_any_budget() -> None:
    assert decode(placed((code(CARD), 500, 200)), budget_s=0) is not None


def test_small_code_in_a_large_photograph_is_read_from_all_its_pixels() -> None:
    small = code(CARD, 2)
    photograph = placed((small, 2000, 1500), size=(3000, 4000))
    reading = decode(photograph, budget_s=5)
    assert reading is not None
    assert reading.text == CARD
    assert reading.centre == pytest.approx((2000 + len(small) / 2, 1500 + len(small) / 2), abs=4)


def test_light_code_on_dark_ground_is_read() -> None:
    reading = decode(255 - placed((code(CARD), 500, 200)), budget_s=1)
    assert reading is not None
    assert reading.text == CARD


def test_reflection_that_hides_more_than_errors_allow_is_read() -> None:
    """A quarter of the code is washed out: too much for zxing-cpp's errors, not for erasures."""
    card = code(CARD, 6)
    y, x = np.mgrid[: len(card), : len(card)]
    glare = 300 * np.exp(-(((x - 170) / 45) ** 4) - ((y - 170) / 45) ** 4)
    washed = np.clip(card * 0.8 + glare, 0, 255).astype(np.uint8)
    picture = placed((washed, 400, 150))
    assert zxingcpp.read_barcode(picture) is None
    reading = decode(picture, budget_s=5)
    assert reading is not None
    assert reading.text == CARD
    assert "salvage" in reading.stage


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 10), np.uint8),
        np.zeros((10, 10), np.uint16),
        np.zeros((10, 10, 4), np.uint8),
        np.zeros((4,), np.uint8),
    ],
)
def test_wrong_shape_is_refused(image: Picture) -> None:
    with pytest.raises(ValueError, match="want a grey or BGR picture"):
        decode(image, budget_s=1)


def test_too_many_pixels_are_refused() -> None:
    image = np.broadcast_to(np.uint8(0), (MAX_PIXELS // 1000 + 1, 1000))
    with pytest.raises(ValueError, match="pixels"):
        decode(image, budget_s=1)


@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2), (3, 3), (20, 20), (40, 5000)])
def test_odd_sizes_are_survived(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    assert decode(rng.integers(0, 255, shape, np.uint8), budget_s=5) is None
