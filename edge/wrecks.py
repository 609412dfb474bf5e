"""Damaged outbox files beside the outbox: moved aside, found again after a kill, marked once saved, removed in the end.

Promises that a file whose records are not in a new stream yet is never removed, at whichever moment the agent is killed, and
that copies of what is saved have an age, a number and a size. Called by the database and the store.
"""

import contextlib
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from firmware_specs.fields import MAX_TIME_US

KEPT_FOR: Final = timedelta(days=14)
"""So long a saved copy stays for whoever wants to look into the damage."""
MOST_SAVED: Final = 8
MOST_UNSAVED: Final = 8
SAVED: Final = ".saved"
_LOG: Final = "-wal"
_INDEX: Final = "-shm"
_WHEN: Final = "%Y%m%dT%H%M%S%f"


class Wrecks:
    """The damaged files of one outbox; of one in memory there are none."""

    def __init__(self, path: Path | None, most_bytes: int) -> None:
        self._path = path
        self._most_bytes = most_bytes

    def unsaved(self) -> list[Path]:
        """Files whose records may not be in a new stream yet, the oldest first."""
        return [file for file, is_saved in self._found() if not is_saved]

    def adopt_log(self) -> None:
        """A kill came between the two renames of `move_aside`: bring the log to its file, before SQLite removes it.

        To be called before the outbox is opened or made. A log beside no file, or an empty one, can be of nothing else.
        """
        if self._path is None or (self._path.exists() and self._path.stat().st_size):
            return
        log, bereft = Path(f"{self._path}{_LOG}"), [f for f in self.unsaved() if not Path(f"{f}{_LOG}").exists()]
        if log.exists() and bereft:
            log.rename(f"{bereft[-1]}{_LOG}")

    def move_aside(self, now_us: int) -> Path:
        """Rename the outbox's file, and then its log, to a name with the time; returns the new name.

        The file comes first: alone under its old name it would be taken for a sound, older copy of itself. Where file after
        file is damaged before anything was saved in it, it holds nothing, and is removed.
        """
        if self._path is None:
            return Path("memory")
        aside = self._free_name(now_us)
        worthless = len(self.unsaved()) >= MOST_UNSAVED
        for suffix in ("", _LOG, _INDEX):
            with contextlib.suppress(FileNotFoundError):
                if worthless or suffix == _INDEX:
                    Path(f"{self._path}{suffix}").unlink()
                else:
                    Path(f"{self._path}{suffix}").rename(f"{aside}{suffix}")
        _sync(self._path.parent)
        return aside

    def mark_saved(self) -> None:
        """Everything that could be read of them is in the stream that is in force, on the disk."""
        for file in self.unsaved():
            with contextlib.suppress(OSError):  # marked at the next start
                for suffix in (_LOG, ""):
                    with contextlib.suppress(FileNotFoundError):
                        Path(f"{file}{suffix}").rename(f"{file}{SAVED}{suffix}")
                Path(f"{file}{_INDEX}").unlink(missing_ok=True)

    def forget_old(self, now_us: int) -> None:
        """Remove saved copies that are older than `KEPT_FOR`, beyond the newest few, or together larger than an outbox may be."""
        oldest, kept_bytes = _name_of(now_us - KEPT_FOR // timedelta(microseconds=1)), 0
        saved = [file for file, is_saved in self._found() if is_saved]
        for rank, file in enumerate(reversed(saved)):
            parts = [Path(f"{file}{suffix}") for suffix in ("", _LOG, _INDEX)]
            with contextlib.suppress(OSError):
                kept_bytes += sum(part.stat().st_size for part in parts if part.exists())
                if rank >= MOST_SAVED or kept_bytes > self._most_bytes or _when(file) < oldest:
                    for part in parts:
                        part.unlink(missing_ok=True)

    def _found(self) -> list[tuple[Path, bool]]:
        """(file, whether it is saved), the oldest first."""
        if self._path is None:
            return []
        named = re.compile(re.escape(f"{self._path.name}.damaged-") + rf"\d{{8}}T\d{{12}}({re.escape(SAVED)})?")
        found = [(file, named.fullmatch(file.name)) for file in sorted(self._path.parent.glob(f"{self._path.name}.*"))]
        return [(file, match[1] is not None) for file, match in found if match and file.is_file()]

    def _free_name(self, now_us: int) -> Path:
        while True:
            aside = Path(f"{self._path}.damaged-{_name_of(now_us)}")
            if not aside.exists() and not Path(f"{aside}{SAVED}").exists():
                return aside
            now_us += 1


def _name_of(at_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=min(max(at_us, 0), MAX_TIME_US))).strftime(_WHEN)


def _when(file: Path) -> str:
    return file.name.rpartition("-")[2].removesuffix(SAVED)


def _sync(folder: Path) -> None:
    """Bring renames to the disk, before a new file of the old name is made."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
