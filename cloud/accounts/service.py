"""Accounts and API tokens. Passwords are argon2id; session and token secrets are random, kept as SHA-256.

Signing in and what follows from it is `sessions`.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, delete, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.accounts.models import Account, ApiToken, SignIn
from cloud.audit.service import Change, note, state
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging, find
from cloud.scope import EVERYWHERE, Scope

MIN_PASSWORD = 10
MAX_PASSWORD = 200
TOKEN_PREFIX = "rlt_"  # noqa: S105  - lets secret scanners find a leaked one
_LENGTHS = {"least": MIN_PASSWORD, "most": MAX_PASSWORD}


class Role(StrEnum):
    """What an account may do: each role may do all that the one before it may.

    An organiser runs activities and looks after members and their cards; an operator looks after rooms and terminals, too.
    """

    VIEWER = "viewer"
    ORGANISER = "organiser"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        """Whether this role may do what `other` may."""
        order = list(Role)
        return order.index(self) >= order.index(other)


PROGRAMS = frozenset({"command line", "the service itself", "-"})
"""Who changes something without being an account: `Change.who` of the commands, the service, and a failed sign-in."""

_IS_ADMIN = (Account.role == Role.ADMIN, Account.enabled, Account.organisation_id.is_(None))
"""The condition of an account that may do everything everywhere."""


@dataclass(frozen=True)
class Principal:
    """Who is asking, as found out from a session or a token, and from where; `until` is the token's end.

    Two of the same session are equal: when it was used or confirmed does not make it another.
    """

    account_id: str
    name: str
    role: Role
    scope: Scope = EVERYWHERE
    by_session: bool = False
    until: datetime | None = None
    address: str = ""
    session_id: str = ""
    used_at: datetime | None = field(default=None, compare=False)
    confirmed_until: datetime | None = field(default=None, compare=False)

    @property
    def organisation_id(self) -> str | None:
        """The branch that it is bound to; None for the whole tree."""
        return organisations.ancestors(self.scope.path)[-1] if self.scope != EVERYWHERE else None


def create_account(
    session: Session,
    change: Change,
    scope: Scope,
    name: str,
    password: str,
    role: Role,
    organisation_id: str | None = None,
) -> Account:
    """Bound to a branch within the scope; to none only where the scope is everything.

    Invalid for a short password, Conflict for a name that is taken, or that stands for our own programs in the audit.
    """
    _check_password(password)
    _check_branch(session, scope, organisation_id)
    if name.casefold() in PROGRAMS:
        raise Conflict(
            f"{name} is what the audit calls a program; take another name.", code="account_reserved", name=name
        )
    if session.scalar(select(Account).where(Account.name == name)):
        raise Conflict(f"There is an account named {name} already.", code="account_exists", name=name)
    account = Account(
        id=new_id("acc"), name=name, password_hash=hash_password(password), role=role, organisation_id=organisation_id,
        created_at=change.at, version=1,
    )  # fmt: skip
    session.add(account)
    session.flush()
    note(session, change, "account.create", account.id, name=name, role=role, organisation_id=organisation_id)
    return account


def edit_account(
    session: Session,
    change: Change,
    scope: Scope,
    account_id: str,
    *,
    role: Role | None = None,
    enabled: bool | None = None,
    password: str | None = None,
    organisation_id: str | None = None,
    version: int | None = None,
) -> Account:
    """A new password, role, branch or standing ends all sessions of the account; an empty `organisation_id` is no branch.

    Conflict for the end of the last admin of the whole tree. Stale when `version` is said and is not the present one.
    """
    if enabled is False or role not in (None, Role.ADMIN) or organisation_id:
        _lock_admins(session)
    account = get_account(session, scope, account_id)
    before = state(account, ("role", "enabled", "organisation_id"))
    next_version(account, account.version if version is None else version)
    if password is not None:
        _check_password(password)
        account.password_hash = hash_password(password)
    account.role = account.role if role is None else role
    account.enabled = account.enabled if enabled is None else enabled
    if organisation_id is not None:
        account.organisation_id = organisation_id or None
        _check_branch(session, scope, account.organisation_id)
    session.flush()
    if not _admins(session):
        raise Conflict("At least one enabled admin of the whole tree must remain.", code="last_admin")
    session.execute(delete(SignIn).where(SignIn.account_id == account_id))
    changed = state(account, ("role", "enabled", "organisation_id")) | {"password": password is not None}
    note(session, change, "account.edit", account_id, before=before, **changed)
    return account


def get_account(session: Session, scope: Scope, account_id: str) -> Account:
    """To edit it. NotFound outside the scope, too."""
    query = select(Account).where(Account.id == account_id, organisations.within(scope, Account.organisation_id))
    account = session.scalar(query.with_for_update())
    if account is None:
        raise NotFound(f"There is no account {account_id}.", code="no_account", id=account_id)
    return account


def account_named(session: Session, name: str) -> Account:
    """NotFound when there is none."""
    account = session.scalar(select(Account).where(Account.name == name))
    if account is None:
        raise NotFound(f"There is no account named {name}.", code="no_account", id=name)
    return account


def accounts(session: Session, scope: Scope, paging: Paging) -> Found[Account]:
    """Those that are bound to the scope's branch or below, by name."""
    query = select(Account).where(organisations.within(scope, Account.organisation_id))
    return find(session, query, [Account.name], paging)


