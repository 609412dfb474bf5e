"""Samples the modules of a symbol whose corners are known roughly, on paper that may be bent.

The corners give a perspective; the phase of the edges between modules tells how far the true grid lies from
it (a half-module drift turns the phase by half a turn), and a smooth surface through these drifts follows
the curl. Called by `salvage`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Plane = NDArray[np.float32]

PAD = 2  # modules of quiet zone looked at around the symbol
STEP = 6  # pixels to a module in the straightened picture
ROUNDS = 3
ALIKE = 0.5  # correlation from which on a landmark is believed


@dataclass(frozen=True)
class Landmark:
    """A function pattern to be looked for: its middle in modules, and its dark modules."""

    column: float
    row: float
    pattern: NDArray[np.bool_]


class Grid:
    """Module coordinates to picture coordinates: a perspective and a smooth drift (in modules)."""

    def __init__(self, corners: NDArray[np.float32], modules: int) -> None:
        side = float(modules)
        flat = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32)
        self.modules = modules
        self._perspective = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
        self._drift = np.zeros((2, _basis(np.zeros(1), np.zeros(1)).shape[1]))

    def sampled(self, image: Gray, per_module: int) -> Plane:
        """The picture, straightened: `per_module` pixels to a module, PAD modules of quiet zone included."""
        size = self.modules + 2 * PAD
        centres = np.arange(size) + 0.5 - PAD
        column, row = (axis.ravel() for axis in np.meshgrid(centres, centres))
        basis = _basis(2 * column / self.modules - 1, 2 * row / self.modules - 1)
        x, y = column + basis @ self._drift[0], row + basis @ self._drift[1]
        h = self._perspective
        depth = h[2, 0] * x + h[2, 1] * y + h[2, 2]
        maps = []
        for line in h[:2]:
            coarse = ((line[0] * x + line[1] * y + line[2]) / depth).astype(np.float32).reshape(size, size)
            maps.append(_spread(coarse, per_module))
        seen = cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return cast("Plane", seen.astype(np.float32))

    def anchor(self, image: Gray, landmarks: Sequence[Landmark], reach: float, stiffness: float) -> None:
        """Move the grid so that finder and alignment patterns lie where they are seen.

        They are looked for within `reach` modules; what fits the others badly is left out. Each further degree
        of the drift is `stiffness` times dearer, since few landmarks must suffice.
        """
        picture = self.sampled(image, STEP)
        seen = [found for mark in landmarks if (found := _located(picture, mark, reach)) is not None]
        if len(seen) < 4:
            return
        points = np.array(seen)
        basis = _basis(2 * points[:, 0] / self.modules - 1, 2 * points[:, 1] / self.modules - 1)
        stiff = np.diag([1e-4 * stiffness ** (i + j) for i in range(5) for j in range(5 - i)])
        weight = points[:, 4:]
        for _ in range(2):
            moves = np.linalg.solve(basis.T @ (weight * basis) + stiff, basis.T @ (weight * points[:, 2:4]))
            off = np.hypot(*(basis @ moves - points[:, 2:4]).T)
            weight = points[:, 4:] * (off < max(0.6, 0.4 * reach))[:, None]
        self._drift += moves.T

    def refine(self, image: Gray, start: int) -> None:
        """Move the grid onto the edges that are seen between modules.

        Drifts of more than half a module are followed outwards from row and column `start`, which must be nearer.
        """
        picture = cast("Plane", cv2.GaussianBlur(self.sampled(image, STEP), (0, 0), 1.0))
        # The drift is smooth: some 500 places tell it, and numpy does not yet start threads for them.
        some = slice(0, None, max(1, self.modules // 22))
        centres = np.arange(self.modules)[some] + 0.5
        column, row = (2 * axis.ravel() / self.modules - 1 for axis in np.meshgrid(centres, centres))
        basis = _basis(column, row)
        for axis, lines in enumerate((picture, picture.T)):
            drift, weight = _drift_across(lines, self.modules, start)
            if axis:
                drift, weight = drift.T, weight.T
            w = weight[some, some].ravel()[:, None]
            ridge = 1e-3 * float(w.sum()) * np.eye(basis.shape[1])
            self._drift[axis] += np.linalg.solve(
                basis.T @ (w * basis) + ridge, basis.T @ (w[:, 0] * drift[some, some].ravel())
            )


def _located(picture: Plane, mark: Landmark, reach: float) -> tuple[float, float, float, float, float] | None:
    """The landmark's column and row, how far it lies from there (in modules), and a weight."""
    size = len(mark.pattern)
    left, top = (round((middle - size / 2 - reach + PAD) * STEP) for middle in (mark.column, mark.row))
    span = int((size + 2 * reach) * STEP)
    x0, y0 = max(0, left), max(0, top)
    window = picture[y0 : top + span, x0 : left + span]
    template = np.kron(np.where(mark.pattern, 0, 255), np.ones((STEP, STEP))).astype(np.float32)
    template = cast("Plane", cv2.GaussianBlur(template, (0, 0), STEP / 3))
    if window.shape[0] < template.shape[0] or window.shape[1] < template.shape[1]:
        return None
    alike = cv2.matchTemplate(window, template, cv2.TM_CCOEFF_NORMED)
    _, best, _, (x, y) = cv2.minMaxLoc(alike)
    if best < ALIKE:
        return None
    column = (x0 + x) / STEP + size / 2 - PAD
    row = (y0 + y) / STEP + size / 2 - PAD
    return mark.column, mark.row, column - mark.column, row - mark.row, float(best) ** 2


