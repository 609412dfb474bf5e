"""From modules that are only more or less likely dark to a flawless QR symbol.

Owns where a version keeps its codewords and how sure each one is; corrects them with errors and erasures.
What it returns is drawn anew and read by zxing-cpp, so segments and character sets are not its business.
Source: ISO/IEC 18004:2015 sections 7.5 to 7.10; tables by segno. Called by `salvage`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import segno
from numpy.typing import NDArray
from segno import consts

from edge.kiosk.decoding.reed_solomon import correct, syndromes_of

Soft = NDArray[np.float32]  # -1 surely dark … 0 unknown … 1 surely light
Dark = NDArray[np.bool_]

_NOT_FIXED = (
    consts.TYPE_DATA_DARK,
    consts.TYPE_DATA_LIGHT,
    consts.TYPE_FORMAT_DARK,  # segno also calls one data module so: the places are taken from _format_places
    consts.TYPE_FORMAT_LIGHT,
)
STEEPNESS = 6.0  # of the likelihood of a module, by how clearly it is dark or light
CLEARLY = 8.0  # of the 20 by which two clean formats differ at least
SPARE = 2  # check symbols of a block that must stay unspent (1 if all were erasures), against a text made of noise
LEVEL_OF_INDICATOR = "MLHQ"


@dataclass(frozen=True)
class Layout:
    """What a version fixes: its size, its function modules, and the order of its data modules."""

    version: int
    modules: int
    function: Dark  # finder, timing, alignment, format, version: not data
    known: Dark  # function modules that are the same in every symbol of this version
    dark: Dark  # what the known ones are
    rows: NDArray[np.intp]
    columns: NDArray[np.intp]


@lru_cache(maxsize=40)
def layout(version: int) -> Layout:
    """The layout of a version 1 … 40 (at most 40 are kept, 0.7 MB in all)."""
    code = segno.make_qr("0", version=version, error="l", mask=0)
    kinds = np.array([list(row) for row in code.matrix_iter(border=0, verbose=True)])
    forms = np.zeros(kinds.shape, np.bool_)
    for place in itertools.chain(*_format_places(len(kinds))):
        forms[place] = True
    data = np.isin(kinds, _NOT_FIXED) & ~forms
    path = [
        (row, column)
        for band, right in enumerate(_bands(len(kinds)))
        for row in (range(len(kinds)) if band % 2 else reversed(range(len(kinds))))
        for column in (right, right - 1)
        if data[row, column]
    ]
    rows, columns = (np.array(axis, np.intp) for axis in zip(*path, strict=True))
    return Layout(version, len(kinds), ~data, ~data & ~forms, kinds >= 256, rows, columns)


def _bands(modules: int) -> list[int]:
    """The right column of each pair, from the right edge, stepping over the timing column."""
    return [c if c > 6 else c - 1 for c in range(modules - 1, 0, -2)]


def repaired(soft: Soft, version: int) -> Dark | None:
    """The whole symbol as it was printed; None when its blocks cannot be corrected with certainty."""
    plan = layout(version)
    for form in _likely_formats(soft):
        level, mask = LEVEL_OF_INDICATOR[form >> 3], form & 7
        flips = np.where(_mask(mask, plan.rows, plan.columns), -1, 1)
        stream = soft[plan.rows, plan.columns] * flips
        words = _corrected(stream, version, level)
        if words is None:
            continue
        bits = np.zeros(len(plan.rows), np.bool_)
        unpacked = np.unpackbits(words).astype(np.bool_)
        bits[: len(unpacked)] = unpacked
        matrix = plan.dark.copy()
        matrix[plan.rows, plan.columns] = bits ^ (flips < 0)
        _write_format(matrix, form)
        return matrix
    return None


def _likely_formats(soft: Soft) -> list[int]:
    """The best of the 32 formats (level indicator, mask) by both copies together, and the next if it is near."""
    first, second = _format_places(len(soft))
    seen = [soft[r, c] + soft[s, d] for (r, c), (s, d) in zip(first, second, strict=True)]
    signs = np.array([[-1 if info >> bit & 1 else 1 for bit in range(15)] for info in consts.FORMAT_INFO])
    scores = signs @ np.array(seen)
    best, second = np.argsort(-scores)[:2]
    return [int(best)] if scores[best] - scores[second] > CLEARLY else [int(best), int(second)]


def _format_places(modules: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where both copies of the format lie, bit 0 first."""
    down = [0, 1, 2, 3, 4, 5, 7, 8]
    first = [(row, 8) for row in down] + [(8, column) for column in (7, 5, 4, 3, 2, 1, 0)]
    second = [(8, modules - 1 - i) for i in range(8)] + [(modules - 7 + i, 8) for i in range(7)]
    return first, second


