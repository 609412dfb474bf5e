"""A generated video for a kiosk without a camera: cards held before a room, one after the other.

Promises that a QR decoder can read every card, and a pause with nothing shown before each. Called by the demo
and by tests; imports nothing of terminal or cloud.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

HOLD_S = 2.0
PAUSE_S = 2.0
MAX_CARDS = 200


def write_room_video(
    path: Path,
    cards: Sequence[str],
    *,
    width: int = 1280,
    height: int = 720,
    frames_per_s: int = 10,
    hold_s: float = HOLD_S,
    pause_s: float = PAUSE_S,
    seed: int = 1,
) -> None:
    """Write an MJPG video (a name ending in .avi) that shows each of `cards` (QR texts) for `hold_s`.

    At 1280 x 720 about 60 kB a frame. Raises ValueError for no cards or more than MAX_CARDS, OSError when the
    file cannot be written.
    """
    if not 0 < len(cards) <= MAX_CARDS:
        raise ValueError(f"want 1 to {MAX_CARDS} cards, got {len(cards)}")
    rng = np.random.default_rng(seed)
    room = _room(width, height, rng)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), frames_per_s, (width, height))
    if not writer.isOpened():
        raise OSError(f"cannot write a video to {path}")
    try:
        for text in cards:
            for _ in range(round(pause_s * frames_per_s)):
                writer.write(_with_grain(room, rng))
            _show(writer, room, _card(text, height), round(hold_s * frames_per_s), rng)
    finally:
        writer.release()


def _show(writer: cv2.VideoWriter, room: Picture, card: Picture, frames: int, rng: np.random.Generator) -> None:
    """The hand brings the card up, holds it almost still, and takes it away."""
    height, width = room.shape[:2]
    tilt = float(rng.uniform(-8, 8))
    aside = float(rng.uniform(-0.08, 0.08)) * width
    for index in range(frames):
        share = index / max(1, frames - 1)
        away = max(0.0, 1 - share / 0.2, 1 - (1 - share) / 0.2)
        x = width / 2 + aside + 4 * math.sin(index * 0.9)
        y = height * (0.5 + 0.9 * away**1.5) + 3 * math.cos(index * 0.7)
        writer.write(_with_grain(_held(room, card, x, y, tilt + 2 * math.sin(index * 0.5)), rng))


def _held(room: Picture, card: Picture, x: float, y: float, tilt: float) -> Picture:
    """The card, turned by `tilt` degrees about (x, y), with a hand below it."""
    frame = room.copy()
    side = card.shape[0]
    palm = (int(x + 0.22 * side), int(y + 0.62 * side))
    cv2.ellipse(frame, palm, (int(0.42 * side), int(0.3 * side)), -30, 0, 360, (118, 122, 126), -1, cv2.LINE_AA)
    arm = np.array([[x, y + 0.7 * side], [x + 0.5 * side, y + 0.7 * side], [x + 0.9 * side, y + 3 * side]])
    cv2.fillPoly(frame, [np.vstack([arm, [x, y + 3 * side]]).astype(np.int32)], (100, 104, 108))
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), tilt, 1.0)
    turn[:, 2] += (x - side / 2, y - side / 2)
    size = (frame.shape[1], frame.shape[0])
    shown = cv2.warpAffine(card, turn, size, flags=cv2.INTER_AREA)
    where = cv2.warpAffine(np.full_like(card, 255), turn, size)
    blended = frame.astype(np.uint16) * (255 - where) + shown.astype(np.uint16) * where
    frame = (blended // 255).astype(np.uint8)
    thumb = (int(x + 0.42 * side), int(y + 0.47 * side))
    cv2.ellipse(frame, thumb, (int(0.1 * side), int(0.05 * side)), -40, 0, 360, (128, 132, 136), -1, cv2.LINE_AA)
    return frame


def _card(text: str, height: int) -> Picture:
    """A square white card with the code, more than half as high as the frame."""
    code = np.array([list(row) for row in segno.make_qr(text, error="m").matrix], np.uint8)
    modules = np.pad(1 - code, 5, constant_values=1) * 215 + 25
    scale = max(2, round(0.62 * height / len(modules)))
    grey = np.kron(modules, np.ones((scale, scale), np.uint8)).astype(np.uint8)
    return cast("Picture", cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


def _room(width: int, height: int, rng: np.random.Generator) -> Picture:
    """A wall, a floor, a window, a table and a shelf, out of focus."""
    room = np.zeros((height, width, 3), np.uint8)
    room[:] = np.linspace(150, 185, width, dtype=np.uint8)[None, :, None]
    room[int(height * 0.72) :] = (92, 110, 128)
    window = (int(width * 0.66), int(height * 0.08)), (int(width * 0.92), int(height * 0.46))
    cv2.rectangle(room, *window, (225, 222, 214), -1)
    cv2.rectangle(room, *window, (120, 120, 120), 6)
    cv2.rectangle(room, (0, int(height * 0.6)), (int(width * 0.4), int(height * 0.66)), (60, 84, 110), -1)
    for x in range(int(width * 0.05), int(width * 0.32), 14):
        colour = tuple(int(c) for c in rng.integers(50, 180, 3))
        cv2.rectangle(room, (x, int(height * 0.2)), (x + 11, int(height * 0.38)), colour, -1)
    return cast("Picture", cv2.GaussianBlur(room, (0, 0), 2.5))


def _with_grain(frame: Picture, rng: np.random.Generator) -> Picture:
    """Sensor noise that differs from frame to frame, too little for a motion gate to notice."""
    height, width = frame.shape[:2]
    grain = rng.integers(-2, 3, (height // 2, width // 2), np.int8)
    noise = cv2.resize(grain.astype(np.int16), (width, height), interpolation=cv2.INTER_NEAREST)
    return cast("Picture", np.clip(frame + noise[..., None], 0, 255).astype(np.uint8))
