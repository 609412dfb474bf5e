"""What happened to alarms, append-only. The notifier and every other follower reads it by cursor.

Promises that ids rise in the order of commits: on PostgreSQL who appends has a lock until its commit, so append last.
"""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.alarms.models import AlarmEvent
from cloud.bulk import Bulk, Row

EVENTS_LOCK: Final = 0x616C726D
"""PostgreSQL advisory lock ("alrm")."""


class EventKind(StrEnum):
    """What can happen. `reopened`: it came back soon after it had cleared, and is the same alarm again."""

    RAISED = "raised"
    REOPENED = "reopened"
    GREW = "grew"
    GROUPED = "grouped"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    COMMENTED = "commented"
    SNOOZED = "snoozed"
    WOKEN = "woken"
    ESCALATED = "escalated"


def event(alarm_id: str, at: int, kind: EventKind, who: str | None = None, **detail: Any) -> Row:
    """A row for `append`; `at` in microseconds."""
    said: Mapping[str, Any] = {name: value for name, value in detail.items() if value is not None}
    return alarm_id, at, kind.value, who, json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def append(bulk: Bulk, rows: Sequence[Row]) -> None:
    """At the end of the transaction."""
    if not rows:
        return
    if bulk.is_postgresql:
        bulk.rows("SELECT pg_advisory_xact_lock(?)", (EVENTS_LOCK,))
    bulk.run_many("INSERT INTO alarm_events (alarm_id, at, kind, who, detail) VALUES (?, ?, ?, ?, ?)", rows)


def after(session: Session, cursor: int, limit: int = 200) -> Sequence[AlarmEvent]:
    """The next events after the id `cursor`, in order: for a follower that keeps the id of the last one it has dealt with."""
    query = select(AlarmEvent).where(AlarmEvent.id > cursor).order_by(AlarmEvent.id).limit(limit)
    return session.scalars(query).all()
