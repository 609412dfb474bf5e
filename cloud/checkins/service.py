"""Check-ins for the eyes of operators: facts with the names that belong to them. Ingest writes the facts.

Rows are found by their rising id, so that "what came since" and "today" cost what they show, not what there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.clock import from_us, to_us
from cloud.ingest.models import CheckIn
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.paging import Found, Paging, find
from cloud.rooms import service as rooms
from cloud.scope import EVERYWHERE, Scope


@dataclass(frozen=True)
class Seen:
    """One check-in with its names. `level` is how far its evidence reaches: 3 in the ledger, 4 linked."""

    id: int
    at: datetime
    uncertainty_us: int
    room: str
    room_id: str
    terminal_id: str
    member_id: str | None
    name: str
    card: str
    activity: str
    activity_en: str
    occurrence_id: str | None
    method: str
    outcome: str
    reason: str
    waits: bool
    flags: str
    level: int


def latest(session: Session, scope: Scope, limit: int = 12) -> list[Seen]:
    """The newest to arrive, newest first."""
    query = select(CheckIn).where(*_within(scope)).order_by(CheckIn.id.desc()).limit(limit)
    return _with_names(session, session.scalars(query).all())


def list_check_ins(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    terminal_id: str | None = None,
    room_id: str | None = None,
    occurrence_id: str | None = None,
    member_id: str | None = None,
    since_at: datetime | None = None,
) -> Found[CheckIn]:
    """The facts themselves, in the order of their arrival; only those of what is given."""
    wanted = {
        CheckIn.terminal_id: terminal_id,
        CheckIn.room_id: room_id,
        CheckIn.occurrence_id: occurrence_id,
        CheckIn.member_id: member_id,
    }
    query = select(CheckIn).where(*_within(scope), *(column == it for column, it in wanted.items() if it is not None))
    if since_at is not None:
        query = query.where(CheckIn.received_at >= to_us(since_at))
    return find(session, query, [CheckIn.id], paging)


def newest_id(session: Session) -> int:
    """The id of the last to arrive; 0 before the first."""
    return session.scalar(select(func.max(CheckIn.id))) or 0


def of_occurrence(session: Session, scope: Scope, occurrence_id: str, limit: int = 50) -> list[Seen]:
    """Who came to it, newest first."""
    query = (
        select(CheckIn)
        .where(CheckIn.occurrence_id == occurrence_id, *_within(scope))
        .order_by(CheckIn.effective_at.desc(), CheckIn.id.desc())
        .limit(limit)
    )
    return _with_names(session, session.scalars(query).all())


def of_member(session: Session, scope: Scope, member_id: str, limit: int = 50) -> list[Seen]:
    """What a member's cards did, newest first."""
    query = (
        select(CheckIn)
        .where(CheckIn.member_id == member_id, *_within(scope))
        .order_by(CheckIn.effective_at.desc(), CheckIn.id.desc())
        .limit(limit)
    )
    return _with_names(session, session.scalars(query).all())


@dataclass(frozen=True)
class Tally:
    """What came to an occurrence beside its attendance."""

    guests: int
    waiting: int
    refused: int
    by_five_minutes: tuple[tuple[datetime, int], ...]


def tally(session: Session, scope: Scope, occurrence_id: str) -> Tally:
    """Guests, accepted cards that are not linked yet, refusals, and arrivals per five minutes."""
    of_it = (CheckIn.occurrence_id == occurrence_id, *_within(scope))
    kinds = select(CheckIn.method, CheckIn.outcome, CheckIn.waits, func.count()).where(*of_it)
    rows = session.execute(kinds.group_by(CheckIn.method, CheckIn.outcome, CheckIn.waits)).all()
    five = 300_000_000
    slot = CheckIn.effective_at - CheckIn.effective_at % five
    arrivals = select(slot, func.count()).where(*of_it, CheckIn.outcome == "accepted").group_by(slot).order_by(slot)
    return Tally(
        guests=sum(n for method, outcome, _, n in rows if method == "guest" and outcome != "refused"),
        waiting=sum(n for _, outcome, waits, n in rows if waits and outcome == "accepted"),
        refused=sum(n for _, outcome, _, n in rows if outcome == "refused"),
        by_five_minutes=tuple((from_us(at), n) for at, n in session.execute(arrivals)),
    )


def count_received(session: Session, scope: Scope, from_at: datetime, until_at: datetime) -> int:
    """Accepted, visits and repeats that arrived in [from_at, until_at), whatever the order of their ids."""
    arrived = (CheckIn.received_at >= to_us(from_at), CheckIn.received_at < to_us(until_at))
    query = select(func.count()).where(*arrived, CheckIn.outcome != "refused", *_within(scope))
    return session.scalar(query) or 0


def _within(scope: Scope) -> list[ColumnElement[bool]]:
    """Without a room a fact has no organisation: it is in the scope of everything only."""
    return [] if scope == EVERYWHERE else [organisations.within(scope, CheckIn.organisation_id)]


def _with_names(session: Session, rows: Sequence[CheckIn]) -> list[Seen]:
    people = members.names(session, {row.member_id for row in rows if row.member_id})
    plates = rooms.plates(session, {row.room_id for row in rows if row.room_id})
    titles = activities.titles(session, {row.occurrence_id.partition("/")[0] for row in rows if row.occurrence_id})
    return [_seen(row, people, plates, titles) for row in rows]


def _seen(row: CheckIn, people: dict[str, str], plates: dict[str, str], titles: dict[str, tuple[str, str]]) -> Seen:
    title, title_en = titles.get((row.occurrence_id or "").partition("/")[0], ("", ""))
    return Seen(
        id=row.id,
        at=from_us(row.effective_at),
        uncertainty_us=row.uncertainty_us,
        room=plates.get(row.room_id or "", ""),
        room_id=row.room_id or "",
        terminal_id=row.terminal_id,
        member_id=row.member_id,
        name=people.get(row.member_id or "", ""),
        card=(row.credential_id or "")[-4:],
        activity=title,
        activity_en=title_en,
        occurrence_id=row.occurrence_id,
        method=row.method,
        outcome=row.outcome,
        reason=row.reason or "",
        waits=bool(row.waits),
        flags=row.flags,
        level=4 if row.member_id else 3,
    )
