"""Vectors of signed batches: whose signature counts, and headers in which one does not stand where it must.

The key is for tests, and everybody can make it: its number is the SHA-256 of a sentence.
"""

import base64
from collections.abc import Iterator, Sequence
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from firmware_specs.messages import Parent
from firmware_specs.signing import BatchSigner, covered, key_id, sign_with
from firmware_specs.vectors import samples
from firmware_specs.vectors.vector import Vector

KEY: Final = ec.derive_private_key(int.from_bytes(samples.digest("roomlink test terminal")), ec.SECP256R1())
OTHER_KEY: Final = ec.derive_private_key(int.from_bytes(samples.digest("roomlink other terminal")), ec.SECP256R1())
SIGNER: Final = BatchSigner(samples.TERMINAL, key_id(KEY.public_key()), lambda message: sign_with(KEY, message))
NO_SIGN: Final = f"{SIGNER.key_id}.{'A' * 86}"


def signed() -> Iterator[Vector]:
    """Batches that can be read, and what a reader with the terminal's keys says of their signature."""
    three, good = samples.three(), {"key_id": SIGNER.key_id}
    whole = samples.batch(three, signer=SIGNER)
    yield _signed("valid", "three records of kiosk-302-a; the worked example of the README", whole, good)
    question = samples.batch([], first=4, prev=bytes.fromhex(samples.chain_at(3)), signer=SIGNER)
    yield _signed("valid-question", "a question is signed like any batch", question, good)
    parent = Parent(stream=samples.OTHER_STREAM, through=2, chain="0" * 64)
    yield _signed("valid-parent", "with a parent", samples.batch(three, signer=SIGNER, parent=parent), good)
    yield _signed("valid-without-check", "a signed header need not carry its check", _without_check(whole), good)
    yield from _not_theirs(three, whole)


def _not_theirs(three: Sequence[bytes], whole: bytes) -> Iterator[Vector]:
    wrong = {"reason": "wrong"}
    elsewhere = BatchSigner("kiosk-303-a", SIGNER.key_id, SIGNER.sign)
    yield _signed(
        "other-terminal", "signed for kiosk-303-a: the id is covered", samples.batch(three, signer=elsewhere), wrong
    )
    later = samples.batch(three, sent_at=samples.AT + 250_001, sign=_sign_of(whole))
    yield _signed("header-changed", "sent_at was changed, and the check made anew", later, wrong)
    others = [three[0], three[1].replace(b"000000174876e7ff", b"000000174876e7fe"), three[2]]
    swapped = samples.batch(others, sign=_sign_of(whole))
    yield _signed("records-changed", "another card, and chain and check made anew", swapped, wrong)
    not_it = BatchSigner(samples.TERMINAL, SIGNER.key_id, lambda message: sign_with(OTHER_KEY, message))
    yield _signed("other-key", "another key signed under this key's id", samples.batch(three, signer=not_it), wrong)
    yield _signed("zeros", "r and s are 0", samples.batch(three, sign=NO_SIGN), wrong)
    purpose = BatchSigner(samples.TERMINAL, SIGNER.key_id, lambda message: sign_with(KEY, message.partition(b"\0")[2]))
    yield _signed("no-purpose", "signed without the words before it", samples.batch(three, signer=purpose), wrong)
    unknown = BatchSigner(
        samples.TERMINAL, key_id(OTHER_KEY.public_key()), lambda message: sign_with(OTHER_KEY, message)
    )
    yield _signed(
        "unknown-key",
        "a right signature by a key that is none of this terminal's",
        samples.batch(three, signer=unknown),
        {"reason": "unknown_key"},
    )
    yield _signed("unsigned", "no signature at all", samples.batch(three), {"reason": "unsigned"})


def refused() -> Iterator[Vector]:
    """Batches whose header carries a `sign` that cannot be one."""
    three = samples.three()
    whole = samples.batch(three, signer=SIGNER)
    sign = _sign_of(whole)
    der = base64.urlsafe_b64encode(b"\x30\x45" + b"\1" * 69).rstrip(b"=").decode()
    for name, shows, text in (
        ("sign-short", "a signature of 63 bytes", sign[:-2]),
        ("sign-long", "a signature of 65 bytes", sign[:-1] + "AAA"),
        ("sign-der", "r and s in DER", f"{SIGNER.key_id}.{der}"),
        ("sign-padded", "base64url has no padding here", sign + "=="),
        ("sign-loose-bits", "the last four bits of base64 are 0", sign[:-1] + "B"),
        ("sign-without-key", "a signature without its key's id", sign.partition(".")[2]),
        ("sign-key-upper-case", "hex is lower case", "A" * 16 + sign[16:]),
    ):
        yield _refused(name, shows, samples.with_header(three, sign=text), "header.sign")
    yield _refused("sign-after-check", "the check is the last field", _after_check(whole), "header.check")
    early = whole.replace(b',"sent_at"', b',"sign":"' + sign.encode() + b'","sent_at"', 1)
    early = _without_check(early).replace(b',"sign":"' + sign.encode() + b'"}', b"}")
    yield _refused("sign-not-last", "the sign is the last field but the check", early, "header.sign")


def _sign_of(payload: bytes) -> str:
    return payload.partition(b'"sign":"')[2].partition(b'"')[0].decode()


def _without_check(payload: bytes) -> bytes:
    head, _, rest = payload.partition(b"\n")
    return head[: head.rindex(b',"check"')] + b"}\n" + rest


def _after_check(payload: bytes) -> bytes:
    head, _, rest = payload.partition(b"\n")
    sign = head[head.index(b',"sign"') : head.index(b',"check"')]
    return head.replace(sign, b"")[:-1] + sign + b"}\n" + rest


def _signed(name: str, shows: str, payload: bytes, expect: dict[str, Any]) -> Vector:
    key = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    given: dict[str, Any] = {"terminal": samples.TERMINAL, "keys": [key.hex()]}
    if expect.get("key_id"):
        head = payload.partition(b"\n")[0]
        given["signed"] = covered(samples.TERMINAL, head[: head.index(b',"sign"')]).hex()
    return Vector("signed", name, shows, payload, expect, samples.RECORDS, given)


def _refused(name: str, shows: str, payload: bytes, where: str) -> Vector:
    return Vector("batch", name, shows, payload, {"refused": "broken", "where": where}, samples.RECORDS)
