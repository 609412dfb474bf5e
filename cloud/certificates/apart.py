"""What is kept apart from the machine, each in a file under a passphrase: the root's key, and a backup of the intermediates.

The root is PKCS #12 (RFC 7292), which openssl reads. The backup is AES-256-GCM under a key by scrypt (RFC 7914).
"""

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

from cloud.certificates import files
from cloud.certificates.authorities import key_bytes, pem, read_key
from cloud.certificates.authority import Authority
from cloud.errors import StartError

MIN_PASSPHRASE: Final = 12
ROUNDS: Final = 600_000
"""Of PBKDF2 with SHA-256 (OWASP's figure)."""
MAGIC: Final = b"roomlink authority backup 1\n"
SALT_BYTES: Final = 16
NONCE_BYTES: Final = 12
WRONG: Final = "cannot be opened: the passphrase is wrong, or the file is damaged or another one."


@dataclass(frozen=True)
class Kept:
    """An intermediate with its key, and the root above it."""

    authority: Authority
    root: x509.Certificate


def write_root(path: Path, root: Authority, passphrase: str) -> None:
    """The root's certificate and key to a new file of mode 0600. StartError where it is there already."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(passphrase.encode())
    )
    content = pkcs12.serialize_key_and_certificates(b"root", root.key, root.certificate, None, encryption)
    files.create_secret(path, content)


def read_root(path: Path, passphrase: str) -> Authority:
    """StartError for a wrong passphrase or another file."""
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(files.read(path), passphrase.encode())
    except ValueError:
        raise StartError(f"{path} {WRONG}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate is None:
        raise StartError(f"{path} holds no root of ours.")
    return Authority(certificate, key)


def write_backup(path: Path, kept: Sequence[Kept], passphrase: str) -> None:
    """Intermediates, their keys and their roots' certificates to a new file of mode 0600."""
    plain = json.dumps([_written(each) for each in kept]).encode()
    salt, nonce = os.urandom(SALT_BYTES), os.urandom(NONCE_BYTES)
    sealed = AESGCM(_derived(passphrase, salt)).encrypt(nonce, plain, MAGIC)
    files.create_secret(path, MAGIC + base64.b64encode(salt + nonce + sealed) + b"\n")


def read_backup(path: Path, passphrase: str) -> list[Kept]:
    """StartError for a wrong passphrase or another file."""
    content = files.read(path)
    if not content.startswith(MAGIC):
        raise StartError(f"{path} is no backup of a certificate authority.")
    try:
        raw = base64.b64decode(content.removeprefix(MAGIC))
        salt, nonce = raw[:SALT_BYTES], raw[SALT_BYTES : SALT_BYTES + NONCE_BYTES]
        plain = AESGCM(_derived(passphrase, salt)).decrypt(nonce, raw[SALT_BYTES + NONCE_BYTES :], MAGIC)
    except (ValueError, InvalidTag):
        raise StartError(f"{path} {WRONG}") from None
    return [_read(each) for each in json.loads(plain)]


def _written(kept: Kept) -> dict[str, str]:
    return {
        "certificate": pem(kept.authority.certificate),
        "root": pem(kept.root),
        "key": base64.b64encode(key_bytes(kept.authority.key)).decode(),
    }


def _read(written: dict[str, str]) -> Kept:
    certificate, root = (x509.load_pem_x509_certificate(written[name].encode()) for name in ("certificate", "root"))
    return Kept(Authority(certificate, read_key(base64.b64decode(written["key"]))), root)


def _derived(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=32, n=1 << 16, r=8, p=1).derive(passphrase.encode())
