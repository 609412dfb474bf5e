"""Sessions of the console: begun with name and password, used, confirmed by the password again, ended.

Promises that a wrong name and a wrong password look and last the same, that guessing is slowed by name and by address over
all processes, however many guess at once (`sign_in_failures` is in the database), that nobody waits for a password that is
looked at, and that a session ends by itself: some time after it began, and some time after a person last used it. Called by
the gate, the console and the routes.
"""

import ipaddress
import secrets
from collections.abc import Iterable, Sequence
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


@dataclass(frozen=True)
class Attempt:
    """A password that somebody typed: it counts as a failure, from before anybody looks at it until it has proved right."""

    account_id: str | None
    password_hash: str | None
    failures: Sequence[int]

    def is_right(self, password: str) -> bool:
        """Slow on purpose, and as slow for a name that there is not: call it outside of every transaction."""
        good = verify_password(self.password_hash or _nobodys_hash(), password)
        return good and self.account_id is not None


def begin_sign_in(session: Session, name: str, address: str, now: datetime) -> Attempt:
    """Commit, then look at the password, then `sign_in`. TooOften when this name or address failed too often of late."""
    session.execute(delete(SignIn).where(or_(SignIn.expires_at <= now, SignIn.idle_until_at <= now)))
    failures = _count_failure(session, name, address, now)
    account = session.scalar(select(Account).where(Account.name == name))
    if account is None:
        return Attempt(None, None, failures)
    return Attempt(account.id, account.password_hash, failures)


def sign_in(
    session: Session, attempt: Attempt, origin: Origin, now: datetime, limits: Limits, *, right: bool
) -> str | None:
    """A new session's secret for the cookie; None, to be committed too, when name or password is wrong."""
    account = _account_of(session, attempt)
    if account is None:
        # As much is written as for a wrong password, or the time would tell. The name is not kept: people type passwords there.
        note(session, Change("-", now, origin.address), "account.sign_in_failed", "-")
        return None
    if not right or account.password_hash != attempt.password_hash or not account.enabled:
        note(session, Change("-", now, origin.address), "account.sign_in_failed", account.id)
        return None
    _forgive(session, attempt)
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


def begin_confirmation(session: Session, change: Change, by: Principal) -> Attempt:
    """The password is typed again; as `begin_sign_in`, with whose failures it counts. Forbidden for an API token."""
    if not by.by_session:
        raise Forbidden("An API token has no session whose password could be confirmed.", code="no_session")
    failures = _count_failure(session, by.name, change.address, change.at)
    account = session.get_one(Account, by.account_id)
    return Attempt(account.id, account.password_hash, failures)


def confirm(session: Session, change: Change, by: Principal, attempt: Attempt, *, right: bool) -> bool:
    """Good for five minutes; False, to be committed too, when it is wrong."""
    account = _account_of(session, attempt)
    if account is None or not right or account.password_hash != attempt.password_hash:
        note(session, change, "account.confirm_failed", by.account_id, session_id=by.session_id)
        return False
    _forgive(session, attempt)
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


def _count_failure(session: Session, name: str, address: str, now: datetime) -> Sequence[int]:
    """Ids of what was counted. TooOften when the name or the address has had too many."""
    bounds = {
        f"name:{digest(name.casefold())}": FAILURES_BY_NAME,
        f"address:{network_of(address)}": FAILURES_BY_ADDRESS,
    }
    _queue_up(session, bounds)
    session.execute(delete(SignInFailure).where(SignInFailure.at < now - FAILURE_WINDOW))
    for key, bound in bounds.items():
        failures = session.scalar(select(func.count()).where(SignInFailure.key == key)) or 0
        if failures >= bound:
            raise TooOften(
                "Too many failed sign-ins; wait a quarter of an hour.",
                code="sign_ins",
                retry_after_s=int(FAILURE_WINDOW.total_seconds()),
            )
    counted = [SignInFailure(key=key, at=now) for key in bounds]
    session.add_all(counted)
    session.flush()
    return [each.id for each in counted]


def _queue_up(session: Session, keys: Iterable[str]) -> None:
    """One after the other for each key, until the commit: or those who guess at once would not see one another's failures.

    All take names before addresses, so that nobody waits in a circle. On SQLite a writer is alone anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        for key in keys:
            session.execute(select(func.pg_advisory_xact_lock(int(digest(key)[:16], 16) - 2**63)))


def _forgive(session: Session, attempt: Attempt) -> None:
    session.execute(delete(SignInFailure).where(SignInFailure.id.in_(attempt.failures)))


def _account_of(session: Session, attempt: Attempt) -> Account | None:
    """As it is now: its password may have been changed since."""
    return session.get(Account, attempt.account_id or "-", with_for_update=True)


@cache
def _nobodys_hash() -> str:
    return hash_password(secrets.token_urlsafe(16))
