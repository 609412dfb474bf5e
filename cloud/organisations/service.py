"""The tree of organisations. Its paths are what every scope is checked against.

`within` is the condition that all list queries of all features use.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, Select, func, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.audit.service import Change, note, state
from cloud.counters import Counts, advance
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Fault, Invalid, NotFound
from cloud.forms import Form, Name, OptionalName, TimeZone
from cloud.organisations.models import Organisation
from cloud.paging import Found, Paging, find
from cloud.scope import Scope

MAX_DEPTH = 12
"""Levels of the tree; an entry of the roster names all of them."""

OrganisationId = Annotated[str, Field(pattern=r"^org_[0-9a-f]{16}$", examples=["org_0123456789abcdef"])]


class OrganisationForm(Form):
    """What an organisation is; without a parent it is the root of a tree."""

    name: Name
    name_en: OptionalName = ""
    parent_id: OrganisationId | None = None
    timezone: TimeZone = "Asia/Shanghai"


def within(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, an organisation's id, lies in `scope`."""
    if scope.path == "/":
        return true()
    return column.in_(branch(scope.path))


def branch(path: str) -> Select[str]:
    """A query of the ids of the organisation at `path` and of all below it."""
    return select(Organisation.id).where(Organisation.path.startswith(path, autoescape=True))


def get(session: Session, scope: Scope, organisation_id: str, *, to_edit: bool = False) -> Organisation:
    """NotFound outside the scope, too."""
    organisation = session.get(Organisation, organisation_id, with_for_update=to_edit or None)
    if organisation is None or not scope.covers(organisation.path):
        raise NotFound(f"There is no organisation {organisation_id}.", code="no_organisation", id=organisation_id)
    return organisation


def list_organisations(
    session: Session, scope: Scope, paging: Paging, *, parent_id: str | None = None, search: str | None = None
) -> Found[Organisation]:
    """By name; those right below `parent_id`, or whose names hold `search`."""
    query = select(Organisation).where(within(scope, Organisation.id))
    if parent_id is not None:
        query = query.where(Organisation.parent_id == parent_id)
    if search:
        named = (column.icontains(search, autoescape=True) for column in (Organisation.name, Organisation.name_en))
        query = query.where(or_(*named))
    return find(session, query, [Organisation.name, Organisation.id], paging)


def top(session: Session, scope: Scope) -> Organisation | None:
    """The highest organisation of the scope; None before the first was made."""
    query = select(Organisation).where(within(scope, Organisation.id))
    return session.scalar(query.order_by(func.length(Organisation.path), Organisation.created_at).limit(1))


