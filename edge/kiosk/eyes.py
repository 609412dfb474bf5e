"""Camera, motion gate and decoder in one loop: the cards that are shown to a kiosk.

Promises each card once per showing, and to spend little on an empty room and a bounded time on each frame.
Called by the kiosk's agent, in a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge.kiosk.camera import Camera, Frame
from edge.kiosk.decoding import Reading, decode
from edge.kiosk.motion import MotionGate

QUICK_BUDGET_S = 0.015  # most frames
THOROUGH_BUDGET_S = 0.080  # one frame in every THOROUGH_EVERY_S
THOROUGH_EVERY_S = 0.4  # after motion
THOROUGH_ASLEEP_EVERY_S = 5.0  # in a room where nothing moves
OUT_OF_VIEW_S = 2.0
WAIT_S = 0.5  # at most so long until `stopping` is looked at


@dataclass(frozen=True)
class Sighting:
    """A code that came into view: its raw text, and time.monotonic() of the frame it was read in."""

    text: str
    stage: str
    captured_mono_s: float


def sightings(
    camera: Camera,
    stopping: threading.Event,
    *,
    out_of_view_s: float = OUT_OF_VIEW_S,
    on_motion: Callable[[], None] = lambda: None,
) -> Iterator[Sighting]:
    """Every code shown to a started camera, until `stopping` is set.

    A code that stays in view is told once; again when it was not read for `out_of_view_s` seconds, or when
    another was read in between. `on_motion` is called for each frame in which something moved.
    """
    gate, number, thorough_mono_s = MotionGate(), 0, float("-inf")
    last_text, last_mono_s = "", float("-inf")
    while not stopping.is_set():
        frame = camera.latest(number, WAIT_S)
        if frame is None:
            continue
        number = frame.number
        wanted = gate.wants(frame.image, frame.captured_mono_s)
        if gate.moved_mono_s == frame.captured_mono_s:
            on_motion()
        if not wanted:
            continue
        every_s = THOROUGH_EVERY_S if gate.awake else THOROUGH_ASLEEP_EVERY_S
        thorough = frame.captured_mono_s - thorough_mono_s >= every_s
        if thorough:
            thorough_mono_s = frame.captured_mono_s
        reading = _read(frame, THOROUGH_BUDGET_S if thorough else QUICK_BUDGET_S)
        if reading is None:
            continue
        camera.decoded()
        fresh = reading.text != last_text or frame.captured_mono_s - last_mono_s >= out_of_view_s
        last_text, last_mono_s = reading.text, frame.captured_mono_s
        if fresh:
            yield Sighting(reading.text, reading.stage, frame.captured_mono_s)


def _read(frame: Frame, budget_s: float) -> Reading | None:
    late_s = time.monotonic() - frame.captured_mono_s
    return decode(frame.image, budget_s=max(0.0, budget_s - late_s))
