"""Claim codes, claims, renewals and revocations: who gets a certificate of ours, and who has lost it.

Promises that a code makes one certificate however often it is sent, that a certificate is for the terminal's own name only,
and that a terminal that was revoked gets nothing more until an operator asks for a new code. No secret is kept in clear.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from cloud.accounts.sessions import network_of
from cloud.audit.service import Change, note
from cloud.bulk import Bulk
from cloud.certificates import authorities, authority, codes, issuing, proof
from cloud.certificates.issuing import CertificateKind, Given
from cloud.certificates.models import Certificate, ClaimCode, IssuingAuthority, WrongClaim
from cloud.clock import to_us
from cloud.errors import Conflict, Fault, Forbidden, Invalid, TooOften
from cloud.forms import Form, Sentence
from cloud.keybox import KeyBox
from cloud.paging import Found, Paging, find
from cloud.scope import EVERYWHERE, Scope
from cloud.terminals import service as terminals
from cloud.terminals.twin import current_twin

CODE_LASTS: Final = timedelta(days=1)
GUESSES_OF: Final = timedelta(minutes=15)
GUESSES_BY_ADDRESS: Final = 5
GUESSES_IN_ALL: Final = 100
RENEWED_UNTIL: Final = timedelta(days=365)
"""So long after its end a certificate is good for getting the next one."""
MAX_A_DAY: Final = 10
"""Certificates of one terminal: it needs one in sixty days."""
CLAIMED_ANEW: Final = "claimed anew"
"""Why the certificates before a claim are revoked: the terminal has one key, and it is the newest."""


class ShutOutForm(Form):
    """Why a terminal is shut out."""

    reason: Sentence


@dataclass(frozen=True)
class NewCode:
    """A claim code, in clear this once."""

    code: str
    expires_at: datetime


@dataclass(frozen=True)
class Owned:
    """A certificate, and whose it is."""

    terminal: str
    kind: str
    profile: str
    given: Given


@dataclass(frozen=True)
class Claimed:
    """The same, with what is told at a claim only: the password for files, in clear this once, and the twin."""

    owned: Owned
    password: str
    desired: dict[str, Any] | None
    had_password: bool
    """Whether the broker let it in by a password until now."""


def make_code(session: Session, change: Change, scope: Scope, terminal_id: str) -> NewCode:
    """A code for a terminal; the one before ends. Conflict where it is disabled, or there is no authority."""
    terminal = terminals.get(session, scope, terminal_id, to_edit=True)
    if not terminal.enabled:
        raise Conflict(
            f"The terminal {terminal_id} is disabled; enable it first.", code="terminal_disabled", id=terminal_id
        )
    authorities.needed(session, change.at)
    _end_code(session, terminal_id)
    new = NewCode(codes.draw(), change.at + CODE_LASTS)
    row = ClaimCode(
        code_hash=codes.digest(new.code), terminal_id=terminal_id, created_at=change.at, expires_at=new.expires_at
    )
    session.add(row)
    session.flush()
    note(session, change, "terminal.claim_code", terminal_id)
    return new


def terminal_of(session: Session, typed: str, address: str, now: datetime) -> str | None:
    """The terminal that a code is for; None for a wrong, used or expired one: commit then, too, for the count.

    TooOften, without a look at the code, when this address, or all together, guessed too often of late.
    """
    _refuse_guessing(session, address, now)
    code = codes.read(typed)
    if code is None:
        return None  # a slip of the hand, and no guess
    terminal_id = session.scalar(select(ClaimCode.terminal_id).where(_is_good(code, now)))
    if terminal_id is None or not terminals.get(session, EVERYWHERE, terminal_id).enabled:
        session.add(WrongClaim(address=network_of(address), at=now))
        return None
    return terminal_id


def claim(session: Session, box: KeyBox, typed: str, csr: bytes, address: str, now: datetime) -> Claimed | None:
    """Use the code up and give the terminal its certificate; None as `terminal_of`. Invalid for what is wrong in the request.

    What the terminal had before is revoked, and its password opens the broker no more.
    """
    terminal_id = terminal_of(session, typed, address, now)
    if terminal_id is None:
        return None
    terminal = terminals.get(session, EVERYWHERE, terminal_id)
    session.refresh(terminal, with_for_update=True)
    if not terminal.enabled or not _use_up(session, codes.read(typed) or "", now):
        return None
    key = authority.read_request(csr, terminal_id)
    change = Change(terminal_id, now, address)
    _revoke_all(session, change, Certificate.terminal_id == terminal_id, CLAIMED_ANEW)
    given = issuing.give_terminal(session, box, terminal_id, key, now)
    had_password = terminal.mqtt_password_hash != terminals.NO_PASSWORD
    password = terminals.know_by_certificate(session, terminal)
    note(session, change, "terminal.claim", terminal_id, key_id=proof.key_id(key))
    twin = current_twin(session, terminal_id)
    owned = Owned(terminal_id, terminal.kind, terminal.profile, given)
    return Claimed(owned, password, json.loads(twin.document) if twin else None, had_password)


def renew(
    session: Session, box: KeyBox, certificate: bytes, csr: bytes, signature: str, address: str, now: datetime
) -> Owned:
    """A new certificate for the owner of an old one's key. The same request again gives the same certificate.

    Forbidden for one that is not ours, revoked, or over for too long, for a wrong signature, and for a disabled terminal.
    """
    old = _presented(session, certificate, address, now)
    terminal = terminals.get(session, EVERYWHERE, old.terminal_id or "", to_edit=True)
    key = authority.read_request(csr, terminal.id)
    if not _is_proved(old, csr, signature):
        raise Forbidden("The request is not signed by the certificate's key.", code="renewal_signature")
    session.refresh(old)  # under the terminal's lock: it may have been revoked since
    _check_standing(old, now, enabled=terminal.enabled)
    before = _given_since(session, old, key, now)
    if before is not None:
        return Owned(terminal.id, terminal.kind, terminal.profile, issuing.given(session, before))
    given = issuing.give_terminal(session, box, terminal.id, key, now)
    note(session, Change(terminal.id, now, address), "terminal.renew", terminal.id, key_id=proof.key_id(key))
    return Owned(terminal.id, terminal.kind, terminal.profile, given)


def hold(session: Session, change: Change, terminal_id: str, *, held: bool) -> None:
    """Keep a terminal that was disabled from the broker, or let it in again; called by `terminals.enabling` only.

    While it is held its certificates are on the list, though not revoked; and its session will be cut. A cut that is still to be
    made when it is let in again stays: a revocation may have asked for it, and else it costs one connection.
    """
    its = select(Certificate.authority_id).where(Certificate.terminal_id == terminal_id)
    _make_lists_anew(session, IssuingAuthority.key_id.in_(its.where(Certificate.revoked_at.is_(None))))
    if held:
        _ask_cut(session, terminal_id, change.at)


def revoke(session: Session, change: Change, scope: Scope, terminal_id: str, reason: str) -> Sequence[Certificate]:
    """Shut a terminal out: its certificates and its claim code end, it is disabled, its session will be cut. What was revoked.

    A second time changes nothing but that its session is cut again.
    """
    terminal = terminals.get(session, scope, terminal_id, to_edit=True)
    revoked = _revoke_all(session, change, Certificate.terminal_id == terminal_id, reason)
    terminals.shut_out(session, terminal)
    _end_code(session, terminal_id)
    _ask_cut(session, terminal_id, change.at)
    note(session, change, "terminal.revoke", terminal_id, reason=reason, certificates=len(revoked))
    return revoked


def revoke_service(session: Session, change: Change, name: str, reason: str) -> Sequence[Certificate]:
    """Every certificate of one of the cloud's own services; what was revoked."""
    revoked = _revoke_all(session, change, _of_service(name), reason)
    note(session, change, "certificate.revoke", name, reason=reason, certificates=len(revoked))
    return revoked


