"""The key file that private keys in the ledger are encrypted under (AES-256-GCM, NIST SP 800-38D).

It lies in a file of mode 0600 outside database and backups: whoever has one of the two can sign nothing. Used for issuer keys
(cards) and for the keys of certificate authorities (terminals).
"""

import base64
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloud.errors import Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True)
class KeyBox:
    """Encrypts and decrypts under the key in `path`, which is read when it is needed."""

    path: Path

    def make(self) -> None:
        """Make the key file if there is none: whole, durably, and never over another. Unavailable where that cannot be done."""
        if self.path.exists():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._put(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
        except OSError as error:
            raise Unavailable(f"The key file {self.path} cannot be made: {error.strerror}.", code="key_file") from error

    def encrypt(self, plain: bytes, name: str) -> str:
        """Base64 of nonce and ciphertext; `name` is bound to it."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + AESGCM(self._key()).encrypt(nonce, plain, name.encode())).decode()

    def decrypt(self, encrypted: str, name: str) -> bytes:
        """Unavailable when the key file is missing, readable by others, or not the one it was encrypted under."""
        sealed = base64.b64decode(encrypted)
        try:
            return AESGCM(self._key()).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
        except InvalidTag as error:
            raise Unavailable(
                f"The key file {self.path} is not the one that this key was encrypted under; put the right "
                "one back, or rotate the key.",
                code="key_file",
            ) from error

    def _put(self, content: bytes) -> None:
        """Under a name of its own first, then linked (link(2) replaces nothing): nobody ever reads half of it."""
        descriptor, temporary = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)  # mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(temporary, self.path)
        finally:
            Path(temporary).unlink()
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # or a power cut could take the name away from what is encrypted under it
        finally:
            os.close(folder)

    def _key(self) -> bytes:
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
            key = base64.b64decode(self.path.read_bytes(), validate=False)
        except (OSError, ValueError) as error:
            raise Unavailable(f"The key file {self.path} cannot be read; put it back.", code="key_file") from error
        if mode & 0o077:
            raise Unavailable(
                f"The key file {self.path} has mode {mode:04o}; others may read it: chmod 600.", code="key_file"
            )
        if len(key) != KEY_BYTES:
            raise Unavailable(f"The key file {self.path} does not hold {KEY_BYTES} bytes in base64.", code="key_file")
        return key
