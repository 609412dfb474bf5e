"""How many hard pictures are read, and how fast: this decoder, plain zxing-cpp, and OpenCV's own.

All three see the same 500 pictures in memory, drawn from REPORT_SEED, one after the other in one process.
Called by `tests.bench`; run alone with `python -m tests.bench.qr` it also prints a table by kind.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

import cv2
import zxingcpp

from edge.kiosk.decoding import decode
from edge.kiosk.scan import PICTURE_BUDGET_S
from tests.bench.qr_images import REPORT_SEED, HardImage, hard_images
from tests.bench.qr_scene import Gray

IMAGES = 500
QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCode])


@dataclass
class Tally:
    """What one reader did."""

    read: Counter[str] = field(default_factory=Counter)
    stages: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def share(self) -> float:
        """The share of pictures whose text was read, and read right."""
        return self.read.total() / len(self.milliseconds)


class Reader:
    """A decoder under its name; gives text and stage."""

    def __init__(self, name: str, read: Callable[[Gray], tuple[str, str]]) -> None:
        self.name, self._read = name, read
        self.tally = Tally()

    def look(self, hard: HardImage) -> None:
        """Read one picture and count it."""
        started_s = time.perf_counter()
        text, stage = self._read(hard.image)
        self.tally.milliseconds.append((time.perf_counter() - started_s) * 1000)
        if text == hard.text:
            self.tally.read[hard.kind] += 1
            self.tally.stages[stage] += 1
        elif text:
            self.tally.wrong += 1


def _roomlink(image: Gray) -> tuple[str, str]:
    reading = decode(image, budget_s=PICTURE_BUDGET_S)
    return (reading.text, reading.stage) if reading else ("", "")


def _zxing_cpp(image: Gray) -> tuple[str, str]:
    codes = zxingcpp.read_barcodes(image, formats=QR)
    return (codes[0].text, "") if codes else ("", "")


def _opencv() -> Callable[[Gray], tuple[str, str]]:
    detector = cv2.QRCodeDetector()

    def read(image: Gray) -> tuple[str, str]:
        try:
            return detector.detectAndDecode(image)[0], ""
        except cv2.error:  # raised on some pictures without a code: not read
            return "", ""

    return read


def tallied(seed: int, count: int) -> dict[str, Tally]:
    """Each reader's tally over `count` pictures from `seed`."""
    readers = [Reader("roomlink", _roomlink), Reader("zxing_cpp", _zxing_cpp), Reader("opencv", _opencv())]
    for hard in hard_images(seed, count):
        for reader in readers:
            reader.look(hard)
    return {reader.name: reader.tally for reader in readers}


def measure() -> dict[str, float]:
    """The bench's `qr.*` keys: shares of 500 pictures never tuned on, and median milliseconds."""
    figures: dict[str, float] = {}
    for name, tally in tallied(REPORT_SEED, IMAGES).items():
        figures[f"qr.{name}.read"] = round(tally.share(), 4)
        figures[f"qr.{name}.median_ms"] = round(median(tally.milliseconds), 2)
    return figures


def main() -> None:
    """Print the tallies as tables."""
    tallies = tallied(REPORT_SEED, IMAGES)
    kinds = sorted({kind for tally in tallies.values() for kind in tally.read})
    print("reader", "all", *kinds, "wrong", "median_ms", "max_ms", sep="\t")
    for name, tally in tallies.items():
        counts = [tally.read[kind] for kind in kinds]
        times = (f"{median(tally.milliseconds):.1f}", f"{max(tally.milliseconds):.0f}")
        print(name, f"{tally.share():.3f}", *counts, tally.wrong, *times, sep="\t")
    for stage, count in tallies["roomlink"].stages.most_common():
        print(stage, count, sep="\t")


if __name__ == "__main__":
    main()