def certificates(session: Session, scope: Scope, terminal_id: str, paging: Paging) -> Found[Certificate]:
    """A terminal's, newest first."""
    terminals.get(session, scope, terminal_id)
    query = select(Certificate).where(Certificate.terminal_id == terminal_id)
    return find(session, query, [Certificate.created_at, Certificate.serial], paging, newest_first=True)


def _revoke_all(session: Session, change: Change, whose: ColumnElement[bool], reason: str) -> Sequence[Certificate]:
    """Every certificate that is not revoked yet, expired ones too, because they could be renewed."""
    query = select(Certificate).where(whose, Certificate.revoked_at.is_(None))
    revoked = session.scalars(query.order_by(Certificate.created_at.desc(), Certificate.serial)).all()
    for each in revoked:
        each.revoked_at, each.revoke_reason = change.at, reason
    session.flush()
    _make_lists_anew(session, IssuingAuthority.key_id.in_({each.authority_id for each in revoked}))
    return revoked


def _ask_cut(session: Session, terminal_id: str, at: datetime) -> None:
    """By upsert: the keeper deletes the row when it has cut, perhaps just now."""
    statement = """INSERT INTO session_cuts (terminal_id, asked_at) VALUES (?, ?)
    ON CONFLICT (terminal_id) DO UPDATE SET asked_at = excluded.asked_at"""
    Bulk.of(session).run(statement, (terminal_id, to_us(at)))


def _make_lists_anew(session: Session, whose: ColumnElement[bool]) -> None:
    due = update(IssuingAuthority).where(whose).values(list_due=True)
    session.execute(due, execution_options={"synchronize_session": False})


def _of_service(name: str) -> ColumnElement[bool]:
    return (Certificate.kind == CertificateKind.SERVICE) & (Certificate.name == name)


def _end_code(session: Session, terminal_id: str) -> None:
    session.execute(delete(ClaimCode).where(ClaimCode.terminal_id == terminal_id))


def _is_good(code: str, now: datetime) -> ColumnElement[bool]:
    right = ClaimCode.code_hash == codes.digest(code)
    return right & ClaimCode.used_at.is_(None) & (ClaimCode.expires_at > now)


