"""Sessions of the console: begun with name and password, used, confirmed by the password again, ended.

Promises that a wrong name and a wrong password look and last the same, that guessing is slowed by name and by address over
all processes (`sign_in_failures` is in the database), and that a session ends by itself: some time after it began, and
some time after a person last used it. Called by the gate, the console and the routes.
"""

import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from cloud.accounts.models import Account, SignIn, SignInFailure
from cloud.accounts.service import Principal, Role, digest, hash_password, scope_of, verify_password, within_reach
from cloud.audit.service import Change, note
from cloud.database import new_id
from cloud.errors import Forbidden, NotFound, TooOften
from cloud.paging import Found, Paging, find

FAILURE_WINDOW = timedelta(minutes=15)
FAILURES_BY_NAME = 10
FAILURES_BY_ADDRESS = 50

CONFIRMED_FOR = timedelta(minutes=5)
"""How long a password that was typed again is good."""

NOTED_EVERY = timedelta(minutes=1)
"""How often it is written that a session is used: one small write a minute and person."""


@dataclass(frozen=True)
class Origin:
    """Where somebody comes from: the address, and the browser's family, empty for a program."""

    address: str
    browser: str = ""


@dataclass(frozen=True)
class Limits:
    """How long a session lasts in all, and without being used."""

    whole: timedelta
    idle: timedelta


def sign_in(session: Session, name: str, password: str, origin: Origin, now: datetime, limits: Limits) -> str | None:
    """A new session's secret for the cookie; None when name or password is wrong: commit then, too, for the count.

    TooOften, without a look at the password, when this name or address failed too often of late.
    """
    session.execute(delete(SignIn).where(or_(SignIn.expires_at <= now, SignIn.idle_until_at <= now)))
    keys = _check_failures(session, name, origin.address, now)
    account = session.scalar(select(Account).where(Account.name == name))
    good = verify_password(account.password_hash if account else _nobodys_hash(), password)
    if account is None or not good or not account.enabled:
        session.add_all(SignInFailure(key=key, at=now) for key in keys)
        if account is not None:  # an unknown name is not kept: people type passwords there
            note(session, Change("-", now, origin.address), "account.sign_in_failed", account.id)
        return None
    secret = secrets.token_urlsafe(32)
    begun = SignIn(
        token_hash=digest(secret), id=new_id("ses"), account_id=account.id, address=origin.address,
        browser=origin.browser, created_at=now, used_at=now, expires_at=now + limits.whole,
        idle_until_at=now + limits.idle,
    )  # fmt: skip
    session.add(begun)
    note(session, Change(account.name, now, origin.address), "account.sign_in", account.id, session_id=begun.id)
    return secret


def sign_out(session: Session, secret: str) -> None:
    """End the session; no error when it has ended already."""
    session.execute(delete(SignIn).where(SignIn.token_hash == digest(secret)))


def principal_of_session(session: Session, secret: str, now: datetime) -> Principal | None:
    """Who signed in with this session; None when it is unknown or over."""
    query = (
        select(SignIn, Account)
        .join(Account, SignIn.account_id == Account.id)
        .where(SignIn.token_hash == digest(secret), Account.enabled, *_lasting(now))
    )
    found = session.execute(query).first()
    if found is None:
        return None
    return Principal(
        found.Account.id,
        found.Account.name,
        Role(found.Account.role),
        scope_of(session, found.Account),
        by_session=True,
        session_id=found.SignIn.id,
        used_at=found.SignIn.used_at,
        confirmed_until=found.SignIn.confirmed_until_at,
    )


def is_to_be_noted(by: Principal, now: datetime) -> bool:
    """Whether it was not written of late that this session is used."""
    return by.used_at is not None and now - by.used_at >= NOTED_EVERY


def note_use(session: Session, by: Principal, now: datetime, idle: timedelta) -> None:
    """A person uses the session: it may rest anew."""
    values = {"used_at": now, "idle_until_at": now + idle}
    session.execute(update(SignIn).where(SignIn.id == by.session_id, SignIn.used_at < now).values(values))


def confirm(session: Session, change: Change, by: Principal, password: str) -> bool:
    """The password again, good for five minutes; False when it is wrong: commit then, too, for the count.

    It counts with the failed sign-ins. TooOften like these; Forbidden for an API token.
    """
    if not by.by_session:
        raise Forbidden("An API token has no session whose password could be confirmed.", code="no_session")
    keys = _check_failures(session, by.name, change.address, change.at)
    account = session.get_one(Account, by.account_id)
    if not verify_password(account.password_hash, password):
        session.add_all(SignInFailure(key=key, at=change.at) for key in keys)
        note(session, change, "account.confirm_failed", account.id, session_id=by.session_id)
        return False
    until = change.at + CONFIRMED_FOR
    session.execute(update(SignIn).where(SignIn.id == by.session_id).values(confirmed_until_at=until))
    note(session, change, "account.confirm", account.id, session_id=by.session_id)
    return True


def sessions(session: Session, by: Principal, now: datetime, paging: Paging) -> Found[SignIn]:
    """Those that last, newest first; one's own, an admin's branch's."""
    query = select(SignIn).where(*_lasting(now), within_reach(by, SignIn.account_id))
    return find(session, query, [SignIn.created_at, SignIn.id], paging, newest_first=True)


def revoke(session: Session, change: Change, by: Principal, session_id: str) -> None:
    """End a session at once; its open pages within seconds. NotFound also when it is not within reach."""
    query = select(SignIn).where(SignIn.id == session_id, within_reach(by, SignIn.account_id))
    found = session.scalar(query.with_for_update())
    if found is None:
        raise NotFound(f"There is no session {session_id}.", code="no_such_session", id=session_id)
    account = session.get_one(Account, found.account_id)
    session.delete(found)
    session.flush()
    note(session, change, "session.revoke", account.id, account=account.name, session_id=session_id)


def network_of(address: str) -> str:
    """What guesses are counted by: of an IPv6 address its /64, because whoever has one has all of these."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if known.version == 4:
        return address
    return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))


def _lasting(now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (SignIn.expires_at > now, SignIn.idle_until_at > now)


def _check_failures(session: Session, name: str, address: str, now: datetime) -> Mapping[str, int]:
    """The keys that a failure is counted under. TooOften when one of them has had too many."""
    session.execute(delete(SignInFailure).where(SignInFailure.at < now - FAILURE_WINDOW))
    keys = {f"name:{digest(name.casefold())}": FAILURES_BY_NAME, f"address:{network_of(address)}": FAILURES_BY_ADDRESS}
    for key, bound in keys.items():
        failures = session.scalar(select(func.count()).where(SignInFailure.key == key)) or 0
        if failures >= bound:
            raise TooOften(
                "Too many failed sign-ins; wait a quarter of an hour.",
                code="sign_ins",
                retry_after_s=int(FAILURE_WINDOW.total_seconds()),
            )
    return keys


@cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_urlsafe(16))
