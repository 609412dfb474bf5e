"""Fetches the files that a twin names, over HTTP with the terminal's own password, in a thread of its own; and sends in what
commands ask for, by the same way.

Promises that a file is put in force only when its size and hash are the twin's, by an atomic rename; the old one stays till then.
Started by the agent.
"""

import contextlib
import hashlib
import logging
import os
import random
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from edge.errors import IdentityError
from edge.twin import KINDS, TwinStore
from firmware_specs.errors import DecodeError
from firmware_specs.messages import FileReference

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 1.0
MOST_RETRY_S: Final = 300.0
TIMEOUT_S: Final = 15.0
PIECE_BYTES: Final = 64 * 1024
PRIVATE: Final = 0o600
"""The roster holds the key of its hashes, and who is revoked is nobody's business."""


class FetchError(Exception):
    """The file did not come, or is not the one that was named; the message is a sentence."""


class Source(Protocol):
    """Where files come from: HTTP in the agent, a folder in tests."""

    def pieces(self, reference: FileReference) -> Iterable[bytes]:
        """The file's bytes; raises FetchError."""
        ...


class Fetcher:
    """The thread. It sleeps until the twin names a file that is not in force, or a retry is due."""

    def __init__(self, twin: TwinStore, source: Source, chance: random.Random | None = None) -> None:
        self._twin = twin
        self._source = source
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not secrets
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._failures = 0
        self._tried: dict[str, FileReference] = {}
        self._thread = threading.Thread(target=self._serve, name="fetcher", daemon=True)

    def start(self) -> None:
        """Fetch what is missing; `load_kept` comes before, so that nobody decides without what is on the disk."""
        self._twin.listen(self._look)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; a request under way is left to end with the process."""
        self._stopping.set()
        self._due.set()
        self._thread.join(2.0)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._due.clear()
            self._tried = self._twin.missing()
            self._due.wait(None if self._fetched_all() else self.retry_s())

    def _fetched_all(self) -> bool:
        try:
            return self.fetch_missing()
        except Exception:  # the thread's outermost loop: the next turn is another one
            log.exception("the twin's files could not be fetched")
            self._failures += 1
            return False

    def _look(self) -> None:
        """Something changed in the twin; a problem that was just noted is no reason to try again at once."""
        if self._twin.missing() != self._tried:
            self._due.set()

    def load_kept(self) -> None:
        """The files of the last run are in force again, whichever twin named them: the revocations first. Never raises for
        one that cannot be read."""
        for kind in KINDS:
            file = self._twin.files_dir / kind
            with contextlib.suppress(FileNotFoundError):
                try:
                    file.chmod(PRIVATE)
                    self._twin.put_in_force(self._twin.read_file(kind, file), _sha256(file))
                except FileNotFoundError:
                    raise
                except (DecodeError, OSError, ValueError) as error:
                    self._twin.note_problem(kind, f"the kept file cannot be used: {error}")

    def fetch_missing(self) -> bool:
        """Fetch each missing file once; whether all came. One that does not come holds up no other."""
        failed = False
        for kind, reference in self._twin.missing().items():
            try:
                self._fetch(kind, reference)
            except (FetchError, DecodeError, OSError) as error:
                failed = True
                self._twin.note_problem(kind, str(error))
        self._failures = self._failures + 1 if failed else 0
        return not failed

    def _fetch(self, kind: str, reference: FileReference) -> None:
        self._twin.files_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._twin.files_dir / f"{kind}.part"
        try:
            _write_checked(part, reference, self._source.pieces(reference))
            content = self._twin.read_file(kind, part)
            part.replace(self._twin.files_dir / kind)
        finally:
            part.unlink(missing_ok=True)
        self._twin.put_in_force(content, reference.sha256)
        log.info("%s %s is in force", kind, reference.sha256[:12])

    def retry_s(self) -> float:
        """How long to wait after the last failure."""
        window_s = min(MOST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(self._failures, 12))
        return self._chance.uniform(window_s / 2, window_s)


class HttpSource:
    """The cloud's files, by HTTP Basic under the terminal's id (RFC 7617). For each ``context`` makes the TLS context, and
    ``password``, where it is no text, tells the present one."""

    def __init__(
        self,
        url: str,
        terminal: str,
        password: str | Callable[[], str],
        ca_file: Path | None = None,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._terminal, self._password, self._ca_file = terminal, password, ca_file
        self._context = context

    def pieces(self, reference: FileReference) -> Iterable[bytes]:
        """The file's bytes as they come; raises FetchError."""
        import httpx

        if not self._url:
            raise FetchError("Setting cloud_url is missing, so no file can be fetched.")
        try:
            with self._client() as client, client.stream("GET", self._address_of(reference.path)) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise FetchError(f"The cloud answered {answer.status_code} to {reference.path}.")
                yield from answer.iter_bytes(PIECE_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(f"The cloud at {self._url} cannot be reached: {error}") from error

    def send(self, path: str, content: bytes) -> None:
        """Put what a command asks for where it says, at this cloud; raises FetchError."""
        import httpx

        if not self._url:
            raise FetchError("Setting cloud_url is missing, so nothing can be sent in.")
        headers = {"Content-Type": "application/octet-stream"}
        try:
            with self._client() as client:
                answer = client.put(self._address_of(path), content=content, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(f"The cloud at {self._url} cannot be reached: {error}") from error
        if not answer.is_success:
            raise FetchError(f"The cloud answered {answer.status_code} to {path}.")

    def _client(self) -> "httpx.Client":
        import httpx

        try:
            verify = self._trusted()
        except IdentityError as error:
            raise FetchError(str(error)) from None
        password = self._password if isinstance(self._password, str) else self._password()
        return httpx.Client(auth=(self._terminal, password), timeout=TIMEOUT_S, verify=verify)

    def _trusted(self) -> ssl.SSLContext | bool:
        if self._context is not None:
            return self._context()
        return ssl.create_default_context(cafile=self._ca_file) if self._ca_file else True

    def _address_of(self, path: str) -> "httpx.URL":
        """The password goes to the cloud that the settings name and to nobody else, whatever a path says."""
        import httpx

        cloud, address = httpx.URL(self._url), httpx.URL(self._url + path)
        if (address.scheme, address.netloc, address.userinfo) != (cloud.scheme, cloud.netloc, cloud.userinfo):
            raise FetchError(f"{path} does not lie at {self._url}, so it is not asked for.")
        return address


def _write_checked(part: Path, reference: FileReference, pieces: Iterable[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE), "wb") as file:
        os.fchmod(file.fileno(), PRIVATE)  # one that was left behind may have been open to others
        for piece in pieces:
            size += len(piece)
            if size > reference.size:
                raise FetchError(f"The file is larger than the {reference.size} bytes that the twin says.")
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != reference.sha256:
        raise FetchError(
            f"The file's hash is {digest.hexdigest()[:12]}…, not {reference.sha256[:12]}… as the twin says."
        )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
