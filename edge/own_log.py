"""The agent's own log on the disk, so that it can be sent in when an operator asks: two files of MAX_BYTES, the older goes.

Promises to trouble nobody where the disk is full, and that what `tail` gives is redacted and bounded. Kept by the command line.
"""

import logging
import os
from collections.abc import Iterable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from edge.redaction import redacted

MAX_BYTES: Final = 512 * 1024
TAIL_BYTES: Final = 256 * 1024
LINES: Final = 500
MOST_LINES: Final = 2_000
LINE_CHARACTERS: Final = 2_000
PRIVATE: Final = 0o600
FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class OwnLog(RotatingFileHandler):
    """For its owner only."""

    def __init__(self, file: Path) -> None:
        super().__init__(file, maxBytes=MAX_BYTES, backupCount=1, encoding="utf-8", delay=True, errors="replace")
        self.setFormatter(logging.Formatter(FORMAT))

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as the base calls it
        """A disk that takes nothing is told of elsewhere; standard error has the line."""


def file_in(data_dir: Path) -> Path:
    """Where it lies."""
    return data_dir / "agent.log"


def keep(data_dir: Path) -> None:
    """From now on, beside standard error."""
    logging.getLogger().addHandler(OwnLog(file_in(data_dir)))


def tail(data_dir: Path, lines: int, secrets: Iterable[str]) -> bytes:
    """The newest lines, redacted, oldest first, within TAIL_BYTES; empty where there are none. Raises OSError."""
    newest = file_in(data_dir)
    text = "".join(_read(each) for each in (newest.with_name(f"{newest.name}.1"), newest))
    wanted = redacted("\n".join(text.splitlines()[-min(lines, MOST_LINES) :]), secrets).splitlines()
    kept: list[bytes] = []
    room = TAIL_BYTES
    for line in (each[:LINE_CHARACTERS] for each in reversed(wanted)):  # only now: half of a secret is not known as one
        encoded = "".join(c if c.isprintable() else " " for c in line).encode("utf-8", "replace") + b"\n"
        room -= len(encoded)
        if room < 0:
            break
        kept.append(encoded)
    return b"".join(reversed(kept))


def _read(file: Path) -> str:
    """The end of a file, as much as can be wanted; a character that was cut is shown as such."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            opened.seek(max(0, size - MAX_BYTES))
            return opened.read(MAX_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
