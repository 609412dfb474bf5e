"""From the captured frame to the event on the kiosk's page, on one core that something else keeps half busy.

A generated video of real cards goes through camera, motion gate, decoder, signature, decision and the outbox's fsync to an open
WebSocket page; the agent has its twin and roster from the real cloud, and sends what it keeps at the same time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from typing import Any

from demo.video import write_room_video
from tests.bench.page import Page
from tests.bench.service import service, until
from tests.bench.stage import folder, heard, spoken_to, tell
from tests.process import ROOT

TERMINAL = "kiosk-302-a"
CARDS, HOLD_S, PAUSE_S = 40, 0.6, 0.3
SECONDS = 75.0
CORE = 0


def measure(seconds: float = SECONDS, cards: int = CARDS) -> dict[str, float | str]:
    """`checkin_decision_ms.p50`, `.p95`, `.max`, over so many results."""
    with folder() as place, service(place, [TERMINAL], cards) as whole:
        video = place / "room.avi"
        write_room_video(video, [card.text for card in whole.world.cards], hold_s=HOLD_S, pause_s=PAUSE_S)
        config = whole.write_kiosk(TERMINAL, place / "kiosk", {"camera": str(video), "page_port": 0})
        told = {"config": str(config), "cores": [CORE]}
        with spoken_to("tests.bench.kiosk", told) as kiosk, Page(heard(kiosk)) as page, burning():
            until("the first card was read", 60, lambda: len(page.results) > 2)
            threading.Event().wait(seconds)
            tell(kiosk, "tell")
            timings: list[dict[str, float]] = json.loads(heard(kiosk))
        taken_ms = [1000 * each for each in to_events(timings, page.results)][2:]
        return {
            "checkin_decision_ms.p50": median(taken_ms),
            "checkin_decision_ms.p95": quantiles(taken_ms, n=20, method="inclusive")[18],
            "checkin_decision_ms.max": max(taken_ms),
            "checkin_decision_ms.results": float(len(taken_ms)),
            "checkin_decision_ms.p50_of_frame_to_decision": 1000 * _median(timings, "captured", "decided"),
            "checkin_decision_ms.p50_of_storing": 1000 * _median(timings, "decided", "stored"),
        }


def to_events(timings: list[dict[str, float]], arrivals: list[float]) -> list[float]:
    """Seconds from each frame to the first new result that reached the page after its record was stored."""
    places = [(each, bisect_left(arrivals, each["stored_mono_s"])) for each in timings]
    return [arrivals[place] - each["captured_mono_s"] for each, place in places if place < len(arrivals)]


@contextmanager
def burning() -> Iterator[Any]:
    """The core is half busy."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.burner", str(CORE)], cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _median(timings: list[dict[str, float]], start: str, end: str) -> float:
    return median(each[f"{end}_mono_s"] - each[f"{start}_mono_s"] for each in timings)
