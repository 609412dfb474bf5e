"""Receivers for people and programs: made, looked at, changed, taken away, with their webhooks' secrets.

Promises that a branch sees and changes its own only, that a secret is told once and kept encrypted, and that the audit holds
neither an address nor a secret. Addresses are judged by `check_address`, outside of the transaction, because names are looked up.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from cloud.alarms import ruling
from cloud.alarms.rules import Severity
from cloud.audit.service import Change, note
from cloud.console.words import Language
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Fault, Invalid
from cloud.forms import Clean, Form, Name, TimeZone
from cloud.keybox import KeyBox
from cloud.notifications.addresses import parse
from cloud.notifications.deciding import Listener, State, What
from cloud.notifications.failures import Undelivered
from cloud.notifications.mail import MAILBOX, MailServer
from cloud.notifications.models import Receiver
from cloud.notifications.quiet import Quiet, Weekday
from cloud.notifications.service import drop_waiting, look_again, within
from cloud.notifications.signing import new_secret
from cloud.notifications.webhook import Poster
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find, get_one
from cloud.scope import Scope

MOST_RECEIVERS: Final = 100
BOTH_SIGN_FOR: Final = timedelta(hours=24)
"""So long after a change of the secret the one before signs, too."""
ALL_DAYS: Final = tuple(Weekday)


class Kind(StrEnum):
    """How somebody is told."""

    EMAIL = "email"
    WEBHOOK = "webhook"


RuleIds = Annotated[tuple[Annotated[str, Field(pattern=r"^alr_[0-9a-f]{16}$")], ...], Field(max_length=200)]
Chosen = Annotated[tuple[What, ...], Field(min_length=1, max_length=5)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:00"])]


class ReceiverForm(Form):
    """Whom to tell, of what, when, and in which words. No rules mean all of them; no organisation, the whole tree."""

    name: Name
    kind: Kind
    address: Annotated[str, Clean, Field(min_length=3, max_length=500, examples=["desk@example.org"])]
    organisation_id: OrganisationId | None = None
    severity: Annotated[Severity, Field(description="The least severe that it is told of.")] = Severity.WARNING
    rule_ids: RuleIds = ()
    what: Chosen = (What.RAISED, What.REOPENED, What.CLEARED)
    after_minutes: Annotated[
        int, Field(ge=0, le=10_080, description="0: at once; else only if nobody acknowledged it.")
    ] = 0
    language: Language = Language.CHINESE
    timezone: TimeZone = "Asia/Shanghai"
    quiet_from: TimeOfDay | None = None
    quiet_until: TimeOfDay | None = None
    quiet_days: Annotated[tuple[Weekday, ...], Field(max_length=7)] = ALL_DAYS
    quiet_through: Annotated[Severity | None, Field(description="The least severe that breaks through.")] = (
        Severity.CRITICAL
    )
    enabled: bool = True


def list_receivers(session: Session, scope: Scope, paging: Paging) -> Found[Receiver]:
    """Those of the scope, by id."""
    return find(session, _kept(scope), [Receiver.id], paging)


def all_receivers(session: Session, scope: Scope) -> Sequence[Receiver]:
    """The same, all of them."""
    return list_receivers(session, scope, Paging(MOST_RECEIVERS)).rows


def get(session: Session, scope: Scope, receiver_id: str, *, to_edit: bool = False) -> Receiver:
    """NotFound outside the scope, too."""
    return get_one(session, _kept(scope).where(Receiver.id == receiver_id), "receiver", receiver_id, to_edit=to_edit)


def check_address(form: ReceiverForm, poster: Poster, server: MailServer | None) -> None:
    """Invalid where nothing can be sent there; Conflict where no mail server is set. Looks names up.

    One that is switched off needs no host that is there: or it could not be switched off when it matters.
    """
    if form.kind is Kind.EMAIL:
        if re.fullmatch(MAILBOX, form.address) is None:
            raise _wrong("address", "is not an e-mail address, such as desk@example.org", "mailbox")
        if server is None and form.enabled:
            raise Conflict("No mail server is set: ROOMLINK_SMTP_HOST and ROOMLINK_SMTP_FROM.", code="mail_not_set")
        return
    if re.fullmatch(r"[!-~]+", form.address) is None:
        raise _wrong("address", _SAYS["url"], "url")
    try:
        (poster.judge if form.enabled else parse)(form.address)
    except ValueError as error:
        raise _wrong("address", _SAYS[str(error)], str(error)) from None
    except Undelivered as error:
        raise _wrong("address", _SAYS[error.code], error.code, **error.values) from error


def create(
    session: Session, change: Change, scope: Scope, form: ReceiverForm, box: KeyBox
) -> tuple[Receiver, str | None]:
    """The receiver, and the webhook's secret, which is told now and never again. Conflict beyond MOST_RECEIVERS."""
    _check(session, scope, form)
    count = select(func.count()).select_from(Receiver).where(Receiver.deleted_at.is_(None))
    if (session.scalar(count) or 0) >= MOST_RECEIVERS:
        raise Conflict(f"There are {MOST_RECEIVERS} receivers already.", code="too_many_receivers", n=MOST_RECEIVERS)
    times = {"created_at": change.at, "since_at": change.at}
    receiver = Receiver(id=new_id("rcv"), version=1, **times, **form.model_dump(mode="json"))
    secret = _renew_secret(receiver, box) if form.kind is Kind.WEBHOOK else None
    session.add(receiver)
    session.flush()
    note(session, change, "receiver.create", receiver.id, **_said(form.model_dump(mode="json")))
    return receiver, secret


