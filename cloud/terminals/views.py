"""Saved views: a filter and an order of the list of terminals under a name, an account's own or shared with its branch.

Promises that a view shows only what its reader may see, because it is a question and holds no answer; that nobody but operators
shares one; that at most MOST are kept of an account. Called by routes and by the list of terminals.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from cloud.accounts.service import Principal, Role
from cloud.audit.service import Change, note, state
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Forbidden
from cloud.forms import Form, Name
from cloud.organisations import service as organisations
from cloud.paging import get_one
from cloud.rooms import service as rooms
from cloud.terminals.models import SavedView
from cloud.terminals.wanted import Wanted, known

MOST: Final = 50
"""Saved views of one account."""
MOST_SHARED: Final = 200
"""Views of others that are listed, by name."""


class SavedViewForm(Form):
    """What it is called, what it asks for, and whether all accounts of the branch, and of those below it, have it too."""

    name: Annotated[Name, Field(max_length=60)]
    wanted: Wanted = Wanted()
    shared: bool = False


def list_views(session: Session, by: Principal) -> Sequence[SavedView]:
    """One's own, and those that are shared with one's branch and ask for no place beyond it; by name."""
    own = select(SavedView).where(SavedView.account_id == by.account_id).order_by(SavedView.name, SavedView.id)
    shared = select(SavedView).where(SavedView.account_id != by.account_id, _reaches(by))
    others = session.scalars(shared.order_by(SavedView.name, SavedView.id).limit(MOST_SHARED)).all()
    found = [*session.scalars(own.limit(MOST)).all(), *_within(session, by, others)]
    return sorted(found, key=lambda view: (view.name, view.id))


def create(session: Session, change: Change, by: Principal, form: SavedViewForm) -> SavedView:
    """Conflict for a name that one has already, and beyond MOST; Forbidden to share for who may not."""
    _check_sharing(by, form)
    count = session.scalar(select(func.count()).where(SavedView.account_id == by.account_id)) or 0
    if count >= MOST:
        raise Conflict(f"You have {MOST} saved views already; delete one first.", code="too_many_views", n=MOST)
    _check_name(session, by.account_id, form.name, None)
    view = SavedView(
        id=new_id("vw"), account_id=by.account_id, name=form.name, wanted=form.wanted.said(), shared=form.shared,
        organisation_id=by.organisation_id if form.shared else None, created_at=change.at, version=1,
    )  # fmt: skip
    session.add(view)
    session.flush()
    note(session, change, "saved_view.create", view.id, name=view.name, shared=view.shared, **form.wanted.said())
    return view


def edit(session: Session, change: Change, by: Principal, view_id: str, version: int, form: SavedViewForm) -> SavedView:
    """Replace what it is. A shared one of another account may be changed by an administrator of all its branch.

    Who may not share (any more) may only take one's own back: what is shared is what others see.
    """
    view = _own(session, by, view_id)
    before = _standing(view)
    next_version(view, version)
    _check_sharing(by, form)
    if not form.shared:
        view.organisation_id = None  # a branch that is deleted takes with it what is shared with it, and nothing else
    elif not view.shared:
        view.organisation_id = by.organisation_id
    _check_name(session, view.account_id, form.name, view.id)
    view.name, view.wanted, view.shared = form.name, form.wanted.said(), form.shared
    session.flush()
    note(session, change, "saved_view.edit", view.id, before=before, **_standing(view))
    return view


def delete(session: Session, change: Change, by: Principal, view_id: str, version: int) -> None:
    """The same, of taking it away."""
    view = _own(session, by, view_id)
    next_version(view, version)
    before = _standing(view)
    session.delete(view)
    session.flush()
    note(session, change, "saved_view.delete", view_id, before=before, name=view.name)


def wanted_of(view: SavedView) -> Wanted:
    """What it asks for, as far as it is known today."""
    return known(view.wanted)


def may_edit(by: Principal, view: SavedView) -> bool:
    """Whether to offer it; it is checked again when it is done."""
    return view.account_id == by.account_id or (view.shared and by.role.includes(Role.ADMIN))


def _standing(view: SavedView) -> dict[str, object]:
    return state(view, ("name", "shared")) | view.wanted


def _own(session: Session, by: Principal, view_id: str) -> SavedView:
    """To be changed: NotFound for one that one does not see, Forbidden for one that is another's."""
    seen = or_(SavedView.account_id == by.account_id, _reaches(by))
    view = get_one(session, select(SavedView).where(SavedView.id == view_id, seen), "saved_view", view_id, to_edit=True)
    if view.account_id == by.account_id:
        return view
    if not by.role.includes(Role.ADMIN) or by.organisation_id not in {None, view.organisation_id}:
        raise Forbidden("It is another account's saved view.", code="foreign_view")
    return view


def _reaches(by: Principal) -> ColumnElement[bool]:
    """Shared with the whole tree, or with a branch that holds the reader's."""
    shared = SavedView.shared == true()
    if by.scope.path == "/":
        return shared
    above = SavedView.organisation_id.in_(organisations.ancestors(by.scope.path))
    return shared & or_(SavedView.organisation_id.is_(None), above)


def _within(session: Session, by: Principal, views: Sequence[SavedView]) -> list[SavedView]:
    """Those whose organisation and room lie in the reader's scope."""
    if by.scope.path == "/":
        return list(views)
    wanted = {view.id: wanted_of(view) for view in views}
    owners = rooms.owners(session, [each.room_id for each in wanted.values() if each.room_id])
    named = {each.organisation_id for each in wanted.values() if each.organisation_id} | set(owners.values())
    paths = organisations.paths(session, [each for each in named if each])

    def reaches(each: Wanted) -> bool:
        places = [each.organisation_id, owners.get(each.room_id, "") if each.room_id else None]
        return all(by.scope.covers(paths.get(place, "")) for place in places if place is not None)

    return [view for view in views if reaches(wanted[view.id])]


def _check_sharing(by: Principal, form: SavedViewForm) -> None:
    if form.shared and not by.role.includes(Role.OPERATOR):
        raise Forbidden("Only an operator may share a view with the branch.", code="view_sharing")


def _check_name(session: Session, account_id: str, name: str, view_id: str | None) -> None:
    query = select(SavedView.id).where(SavedView.account_id == account_id, SavedView.name == name)
    if session.scalar(query) not in {None, view_id}:
        raise Conflict(f"There is a saved view “{name}” already.", code="view_exists", name=name)
