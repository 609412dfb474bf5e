"""Templates: made, changed and taken away within a scope; each change gives new twins to the terminals it concerns.

Promises at most MAX_TEMPLATES, one for a place and kind. The twins follow from housekeeping, some at a time.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator
from sqlalchemy import ColumnElement, func, or_, select, true
from sqlalchemy.orm import Session

from cloud.audit.service import Change, note, state
from cloud.counters import Counts, advance
from cloud.database import new_id, next_version
from cloud.errors import Conflict, Forbidden, Unfit
from cloud.forms import Form
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find, get_one
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomId
from cloud.scope import Scope
from cloud.templates import merging
from cloud.templates.merging import EVERYWHERE, Effective, Given, Kind
from cloud.templates.models import Template

MAX_TEMPLATES: Final = 5_000


class SettingsForm(Form):
    """Settings of a template, by name; one that is not named is left to the templates before it."""

    settings: Annotated[Given, Field(min_length=1)]


class TemplateForm(SettingsForm):
    """For a room, or for an organisation with all below it, or for everywhere (neither); for one kind, or for all."""

    organisation_id: OrganisationId | None = None
    room_id: RoomId | None = None
    kind: Kind | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.organisation_id and self.room_id:
            raise Unfit("name a room or an organisation, not both", "two_places")
        return self


def within(scope: Scope) -> ColumnElement[bool]:
    """Those of places in the scope; those for everywhere are in the scope of everything only."""
    if scope.path == "/":
        return true()
    return or_(organisations.within(scope, Template.organisation_id), rooms.within(scope, Template.room_id))


def get(session: Session, scope: Scope, template_id: str, *, to_edit: bool = False) -> Template:
    """NotFound outside the scope, too."""
    query = select(Template).where(Template.id == template_id, within(scope))
    return get_one(session, query, "template", template_id, to_edit=to_edit)


def list_templates(session: Session, scope: Scope, paging: Paging) -> Found[Template]:
    """By id: those of one place need not stand together."""
    return find(session, select(Template).where(within(scope)), [Template.id], paging)


def create(session: Session, change: Change, scope: Scope, form: TemplateForm) -> Template:
    """Conflict for a place and kind that has one; Invalid for settings that the kind does not take."""
    _check_place(session, scope, form)
    merging.check_for_kind(form.kind, form.settings)
    place = form.room_id or form.organisation_id or EVERYWHERE
    if session.scalar(select(Template.id).where(Template.place == place, Template.kind == (form.kind or ""))):
        raise Conflict("There is a template for this place and kind already; change that one.", code="template_exists")
    if (session.scalar(select(func.count()).select_from(Template)) or 0) >= MAX_TEMPLATES:
        raise Conflict(
            f"There are {MAX_TEMPLATES} templates, as many as there may be.", code="too_many_templates", n=MAX_TEMPLATES
        )
    template = Template(
        id=new_id("tpl"), place=place, organisation_id=form.organisation_id, room_id=form.room_id,
        kind=form.kind or "", settings=form.settings, version=1, created_at=change.at,
    )  # fmt: skip
    session.add(template)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "template.create", template.id, **form.model_dump())
    return template


def edit(
    session: Session, change: Change, scope: Scope, template_id: str, version: int, form: SettingsForm
) -> Template:
    """Replace its settings; place and kind are what it is."""
    template = get(session, scope, template_id, to_edit=True)
    before = state(template, ("settings",))
    next_version(template, version)
    merging.check_for_kind(template.kind, form.settings)
    template.settings = form.settings
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "template.edit", template_id, before=before, **_place(template), settings=form.settings)
    return template


def delete(session: Session, change: Change, scope: Scope, template_id: str, version: int) -> None:
    """Its terminals get what the templates before it say."""
    template = get(session, scope, template_id, to_edit=True)
    next_version(template, version)
    session.delete(template)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "template.delete", template_id, before=state(template, ("settings",)), **_place(template))


def for_terminal(session: Session, organisation_path: str | None, room_id: str | None, kind: str) -> list[Template]:
    """Those that concern a terminal of this kind in this place, in the order in which they count, whatever the scope."""
    places = [*organisations.ancestors(organisation_path or ""), *([room_id] if room_id else [])]
    found = session.scalars(select(Template).where(Template.place.in_([EVERYWHERE, *places]))).all()
    return merging.in_order(found, places, kind)


def places(session: Session, effective: Iterable[Effective]) -> dict[str, tuple[str, str]]:
    """The names of the places that templates are of, by id, whatever the scope: they are seen at what they do."""
    ids = {each.place for each in effective if each.place}
    return place_names(session, sorted(ids))


def place_names(session: Session, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Name and English name of organisations and rooms by id; a room's number before its name."""
    labels = rooms.labels(session, [each for each in ids if each.startswith("rm_")])
    named = {
        each: (f"{number} {name}", f"{number} {name_en or name}") for each, (number, name, name_en) in labels.items()
    }
    return organisations.names(session, [each for each in ids if each.startswith("org_")]) | named


def _check_place(session: Session, scope: Scope, form: TemplateForm) -> None:
    if form.room_id:
        rooms.get(session, scope, form.room_id)
    elif form.organisation_id:
        organisations.get(session, scope, form.organisation_id)
    elif scope.path != "/":
        raise Forbidden("A template for everywhere needs an account of no branch.", code="template_everywhere")


def _place(template: Template) -> dict[str, Any]:
    return state(template, ("organisation_id", "room_id", "kind"))