def edit(
    session: Session, change: Change, scope: Scope, receiver_id: str, version: int, form: ReceiverForm
) -> Receiver:
    """Replace what it is. Conflict for another kind; what waits is judged anew, and dropped where it is switched off."""
    receiver = get(session, scope, receiver_id, to_edit=True)
    before = _state(receiver)
    next_version(receiver, version)
    if receiver.kind != form.kind:
        raise Conflict("A receiver's kind stays; add another one.", code="receiver_kind")
    _check(session, scope, form, frozenset(receiver.rule_ids))
    if form.enabled and not receiver.enabled:
        receiver.since_at = change.at
    for field, value in form.model_dump(mode="json").items():
        setattr(receiver, field, value)
    session.flush()
    if form.enabled:
        look_again(session, receiver_id, change.at)
    else:
        drop_waiting(session, receiver_id, change.at)
    note(session, change, "receiver.edit", receiver_id, before=_said(before), **_said(form.model_dump(mode="json")))
    return receiver


def delete(session: Session, change: Change, scope: Scope, receiver_id: str, version: int) -> None:
    """Drops what waits or was given up. Address and secrets are forgotten, name and branch stay with what it was told."""
    receiver = get(session, scope, receiver_id, to_edit=True)
    next_version(receiver, version)
    before = _said(_state(receiver))
    receiver.deleted_at, receiver.enabled, receiver.address = change.at, False, ""
    receiver.deleted_from = receiver.organisation_id
    receiver.organisation_id = receiver.secret_encrypted = receiver.previous_secret_encrypted = None
    session.flush()
    drop_waiting(session, receiver_id, change.at, State.DEAD)
    note(session, change, "receiver.delete", receiver_id, before=before, name=receiver.name)


def renew_secret(session: Session, change: Change, scope: Scope, receiver_id: str, box: KeyBox) -> str:
    """A new secret, told now and never again; the one before signs beside it for BOTH_SIGN_FOR. Conflict for an e-mail one."""
    receiver = get(session, scope, receiver_id, to_edit=True)
    if receiver.kind != Kind.WEBHOOK:
        raise Conflict("Only a webhook has a secret.", code="no_secret")
    receiver.previous_secret_encrypted = receiver.secret_encrypted
    receiver.previous_until_at = change.at + BOTH_SIGN_FOR
    receiver.version += 1
    secret = _renew_secret(receiver, box)
    session.flush()
    note(session, change, "receiver.renew_secret", receiver_id, name=receiver.name)
    return secret


