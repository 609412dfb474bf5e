"""Notifications for people and programs: listed, told of an alarm, sent again, counted, let go of.

Promises that nobody sees one of a receiver beyond the own scope, but that there is one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, and_, case, delete, exists, func, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from cloud.alarms.standing import is_active
from cloud.audit.service import Change, note
from cloud.errors import Conflict
from cloud.notifications.deciding import BEGINNINGS, State
from cloud.notifications.models import Notification, Receiver
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging, find, get_one
from cloud.scope import Scope

KEPT: Final = timedelta(days=30)
"""So long what was delivered or dropped is kept; what a receiver knows of an alarm, so long after it cleared."""
DEAD_KEPT: Final = timedelta(days=90)
"""So long a dead letter waits for somebody."""
FORGOTTEN_AT_ONCE: Final = 1_000
SHOWN_OF_ALARM: Final = 100


@dataclass(frozen=True)
class Counts:
    """How many wait, how long the one that is late longest is late already, and how many were given up."""

    waiting: int
    overdue: timedelta
    dead: int


@dataclass(frozen=True)
class ToldOf:
    """A notification about an alarm; `name` is None for a receiver beyond the scope."""

    notification: Notification
    name: str | None


def list_notifications(
    session: Session,
    scope: Scope,
    paging: Paging,
    state: State | None = None,
    receiver_id: str | None = None,
    alarm_id: str | None = None,
) -> Found[Notification]:
    """Newest first."""
    query = select(Notification).join(Receiver, Receiver.id == Notification.receiver_id).where(within(scope))
    for column, value in (
        (Notification.state, state), (Notification.receiver_id, receiver_id), (Notification.alarm_id, alarm_id),
    ):  # fmt: skip
        if value is not None:
            query = query.where(column == value)
    return find(session, query, [Notification.id], paging, newest_first=True)


def of_alarm(session: Session, scope: Scope, alarm_id: str) -> Sequence[ToldOf]:
    """To whom an alarm was told and when, or is to be: newest first, the last SHOWN_OF_ALARM, but what was dropped."""
    query = (
        select(Notification, case((within(scope), Receiver.name), else_=None))
        .join(Receiver, Receiver.id == Notification.receiver_id)
        .where(Notification.alarm_id == alarm_id, Notification.state != State.DROPPED)
    )
    rows = session.execute(query.order_by(Notification.id.desc()).limit(SHOWN_OF_ALARM))
    return [ToldOf(notification, name) for notification, name in rows]


def names(session: Session, receiver_ids: set[str]) -> Mapping[str, str]:
    """What receivers are called, deleted ones among them."""
    query = select(Receiver.id, Receiver.name).where(Receiver.id.in_(receiver_ids))
    return dict(session.execute(query).all())


def resend(session: Session, change: Change, scope: Scope, notification_id: int) -> Notification:
    """Send a dead letter again, with all that is in the same message. Conflict when it is none, or its receiver is off."""
    query = select(Notification).join(Receiver, Receiver.id == Notification.receiver_id)
    query = query.where(Notification.id == notification_id, within(scope))
    one = get_one(session, query, "notification", str(notification_id))
    receiver = session.get_one(Receiver, one.receiver_id)
    if one.state != State.DEAD:
        raise Conflict("It was not given up.", code="not_dead")
    if not receiver.enabled:
        raise Conflict("Its receiver is switched off.", code="receiver_off")
    session.execute(
        update(Notification)
        .where(Notification.message_id == one.message_id, Notification.state == State.DEAD)
        .values(state=State.WAITING, due_at=change.at, asked=True, held=False, attempts=0, settled_at=None)
    )
    session.refresh(one)
    note(session, change, "notification.resend", str(notification_id), receiver=receiver.name, alarm=one.alarm_id)
    return one


def counts(session: Session, now: datetime) -> Counts:
    """Over everything, for those who watch the service."""
    unsettled = Notification.state.in_((State.WAITING, State.SENDING))
    waiting, due_at = session.execute(
        select(func.count(), func.min(Notification.due_at)).where(unsettled)
    ).one()  # fmt: skip
    dead = session.scalar(select(func.count()).select_from(Notification).where(Notification.state == State.DEAD))
    return Counts(waiting, max(now - due_at, timedelta()) if due_at else timedelta(), dead or 0)


def count_dead(session: Session, scope: Scope) -> int:
    """The dead letters of a scope."""
    query = select(func.count()).select_from(Notification).join(Receiver, Receiver.id == Notification.receiver_id)
    return session.scalar(query.where(Notification.state == State.DEAD, within(scope))) or 0


def sweep(session: Session, now: datetime) -> None:
    """Let go of what was settled long ago, a part at a time, but of what a receiver knows of an alarm that is not over."""
    over = (
        (State.DELIVERED, now - KEPT), (State.DROPPED, now - KEPT), (State.DEAD, now - DEAD_KEPT),
    )  # fmt: skip
    for state, before in over:
        old = select(Notification.id).where(Notification.state == state, Notification.settled_at < before)
        if state is State.DELIVERED:
            old = old.where(~_tells_what_it_knows(now))
        session.execute(delete(Notification).where(Notification.id.in_(old.limit(FORGOTTEN_AT_ONCE))))


def _tells_what_it_knows(now: datetime) -> ColumnElement[bool]:
    """The newest of each beginning that a receiver was told: at most three of a receiver and alarm."""
    newer = aliased(Notification)
    same = (
        getattr(newer, each) == getattr(Notification, each) for each in ("receiver_id", "alarm_id", "what", "state")
    )
    return and_(
        Notification.what.in_(BEGINNINGS),
        is_active(Notification.alarm_id, now - KEPT),
        ~exists().where(*same, newer.id > Notification.id),
    )


def drop_waiting(session: Session, receiver_id: str, now: datetime, *more: State) -> None:
    """Of a receiver that is switched off; what is in `more` states, too, where it is taken away."""
    session.execute(
        update(Notification)
        .where(Notification.receiver_id == receiver_id, Notification.state.in_((State.WAITING, *more)))
        .values(state=State.DROPPED, settled_at=now, why={"code": "receiver_off"})
    )


def look_again(session: Session, receiver_id: str, now: datetime) -> None:
    """Judge anew what was held back: its quiet hours may be others."""
    session.execute(
        update(Notification)
        .where(Notification.receiver_id == receiver_id, Notification.state == State.WAITING, Notification.held)
        .values(due_at=now)
    )


def within(scope: Scope) -> ColumnElement[bool]:
    """The condition that a receiver is of the scope, or was until it was deleted; those of the whole tree are of no branch."""
    if scope.path == "/":
        return true()
    return or_(*(organisations.within(scope, each) for each in (Receiver.organisation_id, Receiver.deleted_from)))
