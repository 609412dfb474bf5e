"""What operators set by command and stays set until another command: whether the terminal is out of service, and how loud it is.

Promises that what `change` returned is on the disk, by an atomic rename, and that a file that cannot be read means a terminal in
service at full volume, with a line in the log. Made by the agent; read by the kiosk, the reported twin and the birth.
"""

import json
import logging
import os
import threading
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

MAX_BYTES: Final = 1024
LOUDEST: Final = 100


@dataclass(frozen=True, slots=True)
class Mode:
    """``volume`` is that of the page's sounds, 0 to 100; under ``maintenance`` nobody is checked in."""

    maintenance: Annotated[bool, Field(strict=True)] = False
    volume: Annotated[int, Field(strict=True, ge=0, le=LOUDEST)] = LOUDEST


_FORM: Final = TypeAdapter(Mode)


class ModeFile:
    """The mode in force and its file."""

    def __init__(self, file: Path) -> None:
        self._file, self._lock = file, threading.Lock()
        self._mode = self._read()

    def current(self) -> Mode:
        """The mode in force; never blocks."""
        return self._mode

    def change(self, **fields: Any) -> Mode:
        """Keep new values and put them in force; raises OSError where they cannot be kept: then nothing has changed."""
        with self._lock:
            mode = replace(self._mode, **fields)
            if mode != self._mode:
                self._write(mode)
                self._mode = mode
        return mode

    def _read(self) -> Mode:
        try:
            with self._file.open("rb") as file:
                return _FORM.validate_json(file.read(MAX_BYTES))
        except FileNotFoundError:
            return Mode()
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be read, so the terminal is in service at full volume: %s", self._file, error)
            return Mode()

    def _write(self, mode: Mode) -> None:
        part = self._file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(asdict(mode), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
