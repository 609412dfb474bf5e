"""Rooms of organisations, known to people by the number on their plate."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, ScalarSelect, Select, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.audit.service import Change, note, state
from cloud.bulk import IN_CHUNK, chunks
from cloud.counters import Counts, advance
from cloud.database import new_id, next_version
from cloud.errors import Conflict
from cloud.forms import Form, Name, OptionalName, Plate
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationId
from cloud.paging import Found, Paging, find, get_one
from cloud.rooms.models import Room
from cloud.scope import Scope

RoomId = Annotated[str, Field(pattern=r"^rm_[0-9a-f]{16}$", examples=["rm_0123456789abcdef"])]


class RoomForm(Form):
    """What a room is."""

    organisation_id: OrganisationId
    number: Plate
    name: Name
    name_en: OptionalName = ""


def within(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a room's id, is one of `scope`; in a narrower scope than everything, not NULL."""
    if scope.path == "/":
        return true()
    return column.in_(select(Room.id).where(organisations.within(scope, Room.organisation_id)))


def matching(search: str) -> Select[str]:
    """A query of the ids of rooms whose number or names hold `search`."""
    columns = (Room.number, Room.name, Room.name_en)
    return select(Room.id).where(or_(*(column.icontains(search, autoescape=True) for column in columns)))


def organisation_ids(session: Session, room_ids: Iterable[str]) -> set[str]:
    """The organisations that these rooms belong to."""
    return set(session.scalars(select(Room.organisation_id).where(Room.id.in_(set(room_ids)))))


def plates(session: Session, room_ids: Iterable[str]) -> dict[str, str]:
    """Numbers by id, whatever the scope: for facts that were found in it."""
    query = select(Room.id, Room.number).where(Room.id.in_(set(room_ids)))
    return dict(session.execute(query).all())


def labels(session: Session, room_ids: Iterable[str]) -> dict[str, tuple[str, str, str]]:
    """Number, name and English name by id, whatever the scope: for facts that were found in it."""
    query = select(Room.id, Room.number, Room.name, Room.name_en).where(Room.id.in_(set(room_ids)))
    return {room_id: (number, name, name_en) for room_id, number, name, name_en in session.execute(query)}


def named(session: Session, scope: Scope, names: Sequence[str]) -> dict[str, list[tuple[str, str, str]]]:
    """By name, a number or an id: (id, number, organisation) of each room of the scope that is called so."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for some in chunks(names, IN_CHUNK):
        query = select(Room.id, Room.number, Room.organisation_id).where(
            or_(Room.id.in_(some), Room.number.in_(some)), organisations.within(scope, Room.organisation_id)
        )
        for room_id, number, owner in session.execute(query.order_by(Room.id)):
            for name in {room_id, number} & set(some):
                found.setdefault(name, []).append((room_id, number, owner))
    return found


def owners(session: Session, room_ids: Iterable[str]) -> dict[str, str]:
    """The organisation of each of these rooms."""
    found: dict[str, str] = {}
    for some in chunks(set(room_ids), IN_CHUNK):
        found |= dict(session.execute(select(Room.id, Room.organisation_id).where(Room.id.in_(some))).all())
    return found


def count(session: Session, scope: Scope) -> int:
    """How many rooms there are."""
    return (
        session.scalar(select(func.count()).select_from(Room).where(organisations.within(scope, Room.organisation_id)))
        or 0
    )


def count_by_organisation(session: Session, scope: Scope) -> dict[str, int]:
    """How many rooms each organisation has by itself."""
    query = select(Room.organisation_id, func.count()).where(organisations.within(scope, Room.organisation_id))
    return dict(session.execute(query.group_by(Room.organisation_id)).all())


def number_of(column: InstrumentedAttribute[Any]) -> ScalarSelect[str]:
    """The number of the room whose id is in `column`."""
    return select(Room.number).where(Room.id == column).scalar_subquery()


def get(session: Session, scope: Scope, room_id: str, *, to_edit: bool = False) -> Room:
    """NotFound outside the scope, too."""
    query = select(Room).where(Room.id == room_id, organisations.within(scope, Room.organisation_id))
    return get_one(session, query, "room", room_id, to_edit=to_edit)


def list_rooms(
    session: Session,
    scope: Scope,
    paging: Paging,
    *,
    organisation_id: str | None = None,
    search: str | None = None,
) -> Found[Room]:
    """By number; of one organisation, or whose number or names hold `search`."""
    query = select(Room).where(organisations.within(scope, Room.organisation_id))
    if organisation_id is not None:
        query = query.where(Room.organisation_id == organisation_id)
    if search:
        query = query.where(Room.id.in_(matching(search)))
    return find(session, query, [Room.number, Room.id], paging)


def create(session: Session, change: Change, scope: Scope, form: RoomForm) -> Room:
    """Conflict for a number that the organisation has already."""
    _check(session, scope, form, None)
    room = Room(id=new_id("rm"), version=1, created_at=change.at, **form.model_dump())
    session.add(room)
    session.flush()
    note(session, change, "room.create", room.id, **form.model_dump())
    return room


def edit(session: Session, change: Change, scope: Scope, room_id: str, version: int, form: RoomForm) -> Room:
    """Replace what it is."""
    room = get(session, scope, room_id, to_edit=True)
    before = state(room, RoomForm.model_fields)
    next_version(room, version)
    _check(session, scope, form, room_id)
    for field, value in form.model_dump().items():
        setattr(room, field, value)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "room.edit", room_id, before=before, **form.model_dump())
    return room


def delete(session: Session, change: Change, scope: Scope, room_id: str, version: int) -> None:
    """Conflict while a terminal or an activity is in it."""
    room = get(session, scope, room_id, to_edit=True)
    next_version(room, version)
    session.delete(room)
    session.flush()
    before = state(room, RoomForm.model_fields)
    note(session, change, "room.delete", room_id, before=before, number=room.number)


def _check(session: Session, scope: Scope, form: RoomForm, room_id: str | None) -> None:
    organisations.check_known(session, scope, [form.organisation_id], "body.organisation_id")
    query = select(Room.id).where(Room.organisation_id == form.organisation_id, Room.number == form.number)
    if session.scalar(query) not in {None, room_id}:
        raise Conflict(f"The organisation has a room {form.number} already.", code="room_exists", number=form.number)