def _use_up(session: Session, code: str, now: datetime) -> bool:
    """Whether this call did: of two at once one does (compare and set)."""
    used = update(ClaimCode).where(_is_good(code, now)).values(used_at=now).returning(ClaimCode.terminal_id)
    return session.execute(used, execution_options={"synchronize_session": False}).first() is not None


def _refuse_guessing(session: Session, address: str, now: datetime) -> None:
    session.execute(delete(WrongClaim).where(WrongClaim.at < now - GUESSES_OF))
    in_all = select(func.count()).select_from(WrongClaim)
    here = in_all.where(WrongClaim.address == network_of(address))
    if (session.scalar(here) or 0) >= GUESSES_BY_ADDRESS or (session.scalar(in_all) or 0) >= GUESSES_IN_ALL:
        raise TooOften(
            "Too many wrong claim codes; wait a quarter of an hour.",
            code="claims",
            retry_after_s=int(GUESSES_OF.total_seconds()),
        )


def _presented(session: Session, pem: bytes, address: str, now: datetime) -> Certificate:
    """The ledger's own copy of a terminal's certificate that somebody sent.

    One that an authority of ours signed and the ledger does not know was given after the backup that was restored since:
    it is written down again, or every terminal that renewed in between would have to be claimed anew. Not where the terminal
    was shut out or claimed anew since then: that ended this one, too.
    """
    try:
        sent = x509.load_pem_x509_certificate(pem)
    except (ValueError, x509.InvalidVersion):
        fault = Fault("body.certificate", "is no certificate in PEM", "certificate_unreadable")
        raise Invalid("The old certificate is no certificate in PEM.", [fault], code="certificate_unreadable") from None
    query = select(Certificate).where(Certificate.fingerprint == proof.fingerprint(sent))
    found = session.scalar(query.where(Certificate.terminal_id.is_not(None)))
    issuer = authorities.issuer_of(session, sent) if found is None else None
    terminal_id = authority.terminal_of(sent) if issuer is not None and authority.is_client(sent) else None
    if issuer is not None and terminal_id is not None and terminals.is_registered(session, terminal_id):
        if _ended_since(session, terminal_id, sent):
            raise _revoked()
        found = issuing.keep(session, issuer, sent, CertificateKind.TERMINAL, now, terminal_id)
        note(session, Change(found.name, now, address), "certificate.adopt", found.name, key_id=found.key_id)
    if found is None:
        raise Forbidden("This service gave no terminal such a certificate.", code="certificate_unknown")
    return found


def _ended_since(session: Session, terminal_id: str, sent: x509.Certificate) -> bool:
    """Whether since this certificate was made another of the terminal was revoked, or given for another key (a claim)."""
    made_at = sent.not_valid_before_utc + authority.CLOCKS_MAY_DIFFER
    other_key = Certificate.key_id != proof.key_id(issuing.public_key(sent))
    ended = or_(Certificate.revoked_at >= made_at, other_key & (Certificate.created_at >= made_at))
    query = select(Certificate.serial).where(Certificate.terminal_id == terminal_id, ended).limit(1)
    return session.scalar(query) is not None


def _is_proved(old: Certificate, csr: bytes, signature: str) -> bool:
    certificate = x509.load_pem_x509_certificate(old.certificate.encode()).public_bytes(Encoding.DER)
    request = x509.load_pem_x509_csr(csr).public_bytes(Encoding.DER)
    return proof.is_signed(issuing.key_of(old), signature, proof.renewal_message(certificate, request))


def _check_standing(old: Certificate, now: datetime, *, enabled: bool) -> None:
    if old.revoked_at is not None:
        raise _revoked()
    if now > old.not_after_at + RENEWED_UNTIL:
        raise Forbidden("The certificate ended more than a year ago; ask for a claim code.", code="certificate_too_old")
    if not enabled:
        raise Forbidden("The terminal is disabled.", code="renewal_disabled")


def _revoked() -> Forbidden:
    return Forbidden("The certificate was revoked; ask for a claim code.", code="certificate_revoked")


def _given_since(
    session: Session, old: Certificate, key: ec.EllipticCurvePublicKey, now: datetime
) -> Certificate | None:
    """What this key was given after `old`, where it is far from its end: the answer was lost. TooOften beyond a day's bound."""
    its = select(Certificate).where(Certificate.terminal_id == old.terminal_id)
    same = its.where(Certificate.key_id == proof.key_id(key), Certificate.created_at > old.created_at)
    newest = same.where(Certificate.revoked_at.is_(None)).order_by(Certificate.created_at.desc()).limit(1)
    found = session.scalar(newest)
    if found is not None and now < issuing.renew_at(found):
        return found
    today = its.where(Certificate.created_at > now - timedelta(days=1)).with_only_columns(func.count())
    if (session.scalar(today) or 0) >= MAX_A_DAY:
        raise TooOften("The terminal renewed too often today.", code="renewals", retry_after_s=3600)
    return None
