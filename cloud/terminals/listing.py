"""The list of terminals: filtered, sorted, counted and paged by the database, over ten thousand of them.

Promises that paging through any order gives every terminal once, whatever is added meanwhile: a cursor names the last row that
was shown by what it was sorted by, and rows are never counted off. Reads only. Called by pages, routes and bulks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Select, and_, case, func, literal, or_, select, type_coerce
from sqlalchemy.orm import Session

from cloud.alarms import open_alarms
from cloud.alarms.open_alarms import RANK, OpenAlarm
from cloud.bulk import IN_CHUNK, chunks
from cloud.errors import NotFound
from cloud.organisations import service as organisations
from cloud.overview import positions
from cloud.paging import Found, Paging, not_ours, read_cursor, write_cursor
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import history
from cloud.terminals.fleet import IN_SERVICE
from cloud.terminals.models import Terminal
from cloud.terminals.wanted import Service, Sort, Wanted

OUT: Final = "out"
"""Counted beside the states: what is not in service."""
AFTER, BEFORE = "after", "before"
VERSIONS: Final = 100
"""Versions that are counted, those of most terminals first."""


@dataclass(frozen=True)
class Line:
    """One terminal of the list. `stored` is (through, waiting); `out` says why it is not in service, else empty."""

    id: str
    kind: str
    room: tuple[str, str, str]
    presence: str
    presence_at: datetime | None
    heard_at: datetime | None
    stored: tuple[int, int] | None
    version: str
    marks: Sequence[str]
    out: str
    alarms: Sequence[OpenAlarm]
    flapping: bool


@dataclass(frozen=True)
class Page:
    """Rows in order; `first` is the first one's place among `total`, from 1. Cursors are None where there is no more.

    `counts` are those of `listing.counts`.
    """

    lines: Sequence[Line]
    counts: Mapping[str, int]
    total: int
    first: int
    previous: str | None
    next: str | None


def page(session: Session, scope: Scope, wanted: Wanted, paging: Paging, now: datetime) -> Page:
    """One page. NotFound for an organisation outside the scope, Invalid for a cursor of another list."""
    keyed = _keyed(session, scope, wanted, now)
    rows, more_before, more_after = _window(session, keyed, wanted, paging)
    counted = counts(session, scope, wanted, now)
    before = 0
    if rows and more_before:
        place = _beyond(keyed, wanted, (rows[0][1], rows[0][0]), back=True)
        before = session.scalar(select(func.count()).select_from(keyed).where(place)) or 0
    return Page(
        _lines(session, [terminal_id for terminal_id, _ in rows], now),
        counted,
        sum(count for state, count in counted.items() if _is_asked_for(wanted, state)),
        before + 1,
        _cursor(wanted, BEFORE, rows[0]) if rows and more_before else None,
        _cursor(wanted, AFTER, rows[-1]) if rows and more_after else None,
    )


def _is_asked_for(wanted: Wanted, state: str) -> bool:
    """Whether the list holds what was counted under this state."""
    if wanted.service is Service.OUT or state == OUT:
        return state == OUT and wanted.service is not Service.IN and wanted.presence is None
    return wanted.presence in {None, state}


def in_known_places(session: Session, scope: Scope, wanted: Wanted) -> Wanted:
    """The same without an organisation or a room that is not (or not any more) in the scope."""
    ways: Mapping[str, Callable[[Session, Scope, str], object]] = {
        "organisation_id": organisations.get,
        "room_id": rooms.get,
    }
    unknown: dict[str, object] = {}
    for name, get in ways.items():
        place = getattr(wanted, name)
        try:
            if place is not None:
                get(session, scope, place)
        except NotFound:
            unknown[name] = None
    return wanted.but(**unknown)


def found(session: Session, scope: Scope, wanted: Wanted, paging: Paging, now: datetime) -> Found[Terminal]:
    """The whole rows of one page, and the cursor of the next, for programs."""
    rows, _, more = _window(session, _keyed(session, scope, wanted, now), wanted, paging)
    shown = [terminal_id for terminal_id, _ in rows]
    by_id = {each.id: each for each in session.scalars(select(Terminal).where(Terminal.id.in_(shown)))}
    return Found([by_id[each] for each in shown if each in by_id], _cursor(wanted, AFTER, rows[-1]) if more else None)


def ids(session: Session, scope: Scope, wanted: Wanted, now: datetime, at_most: int) -> list[str]:
    """The ids of all that match, by id, at most so many."""
    query = _matching(session, scope, wanted, now)
    return list(session.scalars(query.order_by(Terminal.id).limit(at_most)))


def ids_in_service(session: Session, scope: Scope, wanted: Wanted, now: datetime, at_most: int) -> list[str]:
    """Those of them that are in service; none where what is out of service is asked for."""
    query = _matching(session, scope, wanted, now).where(IN_SERVICE)
    return list(session.scalars(query.order_by(Terminal.id).limit(at_most)))


def in_service(session: Session, scope: Scope, terminal_ids: Sequence[str]) -> list[str]:
    """Those of these that are in the scope and in service."""
    found: set[str] = set()
    for some in chunks(terminal_ids, IN_CHUNK):
        query = select(Terminal.id).where(Terminal.id.in_(some), IN_SERVICE, rooms.within(scope, Terminal.room_id))
        found.update(session.scalars(query))
    return [each for each in terminal_ids if each in found]


def counts(session: Session, scope: Scope, wanted: Wanted, now: datetime) -> Mapping[str, int]:
    """How many match in each state, and `out`, whatever state is asked for."""
    state = case((IN_SERVICE, Terminal.presence), else_=OUT)
    matching = _matching(session, scope, wanted.but(presence=None, service=None), now, state.label("state")).subquery()
    query = select(matching.c.state, func.count()).group_by(matching.c.state)
    return dict(session.execute(query).all())


def versions(session: Session, scope: Scope) -> list[tuple[str, int]]:
    """The agents' versions in the scope, each with how many terminals in service say it."""
    query = select(Terminal.agent_version, func.count()).where(
        IN_SERVICE, Terminal.agent_order != "", rooms.within(scope, Terminal.room_id)
    )
    by_version = query.group_by(Terminal.agent_order, Terminal.agent_version)
    query = by_version.order_by(func.count().desc(), Terminal.agent_order)
    return [(version, count) for version, count in session.execute(query.limit(VERSIONS))]


