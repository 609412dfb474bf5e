"""Takes what is due for a receiver, judges it, and makes one message of it; and writes what became of one.

Promises that a message that is claimed is another's only when its claim has run out, that what is sent again is the same message
under the same id, and that about one alarm a receiver is told in order. Within the caller's transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import Session

from cloud.alarms.standing import standings
from cloud.bulk import Bulk
from cloud.notifications import metrics, texts
from cloud.notifications.carrying import Letter
from cloud.notifications.deciding import Listener, State, Told, What, judge
from cloud.notifications.failures import Undelivered, pause
from cloud.notifications.following import drop, told_of
from cloud.notifications.models import Notification, Receiver
from cloud.notifications.receivers import Kind, listener
from cloud.notifications.texts import Item, Tongue
from cloud.organisations import service as organisations

READ_AT_ONCE: Final = 200
IN_ONE_MESSAGE: Final = 50
CLAIM_LASTS: Final = timedelta(minutes=5)
"""Longer than any attempt; after it, what a process that died had claimed is sent again."""


@dataclass(frozen=True, slots=True)
class Due:
    """A receiver with something due. `failing`: the last attempt failed."""

    receiver_id: str
    kind: Kind
    failing: bool


def due_receivers(session: Session, now: datetime) -> list[Due]:
    """Those whose last attempt did not fail first; then by what is due longest."""
    due = func.min(Notification.due_at)
    waiting = (
        select(Notification.receiver_id, due)
        .where(Notification.state == State.WAITING, Notification.due_at <= now)
        .group_by(Notification.receiver_id)
        .order_by(due)
    )
    found = [_due(session.get_one(Receiver, receiver_id)) for receiver_id, _ in session.execute(waiting)]
    return sorted(found, key=lambda each: each.failing)


def has_run_out(session: Session, now: datetime) -> bool:
    """Whether a claim is over, whose process must have died."""
    query = select(Notification.id).where(Notification.state == State.SENDING, Notification.claimed_until_at < now)
    return session.scalar(query.limit(1)) is not None


def release(session: Session, now: datetime) -> None:
    """Let those be sent again."""
    session.execute(
        update(Notification)
        .where(Notification.state == State.SENDING, Notification.claimed_until_at < now)
        .values(state=State.WAITING, due_at=now, claimed_until_at=None)
    )


def claim(session: Session, receiver_id: str, public_url: str | None, now: datetime) -> Letter | None:
    """The next message of a receiver, claimed; None where nothing that is due is to be told now."""
    receiver = session.get_one(Receiver, receiver_id)
    waiting = select(Notification).where(Notification.receiver_id == receiver_id, Notification.state == State.WAITING)
    waiting = waiting.order_by(Notification.id).with_for_update(skip_locked=True)  # of two processes one has a row
    due, again = waiting.where(Notification.due_at <= now), (Notification.attempts > 0) | Notification.asked
    first = session.scalars(due.where(again).limit(1)).first()
    if first is not None:
        chosen = list(session.scalars(waiting.where(Notification.message_id == first.message_id)))
    else:
        fresh = due.where(~again, Notification.alarm_id.not_in(_tried(receiver_id))).limit(READ_AT_ONCE)
        chosen = _worth_telling(session, receiver, session.scalars(fresh).all(), now)[:IN_ONE_MESSAGE]
    return _letter(session, receiver, chosen, public_url, now) if chosen else None


def settle(session: Session, letter: Letter, failed: Undelivered | None, now: datetime) -> None:
    """Write the outcome of an attempt."""
    query = select(Notification).where(
        Notification.message_id == letter.message_id, Notification.state == State.SENDING
    )  # fmt: skip
    rows = session.scalars(query).all()
    note_outcome(session, letter.receiver_id, failed, now)
    if not rows:
        return
    wait = None if failed is None or failed.final else pause(rows[0].attempts, failed.retry_after)
    state = State.DELIVERED if failed is None else State.DEAD if wait is None else State.WAITING
    if state is State.DEAD and session.get_one(Receiver, letter.receiver_id).deleted_at is not None:
        state = State.DROPPED  # nobody can send it again
    for row in rows:
        row.state, row.claimed_until_at, row.why = state, None, failed.plain() if failed else None
        row.due_at = row.due_at if wait is None else now + wait
        row.settled_at = None if state is State.WAITING else now
    metrics.OUTCOMES.labels("retried" if state is State.WAITING else state.value).inc()


def note_outcome(session: Session, receiver_id: str, failed: Undelivered | None, now: datetime) -> None:
    """At the receiver: when it last went well, and when and why not."""
    values = {"succeeded_at": now} if failed is None else {"failed_at": now, "failure": failed.plain()}
    session.execute(update(Receiver).where(Receiver.id == receiver_id).values(**values))


def _worth_telling(
    session: Session, receiver: Receiver, rows: Sequence[Notification], now: datetime
) -> list[Notification]:  # fmt: skip
    """What is told now; drops what is not worth it any more, and puts off what is held back."""
    bulk, heard = Bulk.of(session), _listener(session, receiver)
    alarm_ids = {each.alarm_id for each in rows}
    alarms, told = standings(session, alarm_ids), told_of(bulk, alarm_ids)
    chosen = []
    for row in rows:
        verdict = judge(_told(row), alarms.get(row.alarm_id), heard, told.get(row.alarm_id, []), now)
        if verdict.dropped is not None:
            drop(bulk, [row.id], verdict.dropped, now)
        elif verdict.until is not None:
            row.held, row.due_at = True, verdict.until
        else:
            chosen.append(row)
    session.flush()
    return _once_each(bulk, chosen, now)


def _once_each(bulk: Bulk, rows: Sequence[Notification], now: datetime) -> list[Notification]:
    """An alarm is told once in a message, which says how it stands: by its end, or that it escalated, or by its beginning."""
    kept: dict[str, Notification] = {}
    for row in rows:
        if row.alarm_id not in kept or row.what in {What.CLEARED, What.ESCALATED}:
            kept[row.alarm_id] = row
    drop(bulk, (each.id for each in rows if each is not kept[each.alarm_id]), "told_together", now)
    return list(kept.values())


def _letter(
    session: Session, receiver: Receiver, chosen: Sequence[Notification], public_url: str | None, now: datetime
) -> Letter | None:
    if not receiver.enabled:
        drop(Bulk.of(session), (each.id for each in chosen), "receiver_off", now)
        return None
    alarms = standings(session, {each.alarm_id for each in chosen})
    kept = [each for each in chosen if each.alarm_id in alarms]
    drop(Bulk.of(session), (each.id for each in chosen if each.alarm_id not in alarms), "alarm_gone", now)
    if not kept:
        return None
    message_id = kept[0].message_id
    for row in kept:
        row.state, row.message_id, row.attempts, row.held = State.SENDING, message_id, row.attempts + 1, False
        row.claimed_until_at = now + CLAIM_LASTS
    session.flush()
    items = [Item(What(each.what), each.at, alarms[each.alarm_id]) for each in kept]
    tongue = Tongue.of(receiver.id, receiver.name, receiver.language, receiver.timezone, public_url)
    return addressed(
        receiver, message_id, texts.write(tongue, items, texts.names_of(session, alarms.values()), now), now
    )


def _due(receiver: Receiver) -> Due:
    failing = receiver.failed_at is not None and receiver.failed_at > (receiver.succeeded_at or receiver.created_at)
    return Due(receiver.id, Kind(receiver.kind), failing)


def addressed(receiver: Receiver, message_id: str, written: texts.Written, now: datetime) -> Letter:
    """A message to a receiver; for a day after its secret was changed with both."""
    both = receiver.previous_until_at is not None and receiver.previous_until_at > now
    keys: Iterable[str | None] = (receiver.secret_encrypted, receiver.previous_secret_encrypted if both else None)
    return Letter(
        receiver.id, message_id, Kind(receiver.kind), receiver.address, written, tuple(key for key in keys if key)
    )  # fmt: skip


def _listener(session: Session, receiver: Receiver) -> Listener | None:
    if not receiver.enabled or receiver.deleted_at is not None:
        return None
    paths = organisations.paths(session, [receiver.organisation_id] if receiver.organisation_id else [])
    return listener(receiver, paths)


def _tried(receiver_id: str) -> Select[str]:
    """The alarms of which something is to be tried again later, or is under way: what is new of them is told after it."""
    return select(Notification.alarm_id).where(
        Notification.receiver_id == receiver_id,
        (Notification.state == State.SENDING) | ((Notification.state == State.WAITING) & (Notification.attempts > 0)),
    )


def _told(row: Notification) -> Told:
    return Told(row.id, row.receiver_id, What(row.what), State(row.state), row.attempts, row.held, row.asked)
