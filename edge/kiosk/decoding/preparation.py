"""What OpenCV does to a picture before zxing-cpp looks again. Pure; None means: does not apply here."""

from __future__ import annotations

import math
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]

WORK_PIXELS = 2_100_000  # a 1080p frame is worked on as it is
ENLARGED_PIXELS = 5_000_000
MIN_ENLARGEMENT = 1.2


class Levels(Protocol):
    """A picture, and the same at a size that is quick to work on."""

    whole: Gray
    work: Gray


def reduced(image: Gray) -> Gray:
    """The picture itself, or smaller so that it has at most WORK_PIXELS."""
    pixels = image.shape[0] * image.shape[1]
    return image if pixels <= WORK_PIXELS else _resized(image, math.sqrt(WORK_PIXELS / pixels))


def full(picture: Levels) -> Gray | None:
    """All pixels of a large picture: a small code in it needs them."""
    return None if picture.work is picture.whole else picture.whole


def quick(picture: Levels) -> Gray:
    """The picture as it is, or reduced to WORK_PIXELS."""
    return picture.work


def doubled(picture: Levels) -> Gray | None:
    """Up to twice as large: distant codes, whose modules are hardly wider than a pixel."""
    height, width = picture.work.shape
    factor = min(2.0, math.sqrt(ENLARGED_PIXELS / (width * height)))
    if factor < MIN_ENLARGEMENT:
        return None
    # From all its pixels, where there are more than those of `work`.
    return _resized(picture.whole, factor * width / picture.whole.shape[1])


def evenly_lit(picture: Levels) -> Gray:
    """Divided by the mean around: shadows, gradients and darkness go."""
    around = cv2.blur(picture.work, (31, 31)).astype(np.float32) + 1
    return cast("Gray", cv2.divide(picture.work.astype(np.float32), around, scale=128, dtype=cv2.CV_8U))


def sharpened(picture: Levels) -> Gray:
    """A wide unsharp mask on the enlarged picture: defocus and motion."""
    larger = doubled(picture)
    base = picture.work if larger is None else larger
    return cast("Gray", cv2.addWeighted(base, 4.0, cv2.GaussianBlur(base, (0, 0), 6), -3.0, 0))


def softened(picture: Levels) -> Gray:
    """A slight blur: grain, and a camera's own sharpening."""
    return cast("Gray", cv2.GaussianBlur(picture.work, (0, 0), 0.8))


def thresholded(picture: Levels) -> Gray:
    """Black and white by the mean of a small window: reflections that leave a little contrast."""
    mode, kind = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY
    return cast("Gray", cv2.adaptiveThreshold(picture.work, 255, mode, kind, 15, 5))


def _resized(image: Gray, factor: float) -> Gray:
    how = cv2.INTER_CUBIC if factor > 1 else cv2.INTER_AREA
    height, width = image.shape
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cast("Gray", cv2.resize(image, size, interpolation=how))
