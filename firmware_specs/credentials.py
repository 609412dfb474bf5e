"""The member credential in a QR code: COSE_Sign1 (RFC 9052) over CWT claims (RFC 8392), Ed25519, base45 (RFC 9285).

Says nothing about who carries it: issuer, opaque subject, validity, credential id, key id. The cloud signs, the kiosk
verifies. Every claim and the clock-skew rule are stated here; nothing is filled in silently.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

import base45
import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from firmware_specs.errors import CredentialError, CredentialReason

PREFIX: Final = "RL1:"
MAX_CHARACTERS: Final = 221  # a version 8 QR code at level M, alphanumeric mode (ISO/IEC 18004, table 7)
SKEW: Final = timedelta(minutes=15)
"""A credential is good this long before its not-before and after its expiry, because a kiosk's clock may be off."""

_ALG, _KID, _EDDSA = 1, 4, -8  # COSE header labels and algorithm (RFC 9053, section 2.2)
_ISS, _SUB, _EXP, _NBF, _CTI = 1, 2, 4, 5, 7  # CWT claim keys (RFC 8392, section 4)
_TAG_SIGN1: Final = 18
_ISSUER: Final = re.compile(r"[A-Za-z0-9._-]{1,8}")
_SUBJECT: Final = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]")  # 128 bits leave four possible last characters
_ALPHANUMERIC: Final = re.compile(r"[0-9A-Z $%*+\-./:]+")
_MAX_TIME_S: Final = 2**32 - 1  # 2106-02-07; with larger times a card could outgrow version 8


@dataclass(frozen=True, slots=True)
class Credential:
    """The claims of one card. ``id`` is 16 hex digits, ``key_id`` 8; instants are whole seconds, UTC."""

    issuer: str
    subject: str
    id: str
    key_id: str
    not_before: datetime
    expires: datetime


def sign(credential: Credential, key: Ed25519PrivateKey) -> str:
    """The text of the QR code, at most 221 characters; raises ValueError for a claim out of bounds."""
    _check_claims(credential)
    protected = cbor2.dumps({_ALG: _EDDSA, _KID: bytes.fromhex(credential.key_id)}, canonical=True)
    payload = cbor2.dumps(
        {
            _ISS: credential.issuer,
            _SUB: credential.subject,
            _EXP: int(credential.expires.timestamp()),
            _NBF: int(credential.not_before.timestamp()),
            _CTI: bytes.fromhex(credential.id),
        },
        canonical=True,
    )
    signature = key.sign(_to_be_signed(protected, payload))
    message = cbor2.dumps(cbor2.CBORTag(_TAG_SIGN1, [protected, {}, payload, signature]))
    encoded: bytes = base45.b45encode(message)
    return PREFIX + encoded.decode("ascii")


def read(text: str, keys: Mapping[tuple[str, str], Ed25519PublicKey]) -> Credential:
    """Decode and verify the signature; ``keys`` maps (issuer, key id) to a public key. Does not look at the clock.

    Raises CredentialError with reason unreadable, unknown_issuer or forged.
    """
    protected, payload, signature = _sign1(text)
    credential = _claims(_mapping(protected), _mapping(payload))
    key = keys.get((credential.issuer, credential.key_id))
    if key is None:
        _refuse(CredentialReason.UNKNOWN_ISSUER, "no trusted key of this issuer and key id")
    try:
        key.verify(signature, _to_be_signed(protected, payload))
    except InvalidSignature:
        _refuse(CredentialReason.FORGED, "the signature is not the issuer's")
    return credential


def read_unverified(text: str) -> Credential:
    """What a code says of itself, its signature not checked: for a kiosk that has never had a key.

    Raises CredentialError with reason unreadable.
    """
    protected, payload, _ = _sign1(text)
    return _claims(_mapping(protected), _mapping(payload))


def check_validity(credential: Credential, now: datetime) -> None:
    """Raise CredentialError (expired, not_yet_valid) where ``now`` is outside the validity widened by SKEW on both sides."""
    if now < credential.not_before - SKEW:
        _refuse(CredentialReason.NOT_YET_VALID, f"valid from {credential.not_before.isoformat()}")
    if now >= credential.expires + SKEW:
        _refuse(CredentialReason.EXPIRED, f"expired at {credential.expires.isoformat()}")


# --- the number printed on a card -----------------------------------------------------------------------------------


def card_id(number: str) -> str:
    """The credential id behind a typed card number (12 digits, spaces allowed); raises ValueError on a wrong check digit."""
    digits = number.replace(" ", "")
    if not re.fullmatch(r"[0-9]{12}", digits):
        raise ValueError("a card number has 12 digits")
    if _luhn(digits):
        raise ValueError("the card number's check digit is wrong")
    return f"{int(digits):016x}"


def card_number(credential_id: str) -> str:
    """The 12 digits printed on a card, in fours; raises ValueError for an id that is no card number."""
    digits = f"{int(credential_id, 16):012d}"
    if len(digits) != 12 or _luhn(digits):
        raise ValueError(f"{credential_id}: not an id made by card_id_from_random")
    return f"{digits[:4]} {digits[4:8]} {digits[8:]}"


