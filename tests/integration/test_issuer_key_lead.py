"""A new issuer key is published first and signs later, so that no kiosk refuses a card for want of its key."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from cloud import sweep
from cloud.credentials import issuer_keys
from cloud.database import transaction
from cloud.terminals.models import Terminal, Twin
from cloud.terminals.twin import current_twin, renew_twins
from tests.office import JSON, Office

EPOCH = 1


@pytest.fixture
def kiosk(office: Office) -> Iterator[str]:
    """A terminal with a twin that it has reported; switched off afterwards, because the office is shared."""
    organisation = office.organisation()
    kiosk: str = office.terminal(office.room(organisation["id"])["id"])["terminal"]["id"]
    new_card(office)
    report(office, kiosk)
    yield kiosk
    office.shift = timedelta(0)
    with transaction(office.engine) as session:
        session.get_one(Terminal, kiosk).enabled = False
    sweep.sweep(office.cloud)


def new_card(office: Office) -> JSON:
    return office.make("/credentials", member_id=office.member(office.organisation()["id"])["id"])


def report(office: Office, kiosk: str, *, applied: bool = True) -> Twin:
    """Let the terminal's twin be made, and reported."""
    renew_twins(office.engine, EPOCH, office.now())
    with transaction(office.engine) as session:
        twin = current_twin(session, kiosk)
        assert twin is not None
        version = [twin.epoch, twin.number]
        session.get_one(Terminal, kiosk).reported = {"version": version, "applied": applied, "problems": []}
        return twin


def test_a_new_key_is_in_the_twins_before_it_signs(office: Office, kiosk: str) -> None:
    old = new_card(office)["key_id"]
    new = office.make("/issuer-keys")["key_id"]
    sweep.sweep(office.cloud)
    assert new_card(office)["key_id"] == old
    twin = report(office, kiosk)
    assert new in [key["key_id"] for key in json.loads(twin.document)["issuer_keys"]]
    sweep.sweep(office.cloud)
    assert new_card(office)["key_id"] == new


def test_a_twin_that_was_refused_or_never_reported_does_not_count(office: Office, kiosk: str) -> None:
    old = new_card(office)["key_id"]
    office.make("/issuer-keys")
    renew_twins(office.engine, EPOCH, office.now())
    sweep.sweep(office.cloud)
    assert new_card(office)["key_id"] == old
    report(office, kiosk, applied=False)
    sweep.sweep(office.cloud)
    assert new_card(office)["key_id"] == old


def test_after_its_lead_it_signs_whoever_knows_it_and_the_old_cards_stay_good(office: Office, kiosk: str) -> None:
    old, new = new_card(office), office.make("/issuer-keys")["key_id"]
    lead = timedelta(days=office.settings.issuer_key_lead_days)
    office.shift = lead - timedelta(minutes=1)
    sweep.sweep(office.cloud)
    assert new_card(office)["key_id"] == old["key_id"]
    office.shift = lead + timedelta(minutes=1)
    sweep.sweep(office.cloud)
    last = new_card(office)
    assert last["key_id"] == new
    with transaction(office.engine, read_only=True) as session:
        trusted = {key.key_id: key.trusted_until_at for key in issuer_keys.trusted(session, office.now())}
    assert {old["key_id"], new} <= trusted.keys()
    assert trusted[old["key_id"]].timestamp() * 1e6 >= old["expires_at"]
    assert kiosk


def test_an_administrator_may_sign_with_it_at_once(office: Office, kiosk: str) -> None:
    old, new = new_card(office)["key_id"], office.make("/issuer-keys")["key_id"]
    with office.client() as client:
        assert client.post(f"/api/v1/issuer-keys/{new}/signing").status_code == 200
        assert new_card(office)["key_id"] == new
        assert client.post(f"/api/v1/issuer-keys/{old}/signing").status_code == 409
        assert client.post("/api/v1/issuer-keys/00000000/signing").status_code == 404
        actions = client.get("/api/v1/audit", params={"subject": new}).json()["items"]
    assert [each["action"] for each in actions] == ["issuer_key.sign", "issuer_key.create"]
    assert kiosk


def test_when_the_signing_key_is_revoked_the_next_one_signs_at_once(office: Office, kiosk: str) -> None:
    old, new = new_card(office)["key_id"], office.make("/issuer-keys")["key_id"]
    with office.client() as client:
        assert client.delete(f"/api/v1/issuer-keys/{old}").status_code == 200
    assert new_card(office)["key_id"] == new
    assert kiosk


def test_a_key_that_nobody_could_refuse_signs_at_once(office: Office) -> None:
    new_card(office)
    new = office.make("/issuer-keys")["key_id"]  # no terminal is enabled
    assert new_card(office)["key_id"] == new
