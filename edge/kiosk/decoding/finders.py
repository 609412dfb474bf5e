"""Finds finder patterns by their nested outlines, and the symbols that two or three of them may belong to.

zxing-cpp wants three sound finder patterns on a flat symbol; two are enough here, because each is a square of
known size that tells the perspective around it. Called by `stages`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Points = NDArray[np.float32]

MAX_FINDERS = 8  # the squarest; more would make too many pairs
MAX_CONTOURS = 20_000  # a picture of nothing but grain has more: not looked at
WINDOWS = (71, 25)  # of the threshold, in pixels


@dataclass(frozen=True)
class Finder:
    """A finder pattern's outer corners in pixels (clockwise from any), its middle, and its width."""

    corners: Points
    middle: Points
    width: float


@dataclass(frozen=True)
class Hypothesis:
    """Where a symbol of a version may be: its corners, top left first, clockwise as it is read."""

    corners: Points
    version: int


def find_finders(image: Gray) -> list[Finder]:
    """Dark squares in light squares in dark squares, of a finder pattern's proportions."""
    if min(image.shape) < 21:  # the smallest symbol has 21 modules
        return []
    found: list[Finder] = []
    smooth = cv2.GaussianBlur(image, (0, 0), 0.8)
    # Most of a picture is plain: the median step between neighbours there is grain, and no outline.
    grain = float(np.median(cv2.absdiff(smooth[::4, 1:], smooth[::4, :-1])))
    for window in WINDOWS:
        method, kind = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV
        dark = cv2.adaptiveThreshold(smooth, 255, method, kind, window, 3 + 4 * grain)
        contours, tree = cv2.findContours(dark, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
        if tree is None or len(contours) > MAX_CONTOURS:
            continue
        parents = tree[0][:, 3]
        rings = np.where(parents >= 0, parents, 0)
        for inner in np.flatnonzero((parents >= 0) & (parents[rings] >= 0)).tolist():
            ring = int(parents[inner])
            outlines = [cast("Points", contours[index]) for index in (inner, ring, int(parents[ring]))]
            finder = _finder(*outlines)
            if finder is not None and all(math.dist(finder.middle, f.middle) > f.width / 2 for f in found):
                found.append(finder)
    return found[:MAX_FINDERS]


def _finder(inner: Points, ring: Points, outer: Points) -> Finder | None:
    """A finder pattern, if the three outlines have its proportions (9 : 25 : 49 in area) and one middle."""
    box = cv2.boundingRect(outer)
    if min(box[2], box[3]) < 7 or len(inner) < 4:
        return None
    # An outline runs through the middle of its outermost pixels: half its length is missing from the area.
    areas = [
        cv2.contourArea(line) + sign * cv2.arcLength(line, True) / 2
        for line, sign in ((inner, 1), (ring, -1), (outer, 1))
    ]
    if areas[2] <= 0 or not (0.09 < areas[0] / areas[2] < 0.36 and 0.3 < areas[1] / areas[2] < 0.8):
        return None
    hull = cv2.convexHull(outer)
    if areas[2] < 0.85 * cv2.contourArea(hull):
        return None
    corners = cv2.approxPolyN(hull, 4, ensure_convex=True).reshape(-1, 2).astype(np.float32)
    if len(corners) != 4 or areas[2] < 0.75 * cv2.contourArea(corners):
        return None
    middle = corners.mean(axis=0)
    width = math.sqrt(areas[2])
    inside = inner.reshape(-1, 2).mean(axis=0)
    if math.dist(inside, middle) > 0.15 * width:
        return None
    return Finder(cast("Points", middle + (corners - middle) * (1 + 1 / width)), middle, width)


def hypotheses(finders: list[Finder]) -> Iterator[Hypothesis]:
    """Symbols that would explain three, then two of the finder patterns, likelier versions first."""
    for trio in itertools.combinations(finders, 3):
        yield from _of_three(trio)
    for pair in itertools.combinations(finders, 2):
        yield from _of_two(*pair)


def _alike(*finders: Finder) -> bool:
    widths = [f.width for f in finders]
    return max(widths) < 2 * min(widths)


def _of_three(trio: tuple[Finder, Finder, Finder]) -> Iterator[Hypothesis]:
    if not _alike(*trio):
        return
    ways = []
    for first in range(3):
        corner, a, b = trio[first], trio[first - 2], trio[first - 1]
        across, down = a.middle - corner.middle, b.middle - corner.middle
        reach = float(np.linalg.norm(across) * np.linalg.norm(down)) + 1e-6
        turn = float(across[0] * down[1] - across[1] * down[0]) / reach
        right, below = (a, b) if turn > 0 else (b, a)
        if abs(turn) > 0.5:
            ways.append((abs(float(across @ down)) / reach, {(0, 0): corner, (1, 0): right, (0, 1): below}))
    for slant, places in sorted(ways, key=lambda way: way[0]):
        if slant < 0.7:  # the squarest corner first
            yield from _placed(places)


def _of_two(a: Finder, b: Finder) -> Iterator[Hypothesis]:
    """The pair on a side (four ways round) or on the diagonal (two ways)."""
    if not _alike(a, b):
        return
    edge = a.corners[1] - a.corners[0]
    line = b.middle - a.middle
    slant = math.degrees(math.atan2(line[1], line[0]) - math.atan2(edge[1], edge[0])) % 90
    if min(slant, 90 - slant) < 25:
        for first, second in ((a, b), (b, a)):
            yield from _placed({(0, 0): first, (1, 0): second})
            yield from _placed({(0, 0): first, (0, 1): second})
    if 22 < slant < 68:
        for first, second in ((a, b), (b, a)):
            yield from _placed({(1, 0): first, (0, 1): second})


def _placed(places: dict[tuple[int, int], Finder]) -> Iterator[Hypothesis]:
    """The symbols whose finder patterns lie so: the estimated version, and its neighbours."""
    across, down = _directions(places)
    ordered = {at: _in_order(finder, across, down) for at, finder in places.items()}
    estimate = _estimated_modules(places, ordered)
    likely = round((estimate - 17) / 4)
    for version in (likely, likely + 1, likely - 1):
        if not 1 <= version <= 40:
            continue
        modules = 17 + 4 * version
        flat = np.concatenate(
            [np.array([[0, 0], [7, 0], [7, 7], [0, 7]]) + (modules - 7) * np.array(at) for at in ordered]
        ).astype(np.float32)
        seen = np.concatenate(list(ordered.values()))
        perspective: Any = cv2.findHomography(flat, seen, 0)[0]  # None where the points admit none
        if perspective is None:
            continue
        whole = np.array([[[0, 0], [modules, 0], [modules, modules], [0, modules]]], np.float32)
        corners = cv2.perspectiveTransform(whole, perspective)[0]
        if np.isfinite(corners).all() and cv2.isContourConvex(corners):
            yield Hypothesis(cast("Points", corners.astype(np.float32)), version)


def _directions(places: dict[tuple[int, int], Finder]) -> tuple[Points, Points]:
    """Unit vectors along the symbol's rows and down its columns."""
    if len(places) == 3:
        across = places[1, 0].middle - places[0, 0].middle
        down = places[0, 1].middle - places[0, 0].middle
    elif (1, 0) in places and (0, 1) in places:
        diagonal = places[0, 1].middle - places[1, 0].middle  # half right, half down: down minus across
        down = _rotated(diagonal, -45)
        across = _rotated(down, -90)
    elif (1, 0) in places:
        across = places[1, 0].middle - places[0, 0].middle
        down = _nearest_edge(places[0, 0], _rotated(across, 90))
    else:
        down = places[0, 1].middle - places[0, 0].middle
        across = _nearest_edge(places[0, 0], _rotated(down, -90))
    return across / np.linalg.norm(across), down / np.linalg.norm(down)


def _rotated(vector: Points, degrees: float) -> Points:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([c * vector[0] - s * vector[1], s * vector[0] + c * vector[1]], np.float32)


def _nearest_edge(finder: Finder, wanted: Points) -> Points:
    edges = [finder.corners[i] - finder.corners[i - 1] for i in range(4)]
    return cast("Points", max(edges, key=lambda edge: float(edge @ wanted) / float(np.linalg.norm(edge))))


def _in_order(finder: Finder, across: Points, down: Points) -> Points:
    """The corners clockwise from the top left of the symbol."""
    frame = np.stack([across, down], axis=1)
    local = (finder.corners - finder.middle) @ np.linalg.inv(frame).T
    order = np.argsort(np.arctan2(local[:, 1], local[:, 0]))  # top left, top right, bottom right, bottom left
    start = int(np.argmin((local.sum(axis=1))[order]))
    return finder.corners[np.roll(order, -start)]


def _estimated_modules(places: dict[tuple[int, int], Finder], ordered: dict[tuple[int, int], Points]) -> float:
    """The symbol's width in modules, by its finder patterns' distances and own sizes."""
    estimates = []
    for (at, a), (to, b) in itertools.combinations(places.items(), 2):
        line = b.middle - a.middle
        distance = float(np.linalg.norm(line))
        steps = math.hypot(to[0] - at[0], to[1] - at[1])
        widths = []
        for corners in (ordered[at], ordered[to]):
            right = (corners[1] + corners[2] - corners[0] - corners[3]) / 2
            below = (corners[2] + corners[3] - corners[0] - corners[1]) / 2
            frame = np.stack([right, below], axis=1)
            widths.append(distance / max(1e-3, float(np.linalg.norm(np.linalg.solve(frame, line)))))
        module = sum(widths) / len(widths) / 7
        estimates.append(distance / steps / module + 7)
    return sum(estimates) / len(estimates)
