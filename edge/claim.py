"""`python -m edge claim URL CODE`: makes this machine a terminal of the cloud, once, by a code that an operator handed out.

Promises to keep the key on this machine, to check what came before anything is in force, and to be started again after
whatever cut it off: a key that was made is used again. Called by the command line.
"""

import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.serialization import Encoding

from edge import identity
from edge.enrolment import Claimed, Enrolment
from edge.errors import EdgeError, EnrolmentError, IdentityError, SettingsError
from edge.identity import Claim, FileKey
from edge.settings import IDENTITY, data_dir_of
from edge.tls import client_context

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base32: without I, L, O and U."""
CODE_CHARACTERS: Final = 10
_MEANT: Final = str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None})
NO_SUCH_CODE: Final = (
    "The cloud does not know this code: it is mistyped, used already, older than 24 hours, or there is a newer one. "
    "Ask an operator for a new code (console, the terminal's page)."
)


@dataclass(frozen=True, slots=True)
class Claiming:
    """What came of it: which terminal this machine is now, and until when its certificate is good."""

    terminal: str
    profile: str
    broker: str
    ends_at: datetime
    renews_at: datetime

    def sentences(self, command: str) -> str:
        """What to tell whoever stands before the terminal."""
        ends, renews = f"{self.ends_at:%Y-%m-%d}", f"{self.renews_at:%Y-%m-%d}"
        return (
            f"本机现在是终端 {self.terminal}（型号 {self.profile}）。证书有效至 {ends}，{renews} 起自动更新。\n"
            f"This machine is terminal {self.terminal} now (profile {self.profile}). Its certificate is good until {ends} "
            f"and renews itself from {renews} on.\n"
            f"下一步：启动终端程序；已在运行的会自动开始。\n"
            f"Next: start the agent; one that waits on this screen goes on by itself.\n"
            f"    {command}"
        )


def identity_folder(config: Path | None, data_dir: Path | None) -> Path:
    """Where the identity goes: below ``data_dir``, or the data folder that a settings file names. Raises SettingsError."""
    if data_dir is None and config is None:
        raise SettingsError("Give --data-dir DIR or --config FILE. Example: --data-dir /var/lib/roomlink")
    if data_dir is None and config is not None:
        data_dir = data_dir_of(config)
    return (data_dir or Path()) / IDENTITY


def claim(url: str, code: str, folder: Path, ca_file: Path | None = None) -> Claiming:
    """Claim this machine for the terminal of the code; ``folder`` is the identity's. Raises EdgeError, a sentence."""
    code, url = read_code(code), read_url(url)
    before = _terminal_before(folder)
    with Enrolment(url, _context(ca_file)) as cloud:
        with _in_words():
            terminal = cloud.whose(code).terminal
        if before not in (None, terminal):
            raise EdgeError(
                f"The code is for {terminal}, and this folder belongs to {before}: {folder}. "
                f"Ask for a code for {before}, or move that folder away to make this machine another terminal."
            )
        key = _make_key(folder)
        with _in_words():
            claimed = cloud.claim(code, key.request(terminal))
    _check(claimed, terminal, key)
    _keep(folder, claimed, url)
    return _told(folder, claimed)


def read_code(text: str) -> str:
    """The code as the cloud knows it; small letters, blanks and hyphens do no harm. Raises EdgeError."""
    code = text.upper().translate(_MEANT)
    if len(code) != CODE_CHARACTERS or set(code) - set(ALPHABET):
        raise EdgeError(
            f"A claim code has {CODE_CHARACTERS} characters of 0-9 and A-Z without I, L, O and U. Example: 7K3QX-9M2TB"
        )
    return code


def read_url(text: str) -> str:
    """The cloud's address; plain HTTP only to this very machine. Raises EdgeError."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise EdgeError(f"{text} is no address of a cloud. Example: https://roomlink.example.org")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise EdgeError(f"{text} is not encrypted: whoever listens could take the code. Use https://")
    return text.rstrip("/")


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _terminal_before(folder: Path) -> str | None:
    """Whose folder it is; one that is damaged may be claimed anew."""
    with suppress(IdentityError):
        known = identity.load_claim(folder)
        return None if known is None else known.terminal
    return None


def _context(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return client_context(ca_file)
    except OSError as error:
        raise EdgeError(f"{ca_file} cannot be used as certificates to trust: {error}") from None


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except EnrolmentError as error:
        raise EdgeError(NO_SUCH_CODE if error.status == HTTPStatus.NOT_FOUND else str(error)) from None


def _make_key(folder: Path) -> FileKey:
    try:
        return identity.pending_key(folder)
    except OSError as error:
        raise EdgeError(
            f"The key cannot be kept in {folder} ({error.strerror}). Use a folder that this user may write."
        ) from None


def _check(claimed: Claimed, terminal: str, key: FileKey) -> None:
    if claimed.terminal != terminal:
        raise EdgeError(f"The cloud sent the claim of {claimed.terminal}, and not of {terminal}. Nothing was changed.")
    try:
        identity.check_certificates(claimed.certificates(), claimed.root_certificate(), terminal, key.public_key)
    except IdentityError as error:
        raise EdgeError(f"{error} Nothing was changed; ask for a new code, and tell whoever runs the cloud.") from None


def _keep(folder: Path, claimed: Claimed, url: str) -> None:
    told = Claim(
        terminal=claimed.terminal,
        profile=claimed.profile,
        broker=claimed.broker,
        cloud_url=url,
        password=claimed.password,
    )
    certificates = b"".join(each.public_bytes(Encoding.PEM) for each in claimed.certificates())
    root = claimed.root_certificate().public_bytes(Encoding.PEM)
    desired = None if claimed.desired is None else _encoded(claimed.desired)
    try:
        identity.keep_claim(folder, told, certificates, root, desired)
    except OSError as error:
        raise EdgeError(
            f"The certificate cannot be kept in {folder} ({error.strerror}). Make room, and claim again with a new code."
        ) from None


def _encoded(desired: dict[str, Any]) -> bytes:
    """Without a blank, as the broker would give it: one of the most bytes that are allowed must not grow."""
    return json.dumps(desired, ensure_ascii=False, separators=(",", ":")).encode()


def _told(folder: Path, claimed: Claimed) -> Claiming:
    kept = identity.load(folder)
    if kept is None:
        raise IdentityError(f"{folder} was changed by somebody else meanwhile. Claim again.")
    where = f"{claimed.broker.host}:{claimed.broker.port}"
    return Claiming(kept.terminal, kept.claim.profile, where, kept.ends_at, kept.renews_at)