def names(session: Session, organisation_ids: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name and English name by id, whatever the scope: for things that were found in it."""
    query = select(Organisation.id, Organisation.name, Organisation.name_en)
    rows = session.execute(query.where(Organisation.id.in_(set(organisation_ids))))
    return {organisation_id: (name, name_en) for organisation_id, name, name_en in rows}


def create(session: Session, change: Change, scope: Scope, form: OrganisationForm) -> Organisation:
    """Below a parent within the scope; a root only where the scope is everything."""
    organisation_id = new_id("org")
    organisation = Organisation(
        id=organisation_id,
        path=_path_below(session, scope, form.parent_id, organisation_id),
        version=1,
        created_at=change.at,
        **form.model_dump(),
    )
    session.add(organisation)
    session.flush()
    _changed(session)
    note(session, change, "organisation.create", organisation_id, **form.model_dump())
    return organisation


def edit(
    session: Session, change: Change, scope: Scope, organisation_id: str, version: int, form: OrganisationForm
) -> Organisation:
    """Also moves it, with everything below it, when the parent differs. Conflict when that would make a ring."""
    organisation = get(session, scope, organisation_id, to_edit=True)
    before = state(organisation, OrganisationForm.model_fields)
    next_version(organisation, version)
    if form.parent_id != organisation.parent_id:
        _move(session, scope, organisation, form.parent_id)
    for field, value in form.model_dump().items():
        setattr(organisation, field, value)
    session.flush()
    _changed(session)
    note(session, change, "organisation.edit", organisation_id, before=before, **form.model_dump())
    return organisation


def delete(session: Session, change: Change, scope: Scope, organisation_id: str, version: int) -> None:
    """Conflict while anything belongs to it."""
    organisation = get(session, scope, organisation_id, to_edit=True)
    next_version(organisation, version)
    if session.scalar(select(func.count()).where(Organisation.parent_id == organisation_id)):
        raise Conflict("There are organisations below it.", code="has_children")
    session.delete(organisation)
    session.flush()
    before = state(organisation, OrganisationForm.model_fields)
    note(session, change, "organisation.delete", organisation_id, before=before, name=organisation.name)


def check_known(session: Session, scope: Scope, organisation_ids: Sequence[str], where: str) -> None:
    """Invalid when one of them does not exist in the scope."""
    query = select(Organisation.id).where(Organisation.id.in_(organisation_ids), within(scope, Organisation.id))
    unknown = sorted(set(organisation_ids) - set(session.scalars(query)))
    if unknown:
        raise Invalid(
            "An organisation does not exist.",
            [Fault(where, f"there is no organisation {unknown[0]}", "no_organisation", {"id": unknown[0]})],
            code="unknown_organisation",
        )


def ids_named(session: Session, scope: Scope, name: str) -> Sequence[str]:
    """Ids of at most two organisations whose id or name is `name`: with two, the name does not say which."""
    query = select(Organisation.id).where(
        or_(Organisation.id == name, Organisation.name == name), within(scope, Organisation.id)
    )
    return session.scalars(query.limit(2)).all()


def paths(session: Session, organisation_ids: Iterable[str]) -> dict[str, str]:
    """Ids to paths."""
    query = select(Organisation.id, Organisation.path).where(Organisation.id.in_(set(organisation_ids)))
    return dict(session.execute(query).all())


def ancestors(path: str) -> list[str]:
    """The ids along a path, the root first, its own id last."""
    return [part for part in path.split("/") if part]


def _path_below(session: Session, scope: Scope, parent_id: str | None, organisation_id: str) -> str:
    if parent_id is None:
        above = "/"
        if not scope.covers(above):
            raise Invalid(
                "A parent is needed.",
                [Fault("body.parent_id", "must be in your branch", "out_of_scope")],
                code="parent_needed",
            )
    else:
        check_known(session, scope, [parent_id], "body.parent_id")
        above = get(session, scope, parent_id, to_edit=True).path
    if len(ancestors(above)) >= MAX_DEPTH:
        raise _too_deep()
    return f"{above}{organisation_id}/"


def _move(session: Session, scope: Scope, organisation: Organisation, parent_id: str | None) -> None:
    before = organisation.path
    after = _path_below(session, scope, parent_id, organisation.id)
    if after.startswith(before):
        raise Conflict("An organisation cannot lie below itself.", code="ring")
    deepest = max(len(ancestors(path)) for path in session.scalars(_paths_below(before)))
    if deepest - len(ancestors(before)) + len(ancestors(after)) > MAX_DEPTH:
        raise _too_deep()
    session.execute(
        update(Organisation)
        .where(Organisation.path.startswith(before, autoescape=True))
        .values(path=func.replace(Organisation.path, before, after))
        .execution_options(synchronize_session="fetch")
    )


def _too_deep() -> Invalid:
    fault = Fault("body.parent_id", f"at most {MAX_DEPTH} levels", "levels", {"n": MAX_DEPTH})
    return Invalid("The tree would be too deep.", [fault], code="too_deep")


def _paths_below(path: str) -> Select[str]:
    return select(Organisation.path).where(Organisation.path.startswith(path, autoescape=True))


def _changed(session: Session) -> None:
    advance(session, Counts.TWIN_INPUTS)
    advance(session, Counts.ROSTER)
