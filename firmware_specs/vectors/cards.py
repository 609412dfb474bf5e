"""Vectors of member credentials and of the numbers printed on cards. The keys are made from words: never trust them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import base45
import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_specs.credentials import MAX_CHARACTERS, PREFIX, Credential, card_id_from_random, card_number, sign
from firmware_specs.vectors import samples
from firmware_specs.vectors.vector import Vector

NOT_BEFORE = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
CARD = Credential(
    issuer="test",
    subject=samples.SUBJECT,
    id=card_id_from_random(12_345_678_901),
    key_id="7e570001",
    not_before=NOT_BEFORE,
    expires=NOT_BEFORE + timedelta(days=365),
)


def known_key(number: int) -> Ed25519PrivateKey:
    """A signing key that everybody knows."""
    return Ed25519PrivateKey.from_private_bytes(samples.digest(f"roomlink TEST key {number}: never trust it"))


def credentials() -> Iterator[Vector]:
    """Texts of QR codes, with the keys that are trusted and the time at the kiosk."""
    text = sign(CARD, known_key(1))
    yield from _trusted(text)
    yield from _within_skew(text)
    yield from _refused(text)
    yield from _unreadable(text)


def _trusted(text: str) -> Iterator[Vector]:
    yield _good("good", "a card in the middle of its time", text, CARD, at=NOT_BEFORE + timedelta(days=30))
    second = replace(CARD, key_id="7e570002")
    yield _good("second-key", "two keys are valid at once while they are exchanged", sign(second, known_key(2)), second)
    longest = replace(CARD, issuer="TESTtest", expires=datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC))
    yield _good(
        "longest", "the longest that there can be still fits version 8, level M", sign(longest, known_key(1)), longest
    )
    late = replace(
        CARD, not_before=datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), expires=datetime(2039, 1, 1, tzinfo=UTC)
    )
    yield _good("year-2038", "seconds beyond 32 bits", sign(late, known_key(1)), late, at=late.not_before)


def _within_skew(text: str) -> Iterator[Vector]:
    yield _good(
        "slow-clock",
        "made a minute ago, the kiosk's clock ten minutes slow",
        text,
        CARD,
        at=NOT_BEFORE - timedelta(minutes=9),
    )
    yield _good("skew-before", "15 minutes before, to the second", text, CARD, at=NOT_BEFORE - timedelta(minutes=15))
    yield _good(
        "skew-after",
        "a second less than 15 minutes after",
        text,
        CARD,
        at=CARD.expires + timedelta(minutes=14, seconds=59),
    )


def _refused(text: str) -> Iterator[Vector]:
    yield _bad(
        "not-yet-valid", "a second too early", text, "not_yet_valid", at=NOT_BEFORE - timedelta(minutes=15, seconds=1)
    )
    yield _bad("expired", "15 minutes after, to the second", text, "expired", at=CARD.expires + timedelta(minutes=15))
    yield _bad(
        "other-issuer",
        "nobody trusted here signed it",
        sign(replace(CARD, issuer="other"), known_key(1)),
        "unknown_issuer",
    )
    yield _bad(
        "unknown-key",
        "a key of this issuer that is not trusted",
        sign(replace(CARD, key_id="7e570009"), known_key(1)),
        "unknown_issuer",
    )
    yield _bad("forged", "signed with another key under a trusted one's name", sign(CARD, known_key(3)), "forged")
    yield _bad("forged-claims", "somebody else's subject under a good signature", _forged_claims(), "forged")


def _unreadable(text: str) -> Iterator[Vector]:
    yield _bad("cut", "half of a code", text[: len(text) // 2], "unreadable")
    yield _bad("cut-character", "one character is missing", text[:-1], "unreadable")
    yield _bad("trailing-bytes", "a byte after the end", _encoded(_decoded(text) + b"\0"), "unreadable")
    yield _bad("trailing-text", "characters after the end", text + "000", "unreadable")
    yield _bad("lower-case", "base45 has no lower case", PREFIX + text[len(PREFIX) :].lower(), "unreadable")
    yield _bad("no-prefix", "some other QR code", text[len(PREFIX) :], "unreadable")
    yield _bad("web-address", "an address", "https://example.org/card/1", "unreadable")
    yield _bad("empty", "nothing at all", "", "unreadable")
    yield _bad("base45-overflow", "::: is more than two bytes", PREFIX + ":::", "unreadable")
    yield _bad("base45-length", "one character cannot be left over", PREFIX + "0000", "unreadable")
    yield _bad(
        "too-long",
        f"more than {MAX_CHARACTERS} characters",
        PREFIX + "0" * (MAX_CHARACTERS - len(PREFIX) + 1),
        "unreadable",
    )
    protected, payload, signature = _parts(text)
    yield _bad("no-tag", "a bare array", _encoded(cbor2.dumps([protected, {}, payload, signature])), "unreadable")
    yield _bad(
        "unprotected",
        "something stands where no signature covers it",
        _message(protected, payload, signature, {4: b"1"}),
        "unreadable",
    )
    yield _bad("algorithm", "another algorithm", _resigned({1: -7, 4: b"\x7e\x57\0\1"}), "unreadable")
    claims = cbor2.loads(payload)
    yield _bad(
        "claim-missing", "no expiry", _resigned(claims={k: v for k, v in claims.items() if k != 4}), "unreadable"
    )
    yield _bad("claim-more", "a claim that is not ours", _resigned(claims=claims | {6: 1}), "unreadable")
    yield _bad("time-fraction", "times are whole seconds", _resigned(claims=claims | {4: 1.5}), "unreadable")
    yield _bad("year-2106", "times fit in 32 bits without a sign", _resigned(claims=claims | {4: 2**32}), "unreadable")
    yield _bad("subject-short", "fewer than 128 bits", _resigned(claims=claims | {2: "Test"}), "unreadable")


def numbers() -> Iterator[Vector]:
    """Numbers that staff types from a card."""
    good = card_number(CARD.id)
    yield _number("good", "as it is printed", good, {"id": CARD.id})
    yield _number("without-spaces", "as it is typed", good.replace(" ", ""), {"id": CARD.id})
    yield _number("zero", "the lowest", "000000000000", {"id": "0" * 16})
    yield _number("wrong-digit", "the check digit finds every single wrong digit", "2" + good[1:])
    yield _number("swapped", "and most exchanged neighbours", good[1] + good[0] + good[2:])
    yield _number("eleven-digits", "one is missing", good[:-1])
    yield _number("letters", "a letter O is no zero", good.replace("0", "O", 1) if "0" in good else "O" + good[1:])
    yield _number("full-width", "digits of another script", "０" * 12)


def trusted_keys() -> list[dict[str, str]]:
    """The two keys that a kiosk of the vectors trusts."""
    return [
        {
            "issuer": issuer,
            "key_id": f"7e57000{number}",
            "public_key": known_key(number).public_key().public_bytes_raw().hex(),
        }
        for issuer in ("test", "TESTtest")
        for number in (1, 2)
    ]


def _good(name: str, shows: str, text: str, card: Credential, at: datetime = NOT_BEFORE + timedelta(days=1)) -> Vector:
    claims = {
        "issuer": card.issuer,
        "subject": card.subject,
        "id": card.id,
        "key_id": card.key_id,
        "not_before": int(card.not_before.timestamp()),
        "expires": int(card.expires.timestamp()),
    }
    return Vector("credential", name, shows, text.encode(), {"good": claims}, given=_given(at))


def _bad(name: str, shows: str, text: str, reason: str, at: datetime = NOT_BEFORE + timedelta(days=1)) -> Vector:
    return Vector("credential", name, shows, text.encode(), {"reason": reason}, given=_given(at))


def _number(name: str, shows: str, text: str, expect: dict[str, Any] | None = None) -> Vector:
    return Vector("card_number", name, shows, text.encode(), expect or {"refused": "number"})


def _given(at: datetime) -> dict[str, Any]:
    return {"now": int(at.timestamp()), "keys": trusted_keys()}


def _decoded(text: str) -> bytes:
    return bytes(base45.b45decode(text[len(PREFIX) :]))


def _encoded(message: bytes) -> str:
    return PREFIX + bytes(base45.b45encode(message)).decode()


def _parts(text: str) -> tuple[bytes, bytes, bytes]:
    protected, _, payload, signature = cbor2.loads(_decoded(text)).value
    return protected, payload, signature


def _message(protected: bytes, payload: bytes, signature: bytes, unprotected: dict[int, Any] | None = None) -> str:
    return _encoded(cbor2.dumps(cbor2.CBORTag(18, [protected, unprotected or {}, payload, signature])))


def _resigned(header: dict[int, Any] | None = None, claims: dict[int, Any] | None = None) -> str:
    """A code with another header or other claims, and a signature that fits them."""
    protected, payload, _ = _parts(sign(CARD, known_key(1)))
    protected = protected if header is None else cbor2.dumps(header, canonical=True)
    payload = payload if claims is None else cbor2.dumps(claims, canonical=True)
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    return _message(protected, payload, known_key(1).sign(signed))


def _forged_claims() -> str:
    protected, payload, signature = _parts(sign(CARD, known_key(1)))
    claims = cbor2.loads(payload) | {2: "ForgedForgedForgedForg"[:21] + "A"}
    return _message(protected, cbor2.dumps(claims, canonical=True), signature)
