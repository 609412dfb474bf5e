"""The quarantine, for people: listed, looked at, discarded. Ingest puts things in.

Nothing leaves it: a decision is written beside the bytes, with who and why.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.clock import from_us, to_us
from cloud.errors import Conflict, NotFound
from cloud.forms import Form, Sentence
from cloud.ingest import replay as replaying
from cloud.ingest.models import Quarantine
from cloud.paging import Found, Paging, find
from cloud.scope import Scope
from cloud.terminals import service as terminals

HOUR_US: Final = 3_600_000_000


class State(StrEnum):
    """What was decided about it."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class DiscardForm(Form):
    """Why it is of no use."""

    reason: Sentence


@dataclass(frozen=True)
class Held:
    """One thing in quarantine; `content` is its beginning, never shown but as text that cannot act."""

    id: int
    terminal_id: str
    stream: str | None
    number: int | None
    kind: str
    reason: str
    content: bytes
    received_at: datetime
    state: State
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None


def list_held(session: Session, scope: Scope, paging: Paging, *, state: State = State.OPEN) -> Found[Held]:
    """Newest first."""
    query = select(Quarantine).where(Quarantine.state == state, _within(scope))
    found = find(session, query, [Quarantine.id], paging, newest_first=True)
    return Found([_held(row) for row in found.rows], found.next_cursor)


def count_open(session: Session, scope: Scope) -> int:
    """How much waits for a decision."""
    return session.scalar(select(func.count()).where(Quarantine.state == State.OPEN, _within(scope))) or 0


def by_hour(session: Session, terminal_id: str, until: datetime | None, limit: int) -> list[tuple[datetime, int]]:
    """How much of one terminal's came in during which UTC hour, newest first: for its timeline."""
    came = select((Quarantine.received_at // HOUR_US).label("hour")).where(Quarantine.terminal_id == terminal_id)
    if until is not None:
        came = came.where(Quarantine.received_at < to_us(until))
    hours = came.subquery()
    query = select(hours.c.hour, func.count()).group_by(hours.c.hour).order_by(hours.c.hour.desc()).limit(limit)
    return [(from_us(hour * HOUR_US), count) for hour, count in session.execute(query)]


def get(session: Session, scope: Scope, held_id: int) -> Held:
    """NotFound outside the scope, too."""
    return _held(_row(session, scope, held_id))


def discard(session: Session, change: Change, scope: Scope, held_id: int, reason: str) -> Held:
    """It is of no use. Conflict when something was decided already."""
    row = _row(session, scope, held_id)
    if row.state != State.OPEN:
        raise Conflict("It was decided already.", code="decided")
    row.state, row.decided_by, row.decision_reason = State.DISCARDED, change.who, reason
    row.decided_at = to_us(change.at)
    session.flush()
    note(session, change, "quarantine.discard", str(held_id), reason=reason, terminal_id=row.terminal_id)
    return _held(row)


def replay(session: Session, change: Change, scope: Scope, held_id: int) -> Held:
    """Try again to understand it, after a fix. Conflict, and nothing changes, when it still cannot be."""
    _row(session, scope, held_id)
    return _held(replaying.replay(session, change, held_id))


def _within(scope: Scope) -> ColumnElement[bool]:
    """What came from a terminal of the scope; from a stranger, in the scope of everything only."""
    return terminals.within(scope, Quarantine.terminal_id)


def _row(session: Session, scope: Scope, held_id: int) -> Quarantine:
    row = session.scalar(select(Quarantine).where(Quarantine.id == held_id, _within(scope)))
    if row is None:
        raise NotFound(f"There is nothing {held_id} in quarantine.", code="not_held", id=str(held_id))
    return row


def _held(row: Quarantine) -> Held:
    return Held(
        row.id, row.terminal_id, row.stream, row.number, row.kind, row.reason, bytes(row.bytes),
        from_us(row.received_at), State(row.state), row.decided_by,
        from_us(row.decided_at) if row.decided_at else None, row.decision_reason,
    )  # fmt: skip
