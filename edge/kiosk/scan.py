"""Reads pictures, or what a camera sees, and prints what their codes say.

Promises a line for every picture, an exit status of 0 whether or not anything was read, one sentence on
stderr for what is no picture, and a bounded memory. Called by `python -m edge scan`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from edge.kiosk.camera import Camera
from edge.kiosk.decoding import Reading, decode
from edge.kiosk.eyes import sightings
from edge.kiosk.pictures import PictureError, load_renderings

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
FIRST_FRAME_S = 3.0  # a camera that takes longer is said to be missing
PICTURE_BUDGET_S = 1.0  # a photograph is worth waiting for; a live frame is not


@dataclass(frozen=True)
class Scanned:
    """A line of output; the text is empty and the stage None where nothing was read."""

    path: str
    text: str
    stage: str | None
    milliseconds: float

    def line(self, *, as_json: bool) -> str:
        """`path<TAB>text` with line ends, tabs and other control characters as \\n, \\r, \\t, \\x1b (for people); or one
        JSON object (exact)."""
        if as_json:
            fields = {"path": self.path, "text": self.text, "stage": self.stage, "ms": round(self.milliseconds, 2)}
            return json.dumps(fields, ensure_ascii=False)
        return f"{_on_one_line(self.path)}\t{_on_one_line(self.text)}"


def scan_files(
    paths: Iterable[Path],
    *,
    as_json: bool = False,
    budget_s: float = PICTURE_BUDGET_S,
    output: TextIO | None = None,
    errors: TextIO | None = None,
) -> None:
    """One line per picture, as soon as it is read. The time is that of reading, without loading the file."""
    output, errors = output or sys.stdout, errors or sys.stderr
    for path in paths:
        scanned = scan_file(path, budget_s=budget_s, errors=errors)
        print(scanned.line(as_json=as_json), file=output, flush=True)


def scan_file(path: Path, *, budget_s: float, errors: TextIO) -> Scanned:
    """What one picture says; a file that is no picture gives an empty text and a sentence on `errors`."""

    def complain(error: PictureError) -> None:
        print(f"{_on_one_line(str(path))}: {error}", file=errors, flush=True)

    reading: Reading | None = None
    milliseconds = 0.0
    try:
        for image in load_renderings(path, complain):
            started_s = time.perf_counter()
            reading = decode(image, budget_s=budget_s, any_qr=True)
            milliseconds += (time.perf_counter() - started_s) * 1000
            if reading is not None:
                break
    except PictureError as error:
        complain(error)
    if reading is None:
        return Scanned(str(path), "", None, milliseconds)
    return Scanned(str(path), reading.text, reading.stage, milliseconds)


def scan_camera(
    source: str,
    stopping: threading.Event,
    *,
    as_json: bool = False,
    output: TextIO | None = None,
    errors: TextIO | None = None,
) -> None:
    """One line per code shown to the camera, its source as the path, until `stopping` is set.

    The time is from the frame's capture to the text. A missing camera is named on `errors`, and waited for.
    """
    camera = Camera(source)
    camera.start()
    try:
        if camera.latest(0, FIRST_FRAME_S) is None and not stopping.is_set():
            print(f"Camera {source} gives no picture; waiting for it.", file=errors or sys.stderr, flush=True)
        for seen in sightings(camera, stopping):
            milliseconds = (time.monotonic() - seen.captured_mono_s) * 1000
            scanned = Scanned(source, seen.text, seen.stage, milliseconds)
            print(scanned.line(as_json=as_json), file=output or sys.stdout, flush=True)
    finally:
        camera.stop()


def _on_one_line(text: str) -> str:
    """A code may hold what would act on the reader's terminal."""
    text = text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
