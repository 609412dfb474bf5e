"""Credentials: what was signed is read, whatever was changed is refused, and the clock's skew is a stated one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import base45
import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_specs.credentials import (
    MAX_CHARACTERS,
    PREFIX,
    SKEW,
    Credential,
    card_id,
    card_id_from_random,
    card_number,
    check_validity,
    read,
    read_unverified,
    sign,
)
from firmware_specs.errors import CredentialError, CredentialReason
from firmware_specs.vectors.cards import CARD, known_key

KEYS = {("test", "7e570001"): known_key(1).public_key()}
TEXT = sign(CARD, known_key(1))
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

instants = st.datetimes(datetime(1970, 1, 1), datetime(2106, 2, 6)).map(  # noqa: DTZ001 - made aware at once
    lambda instant: instant.replace(microsecond=0, tzinfo=UTC)
)


@st.composite
def cards(draw: st.DrawFn) -> Credential:
    not_before = draw(instants)
    return Credential(
        issuer=draw(st.from_regex(r"[A-Za-z0-9._-]{1,8}", fullmatch=True)),
        subject=draw(st.from_regex(r"[A-Za-z0-9_-]{21}[AQgw]", fullmatch=True)),
        id=draw(st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")),
        key_id=draw(st.integers(0, 2**32 - 1).map(lambda number: f"{number:08x}")),
        not_before=not_before,
        expires=not_before + timedelta(seconds=draw(st.integers(1, 86_400))),
    )


@given(cards())
def test_signed_card_is_read_back_and_fits_a_version_8_code(card: Credential) -> None:
    text = sign(card, known_key(1))
    assert len(text) <= MAX_CHARACTERS
    assert set(text) <= set(ALPHANUMERIC)
    assert read(text, {(card.issuer, card.key_id): known_key(1).public_key()}) == card
    assert read_unverified(text) == card


@given(st.integers(0, len(TEXT) - 1), st.sampled_from(ALPHANUMERIC))
def test_every_changed_character_is_refused(place: int, character: str) -> None:
    spoilt = TEXT[:place] + character + TEXT[place + 1 :]
    if spoilt != TEXT:
        with pytest.raises(CredentialError):
            read(spoilt, KEYS)


def test_every_flipped_bit_is_refused() -> None:
    message = base45.b45decode(TEXT[len(PREFIX) :])
    for place in range(len(message)):
        for bit in range(8):
            spoilt = bytearray(message)
            spoilt[place] ^= 1 << bit
            with pytest.raises(CredentialError):
                read(PREFIX + base45.b45encode(bytes(spoilt)).decode(), KEYS)


@given(st.integers(0, len(TEXT)), st.text(ALPHANUMERIC, min_size=1, max_size=4))
def test_every_longer_and_every_shorter_text_is_refused(place: int, more: str) -> None:
    for spoilt in (TEXT[:place] + more + TEXT[place:], TEXT[:place]):
        if spoilt != TEXT:
            with pytest.raises(CredentialError):
                read(spoilt, KEYS)


@given(st.binary(max_size=120))
@example(b"")
@example(cbor2.dumps(cbor2.CBORTag(35, "(")))
@example(b"\xc4\x82\x1b\x7f\xff\xff\xff\xff\xff\xff\xff\x01")
@example(b"\x9f" * 100)
@example(b"\xd8\x1c\x81\xd8\x1d\x00")
def test_any_bytes_are_refused_as_unreadable_and_nothing_else(message: bytes) -> None:
    with pytest.raises(CredentialError) as caught:
        read(PREFIX + base45.b45encode(message).decode(), KEYS)
    assert caught.value.reason is CredentialReason.UNREADABLE


@given(st.text(max_size=250))
def test_any_text_is_refused_as_unreadable(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        read(text, KEYS)
    assert caught.value.reason is CredentialReason.UNREADABLE


def with_parts(*parts: Any) -> str:
    encoded: bytes = base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, list(parts))))
    return PREFIX + encoded.decode()


@pytest.mark.parametrize(
    "text",
    [
        with_parts(b"", {}, b""),
        with_parts(b"", {}, b"", "text"),
        with_parts(b"", {}, b"", b"s" * 63),
        with_parts(cbor2.dumps([1]), {}, b"\xa0", b"s" * 64),
        PREFIX + base45.b45encode(cbor2.dumps(cbor2.CBORTag(18, 5))).decode(),
        PREFIX + base45.b45encode(cbor2.dumps(cbor2.CBORTag(17, [b"", {}, b"", b"s" * 64]))).decode(),
    ],
)
def test_other_shape_is_unreadable(text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        read(text, KEYS)
    assert caught.value.reason is CredentialReason.UNREADABLE


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        (1, "far too long"),
        (1, 5),
        (2, "short"),
        (2, b"bytes"),
        (4, True),
        (4, -1),
        (4, 2**63),
        (7, b"short"),
        (7, "text"),
    ],
)
def test_claim_out_of_bounds_is_unreadable(claim: int, value: Any) -> None:
    protected, _, payload, _ = cbor2.loads(base45.b45decode(TEXT[len(PREFIX) :])).value
    changed = cbor2.dumps(cbor2.loads(payload) | {claim: value})
    with pytest.raises(CredentialError) as caught:
        read(with_parts(protected, {}, changed, b"s" * 64), KEYS)
    assert caught.value.reason is CredentialReason.UNREADABLE


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ""},
        {"issuer": "nine-long"},
        {"subject": "A" * 21},
        {"subject": "A" * 21 + "B"},
        {"id": "00"},
        {"key_id": "00"},
        {"expires": CARD.not_before},
        {"not_before": datetime(1969, 12, 31, tzinfo=UTC)},
    ],
)
def test_claim_out_of_bounds_is_not_signed(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"issuer|subject|credential id|not-before"):
        sign(replace(CARD, **change), known_key(1))


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (CARD.not_before - SKEW - timedelta(microseconds=1), "not_yet_valid"),
        (CARD.not_before - SKEW, None),
        (CARD.not_before - timedelta(minutes=10), None),
        (CARD.expires, None),
        (CARD.expires + SKEW - timedelta(microseconds=1), None),
        (CARD.expires + SKEW, "expired"),
    ],
)
def test_validity_reaches_a_quarter_of_an_hour_beyond_both_ends(now: datetime, reason: str | None) -> None:
    if reason is None:
        check_validity(CARD, now)
        return
    with pytest.raises(CredentialError) as caught:
        check_validity(CARD, now)
    assert caught.value.reason == reason


# --- the number on the card ---------------------------------------------------------------------------------------


@given(st.integers(0, 10**11 - 1))
def test_printed_number_leads_back_to_the_credential(body: int) -> None:
    made = card_id_from_random(body)
    assert card_id(card_number(made)) == made
    assert int(made, 16) // 10 == body


@given(st.integers(0, 10**11 - 1), st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_noticed(body: int, place: int, step: int) -> None:
    digits = card_number(card_id_from_random(body)).replace(" ", "")
    wrong = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        card_id(wrong)


@pytest.mark.parametrize("eleven_digits", [-1, 10**11])
def test_number_that_gives_no_card_number_is_refused(eleven_digits: int) -> None:
    with pytest.raises(ValueError, match="below"):
        card_id_from_random(eleven_digits)


@pytest.mark.parametrize("credential_id", ["f" * 16, f"{1:016x}"])
def test_credential_id_that_is_no_card_number_is_not_printed(credential_id: str) -> None:
    with pytest.raises(ValueError, match="card_id_from_random"):
        card_number(credential_id)
