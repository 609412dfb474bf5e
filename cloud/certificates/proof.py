"""What a terminal proves with its key, and how keys and certificates are named (decision 10). Pure."""

import base64
import hashlib
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

RENEWAL: Final = b"roomlink/v1 renewal\x00"
HALF: Final = 32
"""Bytes of r, and of s (RFC 7518, 3.4)."""


def key_id(key: ec.EllipticCurvePublicKey) -> str:
    """The first 8 bytes of SHA-256 over the DER SubjectPublicKeyInfo, in hex."""
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()[:8].hex()


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def renewal_message(certificate_der: bytes, request_der: bytes) -> bytes:
    """What the old key signs to get a new certificate."""
    return RENEWAL + hashlib.sha256(certificate_der).digest() + hashlib.sha256(request_der).digest()


def is_signed(key: ec.EllipticCurvePublicKey, signature: str, message: bytes) -> bool:
    """Whether `signature`, base64url without padding of r || s, is the key's over `message` (ECDSA with SHA-256)."""
    try:
        raw = base64.b64decode(signature + "=" * (-len(signature) % 4), b"-_", validate=True)
        if len(raw) != 2 * HALF:
            return False
        r, s = int.from_bytes(raw[:HALF], "big"), int.from_bytes(raw[HALF:], "big")
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        return False
    return True