def listeners(session: Session) -> list[Listener]:
    """All that are switched on, as they decide what they are told."""
    found = session.scalars(
        select(Receiver).where(Receiver.enabled, Receiver.deleted_at.is_(None)).order_by(Receiver.id)
    )
    receivers = found.all()
    paths = organisations.paths(session, {each.organisation_id for each in receivers if each.organisation_id})
    return [listener(each, paths) for each in receivers]


def listener(of: Receiver, paths: Mapping[str, str]) -> Listener:
    """One of them; `paths` are those of the organisations."""
    return Listener(
        of.id, paths[of.organisation_id] if of.organisation_id else "/", Severity(of.severity), frozenset(of.rule_ids),
        frozenset(What(each) for each in of.what), timedelta(minutes=of.after_minutes), of.since_at, ZoneInfo(of.timezone),
        _quiet(of.timezone, of.quiet_from, of.quiet_until, of.quiet_days),
        Severity(of.quiet_through) if of.quiet_through else None,
    )  # fmt: skip


def shown_address(kind: str, address: str) -> str:
    """As much of it as may stand in the audit: a webhook's host, a mailbox' domain."""
    if kind == Kind.WEBHOOK:
        return urlsplit(address).hostname or ""
    return f"…@{address.rpartition('@')[2]}" if address else ""


_SAYS: Final = {
    "url": "is not an address such as https://example.org/alarms",
    "url_password": "must hold no user and no password",
    "url_fragment": "must not hold a #",
    "host_unknown": "its host cannot be found",
    "private_address": "its host leads to an address that is not public; ROOMLINK_WEBHOOK_ALLOW lists those that may",
    "https_needed": "must begin with https://; without TLS only to what ROOMLINK_WEBHOOK_ALLOW lists",
}


def _kept(scope: Scope) -> Select[Receiver]:
    return select(Receiver).where(Receiver.deleted_at.is_(None), within(scope))


def _renew_secret(receiver: Receiver, box: KeyBox) -> str:
    box.make()
    secret = new_secret()
    receiver.secret_encrypted = box.encrypt(secret.encode(), receiver.id)
    return secret


def _check(session: Session, scope: Scope, form: ReceiverForm, kept: frozenset[str] = frozenset()) -> None:
    """`kept` are rules that it names already: one that was deleted since stays, or the receiver would be told of all."""
    if form.organisation_id is not None:
        organisations.check_known(session, scope, [form.organisation_id], "body.organisation_id")
    elif scope.path != "/":
        raise _wrong("organisation_id", "must be in your branch", "out_of_scope")
    if What.ESCALATED in form.what:
        raise _wrong("what", "is told to those only who are told after a while", "what_escalated")
    known = {rule.id for rule in ruling.all_rules(session, scope)} if form.rule_ids else set()
    unknown = sorted(set(form.rule_ids) - known - kept)
    if unknown:
        raise _wrong("rule_ids", f"there is no rule {unknown[0]}", "no_such_rule", id=unknown[0])
    if (form.quiet_from is None) != (form.quiet_until is None):
        raise _wrong("quiet_until", "say both, from and until, or neither", "quiet_both")
    quiet = _quiet(form.timezone, form.quiet_from, form.quiet_until, form.quiet_days)
    if quiet is not None and quiet.is_always:
        raise _wrong("quiet_until", "would be quiet always; switch the receiver off instead", "quiet_always")


def _quiet(zone: str, start: str | None, end: str | None, days: Sequence[str]) -> Quiet | None:
    if start is None or end is None or not days:
        return None
    return Quiet(ZoneInfo(zone), time.fromisoformat(start), time.fromisoformat(end), frozenset(map(Weekday, days)))


def _state(receiver: Receiver) -> dict[str, Any]:
    return {name: getattr(receiver, name) for name in ReceiverForm.model_fields}


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    """For the audit."""
    return {**values, "address": shown_address(values["kind"], values["address"])}


def _wrong(field: str, says: str, code: str, **values: object) -> Invalid:
    return Invalid("The receiver is not right.", [Fault(f"body.{field}", says, code, values)], code="receiver_wrong")