def profiles(session: Session, scope: Scope) -> list[str]:
    """The profiles in the scope, in order."""
    query = select(Terminal.profile).where(rooms.within(scope, Terminal.room_id)).distinct()
    return list(session.scalars(query.order_by(Terminal.profile).limit(VERSIONS)))


def _matching(session: Session, scope: Scope, wanted: Wanted, now: datetime, *columns: Any) -> Select[Any]:
    """A query of the ids (or other columns) of all that match."""
    if wanted.organisation_id is not None:
        scope = Scope(organisations.get(session, scope, wanted.organisation_id).path)
    query = select(*(columns or (Terminal.id,))).where(rooms.within(scope, Terminal.room_id))
    same = {
        Terminal.presence: wanted.presence, Terminal.kind: wanted.kind, Terminal.profile: wanted.profile,
        Terminal.agent_version: wanted.version, Terminal.room_id: wanted.room_id,
    }  # fmt: skip
    query = query.where(*(column == value for column, value in same.items() if value is not None))
    if wanted.service is not None:
        query = query.where(IN_SERVICE if wanted.service is Service.IN else ~IN_SERVICE)
    if wanted.presence is not None:
        query = query.where(IN_SERVICE)
    if wanted.alarm:
        query = query.where(Terminal.id.in_(open_alarms.about()))
    if wanted.flapping:
        query = query.where(Terminal.id.in_(history.flapping(now)))
    if wanted.search:
        named = Terminal.id.icontains(wanted.search, autoescape=True)
        query = query.where(or_(named, Terminal.room_id.in_(rooms.matching(wanted.search))))
    return query


