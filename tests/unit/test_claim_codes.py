"""Claim codes as people type them, and the signature by which an old key asks for a new certificate."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cloud.certificates import authority, codes, proof


def test_a_code_has_fifty_bits_and_no_letter_that_looks_like_a_digit() -> None:
    drawn = {codes.draw() for _ in range(200)}
    assert len(drawn) == 200
    for code in drawn:
        assert len(code) == 10
        assert not set(code) & set("ILOU")
        assert codes.read(code) == code


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("7kq2m-zx4ra", "7KQ2MZX4RA"),
        (" 7KQ2M ZX4RA ", "7KQ2MZX4RA"),
        ("oil0000000", "0110000000"),
        ("7KQ2MZX4R", None),
        ("7KQ2MZX4RAA", None),
        ("7KQ2MZX4RU", None),
        ("７KQ2MZX4RA", None),
        ("", None),
    ],
)
def test_a_code_is_read_as_people_type_it(typed: str, code: str | None) -> None:
    assert codes.read(typed) == code


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(typed: str) -> None:
    code = codes.read(typed)
    assert code is None or (len(code) == codes.LENGTH and set(code) <= set(codes.ALPHABET))


def test_only_the_digest_is_kept() -> None:
    assert codes.digest("7KQ2MZX4RA") == hashlib.sha256(b"7KQ2MZX4RA").hexdigest()


def test_a_key_is_named_by_the_digest_of_its_der() -> None:
    key = authority.new_key().public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert proof.key_id(key) == hashlib.sha256(der).hexdigest()[:16]


@given(st.text(alphabet="ABCabc019-_=+/ é", max_size=120))
def test_what_is_no_signature_proves_nothing(text: str) -> None:
    assert not proof.is_signed(KEY, text, b"message")


@pytest.mark.parametrize("raw", [bytes(64), b"\xff" * 64, b"\x01" * 63, b"\x01" * 65])
def test_numbers_that_are_no_signature_prove_nothing(raw: bytes) -> None:
    assert not proof.is_signed(KEY, base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), b"message")


KEY = authority.new_key().public_key()
