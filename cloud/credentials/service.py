"""Credentials: issued to members, revoked, and turned into the text of a QR code.

The text is never stored: Ed25519 signatures are deterministic (RFC 8032), so it is signed anew when a card is drawn.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.counters import Counts, advance
from cloud.credentials import issuer_keys
from cloud.credentials.models import Credential, IssuerKey
from cloud.errors import Conflict
from cloud.forms import Form, Sentence
from cloud.keybox import KeyBox
from cloud.members import service as members
from cloud.members.service import MemberId
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging, find, get_one
from cloud.scope import Scope
from cloud.settings import Settings
from firmware_specs import credentials as contract

MAX_IN_FORCE = 8
"""Cards of one member at a time; an entry of the roster has room for as many."""


class IssueForm(Form):
    """For whom, and for how many days; without days, as the settings say."""

    member_id: MemberId
    days: Annotated[int, Field(ge=1, le=3650)] | None = None


class RevokeForm(Form):
    """Why; never shown at a kiosk."""

    reason: Sentence


@dataclass(frozen=True)
class Issuer:
    """Who signs: the issuer's name, its key file, and how long cards last when nothing else is said."""

    name: str
    box: KeyBox
    days: int


@dataclass(frozen=True)
class Card:
    """What is printed. `text` is the QR code's; `name` is there only when an operator asked for it."""

    credential_id: str
    text: str
    number: str
    organisation: str
    organisation_en: str
    name: str = ""


def issuer_of(settings: Settings) -> Issuer:
    """Who signs, as the settings say."""
    return Issuer(settings.issuer, KeyBox(settings.key_file()), settings.credential_days)


def issue(session: Session, change: Change, scope: Scope, issuer: Issuer, form: IssueForm) -> Credential:
    """A new card, good from now on. Conflict for an erased member, or one who has MAX_IN_FORCE cards."""
    member = members.get(session, scope, form.member_id, to_edit=True)
    if member.erased_at is not None:
        raise Conflict("The member was erased.", code="member_erased")
    if len(in_force(session, [member.id], change.at).get(member.id, ())) >= MAX_IN_FORCE:
        raise Conflict(
            f"The member has {MAX_IN_FORCE} cards in force; revoke one first.", code="too_many_cards", n=MAX_IN_FORCE
        )
    key = issuer_keys.signing(session, change, issuer.name, issuer.box)
    not_before = change.at.replace(microsecond=0)
    credential = Credential(
        id=_new_credential_id(session),
        member_id=member.id,
        issuer=key.issuer,
        key_id=key.key_id,
        not_before_at=not_before,
        expires_at=min(
            not_before + timedelta(days=form.days or issuer.days),
            key.trusted_until_at.replace(microsecond=0),
        ),
        created_at=change.at,
    )
    session.add(credential)
    session.flush()
    advance(session, Counts.ROSTER)
    note(session, change, "credential.issue", credential.id, member_id=member.id, key_id=key.key_id)
    return credential


def get(session: Session, scope: Scope, credential_id: str, *, to_edit: bool = False) -> Credential:
    """NotFound outside the scope, too."""
    query = select(Credential).where(Credential.id == credential_id, members.within(scope, Credential.member_id))
    return get_one(session, query, "credential", credential_id, to_edit=to_edit)


def list_credentials(
    session: Session, scope: Scope, paging: Paging, *, member_id: str | None = None
) -> Found[Credential]:
    """Newest first; of one member, where named."""
    query = select(Credential).where(members.within(scope, Credential.member_id))
    if member_id is not None:
        query = query.where(Credential.member_id == member_id)
    return find(session, query, [Credential.created_at, Credential.id], paging, newest_first=True)


def revoke(session: Session, change: Change, scope: Scope, credential_id: str, reason: str) -> Credential:
    """At once and for ever; a second time changes nothing."""
    credential = get(session, scope, credential_id, to_edit=True)
    if credential.revoked_at is None:
        _revoke(session, change, credential, reason)
    return credential


def revoke_all(session: Session, change: Change, member_id: str, reason: str) -> None:
    """Every card of a member that is still in force."""
    query = select(Credential).where(Credential.member_id == member_id, Credential.revoked_at.is_(None))
    for credential in session.scalars(query.with_for_update()):
        _revoke(session, change, credential, reason)


def in_force(session: Session, member_ids: Sequence[str], now: datetime) -> dict[str, list[str]]:
    """Ids of cards neither revoked nor expired, by member."""
    query = select(Credential.member_id, Credential.id).where(
        Credential.member_id.in_(member_ids), Credential.revoked_at.is_(None), Credential.expires_at > now
    )
    found: dict[str, list[str]] = {}
    for member_id, credential_id in session.execute(query.order_by(Credential.id)):
        found.setdefault(member_id, []).append(credential_id)
    return found


def revoked_ids(session: Session, now: datetime) -> list[str]:
    """Ids of revoked cards that a kiosk would take otherwise; past expiry and skew nobody needs to know."""
    query = select(Credential.id).where(Credential.revoked_at.is_not(None), Credential.expires_at > now - contract.SKEW)
    return sorted(session.scalars(query))


def cards(
    session: Session, scope: Scope, issuer: Issuer, credential_ids: Sequence[str], *, with_names: bool = False
) -> list[Card]:
    """Cards to print, in the order asked for. Conflict for one that was revoked; NotFound outside the scope."""
    return [_card(session, scope, issuer, each, with_names) for each in credential_ids]


def _card(session: Session, scope: Scope, issuer: Issuer, credential_id: str, with_names: bool) -> Card:
    credential = get(session, scope, credential_id)
    if credential.revoked_at is not None:
        raise Conflict(f"The credential {credential_id} was revoked.", code="credential_revoked", id=credential_id)
    member = members.get(session, scope, credential.member_id)
    organisation = organisations.get(session, scope, member.organisation_id)
    return Card(
        credential_id=credential.id,
        text=_text(session, credential, member.subject, issuer.box),
        number=contract.card_number(credential.id),
        organisation=organisation.name,
        organisation_en=organisation.name_en,
        name=member.display_name if with_names else "",
    )


def _text(session: Session, credential: Credential, subject: str, box: KeyBox) -> str:
    key = issuer_keys.private_key(session.get_one(IssuerKey, credential.key_id), box)
    claims = contract.Credential(
        issuer=credential.issuer,
        subject=subject,
        id=credential.id,
        key_id=credential.key_id,
        not_before=credential.not_before_at,
        expires=credential.expires_at,
    )
    return contract.sign(claims, key)


def _revoke(session: Session, change: Change, credential: Credential, reason: str) -> None:
    credential.revoked_at, credential.revoke_reason = change.at, reason
    session.flush()
    advance(session, Counts.ROSTER)
    advance(session, Counts.REVOCATIONS)
    note(session, change, "credential.revoke", credential.id, reason=reason)


def _new_credential_id(session: Session) -> str:
    while True:
        credential_id = contract.card_id_from_random(secrets.randbelow(10**11))
        if session.get(Credential, credential_id) is None:
            return credential_id
