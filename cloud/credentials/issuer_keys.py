"""Issuer keys: two or more may be trusted at once, one signs. Rotated without recalling cards; revoked at once.

A key signs until `signs_until_at` and is trusted by kiosks until `trusted_until_at`. The oldest key that may sign is the
one that signs: a new one is published in the twins first, and takes over (`promote`) once kiosks can know it.
"""

import base64
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.counters import Counts, advance
from cloud.credentials.models import Credential, IssuerKey
from cloud.errors import Conflict, NotFound
from cloud.keybox import KeyBox

SIGNS_FOR = timedelta(days=2 * 365)
MAX_TRUSTED = 16
"""A twin has room for as many (firmware_specs.messages.Desired)."""

Known = Callable[[Session, str], bool]
"""Whether every terminal says that it knows a key."""


def trusted(session: Session, now: datetime) -> Sequence[IssuerKey]:
    """The keys whose signatures kiosks accept, by key id."""
    query = select(IssuerKey).where(IssuerKey.trusted_until_at > now).order_by(IssuerKey.key_id)
    return session.scalars(query).all()


def all_keys(session: Session) -> Sequence[IssuerKey]:
    """Every key there ever was, newest first; few, because people rotate them."""
    return session.scalars(select(IssuerKey).order_by(IssuerKey.created_at.desc())).all()


def check_box(session: Session, box: KeyBox, now: datetime) -> None:
    """Unavailable where the newest key that may sign cannot be opened, as after a restore without its key file."""
    query = select(IssuerKey).where(IssuerKey.signs_until_at > now).order_by(IssuerKey.created_at.desc())
    newest = session.scalar(query.limit(1))
    if newest is not None:
        box.decrypt(newest.private_key_encrypted, newest.key_id)


def signing(session: Session, change: Change, issuer: str, box: KeyBox) -> IssuerKey:
    """The key that signs now; the first one is made here, and signs at once."""
    return session.scalar(_may_sign(issuer, change.at).limit(1)) or create(session, change, issuer, box)


def create(session: Session, change: Change, issuer: str, box: KeyBox) -> IssuerKey:
    """A new key, trusted at once and beside the others. Conflict when as many are trusted as a twin has room for."""
    if len(trusted(session, change.at)) >= MAX_TRUSTED:
        raise Conflict(
            f"{MAX_TRUSTED} issuer keys are trusted already; revoke one first.", code="too_many_keys", n=MAX_TRUSTED
        )
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key_id = _new_key_id(session)
    box.make()
    raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    key = IssuerKey(
        key_id=key_id,
        issuer=issuer,
        public_key=base64.b64encode(public).decode(),
        private_key_encrypted=box.encrypt(raw, key_id),
        created_at=change.at,
        signs_until_at=change.at + SIGNS_FOR,
        trusted_until_at=change.at + 2 * SIGNS_FOR,
    )
    session.add(key)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "issuer_key.create", key_id, issuer=issuer)
    return key


def rotate(session: Session, change: Change, issuer: str, box: KeyBox, lead: timedelta, is_known: Known) -> IssuerKey:
    """A new key is trusted from now on, and signs when `promote` says so; the present one signs until then."""
    key = create(session, change, issuer, box)
    promote(session, change, issuer, lead, is_known)
    return key


def promote(session: Session, change: Change, issuer: str, lead: timedelta, is_known: Known) -> IssuerKey | None:
    """Let the newest key sign that has been published for `lead`, or that every terminal knows; None when none is ready.

    A kiosk that was offline all that time refuses its cards until it has a newer twin.
    """
    waiting = session.scalars(_may_sign(issuer, change.at)).all()[1:]
    for key in reversed(waiting):
        if change.at >= key.created_at + lead or is_known(session, key.key_id):
            return sign_with(session, change, key.key_id)
    return None


def sign_with(session: Session, change: Change, key_id: str) -> IssuerKey:
    """This key signs from now on, whoever knows it; the ones before stay trusted until the last of their cards expires.

    NotFound, or Conflict for a key that signs no more.
    """
    chosen = session.get(IssuerKey, key_id)
    if chosen is None:
        raise NotFound(f"There is no issuer key {key_id}.", code="no_issuer_key", id=key_id)
    keys = session.scalars(_may_sign(chosen.issuer, change.at).with_for_update()).all()
    if chosen not in keys:
        raise Conflict(f"The issuer key {key_id} signs no more.", code="key_signs_no_more", id=key_id)
    for key in keys[: keys.index(chosen)]:
        key.signs_until_at = change.at
        last = session.scalar(
            select(func.max(Credential.expires_at)).where(
                Credential.key_id == key.key_id, Credential.revoked_at.is_(None)
            )
        )
        key.trusted_until_at = max(last or change.at, change.at)
        note(session, change, "issuer_key.retire", key.key_id)
    session.flush()
    note(session, change, "issuer_key.sign", key_id)
    return chosen


def revoke(session: Session, change: Change, key_id: str) -> IssuerKey:
    """Neither signs nor is trusted any more: all its cards are worthless once kiosks have the new twin."""
    key = session.get(IssuerKey, key_id, with_for_update=True)
    if key is None:
        raise NotFound(f"There is no issuer key {key_id}.", code="no_issuer_key", id=key_id)
    key.signs_until_at = min(key.signs_until_at, change.at)
    key.trusted_until_at = min(key.trusted_until_at, change.at)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "issuer_key.revoke", key_id)
    return key


def private_key(key: IssuerKey, box: KeyBox) -> Ed25519PrivateKey:
    """Unavailable without the right key file."""
    return Ed25519PrivateKey.from_private_bytes(box.decrypt(key.private_key_encrypted, key.key_id))


def _may_sign(issuer: str, now: datetime) -> Select[IssuerKey]:
    query = select(IssuerKey).where(IssuerKey.issuer == issuer, IssuerKey.signs_until_at > now)
    return query.order_by(IssuerKey.created_at, IssuerKey.key_id)


def _new_key_id(session: Session) -> str:
    while True:
        key_id = secrets.token_hex(4)
        if session.get(IssuerKey, key_id) is None:
            return key_id