def _keyed(session: Session, scope: Scope, wanted: Wanted, now: datetime) -> Any:
    """All that match as a subquery of `id` and `key`, what they are sorted by; no key is NULL or negative."""
    if wanted.sort is Sort.ALARM:
        severest = open_alarms.severest()
        key: ColumnElement[Any] = func.coalesce(severest.c.rank, len(RANK))
        query = _matching(session, scope, wanted, now, Terminal.id, key.label("key"))
        return query.join(severest, severest.c.terminal_id == Terminal.id, isouter=True).subquery()
    keys: dict[Sort, Any] = {
        Sort.ID: literal(0),
        Sort.ROOM: func.coalesce(rooms.number_of(Terminal.room_id), ""),
        Sort.SINCE: func.coalesce(type_coerce(Terminal.presence_at, BigInteger), 0),
        Sort.HEARD: func.coalesce(type_coerce(Terminal.last_heard_at, BigInteger), 0),
        Sort.WAITING: positions.waiting_of(Terminal.id),
        Sort.VERSION: Terminal.agent_order,
    }
    query = _matching(session, scope, wanted, now, Terminal.id, keys[wanted.sort].label("key"))
    if wanted.sort in {
        Sort.WAITING,
        Sort.ROOM,
    }:  # looked up once for each terminal, not for each time that it is compared
        return query.cte("keyed").prefix_with("MATERIALIZED")
    return query.subquery()


Row = tuple[str, Any]
"""Id and key."""


def _window(session: Session, keyed: Any, wanted: Wanted, paging: Paging) -> tuple[list[Row], bool, bool]:
    """The rows of one page, and whether there are any before and after them."""
    place = _read(wanted, paging.cursor)
    back = place is not None and place[0] == BEFORE
    query = select(keyed.c.id, keyed.c.key)
    if place is not None:
        query = query.where(_beyond(keyed, wanted, place[1], back=back))
    down = wanted.descending != back
    order = [column.desc() if down else column for column in (keyed.c.key, keyed.c.id)]
    found: list[Row] = [(row.id, row.key) for row in session.execute(query.order_by(*order).limit(paging.limit + 1))]
    more, rows = len(found) > paging.limit, found[: paging.limit]
    if not back:
        return rows, place is not None, more
    if not more:
        return _window(session, keyed, wanted, replace(paging, cursor=None))
    return rows[::-1], more, True


def _beyond(keyed: Any, wanted: Wanted, place: tuple[Any, str], *, back: bool) -> ColumnElement[bool]:
    """The condition that a row lies after a place in the order, or before it."""
    key, terminal_id = place
    if wanted.descending != back:
        return or_(keyed.c.key < key, and_(keyed.c.key == key, keyed.c.id < terminal_id))
    return or_(keyed.c.key > key, and_(keyed.c.key == key, keyed.c.id > terminal_id))


def _cursor(wanted: Wanted, direction: str, row: Row) -> str:
    return write_cursor([direction, wanted.sort, int(wanted.descending), row[1], row[0]])


def _read(wanted: Wanted, cursor: str | None) -> tuple[str, tuple[Any, str]] | None:
    """Direction and place. Invalid for a cursor of another order."""
    if cursor is None:
        return None
    kind = str if wanted.sort in {Sort.ROOM, Sort.VERSION} else int
    direction, sort, descending, key, terminal_id = read_cursor(cursor, (str, str, int, kind, str))
    if direction not in {AFTER, BEFORE} or (sort, descending) != (wanted.sort, int(wanted.descending)):
        raise not_ours()
    return direction, (key, terminal_id)


def _lines(session: Session, terminal_ids: Sequence[str], now: datetime) -> list[Line]:
    """These, in this order: one query for each thing that is told of them."""
    if not terminal_ids:
        return []
    columns = (
        Terminal.id, Terminal.kind, Terminal.room_id, Terminal.presence, Terminal.presence_at, Terminal.last_heard_at,
        Terminal.agent_version, Terminal.marks, Terminal.enabled, Terminal.replaced_by,
    )  # fmt: skip
    rows = {row.id: row for row in session.execute(select(*columns).where(Terminal.id.in_(terminal_ids)))}
    plates = rooms.labels(session, {row.room_id for row in rows.values() if row.room_id})
    stored = positions.waiting_by_terminal(session, list(terminal_ids))
    alarms = open_alarms.of_terminals(session, terminal_ids)
    flapping = set(session.scalars(history.flapping(now)))
    return [
        Line(row.id, row.kind, plates.get(row.room_id or "", ("", "", "")), row.presence, row.presence_at,
             row.last_heard_at, stored.get(row.id), row.agent_version, row.marks, _out(row), alarms.get(row.id, ()),
             row.id in flapping)
        for row in (rows[each] for each in terminal_ids if each in rows)
    ]  # fmt: skip


def _out(row: Any) -> str:
    if not row.enabled:
        return "disabled"
    return "" if row.replaced_by is None else "replaced"
