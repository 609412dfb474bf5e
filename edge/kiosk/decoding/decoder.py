"""The order in which a picture is tried, within a budget of time.

Promises the raw text of QR codes, the nearest to the picture's centre first; to begin no stage once the budget is
spent; and that a stage which fails does not end the others. Called by the kiosk and by `scan`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.kiosk.decoding.stages import LAST, STAGES, Found, Picture, Stage

MAX_PIXELS = 64_000_000  # 64 MB of grey; larger pictures are refused
MAX_SIDE = 65_535  # zxing-cpp takes no longer one

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading:
    """A code's raw text, the stage that read it, and its centre in pixels of the picture given (x, y)."""

    text: str
    stage: str
    centre: tuple[float, float]


def decode(
    image: NDArray[np.uint8],
    *,
    budget_s: float,
    any_qr: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Reading | None:
    """The code nearest the centre of a grey or BGR picture, None where none is read.

    With `any_qr`, Micro QR, rMQR and model 1 codes are looked for too, and contents that are no text are given
    as zxing-cpp writes them; without, only what a card can be.

    No stage and no sampling of a symbol begins after `budget_s` seconds, so a call overruns it by one of these
    at most: about 50 ms for a 720p frame, 0.3 s for the largest picture. The first stage always runs, and with
    `any_qr` the last.
    """
    readings = read_all(image, budget_s=budget_s, any_qr=any_qr, clock=clock)
    return readings[0] if readings else None


def read_all(
    image: NDArray[np.uint8],
    *,
    budget_s: float,
    any_qr: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> list[Reading]:
    """What the first successful stage read, nearest the centre first. Raises ValueError for a wrong shape."""
    started_s = clock()
    grey = _grey(image)
    picture = Picture(grey, lambda: clock() - started_s >= budget_s, binary=any_qr)
    for index, stage in enumerate((*STAGES, LAST) if any_qr else STAGES):
        if index and stage is not LAST and picture.spent():
            continue
        if found := _tried(stage, picture):
            return [Reading(f.text, stage.name, f.centre) for f in _nearest_first(found, grey)]
    return []


def _tried(stage: Stage, picture: Picture) -> list[Found]:
    try:
        return stage.read(picture)
    except Exception:  # whatever a library makes of an odd picture: the next stage sees another one
        log.exception("The stage %s failed.", stage.name)
        return []


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    colours = image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or not (image.ndim == 2 or colours) or image.size == 0:
        raise ValueError(f"want a grey or BGR picture of bytes, got {image.dtype} {image.shape}")
    height, width = image.shape[:2]
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS}, or a side more than {MAX_SIDE}")
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if colours else np.ascontiguousarray(image)
    return cast("NDArray[np.uint8]", grey)


def _nearest_first(found: list[Found], grey: NDArray[np.uint8]) -> list[Found]:
    middle = (grey.shape[1] / 2, grey.shape[0] / 2)
    return sorted(found, key=lambda f: math.dist(f.centre, middle))
