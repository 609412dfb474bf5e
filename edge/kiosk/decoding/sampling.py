"""Samples the modules of a symbol whose corners are known roughly, on paper that may be bent.

The corners give a perspective; the phase of the edges between modules tells how far the true grid lies from
it (a half-module drift turns the phase by half a turn), and a smooth surface through these drifts follows
the curl. Called by `salvage`.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Plane = NDArray[np.float32]

PAD = 2  # modules of quiet zone looked at around the symbol
STEP = 6  # pixels to a module in the straightened picture
ROUNDS = 3


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

    def refine(self, image: Gray) -> None:
        """Move the grid onto the edges that are seen between modules."""
        picture = cast("Plane", cv2.GaussianBlur(self.sampled(image, STEP), (0, 0), 1.0))
        centres = np.arange(self.modules) + 0.5
        column, row = (2 * axis.ravel() / self.modules - 1 for axis in np.meshgrid(centres, centres))
        basis = _basis(column, row)
        for axis, lines in enumerate((picture, picture.T)):
            drift, weight = _drift_across(lines, self.modules)
            if axis:
                drift, weight = drift.T, weight.T
            w = weight.ravel()[:, None]
            ridge = 1e-3 * float(w.sum()) * np.eye(basis.shape[1])
            self._drift[axis] += np.linalg.solve(basis.T @ (w * basis) + ridge, basis.T @ (w[:, 0] * drift.ravel()))


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


def _drift_across(picture: Plane, modules: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
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
    angle = _unwrapped(np.angle(phase))
    sure = (np.abs(phase) / (power + 1e-6 + 0.02 * power.max())) ** 2
    return -angle / (2 * np.pi), sure


def _unwrapped(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phases made continuous from the left finder patterns outwards, where the corners are trusted."""
    anchor = 3
    left = np.unwrap(angle[:, anchor])
    rightward = np.unwrap(np.column_stack([left, angle[:, anchor + 1 :]]), axis=1)
    leftward = np.unwrap(np.column_stack([left, angle[:, anchor - 1 :: -1]]), axis=1)[:, 1:]
    return np.column_stack([leftward[:, ::-1], rightward])
