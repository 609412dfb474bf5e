"""A claimed terminal's batch is taken only when one of its own keys has signed it; nothing else changes for it."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from cloud.ingest.accept import Delivery, Positions, Verdict, accept
from firmware_specs import signing
from firmware_specs.messages import StoredError
from firmware_specs.signing import BatchSigner
from tests.pen import Pen

KEY = ec.generate_private_key(ec.SECP256R1())
OTHER = ec.generate_private_key(ec.SECP256R1())


def signer(key: ec.EllipticCurvePrivateKey, terminal: str = "kiosk-1") -> BatchSigner:
    return BatchSigner(terminal, signing.key_id(key.public_key()), lambda message: signing.sign_with(key, message))


def pen(by: BatchSigner | None) -> Pen:
    written = Pen(signer=by)
    written.health()
    return written


def verdict_on(delivery: Delivery, *keys: ec.EllipticCurvePrivateKey) -> Verdict:
    known = {signing.key_id(each.public_key()): each.public_key() for each in keys}
    (verdict,) = accept([delivery], Positions(keys={"kiosk-1": known} if known else {}))
    return verdict


def test_batch_signed_by_one_of_its_keys_is_taken() -> None:
    assert verdict_on(pen(signer(KEY)).delivery(), OTHER, KEY).taken


def test_terminal_that_was_never_claimed_need_not_sign() -> None:
    assert verdict_on(pen(None).delivery()).taken
    assert verdict_on(pen(signer(KEY)).delivery()).taken


@pytest.mark.parametrize(
    ("by", "says"),
    [
        (None, "carries no signature"),
        (signer(OTHER), "none of this terminal's"),
        (signer(KEY, "kiosk-2"), "does not fit"),
    ],
    ids=["unsigned", "other-key", "signed-for-another-terminal"],
)
def test_other_batches_of_a_claimed_terminal_are_refused_and_marked(by: BatchSigner | None, says: str) -> None:
    written = pen(by)
    verdict = verdict_on(written.delivery(), KEY)
    assert (verdict.taken, verdict.error, verdict.mark) == (False, StoredError.BAD_SIGNATURE, StoredError.BAD_SIGNATURE)
    assert says in (verdict.reading.wrong or "")
    assert verdict.position is not None
    assert verdict.position.through == 0


def test_changed_header_does_not_fit_its_signature() -> None:
    delivery = pen(signer(KEY)).delivery()
    header = json.loads(delivery.payload.partition(b"\n")[0])
    moved = delivery.payload.replace(
        f'"sent_at":{header["sent_at"]}'.encode(), f'"sent_at":{header["sent_at"] - 1}'.encode()
    )
    check = header["check"].encode()
    unchecked = moved.replace(b',"check":"' + check + b'"', b"")
    verdict = verdict_on(delivery._replace(payload=unchecked), KEY)
    assert verdict.error == StoredError.BAD_SIGNATURE


def test_question_is_answered_whoever_signed_it() -> None:
    verdict = verdict_on(pen(None).delivery(1, 0), KEY)
    assert (verdict.taken, verdict.error) == (False, None)


def test_later_batch_of_the_same_group_does_not_build_on_a_refused_one() -> None:
    written = pen(None)
    written.health()
    known = {signing.key_id(KEY.public_key()): KEY.public_key()}
    first = written.delivery(1, 1)
    written.signer = signer(KEY)
    second = written.delivery(2, 1)
    verdicts = accept([first, second], Positions(keys={"kiosk-1": known}))
    assert [verdict.taken for verdict in verdicts] == [False, False]
    assert verdicts[1].error is None
