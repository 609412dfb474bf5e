"""Signatures in batch headers: who signed is found, and a signed batch that was spoilt on the way is never taken."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs import fields, messages, signing, wire
from firmware_specs.errors import DecodeError, SignatureError, SignatureReason
from firmware_specs.vectors import samples
from firmware_specs.vectors.signatures import KEY, OTHER_KEY, SIGNER

SIGNED = samples.batch(samples.three(), signer=SIGNER)
KEYS = {SIGNER.key_id: KEY.public_key()}


def header_of(payload: bytes) -> bytes:
    return payload.partition(b"\n")[0]


def test_signed_batch_is_read_like_any_other_and_says_who_signed() -> None:
    batch = wire.decode_batch(SIGNED)
    assert (batch.header.sign or "").startswith(f"{SIGNER.key_id}.")
    assert signing.verify(samples.TERMINAL, header_of(SIGNED), KEYS) == SIGNER.key_id


def test_signature_grows_a_header_by_what_is_said() -> None:
    assert len(SIGNED) - len(samples.batch(samples.three())) == signing.SIGN_BYTES


def test_header_that_was_read_is_written_again_with_its_signature() -> None:
    assert wire.encode_header(wire.decode_batch(SIGNED).header) == header_of(SIGNED)


def test_header_is_signed_anew_where_there_is_a_signer() -> None:
    header = wire.decode_batch(SIGNED).header.model_copy(update={"sent_at": samples.AT + 1})
    again = wire.encode_header(header, SIGNER)
    assert again.count(b'"sign"') == 1
    assert signing.verify(samples.TERMINAL, again, KEYS) == SIGNER.key_id


@pytest.mark.parametrize("bit", [0, 3, 6])
def test_every_flipped_bit_of_a_signed_batch_is_found(bit: int) -> None:
    taken = []
    for place in range(len(SIGNED)):
        spoilt = bytearray(SIGNED)
        spoilt[place] ^= 1 << bit
        if is_taken(bytes(spoilt)):
            taken.append(place)
    assert taken == []


@given(st.integers(0, len(SIGNED) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_every_byte_put_in_taken_out_or_replaced_is_found(place: int, inserted: bytes, removed: int) -> None:
    spoilt = SIGNED[:place] + inserted + SIGNED[place + removed :]
    assert spoilt == SIGNED or not is_taken(spoilt)


def is_taken(payload: bytes) -> bool:
    try:
        wire.decode_batch(payload)
        signing.verify(samples.TERMINAL, header_of(payload), KEYS)
    except (DecodeError, SignatureError):
        return False
    return True


@pytest.mark.parametrize(
    ("terminal", "keys", "reason"),
    [
        ("kiosk-302-b", KEYS, SignatureReason.WRONG),
        (samples.TERMINAL, {}, SignatureReason.UNKNOWN_KEY),
        (samples.TERMINAL, {SIGNER.key_id: OTHER_KEY.public_key()}, SignatureReason.WRONG),
    ],
)
def test_signature_counts_only_for_its_terminal_and_key(
    terminal: str, keys: dict[str, ec.EllipticCurvePublicKey], reason: SignatureReason
) -> None:
    with pytest.raises(SignatureError) as caught:
        signing.verify(terminal, header_of(SIGNED), keys)
    assert caught.value.reason is reason


def test_sign_within_another_text_is_not_the_headers() -> None:
    """Whoever controls one text of a header cannot make it look signed."""
    sign = header_of(SIGNED).partition(b'"sign":')[2].partition(b",")[0]
    line = samples.with_header([], count=0, note='x,"sign":' + sign.decode()).rstrip(b"\n")
    assert wire.decode_header(line).sign is None
    with pytest.raises(SignatureError):
        signing.verify(samples.TERMINAL, line, KEYS)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_signature_of_another_length_is_none(length: int) -> None:
    assert not signing.is_signed_by(KEY.public_key(), b"x", b"\1" * length)


@given(st.binary(max_size=100))
def test_what_is_signed_is_verified_and_nothing_else(message: bytes) -> None:
    signature = signing.sign_with(KEY, message)
    assert len(signature) == signing.SIGNATURE_BYTES
    assert signing.is_signed_by(KEY.public_key(), message, signature)
    assert not signing.is_signed_by(KEY.public_key(), message + b"x", signature)


def test_largest_batch_may_be_signed() -> None:
    lines = samples.filler(7, fields.MAX_LINE_BYTES)
    header = messages.Header(**samples.header_fields(lines))
    assert wire.decode_batch(wire.encode_batch(header, lines, SIGNER)).header.count == 7
