"""The intermediate authorities in the ledger: which one gives certificates now, and its key, decrypted for a moment.

Promises that at most one is in use, and that a retired one can still sign its revocation list until its end.
"""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.certificates.authority import CLOCKS_MAY_DIFFER, Authority, is_issued_by
from cloud.certificates.models import IssuingAuthority
from cloud.certificates.proof import key_id
from cloud.errors import Conflict
from cloud.keybox import KeyBox


def in_use(session: Session) -> IssuingAuthority | None:
    """The one that gives certificates now."""
    query = select(IssuingAuthority).where(IssuingAuthority.retired_at.is_(None))
    return session.scalar(query.order_by(IssuingAuthority.created_at.desc()).limit(1))


def needed(session: Session, now: datetime) -> IssuingAuthority:
    """The same. Conflict where there is none yet, or it has ended."""
    found = in_use(session)
    if found is None:
        raise Conflict(
            "There is no certificate authority yet; an administrator makes one: python -m cloud ca init",
            code="no_authority",
        )
    if found.not_after_at <= now:
        raise Conflict(
            "The certificate authority has ended; an administrator makes the next: python -m cloud ca rotate --root FILE",
            code="authority_ended",
        )
    return found


def living(session: Session, now: datetime) -> Sequence[IssuingAuthority]:
    """Those whose certificates may still be good, the oldest first."""
    query = select(IssuingAuthority).where(IssuingAuthority.not_after_at > now)
    return session.scalars(query.order_by(IssuingAuthority.created_at, IssuingAuthority.key_id)).all()


def issuer_of(session: Session, certificate: x509.Certificate) -> IssuingAuthority | None:
    """The one that signed it, in use or retired; few, because people rotate them."""
    every = session.scalars(select(IssuingAuthority).order_by(IssuingAuthority.key_id)).all()
    return next((row for row in every if is_issued_by(certificate, certificate_of(row))), None)


def lock(session: Session) -> None:
    """Before it is looked which one is in use, to make another: of two who do so at once one waits, or both stayed in use."""
    if session.get_bind().dialect.name == "postgresql":  # on SQLite a writer is alone anyway
        session.execute(text("LOCK TABLE authorities IN SHARE ROW EXCLUSIVE MODE"))


def add(session: Session, change: Change, made: Authority, root: x509.Certificate, box: KeyBox) -> IssuingAuthority:
    """Use this one from now on; the one before is retired."""
    before = in_use(session)
    if before is not None:
        before.retired_at = change.at
    box.make()
    row = row_of(made, root, box, change.at)
    session.add(row)
    session.flush()
    action = "authority.create" if before is None else "authority.rotate"
    note(session, change, action, row.key_id, replaces=before and before.key_id)
    return row


def put_back(session: Session, change: Change, made: Authority, root: x509.Certificate, box: KeyBox) -> None:
    """From a backup: its key under this key file; a row that is not there is added, and used unless a newer one is."""
    box.make()
    name = key_id(made.key.public_key())
    row = session.get(IssuingAuthority, name)
    if row is None:
        newest = in_use(session)
        row = row_of(made, root, box, made.certificate.not_valid_before_utc + CLOCKS_MAY_DIFFER)
        if newest is not None and newest.created_at > row.created_at:
            row.retired_at = change.at
        elif newest is not None:
            newest.retired_at = change.at
        session.add(row)
    row.key_encrypted, row.list_due = box.encrypt(key_bytes(made.key), name), True
    session.flush()
    note(session, change, "authority.restore", name)


def row_of(made: Authority, root: x509.Certificate, box: KeyBox, now: datetime) -> IssuingAuthority:
    """An authority as the ledger keeps it, its key encrypted under the key file."""
    name = key_id(made.key.public_key())
    return IssuingAuthority(
        key_id=name,
        certificate=pem(made.certificate),
        root=pem(root),
        key_encrypted=box.encrypt(key_bytes(made.key), name),
        created_at=now,
        not_after_at=made.certificate.not_valid_after_utc,
        list_number=0,
        list_due=True,
    )


def opened(row: IssuingAuthority, box: KeyBox) -> Authority:
    """With its key. Unavailable without the right key file."""
    key = read_key(box.decrypt(row.key_encrypted, row.key_id))
    return Authority(certificate_of(row), key)


def certificate_of(row: IssuingAuthority) -> x509.Certificate:
    """The intermediate certificate itself."""
    return x509.load_pem_x509_certificate(row.certificate.encode())


def pem(certificate: x509.Certificate) -> str:
    """As text."""
    return certificate.public_bytes(Encoding.PEM).decode()


def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 in DER, in clear: to be encrypted at once."""
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def read_key(der: bytes) -> ec.EllipticCurvePrivateKey:
    """The way back."""
    key = load_der_private_key(der, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # noqa: S101 - only such are written
    return key
