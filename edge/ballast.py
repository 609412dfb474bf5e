"""A file that holds disk space back, to be given up when the disk is full: so that a full terminal can still send.

Promises to take space only while there is plenty, and never to fail. Called by the store.
"""

import contextlib
import os
from pathlib import Path
from typing import Final

PLENTY: Final = 4
"""The ballast is taken (again) only while this many times its size are free."""


class Ballast:
    """``size_bytes`` 0 holds nothing back."""

    def __init__(self, file: Path, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes

    def is_held(self) -> bool:
        """Whether the space is held."""
        with contextlib.suppress(OSError):
            return self._file.stat().st_size >= self._size_bytes > 0
        return False

    def take(self) -> bool:
        """Hold the space, where there is plenty; whether there was no need or no reason against it."""
        if self._size_bytes == 0 or self.is_held():
            return True
        try:
            disk = os.statvfs(self._file.parent)
            if disk.f_bavail * disk.f_frsize < PLENTY * self._size_bytes:
                return False
            self._allocate()
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> bool:
        """Give the space back; whether any was held."""
        held = self.is_held()
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
        return held

    def _allocate(self) -> None:
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, self._size_bytes)
        finally:
            os.close(descriptor)
