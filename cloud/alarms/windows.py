"""Maintenance windows: spans in which nothing new is raised about some terminals.

Promises that what fell in a window and has not recovered at its end is raised then, and that what was raised before goes on.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from cloud.alarms.models import MaintenanceWindow
from cloud.audit.service import Change, note, state
from cloud.clock import to_us
from cloud.database import new_id
from cloud.errors import Conflict, Fault, Forbidden, Invalid, NotFound
from cloud.forms import Form, InstantUs, Sentence
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomId
from cloud.scope import Scope
from cloud.terminals import service as terminals
from cloud.terminals.service import TerminalId

LONGEST: Final = timedelta(days=30)
MOST_WINDOWS: Final = 500
"""Windows that are not over."""
KEPT_DAYS: Final = 90
"""So long one that is over is kept: until then its room, its organisation cannot be deleted. The audit keeps it for ever."""


class WindowForm(Form):
    """Of what, from when to when, and why. One of organisation, room and terminal, or `everywhere`."""

    organisation_id: OrganisationId | None = None
    room_id: RoomId | None = None
    terminal_id: TerminalId | None = None
    everywhere: bool = False
    starts_at: InstantUs
    ends_at: InstantUs
    reason: Sentence


def list_windows(
    session: Session, scope: Scope, paging: Paging, now: datetime, *, over: bool = False
) -> Found[MaintenanceWindow]:
    """Those that are on or to come, or those that are over; the latest end first."""
    ended = MaintenanceWindow.ends_at <= now
    query = select(MaintenanceWindow).where(_concerns(scope), ended if over else ~ended)
    return find(session, query, [MaintenanceWindow.ends_at, MaintenanceWindow.id], paging, newest_first=True)


def of_terminal(
    session: Session, terminal_id: str, room_id: str | None, path: str, now: datetime
) -> Sequence[MaintenanceWindow]:
    """Those that are on now for a terminal."""
    covers = [
        _is_over_all(),
        MaintenanceWindow.terminal_id == terminal_id,
        MaintenanceWindow.organisation_id.in_(organisations.ancestors(path)),
    ]
    if room_id is not None:
        covers.append(MaintenanceWindow.room_id == room_id)
    on = (MaintenanceWindow.starts_at <= now) & (MaintenanceWindow.ends_at > now)
    return session.scalars(
        select(MaintenanceWindow).where(on, or_(*covers)).order_by(MaintenanceWindow.ends_at).limit(5)
    ).all()


def create(session: Session, change: Change, scope: Scope, form: WindowForm) -> MaintenanceWindow:
    """Invalid for a span or a place that is not right; Conflict beyond MOST_WINDOWS."""
    _check_span(form, change.at)
    _check_place(session, scope, form)
    count = select(func.count()).select_from(MaintenanceWindow).where(MaintenanceWindow.ends_at > change.at)
    if (session.scalar(count) or 0) >= MOST_WINDOWS:
        raise Conflict(f"There are {MOST_WINDOWS} windows already.", code="too_many_windows", n=MOST_WINDOWS)
    values = form.model_dump(exclude={"everywhere"})
    window = MaintenanceWindow(id=new_id("mwn"), made_by=change.who, made_at=change.at, **values)
    session.add(window)
    session.flush()
    note(session, change, "maintenance_window.create", window.id, **_said(form))
    return window


def end(session: Session, change: Change, scope: Scope, window_id: str) -> None:
    """Now: one that has not begun is taken away. Conflict for one that is over."""
    query = select(MaintenanceWindow).where(MaintenanceWindow.id == window_id, _concerns(scope))
    window = session.scalar(query.with_for_update())
    if window is None:
        raise NotFound(f"There is no maintenance window {window_id}.", code="no_window", id=window_id)
    if scope.path != "/" and session.scalar(select(MaintenanceWindow.id).where(
        MaintenanceWindow.id == window_id, _is_inside(scope))) is None:  # fmt: skip
        raise Forbidden("The window reaches beyond your branch.", code="window_beyond")
    if window.ends_at <= change.at:
        raise Conflict("It is over already.", code="window_over")
    before = state(window, ("starts_at", "ends_at"))
    if window.starts_at >= change.at:
        session.delete(window)
    else:
        window.ends_at = change.at
    session.flush()
    note(session, change, "maintenance_window.end", window_id, before=before, reason=window.reason)


def _said(form: WindowForm) -> dict[str, Any]:
    values = form.model_dump(exclude_none=True, exclude={"starts_at", "ends_at"})
    return values | {"starts_at": to_us(form.starts_at), "ends_at": to_us(form.ends_at)}


def _check_span(form: WindowForm, now: datetime) -> None:
    faults = []
    if form.ends_at <= max(form.starts_at, now):
        faults.append(Fault("body.ends_at", "must lie after the beginning, and ahead", "window_end"))
    elif form.ends_at - form.starts_at > LONGEST:
        says = f"must be at most {LONGEST.days} days after the beginning"
        faults.append(Fault("body.ends_at", says, "window_long", {"n": LONGEST.days}))
    if faults:
        raise Invalid("The window is not right.", faults, code="window_wrong")


def _check_place(session: Session, scope: Scope, form: WindowForm) -> None:
    given = [each for each in (form.organisation_id, form.room_id, form.terminal_id) if each] + [True] * form.everywhere
    if len(given) != 1:
        says = "say one: an organisation, a room, a terminal, or everywhere"
        raise Invalid("The window is not right.", [Fault("body.everywhere", says, "window_place")], code="window_wrong")
    if form.everywhere and scope.path != "/":
        fault = Fault("body.organisation_id", "must be in your branch", "out_of_scope")
        raise Invalid("The window is not right.", [fault], code="window_wrong")
    if form.organisation_id is not None:
        organisations.check_known(session, scope, [form.organisation_id], "body.organisation_id")
    if form.room_id is not None:
        rooms.get(session, scope, form.room_id)
    if form.terminal_id is not None:
        terminals.get(session, scope, form.terminal_id)


def _is_over_all() -> ColumnElement[bool]:
    return (
        MaintenanceWindow.organisation_id.is_(None)
        & MaintenanceWindow.room_id.is_(None)
        & MaintenanceWindow.terminal_id.is_(None)
    )


def _is_inside(scope: Scope) -> ColumnElement[bool]:
    return or_(
        organisations.within(scope, MaintenanceWindow.organisation_id),
        rooms.within(scope, MaintenanceWindow.room_id),
        terminals.within(scope, MaintenanceWindow.terminal_id),
    )


def _concerns(scope: Scope) -> ColumnElement[bool]:
    """Its own, those over everything, and those of the organisations above it."""
    if scope.path == "/":
        return true()
    above = MaintenanceWindow.organisation_id.in_(organisations.ancestors(scope.path))
    return or_(_is_over_all(), above, _is_inside(scope))
