"""Signatures over batches: which key made one, what it covers, and how it stands in a header (ES256: RFC 7518, 3.4).

A header's `sign` is `<key id>.<signature>`; the chain in the header covers the lines, so that one signature covers the batch.
Pure, and holds no key: whoever signs hands in a callable. Used by `wire`, the terminal, the cloud, and `exported`.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware_specs.errors import DecodeError, SignatureError, SignatureReason

PURPOSE: Final = b"roomlink/v1 batch"
KEY_ID_DIGITS: Final = 16
SIGNATURE_BYTES: Final = 64
_SIGN: Final = re.compile(rb',"sign":"([0-9a-f]{16})\.([A-Za-z0-9_-]{85}[AQgw])"(?:,"check":"[0-9a-f]{16}")?\}\Z')
SIGN_BYTES: Final = len(',"sign":".') + KEY_ID_DIGITS + 86 + len('"')
"""By so much a header grows when it is signed."""
_MOST_TAIL_BYTES: Final = SIGN_BYTES + len(',"check":"0123456789abcdef"}')


@dataclass(frozen=True, slots=True)
class BatchSigner:
    """Who signs: the terminal, its key's id, and what makes a signature of bytes: ECDSA with SHA-256 on P-256, r || s."""

    terminal: str
    key_id: str
    sign: Callable[[bytes], bytes]


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The first 8 bytes of SHA-256 over the key's DER SubjectPublicKeyInfo, lower-case hex."""
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:KEY_ID_DIGITS]


def sign_with(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """ECDSA with SHA-256 as r || s, 64 bytes; ``key`` is on P-256. The same bytes for the same message (RFC 6979)."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def is_signed_by(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (r || s, 64 bytes) over ``message`` was made by this key."""
    if len(signature) != SIGNATURE_BYTES:
        return False
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def covered(terminal: str, header: bytes) -> bytes:
    """What is signed: ``"roomlink/v1 batch" 00 terminal 00`` and the header line up to, but not including, ``,"sign"``."""
    return b"\0".join((PURPOSE, terminal.encode(), header))


def sign_field(signer: BatchSigner, header: bytes) -> bytes:
    """``,"sign":"…"`` for a header line so far, without its closing brace."""
    signature = signer.sign(covered(signer.terminal, header))
    text = base64.urlsafe_b64encode(signature).rstrip(b"=")
    return b',"sign":"' + signer.key_id.encode() + b"." + text + b'"'


def check_place(header: bytes) -> None:
    """Raise DecodeError where a header line that has `sign` does not have it as its last field but the check."""
    if _found(header) is None:
        raise DecodeError("header.sign", "is not the last field before the check")


def verify(terminal: str, header: bytes, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> str:
    """The id of the key in ``keys`` that signed this header line (without its newline); raises SignatureError."""
    found = _found(header)
    if found is None:
        raise SignatureError(SignatureReason.UNSIGNED, "the header carries no signature")
    name = found[1].decode()
    key = keys.get(name)
    if key is None:
        raise SignatureError(SignatureReason.UNKNOWN_KEY, f"signed by key {name}, which is none of this terminal's")
    signature = base64.urlsafe_b64decode(found[2] + b"==")
    if not is_signed_by(key, covered(terminal, header[: found.start()]), signature):
        raise SignatureError(SignatureReason.WRONG, f"the signature by key {name} does not fit the header")
    return name


def _found(header: bytes) -> re.Match[bytes] | None:
    return _SIGN.search(header, max(0, len(header) - _MOST_TAIL_BYTES))
