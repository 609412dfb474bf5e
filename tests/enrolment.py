"""A certificate authority in a test's ledger, and what a terminal sends to it."""

import base64
import hashlib
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import Engine

from cloud.audit.service import Change
from cloud.certificates import authorities, authority
from cloud.certificates.authority import Authority
from cloud.database import transaction
from cloud.keybox import KeyBox
from cloud.settings import Settings


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
