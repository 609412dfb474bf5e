"""Renewals and revocations over HTTP: an old key proves whose it is, and who was revoked gets nothing more."""

from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import text

from broker_config.passwords import is_password
from cloud.accounts.service import Role
from cloud.certificates import authorities, authority
from cloud.certificates.service import MAX_A_DAY
from cloud.database import transaction
from cloud.keybox import KeyBox
from cloud.terminals import service as terminals
from tests.enrolment import (
    CLAIMS,
    RENEWALS,
    Device,
    audit,
    claimed,
    listed,
    new_code,
    post,
    renewal_of,
    renewed,
    request_for,
    revoke,
)
from tests.office import JSON, Office, etag

pytestmark = pytest.mark.usefixtures("enrolling")


def test_a_certificate_is_renewed_by_its_key_up_to_a_year_after_its_end(office: Office, device: Device) -> None:
    first = claimed(office, device)
    office.shift = timedelta(days=61)
    next_key = authority.new_key()
    body = renewal_of(first["certificate"], device.key, request_for(device.name, next_key))
    answer = post(office, RENEWALS, body)
    assert answer.status_code == 201, answer.text
    second = answer.json()
    assert "password" not in second
    assert "desired" not in second
    assert second["not_after"] > first["not_after"]
    assert post(office, RENEWALS, body).json()["certificate"] == second["certificate"]  # the answer was lost
    office.shift = timedelta(days=61 + 90 + 364)
    third = renewed(office, Device(device.name, next_key), second)
    assert third.status_code == 201
    office.shift = timedelta(days=61 + 90 + 366)
    late = post(
        office, RENEWALS, renewal_of(second["certificate"], next_key, request_for(device.name, authority.new_key()))
    )
    assert late.status_code == 403
    assert "more than a year ago" in late.json()["detail"]


def test_a_key_may_stay_and_a_lost_answer_costs_no_certificate(office: Office, device: Device) -> None:
    first = claimed(office, device)
    second, again = (renewed(office, device, first).json() for _ in range(2))
    assert second["certificate"] != first["certificate"]
    assert again["certificate"] == second["certificate"]
    third = renewed(office, device, second).json()
    assert third["certificate"] not in {first["certificate"], second["certificate"]}
    assert len(listed(office, device.name)) == 3


def test_a_renewal_that_is_not_proved_changes_nothing(office: Office, device: Device) -> None:
    old = claimed(office, device)
    thief = authority.new_key()
    stranger = authority.make_intermediate(authority.make_root("Elsewhere", office.now()), "x", office.now())
    foreign = authority.make_terminal(stranger, device.name, device.key.public_key(), office.now())
    good = renewal_of(old["certificate"], device.key, device.csr)
    cases: list[tuple[JSON, int, str]] = [
        (
            renewal_of(old["certificate"], thief, request_for(device.name, thief)),
            403,
            "not signed by the certificate's key",
        ),
        (good | {"csr": request_for(device.name, thief)}, 403, "not signed by the certificate's key"),
        (renewal_of(foreign.public_bytes(Encoding.PEM).decode(), device.key, device.csr), 403, "gave no terminal such"),
        (renewal_of(old["chain"], device.key, device.csr), 403, "gave no terminal such"),
        (good | {"certificate": "nothing"}, 422, "no certificate in PEM"),
        (good | {"signature": "A" * 85}, 422, "not valid"),
        (renewal_of(old["certificate"], device.key, request_for("kiosk-other", device.key)), 422, "common name"),
    ]
    for body, status, says in cases:
        answer = post(office, RENEWALS, body)
        assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text
    assert len(listed(office, device.name)) == 1


def test_what_was_given_after_the_backup_is_renewed_after_a_restore(office: Office, device: Device) -> None:
    given = claimed(office, device)
    broker_key = authority.new_key()
    with transaction(office.engine) as session:
        session.execute(text("DELETE FROM certificates WHERE name = :name"), {"name": device.name})
        issuer = authorities.opened(authorities.needed(session, office.now()), KeyBox(office.settings.authority_key()))
    fake = authority.make_server(issuer, [device.name], broker_key.public_key(), office.now())
    nobody = authority.make_terminal(issuer, "kiosk-nowhere", broker_key.public_key(), office.now())
    for other in (fake, nobody):
        body = renewal_of(authorities.pem(other), broker_key, request_for(device.name, broker_key))
        assert post(office, RENEWALS, body).status_code == 403
    stolen = renewal_of(given["certificate"], broker_key, request_for(device.name, broker_key))
    assert post(office, RENEWALS, stolen).status_code == 403
    assert listed(office, device.name) == []
    body = renewal_of(given["certificate"], device.key, request_for(device.name, authority.new_key()))
    assert post(office, RENEWALS, body).status_code == 201
    assert len(listed(office, device.name)) == 2


