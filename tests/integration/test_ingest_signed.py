"""A claimed terminal's batch against the certificates that the ledger holds at that moment: renewed, ended, revoked."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from cloud.certificates import authority, issuing
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.ingest.line import Line
from cloud.keybox import KeyBox
from firmware_specs import signing
from firmware_specs.messages import Stored, StoredError
from firmware_specs.signing import BatchSigner
from tests.enrolment import found_authority
from tests.integration.town_line import answers, marks, pen
from tests.office import settings_for
from tests.pen import Pen
from tests.town import Town

KIOSK = "kiosk-1"
Certify = Callable[..., None]


@pytest.fixture
def certify(town: Town, tmp_path: Path) -> Certify:
    """Gives kiosk-1 a certificate for a key, `ago` in the past."""
    settings, long_ago = settings_for(tmp_path / "cloud"), utc_now() - timedelta(days=200)
    found_authority(town.engine, settings, long_ago)

    def certify(key: ec.EllipticCurvePrivateKey, ago: timedelta = timedelta(0)) -> None:
        with transaction(town.engine) as session:
            box = KeyBox(settings.authority_key())
            issuing.give_terminal(session, box, KIOSK, key.public_key(), utc_now() - ago)

    return certify


def signer(key: ec.EllipticCurvePrivateKey) -> BatchSigner:
    return BatchSigner(KIOSK, signing.key_id(key.public_key()), lambda message: signing.sign_with(key, message))


def send(line: Line, written: Pen) -> Stored:
    """The next record's batch, and its answer."""
    (answer,) = answers(line.ingest([written.delivery(written.health())]))
    return answer


def test_first_batch_by_the_key_of_a_renewal_is_taken_at_once(town: Town, certify: Certify) -> None:
    line, old, new = Line(town.engine), authority.new_key(), authority.new_key()
    certify(old)
    written = pen(town, signer=signer(old))
    assert send(line, written).through == 1
    certify(new)
    written.signer = signer(new)
    answer = send(line, written)
    assert (answer.through, answer.error) == (2, None)
    assert marks(town) == []


def test_batch_signed_by_a_certificate_that_has_ended_waits_for_its_renewal(town: Town, certify: Certify) -> None:
    line, key = Line(town.engine), authority.new_key()
    certify(key, ago=authority.TERMINAL_LASTS + timedelta(seconds=1))
    written = pen(town, signer=signer(key))
    answer = send(line, written)
    assert (answer.through, answer.error) == (0, StoredError.BAD_SIGNATURE)
    certify(key)
    (answer,) = answers(line.ingest([written.delivery()]))
    assert (answer.through, answer.error) == (1, None)


def test_terminal_whose_certificates_are_all_revoked_is_not_one_that_was_never_claimed(
    town: Town, certify: Certify
) -> None:
    certify(authority.new_key())
    with transaction(town.engine) as session:
        session.execute(text("UPDATE certificates SET revoked_at = created_at"))
    answer = send(Line(town.engine), pen(town))
    assert (answer.through, answer.error) == (0, StoredError.BAD_SIGNATURE)
