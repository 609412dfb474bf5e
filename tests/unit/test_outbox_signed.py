"""Batches of an outbox that was given a signer: each is signed, none grows beyond its bound, and no key is asked for more."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import SteppedClock
from edge.errors import LineTooLong
from edge.outbox import Outbox
from firmware_specs import signing
from firmware_specs.fields import MAX_BATCH_BYTES
from firmware_specs.messages import Interaction
from firmware_specs.signing import SIGN_BYTES, BatchSigner
from firmware_specs.vectors.samples import TERMINAL
from firmware_specs.vectors.signatures import KEY, OTHER_KEY, SIGNER
from firmware_specs.wire import decode_batch

KEYS = {SIGNER.key_id: KEY.public_key()}


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal=TERMINAL, clock=SteppedClock())
    outbox.signer = SIGNER
    yield outbox
    outbox.close()


def touch(outbox: Outbox, count: int) -> None:
    clock = SteppedClock()
    touches = [
        Interaction(**clock.stamp((0, 0)), screen="waiting", minute_at=clock.now_us(), touches=1) for _ in range(count)
    ]
    outbox.append(touches)


def signed_by(payload: bytes) -> str:
    decode_batch(payload)
    return signing.verify(TERMINAL, payload.partition(b"\n")[0], KEYS)


def test_batches_and_questions_are_signed(outbox: Outbox) -> None:
    batch = outbox.next_batch(200, MAX_BATCH_BYTES)
    assert batch is not None
    assert signed_by(batch.payload) == signed_by(outbox.question().payload) == SIGNER.key_id


def test_batch_keeps_to_its_size_with_the_signature(outbox: Outbox) -> None:
    touch(outbox, 60)
    for bound in range(3_000, 3_600, 7):
        outbox.signer = SIGNER
        signed = outbox.next_batch(200, bound)
        outbox.signer = None
        bare = outbox.next_batch(200, bound - SIGN_BYTES)
        assert signed is not None
        assert bare is not None
        assert len(signed.payload) <= bound
        assert bare.count == signed.count


def test_line_that_is_too_long_is_told_with_the_signatures_room(outbox: Outbox) -> None:
    with pytest.raises(LineTooLong) as too_long:
        outbox.next_batch(200, 400)
    needed = too_long.value.needed_bytes
    batch = outbox.next_batch(1, needed)
    assert batch is not None
    assert needed - 3 <= len(batch.payload) <= needed  # the header counts with other digits
    with pytest.raises(LineTooLong):
        outbox.next_batch(1, needed - 4)


def test_next_key_signs_from_the_next_batch_on_and_lines_stay(outbox: Outbox) -> None:
    first = outbox.next_batch(200, MAX_BATCH_BYTES)
    other = signing.key_id(OTHER_KEY.public_key())
    outbox.signer = BatchSigner(TERMINAL, other, lambda message: signing.sign_with(OTHER_KEY, message))
    second = outbox.next_batch(200, MAX_BATCH_BYTES)
    assert first is not None
    assert second is not None
    assert decode_batch(first.payload).lines == decode_batch(second.payload).lines
    assert f'"sign":"{other}.'.encode() in second.payload


def test_signing_holds_up_no_check_in(outbox: Outbox) -> None:
    """While a slow key signs, the file is free."""

    def slow(message: bytes) -> bytes:
        touch(outbox, 1)
        return SIGNER.sign(message)

    outbox.signer = BatchSigner(TERMINAL, SIGNER.key_id, slow)
    batch = outbox.next_batch(200, MAX_BATCH_BYTES)
    assert batch is not None
    assert (batch.count, outbox.status().depth) == (1, 2)
