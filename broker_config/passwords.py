"""Mosquitto's password file: made here, read by the broker when it starts and at every SIGHUP.

Promises that a reader sees the old file or the whole new one, and that no password is kept in clear.
Called by the cloud when a terminal is registered or struck off, and by `python -m broker_config mosquitto-users`.
"""

import base64
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ITERATIONS = 101
"""Mosquitto's own default. It verifies in its only thread, so every round delays all traffic when a fleet
comes back at once. Few rounds are enough only because these passwords are long and random."""

SALT_BYTES = 12

_MINDS_SIGNALS_WITHIN_S = 5.0


class PasswordFileError(ValueError):
    """A password file cannot be read or written as asked; a retry does not help."""


def hash_password(password: str, salt: bytes | None = None) -> str:
    """Hash for one line of the file: `$7$iterations$salt$hash`, base64 (mosquitto_passwd(1)).

    PBKDF2 over HMAC-SHA512 (RFC 8018). A random salt of 12 bytes is drawn when none is given.
    """
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def is_password(password: str, hashed: str) -> bool:
    """Whether `hashed` is this password's, by our number of rounds; False for any other form of hash."""
    try:
        _, kind, rounds, salt, _ = hashed.split("$")
        return (kind, int(rounds)) == ("7", ITERATIONS) and hash_password(password, base64.b64decode(salt)) == hashed
    except ValueError:
        return False


def read_password_file(path: Path) -> dict[str, str]:
    """User names to their hashes; none when there is no file. PasswordFileError for a line that is not so."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    hashes = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, hashed = line.partition(":")
        if not (name and colon and hashed):
            raise PasswordFileError(f"{path}: line {number} is not name:hash")
        hashes[name] = hashed
    return hashes


def write_password_file(path: Path, hashes: Mapping[str, str]) -> None:
    """Replace the file at `path` by one line per user, durably and in one step (fsync, then rename).

    Who may read it follows the directory, so that the same call works for every way of running the broker:

    * started as root, Mosquitto drops to the user `mosquitto`: root gives the file the directory's owner;
    * the broker and the writer are the same user: mode 0600;
    * they are two users: give the directory the broker's group and `chmod g+s`; the file is then 0640.
    """
    lines = [_line(name, hashed) for name, hashed in sorted(hashes.items())]
    directory = path.parent
    owner = directory.stat()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=directory)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            os.fchmod(descriptor, 0o640 if owner.st_mode & 0o2000 else 0o600)
            file.writelines(lines)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(directory)


def ask_for_reload(pid_file: Path) -> None:
    """Send SIGHUP to the Mosquitto that wrote `pid_file`: it reads its password files again.

    Sessions whose name and password are still in the files stay; the others are cut at once. One that has only begun to start is
    waited for: it writes its pid file and listens before it minds the signal, which would end it.
    PasswordFileError when the file names no running Mosquitto, PermissionError when it is another user's.
    """
    try:
        pid = int(pid_file.read_text())
        running = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError) as error:
        raise PasswordFileError(f"{pid_file} names no running process") from error
    if running != "mosquitto":  # the number may have been given to another process since
        raise PasswordFileError(f"{pid_file} names process {pid}, which is {running} and not mosquitto")
    for _ in range(int(_MINDS_SIGNALS_WITHIN_S / 0.02)):
        if _minds_hangup(pid):
            os.kill(pid, signal.SIGHUP)
            return
        time.sleep(0.02)
    raise PasswordFileError(
        f"{pid_file} names process {pid}, which does not mind SIGHUP: it is still starting, or has ended"
    )


def _minds_hangup(pid: int) -> bool:
    """Whether the process has a handler for SIGHUP (SigCgt of proc(5), signal 1 being its lowest bit)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1)


def _line(name: str, hashed: str) -> str:
    if not name or name.startswith("#") or any(c in name for c in ":\r\n\0"):
        raise PasswordFileError(f"{name!r} is no user name: empty, begins with #, or holds : or a line break")
    return f"{name}:{hashed}\n"


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable (fsync(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
