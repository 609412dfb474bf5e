"""What the decoder reads, in which order, and when it stops."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import cast

import cv2
import numpy as np
import pytest
import segno
import zxingcpp
from numpy.typing import NDArray

from edge.kiosk.decoding import MAX_PIXELS, MAX_SIDE, decode, decoder, read_all
from edge.kiosk.decoding.preparation import quick
from edge.kiosk.decoding.stages import QR, STAGES, Found, Stage, look
from edge.kiosk.decoding.stages import Picture as Examined

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


def nested_squares(count: int) -> Iterator[Picture]:
    """Posters of crooked nested squares, which zxing-cpp takes for finder patterns."""
    chance = np.random.default_rng(1)
    for _ in range(count):
        poster = np.full((240, 320), 255, np.uint8)
        for _ in range(chance.integers(2, 9)):
            x, y, width = chance.integers(20, 300), chance.integers(20, 220), int(chance.integers(6, 40))
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) + chance.normal(0, 0.4, (4, 2))
            corners = corners[:3] if chance.random() < 0.3 else corners
            for share, grey in ((1, 0), (5 / 7, 255), (3 / 7, 0)):
                cv2.fillPoly(poster, [(corners * width * share + [x, y]).astype(np.int32)], [grey])
        yield poster


def test_a_micro_code_that_zxing_suspects_unasked_is_no_suspect_of_ours() -> None:
    suspected = 0
    for poster in nested_squares(150):  # the last but few of them
        for each in zxingcpp.read_barcodes(poster, formats=QR, return_errors=True):
            extra = cast("dict[str, str] | None", each.extra) or {}
            suspected += extra.get("Version", "").startswith("M")
        assert look(quick, examined := Examined(poster)) == []
        assert all(suspect.version > 0 for suspect in examined.suspects)
    assert suspected > 0


def test_a_stage_that_fails_does_not_end_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_picture: object) -> list[Found]:
        raise ValueError("what a library makes of an odd picture")

    monkeypatch.setattr(decoder, "STAGES", (Stage("broken", fail), *STAGES))
    reading = decode(placed((code(CARD), 500, 200)), budget_s=1)
    assert reading is not None
    assert (reading.text, reading.stage) == (CARD, "plain")


def test_micro_codes_are_read_only_when_any_code_is_wanted() -> None:
    matrix = np.array([list(row) for row in segno.make_micro("12345").matrix])
    modules = np.pad(1 - matrix, 4, constant_values=1).astype(np.uint8) * 255
    picture = placed((np.kron(modules, np.ones((8, 8), np.uint8)), 500, 200))
    assert decode(picture, budget_s=1) is None
    for budget_s in (0, 1):
        reading = decode(picture, budget_s=budget_s, any_qr=True)
        assert reading is not None
        assert (reading.text, reading.stage) == ("12345", "rare")


def test_contents_that_are_no_text_are_read_only_when_any_code_is_wanted() -> None:
    matrix = np.array([list(row) for row in segno.make_qr(b"\xde\xad\x00\x01 hello").matrix])
    modules = np.pad(1 - matrix, 4, constant_values=1).astype(np.uint8) * 255
    picture = placed((np.kron(modules, np.ones((6, 6), np.uint8)), 500, 200))
    assert decode(picture, budget_s=1) is None
    assert decode(picture, budget_s=1, any_qr=True) is not None


@pytest.mark.parametrize("size", [(2, MAX_SIDE + 1), (MAX_SIDE + 1, 2)])
def test_a_side_longer_than_zxing_takes_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=str(MAX_SIDE)):
        decode(np.zeros(size, np.uint8), budget_s=1)


@pytest.mark.parametrize("size", [(1, MAX_SIDE), (MAX_SIDE, 1), (1, 1), (33, MAX_SIDE)])
def test_no_shape_of_picture_is_too_odd(size: tuple[int, int]) -> None:
    assert decode(np.full(size, 128, np.uint8), budget_s=5, any_qr=True) is None
