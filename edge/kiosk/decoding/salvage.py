"""Reads a symbol that was found but could not be corrected.

Fits its grid anew, judges every module against its surroundings, takes out the blur between neighbours, and
declares doubtful what a reflection or a thumb hides. Called by `stages`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from segno import consts

from edge.kiosk.decoding.sampling import PAD, ROUNDS, Gray, Grid, Landmark, Plane
from edge.kiosk.decoding.symbol import Dark, Layout, Soft, layout, repaired

ENOUGH = 0.8  # of the function modules must be seen as they are printed
GOOD = 0.97  # no better grid is looked for
FAR_TO_NEAR = ((3.0, 12.0), (3.0, 6.0), (2.0, 4.0), (1.5, 3.0))
# How a grid is fitted: (reach in modules, stiffness) of each anchoring. A grid that was anchored is right in its
# middle, by the alignment patterns there; one that was not, in its finder patterns.
ATTEMPTS = (FAR_TO_NEAR, ())
FINDER_MIDDLE = 3


def salvage(image: Gray, corners: NDArray[np.float32], version: int) -> Dark | None:
    """The symbol between these corners (top left, then clockwise, as the symbol is read), or None."""
    plan = layout(version)
    means, agreement = _best_means(image, corners, plan)
    if agreement < ENOUGH:
        return None
    soft, hidden = _judged(means)
    weight = np.where(hidden, 0.02, 1.0).astype(np.float32)
    for judged in (soft, _equalised(soft, plan)):
        inner = slice(PAD, -PAD)
        found = repaired((np.clip(judged, -1, 1) * weight)[inner, inner], version)
        if found is not None:
            return found
    return None


def likeness(image: Gray, corners: NDArray[np.float32], version: int) -> float:
    """How well a symbol's function modules show between flat corners, 0 … 1; chance gives about 0.55."""
    plan = layout(version)
    return _agreement(_module_means(Grid(corners, plan.modules), image), plan)


def _best_means(image: Gray, corners: NDArray[np.float32], plan: Layout) -> tuple[Plane, float]:
    """Module brightnesses on the grid that shows the function modules best, and how well it shows them."""
    best, best_agreement = np.zeros((0, 0), np.float32), -1.0
    for reaches in ATTEMPTS:
        grid = Grid(corners, plan.modules)
        for reach, stiffness in reaches:
            grid.anchor(image, landmarks(plan.version), reach, stiffness)
        for turn in range(ROUNDS + 1):
            if turn:
                grid.refine(image, plan.modules // 2 if reaches else FINDER_MIDDLE)
            means = _module_means(grid, image)
            agreement = _agreement(means, plan)
            if agreement > best_agreement:
                best, best_agreement = means, agreement
        if best_agreement > GOOD:
            break
    return best, best_agreement


@lru_cache(maxsize=40)
def landmarks(version: int) -> tuple[Landmark, ...]:
    """Finder patterns with their separators, and alignment patterns."""
    modules = 17 + 4 * version
    finder = np.pad(np.pad(np.pad(np.ones((3, 3), np.bool_), 1), 1, constant_values=True), 1)
    alignment = np.pad(np.pad(np.ones((1, 1), np.bool_), 1), 1, constant_values=True)
    far = modules - 3.5
    marks = [Landmark(c, r, finder) for c, r in ((3.5, 3.5), (far, 3.5), (3.5, far))]
    lines = consts.ALIGNMENT_POS[version - 2] if version > 1 else ()
    marks += [
        Landmark(c + 0.5, r + 0.5, alignment)
        for r in lines
        for c in lines
        if not (r < 9 and c < 9) and not (r < 9 and c > modules - 9) and not (r > modules - 9 and c < 9)
    ]
    return tuple(marks)


def _module_means(grid: Grid, image: Gray) -> Plane:
    """The mean of the middle of each module, with a border of PAD modules."""
    size = grid.modules + 2 * PAD
    fine = grid.sampled(image, 5).reshape(size, 5, size, 5)[:, 1:4, :, 1:4]
    return cast("Plane", fine.mean(axis=(1, 3), dtype=np.float32))


def _agreement(means: Plane, plan: Layout) -> float:
    """The share of function modules that look as they are printed."""
    around = cv2.blur(means, (9, 9))
    seen = (means < around)[PAD:-PAD, PAD:-PAD]
    return float(np.mean(seen[plan.known] == plan.dark[plan.known]))


def _judged(means: Plane) -> tuple[Soft, Dark]:
    """-1 dark … 1 light against the modules around, and which modules are hidden; those are left out."""
    visible = np.ones_like(means)
    soft = means
    hidden = np.zeros(means.shape, np.bool_)
    for _ in range(2):
        dark, light = _surroundings(means, visible)
        contrast = np.maximum(light - dark, 0.15 * float(np.median(light - dark)) + 1)
        soft = ((2 * means - light - dark) / contrast).astype(np.float32)
        hidden = _hidden(means, soft, contrast)
        visible = np.where(hidden, 0, 1).astype(np.float32)
    return soft, hidden


def _surroundings(means: Plane, visible: Plane) -> tuple[Plane, Plane]:
    """The local brightness of ink and of paper."""

    def local(weight: Plane, sigma: float) -> Plane:
        total = cv2.GaussianBlur(means * weight, (0, 0), sigma)
        return cast("Plane", total / (cv2.GaussianBlur(weight, (0, 0), sigma) + 1e-4))

    some = np.float32(1e-3)
    level = local(visible + some, 4.0)
    light: Plane = level
    dark: Plane = level
    for sigma in (4.0, 3.0, 3.0):
        bright = (means > level).astype(np.float32) * visible
        light = local(bright + some, sigma)
        dark = local(visible - bright + some, sigma)
        level = (0.5 * (light + dark)).astype(np.float32)
    return dark, light


def _hidden(means: Plane, soft: Soft, contrast: Plane) -> Dark:
    """Modules in a patch all alike (no mask leaves one), and as bright as it is; and what is out of range."""
    patch = cv2.blur((soft > 0).astype(np.float32), (5, 5))
    core = ((patch < 0.03) | (patch > 0.97)).astype(np.float32)
    core[:3], core[-3:], core[:, :3], core[:, -3:] = 0, 0, 0, 0
    near = cv2.dilate(core, np.ones((5, 5), np.uint8)) > 0
    weight = cv2.blur(core, (9, 9)) + 1e-6
    level = cv2.blur(means * core, (9, 9)) / weight
    covered = near & (np.abs(means - level) < 0.3 * contrast)
    return covered | (np.abs(soft) > 2.2)


def _equalised(soft: Soft, plan: Layout) -> Soft:
    """With what leaks from the eight neighbours taken out again.

    The leak is measured by least squares, first on the function modules, whose values are known.
    """
    clipped = np.clip(soft, -1.5, 1.5)
    known = np.zeros(soft.shape, np.bool_)
    known[PAD:-PAD, PAD:-PAD] = plan.known
    truth = np.ones(soft.shape, np.float32)
    truth[PAD:-PAD, PAD:-PAD] = np.where(plan.dark, -1, 1)
    guess = np.where(known, truth, np.sign(clipped)).astype(np.float32)
    guess[:PAD], guess[-PAD:], guess[:, :PAD], guess[:, -PAD:] = 1, 1, 1, 1
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
