"""Reed-Solomon with erasures, and a symbol repaired from doubtful modules."""

import numpy as np
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.kiosk.decoding.reed_solomon import correct, syndromes_of
from edge.kiosk.decoding.symbol import layout, repaired

# The codeword of ISO/IEC 18004:2015 annex I: "01234567" as version 1-M.
STANDARD = [0x10, 0x20, 0x0C, 0x56, 0x61, 0x80, 0xEC, 0x11, 0xEC, 0x11, 0xEC, 0x11, 0xEC, 0x11, 0xEC, 0x11]
STANDARD += [0xA5, 0x24, 0xD4, 0xC1, 0xED, 0x36, 0xC7, 0x87, 0x2C, 0x55]
PARITY = 10


def damaged(places: list[int], by: int) -> list[int]:
    return [word ^ (by if index in places else 0) for index, word in enumerate(STANDARD)]


def corrected(block: list[int], erased: list[int]) -> tuple[list[int], int] | None:
    return correct(block, syndromes_of(block, PARITY), erased)


def printed(version: int, level: str, mask: int = 3) -> NDArray[np.bool_]:
    code = segno.make_qr("ROOMLINK", version=version, error=level, mask=mask, boost_error=False)
    return np.array([list(row) for row in code.matrix], np.bool_)


def as_seen(dark: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(dark, np.float32(-1), np.float32(1))


def test_example_of_the_standard_is_a_codeword() -> None:
    assert corrected(STANDARD, []) == (STANDARD, 0)


@given(
    places=st.lists(st.integers(0, 25), max_size=10, unique=True),
    erased=st.integers(0, 10),
    by=st.integers(1, 255),
)
def test_all_within_reach_is_corrected(places: list[int], erased: int, by: int) -> None:
    erased = min(erased, len(places))
    errors = len(places) - erased
    result = corrected(damaged(places, by), places[:erased])
    if 2 * errors + erased <= PARITY:
        assert result == (STANDARD, errors)
    else:
        assert result is None or result[0] != STANDARD


def test_erased_but_right_codewords_stay_right() -> None:
    assert corrected(STANDARD, [0, 3, 5]) == (STANDARD, 0)
    assert corrected(damaged([7], 1), [0, 3, 5]) == (STANDARD, 1)


def test_more_erasures_than_check_symbols_are_refused() -> None:
    assert corrected(STANDARD, list(range(11))) is None


@pytest.mark.parametrize("version", [1, 2, 6, 7, 8, 14, 21, 27, 40])
@pytest.mark.parametrize("level", ["l", "m", "q", "h"])
def test_clean_symbol_of_any_version_and_level_is_itself(version: int, level: str) -> None:
    dark = printed(version, level)
    result = repaired(as_seen(dark), version)
    assert result is not None
    assert np.array_equal(result, dark)


@pytest.mark.parametrize("mask", range(8))
def test_every_mask_is_undone(mask: int) -> None:
    dark = printed(7, "m", mask)
    result = repaired(as_seen(dark), 7)
    assert result is not None
    assert np.array_equal(result, dark)


def test_unknown_patch_beyond_plain_correction_is_repaired() -> None:
    """18 % of the data in one patch, which touches more codewords: as errors too many for level M."""
    dark = printed(8, "m")
    seen = as_seen(dark)
    seen[14:30, 14:38] = 0
    result = repaired(seen, 8)
    assert result is not None
    assert np.array_equal(result, dark)


def test_noise_gives_no_symbol() -> None:
    rng = np.random.default_rng(4)
    for _ in range(30):
        noise = rng.uniform(-1, 1, (45, 45)).astype(np.float32)
        assert repaired(noise, 7) is None


def test_half_covered_symbol_gives_none_rather_than_another_text() -> None:
    seen = as_seen(printed(7, "m"))
    seen[:, 22:] = np.random.default_rng(5).uniform(-0.2, 0.2, (45, 23))
    assert repaired(seen, 7) is None


def test_data_modules_of_every_version_match_the_standards_count() -> None:
    """Table 1 of ISO/IEC 18004:2015, column «data modules except remainder» / 8 for some versions."""
    codewords = {1: 26, 2: 44, 7: 196, 8: 242, 14: 581, 40: 3706}
    assert {version: len(layout(version).rows) // 8 for version in codewords} == codewords
