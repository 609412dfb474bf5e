"""A claimed terminal's batch against the certificates that the ledger holds at that moment: renewed, ended, revoked."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from cloud.certificates import authority, issuing
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.ingest.accept import Keys
from cloud.ingest.line import Line
from cloud.keybox import KeyBox
from firmware_specs import signing
from firmware_specs.messages import Stored, StoredError
from firmware_specs.signing import BatchSigner
from firmware_specs.wire import decode_stored
from tests.enrolment import found_authority
from tests.integration.town_line import answers, marks, pen
from tests.office import settings_for
from tests.pen import Pen
from tests.town import Town

KIOSK = "kiosk-1"
OTHER = "kiosk-2"
Certify = Callable[..., None]


@pytest.fixture
def certify(town: Town, tmp_path: Path) -> Certify:
    """Gives a terminal a certificate for a key, `ago` in the past."""
    settings, long_ago = settings_for(tmp_path / "cloud"), utc_now() - timedelta(days=200)
    found_authority(town.engine, settings, long_ago)

    def certify(key: ec.EllipticCurvePrivateKey, ago: timedelta = timedelta(0), terminal: str = KIOSK) -> None:
        with transaction(town.engine) as session:
            box = KeyBox(settings.authority_key())
            issuing.give_terminal(session, box, terminal, key.public_key(), utc_now() - ago)

    return certify


def signer(key: ec.EllipticCurvePrivateKey, terminal: str = KIOSK) -> BatchSigner:
    return BatchSigner(terminal, signing.key_id(key.public_key()), lambda message: signing.sign_with(key, message))


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


def test_bad_signature_of_one_terminal_costs_its_neighbours_no_second_look(
    town: Town, certify: Certify, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, looked_at = authority.new_key(), Counter[str]()
    certify(authority.new_key())
    certify(key, terminal=OTHER)
    hostile = pen(town, signer=signer(authority.new_key()))
    honest = pen(town, OTHER, signer=signer(key, OTHER))
    verify = signing.verify

    def counted(terminal: str, header: bytes, keys: Keys) -> None:
        looked_at[terminal] += 1
        verify(terminal, header, keys)

    monkeypatch.setattr(signing, "verify", counted)
    deliveries = [hostile.delivery(hostile.health()), honest.delivery(honest.health())]
    told = {each.stream: each for each in answers(Line(town.engine).ingest(deliveries))}
    assert (told[hostile.stream].through, told[hostile.stream].error) == (0, StoredError.BAD_SIGNATURE)
    assert (told[honest.stream].through, told[honest.stream].error) == (1, None)
    assert looked_at == {KIOSK: 2, OTHER: 1}


def test_stream_that_another_opens_beside_a_doubted_batch_stays_the_others(town: Town, certify: Certify) -> None:
    old, new, other = authority.new_key(), authority.new_key(), authority.new_key()
    certify(old)
    certify(other, terminal=OTHER)
    honest = pen(town, OTHER, signer=signer(other, OTHER))
    thief = pen(town, signer=signer(old))
    line = Line(town.engine)
    line.ingest([thief.delivery(thief.health())])
    certify(new)
    stolen = pen(town, stream=honest.stream, signer=signer(new))
    result = line.ingest([stolen.delivery(stolen.health()), honest.delivery(honest.health())])
    told = {answer.terminal: decode_stored(answer.payload) for answer in result.answers}
    assert told[OTHER].through == 1
    assert told[KIOSK].error == StoredError.FOREIGN_STREAM
