"""Claims over HTTP: a code makes one certificate, however often it is sent, and a guess learns nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select, text

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.certificates import authority, service
from cloud.certificates.models import Certificate, ClaimCode, WrongClaim
from cloud.certificates.service import CODE_LASTS, GUESSES_BY_ADDRESS, GUESSES_IN_ALL, GUESSES_OF
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import NotFound
from cloud.paging import Paging
from cloud.scope import Scope
from cloud.terminals import service as terminals
from cloud.terminals.twin import renew_twins
from tests.enrolment import (
    CLAIMS,
    OWNER,
    RENEWALS,
    Device,
    audit,
    claimed,
    found_authority,
    listed,
    new_code,
    post,
    renewal_of,
    renewed,
    request_for,
    revoke,
)
from tests.office import JSON, Office, etag, open_office

pytestmark = pytest.mark.usefixtures("enrolling")


def test_a_code_tells_whose_it_is_and_makes_a_certificate(office: Office, device: Device) -> None:
    renew_twins(office.engine, 1_000, office.now())
    code = new_code(office, device.name)
    with office.client(None) as client:
        assert client.post(OWNER, json={"code": code.lower()}).json() == {"terminal": device.name}
    now = office.now()
    answer = post(office, CLAIMS, {"code": f"{code[:5]}-{code[5:]}", "csr": device.csr})
    body = answer.json()
    assert answer.status_code == 201
    assert set(body) == {"terminal", "kind", "profile", "certificate", "chain", "root", "not_after", "renew_at",
                         "broker", "password", "desired"}  # fmt: skip
    assert (body["terminal"], body["kind"], body["profile"]) == (device.name, "kiosk", "kiosk")
    leaf, chain, root = (
        x509.load_pem_x509_certificate(body[name].encode()) for name in ("certificate", "chain", "root")
    )
    assert authority.is_issued_by(leaf, chain)
    assert authority.is_issued_by(chain, root)
    assert leaf.public_key() == device.key.public_key()
    assert authority.terminal_of(leaf) == device.name
    assert abs(body["not_after"] - to_us(now + timedelta(days=90))) < 10_000_000
    assert abs(body["renew_at"] - to_us(now + timedelta(days=60))) < 10_000_000
    assert body["broker"] == {"host": "127.0.0.1", "port": 8883}
    assert body["desired"]["version"][0] == 1_000


def test_the_new_password_is_for_files_and_the_old_one_for_nothing(office: Office) -> None:
    made = office.terminal(None)
    device = Device(made["terminal"]["id"], authority.new_key())
    body = claimed(office, device)
    assert body["desired"] is None
    path = f"{office.url}/api/v1/terminals/{device.name}/files/{'0' * 64}"
    assert httpx.get(path, auth=(device.name, made["password"])).status_code == 401
    assert httpx.get(path, auth=(device.name, body["password"])).status_code == 404
    with transaction(office.engine, read_only=True) as session:
        assert terminals.broker_hashes(session)[device.name] is None
    with office.client() as client:
        version = client.get(f"/api/v1/terminals/{device.name}").json()["version"]
        assert client.post(f"/api/v1/terminals/{device.name}/password", headers=etag(version)).status_code == 200
    with transaction(office.engine, read_only=True) as session:
        assert terminals.broker_hashes(session)[device.name] is None


def test_a_wrong_a_used_and_an_expired_code_get_one_sentence(office: Office, device: Device) -> None:
    used = new_code(office, device.name)
    assert post(office, CLAIMS, {"code": used, "csr": device.csr}).status_code == 201
    other = Device(office.terminal(None)["terminal"]["id"], authority.new_key())
    replaced, expired = new_code(office, other.name), new_code(office, other.name)
    sentences = set()
    for code, shift in (("0000000000", 0), ("no code at all", 0), (used, 0), (replaced, 0), (expired, 1)):
        office.shift = CODE_LASTS * shift
        with office.client(None) as client:
            seen = client.post(OWNER, json={"code": code})
        answer = post(office, CLAIMS, {"code": code, "csr": other.csr})
        assert (seen.status_code, answer.status_code) == (404, 404)
        sentences |= {seen.json()["detail"], answer.json()["detail"]}
        with transaction(office.engine) as session:
            session.execute(text("DELETE FROM wrong_claims"))
    assert len(sentences) == 1
    assert listed(office, other.name) == []


def test_guessing_is_stopped_and_goes_on_after_a_quarter_of_an_hour(office: Office, device: Device) -> None:
    code = new_code(office, device.name)
    body = {"code": "ZZZZZZZZZZ", "csr": device.csr}
    tried = [post(office, CLAIMS, body).status_code for _ in range(GUESSES_BY_ADDRESS + 1)]
    assert tried == [404] * GUESSES_BY_ADDRESS + [429]
    refused = post(office, CLAIMS, body | {"code": code})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    with office.client(None) as client:
        assert client.post(OWNER, json={"code": code}).status_code == 429
    office.shift = GUESSES_OF + timedelta(seconds=1)
    assert post(office, CLAIMS, body | {"code": code}).status_code == 201


def test_whoever_has_one_ipv6_address_has_them_all(office: Office, device: Device) -> None:
    body = {"code": "ZZZZZZZZZZ", "csr": device.csr}
    with office.client(None) as client:
        tried = [
            client.post(CLAIMS, json=body, headers={"X-Forwarded-For": f"2001:db8::{n:x}"}).status_code
            for n in range(1, GUESSES_BY_ADDRESS + 2)
        ]
    assert tried == [404] * GUESSES_BY_ADDRESS + [429]


def test_guesses_from_everywhere_are_stopped_too(office: Office, device: Device) -> None:
    code = new_code(office, device.name)
    with transaction(office.engine) as session:
        session.add_all(WrongClaim(address=f"192.0.2.{n}", at=office.now()) for n in range(GUESSES_IN_ALL))
    assert post(office, CLAIMS, {"code": code, "csr": device.csr}).status_code == 429


def test_guesses_of_one_address_hold_up_nobody_elsewhere(office: Office, device: Device) -> None:
    old = claimed(office, device)
    other = Device(office.terminal(None)["terminal"]["id"], authority.new_key())
    code = new_code(office, other.name)

    def tried(path: str, body: JSON, address: str) -> int:
        with office.client(None) as client:
            return client.post(path, json=body, headers={"X-Forwarded-For": address}).status_code

    guess = {"code": "ZZZZZZZZZZ", "csr": other.csr}
    assert [tried(CLAIMS, guess, "192.0.2.1") for _ in range(2 * GUESSES_BY_ADDRESS)][-1] == 429
    assert tried(RENEWALS, renewal_of(old["certificate"], device.key, device.csr), "192.0.2.1") == 201
    assert tried(CLAIMS, guess | {"code": code}, "192.0.2.2") == 201
    with transaction(office.engine, read_only=True) as session:
        assert session.scalar(select(func.count()).select_from(WrongClaim)) == GUESSES_BY_ADDRESS


def weak(name: str) -> str:
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(rsa.generate_private_key(65537, 2048), hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@pytest.mark.parametrize("wrong", ["other name", "weak key", "no request", "a lone surrogate"])
def test_a_wrong_request_is_refused_with_a_sentence_and_the_code_stays_good(
    office: Office, device: Device, wrong: str
) -> None:
    code = new_code(office, device.name)
    before = audit(office, device.name)
    requests = {
        "other name": request_for("kiosk-of-another", device.key),
        "weak key": weak(device.name),
        "no request": "-----BEGIN NOTHING-----",
        "a lone surrogate": "\ud800",
    }
    with office.client(None) as client:
        content = json.dumps({"code": code, "csr": requests[wrong]})
        answer = client.post(CLAIMS, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith(("The certificate signing request ", "The request is not valid"))
    assert listed(office, device.name) == []
    assert audit(office, device.name) == before
    assert post(office, CLAIMS, {"code": code, "csr": device.csr}).status_code == 201


def test_two_claims_with_one_code_at_once_give_one_certificate(office: Office, device: Device) -> None:
    code = new_code(office, device.name)
    others = [Device(device.name, authority.new_key()) for _ in range(4)]
    with ThreadPoolExecutor(len(others)) as pool:
        answers = list(pool.map(lambda each: post(office, CLAIMS, {"code": code, "csr": each.csr}), others))
    assert sorted(answer.status_code for answer in answers) == [201, 404, 404, 404]
    assert len(listed(office, device.name)) == 1


def test_a_new_claim_ends_what_the_terminal_had(office: Office, device: Device) -> None:
    old = claimed(office, device)
    new = Device(device.name, authority.new_key())
    claimed(office, new)
    newest, oldest = listed(office, device.name)
    assert (newest["revoked_at"], oldest["revoke_reason"]) == (None, "claimed anew")
    assert renewed(office, device, old).status_code == 403


def test_who_may_do_what(office: Office, device: Device) -> None:
    path = f"/api/v1/terminals/{device.name}"
    reason = {"reason": "it was stolen"}
    with office.client(Role.VIEWER) as viewer, office.client(Role.OPERATOR) as operator:
        assert viewer.post(f"{path}/claim-code").status_code == 403
        assert operator.post(f"{path}/revoke", json=reason).status_code == 403
        assert viewer.get(f"{path}/certificates").status_code == 200
        assert viewer.get("/api/v1/terminals/kiosk-nowhere/certificates").status_code == 404
        assert operator.post("/api/v1/terminals/kiosk-nowhere/claim-code").status_code == 404


def test_another_branch_sees_and_does_nothing(office: Office, device: Device) -> None:
    claimed(office, device)
    elsewhere, change = Scope("/org_elsewhere/"), Change("test", office.now())
    with transaction(office.engine) as session:
        for ask in (
            lambda: service.certificates(session, elsewhere, device.name, Paging()),
            lambda: service.make_code(session, change, elsewhere, device.name),
            lambda: service.revoke(session, change, elsewhere, device.name, "it was stolen"),
        ):
            with pytest.raises(NotFound):
                ask()
    assert [each["revoked_at"] for each in listed(office, device.name)] == [None]


def test_the_audit_tells_it_all_and_no_secret_of_it(office: Office, device: Device) -> None:
    code = new_code(office, device.name)
    body = post(office, CLAIMS, {"code": code, "csr": device.csr}).json()
    revoke(office, device.name)
    entries = audit(office, device.name)
    assert [each["action"] for each in reversed(entries)] == [
        "terminal.register", "terminal.claim_code", "terminal.claim", "terminal.revoke",
    ]  # fmt: skip
    assert entries[1]["who"] == device.name
    told = str(entries)
    assert code not in told
    assert body["password"] not in told
    with transaction(office.engine, read_only=True) as session:
        kept = session.scalars(select(ClaimCode.code_hash)).all()
        assert code not in kept
        serials = session.scalar(select(func.count()).select_from(Certificate).where(Certificate.name == device.name))
    assert serials == 1


def test_without_an_authority_a_code_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with open_office(tmp_path, f"sqlite:///{tmp_path}/ledger.db") as office:
        terminal = office.terminal(None)["terminal"]["id"]
        with office.client() as client:
            answer = client.post(f"/api/v1/terminals/{terminal}/claim-code")
    assert answer.status_code == 409
    assert "python -m cloud ca init" in answer.json()["detail"]


def test_an_authority_that_has_ended_gives_nothing_and_says_what_to_do(office: Office, device: Device) -> None:
    code = new_code(office, device.name)
    office.shift = authority.INTERMEDIATE_LASTS + timedelta(days=2)
    with transaction(office.engine) as session:
        session.execute(text("UPDATE claim_codes SET expires_at = :at"), {"at": to_us(office.now() + CODE_LASTS)})
    with office.client() as client:
        asked = client.post(f"/api/v1/terminals/{device.name}/claim-code")
    for answer in (asked, post(office, CLAIMS, {"code": code, "csr": device.csr})):
        assert answer.status_code == 409, answer.text
        assert "python -m cloud ca rotate" in answer.json()["detail"]


def test_without_its_key_file_the_authority_gives_nothing_and_the_code_stays_good(tmp_path: Path) -> None:
    with open_office(tmp_path, f"sqlite:///{tmp_path}/ledger.db", public_url="https://rooms.example.org") as office:
        found_authority(office.engine, office.settings, office.now())
        device = Device(office.terminal(None)["terminal"]["id"], authority.new_key())
        code = new_code(office, device.name)
        hidden = office.settings.authority_key().rename(tmp_path / "away")
        assert post(office, CLAIMS, {"code": code, "csr": device.csr}).status_code == 503
        hidden.rename(office.settings.authority_key())
        answer = post(office, CLAIMS, {"code": code, "csr": device.csr})
    assert answer.json()["broker"] == {"host": "rooms.example.org", "port": 8883}
