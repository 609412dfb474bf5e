"""Making a leaf certificate by the authority in use, and keeping it in the ledger. Called by the service and the commands."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.orm import Session

from cloud.certificates import authorities, authority, proof
from cloud.certificates.authority import Authority
from cloud.certificates.models import Certificate, IssuingAuthority
from cloud.keybox import KeyBox


class CertificateKind(StrEnum):
    """Whose it is."""

    TERMINAL = "terminal"
    SERVICE = "service"
    SERVER = "server"


@dataclass(frozen=True)
class Given:
    """A certificate with the way up to the root, in PEM, and when its owner should ask for the next."""

    certificate: str
    chain: str
    root: str
    not_after_at: datetime
    renew_at: datetime


def give_terminal(
    session: Session, box: KeyBox, terminal_id: str, key: ec.EllipticCurvePublicKey, now: datetime
) -> Given:
    """A new certificate for a terminal's key. Conflict without an authority, Unavailable without its key file."""
    issuer, opened = _opened(session, box, now)
    made = authority.make_terminal(
        opened, terminal_id, key, now, min(authority.TERMINAL_LASTS, issuer.not_after_at - now)
    )
    return given(session, keep(session, issuer, made, CertificateKind.TERMINAL, now, terminal_id))


def give_service(session: Session, box: KeyBox, name: str, key: ec.EllipticCurvePublicKey, now: datetime) -> Given:
    """The same for one of the cloud's own services."""
    issuer, opened = _opened(session, box, now)
    made = authority.make_service(opened, name, key, now, min(authority.SERVER_LASTS, issuer.not_after_at - now))
    return given(session, keep(session, issuer, made, CertificateKind.SERVICE, now))


def give_server(
    session: Session, box: KeyBox, hosts: list[str], key: ec.EllipticCurvePublicKey, now: datetime
) -> Given:
    """The same for a broker that terminals reach under `hosts`."""
    issuer, opened = _opened(session, box, now)
    made = authority.make_server(opened, hosts, key, now, min(authority.SERVER_LASTS, issuer.not_after_at - now))
    return given(session, keep(session, issuer, made, CertificateKind.SERVER, now))


def given(session: Session, kept: Certificate) -> Given:
    """A certificate of the ledger as its owner is told it."""
    issuer = session.get_one(IssuingAuthority, kept.authority_id)
    return Given(kept.certificate, issuer.certificate, issuer.root, kept.not_after_at, renew_at(kept))


def renew_at(kept: Certificate) -> datetime:
    """At two thirds of its life."""
    return kept.created_at + (kept.not_after_at - kept.created_at) * 2 / 3


def key_of(kept: Certificate) -> ec.EllipticCurvePublicKey:
    """The public key that a certificate of the ledger is for."""
    return public_key(x509.load_pem_x509_certificate(kept.certificate.encode()))


def public_key(made: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The key that a certificate of ours is for."""
    key = made.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101 - only such are made
    return key


def keep(
    session: Session,
    issuer: IssuingAuthority,
    made: x509.Certificate,
    kind: CertificateKind,
    now: datetime,
    terminal_id: str | None = None,
) -> Certificate:
    """Write a certificate that was made into the ledger."""
    kept = Certificate(
        serial=f"{made.serial_number:x}",
        authority_id=issuer.key_id,
        kind=kind,
        name=authority.terminal_of(made),
        terminal_id=terminal_id,
        fingerprint=proof.fingerprint(made),
        key_id=proof.key_id(public_key(made)),
        certificate=authorities.pem(made),
        not_before_at=made.not_valid_before_utc,
        not_after_at=made.not_valid_after_utc,
        created_at=now,
    )
    session.add(kept)
    session.flush()
    return kept


def _opened(session: Session, box: KeyBox, now: datetime) -> tuple[IssuingAuthority, Authority]:
    issuer = authorities.needed(session, now)
    return issuer, authorities.opened(issuer, box)
