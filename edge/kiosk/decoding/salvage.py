"""Reads a symbol that zxing-cpp found but could not correct.

Samples its grid anew, judges every module against its surroundings, takes out the blur between neighbours,
and declares erased what a reflection or a thumb hides. Called by `stages`.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.kiosk.decoding.sampling import PAD, ROUNDS, Gray, Grid, Plane
from edge.kiosk.decoding.symbol import Dark, Layout, Soft, layout, repaired


def salvage(image: Gray, corners: NDArray[np.float32], version: int) -> Dark | None:
    """The symbol between these corners (top left, then clockwise, as the symbol is read), or None."""
    plan = layout(version)
    grid = Grid(corners, plan.modules)
    for _ in range(ROUNDS):
        grid.refine(image)
    soft = _judged(_module_means(grid, image))
    weight = _trust(soft)
    for judged in (soft, _equalised(soft, plan)):
        found = repaired(np.clip(judged[2:-2, 2:-2], -1, 1) * weight, version)
        if found is not None:
            return found
    return None


def _module_means(grid: Grid, image: Gray) -> Plane:
    """The mean of the middle of each module, with a border of PAD modules."""
    size = grid.modules + 2 * PAD
    fine = grid.sampled(image, 5).reshape(size, 5, size, 5)[:, 1:4, :, 1:4]
    return cast("Plane", fine.mean(axis=(1, 3), dtype=np.float32))


def _judged(means: Plane) -> Soft:
    """-1 dark … 1 light against the dark and light modules around; doubtful where contrast is gone."""
    level = cv2.GaussianBlur(means, (0, 0), 4.0)
    dark = light = level
    for sigma in (4.0, 3.0, 3.0):
        bright = (means > level).astype(np.float32)
        light = cv2.GaussianBlur(means * bright, (0, 0), sigma) / (cv2.GaussianBlur(bright, (0, 0), sigma) + 1e-4)
        dim = 1 - bright
        dark = cv2.GaussianBlur(means * dim, (0, 0), sigma) / (cv2.GaussianBlur(dim, (0, 0), sigma) + 1e-4)
        level = (light + dark) / 2
    contrast = np.maximum(light - dark, 0.15 * float(np.median(light - dark)) + 1)
    return cast("Soft", (2 * (means - level) / contrast).astype(np.float32))


def _trust(soft: Soft) -> Plane:
    """Near 0 where a patch is all alike (no mask leaves such a patch) or out of the range of paper and ink."""
    patch = cv2.blur((soft > 0).astype(np.float32), (5, 5))
    alike = ((patch < 0.03) | (patch > 0.97)).astype(np.uint8)
    covered = cv2.dilate(alike, np.ones((5, 5), np.uint8))
    outside = np.abs(soft) > 1.9
    weight = np.where((covered > 0) | outside, 0.02, 1.0).astype(np.float32)
    return weight[2:-2, 2:-2]


def _equalised(soft: Soft, plan: Layout) -> Soft:
    """With what leaks from the eight neighbours taken out again.

    The leak is measured by least squares, first on the function modules, whose values are known.
    """
    clipped = np.clip(soft, -1.5, 1.5)
    known = np.zeros(soft.shape, np.bool_)
    known[2:-2, 2:-2] = plan.known
    truth = np.ones(soft.shape, np.float32)
    truth[2:-2, 2:-2] = np.where(plan.dark, -1, 1)
    guess = np.where(known, truth, np.sign(clipped)).astype(np.float32)
    guess[:2], guess[-2:], guess[:, :2], guess[:, -2:] = 1, 1, 1, 1
    result = clipped
    for _ in range(4):
        kernel, bias = _leak(clipped, guess)
        if kernel[1, 1] < 0.1:
            return soft
        others = kernel.copy()
        others[1, 1] = 0
        result = (clipped - bias - cv2.filter2D(guess, -1, others)) / kernel[1, 1]
        guess = np.where(known, truth, np.tanh(2 * result)).astype(np.float32)
    return cast("Soft", result.astype(np.float32))


def _leak(seen: Soft, guess: Plane) -> tuple[Plane, float]:
    """The 3x3 kernel and offset that best explain what is seen by what is printed."""
    size = seen.shape[0]
    shifts = [guess[1 + r : size - 1 + r, 1 + c : size - 1 + c].ravel() for r in (-1, 0, 1) for c in (-1, 0, 1)]
    columns = np.stack([*shifts, np.ones_like(shifts[0])], axis=1)
    target = seen[1:-1, 1:-1].ravel()
    normal = columns.T @ columns + 1e-2 * len(target) * np.eye(10, dtype=np.float32)
    solution = np.linalg.solve(normal, columns.T @ target)
    return solution[:9].reshape(3, 3).astype(np.float32), float(solution[9])