def _write_format(matrix: Dark, form: int) -> None:
    for places in _format_places(len(matrix)):
        for bit, (row, column) in enumerate(places):
            matrix[row, column] = bool(consts.FORMAT_INFO[form] >> bit & 1)
    matrix[-8, 8] = True


def _mask(number: int, row: NDArray[np.intp], column: NDArray[np.intp]) -> Dark:
    """Which data modules the mask turns over (table 10 of the standard)."""
    product = row * column
    conditions = (
        (row + column) % 2,
        row % 2,
        column % 3,
        (row + column) % 3,
        (row // 2 + column // 3) % 2,
        product % 2 + product % 3,
        (product % 2 + product % 3) % 2,
        ((row + column) % 2 + product % 3) % 2,
    )
    return np.asarray(conditions[number] == 0, np.bool_)


def _corrected(stream: NDArray[np.float32], version: int, level: str) -> NDArray[np.uint8] | None:
    """All codewords in the order they are printed, corrected."""
    blocks = _blocks(version, level)
    total = sum(size for size, _ in blocks)
    bits = stream[: 8 * total].reshape(total, 8)
    words = np.packbits(bits < 0, axis=1)[:, 0]
    # How likely all eight bits are right, as a sum of logarithms; 0 is certain.
    doubt = np.log1p(np.exp(-STEEPNESS * np.abs(bits))).sum(axis=1)
    for places in _interleaving(version, level):
        parity = len(places) - blocks[0][1] if len(places) == blocks[0][0] else len(places) - blocks[-1][1]
        fixed = _block(words[places], doubt[places], parity)
        if fixed is None:
            return None
        words[places] = fixed
    return words


def _block(words: NDArray[np.uint8], doubt: NDArray[np.float32], parity: int) -> NDArray[np.uint8] | None:
    """Corrected with ever more of its most doubtful codewords erased (generalised minimum distance)."""
    order = np.argsort(-doubt)
    block = [int(word) for word in words]
    syndromes = syndromes_of(block, parity)
    hopeless = int(np.count_nonzero(doubt > 0.6))
    steps = {*range(0, parity - SPARE, 4), min(hopeless, parity - SPARE), parity - SPARE, parity - 1}
    for erasures in sorted(steps, key=lambda e: abs(e - hopeless)):
        result = correct(block, syndromes, [int(i) for i in order[:erasures]])
        if result is None:
            continue
        spare = parity - 2 * result[1] - erasures
        if spare >= SPARE or (spare == 1 and not result[1]):
            return np.array(result[0], np.uint8)
    return None


@lru_cache(maxsize=160)
def _blocks(version: int, level: str) -> list[tuple[int, int]]:
    """(size, data) of each block, in codewords."""
    table: Any = consts.ECC
    groups = table[version][getattr(consts, f"ERROR_LEVEL_{level}")]
    return [(g.num_total, g.num_data) for g in groups for _ in range(g.num_blocks)]


@lru_cache(maxsize=16)
def _interleaving(version: int, level: str) -> list[NDArray[np.intp]]:
    """For each block, the places of its codewords in the printed order."""
    blocks = _blocks(version, level)
    places: list[list[int]] = [[] for _ in blocks]
    at = 0
    for index in range(max(data for _, data in blocks)):
        for block, (_, data) in zip(places, blocks, strict=True):
            if index < data:
                block.append(at)
                at += 1
    for _ in range(blocks[0][0] - blocks[0][1]):
        for block in places:
            block.append(at)
            at += 1
    return [np.array(block, np.intp) for block in places]
