"""The stages, ordered by what they cost for what they gain; the measurements are in docs/decoding.md.

A preparing stage changes the picture and lets zxing-cpp look again. Symbols that zxing-cpp found but could
not correct are remembered, and a salvaging stage samples them anew. Called by `decoder`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import cv2
import numpy as np
import zxingcpp
from numpy.typing import NDArray

from edge.kiosk.decoding import preparation
from edge.kiosk.decoding.finders import find_finders, hypotheses
from edge.kiosk.decoding.salvage import likeness, salvage
from edge.kiosk.decoding.sampling import Gray

QR = zxingcpp.BarcodeFormats([zxingcpp.BarcodeFormat.QRCodeModel2])  # not micro, not rectangular
RARE = zxingcpp.BarcodeFormats(
    [zxingcpp.BarcodeFormat.QRCodeModel1, zxingcpp.BarcodeFormat.MicroQRCode, zxingcpp.BarcodeFormat.RMQRCode]
)
MAX_SUSPECTS = 4  # symbols kept of one look
MAX_HYPOTHESES = 60  # symbols that finder patterns suggest, rated by likeness (0.5 ms each)
MAX_SALVAGED = 3  # of those, the likeliest (20 ms each)
MIN_LIKENESS = 0.6
MIN_MODULE_PX = 4.0
Corners = NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """A text and where its code's middle is, in pixels of the whole picture."""

    text: str
    centre: tuple[float, float]


@dataclass(frozen=True)
class Suspect:
    """A symbol that was found and not read: corners in pixels of the whole picture, and its version."""

    corners: Corners
    version: int


@dataclass
class Picture:
    """A grey picture under examination; `work` is it at no more than `preparation.WORK_PIXELS`."""

    whole: Gray
    spent: Callable[[], bool] = lambda: False  # whether the time is up; asked between symbols
    binary: bool = False  # whether contents that are no text count; no card has such
    work: Gray = field(init=False)
    suspects: list[Suspect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.work = preparation.reduced(self.whole)

    def seen_at(self, suspect: Suspect) -> tuple[Gray, Corners, int]:
        """The picture to sample a suspect from, its corners there, and its version.

        `work`, where its modules are still wide enough: sampling needs no more, and grain is averaged out in it.
        """
        scale = self.work.shape[1] / self.whole.shape[1]
        modules = 17 + 4 * suspect.version
        width = math.sqrt(abs(float(cv2.contourArea(suspect.corners)))) * scale / modules
        if self.work is self.whole or width < MIN_MODULE_PX:
            return self.whole, suspect.corners, suspect.version
        return self.work, ((suspect.corners + 0.5) * scale - 0.5).astype(np.float32), suspect.version


@dataclass(frozen=True)
class Stage:
    """A name for reports, and what reads."""

    name: str
    read: Callable[[Picture], list[Found]]


def look(prepare: Callable[[Picture], Gray | None], picture: Picture) -> list[Found]:
    """Let zxing-cpp look at a prepared picture; a preparation that does not apply gives None."""
    prepared = prepare(picture)
    if prepared is None:
        return []
    scale = picture.whole.shape[1] / prepared.shape[1]
    found: list[Found] = []
    suspects: list[Suspect] = []
    for code in zxingcpp.read_barcodes(prepared, formats=QR, return_errors=True):
        corners = (_corners(code.position) + 0.5) * scale - 0.5
        if code.valid:
            if code.text and (picture.binary or code.content_type != zxingcpp.ContentType.Binary):
                found.append(Found(code.text, _middle(corners)))
            continue
        extra = cast("dict[str, str] | None", code.extra) or {}
        version = extra.get("Version", "")
        if version.isdecimal():  # of a Micro QR code, which zxing-cpp reports though nobody asked, it is M1 to M4
            suspects.append(Suspect(corners.astype(np.float32), int(version)))
    picture.suspects = suspects[:MAX_SUSPECTS]
    return found


def look_for_rare(picture: Picture) -> list[Found]:
    """Micro, rectangular and first-generation codes: last, for a blurred code can look like one of them."""
    scale = picture.whole.shape[1] / picture.work.shape[1]
    return [
        Found(code.text, _middle((_corners(code.position) + 0.5) * scale - 0.5))
        for code in zxingcpp.read_barcodes(picture.work, formats=RARE)
        if code.text
    ]


def resample(picture: Picture) -> list[Found]:
    """Sample anew what earlier stages found and could not correct, and forget it."""
    suspects, picture.suspects = picture.suspects, []
    rated = []
    for suspect in suspects:
        if picture.spent():
            return []
        rated.append((suspect, likeness(*picture.seen_at(suspect))))
    rated.sort(key=lambda pair: -pair[1])
    for suspect, alike in rated[:MAX_SALVAGED]:
        if alike < MIN_LIKENESS or picture.spent():
            break
        symbol = salvage(*picture.seen_at(suspect))
        text = None if symbol is None else _drawn_and_read(symbol, binary=picture.binary)
        if text:
            return [Found(text, _middle(suspect.corners))]
    return []


def search(prepare: Callable[[Picture], Gray | None], picture: Picture) -> list[Found]:
    """Sample the symbols that pairs and triples of finder patterns suggest."""
    prepared = prepare(picture)
    if prepared is None:
        return []
    scale = picture.whole.shape[1] / prepared.shape[1]
    suggested = itertools.islice(hypotheses(find_finders(prepared)), MAX_HYPOTHESES)
    picture.suspects = [Suspect(((h.corners + 0.5) * scale - 0.5).astype(np.float32), h.version) for h in suggested]
    return resample(picture)


def _drawn_and_read(symbol: NDArray[np.bool_], *, binary: bool) -> str | None:
    clean = np.where(np.pad(symbol, 4), 0, 255).astype(np.uint8)
    clean = np.kron(clean, np.ones((3, 3), np.uint8))
    code = zxingcpp.read_barcode(clean, formats=QR)
    if code is None or (code.content_type == zxingcpp.ContentType.Binary and not binary):
        return None
    return code.text


def _corners(position: zxingcpp.Position) -> NDArray[np.float64]:
    points = (position.top_left, position.top_right, position.bottom_right, position.bottom_left)
    return np.array([[p.x, p.y] for p in points], np.float64)


def _middle(corners: NDArray[np.floating]) -> tuple[float, float]:
    x, y = corners.mean(axis=0)
    return float(x), float(y)


STAGES = (
    Stage("plain", partial(look, preparation.quick)),
    Stage("salvage", resample),
    Stage("softened", partial(look, preparation.softened)),
    Stage("full", partial(look, preparation.full)),
    Stage("threshold", partial(look, preparation.thresholded)),
    Stage("doubled", partial(look, preparation.doubled)),
    Stage("doubled salvage", resample),
    Stage("finders", partial(search, preparation.quick)),
    Stage("even light", partial(look, preparation.evenly_lit)),
    Stage("even light salvage", resample),
    Stage("doubled finders", partial(search, preparation.doubled)),
    Stage("sharpened", partial(look, preparation.sharpened)),
    Stage("sharpened salvage", resample),
)

LAST = Stage("rare", look_for_rare)
"""For pictures of anything, not for a kiosk: no card is such a code."""