def scope_of(session: Session, account: Account) -> Scope:
    """The branch that the account is bound to, where it lies now."""
    if account.organisation_id is None:
        return EVERYWHERE
    return Scope(organisations.paths(session, [account.organisation_id])[account.organisation_id])


def within_reach(by: Principal, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
    """The condition that `column`, an account's id, is one's own; for an admin, of any account in the branch."""
    if by.role is not Role.ADMIN:
        return column == by.account_id
    if by.scope == EVERYWHERE:
        return true()
    return column.in_(select(Account.id).where(organisations.within(by.scope, Account.organisation_id)))


def names(session: Session, account_ids: Iterable[str]) -> dict[str, str]:
    """Names by id."""
    query = select(Account.id, Account.name).where(Account.id.in_(set(account_ids)))
    return dict(session.execute(query).all())


def principal_of_token(session: Session, secret: str, now: datetime) -> Principal | None:
    """Whom this API token acts for, with the lesser of both roles; None when it is unknown, revoked or expired."""
    query = (
        select(ApiToken, Account)
        .join(Account, ApiToken.account_id == Account.id)
        .where(ApiToken.token_hash == digest(secret), ApiToken.revoked_at.is_(None), Account.enabled)
    )
    found = session.execute(query).first()
    if found is None or (found.ApiToken.expires_at is not None and found.ApiToken.expires_at <= now):
        return None
    role, most = Role(found.ApiToken.role), Role(found.Account.role)
    return Principal(
        found.Account.id,
        f"{found.Account.name}/{found.ApiToken.name}",
        role if most.includes(role) else most,
        scope_of(session, found.Account),
        until=found.ApiToken.expires_at,
    )


def create_token(
    session: Session,
    change: Change,
    most: Role,
    account: Account,
    name: str,
    role: Role,
    expires_at: datetime | None,
    until: datetime | None = None,
) -> tuple[ApiToken, str]:
    """A token and its secret, which is shown this once. Forbidden for a role above `most` or the account's own.

    `until` is the end of the token that asks: what it makes does not outlive it.
    """
    if until is not None:
        expires_at = until if expires_at is None else min(expires_at, until)
    if not (Role(account.role).includes(role) and most.includes(role)):
        raise Forbidden(f"A token of {account.name} cannot have the role {role} here.", code="token_role")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token = ApiToken(
        id=new_id("tok"),
        account_id=account.id,
        name=name,
        token_hash=digest(secret),
        role=role,
        created_at=change.at,
        expires_at=expires_at,
    )
    session.add(token)
    note(session, change, "token.create", token.id, account=account.name, name=name, role=role)
    return token, secret


def revoke_token(session: Session, change: Change, by: Principal, token_id: str) -> None:
    """At once and for ever; a second time changes nothing. NotFound also when it is not within reach."""
    query = select(ApiToken).where(ApiToken.id == token_id, within_reach(by, ApiToken.account_id))
    token = session.scalar(query.with_for_update())
    if token is None:
        raise NotFound(f"There is no token {token_id}.", code="no_token", id=token_id)
    if token.revoked_at is None:
        token.revoked_at = change.at
        note(session, change, "token.revoke", token_id)


def tokens(session: Session, by: Principal, paging: Paging) -> Found[ApiToken]:
    """One's own; an admin's branch's."""
    query = select(ApiToken).where(within_reach(by, ApiToken.account_id))
    return find(session, query, [ApiToken.created_at, ApiToken.id], paging, newest_first=True)


def random_password() -> str:
    """96 random bits that a person can type: shown once to whoever makes an account."""
    return secrets.token_urlsafe(12)


def hash_password(password: str) -> str:
    """argon2id with the library's parameters (RFC 9106, low-memory choice)."""
    return PasswordHasher().hash(password)


def verify_password(hashed: str, password: str) -> bool:
    """In the same time whether it matches or not."""
    try:
        return PasswordHasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def digest(secret: str) -> str:
    """What is stored of a secret that is random."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _lock_admins(session: Session) -> None:
    """Before an account is locked: of two admins that end each other at once, the second then sees that it is the last."""
    session.execute(select(Account.id).where(*_IS_ADMIN).order_by(Account.id).with_for_update()).all()


def _admins(session: Session) -> int:
    return session.scalar(select(func.count()).where(*_IS_ADMIN)) or 0


def _check_branch(session: Session, scope: Scope, organisation_id: str | None) -> None:
    if organisation_id is not None:
        organisations.check_known(session, scope, [organisation_id], "body.organisation_id")
    elif scope != EVERYWHERE:
        raise Invalid(
            "An account that you make is bound to your branch or one below.",
            [Fault("body.organisation_id", "must be in your branch", "out_of_scope")],
            code="branch_needed",
        )


def _check_password(password: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise Invalid(
            f"A password has {MIN_PASSWORD} to {MAX_PASSWORD} characters.",
            [
                Fault(
                    "body.password",
                    f"must have {MIN_PASSWORD} to {MAX_PASSWORD} characters",
                    "password_length",
                    _LENGTHS,
                )
            ],
            code="password_length",
            **_LENGTHS,
        )
