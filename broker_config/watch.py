"""Stands between whoever writes the broker's files and Mosquitto: checks them, puts them into place, and signals (SIGHUP).

Promises that Mosquitto never reads a revocation list that would let everyone in or shut everyone out: a bad one is left where
it is, the one in force stays, and stderr says so once a minute. Run by `python -m broker_config watch`.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from broker_config.certificates import UnfitError, check_revocations, check_server, read_authorities
from broker_config.passwords import PasswordFileError, ask_for_reload

CA: Final = "ca.pem"
SERVER: Final = "server.pem"
SERVER_KEY: Final = "server-key.pem"
REVOKED: Final = "revoked.pem"
FILES: Final = (CA, SERVER, SERVER_KEY, REVOKED)
"""What mosquitto.conf names, and what the cloud's certificate authority writes under the same names."""

LOOK_EVERY_S: Final = 1.0
SAY_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class Places:
    """Where files come from and go to. Without a pid file nobody is signalled: then run.sh, beside the broker, does it."""

    incoming: Path
    into: Path
    users: Path | None = None
    pid_file: Path | None = None


@dataclass
class Watch:
    """One look a second. Bounded: it remembers the contents of five files as they were last told."""

    places: Places
    _told: dict[Path, bytes] | None = field(default=None, init=False)

    def look(self, now: datetime) -> list[str]:
        """Put into place what is new and sound, signal when that or the users changed; what is wrong, a sentence each."""
        wrong = self._stage(now)
        if self.places.pid_file is None:
            return wrong
        try:
            present = self._read()
            if present == self._told:
                return wrong
            self._check_in_place(present, now)
            ask_for_reload(self.places.pid_file)
        except (UnfitError, PasswordFileError, OSError) as error:
            return [*wrong, f"NOT TOLD to the broker: {error}."]
        self._told = present
        return wrong

    def _stage(self, now: datetime) -> list[str]:
        """Every sound file from `incoming` to `into`, a certificate only with its key; a sentence for each that is not."""
        wrong: list[str] = []
        for names in ((CA,), (SERVER, SERVER_KEY), (REVOKED,)):
            try:
                contents = {name: _content(self.places.incoming / name) for name in names}
                _check(contents, _content(self.places.incoming / CA), now)
                for name, content in contents.items():
                    _put(self.places.into / name, content)
            except UnfitError as error:
                path = self.places.incoming / names[0]
                wrong.append(f"NOT APPLIED: {path}: {error}. The broker keeps what it has until there is a sound one.")
            except OSError as error:
                wrong.append(f"NOT APPLIED: {error.filename or self.places.into}: {error.strerror}.")
        return wrong

    def _read(self) -> dict[Path, bytes]:
        """What the broker would read at a signal; a file that is missing is left out."""
        paths = [self.places.into / name for name in FILES]
        if self.places.users is not None:
            paths.append(self.places.users)
        return {path: path.read_bytes() for path in paths if path.is_file()}

    def _check_in_place(self, present: dict[Path, bytes], now: datetime) -> None:
        """UnfitError when a signal now would do harm: the broker reads all its files at each."""
        into = {name: present.get(self.places.into / name, b"") for name in FILES}
        for names in ((SERVER, SERVER_KEY), (REVOKED,)):
            try:
                _check({name: into[name] for name in names}, into[CA], now)
            except UnfitError as error:
                raise UnfitError(f"{self.places.into / names[0]}: {error}") from None
        if self.places.users is not None and self.places.users not in present:
            raise UnfitError(f"{self.places.users}: it is missing, and everyone would be cut")


def watch(places: Places) -> None:
    """Look once a second until SIGTERM or SIGINT. Must be called in the main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    observed = Watch(places)
    said: dict[str, float] = {}
    while not stop.is_set():
        wrong = observed.look(datetime.now(UTC))
        said = say(wrong, said, time.monotonic())
        stop.wait(LOOK_EVERY_S)


def say(wrong: Iterable[str], said: dict[str, float], now_s: float) -> dict[str, float]:
    """Each sentence to stderr at once, then once a minute for as long as it is true; when each was said last."""
    last: dict[str, float] = {}
    for sentence in wrong:
        last[sentence] = said.get(sentence, -SAY_EVERY_S + now_s)
        if now_s - last[sentence] >= SAY_EVERY_S:
            print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {sentence}", file=sys.stderr, flush=True)  # noqa: T201
            last[sentence] = now_s
    return last


def _check(contents: dict[str, bytes], ca: bytes, now: datetime) -> None:
    try:
        authorities = read_authorities(ca)
    except UnfitError as error:
        raise UnfitError(f"{CA}: {error}") from None
    if SERVER in contents:
        check_server(contents[SERVER], contents[SERVER_KEY], authorities, now)
    if REVOKED in contents:
        check_revocations(contents[REVOKED], authorities, now)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnfitError(f"{path.name} is missing") from None


def _put(path: Path, content: bytes) -> None:
    """Replace the file in one step (fsync, then rename), unless it says the same already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.stat()
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(descriptor, folder.st_uid, folder.st_gid)
            os.fchmod(descriptor, 0o640 if folder.st_mode & 0o2000 else 0o600)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
