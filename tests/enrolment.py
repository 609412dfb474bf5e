"""A certificate authority in a test's ledger, and what a terminal sends to it."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import datetime

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.certificates import authorities, authority
from cloud.certificates.authority import Authority
from cloud.database import transaction
from cloud.keybox import KeyBox
from cloud.settings import Settings
from tests.office import JSON, Office

CLAIMS, RENEWALS = "/api/v1/enrolment/claims", "/api/v1/enrolment/renewals"
OWNER = f"{CLAIMS}/owner"


@dataclass
class Device:
    """A terminal's own side: its name and its key."""

    name: str
    key: ec.EllipticCurvePrivateKey

    @property
    def csr(self) -> str:
        return request_for(self.name, self.key)


def found_authority(engine: Engine, settings: Settings, now: datetime) -> Authority:
    """Make root and intermediate as `ca init` does; the root."""
    root = authority.make_root("Town", now)
    add_intermediate(engine, settings, root, "Town terminals 1", now)
    return root


def add_intermediate(engine: Engine, settings: Settings, root: Authority, name: str, now: datetime) -> None:
    """A new intermediate in use, as `ca rotate` makes it."""
    made = authority.make_intermediate(root, name, now)
    with transaction(engine) as session:
        authorities.add(session, Change("test", now), made, root.certificate, KeyBox(settings.authority_key()))


def request_for(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate signing request, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def renewal_of(certificate: str, key: ec.EllipticCurvePrivateKey, csr: str) -> dict[str, str]:
    """The body of a renewal, spelled out from decision 10 and not from the cloud's code."""
    old = x509.load_pem_x509_certificate(certificate.encode()).public_bytes(Encoding.DER)
    new = x509.load_pem_x509_csr(csr.encode()).public_bytes(Encoding.DER)
    message = b"roomlink/v1 renewal\x00" + hashlib.sha256(old).digest() + hashlib.sha256(new).digest()
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
    return {"certificate": certificate, "csr": csr, "signature": signature}


def new_code(office: Office, terminal: str) -> str:
    """A claim code, asked for by an operator."""
    with office.client(Role.OPERATOR) as client:
        answer = client.post(f"/api/v1/terminals/{terminal}/claim-code")
    assert answer.status_code == 200, answer.text
    code: str = answer.json()["code"]
    return code


def post(office: Office, path: str, body: JSON) -> httpx.Response:
    """What a terminal sends, without any sign-in."""
    with office.client(None) as client:
        return client.post(path, json=body)


def claimed(office: Office, device: Device) -> JSON:
    """The answer of a claim that must succeed."""
    answer = post(office, CLAIMS, {"code": new_code(office, device.name), "csr": device.csr})
    assert answer.status_code == 201, answer.text
    body: JSON = answer.json()
    return body


def renewed(office: Office, device: Device, old: JSON) -> httpx.Response:
    """A renewal for the key it has."""
    return post(office, RENEWALS, renewal_of(old["certificate"], device.key, device.csr))


def listed(office: Office, terminal: str) -> list[JSON]:
    """What a viewer sees of a terminal's certificates."""
    with office.client(Role.VIEWER) as client:
        items: list[JSON] = client.get(f"/api/v1/terminals/{terminal}/certificates").json()["items"]
    return items


def revoke(office: Office, terminal: str) -> JSON:
    """What an administrator's revocation answers."""
    with office.client() as client:
        answer = client.post(f"/api/v1/terminals/{terminal}/revoke", json={"reason": "it was stolen"})
    assert answer.status_code == 200, answer.text
    body: JSON = answer.json()
    return body


def audit(office: Office, subject: str) -> list[JSON]:
    """What the audit holds of a thing, newest first."""
    with office.client() as client:
        items: list[JSON] = client.get("/api/v1/audit", params={"subject": subject, "limit": 200}).json()["items"]
    return items