def test_renewals_of_a_day_are_bounded(office: Office, device: Device) -> None:
    old = claimed(office, device)
    statuses = [
        post(
            office, RENEWALS, renewal_of(old["certificate"], device.key, request_for(device.name, authority.new_key()))
        )
        for _ in range(MAX_A_DAY)
    ]
    assert [answer.status_code for answer in statuses] == [201] * (MAX_A_DAY - 1) + [429]


def test_a_revoked_terminal_cannot_return_until_it_is_claimed_anew(office: Office, device: Device) -> None:
    old = claimed(office, device)
    code = new_code(office, device.name)
    assert [each["revoke_reason"] for each in revoke(office, device.name)["items"]] == ["it was stolen"]
    assert revoke(office, device.name)["items"] == []
    refused = renewed(office, device, old)
    assert (refused.status_code, "was revoked" in refused.json()["detail"]) == (403, True)
    assert post(office, CLAIMS, {"code": code, "csr": device.csr}).status_code == 404
    with office.client(Role.OPERATOR) as client:
        shown = client.get(f"/api/v1/terminals/{device.name}").json()
        assert not shown["enabled"]
        assert client.post(f"/api/v1/terminals/{device.name}/claim-code").status_code == 409
    with office.client() as client:
        client.post(f"/api/v1/terminals/{device.name}/enable", headers=etag(shown["version"]))
    assert renewed(office, device, old).status_code == 403
    assert claimed(office, Device(device.name, authority.new_key()))["terminal"] == device.name


def test_who_was_revoked_and_enabled_again_gets_no_files_before_a_new_claim(office: Office, device: Device) -> None:
    by_password = office.terminal(None)
    known = {device.name: claimed(office, device)["password"], by_password["terminal"]["id"]: by_password["password"]}
    for name, password in known.items():
        revoke(office, name)
        with office.client() as client:
            version = client.get(f"/api/v1/terminals/{name}").json()["version"]
            assert client.post(f"/api/v1/terminals/{name}/enable", headers=etag(version)).status_code == 200
        path = f"{office.url}/api/v1/terminals/{name}/files/{'0' * 64}"
        assert httpx.get(path, auth=(name, password)).status_code == 401
    with transaction(office.engine, read_only=True) as session:
        hashes = terminals.broker_hashes(session)
    assert hashes[device.name] is None
    assert not is_password(by_password["password"], hashes[by_password["terminal"]["id"]] or "")


@pytest.mark.parametrize("since", ["claimed anew", "revoked"])
def test_what_a_restore_forgot_does_not_come_back_after_the_terminal_was_shut_out(
    office: Office, device: Device, since: str
) -> None:
    first = claimed(office, device)
    stolen = renewed(office, device, first).json()
    with transaction(office.engine) as session:
        session.execute(text("DELETE FROM certificates WHERE certificate = :pem"), {"pem": stolen["certificate"]})
    if since == "revoked":
        revoke(office, device.name)
        with office.client() as client:
            version = client.get(f"/api/v1/terminals/{device.name}").json()["version"]
            client.post(f"/api/v1/terminals/{device.name}/enable", headers=etag(version))
    else:
        claimed(office, Device(device.name, authority.new_key()))
    refused = renewed(office, device, stolen)
    assert (refused.status_code, "was revoked" in refused.json()["detail"]) == (403, True)


def test_the_audit_says_from_where_a_terminal_renewed(office: Office, device: Device) -> None:
    renewed(office, device, claimed(office, device))
    entry = audit(office, device.name)[0]
    assert (entry["action"], entry["address"]) == ("terminal.renew", "127.0.0.1")


def test_a_disabled_terminal_is_given_nothing(office: Office, device: Device) -> None:
    old = claimed(office, device)
    code = new_code(office, device.name)
    with office.client() as client:
        version = client.get(f"/api/v1/terminals/{device.name}").json()["version"]
        client.post(f"/api/v1/terminals/{device.name}/disable", headers=etag(version))
    assert renewed(office, device, old).status_code == 403
    assert post(office, CLAIMS, {"code": code, "csr": device.csr}).status_code == 404
