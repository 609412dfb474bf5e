"""The generator of hard pictures: repeatable, varied, and readable where they are easy."""

import numpy as np
import pytest
import zxingcpp

from tests.bench.qr import tallied
from tests.bench.qr_images import REPORT_SEED, TUNING_SEED, Kind, draw_scene, hard_images
from tests.bench.qr_scene import render


def test_same_seed_gives_the_same_pictures() -> None:
    first, again = (list(hard_images(TUNING_SEED, 7)) for _ in range(2))
    assert all(np.array_equal(a.image, b.image) and a.text == b.text for a, b in zip(first, again, strict=True))
    assert [hard.kind for hard in first] == list(Kind)


def test_tuning_and_report_seeds_are_far_apart() -> None:
    assert abs(REPORT_SEED - TUNING_SEED) > 1_000_000


@pytest.mark.parametrize("kind", list(Kind))
def test_codes_are_credentials_of_version_7_or_8(kind: Kind) -> None:
    scene = draw_scene(TUNING_SEED + 3, kind)
    assert 156 <= len(scene.text) <= 221
    assert render(scene).shape == (scene.height, scene.width)


def test_some_picture_of_most_kinds_is_read_by_plain_zxing() -> None:
    read = {
        hard.kind
        for hard in hard_images(TUNING_SEED, 35)
        for code in zxingcpp.read_barcodes(hard.image)
        if code.text == hard.text
    }
    assert len(read) >= 6


def test_bench_counts_every_reader_on_every_picture() -> None:
    tallies = tallied(TUNING_SEED, 7)
    assert set(tallies) == {"roomlink", "zxing_cpp", "opencv"}
    assert all(len(tally.milliseconds) == 7 and tally.wrong == 0 for tally in tallies.values())
    assert tallies["roomlink"].share() >= tallies["zxing_cpp"].share() > 0