def card_id_from_random(eleven_digits: int) -> str:
    """A new credential id from a random number below 10**11, its Luhn check digit (ISO/IEC 7812-1) appended."""
    if not 0 <= eleven_digits < 10**11:
        raise ValueError("a number below 10**11 is needed")
    body = f"{eleven_digits:011d}"
    return f"{int(body + str(-_luhn(body + '0') % 10)):016x}"


def _luhn(digits: str) -> int:
    doubled = [int(d) * 2 if place % 2 else int(d) for place, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10


# --- inside ---------------------------------------------------------------------------------------------------------


def _refuse(reason: CredentialReason, what: str) -> NoReturn:
    raise CredentialError(reason, what)


def _unreadable(what: str) -> NoReturn:
    _refuse(CredentialReason.UNREADABLE, what)


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure of RFC 9052, section 4.4, with empty external data."""
    return cbor2.dumps(["Signature1", protected, b"", payload])


def _sign1(text: str) -> tuple[bytes, bytes, bytes]:
    """Protected header, payload and signature of the text."""
    if len(text) > MAX_CHARACTERS or not text.startswith(PREFIX) or not _ALPHANUMERIC.fullmatch(text):
        _unreadable(f"not a text of at most {MAX_CHARACTERS} characters that begins with {PREFIX}")
    try:
        encoded = base45.b45decode(text[len(PREFIX) :])
    except ValueError:
        _unreadable("not base45")
    message = _exactly_one(encoded)
    if not isinstance(message, cbor2.CBORTag) or message.tag != _TAG_SIGN1:
        _unreadable("not a COSE_Sign1")
    parts = message.value
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        _unreadable("a COSE_Sign1 has four parts")
    protected, unprotected, payload, signature = parts
    if unprotected != {} or not all(isinstance(p, bytes) for p in (protected, payload, signature)):
        _unreadable("the unprotected header is empty and the other parts are byte strings")
    if len(signature) != 64:
        _unreadable("an Ed25519 signature has 64 bytes")
    return protected, payload, signature


def _exactly_one(encoded: bytes) -> Any:
    """The one CBOR item; trailing bytes are an error, and so is every second spelling of the same item."""
    try:
        item = cbor2.loads(encoded)
        again = cbor2.dumps(item)
    except (cbor2.CBORError, ValueError, RecursionError, OverflowError, TypeError):
        _unreadable("not CBOR, or cut")
    if again != encoded:
        _unreadable("trailing bytes, or not in the one form that is allowed")
    return item


def _mapping(encoded: bytes) -> dict[Any, Any]:
    item = _exactly_one(encoded)
    if not isinstance(item, dict):
        _unreadable("a CBOR map was expected")
    return item


def _claims(header: dict[Any, Any], claims: dict[Any, Any]) -> Credential:
    if set(header) != {_ALG, _KID} or header[_ALG] != _EDDSA or not _bytes_of(header[_KID], 4):
        _unreadable("the protected header holds EdDSA and a key id of 4 bytes, nothing else")
    if set(claims) != {_ISS, _SUB, _EXP, _NBF, _CTI}:
        _unreadable("the claims are iss, sub, exp, nbf and cti, nothing else")
    issuer, subject = claims[_ISS], claims[_SUB]
    if not (isinstance(issuer, str) and _ISSUER.fullmatch(issuer)):
        _unreadable("issuer: 1 to 8 of letters, digits, dot, hyphen, underscore")
    if not (isinstance(subject, str) and _SUBJECT.fullmatch(subject)):
        _unreadable("subject: base64url of 128 bits")
    if not _bytes_of(claims[_CTI], 8):
        _unreadable("credential id: 8 bytes")
    return Credential(
        issuer,
        subject,
        claims[_CTI].hex(),
        header[_KID].hex(),
        _instant(claims[_NBF]),
        _instant(claims[_EXP]),
    )


def _bytes_of(value: object, length: int) -> bool:
    return isinstance(value, bytes) and len(value) == length


def _instant(value: object) -> datetime:
    if type(value) is not int or not 0 <= value <= _MAX_TIME_S:
        _unreadable("a time is a whole number of seconds since 1970, below 2**32")
    return datetime.fromtimestamp(value, UTC)


def _check_claims(credential: Credential) -> None:
    if not _ISSUER.fullmatch(credential.issuer):
        raise ValueError("issuer: 1 to 8 of letters, digits, dot, hyphen, underscore")
    if not _SUBJECT.fullmatch(credential.subject) or len(base64.urlsafe_b64decode(credential.subject + "==")) != 16:
        raise ValueError("subject: base64url of 128 bits, 22 characters")
    if len(bytes.fromhex(credential.id)) != 8 or len(bytes.fromhex(credential.key_id)) != 4:
        raise ValueError("credential id: 8 bytes; key id: 4 bytes")
    if not 0 <= credential.not_before.timestamp() < credential.expires.timestamp() <= _MAX_TIME_S:
        raise ValueError("not-before comes before expiry, both between 1970 and 2106")
