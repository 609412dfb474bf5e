"""The follower: reads the alarms' events on from its own cursor, and makes of them what each receiver is to be told.

Promises that the cursor and what was made are one transaction, so that nothing is forgotten or told twice over a restart; and
that escalation follows how alarms stand, not what was seen happening.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from cloud.alarms import events
from cloud.alarms.events import EventKind
from cloud.alarms.standing import Standing, standings, wanting_a_hand
from cloud.bulk import Bulk, Row
from cloud.clock import to_us
from cloud.database import new_id, transaction
from cloud.errors import Unavailable
from cloud.notifications import metrics, receivers
from cloud.notifications.deciding import Adding, Listener, State, Told, What, is_escalated, is_told, on_event
from cloud.notifications.models import NotifierProgress

BATCH: Final = 200
LOOK_EVERY: Final = timedelta(seconds=10)
"""How often is looked for alarms that nobody has acknowledged: steps are minutes."""
MOST_WAITING: Final = 1_000
"""Notifications that wait for one receiver; beyond it new ones are dropped, and shown as such."""

_COLUMNS: Final = (
    "receiver_id", "alarm_id", "what", "event_id", "at", "state", "due_at", "held", "asked", "attempts", "message_id",
    "settled_at", "why",
)  # fmt: skip

_SLEEP: Final = frozenset({EventKind.SNOOZED, EventKind.WOKEN})
_LOOK_AGAIN: Final = (
    "UPDATE notifications SET due_at = ? WHERE alarm_id = ? AND state = 'waiting' AND held AND attempts = 0"
)
"""How long the alarm sleeps is another time now: what was held back is judged anew."""
_MAKE_PLACE: Final = (
    "DELETE FROM notifications WHERE receiver_id = ? AND alarm_id = ? AND what = 'escalated' AND state = 'dropped'"
)
"""The unique index has one place for an escalation, and one that was dropped told nobody anything."""


class Follower:
    """Its `turn` is one step; called by one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looked_at: datetime | None = None

    def turn(self, now: datetime) -> bool:
        """Whether there is more to read at once. Without news it only reads."""
        looks = self._looked_at is None or not timedelta() <= now - self._looked_at < LOOK_EVERY
        with transaction(self._engine, read_only=True) as session:
            cursor = _cursor(session)
            if not events.after(session, cursor, 1) and not (looks and _escalations(session, now)):
                self._looked_at = now if looks else self._looked_at
                return False
        with transaction(self._engine) as session:
            read = _follow(session, cursor)
            happened = _escalate(session, now) if looks else []
            events.append(Bulk.of(session), happened)
        self._looked_at = now if looks else self._looked_at
        return read == BATCH


def told_of(bulk: Bulk, alarm_ids: Iterable[str]) -> Mapping[str, list[Told]]:
    """What receivers know of these alarms and are still to be told, by alarm, in order.

    Without what was dropped; of what was settled alike the newest stands for all, because an alarm that comes and goes has many.
    """
    rows = bulk.rows_in(
        "SELECT alarm_id, MAX(id), receiver_id, what, state, MAX(attempts), held, asked FROM notifications "
        "WHERE state <> 'dropped' AND alarm_id IN",
        sorted(set(alarm_ids)),
        tail=" GROUP BY alarm_id, receiver_id, what, state, held, asked, "
        "CASE WHEN state IN ('waiting', 'sending') THEN id ELSE 0 END",
    )
    found: dict[str, list[Told]] = {}
    for alarm_id, number, receiver_id, what, state, attempts, held, asked in sorted(rows, key=lambda row: row[1]):
        told = Told(number, receiver_id, What(what), State(state), attempts, bool(held), bool(asked))
        found.setdefault(alarm_id, []).append(told)
    return found


