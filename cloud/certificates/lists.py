"""Revocation lists: signed anew when something was revoked and daily, and judged before the broker is told of them.

Promises that a list that cannot be read, is not its authority's, or has ended is never called sound: Mosquitto lets everyone in
under a broken list, and nobody under one that has ended (findings of the broker).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from cloud.certificates import authorities, authority
from cloud.certificates.authority import CLOCKS_MAY_DIFFER, Revoked
from cloud.certificates.models import Certificate, IssuingAuthority
from cloud.clock import EPOCH
from cloud.errors import Unavailable
from cloud.keybox import KeyBox
from cloud.terminals import service as terminals

EVERY: Final = timedelta(days=1)
_ONE: Final = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----\s*", re.DOTALL)


@dataclass(frozen=True)
class Published:
    """What the broker is to read, in PEM: roots, intermediates, and a revocation list of each intermediate.

    `version` changes with each list.
    """

    roots: str
    chain: str
    revoked: str
    version: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Signed:
    """The authorities whose lists were signed anew, and those whose key could not be opened."""

    signed: tuple[str, ...]
    left: tuple[str, ...]


def has_due(session: Session, now: datetime) -> bool:
    """Whether a list should be signed anew."""
    return session.scalar(_due(now).limit(1)) is not None


def sign_due(session: Session, box: KeyBox, now: datetime, lasts: timedelta) -> Signed:
    """Sign what is due. Unavailable where the key of the authority in use cannot be opened.

    A retired one whose key is lost holds up no other: its list stays as it is, and is left out when it has ended.
    """
    signed, left = [], []
    for row in session.scalars(_due(now).order_by(IssuingAuthority.key_id).with_for_update()).all():
        try:
            issuer = authorities.opened(row, box)
        except Unavailable:
            if row.retired_at is None:
                raise
            left.append(row.key_id)
            continue
        row.list_number = max(row.list_number + 1, (now - EPOCH) // timedelta(seconds=1))  # rises over a restore, too
        made = authority.make_revocation_list(issuer, _revoked(session, row, now), row.list_number, now, lasts)
        row.revocation_list = made.public_bytes(Encoding.PEM).decode()
        row.list_due, row.listed_at = False, now
        signed.append(row.key_id)
    return Signed(tuple(signed), tuple(left))


def published(session: Session, now: datetime) -> Published | None:
    """What is to be published now; None before there is an authority with a list.

    Without a retired authority whose list has ended: nobody gets in by it any more, and with it no list would be sound.
    """
    rows = [row for row in authorities.living(session, now) if row.revocation_list and not _has_run_out(row, now)]
    if not rows:
        return None
    return Published(
        roots="".join(dict.fromkeys(row.root for row in rows)),
        chain="".join(row.certificate for row in rows),
        revoked="".join(row.revocation_list or "" for row in rows),
        version=tuple((row.key_id, row.list_number) for row in rows),
    )


def check(lists: bytes, chain: str, now: datetime) -> datetime:
    """When the first of these lists ends. Unavailable unless there is exactly one sound list of each authority of `chain`."""
    issuers = {each.subject: each for each in x509.load_pem_x509_certificates(chain.encode())}
    try:
        read = [x509.load_pem_x509_crl(found) for found in _ONE.findall(lists)]
        rest = _ONE.sub(b"", lists)
        sound = [_is_sound(each, issuers.get(each.issuer), now) for each in read]
        named = [each.issuer for each in read]
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unsound("it cannot be read") from error
    if rest.strip() or not all(sound):
        raise _unsound("it is not signed by its authority, or is not good now")
    if len(named) != len(issuers) or set(named) != issuers.keys():
        raise _unsound("an authority has no list, or two")
    return min(each.next_update_utc or now for each in read)


def ends_at(lists: bytes) -> datetime | None:
    """When the first of these lists ends; None where there is none that can be read."""
    try:
        ends = [x509.load_pem_x509_crl(found).next_update_utc for found in _ONE.findall(lists)]
    except ValueError:
        return None
    return min((each for each in ends if each is not None), default=None)


def serials(lists: bytes) -> set[str]:
    """Those of the certificates that these lists name, in hex; none of a list that cannot be read."""
    try:
        return {f"{each.serial_number:x}" for found in _ONE.findall(lists) for each in x509.load_pem_x509_crl(found)}
    except ValueError:
        return set()


def _due(now: datetime) -> Select[IssuingAuthority]:
    old = or_(IssuingAuthority.listed_at.is_(None), IssuingAuthority.listed_at <= now - EVERY)
    to_come = IssuingAuthority.listed_at > now + CLOCKS_MAY_DIFFER  # the clock was ahead: such a list is not good yet
    due = or_(IssuingAuthority.list_due, old, to_come)
    return select(IssuingAuthority).where(IssuingAuthority.not_after_at > now, due)


def _has_run_out(row: IssuingAuthority, now: datetime) -> bool:
    if row.retired_at is None:
        return False
    until = ends_at((row.revocation_list or "").encode())
    return until is not None and until <= now


def _revoked(session: Session, row: IssuingAuthority, now: datetime) -> Sequence[Revoked]:
    """Those that would still be good without it, held while their terminal is disabled: who has ended is refused for that."""
    query = select(Certificate.serial, Certificate.revoked_at).where(
        Certificate.authority_id == row.key_id,
        or_(Certificate.revoked_at.is_not(None), terminals.is_disabled(Certificate.terminal_id)),
        Certificate.not_after_at > now - CLOCKS_MAY_DIFFER,
    )
    rows = session.execute(query.order_by(Certificate.serial)).all()
    held = x509.ReasonFlags.certificate_hold
    return [Revoked(int(serial, 16), at) if at else Revoked(int(serial, 16), now, held) for serial, at in rows]


def _is_sound(each: x509.CertificateRevocationList, issuer: x509.Certificate | None, now: datetime) -> bool:
    key = issuer.public_key() if issuer is not None else None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        signed = each.is_signature_valid(key)
    except InvalidSignature:
        return False
    return signed and each.last_update_utc <= now < (each.next_update_utc or now)


def _unsound(why: str) -> Unavailable:
    return Unavailable(f"The revocation list is not published: {why}.", code="list_unsound")
