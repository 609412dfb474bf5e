"""Files of the authority: each whole or as it was before, durable, and read by those who may.

A secret is mode 0600; in a folder with the set-group-id bit 0640, so that a broker of another user reads its key; and where
root writes it, it belongs to the folder's owner (the three rows in broker_config/README.md).
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from cloud.errors import StartError


def replace(path: Path, content: bytes, *, secret: bool, check: Callable[[bytes], None] | None = None) -> None:
    """Put `content` in the place of what is there, once `check` was content with what the disk gave back. OSError as it comes."""
    folder = path.parent.stat()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            private = 0o640 if folder.st_mode & 0o2000 else 0o600
            os.fchmod(descriptor, private if secret else 0o644)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        if check is not None:
            check(Path(temporary).read_bytes())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_secret(path: Path, content: bytes) -> None:
    """A new file of mode 0600, whole and never over another. StartError where it is there or cannot be written."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StartError(f"{path} is there already; name another file.") from None
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        path.unlink()  # half of it would be of no use, and in the way of the next try
        raise StartError(f"{path} cannot be written: {error.strerror}.") from error


def read(path: Path) -> bytes:
    """StartError, with the reason, when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error


def sync_folder(folder: Path) -> None:
    """So that a new name is on the disk, too (fsync(2))."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