def drop(bulk: Bulk, numbers: Iterable[int], why: str, now: datetime) -> None:
    """Those that wait; what is under way goes on."""
    rows = [(State.DROPPED.value, to_us(now), f'{{"code":"{why}"}}', number, State.WAITING.value) for number in numbers]
    dropped = bulk.run_many(
        "UPDATE notifications SET state = ?, settled_at = ?, why = ? WHERE id = ? AND state = ?", rows
    )
    metrics.OUTCOMES.labels("dropped").inc(max(dropped, 0))


def _cursor(session: Session) -> int:
    return session.scalars(select(NotifierProgress.event_id)).one()


def _follow(session: Session, cursor: int) -> int:
    """Deal with the next events; how many they were."""
    bulk = Bulk.of(session)
    happened = events.after(session, cursor, BATCH)
    if not happened:
        return 0
    alarms = standings(session, {each.alarm_id for each in happened})
    listeners = receivers.listeners(session)
    for each in happened:
        alarm, kind = alarms.get(each.alarm_id), EventKind(each.kind)
        if kind in _SLEEP:
            bulk.run(_LOOK_AGAIN, (to_us(each.at), each.alarm_id))
        if alarm is not None and listeners and is_told(kind):
            told = told_of(bulk, [alarm.id]).get(alarm.id, [])
            plan = on_event(kind, each.id, each.at, alarm, listeners, told)
            drop(bulk, plan.dropping, "came_back", each.at)
            _add(bulk, alarm.id, plan.adding)
    moved = bulk.run("UPDATE notifier_progress SET event_id = ? WHERE event_id = ?", (happened[-1].id, cursor))
    if moved != 1:
        raise Unavailable("Another process tells of the alarms.", retry_after_s=2, code="told_elsewhere")
    return len(happened)


def _add(bulk: Bulk, alarm_id: str, adding: Sequence[Adding]) -> int:
    return bulk.insert_new("notifications", _COLUMNS, [_row(bulk, alarm_id, each) for each in adding])


def _row(bulk: Bulk, alarm_id: str, adding: Adding) -> Row:
    state, settled_at, why = (
        (State.DROPPED, to_us(adding.at), '{"code":"too_many"}')
        if _is_full(bulk, adding.receiver_id)
        else (State.WAITING, None, None)
    )
    return (
        adding.receiver_id, alarm_id, adding.what.value, adding.event_id, to_us(adding.at), state.value,
        to_us(adding.due_at), False, False, 0, new_id("msg"), settled_at, why,
    )  # fmt: skip


def _is_full(bulk: Bulk, receiver_id: str) -> bool:
    query = "SELECT COUNT(*) FROM notifications WHERE receiver_id = ? AND state = 'waiting'"
    ((waiting,),) = bulk.rows(query, (receiver_id,))
    return bool(waiting >= MOST_WAITING)


def _escalations(session: Session, now: datetime) -> list[tuple[Standing, list[Listener]]]:
    """The alarms that some receiver is to be told of now, because nobody has acknowledged them."""
    stepped = [each for each in receivers.listeners(session) if each.after]
    if not stepped:
        return []
    alarms = standings(session, wanting_a_hand(session))
    told = told_of(Bulk.of(session), alarms)
    found = [
        (alarm, [each for each in stepped if is_escalated(each, alarm, told.get(alarm.id, []), now)])
        for alarm in alarms.values()
    ]
    return [(alarm, due) for alarm, due in found if due]


def _escalate(session: Session, now: datetime) -> list[Row]:
    """Make the notifications; the events to append."""
    bulk = Bulk.of(session)
    happened = []
    for alarm, due in _escalations(session, now):
        dropped = [(each.id, alarm.id) for each in due if not _is_full(bulk, each.id)]
        bulk.run_many(_MAKE_PLACE, dropped)
        added = _add(bulk, alarm.id, [Adding(each.id, What.ESCALATED, 0, now, now) for each in due])
        if added:
            minutes = min(each.after for each in due) // timedelta(minutes=1)
            happened.append(events.event(alarm.id, to_us(now), EventKind.ESCALATED, receivers=added, minutes=minutes))
    return happened
