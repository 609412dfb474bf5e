"""The terminals at a glance: how many are how, which are marked, which are away. For the console."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, func, or_, select, type_coerce
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.organisations.tree import Branch, sums
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals.models import Terminal
from cloud.terminals.presence import CONNECTED

STATES = ("online", "suspect", "offline", "asleep", "maintenance", "never")
"""In the order in which they are shown; `never` is shown as unknown."""


IN_SERVICE = and_(Terminal.enabled, Terminal.replaced_by.is_(None))
"""Neither shut out nor replaced by another: what is asked after."""


@dataclass(frozen=True)
class Fleet:
    """How many terminals in service are in which state, and when one was last heard."""

    presence: tuple[tuple[str, int], ...]
    heard_at: datetime | None


def is_in_service(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one in service in the scope."""
    return column.in_(select(Terminal.id).where(IN_SERVICE, rooms.within(scope, Terminal.room_id)))


def is_within(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one in the scope, in service or not."""
    return column.in_(select(Terminal.id).where(rooms.within(scope, Terminal.room_id)))


def is_connected(column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one that is connected."""
    return select(Terminal.id).where(Terminal.id == column, Terminal.presence.in_(CONNECTED)).exists()


def is_silent(column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one in service, wherever it is, that is not connected."""
    return column.in_(select(Terminal.id).where(IN_SERVICE, Terminal.presence.not_in(CONNECTED)))


def summary(session: Session, scope: Scope) -> Fleet:
    """Of all terminals in service in the scope."""
    query = select(Terminal.presence, func.count(), func.max(Terminal.last_heard_at)).where(
        IN_SERVICE, rooms.within(scope, Terminal.room_id)
    )
    rows = session.execute(query.group_by(Terminal.presence)).all()
    counts = {presence: count for presence, count, _ in rows}
    heard = [at for _, _, at in rows if at is not None]
    return Fleet(tuple((state, counts[state]) for state in STATES if state in counts), max(heard, default=None))


def marked(
    session: Session, scope: Scope, limit: int, told: Callable[[Any, Any], ColumnElement[int]]
) -> Sequence[Terminal]:
    """Terminals in service with a mark that nobody is told of: something that a person should look at.

    `told` gives, for the columns of an id and of its marks, how many of these are told elsewhere.
    """
    quotes = func.length(Terminal.marks) - func.length(func.replace(type_coerce(Terminal.marks, Text), '"', ""))
    untold = quotes > 2 * told(Terminal.id, type_coerce(Terminal.marks, Text))
    query = select(Terminal).where(IN_SERVICE, func.length(Terminal.marks) > 2, rooms.within(scope, Terminal.room_id))
    return session.scalars(query.where(untold).order_by(Terminal.id).limit(limit)).all()


@dataclass(frozen=True)
class Away:
    """Terminals that are offline: how many, and the one that has been so longest."""

    count: int
    terminal_id: str
    since_at: datetime | None


def away(session: Session, scope: Scope, but: Select[str] | None = None) -> Away | None:
    """Those in service, but for some; None where there is none."""
    offline = [IN_SERVICE, Terminal.presence == "offline", rooms.within(scope, Terminal.room_id)]
    if but is not None:
        offline.append(Terminal.id.not_in(but))
    query = select(Terminal.id, Terminal.presence_at, func.count().over()).where(*offline)
    first = session.execute(query.order_by(Terminal.presence_at, Terminal.id).limit(1)).first()
    return None if first is None else Away(first[2], first[0], first[1])


def kiosks_in(session: Session, scope: Scope, room_id: str) -> dict[str, int]:
    """Ids of the kiosks of a room, in order, with their versions."""
    query = select(Terminal.id, Terminal.version).where(
        Terminal.room_id == room_id,
        Terminal.kind == "kiosk",
        Terminal.replaced_by.is_(None),
        rooms.within(scope, Terminal.room_id),
    )
    return dict(session.execute(query.order_by(Terminal.id)).all())


@dataclass(frozen=True)
class Holder:
    """A kiosk that may hold records of a room: whether it is connected, and whether it stood there, as far as is known."""

    is_connected: bool
    stood_there: bool


def holders(session: Session, room_id: str, since: datetime) -> dict[str, Holder]:
    """Kiosks of a room by id, those that are out of service or were replaced, too: what they still hold counts there. One in
    service has stood there `since`, and so has one that was replaced later."""
    stood = or_(IN_SERVICE, and_(Terminal.replaced_by.is_not(None), Terminal.replaced_at > since))
    query = select(Terminal.id, Terminal.presence, stood).where(Terminal.room_id == room_id, Terminal.kind == "kiosk")
    return {each: Holder(presence in CONNECTED, bool(there)) for each, presence, there in session.execute(query)}


def by_branch(session: Session, scope: Scope, tree: Sequence[Branch]) -> dict[str, Counter[str]]:
    """How many terminals in service each branch has in each state, those of all organisations below it among them."""
    query = select(Terminal.room_id, Terminal.presence, func.count()).where(
        IN_SERVICE, Terminal.room_id.is_not(None), rooms.within(scope, Terminal.room_id)
    )
    counted = session.execute(query.group_by(Terminal.room_id, Terminal.presence)).all()
    owners = rooms.owners(session, {str(room_id) for room_id, _, _ in counted})
    own: dict[str, Counter[str]] = {}
    for room_id, presence, count in counted:
        own.setdefault(owners[str(room_id)], Counter())[presence] += count
    return sums(tree, own)


def in_rooms(session: Session, room_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """(id, presence) of the terminals of each room."""
    query = select(Terminal.room_id, Terminal.id, Terminal.presence).where(
        Terminal.room_id.in_(room_ids), Terminal.replaced_by.is_(None)
    )
    found: dict[str, list[tuple[str, str]]] = {}
    for room_id, terminal_id, presence in session.execute(query.order_by(Terminal.id)):
        found.setdefault(str(room_id), []).append((terminal_id, presence))
    return found


def count(session: Session, scope: Scope, room_id: str | None = None, kind: str | None = None) -> int:
    """How many terminals are in service, in a room or of a kind where one is named."""
    query = select(func.count()).select_from(Terminal).where(IN_SERVICE, rooms.within(scope, Terminal.room_id))
    wanted = {Terminal.room_id: room_id, Terminal.kind: kind}
    return session.scalar(query.where(*(column == value for column, value in wanted.items() if value is not None))) or 0
