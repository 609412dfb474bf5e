"""Cards that plain zxing-cpp gives up on: a finder pattern hidden, paper bent, blur, distance."""

from dataclasses import replace

import numpy as np
import pytest
import zxingcpp

from edge.kiosk.decoding import decode
from edge.kiosk.decoding.finders import find_finders, hypotheses
from tests.bench.qr_images import TUNING_SEED, Kind, draw_scene
from tests.bench.qr_scene import Blob, Scene, render


def plain_scene(seed: int = 11) -> Scene:
    """A card held well: flat, sharp, well lit."""
    scene = draw_scene(TUNING_SEED + seed, Kind.COVER)
    return replace(
        scene, width=1280, height=720, module_px=6.0, offset=(0.0, 0.0), yaw=0.1, pitch=0.1, roll=0.2,
        curl=0.0, defocus_px=0.5, motion_px=0.0, noise=0.01, light=0.9, shade=0.1, covers=(), glares=(),
    )  # fmt: skip


def thumb_on_a_finder(scene: Scene) -> Scene:
    thumb = Blob(x=-18, y=-18, long=7, short=6, turn=0.3, strength=0.5, softness=0.08)
    return replace(scene, covers=(thumb,))


HARD = {
    "a thumb on a finder pattern": thumb_on_a_finder(plain_scene()),
    "paper bent outwards": replace(plain_scene(), curl=0.75, curl_axis=0.3),
    "paper bent inwards": replace(plain_scene(), curl=-0.9, curl_axis=1.2),
    "out of focus": replace(plain_scene(), defocus_px=5.0),
    "far away": replace(plain_scene(), module_px=1.2, defocus_px=0.3),
}


@pytest.mark.parametrize("name", HARD)
def test_hard_card_is_read_where_plain_zxing_gives_up(name: str) -> None:
    scene = HARD[name]
    picture = render(scene)
    assert not zxingcpp.read_barcodes(picture)
    reading = decode(picture, budget_s=60)
    assert reading is not None
    assert reading.text == scene.text


def test_finder_patterns_are_found_and_suggest_the_symbol_once_likeliest() -> None:
    scene = plain_scene()
    finders = find_finders(render(scene))
    assert len(finders) == 3
    suggested = list(hypotheses(finders))
    assert suggested[0].version in (7, 8)
    assert suggested[0].corners.mean(axis=0) == pytest.approx((640, 360), abs=12)


def test_picture_of_grain_has_no_finder_patterns() -> None:
    grain = np.random.default_rng(2).integers(0, 255, (600, 800), np.uint8)
    assert find_finders(grain) == []


def test_picture_smaller_than_a_symbol_has_no_finder_patterns() -> None:
    assert find_finders(np.zeros((20, 300), np.uint8)) == []


def test_lone_finder_pattern_suggests_nothing() -> None:
    finders = find_finders(render(plain_scene()))
    assert list(hypotheses(finders[:1])) == []


@pytest.mark.parametrize("seed", range(12))
def test_two_finder_patterns_suggest_the_right_place(seed: int) -> None:
    scene = replace(plain_scene(seed), roll=0.5 * seed)
    finders = find_finders(render(scene))
    for missing in range(3):
        pair = [finder for index, finder in enumerate(finders) if index != missing]
        places = [hypothesis.corners.mean(axis=0) for hypothesis in hypotheses(pair)]
        assert min(float(np.hypot(*(place - (640, 360)))) for place in places) < 20