def _spread(centres: Plane, per_module: int) -> Plane:
    """Coordinates at the modules' centres carried on, straight, to every pixel of each module."""
    size = len(centres)
    wider = np.pad(centres, 1)
    wider[0], wider[-1] = 2 * wider[1] - wider[2], 2 * wider[-2] - wider[-3]
    wider[:, 0], wider[:, -1] = 2 * wider[:, 1] - wider[:, 2], 2 * wider[:, -2] - wider[:, -3]
    fine = cv2.resize(wider, None, fx=per_module, fy=per_module, interpolation=cv2.INTER_LINEAR)
    return cast("Plane", fine[per_module : per_module * (size + 1), per_module : per_module * (size + 1)])


def _basis(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """All products of powers up to the fourth degree, for coordinates in -1 … 1."""
    ones = np.ones_like(x)
    across, down = ([ones, a, a * a, a * a * a, a * a * a * a] for a in (x, y))
    return np.stack([across[i] * down[j] for i in range(5) for j in range(5 - i)], axis=-1)


def _drift_across(picture: Plane, modules: int, start: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far (in modules, to the right) the vertical edges lie from the grid, and how sure, at every module."""
    steps = np.abs(np.diff(picture, axis=1, prepend=picture[:, :1]))
    turn = np.exp(-2j * np.pi * np.arange(picture.shape[1]) / STEP)
    wave = steps * turn
    size = (modules + 2 * PAD, STEP, modules + 2 * PAD, STEP)
    sums = wave.reshape(size).sum(axis=(1, 3))
    power = steps.reshape(size).sum(axis=(1, 3))
    near = [cv2.GaussianBlur(part, (0, 0), 2.2) for part in (sums.real, sums.imag, power)]
    inner = slice(PAD, PAD + modules)
    phase, power = (near[0] + 1j * near[1])[inner, inner], near[2][inner, inner]
    angle = _unwrapped(np.angle(phase), start)
    sure = (np.abs(phase) / (power + 1e-6 + 0.02 * power.max())) ** 2
    return -angle / (2 * np.pi), sure


def _unwrapped(angle: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    """Phases made continuous outwards from row and column `start`."""
    middle = np.unwrap(angle[start:, start]), np.unwrap(angle[start::-1, start])
    column = np.concatenate([middle[1][:0:-1], middle[0]])
    rightward = np.unwrap(np.column_stack([column, angle[:, start + 1 :]]), axis=1)
    leftward = np.unwrap(np.column_stack([column, angle[:, start - 1 :: -1]]), axis=1)[:, 1:]
    return np.column_stack([leftward[:, ::-1], rightward])
