"""Decides which frames are worth decoding, so that an empty room costs next to nothing.

A frame is worth it for some seconds after something moved (a card is held still in the end), and otherwise
once a second. Called by `eyes`; one gate per camera.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = (64, 36)  # a frame is compared as this many mean values
CHANGED_BY = 10  # grey levels, beyond the frame's own change of brightness
MOVED_CELLS = 3
AWAKE_S = 5.0  # after the last motion
KEEP_ALIVE_S = 1.0
LEARNING = 0.15  # share of a new frame in the picture of the room


class MotionGate:
    """Remembers a tiny picture of the room (9 KB); `awake` tells whether something moved in the last seconds."""

    def __init__(self, *, awake_s: float = AWAKE_S, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._awake_s, self._keep_alive_s = awake_s, keep_alive_s
        self.awake = False
        self._room: NDArray[np.float32] | None = None
        self.moved_mono_s = float("-inf")
        self._passed_mono_s = float("-inf")

    def wants(self, image: NDArray[np.uint8], now_mono_s: float) -> bool:
        """Whether this grey frame should be decoded."""
        if self._moved(image):
            self.moved_mono_s = now_mono_s
        self.awake = now_mono_s - self.moved_mono_s < self._awake_s
        if not self.awake and now_mono_s - self._passed_mono_s < self._keep_alive_s:
            return False
        self._passed_mono_s = now_mono_s
        return True

    def _moved(self, image: NDArray[np.uint8]) -> bool:
        # Every fourth row and column is enough for means, and four times cheaper than all.
        small = cv2.resize(image[::4, ::4], CELLS, interpolation=cv2.INTER_AREA)
        cells = cast("NDArray[np.float32]", small.astype(np.float32))
        if self._room is None:
            self._room = cells
            return True
        change = cells - self._room
        change -= float(np.median(change))  # lamps flicker and cameras adjust: the whole frame alike
        self._room += LEARNING * (cells - self._room)
        return int(np.count_nonzero(np.abs(change) > CHANGED_BY)) >= MOVED_CELLS
